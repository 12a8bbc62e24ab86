"""The codec of updates: ΔW in, bytes out, exact tensors back.

    update = "FLU1" | DAG-CBOR [context] | plan

The context (32 bytes) binds an update to its sender, task, round and base model (docs/protocol.md, section 5). Encoders
differ and may keep state; there is one decoder, a pure function of bytes, schema and context.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from flare_offchain.compression.compressor import Compressor
from flare_offchain.compression.exact import DecodedUpdate
from flare_offchain.compression.plan import UpdatePlan
from flare_offchain.core.errors import MalformedObject
from flare_offchain.core.tensors import Float32Array, ModelSchema, TensorSpec, Weights
from flare_offchain.utils.serialization import decode_record, encode_record

MAGIC = b"FLU1"
CONTEXT_BYTES = 32
FRAME_BYTES = len(MAGIC) + 3 + CONTEXT_BYTES
"""Bytes of an update before its plan: magic, CBOR array head, CBOR byte-string head, context."""
MAX_DELTA = 2.0**30
"""Largest absolute element of an update; beyond it training has diverged."""

MAX_SCHEMA_BYTES = 2**21

_ARRAY_OF_CONTEXT = b"\x81\x58\x20"
_PLAIN_CONTEXT = bytes(CONTEXT_BYTES)
_MAX_EXPONENT = 160
"""Beyond every exponent of a float32."""


@dataclass(frozen=True, slots=True)
class EncodedUpdate:
    """The bytes of an update and what they decode to."""

    data: bytes
    reconstruction: DecodedUpdate


def frame(context: bytes, plan: bytes) -> bytes:
    """Return magic, header and plan of an update."""
    if len(context) != CONTEXT_BYTES:
        raise MalformedObject(f"a context has {CONTEXT_BYTES} bytes, not {len(context)}")
    return MAGIC + _ARRAY_OF_CONTEXT + context + plan


def unframe(data: bytes, context: bytes) -> bytes:
    """Return the plan of an update made for `context`, or raise `MalformedObject`."""
    if len(context) != CONTEXT_BYTES:
        raise MalformedObject(f"a context has {CONTEXT_BYTES} bytes, not {len(context)}")
    if data[: len(MAGIC)] != MAGIC:
        raise MalformedObject("not an update of version 1 (it does not begin with FLU1)")
    header = data[len(MAGIC) : FRAME_BYTES]
    if len(header) != FRAME_BYTES - len(MAGIC) or not header.startswith(_ARRAY_OF_CONTEXT):
        raise MalformedObject("the update's header is not a DAG-CBOR array of one 32-byte context")
    if header[len(_ARRAY_OF_CONTEXT) :] != context:
        raise MalformedObject("the update was made for another sender, task, round or base model")
    return data[FRAME_BYTES:]


def max_update_bytes(schema: ModelSchema) -> int:
    """Return a bound on the size of any update of a model: larger objects are refused before they are read."""
    return FRAME_BYTES + 64 + 400 * len(schema.tensors) + 16 * schema.parameters


def decode_update(data: bytes, schema: ModelSchema, context: bytes) -> DecodedUpdate:
    """Decode an update made by any codec.

    Args:
        data: the object's bytes.
        schema: tensors of the task's model.
        context: the 32 bytes that the update must carry.

    Raises:
        MalformedObject: not a canonical update of this model for this context.
    """
    if len(data) > max_update_bytes(schema):
        raise MalformedObject(f"an update of this model has at most {max_update_bytes(schema)} bytes, not {len(data)}")
    return UpdatePlan.from_bytes(unframe(bytes(data), context), schema).to_update(schema)


def check_delta(delta: Weights, schema: ModelSchema) -> None:
    """Raise `MalformedObject` unless `delta` is finite, float32, of the schema's shapes and of sane size."""
    schema.check(delta)
    for name, array in delta.items():
        if array.size and float(np.abs(array).max()) > MAX_DELTA:
            raise MalformedObject(
                f"tensor {name!r} changes by more than 2**30: training diverged, lower the learning rate"
            )


