"""Bytes of compressed updates at equal accuracy: ours beside published compressors, in one run with paired seeds.

    .venv/bin/python scripts/bench/compression.py --quick
    .venv/bin/python scripts/bench/compression.py --data-dir DATA --plots PLOTS

Federated averaging on digits (quick) and on MNIST and HAPT (full; DATA holds mnist/ and har_hapt/). The ratio is
float32's bytes over the whole serialised update's, header and biases included. Accuracy is the mean over the last five
rounds on the test part; losses are differences to float32 with the same seed, in percentage points, with 95 %
intervals of Student's t. Besides, the error-bounded codec on twelve recorded updates, and the codec's speed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _cells import FLOAT32, OURS, Cell, CellBook, run_cells
from _federated import Arrays, Case, Outcome
from _harness import Benchmark, BenchmarkFailed, Row, Sample, run
from _peer_compressors import PEERS

from flare_offchain.compression import ErrorBoundedCodec, codec_from_spec, decode_update
from flare_offchain.compression.codec import relative_error
from flare_offchain.core.tensors import ModelSchema

DIGITS = Case(
    "digits",
    "digits",
    "mlp",
    {"inputs": 64, "hidden": [256, 128], "classes": 10},
    "dirichlet:0.5",
    clients=8,
    rounds=20,
    steps=16,
    learning_rate=0.05,
    momentum=0.9,
)
FULL = (
    Case(
        "mnist_mlp",
        "mnist",
        "mlp",
        {"inputs": 784, "hidden": [200, 200], "classes": 10},
        "dirichlet:0.5",
        rounds=40,
        learning_rate=0.05,
        momentum=0.9,
    ),
    Case(
        "mnist_cnn",
        "mnist",
        "cnn",
        {"height": 28, "width": 28, "filters": [16, 32], "dense": 64, "classes": 10},
        "dirichlet:0.5",
        rounds=25,
        steps=15,
        learning_rate=0.05,
        momentum=0.9,
    ),
    Case(
        "hapt",
        "hapt",
        "cnn",
        {"height": 128, "width": 6, "filters": [16, 32], "dense": 64, "classes": 6},
        "subject",
        rounds=30,
        steps=15,
        learning_rate=0.05,
        momentum=0.9,
        target=0.85,
    ),
)
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "digits": {"rank": 16, "bits": 4, "ratio": 100.0, "min_compression_rate": 0.5},
    "mnist_mlp": {"rank": 32, "bits": 4, "ratio": 185.0, "min_compression_rate": 0.5},
    "mnist_cnn": {"rank": 16, "bits": 4, "ratio": 140.0, "min_compression_rate": 0.5},
    "hapt": {"rank": 16, "bits": 4, "ratio": 95.0, "min_compression_rate": 0.5},
}
QUICK_SEEDS, FULL_SEEDS = 3, 5
QUICK_LEFT_OUT = {"torch PowerSGD hook, rank 1"}
RECORDED_ROUNDS = (0, 4, -1)
BOUNDS = {"0.1 % Frobenius": (1e-3, 5.0), "0.1 % energy": (float(np.sqrt(1e-3)), 11.77)}
SPEED_LIMIT = 100.0
TOLERATED_LOSS = 0.3


@dataclass(frozen=True, slots=True)
class Compared:
    """A compressor's trainings beside float32's of the same seeds."""

    name: str
    outcomes: list[Outcome]
    loss: Sample
    half_width: float
    ratio: float
    rounds_ratio: float | None


def compare(name: str, outcomes: list[Outcome], reference: list[Outcome]) -> Compared:
    """Pair trainings by seed."""
    loss = Sample.of(100 * (base.accuracy - own.accuracy) for own, base in zip(outcomes, reference, strict=True))
    rounds = [
        own.rounds_to_target / base.rounds_to_target
        for own, base in zip(outcomes, reference, strict=True)
        if own.rounds_to_target and base.rounds_to_target
    ]
    reached = len(rounds) == sum(base.rounds_to_target is not None for base in reference) and rounds
    ratio = float(np.mean([outcome.ratio for outcome in outcomes]))
    return Compared(name, outcomes, loss, _half_width(loss), ratio, float(np.mean(rounds)) if reached else None)


def _half_width(sample: Sample) -> float:
    """Return half of the 95 % interval of a mean."""
    from scipy.stats import t

    return float(t.ppf(0.975, sample.n - 1)) * sample.error if sample.n > 1 else float("nan")


def measure(
    bench: Benchmark, cases: list[Case], seeds: list[int], jobs: int
) -> tuple[dict[str, list[Compared]], list[Arrays]]:
    """Train every case with every compressor and seed; return the comparisons and the first seed's recorded updates."""
    cells = [cell for case in cases for seed in seeds for cell in _cells_of(bench, case, seed, seed == seeds[0])]
    book = CellBook(bench.arguments.cells)
    done: dict[tuple[str, str, int], Outcome] = {}
    recorded: dict[str, list[Arrays]] = {}
    for cell, outcome, updates, fresh in run_cells(cells, bench.arguments.data_dir, book, jobs):
        done[cell.case.name, cell.compressor, cell.seed] = outcome
        if updates:
            recorded[cell.case.name] = updates
        if fresh:
            bench.say(
                f"{cell.case.name}, {cell.compressor}, seed {cell.seed}: {100 * outcome.accuracy:.2f} %,"
                f" {outcome.ratio:.1f} x, {outcome.seconds} s"
            )
    results = {}
    for case in cases:
        bench.note(f"{case.describe()}; ours {dict(SETTINGS[case.name])}")
        reference = [done[case.name, FLOAT32, seed] for seed in seeds]
        names = [name for name in (OURS, *PEERS) if (case.name, name, seeds[0]) in done]
        compared = [compare(name, [done[case.name, name, seed] for seed in seeds], reference) for name in names]
        _report(bench, case, compared, reference, seeds)
        results[case.name] = compared
    return results, [delta for case in cases for delta in recorded[case.name]]


