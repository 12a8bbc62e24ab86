"""What a local network is doing: rounds from the chain's events, what each worker did from its log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from flare_offchain.core.errors import Retryable
from flare_offchain.core.phases import Phase
from flare_offchain.core.records import RoundHistory
from flare_offchain.devnet.network import Devnet
from flare_offchain.devnet.setup import WorkerFiles
from flare_offchain.models.forward import Forward, forward_function
from flare_offchain.simulation.data import PreparedData
from flare_offchain.storage.cid import cid_string

MAX_LINE_BYTES = 2**16
LEVELS = ("warning", "error", "critical")


@dataclass(frozen=True, slots=True)
class RoundSummary:
    """A round that has ended. `accuracy` is on the scenario's test set; None where the model is unchanged."""

    round: int
    outcome: str
    accuracy: float | None
    updates: int
    accepted: int
    seats: int
    quorum: int
    attempts: int
    bytes_per_update: float
    gas: int
    blocks: int
    fines: int
    model: str

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(slots=True)
class WorkerStatus:
    """What a worker's log tells."""

    files: WorkerFiles
    last: str = "starting"
    gas: int = 0
    gas_by_round: dict[int, int] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)
    _read: int = 0

    def follow(self) -> None:
        """Read what was added to the log since the last call."""
        for line in self._lines():
            try:
                entry = json.loads(line)
            except ValueError:
                self.complaints.append(line.decode(errors="replace"))
                continue
            self._take(entry if isinstance(entry, dict) else {})

    def _lines(self) -> Iterator[bytes]:
        try:
            with self.files.log.open("rb") as log:
                log.seek(self._read)
                while (line := log.readline(MAX_LINE_BYTES)).endswith(b"\n"):
                    self._read += len(line)
                    yield line
        except FileNotFoundError:
            return

    def _take(self, entry: dict[str, Any]) -> None:
        if entry.get("level") in LEVELS:
            self.complaints.append(f"{entry.get('level')}: {entry.get('message')}")
        match entry.get("message"):
            case "started" | "stopped":
                self.last = str(entry["message"])
            case "step taken":
                step, outcome = str(entry.get("step")), str(entry.get("outcome"))
                self.last = step if outcome in ("confirmed", "done") else f"{step} ({outcome})"
                self.steps[f"{step}:{outcome}"] = self.steps.get(f"{step}:{outcome}", 0) + 1
                gas, number = int(entry.get("gas", 0)), int(entry.get("round", 0))
                # Opening a round is logged with the one before it.
                number += step == "open round"
                self.gas += gas
                self.gas_by_round[number] = self.gas_by_round.get(number, 0) + gas
            case "waiting":
                pass


@dataclass(frozen=True, slots=True)
class Moment:
    """The network at one moment. `fault` is what kept the last look from succeeding, if anything."""

    block: int
    timestamp: int
    round: int
    phase: Phase
    updates: int
    claims: int
    seats: int
    votes: int
    attempt: int
    over: bool
    fault: str = ""


class Monitor:
    """Follows a network; `look` returns how it stands and what has ended since the last call."""

    def __init__(self, network: Devnet) -> None:
        self.network, self.history = network, network.history()
        self.workers = [WorkerStatus(files) for files in network.workers]
        self.rounds: list[RoundSummary] = []
        self.moment = Moment(0, 0, 0, Phase.None_, 0, 0, 0, 0, 0, False)
        model = network.task.spec.model
        self._forward: Forward = forward_function(model.name, model.parameters)
        self._data: PreparedData = network.test_data

    def look(self) -> list[RoundSummary]:
        """Read chain and logs, and return the rounds that have ended since the last call."""
        for worker in self.workers:
            worker.follow()
        try:
            return self._look()
        except Retryable as error:
            self.moment = replace(self.moment, fault=str(error))
            return []

    def _look(self) -> list[RoundSummary]:
        head = self.network.connector.head()
        task = self.history.refresh()
        fresh = []
        while len(self.rounds) < len(task.rounds) and task.rounds[len(self.rounds) + 1].phase.terminal:
            fresh.append(self._summary(task.rounds[len(self.rounds) + 1]))
            self.rounds.append(fresh[-1])
        current = task.rounds.get(len(task.rounds))
        ended = len(self.rounds) >= self.network.settings.scenario.rounds or task.ended
        attempt = max(current.proposers, default=0) if current else 0
        self.moment = Moment(
            head.number,
            head.timestamp,
            len(task.rounds),
            current.phase if current else Phase.None_,
            len(current.updates) if current else 0,
            len(current.claims) if current else 0,
            len(current.committee) if current else 0,
            len(current.votes_of(attempt)) if current else 0,
            attempt,
            ended,
        )
        return fresh

    def _summary(self, history: RoundHistory) -> RoundSummary:
        return RoundSummary(
            round=history.number,
            outcome="FINALIZED" if history.phase is Phase.Finalized else f"VOID ({history.void_reason.name})",
            accuracy=self._accuracy(history),
            updates=len(history.updates),
            accepted=sum(history.accepts(u.index) for u in history.updates),
            seats=len(history.committee),
            quorum=history.quorum,
            attempts=len(history.proposers),
            bytes_per_update=float(np.mean([u.content_id.size for u in history.updates])) if history.updates else 0.0,
            gas=sum(worker.gas_by_round.get(history.number, 0) for worker in self.workers),
            blocks=(history.ended_block or history.opened_block) - history.opened_block,
            fines=len(history.fines),
            model=cid_string(history.final_model) if history.final_model else "",
        )

    def _accuracy(self, history: RoundHistory) -> float | None:
        if history.final_model is None:
            return None
        from flare_offchain.utils.serialization import read_model

        weights, test = read_model(self.network.store.get(history.final_model)), self._data.test
        return float(np.mean(self._forward(weights, test.features).argmax(axis=1) == test.labels))

    def complaints(self) -> list[str]:
        """Return every warning and error that the workers logged, with the worker's number."""
        return [f"worker {n + 1}: {text}" for n, worker in enumerate(self.workers) for text in worker.complaints]


def log_tail(path: Path, size: int = 2000) -> str:
    """Return the end of a log."""
    try:
        return path.read_bytes()[-size:].decode(errors="replace").strip()
    except OSError:
        return ""