class UpdateCodec(Compressor[Weights]):
    """Encodes updates of models. `compress` and `decompress` are the stateless form for a bare mapping of arrays."""

    @abstractmethod
    def encode(self, delta: Weights, schema: ModelSchema, context: bytes) -> EncodedUpdate:
        """Encode ΔW (float32 tensors of `schema`) for `context` (32 bytes).

        The same input and state give the same bytes whatever the number of threads.

        Raises:
            MalformedObject: names, shapes or dtypes differ from the schema, or values are not finite or above 2**30.
        """

    @abstractmethod
    def plan(self, delta: Weights, schema: ModelSchema) -> UpdatePlan:
        """Return the plan of a bare ΔW, without reading or changing any state of the codec."""

    def decode(self, data: bytes, schema: ModelSchema, context: bytes) -> DecodedUpdate:
        """Decode an update (`decode_update`); needs no state."""
        return decode_update(data, schema, context)

    def acknowledge(self, accepted: bool) -> None:
        """Say whether the last encoded update went into the global model. Codecs without memory ignore it."""

    def state_bytes(self) -> bytes:
        """Return the codec's memory as canonical bytes; empty for codecs without memory."""
        return b""

    def load_state(self, data: bytes, schema: ModelSchema) -> None:
        """Restore the memory that `state_bytes` returned.

        Raises:
            MalformedObject: the bytes are corrupt, of another model, or this codec has no memory.
        """
        if data:
            raise MalformedObject(f"{type(self).__name__} keeps no state")

    def compress(self, data: Weights) -> bytes:
        """Return a self-describing form of `data`: schema and exponent, then the update of `data` / 2**exponent.

        The exponent brings the largest element to 0.5 to 1, so any finite float32 values pass. Neither reads nor
        changes state.
        """
        schema = ModelSchema.of(data)
        largest = max((float(np.abs(array).max()) for array in data.values() if array.size), default=0.0)
        exponent = int(np.frexp(largest)[1]) if np.isfinite(largest) else 0
        scaled = {name: np.asarray(np.ldexp(array, -exponent), array.dtype) for name, array in data.items()}
        check_delta(scaled, schema)
        head = _encode_schema(schema)
        front = len(head).to_bytes(4, "little") + head + exponent.to_bytes(2, "little", signed=True)
        return front + frame(_PLAIN_CONTEXT, self.plan(scaled, schema).to_bytes())

    def decompress(self, data: bytes) -> dict[str, Float32Array]:
        """Return the float32 tensors of what `compress` wrote."""
        length = int.from_bytes(data[:4], "little")
        if len(data) < 4 + length + 2:
            raise MalformedObject("the schema is cut short")
        schema = _decode_schema(data[4 : 4 + length])
        exponent = int.from_bytes(data[4 + length : 6 + length], "little", signed=True)
        if abs(exponent) > _MAX_EXPONENT:
            raise MalformedObject(f"an exponent is within {_MAX_EXPONENT}, not {exponent}")
        update = decode_update(data[6 + length :], schema, _PLAIN_CONTEXT)
        limit = float(np.finfo(np.float32).max)
        return {
            name: np.asarray(np.clip(np.ldexp(tensor.to_float(), exponent), -limit, limit), np.float32)
            for name, tensor in update.tensors.items()
        }


def _encode_schema(schema: ModelSchema) -> bytes:
    return encode_record([[tensor.name, list(tensor.shape)] for tensor in schema.tensors])


def _decode_schema(data: bytes) -> ModelSchema:
    rows = decode_record(data, max_bytes=MAX_SCHEMA_BYTES)
    if not isinstance(rows, list):
        raise MalformedObject("a schema is a list of [name, shape]")
    tensors = []
    for row in rows:
        match row:
            case [str(name), list(shape)] if all(type(length) is int for length in shape):
                tensors.append(TensorSpec(name, tuple(cast("list[int]", shape))))
            case _:
                raise MalformedObject("a schema is a list of [name, shape]")
    return ModelSchema(tuple(tensors))


def relative_error(original: Weights | NDArray[np.floating], approximation: Weights | NDArray[np.floating]) -> float:
    """Return ‖original − approximation‖ / ‖original‖ (Frobenius, over all tensors together).

    0 where both are zero, infinity where only the original is.
    """
    left, right = (item if isinstance(item, Mapping) else {"": item} for item in (original, approximation))
    if left.keys() != right.keys():
        raise MalformedObject("only models with the same tensors can be compared")
    error = energy = 0.0
    for name, array in left.items():
        exact = np.asarray(array, np.float64)
        error += float(np.square(exact - np.asarray(right[name], np.float64)).sum())
        energy += float(np.square(exact).sum())
    if error == 0:
        return 0.0
    return float(np.sqrt(error / energy)) if energy else float("inf")
