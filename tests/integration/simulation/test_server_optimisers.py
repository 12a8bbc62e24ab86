"""Tasks with a server optimiser: rounds carry its state on as an object, and the audit recomputes it."""

import pytest

from flare_offchain.federation.report import Report
from flare_offchain.simulation.scenario import Rules
from flare_offchain.storage.local import LocalStorageProvider
from tests.factories.runs import KeptRun, run_scenario

pytestmark = pytest.mark.integration

ALL_SEATED = Rules(expected_committee=16, threshold_basis_points=5500, max_attempts=3)
"""Two attackers alone cannot use up the attempts of a round."""


@pytest.mark.parametrize(("server", "rate"), [("fedavgm", 0.5), ("fedadam", 0.1)])
def test_a_task_learns_and_audits_clean_with_attackers_on_the_committee(tmp_path, server, rate):
    rounds = run_scenario(
        tmp_path,
        server=server,
        server_parameters={"learning_rate": rate},
        workers=5,
        attackers=2,
        attack="sign_flip",
        committee_attack="rotating",
        aggregation="mutual_information",
        rounds=4,
        rules=ALL_SEATED,
    )
    run = KeptRun.open(tmp_path)
    report = run.audit()
    finals = [history.final_proposal for history in run.history.rounds.values() if history.final_proposal]
    states = [Report.decode(run.store.get(final.report)).state for final in finals]
    run.close()
    assert report.findings == ()
    assert len(finals) == sum(r.outcome == "FINALIZED" for r in rounds) >= 2
    assert None not in states and len(set(states)) == len(states)
    assert rounds[-1].accuracy > 0.6

    store = LocalStorageProvider(tmp_path / "store")
    store.delete(states[0])
    run = KeptRun.open(tmp_path)
    found = run.audit().findings
    run.close()
    assert {f.rule for f in found} >= {"an object can be had"}
    assert any("server optimiser" in f.object for f in found)
