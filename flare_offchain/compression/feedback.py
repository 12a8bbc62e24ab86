"""Error feedback: what an encoding loses is added to the next update.

With target t = ΔW + residual and reconstruction r the residual becomes t - r once the update went into the model
(Seide et al. 2014; Karimireddy et al. 2019, arXiv:1901.09847). Deviation for federated rounds, where an update may be
left out: then nothing of it reached the model, and the residual becomes `returned * r + (t - r)`. With `returned` = 1
everything is kept for later (the rule of the theory, in which a lost message is a compression to zero); 0 forgets what
was sent, as fits models whose next local training finds that part again.

An update that is neither accepted nor refused when the next one is encoded counts as refused. Encoding again for the
same context replaces the pending update: a worker that restarts in the middle of a round loses nothing and counts
nothing twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from flare_offchain.compression.exact import DecodedUpdate
from flare_offchain.core.errors import MalformedObject
from flare_offchain.core.tensors import Float32Array, ModelSchema, Weights
from flare_offchain.utils.serialization import decode_record, encode_record, read_safetensors, write_safetensors

_STATE_MAGIC = b"FLS1"
_MAX_HEAD_BYTES = 64
_HEADER_BYTES_A_TENSOR = 1024


@dataclass(frozen=True, slots=True)
class _Pending:
    """An encoded update whose fate is open: its context and what the residual becomes in either case."""

    context: bytes
    if_accepted: dict[str, Float32Array]
    if_refused: dict[str, Float32Array]


class ErrorFeedback:
    """The residual of one worker in one task, and the update that awaits its verdict."""

    def __init__(self, returned: float = 1.0) -> None:
        self.returned = returned
        self._residual: dict[str, Float32Array] = {}
        self._pending: _Pending | None = None

    @property
    def residual(self) -> Mapping[str, Float32Array]:
        """What earlier updates lost, float32 by tensor name; empty before the first verdict."""
        return self._residual

    def target(self, delta: Weights, context: bytes) -> dict[str, Float32Array]:
        """Return delta + residual, the update that should now be sent."""
        if self._pending is not None and self._pending.context != context:
            self.acknowledge(accepted=False)
        if self._residual and ModelSchema.of(self._residual) != ModelSchema.of(delta):
            raise MalformedObject("the error feedback belongs to another model; start the task with empty state")
        return {name: array + self._residual[name] if self._residual else array for name, array in delta.items()}

    def sent(self, context: bytes, target: Weights, reconstruction: DecodedUpdate) -> None:
        """Remember that `target` was encoded and decodes to `reconstruction`."""
        lost, refused = {}, {}
        for name, array in target.items():
            decoded = reconstruction.tensors[name].to_float()
            lost[name] = (array - decoded).astype(np.float32)
            refused[name] = (lost[name] + self.returned * decoded).astype(np.float32)
        self._pending = _Pending(context, lost, refused)

    def acknowledge(self, accepted: bool) -> None:
        """Settle the pending update; without one, do nothing."""
        if self._pending is not None:
            self._residual = self._pending.if_accepted if accepted else self._pending.if_refused
            self._pending = None

    def norm(self) -> float:
        """Return the Frobenius norm of the residual."""
        return float(np.sqrt(sum(float(np.square(array, dtype=np.float64).sum()) for array in self._residual.values())))

    def tensors(self) -> dict[str, Float32Array]:
        """Return everything as named tensors (`residual/…`, `accepted/…`, `refused/…`)."""
        result = {f"residual/{name}": array for name, array in self._residual.items()}
        if self._pending is not None:
            result |= {f"accepted/{name}": array for name, array in self._pending.if_accepted.items()}
            result |= {f"refused/{name}": array for name, array in self._pending.if_refused.items()}
        return result

    @property
    def pending_context(self) -> bytes:
        """The context of the pending update; empty without one."""
        return self._pending.context if self._pending else b""

    def restore(self, tensors: Weights, context: bytes, schema: ModelSchema) -> None:
        """Replace the memory by what `tensors` and `pending_context` returned; check names and shapes first."""
        parts = {
            part: {
                name.removeprefix(f"{part}/"): array for name, array in tensors.items() if name.startswith(f"{part}/")
            }
            for part in ("residual", "accepted", "refused")
        }
        if sum(map(len, parts.values())) != len(tensors):
            raise MalformedObject("the codec state holds tensors that no codec writes")
        for part, found in parts.items():
            if found or (part != "residual" and context and schema.tensors):
                schema.check(found)
        if not context and (parts["accepted"] or parts["refused"]):
            raise MalformedObject("the codec state has a pending update without its context")
        self._residual = parts["residual"]
        self._pending = _Pending(context, parts["accepted"], parts["refused"]) if context else None


def pack_state(tensors: Weights, context: bytes, pending: bool) -> bytes:
    """Return a codec's memory: "FLS1", SHA-256 of the rest, DAG-CBOR [context, pending, length], safetensors."""
    values = write_safetensors(tensors)
    head = encode_record([context, pending, len(values)])
    body = bytes([len(head)]) + head + values
    return _STATE_MAGIC + hashlib.sha256(body).digest() + body


def unpack_state(data: bytes, schema: ModelSchema) -> tuple[dict[str, Float32Array], bytes, bool]:
    """Return tensors, context and whether an update is pending, as given to `pack_state`.

    Raises:
        MalformedObject: wrong kind, corrupt, larger than a state of this model can be, or not canonical.
    """
    start = len(_STATE_MAGIC) + hashlib.sha256().digest_size
    if data[: len(_STATE_MAGIC)] != _STATE_MAGIC or len(data) <= start:
        raise MalformedObject("not a codec state of version 1 (it does not begin with FLS1)")
    body = data[start:]
    if hashlib.sha256(body).digest() != data[len(_STATE_MAGIC) : start]:
        raise MalformedObject("the codec state is corrupt: its checksum does not match")
    end = 1 + body[0]
    match decode_record(body[1:end], max_bytes=_MAX_HEAD_BYTES):
        case [bytes(context), bool(pending), int(length)] if length == len(body) - end and len(context) in (0, 32):
            pass
        case _:
            raise MalformedObject("the head of a codec state is [context, pending, length]")
    # Residual, two outcomes, two sets of factors that are never larger than the model.
    limit = 20 * schema.parameters + 5 * _HEADER_BYTES_A_TENSOR * (1 + len(schema.tensors))
    tensors = read_safetensors(body[end:], max_bytes=limit)
    if any(array.dtype != np.float32 for array in tensors.values()):
        raise MalformedObject("a codec state holds float32 tensors")
    return tensors, context, pending
