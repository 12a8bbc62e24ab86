"""What an attack is: what attackers know, and the two places where they act."""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from flare_offchain.core.tensors import Float32Array, ModelSchema
from flare_offchain.federation.probe import Probe

Vector = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class AttackContext:
    """What colluding attackers know in a round.

    Attributes:
        honest: updates of the honest workers, [honest, parameters].
        own: updates that the attackers' own training gave, [attackers, parameters].
        position: which of `own` is this attacker's.
        base: the global model as one vector.
        schema: its tensors.
        classes: number of classes of the task.
        round: the round's number, from 1.
        generator: this attacker's randomness.
        shared: seed of the randomness that all attackers share.
        aggregate: maps attackers' updates [attackers, parameters] to the step the rule would take; for `white_box`.
        damage: maps a step to how much it harms (larger: worse for the task); for `white_box`.
    """

    honest: Vector
    own: Vector
    position: int
    base: Vector
    schema: ModelSchema
    classes: int
    round: int
    generator: np.random.Generator
    shared: int = 0
    aggregate: Callable[[Vector], Vector] | None = None
    damage: Callable[[Vector], float] | None = None
    cache: dict[str, Vector] = field(default_factory=dict)
    """What attackers worked out together this round; they may pass one dictionary around."""

    @property
    def mean(self) -> Vector:
        """The mean of the honest updates."""
        return np.asarray(self.honest.mean(axis=0))

    def common(self) -> np.random.Generator:
        """Return the generator that gives every attacker of the round the same numbers."""
        return np.random.default_rng([self.shared, self.round])


@dataclass(frozen=True)
class LocalData:
    """A worker's training data: features float32 [N, ...], labels int64 [N], number of classes."""

    features: Float32Array
    labels: Labels
    classes: int


class Behaviour(ABC):
    """A malicious behaviour; by itself it does nothing."""

    name: ClassVar[str]

    def poison(self, data: LocalData, generator: np.random.Generator, probe: Probe | None = None) -> LocalData:
        """Return the data to train on instead of `data`; `probe` is the probe where attackers know it."""
        del generator, probe
        return data

    def craft(self, delta: Vector, context: AttackContext) -> Vector:
        """Return the update to send instead of `delta`."""
        del context
        return delta
