"""Compression and attack together, through the contracts: accuracy of whole networks whose members are malicious, too.

    through_contracts.py --quick                        digits, 10 workers, 4 of them malicious, 4 rounds, 3 attacks
    through_contracts.py --data-dir DATA [--cells FILE] MNIST, 20 workers, 8 of them malicious, 25 rounds, all attacks

A network is the real one: embedded chain, production contracts, store in a folder, workers that act by themselves.
Every worker is seated. The malicious attack as trainers, all in the same way, and as committee members in another way
each round (`malicious_members.py`). *Clean* is the same network with the same honest workers, rule `fedavg`, and
attackers that send nothing and vote honestly. Accuracy is the mean over the last fifth of the rounds on the test part.
Afterwards `flare audit` checks the run: a wrong model is a finalized round whose model the auditor, recomputing it
from the updates, does not find. DATA holds mnist/; finished networks are kept in FILE, one JSON object a line, and a
network that was cut short goes on where it stopped.
"""

from __future__ import annotations

import json
import os
import shutil
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean
from typing import Any

# One thread a network, so that several may run beside each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from _book import Book
from _harness import Benchmark, BenchmarkFailed, Row, cache_folder, run

from flare_offchain.cli.auditing import AuditResult, audit_run
from flare_offchain.federation.adversary import BEHAVIOURS
from flare_offchain.simulation.data import ABSENT
from flare_offchain.simulation.malicious_members import HONEST, ROTATING
from flare_offchain.simulation.results import RoundResult
from flare_offchain.simulation.run import SimulationRun
from flare_offchain.simulation.scenario import ETHER, Rules, Scenario
from flare_offchain.utils.datasets import check_files

