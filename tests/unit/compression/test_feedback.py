import numpy as np
import pytest

from flare_offchain.compression import PowerSGDCompressor, TopKCompressor
from flare_offchain.compression.feedback import ErrorFeedback
from flare_offchain.core.errors import MalformedObject
from flare_offchain.core.tensors import ModelSchema
from tests.suites.compressor_suite import model_update

pytestmark = pytest.mark.unit


def context(number):
    return bytes([number]) * 32


def total(decoded, name="dense.weight"):
    return decoded.reconstruction.tensors[name].to_float()


@pytest.fixture(params=[PowerSGDCompressor, TopKCompressor])
def codec(request):
    return request.param()


def test_accepted_updates_and_residual_add_up_to_all_deltas(codec):
    schema = ModelSchema.of(model_update())
    sent = given = 0.0
    for number in range(6):
        delta = model_update(number)
        encoded = codec.encode(delta, schema, context(number))
        codec.acknowledge(accepted=True)
        sent, given = sent + total(encoded), given + delta["dense.weight"].astype(np.float64)
    assert np.allclose(sent + codec.memory.residual["dense.weight"], given, atol=1e-6)


def test_constant_delta_arrives_in_the_long_run(codec):
    delta = model_update()
    schema = ModelSchema.of(delta)
    sent = 0.0
    for number in range(40):
        sent = sent + total(codec.encode(delta, schema, context(number)))
        codec.acknowledge(accepted=True)
    exact = delta["dense.weight"].astype(np.float64)
    assert np.linalg.norm(sent / 40 - exact) < 0.3 * np.linalg.norm(exact)


def test_refused_update_returns_whole(codec):
    delta = model_update()
    codec.encode(delta, ModelSchema.of(delta), context(0))
    codec.acknowledge(accepted=False)
    assert all(np.allclose(codec.memory.residual[name], array, atol=1e-8) for name, array in delta.items())


def test_update_without_a_verdict_counts_as_refused(codec):
    delta = model_update()
    schema = ModelSchema.of(delta)
    codec.encode(delta, schema, context(0))
    codec.encode(delta, schema, context(1))
    codec.acknowledge(accepted=False)
    assert np.allclose(codec.memory.residual["norm"], 2 * delta["norm"], atol=1e-7)


def test_encoding_again_in_the_same_round_counts_once(codec):
    delta = model_update()
    schema = ModelSchema.of(delta)
    for _ in range(3):
        codec.encode(delta, schema, context(0))
    codec.acknowledge(accepted=False)
    assert np.allclose(codec.memory.residual["norm"], delta["norm"], atol=1e-7)


def test_returned_share_of_a_refused_update():
    delta = model_update()
    schema = ModelSchema.of(delta)
    codec = PowerSGDCompressor(returned=0.0)
    encoded = codec.encode(delta, schema, context(0))
    codec.acknowledge(accepted=False)
    assert np.allclose(codec.memory.residual["dense.weight"], delta["dense.weight"] - total(encoded), atol=1e-7)


def test_second_verdict_changes_nothing(codec):
    delta = model_update()
    codec.encode(delta, ModelSchema.of(delta), context(0))
    codec.acknowledge(accepted=True)
    before = codec.state_bytes()
    codec.acknowledge(accepted=False)
    assert codec.state_bytes() == before


def test_norm_of_the_residual():
    memory = ErrorFeedback()
    assert memory.norm() == 0.0
    memory.restore(
        {"residual/a": np.array([3.0, 4.0], np.float32)}, b"", ModelSchema.of({"a": np.zeros(2, np.float32)})
    )
    assert memory.norm() == 5.0


def test_memory_of_another_model_is_refused(codec):
    delta = model_update()
    codec.encode(delta, ModelSchema.of(delta), context(0))
    codec.acknowledge(accepted=True)
    other = {"a": np.ones((5, 5), np.float32)}
    with pytest.raises(MalformedObject, match="another model"):
        codec.encode(other, ModelSchema.of(other), context(1))
    with pytest.raises(MalformedObject):
        type(codec)().load_state(codec.state_bytes(), ModelSchema.of(other))


def test_state_of_a_codec_with_memory_is_refused_by_one_without(codec):
    delta = model_update()
    schema = ModelSchema.of(delta)
    codec.encode(delta, schema, context(0))
    with pytest.raises(MalformedObject):
        type(codec)(error_feedback=False).load_state(codec.state_bytes(), schema)


def test_unknown_tensors_in_a_state_are_refused():
    schema = ModelSchema.of({"a": np.zeros(2, np.float32)})
    good = {"accepted/a": np.ones(2, np.float32), "refused/a": np.ones(2, np.float32)}
    ErrorFeedback().restore(good, context(0), schema)
    for tensors, pending in [
        (good, b""),
        ({"accepted/a": good["accepted/a"]}, context(0)),
        ({"residual/b": good["accepted/a"]}, b""),
        (good | {"other": good["accepted/a"]}, context(0)),
    ]:
        with pytest.raises(MalformedObject):
            ErrorFeedback().restore(tensors, pending, schema)
