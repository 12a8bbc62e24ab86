"""Processes of a local network: started in sessions of their own, stopped without leaving any behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

STOP_SECONDS = 20.0
WORKER = ("-m", "flare_offchain.cli", "worker", "run")


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """A process that runs: `started` tells it from a later one that was given the same id."""

    name: str
    pid: int
    started: str

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return started_at(self.pid) == self.started


def record(name: str, pid: int) -> ProcessRecord:
    """Return the record of a process that was just started."""
    return ProcessRecord(name, pid, started_at(pid))


def started_at(pid: int) -> str:
    """Return when a process was started, as the system words it; empty where it does not run, or only as a zombie."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            return ""
        return "" if fields[0] in ("Z", "X") else fields[19]
    done = subprocess.run(  # noqa: S603 (the system's own program)
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)],  # noqa: S607
        capture_output=True,
        text=True,
    )
    state, _, started = done.stdout.strip().partition(" ")
    return "" if state.startswith("Z") else started.strip()


def start_worker(config: Path, log: Path, program: tuple[str, ...] = WORKER) -> subprocess.Popen[bytes]:
    """Start a worker as a process of its own; what it prints goes to the end of its log.

    Args:
        config: its settings.
        log: the file.
        program: what Python runs, before `--config`.
    """
    environment = dict(os.environ)
    # One thread: several workers share the machine, and results do not depend on it.
    environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    command = [sys.executable, *program, "--config", str(config)]
    with log.open("ab") as target:
        return subprocess.Popen(  # noqa: S603 (this program)
            command,
            cwd=config.parent,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=target,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def stop_all(records: list[ProcessRecord], seconds: float = STOP_SECONDS) -> list[ProcessRecord]:
    """Ask processes to stop, wait, and kill those that do not. Return those that had to be killed."""
    for one in records:
        _send(one, signal.SIGTERM)
    deadline = time.monotonic() + seconds
    while any(one.alive for one in records) and time.monotonic() < deadline:
        time.sleep(0.1)
    stubborn = [one for one in records if one.alive]
    for one in stubborn:
        _send(one, signal.SIGKILL)
    while any(one.alive for one in stubborn):
        time.sleep(0.05)
    return stubborn


def _send(one: ProcessRecord, number: int) -> None:
    if one.alive:
        try:
            os.kill(one.pid, number)
        except ProcessLookupError:
            return
