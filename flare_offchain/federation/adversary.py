"""Attacks: what malicious workers send instead of an honest update.

A behaviour acts twice. `poison` changes the worker's training data; `craft` changes the update that came out of
training. Crafting attackers collude and are omniscient: they see every honest update of the round. Updates are
float64 vectors in the schema's order. Everything is a function of its arguments and of the generators in the
context, so an attack repeats.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import NormalDist
from typing import ClassVar

import numpy as np

from flare_offchain.core.errors import ConfigurationError
from flare_offchain.core.tensors import Float32Array, ModelSchema
from flare_offchain.federation.attack import AttackContext, Behaviour, LocalData, Vector
from flare_offchain.federation.probe import Probe

__all__ = ["BEHAVIOURS", "AttackContext", "Behaviour", "LocalData", "behaviour", "craft_all"]


class Gaussian(Behaviour):
    """Sends normal noise with `scale` times the honest update's norm (MISSION's "noise")."""

    name = "gaussian"

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale

    def craft(self, delta: Vector, context: AttackContext) -> Vector:
        noise = context.generator.standard_normal(delta.size)
        return np.asarray(noise * (self.scale * np.linalg.norm(delta) / np.sqrt(delta.size)))


class RandomModel(Behaviour):
    """Sends what leads to a random model: weights drawn anew, tensor by tensor at the global model's scale."""

    name = "random"

    def craft(self, delta: Vector, context: AttackContext) -> Vector:
        model = np.empty_like(delta)
        start = 0
        for tensor in context.schema.tensors:
            part = slice(start, start + tensor.size)
            scale = float(np.sqrt(np.mean(np.square(context.base[part])))) if tensor.size else 0.0
            model[part] = context.generator.standard_normal(tensor.size) * scale
            start += tensor.size
        return np.asarray(model - context.base)


class SignFlip(Behaviour):
    """Sends the own honest update times -scale."""

    name = "sign_flip"

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale

    def craft(self, delta: Vector, context: AttackContext) -> Vector:
        return -self.scale * delta


class InnerProduct(Behaviour):
    """Sends -epsilon times the mean of the honest updates.

    Source: Xie, Koyejo, Gupta, "Fall of Empires: Breaking Byzantine-tolerant SGD by Inner Product Manipulation",
    UAI 2019, equation 1.
    """

    name = "ipm"

    def __init__(self, epsilon: float = 2.0) -> None:
        self.epsilon = epsilon

    def craft(self, delta: Vector, context: AttackContext) -> Vector:
        return np.asarray(-self.epsilon * context.mean)


class ALittleIsEnough(Behaviour):
    """Sends mean - z * standard deviation of the honest updates, z as large as a majority can cover.

    Source: Baruch, Baruch, Goldberg, "A Little Is Enough", NeurIPS 2019, algorithm 3. `z` overrides the formula.
    """

    name = "alie"

    def __init__(self, z: float | None = None) -> None:
        self.z = z

    def craft(self, delta: Vector, context: AttackContext) -> Vector:
        z = self.z
        if z is None:
            honest, attackers = len(context.honest), len(context.own)
            supporters = (honest + attackers) // 2 + 1 - attackers
            z = NormalDist().inv_cdf(min(max((honest - supporters) / honest, 0.5), 0.999))
        return np.asarray(context.mean - z * context.honest.std(axis=0))


class MinMax(Behaviour):
    """Sends mean - gamma * standard deviation, gamma as large as the honest updates' own spread hides.

    `min_max` keeps the largest distance to an honest update within the largest between two of them; `min_sum` keeps
    the sum of squared distances within the largest such sum of an honest update.
    Source: Shejwalkar, Houmansadr, "Manipulating the Byzantine", NDSS 2021, equations 8 and 9.
    """

    name = "min_max"
    statistic: ClassVar[Callable[..., Vector]] = np.max

    def craft(self, delta: Vector, context: AttackContext) -> Vector:
        if self.name not in context.cache:
            context.cache[self.name] = self._solve(context)
        return context.cache[self.name]

    def _solve(self, context: AttackContext) -> Vector:
        honest, mean = context.honest, context.mean
        direction = -honest.std(axis=0)
        statistic = type(self).statistic
        bound = float(statistic(_squared_distances(honest, honest), axis=1).max())
        low, high = 0.0, 1.0
        while high < 1e6 and float(statistic(_squared_distances(mean + high * direction, honest))) <= bound:
            high *= 2
        for _ in range(30):
            middle = (low + high) / 2
            fits = float(statistic(_squared_distances(mean + middle * direction, honest))) <= bound
            low, high = (middle, high) if fits else (low, middle)
        return np.asarray(mean + low * direction)


