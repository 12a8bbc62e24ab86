"""What does not train starts fast: heavy libraries are loaded by those who use them."""

import importlib.util
import subprocess
import sys

import pytest

from tests.architecture.import_graph import modules

pytestmark = pytest.mark.unit

HEAVY = ["torch", "web3", "matplotlib", "sklearn"]
LEARNING = ["torch", "matplotlib", "sklearn"]


def loaded_by(statement: str, names: list[str]) -> list[str]:
    """Return which of the libraries a fresh interpreter has loaded after a statement."""
    code = f"{statement}\nimport sys\nprint(*[name for name in {names!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.skipif(importlib.util.find_spec("flare_offchain.cli.main") is None, reason="no command line yet")
def test_the_command_line_loads_nothing_heavy():
    assert loaded_by("import flare_offchain.cli.main", HEAVY) == []


@pytest.mark.parametrize(
    "part", ["core", "utils", "observability", "storage", "consensus", "compression", "federation"]
)
def test_parts_below_and_beside_the_chain_load_nothing_heavy(part):
    names = [name for name in modules() if name.startswith(f"flare_offchain.{part}")]
    assert names
    assert loaded_by("\n".join(f"import {name}" for name in names), HEAVY) == []


def test_auditing_needs_no_training_library():
    names = [name for name in modules() if name.startswith(("flare_offchain.audit", "flare_offchain.blockchain"))]
    assert loaded_by("\n".join(f"import {name}" for name in names), LEARNING) == []


def test_a_library_that_is_loaded_is_seen():
    assert loaded_by("import web3", HEAVY) == ["web3"]
