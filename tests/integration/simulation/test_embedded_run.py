"""A whole network on the embedded chain: it finishes, repeats to the bit, goes on after a kill, and audits clean."""

import json
import os
import subprocess
import sys

import pytest

from flare_offchain.core.errors import ConfigurationError
from flare_offchain.simulation.run import SimulationRun
from flare_offchain.simulation.scenario import Rules, Scenario
from tests.factories.runs import SMALL, KeptRun, run_scenario

pytestmark = pytest.mark.integration

PROGRAM = """
import json, sys
from pathlib import Path
from tests.factories.runs import run_scenario
print(json.dumps([r.model_cid for r in run_scenario(Path(sys.argv[1]), **json.loads(sys.argv[2]))]))
"""


def models_of(folder, *, threads, **changes):
    """Run in a process of its own and return the model of each round."""
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
    }
    arguments = [sys.executable, "-c", PROGRAM, str(folder), json.dumps(changes)]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return folder, run_scenario(folder)


def test_every_round_is_finalized_and_the_model_learns(kept):
    _, rounds = kept
    assert [r.outcome for r in rounds] == ["FINALIZED", "FINALIZED"]
    assert all(r.updates == r.accepted == SMALL["workers"] for r in rounds)
    assert rounds[-1].accuracy > 0.6
    assert all(r.gas_per_worker > 50_000 and r.bytes_per_update > 100 for r in rounds)


def test_the_run_audits_without_a_finding(kept):
    run = KeptRun.open(kept[0])
    report = run.audit()
    run.close()
    assert report.findings == ()
    assert (report.rounds, report.finalized) == (2, 2)
    assert report.checked["the claims listed are those that their transaction carried"] >= 4
    assert report.checked["the final model is recomputed to its CID"] == 2


def test_claims_that_cannot_win_a_seat_any_more_are_not_made(tmp_path):
    """Twelve workers for four seats: each claims only while fewer than four claims are lower than its own."""
    rules = Rules(expected_committee=6, max_seats=4)
    run_scenario(tmp_path / "run", workers=12, rounds=2, rules=rules)
    run = KeptRun.open(tmp_path / "run")
    report, histories = run.audit(), list(run.history.rounds.values())
    run.close()
    assert report.findings == ()
    for history in histories:
        claims = [record.claim for record in history.claims]
        assert all(sum(earlier < claim for earlier in claims[:at]) < 4 for at, claim in enumerate(claims))
    assert any(len(history.claims) > len(history.committee) == 4 for history in histories)


@pytest.mark.parametrize(
    "changes", [{}, {"model": "mlp", "rounds": 1, "aggregation": "mutual_information", "attackers": 1}]
)
def test_the_same_seed_gives_the_same_models_with_any_threads_in_any_folder(tmp_path, changes):
    one = models_of(tmp_path / "one", threads="1", **changes)
    two = models_of(tmp_path / "elsewhere" / "two", threads="2", **changes)
    assert one == two


def test_neighbours_mixed_and_trimmed_are_recomputed_by_validators_and_auditor(tmp_path):
    rule = {"combination": "mixed_trimmed_mean", "residual_share": 0.25}
    rounds = run_scenario(tmp_path, aggregation="mutual_information", aggregation_parameters=rule, model="mlp")
    assert [r.outcome for r in rounds] == ["FINALIZED", "FINALIZED"]
    run = KeptRun.open(tmp_path)
    report = run.audit()
    run.close()
    assert report.findings == ()
    assert report.checked["the final model is recomputed to its CID"] == 2


def test_another_seed_gives_other_models(kept, tmp_path):
    assert run_scenario(tmp_path, seed=1, rounds=1)[0].model_cid != kept[1][0].model_cid


def test_a_run_that_was_interrupted_goes_on_to_the_same_models(kept, tmp_path):
    steps = 0

    class KilledError(Exception):
        pass

    def killed(_):
        nonlocal steps
        steps += 1
        if steps == 25:
            raise KilledError

    scenario = Scenario(**SMALL)
    with pytest.raises(KilledError), SimulationRun.open(scenario, tmp_path) as run:
        list(run.rounds(killed))
    assert [r.model_cid for r in run_scenario(tmp_path)] == [r.model_cid for r in kept[1]]


def test_a_finished_run_is_shown_again(kept):
    folder, rounds = kept
    assert run_scenario(folder) == rounds


def test_a_folder_with_another_run_is_refused(kept):
    with pytest.raises(ConfigurationError, match="other settings \\(seed\\)"):
        SimulationRun.open(Scenario(**SMALL, seed=9), kept[0])


def test_a_folder_with_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("do not overwrite")
    with pytest.raises(ConfigurationError, match="not empty"):
        SimulationRun.open(Scenario(**SMALL), tmp_path)
