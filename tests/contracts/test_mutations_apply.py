"""Every check that `scripts/mutate_checks.py` removes is still found where it is said to stand."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import mutate_checks
from _mutated import Broken
from _mutations import MUTATIONS, Mutation

pytestmark = pytest.mark.unit


def test_every_mutation_applies_to_the_contracts_as_they_are():
    mutate_checks.require_applicable()


def test_one_that_does_not_is_named(monkeypatch):
    gone = Mutation("a check that is gone", MUTATIONS[0].file, "if (nobody)", "", "ClaimSeat")
    monkeypatch.setattr(mutate_checks, "MUTATIONS", [*MUTATIONS, gone])
    with pytest.raises(Broken, match="a check that is gone: 'if \\(nobody\\)' occurs 0 times"):
        mutate_checks.require_applicable()
