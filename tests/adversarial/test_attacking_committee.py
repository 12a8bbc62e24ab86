"""Malicious members on the committee: a minority changes nothing; a whole committee cannot hide from the auditor."""

import pytest

from flare_offchain.core.phases import Fault, Phase, RejectReason
from flare_offchain.simulation.scenario import Rules
from tests.factories.runs import KeptRun, run_scenario

pytestmark = pytest.mark.integration

EVERYONE = Rules(expected_committee=16, threshold_basis_points=6000, max_attempts=5)


def test_a_malicious_minority_finalizes_nothing_wrong_and_is_fined(tmp_path):
    rounds = run_scenario(
        tmp_path, workers=5, attackers=2, committee_attack="negated", rounds=3, rules=EVERYONE, attack="label_flip"
    )
    run = KeptRun.open(tmp_path)
    report = run.audit()
    attackers = {run.chain.account(4).address, run.chain.account(5).address}
    run.close()
    assert report.findings == ()
    assert [r.outcome for r in rounds] == ["FINALIZED"] * 3
    for history in run.history.rounds.values():
        assert history.final_proposal.proposer not in attackers
        malicious = {a for a, p in history.proposals.items() if p.proposer in attackers}
        assert malicious <= set(history.failed_attempts)
        rejecters = {v.member for v in history.votes if v.attempt in malicious and not v.approved}
        assert rejecters.isdisjoint(attackers)
        faults = {(f.member, f.fault) for f in history.fines}
        assert {f.member for f in history.fines} <= attackers, "an honest member was fined"
        final_votes = {v.member for v in history.votes_of(history.final_attempt)}
        assert all((a, Fault.RejectionOverruled) in faults for a in attackers & final_votes)
        reasons = {v.reason for v in history.votes if v.member not in attackers and not v.approved}
        assert reasons <= {RejectReason.WrongModel}
    assert any(f.fault is Fault.ProposalRejected for h in run.history.rounds.values() for f in h.fines) or all(
        h.final_attempt == 0 for h in run.history.rounds.values()
    )


def test_a_model_that_a_whole_committee_made_up_is_found_by_the_audit(tmp_path):
    rounds = run_scenario(tmp_path, workers=3, attackers=3, committee_attack="negated", rounds=1, rules=EVERYONE)
    assert rounds[0].outcome == "FINALIZED", "an honest majority is the assumption; here there is none"
    run = KeptRun.open(tmp_path)
    report = run.audit()
    run.close()
    assert run.history.rounds[1].phase is Phase.Finalized
    assert {(f.round, f.rule) for f in report.findings} == {(1, "the final model is recomputed to its CID")}
    assert "WrongModel" in report.findings[0].detail
