"""What the lossy codecs share: error feedback around a plan, and memory that survives a restart."""

from __future__ import annotations

from abc import abstractmethod

from flare_offchain.compression.codec import EncodedUpdate, UpdateCodec, check_delta, frame
from flare_offchain.compression.feedback import ErrorFeedback, pack_state, unpack_state
from flare_offchain.compression.plan import UpdatePlan
from flare_offchain.core.errors import ConfigurationError, MalformedObject
from flare_offchain.core.tensors import Float32Array, ModelSchema, Weights
from flare_offchain.utils.threads import single_threaded

Bases = dict[str, Float32Array]
"""Warm starts: group name to the right factor [columns, rank] of the last update."""


class FeedbackCodec(UpdateCodec):
    """A codec whose losses come back with the next update.

    Steps of `encode`: add the residual to ΔW; plan; remember what the plan leaves out; write. The memory belongs to one
    worker in one task; `state_bytes` and `load_state` carry it over a restart.
    """

    def __init__(self, *, error_feedback: bool = True, returned: float = 1.0) -> None:
        if not 0.0 <= returned <= 1.0:
            raise ConfigurationError(f"the returned share of a refused update is 0 to 1, not {returned}")
        self.memory = ErrorFeedback(returned) if error_feedback else None
        self._bases: Bases = {}
        self._next_bases: Bases = {}
        self._context = b""

    @abstractmethod
    def _plan(self, target: Weights, schema: ModelSchema, bases: Bases) -> tuple[UpdatePlan, Bases]:
        """Return the plan of a target and the warm starts for the next one; reads no state but `bases`."""

    def plan(self, delta: Weights, schema: ModelSchema) -> UpdatePlan:
        """Return the plan of a bare ΔW, cold and without feedback."""
        check_delta(delta, schema)
        with single_threaded():
            return self._plan(delta, schema, {})[0]

    def encode(self, delta: Weights, schema: ModelSchema, context: bytes) -> EncodedUpdate:
        """Encode ΔW plus the residual (see `UpdateCodec.encode`)."""
        check_delta(delta, schema)
        frame(context, b"")
        if context != self._context:
            self._bases, self._context = self._next_bases, context
        target = self.memory.target(delta, context) if self.memory else dict(delta)
        check_delta(target, schema)
        with single_threaded():
            plan, self._next_bases = self._plan(target, schema, self._bases)
        reconstruction = plan.to_update(schema)
        if self.memory:
            self.memory.sent(context, target, reconstruction)
        return EncodedUpdate(frame(context, plan.to_bytes()), reconstruction)

    def acknowledge(self, accepted: bool) -> None:
        """Settle the last update: accepted, its loss is carried on; refused, what was sent comes back too."""
        if self.memory:
            self.memory.acknowledge(accepted)

    def state_bytes(self) -> bytes:
        """Return residual, pending update and warm starts as canonical bytes."""
        tensors = dict(self.memory.tensors()) if self.memory else {}
        tensors |= {f"basis/{name}": basis for name, basis in self._bases.items()}
        tensors |= {f"next/{name}": basis for name, basis in self._next_bases.items()}
        pending = self.memory is not None and bool(self.memory.pending_context)
        return pack_state(tensors, self._context, pending)

    def load_state(self, data: bytes, schema: ModelSchema) -> None:
        """Restore what `state_bytes` returned; `MalformedObject` leaves the codec as it was."""
        tensors, context, pending = unpack_state(data, schema)
        bases = {part: _part(tensors, part) for part in ("basis", "next")}
        memory = {name: array for name, array in tensors.items() if not name.startswith(("basis/", "next/"))}
        for found in bases.values():
            self._check_bases(found, schema)
        if self.memory:
            self.memory.restore(memory, context if pending else b"", schema)
        elif memory or pending:
            raise MalformedObject("the codec state holds a residual, but this codec keeps none")
        self._bases, self._next_bases, self._context = bases["basis"], bases["next"], context

    def _check_bases(self, bases: Bases, schema: ModelSchema) -> None:
        if bases:
            raise MalformedObject("the codec state holds warm starts, but this codec uses none")


def _part(tensors: Weights, part: str) -> Bases:
    return {name.removeprefix(f"{part}/"): array for name, array in tensors.items() if name.startswith(f"{part}/")}
