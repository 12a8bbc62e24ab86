"""A drill without a fault: many workers run many rounds, and their logs and their memory are looked at."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from flare_offchain.devnet.chain_daemon import ChainKind
from flare_offchain.devnet.drills import DrillNetwork, DrillResult, drill_network

WORKERS, ROUNDS, QUICK_ROUNDS = 16, 20, 4
SECONDS_A_ROUND = 900.0
"""Sixteen processes that share two cores take minutes for a round."""


def endurance(folder: Path, quick: bool, chain: ChainKind) -> DrillResult:
    """Sixteen workers run twenty rounds: no log has an error, and how much memory each daemon gains is told."""
    result = DrillResult("16 workers, 20 rounds" if not quick else f"16 workers, {QUICK_ROUNDS} rounds")
    with drill_network(folder, workers=WORKERS, chain=chain) as drill:
        # What is loaded in the first round stays; growth counts from there.
        drill.rounds(1, SECONDS_A_ROUND)
        readings = [_reading(drill)]
        for _ in range((QUICK_ROUNDS if quick else ROUNDS) - 1):
            drill.rounds(1, SECONDS_A_ROUND)
            readings.append(_reading(drill))
        errors = [text for text in drill.monitor.complaints() if ": warning: " not in text]
        result.notes += [f"{len(errors)} lines of errors in the logs, the first: {errors[0]}"] if errors else []
        result.remarks.append(_told(np.asarray(readings)))
        drill.count(result)
    return result


def _reading(drill: DrillNetwork) -> list[float]:
    """Return the time in hours, and the resident memory of each worker's process in MiB."""
    processes = [drill.network.processes[worker] for worker in sorted(drill.network.processes)]
    return [time.monotonic() / 3600, *(resident(process.pid) for process in processes)]


def resident(pid: int) -> float:
    """Return the resident memory of a process in MiB, as Linux accounts for it; NaN where that cannot be read."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return float("nan")
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:")), float("nan"))


def _told(readings: np.ndarray) -> str:
    hours, memory = readings[:, 0] - readings[0, 0], readings[:, 1:]
    # Tables and caches fill within some rounds; what a round itself leaves shows in the second half.
    half = len(readings) // 2
    late = np.polyfit(hours[half:], memory[half:], 1)[0]
    by_round = 1024 * np.polyfit(np.arange(half, len(readings)), memory[half:], 1)[0]
    each = ", ".join(f"{slope:.1f}" for slope in np.polyfit(hours, memory, 1)[0])
    return (
        f"memory over {60 * hours[-1]:.0f} minutes: {memory[-1].max():.0f} MiB at most, growing by {each} MiB/h "
        f"(least squares, by worker); in the second half by {late.min():.1f} to {late.max():.1f} MiB/h, "
        f"{by_round.min():.0f} to {by_round.max():.0f} KiB a round"
    )
