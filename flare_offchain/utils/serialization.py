"""Safe serialisation: the two canonical encodings of everything that crosses a process or the network.

Tensors are safetensors files, everything else is DAG-CBOR. Each value has exactly one encoding, and a decoder
admits nothing else: what it accepts, encoded again, is the same bytes. Only data is ever decoded, never code.

Source: https://github.com/huggingface/safetensors (format) and https://ipld.io/specs/codecs/dag-cbor/spec/.
Deviation: safetensors leaves the order of tensors and the spelling of the header open (the reference writer's
order depends on dtypes); here tensors are in UTF-8 order of their names, the header is JSON without spaces,
padded with spaces to 8 bytes, and there is no `__metadata__`. The reference library reads such files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, cast

import dag_cbor
import numpy as np
from dag_cbor.decoding.err import CBORDecodingError
from dag_cbor.encoding.err import CBOREncodingError
from numpy.typing import NDArray

from flare_offchain.core.errors import MalformedObject
from flare_offchain.core.tensors import MAX_DIMENSIONS, MAX_TENSORS, Float32Array, ModelSchema, Weights
from flare_offchain.core.types import MAX_OBJECT_BYTES
from flare_offchain.utils.bounded_json import load_json

if TYPE_CHECKING:
    from dag_cbor.ipld import IPLDKind

Record = None | bool | int | float | str | bytes | list["Record"] | dict[str, "Record"]
"""What DAG-CBOR carries here: no links, no NaN, no infinities; integers from -2**64 to 2**64 - 1."""

MAX_NAME_BYTES = 256
"""Longest tensor name, in UTF-8 bytes."""
MAX_HEADER_BYTES = 2**21
"""Longest header of a safetensors file; holds MAX_TENSORS tensors with long names."""
MAX_DEPTH = 32
"""Deepest nesting of lists and maps in a record."""
MAX_ITEMS = 2**20
"""Most values (map keys included) in a record."""

_DTYPES = {"BOOL": "|b1", "F32": "<f4", "F64": "<f8", "I32": "<i4", "I64": "<i8", "I8": "|i1", "U8": "|u1"}
_DTYPE_NAMES = {np.dtype(code): name for name, code in _DTYPES.items()}


# ------------------------------------------------------------------------------------------------- tensors


@dataclass(frozen=True, slots=True)
class _Entry:
    """A tensor's line in the header."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        return prod(self.shape) * np.dtype(_DTYPES[self.dtype]).itemsize


def write_safetensors(tensors: Mapping[str, NDArray[Any]]) -> bytes:
    """Return the canonical safetensors file of `tensors`.

    Args:
        tensors: name (1 to 256 UTF-8 bytes) to array of any shape of at most 8 dimensions; bool, int8, uint8,
            int32, int64, float32 or float64 in any byte order and memory layout.

    Raises:
        MalformedObject: for another dtype, a name that the format does not admit, or too many tensors.
    """
    for name in tensors:
        _check_name(name)
    names = sorted(tensors, key=str.encode)
    arrays = {name: np.asarray(tensors[name]) for name in names}
    entries = [_Entry(name, _dtype_name(name, array), array.shape) for name, array in arrays.items()]
    header = _header(entries)
    body = (arrays[e.name].astype(_DTYPES[e.dtype], order="C", copy=False).tobytes() for e in entries)
    return b"".join([header, *body])


def read_safetensors(
    data: bytes, *, max_bytes: int, expected: ModelSchema | None = None, require_finite: bool = True
) -> dict[str, NDArray[Any]]:
    """Return the tensors of a canonical safetensors file, as writable C-contiguous arrays in canonical order.

    Nothing is allocated before the header has been checked against the length of `data`.

    Args:
        data: the file.
        max_bytes: longest file to accept.
        expected: names and shapes that the file must have, all of them float32.
        require_finite: refuse NaN and infinities.

    Raises:
        MalformedObject: if `data` is anything but the output of `write_safetensors`, or breaks a limit.
    """
    if len(data) > max_bytes:
        raise MalformedObject(f"a tensor file of {len(data)} bytes exceeds the limit of {max_bytes}")
    entries, start = _read_header(data)
    if expected is not None:
        _check_expected(entries, expected)
    tensors: dict[str, NDArray[Any]] = {}
    for entry in entries:
        view = np.frombuffer(data, _DTYPES[entry.dtype], count=prod(entry.shape), offset=start)
        start += entry.size
        _check_values(entry, view, require_finite)
        # `frombuffer` is read-only and may be unaligned; the copy is neither and is in native byte order.
        tensors[entry.name] = view.reshape(entry.shape).astype(view.dtype.newbyteorder("="), order="C", copy=True)
    return tensors