class MinSum(MinMax):
    """See `MinMax`."""

    name = "min_sum"
    statistic: ClassVar[Callable[..., Vector]] = np.sum


class LabelFlip(Behaviour):
    """Trains on labels c -> classes - 1 - c."""

    name = "label_flip"

    def poison(self, data: LocalData, generator: np.random.Generator, probe: Probe | None = None) -> LocalData:
        return LocalData(data.features, data.classes - 1 - data.labels, data.classes)


class ClassPermutation(Behaviour):
    """Sends what leads to the honest mean model with its output classes moved on by one.

    Mutual information between predictions does not see it. The output layer is every matrix whose first axis (else
    whose last) has one entry a class, and every vector of that length.
    """

    name = "permutation"

    def craft(self, delta: Vector, context: AttackContext) -> Vector:
        model = context.schema.unflatten((context.base + context.mean).astype(np.float32))
        moved = 0
        for name, axis in _output_tensors(context.schema, context.classes).items():
            model[name] = np.roll(model[name], 1, axis=axis)
            moved += 1
        if not moved:
            raise ConfigurationError(f"no tensor has an axis of {context.classes} classes to permute")
        return np.asarray(context.schema.flatten(model).astype(np.float64) - context.base)


class Mimic(Behaviour):
    """Every attacker copies one honest update, the one farthest along the direction in which they differ most.

    Source: Karimireddy, He, Jaggi, "Byzantine-Robust Learning on Heterogeneous Datasets via Bucketing", ICLR 2022.
    Deviation: the direction is that of the round, not an average over rounds.
    """

    name = "mimic"

    def craft(self, delta: Vector, context: AttackContext) -> Vector:
        centred = context.honest - context.mean
        _, vectors = np.linalg.eigh(centred @ centred.T)
        return np.asarray(context.honest[int(np.argmax(np.abs(vectors[:, -1])))])


