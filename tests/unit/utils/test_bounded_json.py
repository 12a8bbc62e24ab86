"""Deep nesting is refused before it can overflow the stack."""

import subprocess
import sys

import pytest

from flare_offchain.utils.bounded_json import load_json

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("text", ['{"a": [1, {"b": "[[[["}]}', b"[]", '"\\"[["', '["\\\\", [1]]'])
def test_what_is_flat_enough_is_read(text):
    load_json(text, max_depth=3)


@pytest.mark.parametrize("text", ["[" * 4 + "]" * 4, '{"a":' * 4 + "1" + "}" * 4, "[" * 10**6, '["\\"", [[[1]]]]'])
def test_what_nests_too_deep_is_refused(text):
    with pytest.raises(ValueError, match="nested"):
        load_json(text, max_depth=3)


@pytest.mark.parametrize("text", ["", "{", "[1,]", b"\xff", '"open'])
def test_what_is_no_json_is_refused(text):
    with pytest.raises(ValueError):
        load_json(text)


def test_a_hostile_model_does_not_end_a_process_that_runs_the_embedded_chain():
    program = """
import eth
from flare_offchain.core.errors import MalformedObject
from flare_offchain.utils.serialization import read_safetensors
header = b'{"a":' * 100_000
try:
    read_safetensors(len(header).to_bytes(8, "little") + header, max_bytes=10**7)
except MalformedObject:
    print("refused")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout.strip()) == (0, "refused"), done.stderr[-500:]
