"""The lists that Solidity and Python share are the same lists."""

import re

import pytest

from flare_offchain.core import phases
from tests.architecture.import_graph import ROOT

pytestmark = pytest.mark.unit


def solidity_enums(text: str) -> dict[str, list[str]]:
    """Return the members of every enum in a Solidity source."""
    bare = re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)
    return {
        name: [member.strip() for member in members.split(",")]
        for name, members in re.findall(r"enum\s+(\w+)\s*\{([^}]*)\}", bare)
    }


ENUMS = solidity_enums((ROOT / "contracts" / "types" / "Phase.sol").read_text())


def test_every_enum_is_there():
    assert set(ENUMS) == {"Phase", "VoidReason", "Fault", "RejectReason"}


@pytest.mark.parametrize("name", ENUMS)
def test_members_are_equal(name):
    # Solidity numbers members from 0 in order; `None` cannot be a name in Python.
    expected = {f"{member}_" if member == "None" else member: n for n, member in enumerate(ENUMS[name])}
    assert {member.name: member.value for member in getattr(phases, name)} == expected


def test_parser_reads_comments_and_order():
    text = "/* enum Old { X } */ enum A { // enum B { Y }\n One,\n /// a, b\n Two }"
    assert solidity_enums(text) == {"A": ["One", "Two"]}
