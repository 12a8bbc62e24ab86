"""What an update says, before it is bytes: for every matrix some rank-one terms and perhaps dense integers.

    matrix = sum over terms of scale * outer(left, right)  +  scale * dense

with integers in `left`, `right` and `dense`, and scales that are an odd integer (1, 3, 5, 7) times a power of two. All
update codecs produce plans, and one decoder reads them all: a worker chooses rank, bits or codec freely, within the
task's size limit, and the committee need not know which.

A scale is one byte: 4 * octave + quarter stands for (4 + quarter) / 4 * 2**(octave + MIN_EXPONENT).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flare_offchain.compression.blocks import decode_blocks, encode_blocks
from flare_offchain.compression.exact import (
    MAX_EXPONENT,
    MAX_MAGNITUDE,
    MIN_EXPONENT,
    DecodedUpdate,
    ExactTensor,
    Int64Array,
)
from flare_offchain.compression.layout import Group, groups_of
from flare_offchain.compression.tables import ZERO_CODE
from flare_offchain.core.errors import MalformedObject
from flare_offchain.core.tensors import ModelSchema

MAX_RANK = 64
SCALES = 4 * (MAX_EXPONENT - MIN_EXPONENT + 1)
_EXACT_FLOAT = 2**53
_QUARTERS = ((1, 0), (5, -2), (3, -1), (7, -2))


def scale_parts(scale: int) -> tuple[int, int]:
    """Return (odd integer, exponent) of a scale byte."""
    octave, quarter = divmod(scale, 4)
    odd, offset = _QUARTERS[quarter]
    return odd, octave + MIN_EXPONENT + offset


def scale_value(scale: int) -> float:
    """Return the value of a scale byte (exact in float64)."""
    odd, exponent = scale_parts(scale)
    return float(np.ldexp(float(odd), exponent))


def nearest_scale(value: float, *, at_least: bool = False) -> int:
    """Return the scale byte closest to `value` > 0 by ratio; with `at_least`, the smallest that is not below it.

    Values outside the window give its ends.
    """
    candidates = np.array([scale_value(scale) for scale in range(FIRST_SCALE, SCALES)])
    if at_least:
        return min(FIRST_SCALE + int(np.searchsorted(candidates, value)), SCALES - 1)
    return FIRST_SCALE + int(np.abs(np.log2(candidates) - np.log2(value)).argmin())


FIRST_SCALE = 8
"""The first scale byte all of whose successors have exponents inside the window."""


@dataclass(frozen=True, slots=True)
class Term:
    """scale * outer(left, right): int64 [rows] and int64 [columns]."""

    scale: int
    left: Int64Array
    right: Int64Array


@dataclass(frozen=True, slots=True)
class Dense:
    """scale * integers (int64, flat) of one tensor. An all-zero tensor has scale 0."""

    scale: int
    integers: Int64Array


@dataclass(frozen=True, slots=True)
class GroupPlan:
    """The terms of a group's matrix and the dense integers of its tensors (none, or one entry a tensor)."""

    terms: tuple[Term, ...] = ()
    dense: tuple[Dense, ...] = ()


@dataclass(frozen=True, slots=True)
class UpdatePlan:
    """One plan for every group of a model, in the order of `groups_of`."""

    groups: tuple[GroupPlan, ...]

    def to_bytes(self) -> bytes:
        """Return descriptors, then the payload of all blocks (docs/formats.md)."""
        blocks: list[Int64Array] = []
        for group in self.groups:
            for term in group.terms:
                blocks += [term.left, term.right]
            blocks += [dense.integers for dense in group.dense]
        codes, payload = encode_blocks(blocks)
        head, position = bytearray(), 0
        for group in self.groups:
            head.append(2 * len(group.terms) + bool(group.dense))
            for term in group.terms:
                head += bytes([term.scale, codes[position], codes[position + 1]])
                position += 2
            for dense in group.dense:
                head.append(codes[position])
                if codes[position] != ZERO_CODE:
                    head.append(dense.scale)
                position += 1
        return bytes(head) + payload

    @classmethod
    def from_bytes(cls, data: bytes, schema: ModelSchema) -> UpdatePlan:
        """Return the plan that `to_bytes` wrote.

        Raises:
            MalformedObject: the bytes are not what `to_bytes` makes of any plan for this schema.
        """
        reader = _Reader(data)
        outlines = [_read_outline(reader, group) for group in groups_of(schema)]
        codes = [code for outline in outlines for code in outline.codes]
        sizes = [size for outline in outlines for size in outline.sizes]
        blocks = iter(decode_blocks(codes, sizes, reader.rest()))
        plan = cls(tuple(outline.fill([next(blocks) for _ in outline.sizes]) for outline in outlines))
        if plan.to_bytes() != data:
            raise MalformedObject("the update is not in canonical form")
        return plan

    def to_update(self, schema: ModelSchema) -> DecodedUpdate:
        """Return the exact tensors of the plan."""
        tensors: dict[str, ExactTensor] = {}
        for group, plan in zip(groups_of(schema), self.groups, strict=True):
            tensors |= _group_tensors(group, plan)
        return DecodedUpdate(schema, tensors)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data, self._position = data, 0

    def byte(self) -> int:
        if self._position >= len(self._data):
            raise MalformedObject("the update's descriptors are cut short")
        self._position += 1
        return self._data[self._position - 1]

    def scale(self) -> int:
        scale = self.byte()
        if not FIRST_SCALE <= scale < SCALES:
            raise MalformedObject(f"scale {scale} is outside the window {FIRST_SCALE} to {SCALES - 1}")
        return scale

    def rest(self) -> bytes:
        return self._data[self._position :]


