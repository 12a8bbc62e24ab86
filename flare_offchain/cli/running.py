"""Running a scenario and showing how it goes: live progress, a table a round, a summary, plots."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from flare_offchain.cli.output import Output, progress
from flare_offchain.simulation.plots import write_plots
from flare_offchain.simulation.results import RoundResult, Summary
from flare_offchain.simulation.run import SimulationRun
from flare_offchain.simulation.scenario import Scenario

COLUMNS = (
    "round",
    "outcome",
    "accuracy",
    "accepted",
    "attackers out",
    "seats",
    "attempts",
    "bytes/update",
    "gas/worker",
)


def run_and_show(scenario: Scenario, out: Path | None, as_json: bool) -> int:
    """Run a scenario, keeping it in `out` if given.

    Returns the exit code: 0 where all rounds were run and at least one was finalized, else 1.
    """
    output = Output(as_json)
    if out is None:
        with TemporaryDirectory(prefix="flare-") as folder:
            return _run(scenario, Path(folder), output, kept=False)
    return _run(scenario, out, output, kept=True)


def _run(scenario: Scenario, folder: Path, output: Output, *, kept: bool) -> int:
    live = _Live(scenario)
    with SimulationRun.open(scenario, folder) as run:
        if run.finished:
            progress(f"{folder} already holds these {len(run.results)} rounds; showing them again")
        elif run.results:
            progress(f"continuing {folder} after round {len(run.results)}")
        for result in run.results:
            output.emit(result.to_json())
        for result in run.rounds(live.status):
            live.clear()
            output.emit(result.to_json())
            output.say(_line(result, scenario))
        live.clear()
        summary = run.summary()
        output.emit(summary.to_json())
        _show(output, run.results, summary, scenario)
        if kept:
            plots = write_plots(run.results, run.model_bytes, folder / "plots")
            output.say(f"kept in {folder}: chain, store, record and {len(plots)} plots (plots/*.png)")
            output.say(f"audit it with: flare audit --run {folder}")
    return 0 if run.finished and summary.rounds_finalized else 1


def _line(result: RoundResult, scenario: Scenario) -> str:
    mark = "✓" if result.outcome == "FINALIZED" else "✗"
    outcome = result.outcome if not result.reason else f"{result.outcome} ({result.reason})"
    return (
        f"{mark} round {result.round}/{scenario.rounds}  {outcome}  accuracy {100 * result.accuracy:.1f} %  "
        f"accepted {result.accepted}/{result.updates}  {result.seconds:.1f} s"
    )


def _show(output: Output, rounds: list[RoundResult], summary: Summary, scenario: Scenario) -> None:
    rows = [
        (
            r.round,
            r.outcome,
            f"{100 * r.accuracy:.1f} %",
            f"{r.accepted}/{r.updates}",
            f"{r.attackers_rejected}/{r.attackers_submitted}" if r.attackers_submitted else "–",
            f"{r.seats}, quorum {r.quorum}",
            r.attempts,
            f"{r.bytes_per_update:,.0f}",
            f"{r.gas_per_worker:,.0f}",
        )
        for r in rounds
    ]
    output.table("", COLUMNS, rows)
    attack = f"{scenario.attackers} of {scenario.workers} workers attack with {scenario.attack}"
    output.say(f"{attack}; {scenario.data}, {scenario.partition}, rule {scenario.aggregation}, seed {scenario.seed}")
    output.say(
        f"test accuracy {100 * summary.accuracy:.1f} %, {summary.rounds_finalized} finalized and "
        f"{summary.rounds_void} void rounds, updates {summary.compression_ratio:.0f}× smaller than float32, "
        f"{summary.gas_per_worker_round:,.0f} gas a worker and round, {summary.seconds:.1f} s"
    )
    output.say(f"model {summary.model_cid}")


class _Live:
    """One line on the terminal that says what is going on; nothing where standard error is no terminal."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario, self.shown, self.last = scenario, sys.stderr.isatty(), 0.0

    def status(self, text: str) -> None:
        if self.shown and time.monotonic() - self.last > 0.05:
            sys.stderr.write(f"\r\x1b[2K  {text}")
            sys.stderr.flush()
            self.last = time.monotonic()

    def clear(self) -> None:
        if self.shown:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()
