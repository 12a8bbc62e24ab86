"""What a worker's earlier updates say of its next one.

A round sees little of an update once a model has been learnt; ten rounds see much. A standing is the mean of the
evidence that a worker's judged updates gave, the last ones counting most. It follows, to the bit, from published
scores: every report carries the standings after its round, and whoever has the report before can recompute them.
"""

from __future__ import annotations

from dataclasses import dataclass

from flare_offchain.core.errors import MalformedObject
from flare_offchain.federation.aggregation.plan import publishable

MEMORY = 10
"""From so many judged updates on, each new one counts for a tenth and older ones fade."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A worker's standing: mean evidence, -1 to 1, over `rounds` judged updates (counted up to MEMORY)."""

    value: float = 0.0
    rounds: int = 0

    def __post_init__(self) -> None:
        # Not <= in the negative: NaN is out of range, too.
        if not -1 <= self.value <= 1 or not 0 <= self.rounds <= MEMORY:
            raise MalformedObject(f"a standing is -1 to 1 over 0 to {MEMORY} rounds")

    def after(self, evidence: float) -> Standing:
        """Return the standing after an update whose published evidence is `evidence`, -1 to 1."""
        rounds = min(self.rounds + 1, MEMORY)
        return Standing(publishable(self.value + (evidence - self.value) / rounds), rounds)
