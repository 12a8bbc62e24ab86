"""The record of a run survives a kill, and is never mistaken for another's."""

from dataclasses import replace

import pytest

from flare_offchain.core.errors import ConfigurationError
from flare_offchain.simulation.plots import write_plots
from flare_offchain.simulation.record import RunRecord
from flare_offchain.simulation.results import RoundResult, summarise
from flare_offchain.simulation.scenario import Scenario

pytestmark = pytest.mark.unit

RESULT = RoundResult(1, "FINALIZED", "", 0.9, 10, 7, 3, 3, 0, 5, 3, 1, 0, 0, 0, 0, 500.0, 90_000.0, "bafk", 1.5)
VOID = replace(RESULT, round=2, outcome="VOID", reason="TooFewSeats", accepted=0, bytes_per_update=0.0, updates=0)


def test_rounds_and_facts_are_kept(tmp_path):
    record = RunRecord(tmp_path / "run")
    record.begin(Scenario())
    record.append(RESULT)
    record.append(VOID)
    record.note(task=1)
    again = RunRecord(tmp_path / "run")
    assert again.rounds() == [RESULT, VOID]
    assert (again.fact("task"), again.fact("other")) == (1, None)
    assert again.scenario() == Scenario()


def test_a_torn_line_is_dropped(tmp_path):
    record = RunRecord(tmp_path)
    record.begin(Scenario())
    record.append(RESULT)
    with record.log.open("a") as file:
        file.write('{"event": "round", "rou')
    assert RunRecord(tmp_path).rounds() == [RESULT]
    record.append(VOID)
    assert RunRecord(tmp_path).rounds() == [RESULT, VOID]


@pytest.mark.parametrize("text", ["[]", "{", '{"version": 2, "scenario": {}}', '{"version": 1}'])
def test_damaged_settings_are_reported(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(ConfigurationError):
        RunRecord(tmp_path).scenario()


def test_a_damaged_log_is_reported(tmp_path):
    record = RunRecord(tmp_path)
    record.begin(Scenario())
    record.log.write_text('{"round": 1}\n')
    with pytest.raises(ConfigurationError, match="damaged"):
        record.rounds()


def test_a_folder_without_a_run_is_reported(tmp_path):
    with pytest.raises(ConfigurationError, match="holds no run"):
        RunRecord(tmp_path).scenario()


def test_a_summary_counts_what_happened():
    summary = summarise([RESULT, VOID], 40_000, 3.0)
    assert (summary.rounds_finalized, summary.rounds_void) == (1, 1)
    assert (summary.bytes_per_update, summary.compression_ratio) == (500.0, 80.0)
    assert (summary.attackers_rejected_share, summary.honest_rejected_share) == (1.0, 0.0)
    assert summarise([VOID], 40_000, 1.0).attackers_rejected_share is None
    assert set(summary.to_json()) >= {
        "accuracy",
        "rounds_finalized",
        "rounds_void",
        "bytes_per_update",
        "compression_ratio",
        "gas_per_worker_round",
        "seconds",
        "model_cid",
    }


def test_plots_are_images(tmp_path):
    for path in write_plots([RESULT, VOID], 40_000, tmp_path):
        assert path.read_bytes().startswith(b"\x89PNG")
