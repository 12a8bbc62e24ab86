"""What a simulated run yields: one record a round, one summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any


@dataclass(frozen=True, slots=True)
class RoundResult:
    """One round as it went.

    `accuracy` is that of the task's newest model on the held-out test set, 0 to 1. `bytes_per_update` is the mean
    size of the update objects, `gas_per_worker` all gas of the round over the number of workers. `attackers_proposed`
    counts the attackers' proposals, `attackers_finalized` those of them that were finalized: validators found them
    right. `honest_fines` are the fines, among `fines`, of members that are no attackers.
    """

    round: int
    outcome: str
    reason: str
    accuracy: float
    updates: int
    accepted: int
    attackers_submitted: int
    attackers_rejected: int
    honest_rejected: int
    seats: int
    quorum: int
    attempts: int
    fines: int
    honest_fines: int
    attackers_proposed: int
    attackers_finalized: int
    bytes_per_update: float
    gas_per_worker: float
    model_cid: str
    seconds: float

    def to_json(self) -> dict[str, Any]:
        return {"event": "round", **asdict(self)}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> RoundResult:
        return cls(**{name: value for name, value in record.items() if name != "event"})


@dataclass(frozen=True, slots=True)
class Summary:
    """A whole run. `compression_ratio` is the float32 model's bytes over the mean update object's."""

    accuracy: float
    rounds_finalized: int
    rounds_void: int
    bytes_per_update: float
    compression_ratio: float
    gas_per_worker_round: float
    seconds: float
    model_cid: str
    attackers_rejected_share: float | None
    honest_rejected_share: float | None

    def to_json(self) -> dict[str, Any]:
        return {"event": "summary", **asdict(self)}


def summarise(rounds: Sequence[RoundResult], model_bytes: int, seconds: float) -> Summary:
    """Sum up a run of at least one round. `model_bytes` is the size of the parameters as float32."""
    sizes = [r.bytes_per_update for r in rounds if r.bytes_per_update]
    size = fmean(sizes) if sizes else 0.0
    judged = [r for r in rounds if r.outcome == "FINALIZED"]
    attacks = sum(r.attackers_submitted for r in judged)
    honest = sum(r.updates - r.attackers_submitted for r in judged)
    return Summary(
        accuracy=rounds[-1].accuracy,
        rounds_finalized=len(judged),
        rounds_void=len(rounds) - len(judged),
        bytes_per_update=round(size, 1),
        compression_ratio=round(model_bytes / size, 2) if size else 0.0,
        gas_per_worker_round=round(fmean(r.gas_per_worker for r in rounds), 1),
        seconds=round(seconds, 2),
        model_cid=rounds[-1].model_cid,
        attackers_rejected_share=_share(sum(r.attackers_rejected for r in judged), attacks),
        honest_rejected_share=_share(sum(r.honest_rejected for r in judged), honest),
    )


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None