def _cells_of(bench: Benchmark, case: Case, seed: int, first: bool) -> list[Cell]:
    record = tuple(number % case.rounds for number in RECORDED_ROUNDS) if first else ()
    peers = [name for name in PEERS if not (bench.quick and name in QUICK_LEFT_OUT)]
    return [
        Cell(case, FLOAT32, seed, record=record),
        Cell(case, OURS, seed, SETTINGS[case.name]),
        *(Cell(case, name, seed) for name in peers),
    ]


def _report(bench: Benchmark, case: Case, compared: list[Compared], reference: list[Outcome], seeds: list[int]) -> None:
    ours = compared[0]
    clean = Sample.of(100 * outcome.accuracy for outcome in reference)
    bench.add(Row(f"{case.name}: float32 accuracy", clean.mean, "%", len(seeds), seeds))
    for item in compared[1:]:
        bench.add(Row(f"{case.name}: times fewer bytes", ours.ratio, "x", len(seeds), seeds, item.ratio, item.name))
        bench.add(
            Row(f"{case.name}: points lost", ours.loss.mean, "points", len(seeds), seeds, item.loss.mean, item.name)
        )
    for item in compared:
        rounds = "not always reached" if item.rounds_ratio is None else f"{item.rounds_ratio:.2f} x float32's"
        bench.note(
            f"{case.name}, {item.name}: {item.ratio:.1f} x, loses {item.loss.mean:.2f} +- {item.half_width:.2f} points;"
            f" rounds to {100 * case.target:.0f} %: {rounds}"
        )


def best_peer(compared: list[Compared]) -> Compared:
    """Return the peer of the fewest bytes among those that lose next to nothing, or the one that loses least."""
    fair = [item for item in compared[1:] if item.loss.mean <= TOLERATED_LOSS]
    return max(fair, key=lambda item: item.ratio) if fair else min(compared[1:], key=lambda item: item.loss.mean)


def summary_of(compared: list[Compared], prefix: str = "") -> dict[str, object]:
    """Return the summary's keys for one case."""
    ours, peer = compared[0], best_peer(compared)
    return {
        f"{prefix}ratio": ours.ratio,
        f"{prefix}loss_points": ours.loss.mean,
        f"{prefix}rounds_ratio": ours.rounds_ratio,
        f"{prefix}best_peer": peer.name,
        f"{prefix}best_peer_ratio": peer.ratio,
        f"{prefix}best_peer_loss_points": peer.loss.mean,
    }


