"""Drills of what happens to machines: a full disk, a wrong clock, nodes that are started again in mid-round."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from flare_offchain.core.phases import Phase
from flare_offchain.devnet.chain_daemon import ChainKind
from flare_offchain.devnet.drills import DrillNetwork, DrillResult, drill_network
from flare_offchain.devnet.processes import start_worker
from flare_offchain.devnet.wires import wired

_BLOCK = 2**16
STATE_BYTES = 4 * 2**20
SKEWS = (3600.0, -3600.0, 45.0)
"""How far clocks are off, in seconds: more than any phase lasts, and about as much as one lasts."""


def full_disk(folder: Path, quick: bool, chain: ChainKind) -> DrillResult:
    """Disks fill up in training: a small file system for one worker, a limit of 0 bytes a file for another."""
    result = DrillResult("disk full, then freed")
    with drill_network(folder, chain=chain) as drill:
        drill.rounds(1)
        for _ in range(1 if quick else 3):
            with _small_disk(drill, 0, result) as disk:
                drill.until(lambda: drill.monitor.moment.phase is Phase.Training, 120, "training")
                _suffer_full_disk(drill, disk, result)
                drill.rounds(1)
        drill.rounds(1)
        drill.count(result)
    return result


def _suffer_full_disk(drill: DrillNetwork, disk: Path | None, result: DrillResult) -> None:
    """Fill one worker's disk and forbid another to write for eight blocks; then free both."""
    limited = drill.network.processes[1].pid
    soft, hard = resource.prlimit(limited, resource.RLIMIT_FSIZE)
    resource.prlimit(limited, resource.RLIMIT_FSIZE, (0, hard))
    result.faults += 1
    if disk is not None:
        _fill(disk / "filling")
        result.faults += 1
    goal = drill.block + 8
    try:
        drill.until(lambda: drill.block >= goal, 120, "time")
    finally:
        resource.prlimit(limited, resource.RLIMIT_FSIZE, (soft, hard))
        if disk is not None:
            (disk / "filling").unlink()
    result.recovery_blocks = max(result.recovery_blocks, float(drill.blocks_until_progress()))


@contextmanager
def _small_disk(drill: DrillNetwork, worker: int, result: DrillResult) -> Iterator[Path | None]:
    """Give a worker's state a file system of a few MiB. Only root may; others do without, and a note says so."""
    state = drill.network.workers[worker].config.parent / "state"
    drill.stop_worker(worker)
    kept = state.with_name("state.kept")
    state.rename(kept)
    state.mkdir()
    mounted = subprocess.run(  # noqa: S603 (the system's own program)
        ["mount", "-t", "tmpfs", "-o", f"size={STATE_BYTES}", "flare-drill", str(state)],  # noqa: S607
        capture_output=True,
    )
    shutil.copytree(kept, state, dirs_exist_ok=True)
    drill.return_worker(worker)
    try:
        yield state if mounted.returncode == 0 else None
    finally:
        drill.stop_worker(worker)
        shutil.rmtree(kept)
        if mounted.returncode == 0:
            shutil.copytree(state, kept)
            subprocess.run(["umount", str(state)], check=True)  # noqa: S603, S607
            state.rmdir()
            kept.rename(state)
        else:
            result.remarks.append("no file system of its own (not root): one worker's files were limited to 0 bytes")
        drill.return_worker(worker)


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(_BLOCK))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise


def killed_training(folder: Path, quick: bool, chain: ChainKind) -> DrillResult:
    """kill −9 of the processes that train, as a system does that runs out of memory; the workers themselves live on."""
    result = DrillResult("the process that trains is killed")
    with drill_network(folder, model="mlp", chain=chain) as drill:
        drill.rounds(1)
        for number in range(4 if quick else 16):
            _kill_training(drill, number, result)
        result.recovery_blocks = float(drill.blocks_until_progress())
        drill.rounds(1 if quick else 2)
        drill.count(result)
    return result


def _kill_training(drill: DrillNetwork, number: int, result: DrillResult) -> None:
    """Wait until a worker's process has one of its own, and kill that a moment later: another moment each time."""
    worker = number % len(drill.network.workers)
    drill.until(lambda: bool(children(drill.network.processes[worker].pid)), 180, f"training of worker {worker + 1}")
    time.sleep(0.3 * (number % 7))
    for child in children(drill.network.processes[worker].pid):
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
            result.faults += 1


def children(pid: int) -> list[int]:
    """Return the processes that a process has started and that still run."""
    found = subprocess.run(  # noqa: S603 (the system's own program)
        ["pgrep", "-P", str(pid)],  # noqa: S607
        capture_output=True,
        text=True,
    )
    return [int(line) for line in found.stdout.split()]


def wrong_clocks(folder: Path, quick: bool, chain: ChainKind) -> DrillResult:
    """Clocks are hours and seconds off: what a worker decides rests on the time of blocks alone."""
    result = DrillResult("clocks that are wrong")
    with drill_network(folder, chain=chain) as drill:
        drill.rounds(1)
        for worker, seconds in enumerate(SKEWS):
            drill.stop_worker(worker)
            files = drill.network.workers[worker]
            program = ("-m", "flare_offchain.devnet.skewed", f"--seconds={seconds}")
            drill.network.processes[worker] = start_worker(files.config, files.log, program)
            drill.away.discard(worker)
            result.faults += 1
        result.recovery_blocks = float(drill.blocks_until_progress())
        drill.rounds(3 if quick else 6)
        drill.count(result)
    return result


def restarted_nodes(folder: Path, quick: bool, chain: ChainKind) -> DrillResult:
    """geth and Kubo are stopped in the middle of a round and started again; what waited to be mined is gone."""
    result = DrillResult("geth and Kubo started again in mid-round")
    # anvil keeps its chain in memory: only geth has anything to start again with.
    phases = (Phase.Training, Phase.Sortition) if quick else (Phase.Training, Phase.Sortition, Phase.Validation)
    with wired(folder, "geth") as (drill, _, _):
        drill.rounds(1)
        for phase in phases:
            drill.until(lambda phase=phase: drill.monitor.moment.phase is phase, 180, phase.name)  # type: ignore[misc]
            drill.network.chain_daemon.stop()
            drill.network.kubo.kill()
            drill.pause(5.0)
            drill.network.kubo.start()
            drill.network.chain_daemon.start()
            result.faults += 2
            result.recovery_blocks = max(result.recovery_blocks, float(drill.blocks_until_progress()))
            drill.rounds(1)
        drill.count(result)
    return result
