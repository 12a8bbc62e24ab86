"""The task spec: what everyone who takes part in a task computes with.

The spec is an object in the store; the contract holds its content id. It names models, codecs and rules by
registered name and carries plain numbers. It never carries code: a model's class comes from a worker's own
installation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flare_offchain.core.errors import MalformedObject
from flare_offchain.core.types import ContentId
from flare_offchain.utils.serialization import decode_record, encode_record

SPEC_VERSION = 1
MAX_SPEC_BYTES = 64 * 1024
Parameters = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Named:
    """A registered name with its parameters: a model architecture, a codec or an aggregation rule."""

    name: str
    parameters: Parameters = field(default_factory=dict)

    def to_record(self) -> dict[str, Any]:
        return {"name": self.name, "parameters": dict(self.parameters)}

    @classmethod
    def from_record(cls, record: object) -> Named:
        fields = _fields(record, "name", "parameters")
        if not isinstance(fields["name"], str) or not isinstance(fields["parameters"], dict):
            raise MalformedObject("a named component has a name and a map of parameters")
        return cls(fields["name"], fields["parameters"])


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """How a worker trains in one round. `proximal` is FedProx's μ; 0 turns it off."""

    epochs: int = 1
    learning_rate: float = 0.1
    batch_size: int = 16
    momentum: float = 0.0
    weight_decay: float = 0.0
    proximal: float = 0.0

    def __post_init__(self) -> None:
        if not (1 <= self.epochs <= 1000 and 1 <= self.batch_size <= 65536):
            raise MalformedObject("training needs 1 to 1000 epochs and a batch size of 1 to 65536")
        if not (0 < self.learning_rate <= 100 and 0 <= self.momentum < 1):
            raise MalformedObject("training needs a learning rate in (0, 100] and a momentum in [0, 1)")
        if not (0 <= self.weight_decay <= 1 and 0 <= self.proximal <= 100):
            raise MalformedObject("weight decay is in [0, 1], the proximal term in [0, 100]")

    def to_record(self) -> dict[str, Any]:
        return {
            "epochs": self.epochs,
            "learning_rate": float(self.learning_rate),
            "batch_size": self.batch_size,
            "momentum": float(self.momentum),
            "weight_decay": float(self.weight_decay),
            "proximal": float(self.proximal),
        }

    @classmethod
    def from_record(cls, record: object) -> TrainingSettings:
        names = ("epochs", "learning_rate", "batch_size", "momentum", "weight_decay", "proximal")
        fields = _fields(record, *names)
        for name in ("epochs", "batch_size"):
            if type(fields[name]) is not int:
                raise MalformedObject(f"{name} is an integer")
        if not all(isinstance(fields[n], float) for n in names if n not in ("epochs", "batch_size")):
            raise MalformedObject("learning rate, momentum, weight decay and proximal term are floats")
        return cls(**fields)


@dataclass(frozen=True, slots=True)
class ProbeSettings:
    """The pool that each round's probe is drawn from, and how many samples are drawn."""

    pool: ContentId
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.count <= 100_000:
            raise MalformedObject("a probe has 1 to 100,000 samples")


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """Everything off chain that a round's result depends on, apart from the updates themselves."""

    model: Named
    training: TrainingSettings
    codec: Named
    aggregation: Named
    probe: ProbeSettings | None
    data: str = ""
    """What the task is trained on, for people."""
    censorship_share: float = 0.2
    """A proposal that leaves out more than this share of the updates that a validator could fetch is rejected."""
    server: Named | None = None
    """The server optimiser (`server_optimiser.py`); None: the average step is taken as it is."""

    def __post_init__(self) -> None:
        if not 0 <= self.censorship_share <= 1:
            raise MalformedObject("the censorship share is between 0 and 1")

    def encode(self) -> bytes:
        """Return the canonical DAG-CBOR bytes."""
        probe = self.probe and {
            "pool": [self.probe.pool.digest, self.probe.pool.size],
            "count": self.probe.count,
        }
        return encode_record(
            {
                "type": "spec",
                "version": SPEC_VERSION,
                "model": self.model.to_record(),
                "training": self.training.to_record(),
                "codec": self.codec.to_record(),
                "aggregation": self.aggregation.to_record(),
                "probe": probe,
                "data": self.data,
                "censorship_share": float(self.censorship_share),
                "server": None if self.server is None else self.server.to_record(),
            }
        )

    @classmethod
    def decode(cls, data: bytes) -> TaskSpec:
        """Read a spec; raise `MalformedObject` unless it is canonical and complete."""
        record = decode_record(data, max_bytes=MAX_SPEC_BYTES)
        fields = _fields(
            record,
            "type",
            "version",
            "model",
            "training",
            "codec",
            "aggregation",
            "probe",
            "data",
            "censorship_share",
            "server",
        )
        if fields["type"] != "spec" or fields["version"] != SPEC_VERSION:
            raise MalformedObject(f"not a task spec of version {SPEC_VERSION}")
        if not isinstance(fields["data"], str) or not isinstance(fields["censorship_share"], float):
            raise MalformedObject("the spec's data name is text and its censorship share a float")
        return cls(
            Named.from_record(fields["model"]),
            TrainingSettings.from_record(fields["training"]),
            Named.from_record(fields["codec"]),
            Named.from_record(fields["aggregation"]),
            _probe(fields["probe"]),
            fields["data"],
            fields["censorship_share"],
            None if fields["server"] is None else Named.from_record(fields["server"]),
        )


def _probe(record: object) -> ProbeSettings | None:
    if record is None:
        return None
    fields = _fields(record, "pool", "count")
    if type(fields["count"]) is not int:
        raise MalformedObject("a probe's count is an integer")
    return ProbeSettings(read_content_id(fields["pool"]), fields["count"])


def read_content_id(value: object) -> ContentId:
    """Read a `[digest, size]` list from a record; raise `MalformedObject` otherwise."""
    if not isinstance(value, list) or len(value) != 2 or type(value[1]) is not int:
        raise MalformedObject("a content id is a digest and a size")
    try:
        return ContentId(value[0], value[1])
    except ValueError as error:
        raise MalformedObject(str(error)) from error


def _fields(record: object, *names: str) -> dict[str, Any]:
    if not isinstance(record, dict) or set(record) != set(names):
        raise MalformedObject(f"expected a map with exactly {', '.join(names)}")
    return record