CLEAN = "clean"
RECOMPUTED = "the final model is recomputed to its CID"
ALLOWED_LOSS, LEAST_RATIO = 1.5, 100.0
QUICK_ATTACKS = ("sign_flip", "label_flip", "ipm_0.1")
FULL = Scenario(
    workers=20,
    rounds=25,
    attackers=8,
    committee_attack=ROTATING,
    data="mnist",
    model="mlp",
    model_parameters={"hidden": [200, 200]},
    codec_parameters={"rank": 32, "bits": 4, "ratio": 110.0, "min_compression_rate": 0.5},
    epochs=1,
    learning_rate=0.1,
    batch_size=32,
    momentum=0.0,
    probe_pool=1000,
    # A smaller fine than usual: the malicious are to be there until the end.
    rules=Rules(
        expected_committee=20, max_seats=20, threshold_basis_points=5500, max_attempts=5, fine_amount=ETHER // 50
    ),
)
QUICK = Scenario(
    workers=10,
    rounds=4,
    attackers=4,
    committee_attack=ROTATING,
    codec_parameters={"rank": 8, "ratio": 30.0, "min_compression_rate": 0.5},
    rules=replace(FULL.rules, expected_committee=10, max_seats=10),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One network. Ratio: float32's bytes over those of the mean update. Shares: of the updates judged."""

    accuracy: float
    ratio: float
    finalized: int
    void: int
    wrong_models: int
    findings: int
    checks: int
    attackers_proposed: int
    attackers_finalized: int
    attackers_rejected_share: float | None
    honest_rejected_share: float | None
    fines: int
    honest_fines: int
    seconds: float


def scenario_of(attack: str, base: Scenario, seed: int, data_dir: str | None) -> Scenario:
    """Return the network of one attack, or the clean one."""
    changed = replace(base, seed=seed, data_dir=data_dir)
    if attack == CLEAN:
        return replace(changed, attack=ABSENT, committee_attack=HONEST, aggregation="fedavg", aggregation_parameters={})
    return replace(changed, attack=attack)


def run_network(scenario: Scenario, folder: Path) -> Outcome:
    """Run a network in a folder (go on with it, if it is there), audit it and measure."""
    with SimulationRun.open(scenario, folder) as network:
        for _ in network.rounds(lambda _: None):
            pass
        if not network.finished:
            raise BenchmarkFailed(f"{folder}: the task ended after {len(network.results)} rounds")
        rounds, summary = network.results, network.summary()
    audit = audit_run(folder, None, None, None)
    last = rounds[-max(1, len(rounds) // 5) :]
    return Outcome(
        accuracy=fmean(r.accuracy for r in last),
        ratio=summary.compression_ratio,
        finalized=summary.rounds_finalized,
        void=summary.rounds_void,
        wrong_models=wrong_models(rounds, audit),
        findings=len(audit.findings),
        checks=sum(audit.checked.values()),
        attackers_proposed=sum(r.attackers_proposed for r in rounds),
        attackers_finalized=sum(r.attackers_finalized for r in rounds),
        attackers_rejected_share=summary.attackers_rejected_share,
        honest_rejected_share=summary.honest_rejected_share,
        fines=sum(r.fines for r in rounds),
        honest_fines=sum(r.honest_fines for r in rounds),
        seconds=summary.seconds,
    )


def wrong_models(rounds: list[RoundResult], audit: AuditResult) -> int:
    """Return how many finalized models the auditor could not find again, whether it checked them or not."""
    finalized = sum(r.outcome == "FINALIZED" for r in rounds)
    wrong = {finding.round for finding in audit.findings if finding.rule == RECOMPUTED}
    return len(wrong) + finalized - audit.checked.get(RECOMPUTED, 0)


def key_of(scenario: Scenario) -> str:
    """Return everything that a network's outcome depends on but the code; where data lie does not matter."""
    return json.dumps(replace(scenario, data_dir=None).to_record(), sort_keys=True)


def run_all(bench: Benchmark, scenarios: dict[str, Scenario]) -> dict[str, Outcome]:
    """Run the networks that are not in the book, and return all outcomes by attack."""
    arguments = bench.arguments
    book: Book[Outcome] = Book(arguments.cells, Outcome)
    place = arguments.keep or cache_folder("through_contracts")
    found: dict[str, Outcome] = {}
    with ProcessPoolExecutor(arguments.jobs, get_context("spawn")) as pool:
        waiting: dict[Future[Outcome], tuple[str, Path]] = {}
        for attack, scenario in scenarios.items():
            known = book.find(key_of(scenario))
            if known is not None:
                found[attack] = known
                continue
            folder = place / f"{attack}-{sha256(key_of(scenario).encode()).hexdigest()[:16]}"
            waiting[pool.submit(run_network, scenario, folder)] = attack, folder
        for future in as_completed(waiting):
            attack, folder = waiting[future]
            found[attack] = outcome = future.result()
            book.add(key_of(scenarios[attack]), outcome)
            bench.say(f"{attack}: {outcome}")
            if arguments.keep is None:
                shutil.rmtree(folder)
    return {attack: found[attack] for attack in scenarios}


def report(bench: Benchmark, outcomes: dict[str, Outcome]) -> None:
    """Add a row for each network and the summary."""
    clean = outcomes[CLEAN]
    for attack, o in outcomes.items():
        bench.add(Row(attack, 100 * o.accuracy, "%", 1, [bench.seed], 100 * clean.accuracy, CLEAN))
        bench.note(
            f"{attack}: {o.ratio:.0f} times fewer bytes, {o.finalized} finalized and {o.void} void rounds, "
            f"{o.wrong_models} wrong models, {o.findings} findings in {o.checks:,} checks, "
            f"{o.attackers_proposed} proposals of attackers, {o.attackers_finalized} of them right and finalized, "
            f"{_percent(o.attackers_rejected_share)} of malicious and {_percent(o.honest_rejected_share)} of honest "
            f"updates rejected, {o.fines} fines, {o.honest_fines} of them of honest members, {o.seconds:.0f} s"
        )
    attacked = {attack: outcome for attack, outcome in outcomes.items() if attack != CLEAN}
    worst = min(attacked, key=lambda attack: attacked[attack].accuracy)
    difference = 100 * (attacked[worst].accuracy - clean.accuracy)
    ratio = min(outcome.ratio for outcome in outcomes.values())
    if not bench.quick:
        bench.add(Row("points lost in the worst case", -difference, "points", 1, [bench.seed], ALLOWED_LOSS, "limit"))
        bench.add(Row("times fewer bytes, least", ratio, "times", 1, [bench.seed], LEAST_RATIO, "limit"))
    every = outcomes.values()
    bench.finish(
        {
            "clean": 100 * clean.accuracy,
            "worst": 100 * attacked[worst].accuracy,
            "worst_attack": worst,
            "worst_difference": difference,
            "compression_ratio": ratio,
            "rounds_finalized": sum(o.finalized for o in every),
            "rounds_void": sum(o.void for o in every),
            "wrong_models": sum(o.wrong_models for o in every),
            "audit_findings": sum(o.findings for o in every),
            "honest_fines": sum(o.honest_fines for o in every),
        }
    )


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{100 * share:.1f} %"


def main() -> None:
    """Run the networks and show what came of them."""
    options: list[tuple[str, dict[str, Any]]] = [
        ("--data-dir", {"type": Path, "help": "the folder that holds mnist/ (full run)"}),
        ("--cells", {"type": Path, "help": "a file of finished networks to go on with: one JSON object a line"}),
        ("--keep", {"type": Path, "help": "keep the networks' chains and stores in this folder"}),
        ("--attacks", {"nargs": "+", "choices": list(BEHAVIOURS), "metavar": "NAME", "help": "only these attacks"}),
        ("--jobs", {"type": int, "default": max(1, len(os.sched_getaffinity(0))), "help": "networks at a time"}),
    ]
    bench = Benchmark("through_contracts", __doc__ or "", options=options)
    arguments = bench.arguments
    base, attacks, data_dir = FULL, arguments.attacks or list(BEHAVIOURS), None
    if bench.quick:
        base, attacks = QUICK, arguments.attacks or list(QUICK_ATTACKS)
    else:
        if arguments.data_dir is None:
            raise BenchmarkFailed("the full run needs MNIST: name the folder that holds mnist/ with --data-dir")
        data_dir = str(arguments.data_dir / "mnist")
        check_files("mnist", Path(data_dir))
    scenarios = {attack: scenario_of(attack, base, bench.seed, data_dir) for attack in (CLEAN, *attacks)}
    report(bench, run_all(bench, scenarios))


if __name__ == "__main__":
    run(main)
