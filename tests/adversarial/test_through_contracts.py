"""Compressed updates, attacking trainers and attacking members at once, through the contracts."""

import pytest

from flare_offchain.core.phases import Phase, VoidReason
from flare_offchain.federation.aggregation.registry import STRATEGIES, parameter_types
from flare_offchain.simulation.data import OFF_CHAIN_ONLY
from flare_offchain.simulation.malicious_members import MEMBERS
from flare_offchain.simulation.scenario import Rules
from tests.factories.runs import KeptRun, run_scenario

pytestmark = pytest.mark.integration

ALL_SEATED = Rules(expected_committee=16, threshold_basis_points=5500, max_attempts=5)
NETWORK = {
    "workers": 5,
    "attackers": 2,
    "rules": ALL_SEATED,
    "aggregation": "mutual_information",
    "codec": "powersgd",
    "codec_parameters": {"rank": 4, "ratio": 8.0, "min_compression_rate": 0.5},
}


def test_every_way_to_attack_on_the_committee_in_turn_finalizes_nothing_wrong(tmp_path):
    rounds = run_scenario(
        tmp_path, **NETWORK, rounds=len(MEMBERS), attack="sign_flip", committee_attack="rotating", epochs=2
    )
    run = KeptRun.open(tmp_path)
    report = run.audit()
    run.close()
    assert report.findings == ()
    finalized = [r for r in rounds if r.outcome == "FINALIZED"]
    assert report.checked["the final model is recomputed to its CID"] == len(finalized)
    assert {r.seats for r in rounds} == {5}
    assert sum(r.attackers_proposed for r in rounds) > 0
    # Only a censor's proposal stands: it leaves out no more than the spec lets it.
    right = {number for number, name in enumerate(MEMBERS, 1) if name == "censoring"}
    assert {r.round for r in rounds if r.attackers_finalized} <= right
    assert sum(r.honest_fines for r in rounds) == 0
    assert sum(r.fines for r in rounds) > 0
    histories = run.history.rounds.values()
    assert all(h.phase is Phase.Finalized or h.void_reason is VoidReason.AttemptsExhausted for h in histories)
    assert len(finalized) >= 6
    assert rounds[-1].accuracy > 0.75


@pytest.mark.parametrize("attack", ["white_box", "probe_overfit", "absent"])
def test_attacks_that_need_to_know_more_run_in_a_network(tmp_path, attack):
    rounds = run_scenario(tmp_path, **NETWORK, rounds=1, attack=attack, probe_count=50)
    assert rounds[0].outcome == "FINALIZED"
    assert rounds[0].attackers_submitted == (0 if attack == "absent" else 2)


@pytest.mark.parametrize("rule", [name for name in STRATEGIES if name not in OFF_CHAIN_ONLY])
def test_every_rule_by_name_finalizes_a_round_that_audits_clean(tmp_path, rule):
    parameters = {"malicious_share": 0.14} if "malicious_share" in parameter_types(STRATEGIES[rule]) else {}
    network = NETWORK | {"aggregation": rule, "aggregation_parameters": parameters, "workers": 7, "attackers": 1}
    rounds = run_scenario(tmp_path, **network, rounds=1, attack="gaussian", probe_count=20)
    assert rounds[0].outcome == "FINALIZED"
    run = KeptRun.open(tmp_path)
    assert run.audit().findings == ()
    run.close()
