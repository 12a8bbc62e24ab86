"""Drills of what happens to machines: a full disk, a wrong clock, nodes that are started again in mid-round."""

from __future__ import annotations

import errno
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
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