def bounded(bench: Benchmark, recorded: list[Arrays], seed: int) -> None:
    """Report the error-bounded codec's ratio on recorded updates; a bound that is broken fails the run."""
    for name, (bound, wanted) in BOUNDS.items():
        ratios = []
        for delta in recorded:
            schema = ModelSchema.of(delta)
            data = ErrorBoundedCodec(bound).encode(delta, schema, bytes(32)).data
            decoded = decode_update(data, schema, bytes(32)).tensors
            if relative_error(delta, {key: tensor.to_float() for key, tensor in decoded.items()}) > bound:
                raise BenchmarkFailed(f"the error-bounded codec exceeds {name}")
            ratios.append(4 * schema.parameters / len(data))
        for case, value in (("mean", float(np.mean(ratios))), ("least", min(ratios))):
            bench.add(Row(f"error at most {name}, {case}", value, "x", len(ratios), [seed], wanted, "wanted at least"))


def speed(bench: Benchmark) -> None:
    """Report encode + decode of a million parameters at rank 4 on this thread's processor time."""
    generator = np.random.Generator(np.random.PCG64(bench.seed))
    delta = {"weight": (0.01 * generator.standard_normal((1000, 1000))).astype(np.float32)}
    schema = ModelSchema.of(delta)
    codec = codec_from_spec("powersgd", {"rank": 4})
    rates = []
    for number in range(12):
        context = number.to_bytes(32, "big")
        started = time.thread_time()
        decode_update(codec.encode(delta, schema, context).data, schema, context)
        rates.append(4 * schema.parameters / 1e6 / (time.thread_time() - started))
        codec.acknowledge(accepted=True)
    rate = float(np.median(rates[2:]))
    bench.add(Row("encode + decode, 1 M parameters, rank 4", rate, "MB/s", 10, [bench.seed], SPEED_LIMIT, "wanted"))


def plot(folder: Path, name: str, compared: list[Compared]) -> None:
    """Write a picture of bytes against loss."""
    from matplotlib.figure import Figure

    folder.mkdir(parents=True, exist_ok=True)
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for item in compared:
        axes.errorbar(item.ratio, item.loss.mean, yerr=item.half_width, fmt="o", capsize=3, label=item.name)
    axes.set(
        xscale="log", xlabel="times fewer bytes than float32", ylabel="accuracy lost, percentage points", title=name
    )
    axes.axhline(0, color="grey", linewidth=0.5)
    axes.legend(fontsize=7)
    figure.savefig(folder / f"compression_{name}.png", dpi=150)


def _wanted(bench: Benchmark) -> list[str]:
    known = [case.name for case in (DIGITS, *FULL)]
    names = known if bench.arguments.cases is None else bench.arguments.cases.split(",")
    if not set(names) <= set(known):
        raise BenchmarkFailed(f"the cases are {', '.join(known)}, not {', '.join(names)}")
    return names


def main() -> None:
    """Run the benchmark."""
    bench = Benchmark(
        "compression",
        __doc__ or "",
        options=(
            ("--data-dir", {"type": Path, "help": "folder with mnist/ and har_hapt/, for the full run"}),
            ("--plots", {"type": Path, "help": "folder for pictures"}),
            ("--seeds", {"type": int, "help": "number of seeds"}),
            ("--cases", {"help": "some of digits,mnist_mlp,mnist_cnn,hapt, with commas"}),
            ("--cells", {"type": Path, "help": "file of finished trainings: read first, written on"}),
            ("--jobs", {"type": int, "help": "trainings side by side; by default one a core"}),
        ),
    )
    cases = [DIGITS] if bench.quick else [case for case in (DIGITS, *FULL) if case.name in _wanted(bench)]
    if any(case.data != "digits" for case in cases) and bench.arguments.data_dir is None:
        raise BenchmarkFailed("MNIST and HAPT are read from files: name their folder with --data-dir")
    count = bench.arguments.seeds or (QUICK_SEEDS if bench.quick else FULL_SEEDS)
    seeds = [bench.seed % 2**31 + index for index in range(count)]
    compared, recorded = measure(bench, cases, seeds, bench.arguments.jobs or len(os.sched_getaffinity(0)))
    results: dict[str, object] = {}
    for case in cases:
        results |= summary_of(compared[case.name], "" if case is DIGITS else f"{case.name}_")
        if bench.arguments.plots is not None:
            plot(bench.arguments.plots, case.name, compared[case.name])
    bounded(bench, recorded, seeds[0])
    speed(bench)
    bench.finish(results)


if __name__ == "__main__":
    run(main)
