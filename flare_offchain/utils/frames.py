"""Messages between a process and its own child: one canonical record and some arrays, over a pipe.

A frame is the length of a header (4 bytes, big-endian), the header (a DAG-CBOR record that says what follows), and each
array's elements, little-endian in C order. Arrays are read into place as they come: a large data set is held once on
either side. Nothing but data is ever decoded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from flare_offchain.core.errors import MalformedObject
from flare_offchain.core.tensors import MAX_DIMENSIONS, MAX_TENSORS
from flare_offchain.utils.serialization import Record, decode_record, encode_record

if TYPE_CHECKING:
    from io import BufferedIOBase

MAX_HEADER_BYTES = 2**21
MAX_ARRAY_BYTES = 2**36
"""More than any data set that one machine holds in memory: a longer one is a damaged header."""
_DTYPES: Mapping[str, np.dtype[Any]] = {"f4": np.dtype("<f4"), "f8": np.dtype("<f8"), "i8": np.dtype("<i8")}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


@dataclass(frozen=True, slots=True)
class Frame:
    """One message.

    Attributes:
        values: plain values by name.
        arrays: float32, float64 or int64 arrays of any shape, by name.
    """

    values: Mapping[str, Record]
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


def write_frame(stream: IO[bytes], frame: Frame) -> None:
    """Write a message.

    Raises:
        MalformedObject: it holds something else than plain values, float32, float64 and int64.
        OSError: the other side is gone.
    """
    arrays = {name: np.asarray(array, order="C") for name, array in frame.arrays.items()}
    described = [[name, _dtype_name(name, array), list(array.shape)] for name, array in arrays.items()]
    header = encode_record({"values": frame.values, "arrays": described})
    stream.write(len(header).to_bytes(4, "big") + header)
    for array in arrays.values():
        if array.size:
            stream.write(_bytes_of(array.astype(array.dtype.newbyteorder("<"), copy=False)))
    stream.flush()


def read_frame(pipe: IO[bytes]) -> Frame | None:
    """Read the next message from a buffered stream; None where it ends before one.

    Raises:
        MalformedObject: what comes is no message, or ends within one.
    """
    stream = cast("BufferedIOBase", pipe)
    length = bytearray(4)
    found = stream.readinto(length)
    if not found:
        return None
    size = int.from_bytes(length, "big")
    if found != 4 or size > MAX_HEADER_BYTES:
        raise MalformedObject("what came over the pipe does not begin like a message")
    header = bytearray(size)
    _fill(stream, header)
    match decode_record(bytes(header), max_bytes=MAX_HEADER_BYTES):
        case {"values": dict(values), "arrays": list(described)} if len(described) <= MAX_TENSORS + 8:
            return Frame(values, dict(_read_array(stream, entry) for entry in described))
        case _:
            raise MalformedObject("what came over the pipe is not a message")


def _dtype_name(name: str, array: NDArray[Any]) -> str:
    try:
        return _NAMES[array.dtype.newbyteorder("<")]
    except KeyError:
        raise MalformedObject(f"a message carries float32, float64 and int64, not {array.dtype} ({name!r})") from None


def _read_array(stream: BufferedIOBase, entry: Record) -> tuple[str, NDArray[Any]]:
    match entry:
        case [str(name), str(code), list(lengths)] if (
            code in _DTYPES
            and len(lengths) <= MAX_DIMENSIONS
            and all(type(length) is int and 0 <= length <= MAX_ARRAY_BYTES for length in lengths)
        ):
            shape = tuple(int(length) for length in lengths if isinstance(length, int))
        case _:
            raise MalformedObject("a message describes an array that cannot be")
    if prod(shape) * _DTYPES[code].itemsize > MAX_ARRAY_BYTES:
        raise MalformedObject(f"array {name!r} of shape {shape} is longer than a message may be")
    array: NDArray[Any] = np.empty(shape, _DTYPES[code])
    if array.size:
        _fill(stream, _bytes_of(array))
    return name, array.astype(array.dtype.newbyteorder("="), copy=False)


def _bytes_of(array: NDArray[Any]) -> memoryview:
    """Return the elements of a C-contiguous array where they lie."""
    return memoryview(cast("Any", array.reshape(-1).view(np.uint8)))


def _fill(stream: BufferedIOBase, buffer: bytearray | memoryview) -> None:
    if len(buffer) and stream.readinto(buffer) != len(buffer):
        raise MalformedObject("the other process ended within a message")
