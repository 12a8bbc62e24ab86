"""What a participant needs to know of the round it works in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class RoundContext:
    """One round, as seen by the code that trains or aggregates in it.

    Args:
        round_number: counts from 1; 0 before the first round.
        global_model_version: the model the round starts from: its CID, or a number where models are only counted.
        metadata: whatever else the caller wants to hand on, such as `"committee"`, the members' addresses.
    """

    round_number: int
    global_model_version: str | int
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.round_number < 0:
            raise ValueError(f"rounds count from 0, not {self.round_number}")
