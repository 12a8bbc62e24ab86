"""Blocks of integers as bytes: code choice, low bits, entropy-coded high parts, escapes.

A block is a flat int64 array of known length. Its *code* (one byte, `tables.py`) is the cheapest for its content by
integer arithmetic, so content and bytes determine each other. The payload of all blocks together is

    low bits of every block, packed, padded with zero bits to a byte | rANS stream of all symbols | escaped values

where an escaped value is a LEB128 varint of its zigzag form.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flare_offchain.compression import rans
from flare_offchain.compression.exact import Int64Array
from flare_offchain.compression.tables import (
    CODES,
    ESCAPE,
    LIMIT,
    MAX_SHIFT,
    PRECISION,
    SYMBOLS,
    WIDE_TABLES,
    ZERO_CODE,
    Code,
    code,
    frequencies,
)
from flare_offchain.core.errors import MalformedObject

UInt8Array = NDArray[np.uint8]

MAX_INTEGER = 2**24
"""Largest absolute value of an integer in a block."""

_COST_UNIT = 64
_ESCAPE_BITS = 12
_MAX_VARINT_BYTES = 4


@cache
def _costs(shift: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the codes of one shift and the cost of each symbol under each, in 1/64 bit, int64 [codes, SYMBOLS]."""
    first = 0 if shift == 0 else ZERO_CODE + 1 + (shift - 1) * WIDE_TABLES
    codes = np.arange(first, first + (ZERO_CODE if shift == 0 else WIDE_TABLES))
    rows = []
    for index in codes:
        counts = frequencies(code(int(index)).table).tolist()
        escape = _COST_UNIT * (PRECISION + _ESCAPE_BITS)
        rows.append(
            [_COST_UNIT * PRECISION + 1 - (count**_COST_UNIT).bit_length() if count else escape for count in counts]
        )
        rows[-1][ESCAPE] = escape
    return codes, np.array(rows, np.int64)


def _split(block: Int64Array, shift: int) -> tuple[Int64Array, NDArray[np.uint32]]:
    """Return the high parts and the low bits of a block; the low part runs from -half to half - 1 around them."""
    half = (1 << shift) >> 1
    high = (block + half) >> shift
    return high, (block + half - (high << shift)).astype(np.uint32)


class Choice(NamedTuple):
    """A code and what a block costs under it, in 1/64 bit (its own byte is not counted)."""

    code: int
    cost: int


def choose_code(block: Int64Array) -> int:
    """Return the cheapest code of a block; the smallest index wins a tie."""
    return choose(block).code


def choose(block: Int64Array) -> Choice:
    """Return the cheapest code of a block and its cost; the smallest index wins a tie."""
    if not block.any():
        return Choice(ZERO_CODE, 0)
    magnitudes = np.abs(block)
    # The mean sees few large values among zeros, the median is not misled by outliers.
    sizes = int(magnitudes.sum()) // block.size, int(np.partition(magnitudes, block.size // 2)[block.size // 2])
    likely = [max(0, size.bit_length() - 2) for size in sizes]
    best: Choice | None = None
    for shift in sorted({min(MAX_SHIFT, max(0, shift + step)) for shift in likely for step in (-1, 0, 1)}):
        high = (block + ((1 << shift) >> 1)) >> shift
        # Whatever lies beyond the table lands on the slots below 0 and above 62, both of which mean ESCAPE.
        counts = np.bincount(np.clip(high, -LIMIT - 1, LIMIT + 1) + (LIMIT + 1), minlength=SYMBOLS + 1)
        counts[-1] += counts[0]
        codes, costs = _costs(shift)
        totals = costs @ counts[1:] + _COST_UNIT * shift * block.size
        row = int(totals.argmin())
        if best is None or int(totals[row]) < best.cost:
            best = Choice(int(codes[row]), int(totals[row]))
    assert best is not None
    return best


def encode_blocks(blocks: Sequence[Int64Array]) -> tuple[list[int], bytes]:
    """Return the code of every block and the payload of all."""
    codes = [choose_code(block) for block in blocks]
    bits, symbols, escapes = [], [], bytearray()
    for block, index in zip(blocks, codes, strict=True):
        if index == ZERO_CODE:
            continue
        table, shift = code(index)
        high, low = _split(block, shift)
        inside = np.abs(high) <= LIMIT
        symbol = np.where(inside, high + LIMIT, ESCAPE)
        symbol[frequencies(table)[symbol] == 0] = ESCAPE
        for value in high[symbol == ESCAPE].tolist():
            escapes += _varint(2 * value if value >= 0 else -2 * value - 1)
        bits.append(_to_bits(low, shift))
        symbols.append(symbol.astype(np.uint8))
    if not symbols:
        return codes, b""
    packed = np.packbits(np.concatenate(bits)).tobytes()
    pairs = [code(index) if index != ZERO_CODE else None for index in codes]
    tables = _tables(pairs, [block.size for block in blocks])
    return codes, packed + rans.encode(np.concatenate(symbols), tables) + bytes(escapes)


