"""The benchmark through the contracts: what is clean, what a wrong model is, what a finished network is known by."""

import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts" / "bench"))

import through_contracts as bench

from flare_offchain.audit.ledger import Finding
from flare_offchain.cli.auditing import AuditResult
from flare_offchain.simulation.data import check_names
from flare_offchain.simulation.results import RoundResult

pytestmark = pytest.mark.unit

ROUND = RoundResult(1, "FINALIZED", "", 0.9, 10, 7, 3, 3, 0, 5, 3, 1, 0, 0, 0, 0, 500.0, 90_000.0, "bafk", 1.5)


def audit(checked, *wrong):
    found = [Finding(number, "model", bench.RECOMPUTED, "WrongModel") for number in wrong]
    return AuditResult((1, b""), checked=dict(Counter({bench.RECOMPUTED: checked})), findings=found)


def test_a_wrong_model_is_one_that_is_not_found_again_or_was_not_looked_for():
    rounds = [ROUND, replace(ROUND, round=2), replace(ROUND, round=3, outcome="VOID")]
    assert bench.wrong_models(rounds, audit(2)) == 0
    assert bench.wrong_models(rounds, audit(2, 2)) == 1
    assert bench.wrong_models(rounds, audit(1)) == 1
    assert bench.wrong_models(rounds, audit(0)) == 2


@pytest.mark.parametrize("base", [bench.FULL, bench.QUICK])
def test_clean_is_the_same_network_without_malice(base):
    clean = bench.scenario_of(bench.CLEAN, base, 3, None)
    attacked = bench.scenario_of("sign_flip", base, 3, None)
    for scenario in (clean, attacked):
        check_names(scenario)
        assert scenario.rules.expected_committee == scenario.rules.max_seats == scenario.workers
        assert scenario.attackers == 0.4 * scenario.workers
    assert (clean.attack, clean.committee_attack, clean.aggregation) == ("absent", "honest", "fedavg")
    changed = {"attack", "committee_attack", "aggregation", "aggregation_parameters"}
    one, two = clean.to_record(), attacked.to_record()
    assert {name for name in one if one[name] != two[name]} <= changed


def test_a_network_is_known_by_what_it_does_and_not_by_where_its_data_lie():
    scenario = bench.scenario_of("alie", bench.FULL, 3, "/one")
    assert bench.key_of(scenario) == bench.key_of(replace(scenario, data_dir="/two"))
    assert bench.key_of(scenario) != bench.key_of(replace(scenario, seed=4))