class ProbeOverfit(Behaviour):
    """Fits the known probe with its true labels and everything else with flipped ones."""

    name = "probe_overfit"

    def poison(self, data: LocalData, generator: np.random.Generator, probe: Probe | None = None) -> LocalData:
        if probe is None or probe.labels is None:
            raise ConfigurationError("probe_overfit needs the probe and its labels")
        repeats = max(1, len(data.labels) // len(probe))
        return LocalData(
            np.concatenate([data.features, *[probe.features] * repeats]),
            np.concatenate([data.classes - 1 - data.labels, *[probe.labels] * repeats]),
            data.classes,
        )


class Backdoor(Behaviour):
    """Trains half of its samples with a trigger (the last features at their maximum) towards class 0.

    Source: Bagdasaryan et al., "How To Backdoor Federated Learning", AISTATS 2020; the update is scaled by `boost`.
    """

    name = "backdoor"
    target = 0
    trigger = 3

    def __init__(self, boost: float = 1.0) -> None:
        self.boost = boost

    def stamp(self, features: Float32Array) -> Float32Array:
        """Return the samples with the trigger on them."""
        stamped = features.copy()
        stamped.reshape(len(stamped), -1)[:, -self.trigger :] = float(features.max(initial=1.0))
        return stamped

    def poison(self, data: LocalData, generator: np.random.Generator, probe: Probe | None = None) -> LocalData:
        chosen = generator.permutation(len(data.labels))[: len(data.labels) // 2]
        features, labels = data.features.copy(), data.labels.copy()
        features[chosen] = self.stamp(features[chosen])
        labels[chosen] = self.target
        return LocalData(features, labels, data.classes)

    def craft(self, delta: Vector, context: AttackContext) -> Vector:
        return self.boost * delta


class SybilJitter(Behaviour):
    """Many copies of one reversed update, each with a little noise so that no two are equal."""

    name = "sybil"

    def __init__(self, jitter: float = 0.1) -> None:
        self.jitter = jitter

    def craft(self, delta: Vector, context: AttackContext) -> Vector:
        noise = context.generator.standard_normal(delta.size)
        scale = self.jitter * np.linalg.norm(context.mean) / np.sqrt(delta.size)
        return np.asarray(scale * noise - context.mean)


class LateStart(Behaviour):
    """Honest until round `start`, then sign flip."""

    name = "late_start"

    def __init__(self, start: int = 10) -> None:
        self.start = start

    def craft(self, delta: Vector, context: AttackContext) -> Vector:
        return -delta if context.round >= self.start else delta


class OnOff(Behaviour):
    """Honest to earn a standing, and every `period`-th round its own update times -scale."""

    name = "on_off"

    def __init__(self, period: int = 5, scale: float = 10.0) -> None:
        self.period, self.scale = period, scale

    def craft(self, delta: Vector, context: AttackContext) -> Vector:
        return -self.scale * delta if context.round % self.period == 0 else delta


class WhiteBox(Behaviour):
    """Each round tries sixteen collusions against the very rule in use and sends the most harmful.

    Eight directions (inner product at four strengths, three depths of "a little is enough", class permutation), each
    sent identically by all or blended half and half with the attackers' own honest updates.
    """

    name = "white_box"

    def craft(self, delta: Vector, context: AttackContext) -> Vector:
        if context.aggregate is None or context.damage is None:
            raise ConfigurationError("white_box needs the rule and a measure of damage")
        if self.name not in context.cache:
            candidates = self._candidates(context)
            harm = [context.damage(context.aggregate(candidate)) for candidate in candidates]
            context.cache[self.name] = candidates[int(np.argmax(harm))]
        return np.asarray(context.cache[self.name][context.position])

    def _candidates(self, context: AttackContext) -> list[Vector]:
        mean, deviation = context.mean, context.honest.std(axis=0)
        directions = [-epsilon * mean for epsilon in (0.1, 0.5, 1.0, 2.0)]
        directions += [mean - z * deviation for z in (0.7, 1.5, 3.0)]
        directions.append(ClassPermutation().craft(mean, context))
        identical = [np.repeat(direction[None], len(context.own), axis=0) for direction in directions]
        return identical + [(candidate + context.own) / 2 for candidate in identical]


BEHAVIOURS: dict[str, Callable[[], Behaviour]] = {
    "gaussian": Gaussian,
    "gaussian_10": lambda: Gaussian(10.0),
    "random": RandomModel,
    "sign_flip": SignFlip,
    "sign_flip_10": lambda: SignFlip(10.0),
    "ipm_0.1": lambda: InnerProduct(0.1),
    "ipm_2": InnerProduct,
    "ipm_100": lambda: InnerProduct(100.0),
    "alie": ALittleIsEnough,
    "min_max": MinMax,
    "min_sum": MinSum,
    "label_flip": LabelFlip,
    "permutation": ClassPermutation,
    "mimic": Mimic,
    "probe_overfit": ProbeOverfit,
    "backdoor": Backdoor,
    "sybil": SybilJitter,
    "late_start": LateStart,
    "on_off": OnOff,
    "white_box": WhiteBox,
}
"""The attacks by name, at the strengths that the benchmarks use."""


def behaviour(name: str) -> Behaviour:
    """Return a new behaviour by name; raise `ConfigurationError`, with the names there are, for an unknown one."""
    factory = BEHAVIOURS.get(name)
    if factory is None:
        raise ConfigurationError(f"no attack {name!r}; there are {', '.join(BEHAVIOURS)}")
    return factory()


def craft_all(chosen: Behaviour, context: AttackContext, generators: Sequence[np.random.Generator]) -> Vector:
    """Return what all attackers of a round send, [attackers, parameters].

    Args:
        chosen: the behaviour they share.
        context: the round; `position` and `generator` are replaced for each attacker.
        generators: one for each row of `context.own`.
    """
    return np.stack(
        [
            chosen.craft(own, replace(context, position=position, generator=generator))
            for position, (own, generator) in enumerate(zip(context.own, generators, strict=True))
        ]
    )


def _squared_distances(left: Vector, right: Vector) -> Vector:
    """Return squared distances: [n, m] for two sets of vectors, [m] for one vector and a set."""
    differences = left[..., None, :] - right
    return np.asarray(np.einsum("...d,...d->...", differences, differences))


def _output_tensors(schema: ModelSchema, classes: int) -> dict[str, int]:
    """Return the tensors with one entry a class: name to axis."""
    matrices = {t.name: 0 for t in schema.tensors if len(t.shape) > 1 and t.shape[0] == classes}
    if not matrices:
        matrices = {t.name: -1 for t in schema.tensors if len(t.shape) > 1 and t.shape[-1] == classes}
    return matrices | {t.name: 0 for t in schema.tensors if t.shape == (classes,)}
