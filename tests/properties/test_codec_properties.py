"""Codecs on arbitrary models and arbitrary bytes."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from flare_offchain.compression import (
    AdaptiveCodec,
    DenseCodec,
    ErrorBoundedCodec,
    GzipCompressor,
    NoCompression,
    PowerSGDCompressor,
    TernaryCompressor,
    TopKCompressor,
    ZlibCompressor,
)
from flare_offchain.compression.blocks import MAX_INTEGER, decode_blocks, encode_blocks
from flare_offchain.compression.codec import FRAME_BYTES, decode_update, frame, relative_error
from flare_offchain.compression.plan import UpdatePlan
from flare_offchain.core.errors import MalformedObject
from flare_offchain.core.tensors import ModelSchema
from tests.suites.compressor_suite import CONTEXT, model_update, same_update

pytestmark = pytest.mark.unit

SHAPES = st.one_of(
    st.just(()),
    hnp.array_shapes(min_dims=1, max_dims=1, min_side=0, max_side=20),
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=24),
    hnp.array_shapes(min_dims=3, max_dims=5, min_side=1, max_side=4),
)
SCALES = st.sampled_from([0.0, 1e-38, 1e-12, 1e-3, 1.0, 1e4, 1e8])
NAMES = st.sampled_from(["a.weight", "a.bias", "b.weight_l0", "b.bias_l0", "é", "z"])


@st.composite
def tensors(draw):
    """A float32 array: noise of some scale, zeros, low rank, one hot column, or anything Hypothesis likes."""
    shape = draw(SHAPES)
    kind = draw(st.sampled_from(["noise", "zeros", "column", "any"]))
    if kind == "any":
        values = st.floats(-(2.0**29), 2.0**29, width=32, allow_subnormal=True)
        return draw(hnp.arrays(np.float32, shape, elements=values))
    generator = np.random.Generator(np.random.PCG64(draw(st.integers(0, 2**32))))
    array = np.zeros(shape) if kind == "zeros" else generator.standard_normal(shape) * draw(SCALES)
    if kind == "column" and array.ndim >= 2:
        array[:, 1:] = 0
    return np.asarray(array, np.float32)


MODELS = st.dictionaries(NAMES, tensors(), max_size=5)
CODECS = st.sampled_from(
    [
        DenseCodec,
        lambda: PowerSGDCompressor(1, bits=2, min_compression_rate=0.0),
        lambda: PowerSGDCompressor(3, 2, bits=8, min_compression_rate=1.0),
        lambda: PowerSGDCompressor(8, ratio=20.0, min_compression_rate=0.1),
        lambda: AdaptiveCodec(20.0),
        TernaryCompressor,
        lambda: TopKCompressor(0.1),
        lambda: TopKCompressor(0.5, bits=8),
    ]
)


@settings(max_examples=300, deadline=None)
@given(MODELS, CODECS)
def test_decoding_equals_the_encoders_reconstruction(delta, make):
    schema = ModelSchema.of(delta)
    encoded = make().encode(delta, schema, CONTEXT)
    assert same_update(decode_update(encoded.data, schema, CONTEXT), encoded.reconstruction)


@settings(max_examples=300, deadline=None)
@given(MODELS)
def test_dense_codec_is_within_its_bound(delta):
    decoded = DenseCodec().plan(delta, ModelSchema.of(delta)).to_update(ModelSchema.of(delta))
    for name, array in delta.items():
        bound = max(2.0**-23 * float(np.abs(array).max(initial=0.0)), 2.0**-47)
        assert np.abs(decoded.tensors[name].to_float() - array).max(initial=0.0) <= bound


@settings(max_examples=100, deadline=None)
@given(MODELS)
def test_low_rank_never_makes_an_update_worse_than_nothing(delta):
    schema = ModelSchema.of(delta)
    for codec in (PowerSGDCompressor(2, bits=3, min_compression_rate=0.0), PowerSGDCompressor(2, bits=8)):
        decoded = codec.plan(delta, schema).to_update(schema)
        back = {name: tensor.to_float() for name, tensor in decoded.tensors.items()}
        assert relative_error(delta, back) <= 1.0001


BOUNDS = (1e-4, 1e-3, 10**-1.5, 0.3)
BOUNDED_TENSORS = 10_000


def bounded_tensor(generator):
    """Return a tensor of any rank, any scale of float32 and one of several make-ups."""
    dimensions = int(generator.integers(0, 4))
    shape = tuple(int(side) for side in generator.integers(0 if generator.random() < 0.1 else 1, 9, dimensions))
    scale = float(2.0 ** generator.uniform(-149, 124))
    values = generator.standard_normal(shape)
    match int(generator.integers(0, 6)):
        case 0:
            values = np.zeros(shape)
        case 1:
            values = values * (generator.random(shape) < 0.2)
        case 2:
            values = values * 10.0 ** generator.uniform(-12, 0, shape)
        case 3 if dimensions == 2 and np.size(values):
            values = np.outer(values[:, 0], values[0]) + 1e-3 * values
        case 4:
            values = np.rint(4 * values) * 2.0**-149 / scale
        case _:
            pass
    return np.asarray(np.clip(values * scale, -3.4e38, 3.4e38), np.float32)


def test_error_bound_is_never_exceeded():
    generator = np.random.Generator(np.random.PCG64(20))
    tensors_seen = 0
    while tensors_seen < BOUNDED_TENSORS:
        delta = {f"{k}.weight": bounded_tensor(generator) for k in range(int(generator.integers(1, 30)))}
        bound = BOUNDS[int(generator.integers(0, len(BOUNDS)))]
        parts = [{name: array} for name, array in delta.items()] if generator.random() < 0.1 else [delta]
        for part in parts:
            codec = ErrorBoundedCodec(bound)
            assert relative_error(part, codec.decompress(codec.compress(part))) <= bound
        tensors_seen += len(delta)


SAMPLES = [
    codec.encode(model_update(seed, scale), ModelSchema.of(model_update()), CONTEXT).data
    for seed, (codec, scale) in enumerate(
        [
            (DenseCodec(), 0.01),
            (PowerSGDCompressor(bits=3), 0.01),
            (PowerSGDCompressor(bits=8), 3.0),
            (TopKCompressor(), 1.0),
        ]
    )
]
SCHEMA = ModelSchema.of(model_update())


@settings(max_examples=1500, deadline=None)
@given(
    st.sampled_from(SAMPLES),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=4),
    st.booleans(),
)
def test_altered_bytes_are_refused_or_canonical(data, changes, near_the_start):
    altered = bytearray(data)
    span = min(len(data), FRAME_BYTES + 40) if near_the_start else len(data)
    for place, mask in changes:
        altered[int(place * span)] ^= mask
    check(bytes(altered))


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(SAMPLES), st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=40))
def test_shortened_and_lengthened_updates_are_refused(data, place, more):
    for other in (data[: int(place * len(data))], data + more):
        with pytest.raises(MalformedObject):
            decode_update(other, SCHEMA, CONTEXT)


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(SAMPLES), st.sampled_from(SAMPLES), st.floats(0, 1), st.floats(0, 1), st.binary(max_size=8))
def test_spliced_updates_are_refused_or_canonical(first, second, end, start, between):
    check(first[: int(end * len(first))] + between + second[int(start * len(second)) :])


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=200))
def test_arbitrary_plans_are_refused_or_canonical(data):
    check(frame(CONTEXT, data))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=100))
def test_arbitrary_bytes_are_refused(data):
    with pytest.raises(MalformedObject):
        decode_update(data, SCHEMA, CONTEXT)


def check(data):
    """Decoding refuses, or gives tensors in range whose plan, written again, is the same bytes."""
    try:
        update = decode_update(data, SCHEMA, CONTEXT)
    except MalformedObject:
        return
    assert np.isfinite(update.to_vector()).all()
    assert frame(CONTEXT, UpdatePlan.from_bytes(data[FRAME_BYTES:], SCHEMA).to_bytes()) == data


@settings(max_examples=300, deadline=None)
@given(st.lists(hnp.arrays(np.int64, st.integers(0, 300), elements=st.integers(-MAX_INTEGER, MAX_INTEGER)), max_size=4))
def test_blocks_of_any_integers_round_trip(blocks):
    codes, payload = encode_blocks(blocks)
    back = decode_blocks(codes, [block.size for block in blocks], payload)
    assert all(np.array_equal(left, right) for left, right in zip(back, blocks, strict=True))


@given(st.binary(max_size=2000), st.sampled_from([NoCompression, ZlibCompressor, GzipCompressor]))
def test_byte_compressors_round_trip(data, kind):
    assert kind().decompress(kind().compress(data)) == data


@given(st.binary(max_size=300), st.sampled_from([ZlibCompressor, GzipCompressor]))
def test_byte_compressors_refuse_arbitrary_bytes(data, kind):
    with contextlib.suppress(MalformedObject):
        assert len(kind(max_bytes=1000).decompress(data)) <= 1000


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([PowerSGDCompressor, TopKCompressor]), st.integers(0, 2**16), st.integers(1, 255))
def test_altered_state_is_refused(kind, place, mask):
    codec = kind()
    codec.encode(model_update(), SCHEMA, CONTEXT)
    state = bytearray(codec.state_bytes())
    state[place % len(state)] ^= mask
    with pytest.raises(MalformedObject):
        kind().load_state(bytes(state), SCHEMA)
