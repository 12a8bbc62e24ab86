"""Who gets which samples: partitions of a data set among clients.

Every scheme covers each sample exactly once, gives no client fewer than `minimum` samples, and depends on nothing
but its arguments.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flare_offchain.core.errors import DataError
from flare_offchain.utils.datasets import Dataset

Int64Array = NDArray[np.int64]

MIN_SAMPLES = 4
SCHEMES = "iid, shards[:PER_CLIENT], dirichlet:ALPHA, subject"


def partition(
    dataset: Dataset, scheme: str, clients: int, seed: int, *, minimum: int = MIN_SAMPLES
) -> list[Int64Array]:
    """Divide a data set among clients.

    Args:
        dataset: what to divide.
        scheme: `iid`: at random in equal parts. `shards:K` (K = 2 by default): sorted by label, cut into K shards
            for each client, dealt at random (McMahan et al. 2017, arXiv:1602.05629). `dirichlet:ALPHA`: for each
            class the clients' shares are drawn from Dirichlet(ALPHA, ...) (Hsu et al. 2019, arXiv:1909.06335);
            small ALPHA is skewed. `subject`: each subject's samples stay together, subjects are dealt to clients in
            turn.
        clients: number of parts, at least 1.
        seed: 0 or more.
        minimum: fewest samples of a client; skewed schemes move samples from the largest clients to reach it.

    Returns:
        One sorted array of indices for each client.

    Raises:
        DataError: unknown scheme, or it cannot be done with this data.
    """
    name, _, argument = scheme.partition(":")
    generator = np.random.Generator(np.random.PCG64(seed))
    if clients < 1:
        raise DataError(f"a partition has at least 1 client, not {clients}")
    if len(dataset) < clients * minimum:
        raise DataError(f"{len(dataset)} samples do not give {clients} clients {minimum} each; use fewer clients")
    if name == "iid" and not argument:
        parts = np.array_split(generator.permutation(len(dataset)), clients)
    elif name == "shards":
        parts = _shards(dataset, clients, _number(scheme, argument or "2"), generator)
    elif name == "dirichlet":
        parts = _dirichlet(dataset, clients, _number(scheme, argument), generator)
    elif name == "subject" and not argument:
        parts = _subjects(dataset, clients, generator)
    else:
        raise DataError(f"unknown partition {scheme!r}; choose one of {SCHEMES}")
    return [np.sort(part).astype(np.int64) for part in _fill(parts, minimum)]


def _number(scheme: str, argument: str) -> float:
    try:
        value = float(argument)
    except ValueError:
        value = 0.0
    if not 0.0 < value < 1e9:
        raise DataError(f"partition {scheme!r} needs a positive number after the colon; choose one of {SCHEMES}")
    return value


def _shards(dataset: Dataset, clients: int, number: float, generator: np.random.Generator) -> list[Int64Array]:
    each = int(number)
    if each != number or each * clients > len(dataset):
        raise DataError(f"{clients} clients cannot have {number:g} shards each of {len(dataset)} samples")
    # Shuffled before the stable sort, so that which samples of a label share a shard depends on the seed.
    order = generator.permutation(len(dataset))
    order = order[np.argsort(dataset.labels[order], kind="stable")]
    shards = np.array_split(order, each * clients)
    dealt = generator.permutation(len(shards)).reshape(clients, each)
    return [np.concatenate([shards[shard] for shard in row]) for row in dealt]


def _dirichlet(dataset: Dataset, clients: int, alpha: float, generator: np.random.Generator) -> list[Int64Array]:
    parts: list[list[Int64Array]] = [[] for _ in range(clients)]
    for label in range(dataset.classes):
        members = generator.permutation(np.flatnonzero(dataset.labels == label))
        shares = generator.dirichlet(np.full(clients, alpha))
        # With a tiny alpha all gamma draws can underflow to 0; then one client gets the class.
        if not np.isfinite(shares).all():
            shares = np.eye(clients)[generator.integers(clients)]
        cuts = np.floor(np.cumsum(shares)[:-1] * len(members) + 0.5).astype(np.int64)
        for part, piece in zip(parts, np.split(members, np.minimum(cuts, len(members))), strict=True):
            part.append(piece)
    return [np.concatenate(pieces) for pieces in parts]


def _subjects(dataset: Dataset, clients: int, generator: np.random.Generator) -> list[Int64Array]:
    if dataset.subjects is None:
        raise DataError(f"{dataset.name} does not say who its samples come from; choose another partition")
    subjects = np.unique(dataset.subjects)
    if clients > len(subjects):
        raise DataError(f"{dataset.name} has {len(subjects)} subjects, too few for {clients} clients")
    order = subjects if clients == len(subjects) else generator.permutation(subjects)
    return [np.flatnonzero(np.isin(dataset.subjects, order[client::clients])) for client in range(clients)]


def _fill(parts: list[Int64Array], minimum: int) -> list[Int64Array]:
    """Move samples from the largest parts to those below the minimum."""
    parts = list(parts)
    for index in range(len(parts)):
        while len(parts[index]) < minimum:
            donor = max(range(len(parts)), key=lambda other: len(parts[other]))
            need = min(minimum - len(parts[index]), len(parts[donor]) - minimum)
            parts[index] = np.concatenate([parts[index], parts[donor][-need:]])
            parts[donor] = parts[donor][:-need]
    return parts
