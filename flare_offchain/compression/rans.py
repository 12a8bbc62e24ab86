"""Asymmetric numeral systems (range variant) over the constant tables, with interleaved lanes.

State 32 bits, renormalised 16 bits at a time, frequencies out of 2**14 (Duda 2013, arXiv:1311.2540; interleaving as in
Giesen 2014, arXiv:1402.3392). Symbol i belongs to lane i mod lanes. Short streams have one lane and a scalar loop; long
streams have one lane per LANE_SYMBOLS symbols and are coded a whole row of lanes at a time.

The map from symbols to bytes is one to one: a decoder that ends with every lane in the starting state and no word left
over has read the only encoding of what it decoded.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from flare_offchain.compression.tables import PRECISION, SYMBOLS, TOTAL, frequencies
from flare_offchain.core.errors import MalformedObject

UInt8Array = NDArray[np.uint8]

SCALAR_SYMBOLS = 1 << 16
"""Streams shorter than this have one lane: a row of a few lanes costs more than a few scalar steps."""
LANE_SYMBOLS = 2048
MAX_LANES = 4096

_LOW = 1 << 16
_MASK = TOTAL - 1


def lanes_for(symbols: int) -> int:
    """Return the number of lanes of a stream (part of the format)."""
    return 1 if symbols < SCALAR_SYMBOLS else min(MAX_LANES, symbols // LANE_SYMBOLS)


@cache
def _starts(table: int) -> NDArray[np.uint32]:
    counts = frequencies(table)
    return (np.cumsum(counts) - counts).astype(np.uint32)


@cache
def _slots(table: int) -> bytes:
    """Return the symbol of each slot. Bytes: as a list of 2**14 integers each table would hold 128 KiB."""
    return np.repeat(np.arange(SYMBOLS, dtype=np.uint8), frequencies(table)).tobytes()


@cache
def _lists(table: int) -> tuple[list[int], list[int], bytes]:
    return frequencies(table).tolist(), _starts(table).tolist(), _slots(table)


def encode(symbols: UInt8Array, tables: UInt8Array) -> bytes:
    """Return the stream of `symbols` (uint8 [n], each of non-zero frequency), symbol i coded with table `tables[i]`."""
    if symbols.size == 0:
        return b""
    frequency, start = _gather(symbols, tables)
    if (lanes := lanes_for(symbols.size)) == 1:
        return _encode_scalar(frequency.tolist(), start.tolist())
    return _encode_rows(frequency.astype(np.uint64), start.astype(np.uint64), lanes)


def _gather(symbols: UInt8Array, tables: UInt8Array) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    used, index = np.unique(tables, return_inverse=True)
    frequency = np.stack([frequencies(int(table)) for table in used])[index, symbols]
    start = np.stack([_starts(int(table)) for table in used])[index, symbols]
    return frequency, start


def _encode_scalar(frequency: list[int], start: list[int]) -> bytes:
    state, words = _LOW, []
    for count, first in zip(reversed(frequency), reversed(start), strict=True):
        if state >= count << (32 - PRECISION):
            words.append(state & 0xFFFF)
            state >>= 16
        quotient, remainder = divmod(state, count)
        state = (quotient << PRECISION) + remainder + first
    return state.to_bytes(4, "little") + np.array(words[::-1], "<u2").tobytes()


def _encode_rows(frequency: NDArray[np.uint64], start: NDArray[np.uint64], lanes: int) -> bytes:
    state = np.full(lanes, _LOW, np.uint64)
    words = []
    for row in range((frequency.size - 1) // lanes, -1, -1):
        count, first = frequency[row * lanes : (row + 1) * lanes], start[row * lanes : (row + 1) * lanes]
        active = state[: count.size]
        full = active >= count << np.uint64(32 - PRECISION)
        words.append((active[full] & np.uint64(0xFFFF)).astype("<u2"))
        active = np.where(full, active >> np.uint64(16), active)
        quotient = active // count
        state[: count.size] = (quotient << np.uint64(PRECISION)) + (active - quotient * count) + first
    return state.astype("<u4").tobytes() + np.concatenate(words[::-1]).tobytes()


def decode(data: bytes, tables: UInt8Array) -> tuple[UInt8Array, int]:
    """Return the symbols (uint8 [n]) of the stream at the start of `data`, and the number of bytes it takes.

    Raises:
        MalformedObject: the stream is cut short or is not what `encode` makes.
    """
    if tables.size == 0:
        return np.zeros(0, np.uint8), 0
    lanes = lanes_for(tables.size)
    if len(data) < 4 * lanes:
        raise MalformedObject("the entropy-coded stream is cut short")
    state = np.frombuffer(data, "<u4", lanes).astype(np.uint64)
    words = np.frombuffer(data, "<u2", (len(data) - 4 * lanes) // 2, 4 * lanes)
    if (state < _LOW).any():
        raise MalformedObject("a lane of the entropy-coded stream starts below its range")
    if lanes == 1:
        symbols, used, clean = _decode_scalar(int(state[0]), words, tables)
    else:
        symbols, used, clean = _decode_rows(state, words.astype(np.uint64), tables, lanes)
    if not clean:
        raise MalformedObject("the entropy-coded stream does not end in its starting state")
    return symbols, 4 * lanes + 2 * used


def _decode_scalar(state: int, words: NDArray[np.uint16], tables: UInt8Array) -> tuple[UInt8Array, int, bool]:
    sequence = tables.tolist()
    # No np.unique here: without an inverse it imports numpy.ma, 1.7 MiB in every process that decodes.
    lists = {table: _lists(table) for table in set(sequence)}
    symbols, position, limit = bytearray(), 0, words.size
    values = words.tolist()
    for table in sequence:
        frequency, start, slots = lists[table]
        slot = state & _MASK
        symbol = slots[slot]
        symbols.append(symbol)
        state = frequency[symbol] * (state >> PRECISION) + slot - start[symbol]
        if state < _LOW:
            if position == limit:
                raise MalformedObject("the entropy-coded stream is cut short")
            state = state << 16 | values[position]
            position += 1
    return np.frombuffer(bytes(symbols), np.uint8), position, state == _LOW


def _decode_rows(
    state: NDArray[np.uint64], words: NDArray[np.uint64], tables: UInt8Array, lanes: int
) -> tuple[UInt8Array, int, bool]:
    used, index = np.unique(tables, return_inverse=True)
    frequency = np.stack([frequencies(int(table)) for table in used]).astype(np.uint64).reshape(-1)
    start = np.stack([_starts(int(table)) for table in used]).astype(np.uint64).reshape(-1)
    slots = np.frombuffer(b"".join(_slots(int(table)) for table in used), np.uint8)
    by_slot, by_symbol = index.astype(np.uint64) * np.uint64(TOTAL), index.astype(np.uint64) * np.uint64(SYMBOLS)
    symbols, position = np.empty(tables.size, np.uint8), 0
    for first in range(0, tables.size, lanes):
        active = state[: min(lanes, tables.size - first)]
        slot = active & np.uint64(_MASK)
        symbol = slots[by_slot[first : first + lanes] + slot]
        symbols[first : first + lanes] = symbol
        key = by_symbol[first : first + lanes] + symbol
        active = frequency[key] * (active >> np.uint64(PRECISION)) + slot - start[key]
        empty = np.flatnonzero(active < _LOW)
        if position + empty.size > words.size:
            raise MalformedObject("the entropy-coded stream is cut short")
        active[empty] = active[empty] << np.uint64(16) | words[position : position + empty.size]
        position += empty.size
        state[: active.size] = active
    return symbols, position, bool((state == _LOW).all())