def model_bytes(schema: ModelSchema) -> int:
    """Return the exact length in bytes of the file of a model with this schema."""
    return len(_header([_Entry(t.name, "F32", t.shape) for t in schema.tensors])) + 4 * schema.parameters


def write_model(weights: Weights) -> bytes:
    """Return the canonical file of a model: finite float32 tensors.

    Raises:
        MalformedObject: if a tensor is not float32 or not finite.
    """
    ModelSchema.of(weights).check(weights)
    return write_safetensors(weights)


def read_model(
    data: bytes, schema: ModelSchema | None = None, *, max_bytes: int | None = None
) -> dict[str, Float32Array]:
    """Return the model in a file made by `write_model`.

    Args:
        data: the file.
        schema: the tensors it must have; `None` admits any (a task's first model fixes the schema).
        max_bytes: longest file to accept; by default the exact length that the schema implies, or without a
            schema the longest object that Flare names.

    Raises:
        MalformedObject: if it is not such a file, or not of this schema.
    """
    if max_bytes is None:
        max_bytes = MAX_OBJECT_BYTES if schema is None else model_bytes(schema)
    weights = read_safetensors(data, max_bytes=max_bytes, expected=schema)
    ModelSchema.of(weights).check(weights)
    return weights


def _check_name(name: object) -> None:
    if not isinstance(name, str) or name == "__metadata__":
        raise MalformedObject(f"{name!r} cannot be a tensor's name")
    try:
        length = len(name.encode())
    except UnicodeEncodeError as error:
        raise MalformedObject(f"tensor name {name!r} is not valid Unicode") from error
    if not 1 <= length <= MAX_NAME_BYTES:
        raise MalformedObject(f"a tensor's name has 1 to {MAX_NAME_BYTES} bytes, not {length}")


def _dtype_name(name: str, array: NDArray[Any]) -> str:
    dtype = _DTYPE_NAMES.get(array.dtype.newbyteorder("<"))
    if dtype is None:
        raise MalformedObject(f"tensor {name!r} is {array.dtype}; use one of {sorted(map(str, _DTYPE_NAMES))}")
    return dtype


