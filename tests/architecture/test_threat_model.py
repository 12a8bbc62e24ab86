"""The threat model names an attack, what stops it, and the tests that perform it: every test that it names exists."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
SOLIDITY = ROOT / "tests/contracts/solidity"
ROW = re.compile(
    r"^\| \*\*(?P<attack>[^*]+)\*\*(?P<text>[^|]*)\| (?P<stops>[^|]+) \| (?P<tests>[^|]+) \|$", re.MULTILINE
)
# Attacks that may never leave the list, by words that their rows begin with.
REQUIRED = (
    "Copied CID",
    "Re-encoded copy",
    "Copied or reused vote",
    "Opaque votes to close early",
    "Second `inner` in a large committee",
    "Withheld claims to force widening",
    "Late submit",
    "Proof of another round, task, contract, chain or account",
    "Key rotation after the seed",
    "Seed-block expiry",
    "Proposer disappears",
    "Proposer commits to garbage",
    "All seats absent",
    "Racing proposers burn attempts",
    "Reentrancy",
    "Dust",
    "Full lists or bad proofs in a batch",
    "Dead enrolments",
    "Replay across tasks",
)


def rows():
    return list(ROW.finditer((ROOT / "docs/threat-model.md").read_text(encoding="utf-8")))


def test_no_required_attack_is_missing():
    attacks = [row["attack"] for row in rows()]
    missing = [name for name in REQUIRED if not any(attack.startswith(name) for attack in attacks)]
    assert not missing
    assert len(attacks) == len(set(attacks)) >= 30


def test_every_row_names_tests_that_exist():
    solidity = "\n".join(path.read_text(encoding="utf-8") for path in sorted(SOLIDITY.rglob("*.sol")))
    functions = set(re.findall(r"function ((?:test|invariant|after)\w*)\(", solidity))
    for row in rows():
        named = re.findall(r"`([^`]+)`", row["tests"])
        assert named, row["attack"]
        for name in named:
            path, separator, function = name.partition("::")
            if not separator:
                assert name in functions, f"{row['attack']}: no forge test is called {name}"
                continue
            text = (ROOT / path).read_text(encoding="utf-8")
            assert re.search(rf"(?:def|function) {function}\b", text), f"{row['attack']}: no {function} in {path}"
