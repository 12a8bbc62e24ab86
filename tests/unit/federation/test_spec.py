"""The task spec: one canonical form, and nothing else read."""

import pytest

from flare_offchain.core.errors import MalformedObject
from flare_offchain.core.types import ContentId
from flare_offchain.federation.spec import Named, ProbeSettings, TaskSpec, TrainingSettings
from flare_offchain.utils.serialization import decode_record, encode_record

pytestmark = pytest.mark.unit

SPEC = TaskSpec(
    model=Named("mlp", {"hidden": [32], "inputs": 64, "classes": 10}),
    training=TrainingSettings(epochs=2, learning_rate=0.05, momentum=0.9),
    codec=Named("powersgd", {"rank": 4}),
    aggregation=Named("mi", {"mi_threshold": 0.1}),
    probe=ProbeSettings(ContentId(b"p" * 32, 999), 100),
    data="digits",
)


def test_spec_round_trips():
    assert TaskSpec.decode(SPEC.encode()) == SPEC


def test_spec_without_probe_round_trips():
    spec = TaskSpec(SPEC.model, SPEC.training, SPEC.codec, Named("fedavg"), None)
    assert TaskSpec.decode(spec.encode()) == spec


def altered(**changes):
    record = decode_record(SPEC.encode(), max_bytes=10_000)
    for path, value in changes.items():
        target = record
        *parents, last = path.split("__")
        for name in parents:
            target = target[name]
        if value is KeyError:
            del target[last]
        else:
            target[last] = value
    return encode_record(record)


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "report"},
        {"version": 2},
        {"data": 5},
        {"censorship_share": 1},
        {"censorship_share": 1.5},
        {"model": KeyError},
        {"extra": 1},
        {"model__name": 7},
        {"model__parameters": []},
        {"training__epochs": 0},
        {"training__epochs": 1.0},
        {"training__epochs": True},
        {"training__learning_rate": 0.0},
        {"training__learning_rate": 1},
        {"training__momentum": 1.0},
        {"training__batch_size": 0},
        {"training__weight_decay": -0.1},
        {"training__proximal": 101.0},
        {"training__more": 1},
        {"probe__count": 0},
        {"probe__count": "100"},
        {"probe__pool": [b"p" * 32]},
        {"probe__pool": [b"p" * 31, 4]},
        {"probe__pool": [b"p" * 32, -1]},
        {"probe__pool": "p"},
    ],
)
def test_spec_refuses_anything_else(changes):
    with pytest.raises(MalformedObject):
        TaskSpec.decode(altered(**changes))


@pytest.mark.parametrize("data", [b"", b"\xff" * 10, SPEC.encode() + b"\x00", SPEC.encode()[:-1], encode_record([1])])
def test_spec_refuses_bytes_that_are_not_canonical(data):
    with pytest.raises(MalformedObject):
        TaskSpec.decode(data)
