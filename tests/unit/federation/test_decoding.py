"""Decoded updates are kept for one round, within a limit, and cannot be changed by who uses them."""

import numpy as np
import pytest

from flare_offchain.compression.codecs import codec_from_spec
from flare_offchain.core.errors import MalformedObject
from flare_offchain.core.tensors import ModelSchema
from flare_offchain.federation.decoding import DecodedUpdates

pytestmark = pytest.mark.unit

DELTA = {"weight": np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)}
SCHEMA = ModelSchema.of(DELTA)
CONTEXTS = [bytes([number]) * 32 for number in range(3)]
OBJECTS = [codec_from_spec("none", {}).encode(DELTA, SCHEMA, context).data for context in CONTEXTS]


def test_an_update_is_decoded_once_a_round():
    kept = DecodedUpdates()
    kept.turn_to(1)
    first = kept.decode(OBJECTS[0], SCHEMA, CONTEXTS[0])
    kept.turn_to(1)
    assert kept.decode(OBJECTS[0], SCHEMA, CONTEXTS[0]) is first
    kept.turn_to(2)
    again = kept.decode(OBJECTS[0], SCHEMA, CONTEXTS[0])
    assert again is not first
    np.testing.assert_array_equal(again.to_vector(), first.to_vector())


def test_what_is_over_is_forgotten():
    kept = DecodedUpdates(limit=8 * 12)
    kept.turn_to(1)
    first = kept.decode(OBJECTS[0], SCHEMA, CONTEXTS[0])
    kept.forget()
    second = kept.decode(OBJECTS[1], SCHEMA, CONTEXTS[1])
    assert kept.decode(OBJECTS[1], SCHEMA, CONTEXTS[1]) is second, "there is room again"
    assert kept.decode(OBJECTS[0], SCHEMA, CONTEXTS[0]) is not first


def test_what_exceeds_the_limit_is_decoded_anew():
    kept = DecodedUpdates(limit=2 * 8 * 12)
    found = [kept.decode(data, SCHEMA, context) for data, context in zip(OBJECTS, CONTEXTS, strict=True)]
    same = [kept.decode(data, SCHEMA, c) is f for data, c, f in zip(OBJECTS, CONTEXTS, found, strict=True)]
    assert same == [True, True, False]


def test_another_context_or_altered_bytes_are_never_served_from_memory():
    kept = DecodedUpdates()
    kept.decode(OBJECTS[0], SCHEMA, CONTEXTS[0])
    with pytest.raises(MalformedObject):
        kept.decode(OBJECTS[0], SCHEMA, CONTEXTS[1])
    with pytest.raises(MalformedObject):
        kept.decode(OBJECTS[0] + b"\0", SCHEMA, CONTEXTS[0])


def test_decoded_integers_are_read_only():
    found = DecodedUpdates().decode(OBJECTS[0], SCHEMA, CONTEXTS[0])
    with pytest.raises(ValueError, match="read-only"):
        found.tensors["weight"].integers[0, 0] = 5