@dataclass(frozen=True, slots=True)
class _Outline:
    """Descriptors of a group: scales and codes of its blocks, the terms' first."""

    rank: int
    scales: tuple[int, ...]
    codes: tuple[int, ...]
    sizes: tuple[int, ...]

    def fill(self, blocks: list[Int64Array]) -> GroupPlan:
        factors, rest = blocks[: 2 * self.rank], blocks[2 * self.rank :]
        terms = tuple(Term(self.scales[k], factors[2 * k], factors[2 * k + 1]) for k in range(self.rank))
        return GroupPlan(terms, tuple(map(Dense, self.scales[self.rank :], rest)))


def _read_outline(reader: _Reader, group: Group) -> _Outline:
    rank, dense = divmod(reader.byte(), 2)
    if rank > min(MAX_RANK, group.rows, group.columns):
        raise MalformedObject(f"rank {rank} is more than {group.weight.name!r} can have")
    scales, codes, sizes = [], [], []
    for _ in range(rank):
        scales.append(reader.scale())
        codes += [reader.byte(), reader.byte()]
        sizes += [group.rows, group.columns]
    if ZERO_CODE in codes:
        raise MalformedObject("a rank-one term is zero")
    for tensor in group.tensors if dense else ():
        codes.append(reader.byte())
        scales.append(0 if codes[-1] == ZERO_CODE else reader.scale())
        sizes.append(tensor.size)
    if dense and all(code == ZERO_CODE for code in codes[2 * rank :]):
        raise MalformedObject("a dense part is zero")
    return _Outline(rank, tuple(scales), tuple(codes), tuple(sizes))


def _group_tensors(group: Group, plan: GroupPlan) -> dict[str, ExactTensor]:
    common = min((scale_parts(term.scale)[1] for term in plan.terms), default=None)
    sums = group.split(_product(group, plan.terms, common or 0))
    parts = plan.dense or tuple(Dense(0, np.zeros(0, np.int64)) for _ in group.tensors)
    return {
        tensor.name: _add(tensor.name, sums[tensor.name], common, part)
        for tensor, part in zip(group.tensors, parts, strict=True)
    }


def _add(name: str, product: Int64Array, common: int | None, dense: Dense) -> ExactTensor:
    """Return product * 2**common + dense at the finer of the two exponents."""
    if not dense.integers.any():
        return ExactTensor(product, 0 if common is None or not product.any() else common)
    own = scale_parts(dense.scale)[1]
    exponent = own if common is None else min(own, common)
    total = np.zeros_like(product)
    scale = 1 if common is None else 1 << (common - exponent)
    for integers, weight in ((product, scale), (dense.integers, _multiplier(dense.scale, exponent))):
        if integers.any():
            if weight * int(np.abs(integers).max()) > 2 * MAX_MAGNITUDE:
                raise MalformedObject(f"{name!r} spans too many powers of two")
            total += integers.reshape(product.shape) * weight
    return ExactTensor(total, exponent if total.any() else 0)


def _multiplier(scale: int, exponent: int) -> int:
    odd, own = scale_parts(scale)
    return odd << (own - exponent)


def _product(group: Group, terms: tuple[Term, ...], exponent: int) -> Int64Array:
    """Return the integers of the sum of terms in units of 2**exponent, int64 [rows, columns].

    The product is taken in float64, which is exact while the sum of absolute products stays below 2**53.
    """
    if not terms:
        return np.zeros((group.rows, group.columns), np.int64)
    weights = [_multiplier(term.scale, exponent) for term in terms]
    bound = sum(
        weight * int(np.abs(term.left).max()) * int(np.abs(term.right).max())
        for weight, term in zip(weights, terms, strict=True)
    )
    if bound >= _EXACT_FLOAT:
        raise MalformedObject(f"{group.weight.name!r} spans too many powers of two")
    left: NDArray[np.float64] = np.stack([term.left * float(w) for w, term in zip(weights, terms, strict=True)], axis=1)
    right = np.stack([term.right for term in terms]).astype(np.float64)
    return np.rint(left @ right).astype(np.int64)