def _header(entries: list[_Entry]) -> bytes:
    """Return length and header: a pure function of names, dtypes and shapes, offsets following from them."""
    if len(entries) > MAX_TENSORS:
        raise MalformedObject(f"a file has at most {MAX_TENSORS} tensors, not {len(entries)}")
    fields: dict[str, object] = {}
    offset = 0
    for entry in entries:
        if len(entry.shape) > MAX_DIMENSIONS:
            raise MalformedObject(f"tensor {entry.name!r} has more than {MAX_DIMENSIONS} dimensions")
        end = offset + entry.size
        fields[entry.name] = {"dtype": entry.dtype, "shape": list(entry.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > MAX_HEADER_BYTES:
        raise MalformedObject(f"the header of a tensor file has at most {MAX_HEADER_BYTES} bytes, not {len(text)}")
    return len(text).to_bytes(8, "little") + text


def _read_header(data: bytes) -> tuple[list[_Entry], int]:
    """Return the entries of a canonical header and where the values begin."""
    start = 8 + int.from_bytes(data[:8], "little")
    if len(data) < 8 or start > len(data) or start > 8 + MAX_HEADER_BYTES:
        raise MalformedObject("the header of a tensor file is cut short or too long")
    try:
        pairs = load_json(data[8:start], max_depth=3, object_pairs_hook=list)
    except (ValueError, RecursionError) as error:
        raise MalformedObject("the header of a tensor file is not JSON") from error
    # With pairs kept as lists, `[]` and `{}` read alike; the canonical header below tells them apart.
    if not isinstance(pairs, list) or len(pairs) > MAX_TENSORS:
        raise MalformedObject(f"the header of a tensor file is not a map of at most {MAX_TENSORS} tensors")
    entries = [_read_entry(pair) for pair in pairs]
    names = [entry.name for entry in entries]
    if names != sorted(set(names), key=str.encode) or _header(entries) != data[:start]:
        raise MalformedObject("the header of a tensor file is not canonical")
    if start + sum(entry.size for entry in entries) != len(data):
        raise MalformedObject("the length of a tensor file does not match its header")
    return entries, start


def _read_entry(pair: object) -> _Entry:
    match pair:
        case (str(name), [("dtype", str(dtype)), ("shape", list(shape)), ("data_offsets", [int(), int()])]):
            _check_name(name)
        case _:
            raise MalformedObject("a line in the header of a tensor file is not {dtype, shape, data_offsets}")
    if dtype not in _DTYPES:
        raise MalformedObject(f"tensor {name!r} has the unsupported dtype {dtype[:16]!r}")
    # `type(n) is int` and not `isinstance`: JSON's true would pass as 1.
    if len(shape) > MAX_DIMENSIONS or any(type(n) is not int or not 0 <= n < 2**63 for n in shape):
        raise MalformedObject(f"tensor {name!r} has an impossible shape")
    return _Entry(name, dtype, tuple(shape))


def _check_expected(entries: list[_Entry], expected: ModelSchema) -> None:
    if [(e.name, e.dtype, e.shape) for e in entries] != [(t.name, "F32", t.shape) for t in expected.tensors]:
        raise MalformedObject("the file's tensors do not have the names, shapes and dtype of the task's model")


def _check_values(entry: _Entry, view: NDArray[Any], require_finite: bool) -> None:
    if entry.dtype == "BOOL" and view.size and view.view(np.uint8).max() > 1:
        raise MalformedObject(f"tensor {entry.name!r} has a truth value that is neither 0 nor 1")
    if require_finite and entry.dtype.startswith("F") and not np.isfinite(view).all():
        raise MalformedObject(f"tensor {entry.name!r} has values that are not finite")


# ------------------------------------------------------------------------------------------------- records


def encode_record(value: object) -> bytes:
    """Return the canonical DAG-CBOR encoding of a record.

    Args:
        value: `Record`; tuples are written as lists and any `Mapping` as a map.

    Raises:
        MalformedObject: if it holds something else (another type, NaN, an integer beyond 64 bits, text that
            is not valid Unicode), is nested deeper than MAX_DEPTH or has more than MAX_ITEMS values.
    """
    try:
        data = dag_cbor.encode(cast("IPLDKind", _plain(value, MAX_DEPTH)))
    except (CBOREncodingError, ValueError) as error:
        raise MalformedObject(f"this record cannot be encoded: {error}") from error
    _check_structure(data)
    return data


def decode_record(data: bytes, *, max_bytes: int) -> Record:
    """Return the record in canonical DAG-CBOR bytes.

    Args:
        data: the bytes, nothing before or after the one value.
        max_bytes: longest input to accept.

    Raises:
        MalformedObject: if `data` is anything but the output of `encode_record`, or exceeds a limit.
    """
    if len(data) > max_bytes:
        raise MalformedObject(f"a record of {len(data)} bytes exceeds the limit of {max_bytes}")
    _check_structure(data)
    try:
        value = dag_cbor.decode(data)
        again = dag_cbor.encode(value)
    except (CBORDecodingError, ValueError) as error:
        raise MalformedObject(f"these bytes are not canonical DAG-CBOR: {error}") from error
    if again != data:
        raise MalformedObject("these bytes are not canonical DAG-CBOR: encoded again they differ")
    return cast("Record", value)


def _plain(value: object, depth: int) -> Record:
    """Return `value` with tuples as lists and mappings as dicts, refusing other types."""
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return value
    if depth == 0:
        raise MalformedObject(f"a record is nested at most {MAX_DEPTH} deep")
    if isinstance(value, list | tuple):
        return [_plain(item, depth - 1) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item, depth - 1) for key, item in value.items()}
    raise MalformedObject(f"a record holds no {type(value).__name__}")


def _check_structure(data: bytes) -> None:
    """Walk the heads of CBOR items without recursion, before the decoder may recurse or allocate.

    Refuses lengths beyond the input, nesting beyond MAX_DEPTH, more than MAX_ITEMS values, tags (links) and
    indefinite lengths. What is left for the decoder is bounded by the input's own length.
    """
    open_items = [1]  # of each open list or map, how many items are still to come
    position = count = 0
    while open_items:
        if open_items[-1] == 0:
            open_items.pop()
            continue
        open_items[-1] -= 1
        count += 1
        major, argument, position = _read_head(data, position)
        if count > MAX_ITEMS:
            raise MalformedObject(f"a record has at most {MAX_ITEMS} values")
        if major in (2, 3):
            position += argument
        elif major in (4, 5):
            open_items.append(argument * (major - 3))
        if position > len(data) or (major in (4, 5) and open_items[-1] > len(data) - position):
            raise MalformedObject("a record is cut short")
        if len(open_items) > MAX_DEPTH + 1:
            raise MalformedObject(f"a record is nested at most {MAX_DEPTH} deep")
    if position != len(data):
        raise MalformedObject("bytes follow the end of a record")


def _read_head(data: bytes, position: int) -> tuple[int, int, int]:
    """Return major type, argument and the position after the head of one CBOR item (RFC 8949, section 3)."""
    if position >= len(data):
        raise MalformedObject("a record is cut short")
    major, info = data[position] >> 5, data[position] & 31
    width = {24: 1, 25: 2, 26: 4, 27: 8}.get(info, 0)
    end = position + 1 + width
    if major == 6 or info > 27:
        raise MalformedObject("a record has no tags and no indefinite lengths")
    if end > len(data):
        raise MalformedObject("a record is cut short")
    return major, int.from_bytes(data[position + 1 : end], "big") if width else info, end