def decode_blocks(codes: Sequence[int], sizes: Sequence[int], data: bytes) -> list[Int64Array]:
    """Return the blocks whose codes and sizes are given from their payload, all of `data`.

    Raises:
        MalformedObject: the payload is cut short, too long, or holds values out of range.
    """
    if any(not 0 <= index < CODES for index in codes):
        raise MalformedObject("unknown code of a block of integers")
    pairs = [code(index) if index != ZERO_CODE else None for index in codes]
    bit_count = sum(size * pair.shift for pair, size in zip(pairs, sizes, strict=True) if pair)
    start = (bit_count + 7) // 8
    if len(data) < start:
        raise MalformedObject("the low bits are cut short")
    bits = np.unpackbits(np.frombuffer(data, np.uint8, start))
    if bits[bit_count:].any():
        raise MalformedObject("the bits after the low bits are not zero")
    tables = _tables(pairs, sizes)
    symbols, used = rans.decode(data[start:], tables)
    high = symbols.astype(np.int64) - LIMIT
    escaped = np.flatnonzero(symbols == ESCAPE)
    high[escaped] = _read_varints(data[start + used :], escaped.size)
    _check_escapes(high[escaped], tables[escaped])
    result, bit, position = [], 0, 0
    for index, pair, size in zip(codes, pairs, sizes, strict=True):
        if pair is None:
            result.append(np.zeros(size, np.int64))
            continue
        low = _from_bits(bits[bit : bit + size * pair.shift], pair.shift, size)
        block = (high[position : position + size] << pair.shift) + low - ((1 << pair.shift) >> 1)
        if size and max(int(block.max()), -int(block.min())) > MAX_INTEGER:
            raise MalformedObject(f"an integer of a block exceeds {MAX_INTEGER}")
        # The stream below is one to one with its symbols, so code and escapes are all that could differ.
        if choose_code(block) != index:
            raise MalformedObject("the update is not in canonical form: a block's code is not its cheapest")
        result.append(block)
        bit += size * pair.shift
        position += size
    return result


def _tables(pairs: Sequence[Code | None], sizes: Sequence[int]) -> UInt8Array:
    """Return the table of every symbol."""
    used = [(pair.table, size) for pair, size in zip(pairs, sizes, strict=True) if pair]
    return np.repeat(np.array([table for table, _ in used], np.uint8), [size for _, size in used])


def _check_escapes(values: Int64Array, tables: UInt8Array) -> None:
    for value, table in zip(values.tolist(), tables.tolist(), strict=True):
        if abs(value) <= LIMIT and frequencies(table)[value + LIMIT]:
            raise MalformedObject("the update is not in canonical form: a value is escaped that its table holds")


def _to_bits(low: NDArray[np.uint32], shift: int) -> UInt8Array:
    if shift == 0:
        return np.zeros(0, np.uint8)
    octets = np.frombuffer(low.astype(">u4").tobytes(), np.uint8).reshape(-1, 4)[:, 1:]
    return np.unpackbits(octets, axis=1)[:, 24 - shift :].reshape(-1)


def _from_bits(bits: UInt8Array, shift: int, size: int) -> Int64Array:
    if shift == 0:
        return np.zeros(size, np.int64)
    wide = np.zeros((size, 24), np.uint8)
    wide[:, 24 - shift :] = bits.reshape(size, shift)
    octets = np.packbits(wide, axis=1).astype(np.int64)
    return octets[:, 0] << 16 | octets[:, 1] << 8 | octets[:, 2]


def _varint(value: int) -> bytes:
    result = bytearray()
    while value > 0x7F:
        result.append(value & 0x7F | 0x80)
        value >>= 7
    result.append(value)
    return bytes(result)


def _read_varints(data: bytes, count: int) -> Int64Array:
    """Return `count` zigzag varints that fill `data` exactly."""
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) < 0x80) if data else np.zeros(0, np.int64)
    if ends.size != count or (count and int(ends[-1]) != len(data) - 1) or (not count and data):
        raise MalformedObject("escaped values are cut short or bytes follow them")
    result, start = np.zeros(count, np.int64), 0
    for index, end in enumerate(ends.tolist()):
        octets = data[start : end + 1]
        if len(octets) > _MAX_VARINT_BYTES or (len(octets) > 1 and octets[-1] == 0):
            raise MalformedObject("an escaped value is too long")
        value = sum((octet & 0x7F) << 7 * place for place, octet in enumerate(octets))
        result[index] = value >> 1 if value % 2 == 0 else -(value >> 1) - 1
        start = end + 1
    return result
