"""What an update says, before it is bytes: for every matrix some rank-one terms and perhaps dense integers.

    matrix = sum over terms of scale * outer(left, right)  +  scale * dense

with integers in `left`, `right` and `dense`, and scales that are an odd integer (1, 3, 5, 7) times a power of two. All
update codecs produce plans, and one decoder reads them all: a worker chooses rank, bits or codec freely, within the
task's size limit, and the committee need not know which.

A scale is one byte: 4 * octave + quarter stands for (4 + quarter) / 4 * 2**(octave + MIN_EXPONENT).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

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

MAX_RANK = 63
WHOLE, ROWS, COLUMNS = 1, 2, 3
"""How a dense weight is cut into blocks: one block, one for each row of its matrix, or one for each column."""
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
    candidates, logarithms = _candidates()
    if at_least:
        return min(FIRST_SCALE + int(np.searchsorted(candidates, value)), SCALES - 1)
    return FIRST_SCALE + int(np.abs(logarithms - np.log2(value)).argmin())


@cache
def _candidates() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    values = np.array([scale_value(scale) for scale in range(FIRST_SCALE, SCALES)])
    return values, np.log2(values)


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
    """The terms of a group's matrix and the dense integers of its tensors (none, or one entry a tensor).

    cut: WHOLE, ROWS or COLUMNS, how the weight's integers become blocks.
    rows: of the weight's matrix, where it is cut.
    """

    terms: tuple[Term, ...] = ()
    dense: tuple[Dense, ...] = ()
    cut: int = WHOLE
    rows: int = 1

    @property
    def kind(self) -> int:
        """0 without a dense part, else the cut."""
        return self.cut if self.dense else 0


@dataclass(frozen=True, slots=True)
class UpdatePlan:
    """One plan for every group of a model, in the order of `groups_of`."""

    groups: tuple[GroupPlan, ...]

    def to_bytes(self) -> bytes:
        """Return descriptors, then the payload of all blocks (docs/formats.md)."""
        blocks = [_group_blocks(group) for group in self.groups]
        codes, payload = encode_blocks([block for group in blocks for block in group])
        head, start = bytearray(), 0
        for group, own in zip(self.groups, blocks, strict=True):
            head += _descriptor(group, codes[start : start + len(own)])
            start += len(own)
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
        return cls(tuple(outline.fill([next(blocks) for _ in outline.sizes]) for outline in outlines))

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


def _group_blocks(plan: GroupPlan) -> list[Int64Array]:
    """Return the blocks of a group: factors term by term, then the weight's lines, then the bias."""
    blocks = [factor for term in plan.terms for factor in (term.left, term.right)]
    for index, dense in enumerate(plan.dense):
        if index == 0 and plan.cut != WHOLE:
            matrix = dense.integers.reshape(plan.rows, -1)
            blocks += list(matrix if plan.cut == ROWS else np.ascontiguousarray(matrix.T))
        else:
            blocks.append(dense.integers)
    return blocks


def _descriptor(plan: GroupPlan, codes: list[int]) -> bytes:
    """Return the descriptor of a group whose blocks have these codes."""
    head, position = bytearray([4 * len(plan.terms) + plan.kind]), 2 * len(plan.terms)
    for index, term in enumerate(plan.terms):
        head += bytes([term.scale, codes[2 * index], codes[2 * index + 1]])
    for index, dense in enumerate(plan.dense):
        count = 1 if index else len(codes) - position - (len(plan.dense) - 1)
        own = codes[position : position + count]
        head += bytes(own)
        if any(code != ZERO_CODE for code in own):
            head.append(dense.scale)
        position += count
    return bytes(head)


@dataclass(frozen=True, slots=True)
class _Outline:
    """Descriptors of a group: scales, cut, and codes and sizes of its blocks, the terms' first."""

    rank: int
    cut: int
    rows: int
    scales: tuple[int, ...]
    codes: tuple[int, ...]
    sizes: tuple[int, ...]
    lines: int

    def fill(self, blocks: list[Int64Array]) -> GroupPlan:
        factors, rest = blocks[: 2 * self.rank], blocks[2 * self.rank :]
        terms = tuple(Term(self.scales[k], factors[2 * k], factors[2 * k + 1]) for k in range(self.rank))
        if not rest:
            return GroupPlan(terms)
        weight = np.stack(rest[: self.lines]) if self.cut != WHOLE else rest[0]
        flat = weight.T.reshape(-1) if self.cut == COLUMNS else weight.reshape(-1)
        dense = tuple(map(Dense, self.scales[self.rank :], [flat, *rest[self.lines :]]))
        return GroupPlan(terms, dense, self.cut, 1 if self.cut == WHOLE else self.rows)


def _read_outline(reader: _Reader, group: Group) -> _Outline:
    rank, kind = divmod(reader.byte(), 4)
    if rank > min(MAX_RANK, group.rows, group.columns):
        raise MalformedObject(f"rank {rank} is more than {group.weight.name!r} can have")
    scales, codes, sizes = [], [], []
    for _ in range(rank):
        scales.append(reader.scale())
        codes += [reader.byte(), reader.byte()]
        sizes += [group.rows, group.columns]
    if ZERO_CODE in codes:
        raise MalformedObject("a rank-one term is zero")
    width = group.weight.size // group.rows if group.rows else 0
    lines = {ROWS: group.rows, COLUMNS: width}.get(kind, 1)
    if kind and lines == 0:
        raise MalformedObject(f"{group.weight.name!r} has no lines")
    for index, tensor in enumerate(group.tensors if kind else ()):
        count = 1 if index else lines
        own = [reader.byte() for _ in range(count)]
        zero = all(code == ZERO_CODE for code in own)
        scales.append(0 if zero else reader.scale())
        codes += own
        sizes += [tensor.size // count] * count
        if index == 0 and zero and kind != WHOLE:
            raise MalformedObject("a weight without integers is one block")
    if kind and all(code == ZERO_CODE for code in codes[2 * rank :]):
        raise MalformedObject("a dense part is zero")
    return _Outline(rank, kind or WHOLE, group.rows, tuple(scales), tuple(codes), tuple(sizes), lines)


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
