import hashlib
import subprocess
import sys

import numpy as np
import pytest

from flare_offchain.core.errors import ConfigurationError, MalformedObject
from flare_offchain.models import (
    architecture_of,
    build_adapter,
    forward_function,
    forward_many_function,
    forward_numpy,
    initial_weights,
)
from flare_offchain.utils.serialization import write_model
from flare_offchain.utils.threads import single_threaded

pytestmark = pytest.mark.unit

CASES = [
    ("softmax", {"inputs": 36, "classes": 4}, 148),
    ("mlp", {"inputs": 36, "classes": 4}, 37 * 128 + 129 * 4),
    ("mlp", {"inputs": 36, "classes": 4, "hidden": []}, 148),
    ("mlp", {"inputs": 36, "classes": 4, "hidden": [20, 30, 10]}, 37 * 20 + 21 * 30 + 31 * 10 + 44),
    ("cnn", {"height": 6, "width": 6, "classes": 4}, 160 + 16 * 9 * 32 + 32 + 33 * 64 + 65 * 4),
    ("cnn", {"height": 6, "width": 3, "channels": 2, "filters": [5], "dense": 7, "classes": 4}, 95 + 16 * 7 + 32),
    ("gru", {"inputs": 6, "classes": 4}, 96 * 6 + 96 * 32 + 192 + 33 * 4),
    ("tcn", {"inputs": 6, "classes": 4, "filters": [8, 5]}, 31 * 8 + 41 * 5 + 6 * 4),
]


def features(count=9, seed=0):
    return np.random.Generator(np.random.PCG64(seed)).standard_normal((count, 6, 6)).astype(np.float32)


@pytest.mark.parametrize(("name", "parameters", "size"), CASES)
def test_tensors_and_sizes(name, parameters, size):
    described = architecture_of(name, parameters)
    assert described.schema.parameters == size
    weights = initial_weights(name, parameters, 0)
    described.schema.check(weights)
    assert all(0 < np.abs(array).max() <= 1 for array in weights.values())


@pytest.mark.parametrize(("name", "parameters", "size"), CASES)
def test_forward_agrees_with_the_trained_model(name, parameters, size):
    adapter = build_adapter(name, parameters, 1, "cpu")
    logits = forward_function(name, parameters)(adapter.get_weights(), features())
    assert (logits.shape, logits.dtype) == ((9, 4), np.float32)
    assert np.allclose(logits, adapter.predict(features()), atol=1e-5)


@pytest.mark.parametrize(("name", "parameters", "size"), CASES)
@pytest.mark.parametrize("count", [1, 3, 70])
def test_many_models_at_once_agree_with_one_by_one(name, parameters, size, count):
    models = [initial_weights(name, parameters, seed) for seed in range(count)]
    stacked = {key: np.stack([model[key] for model in models]) for key in models[0]}
    logits = forward_many_function(name, parameters)(stacked, features())
    forward = forward_function(name, parameters)
    assert logits.shape == (count, 9, 4)
    assert np.allclose(logits, [forward(model, features()) for model in models], atol=1e-5)


@pytest.mark.parametrize(("name", "parameters", "size"), CASES)
def test_no_samples_give_no_logits(name, parameters, size):
    weights = initial_weights(name, parameters, 0)
    assert forward_function(name, parameters)(weights, features(0)).shape == (0, 4)


def test_no_models_give_no_logits():
    stacked = {key: array[None][:0] for key, array in initial_weights(*CASES[0][:2], 0).items()}
    assert forward_many_function(*CASES[0][:2])(stacked, features()).shape == (0, 9, 4)


def test_first_weights_are_the_same_bits_everywhere():
    digest = hashlib.sha256(write_model(initial_weights("mlp", {"inputs": 36, "classes": 4}, 7))).hexdigest()
    assert digest == FIRST_WEIGHTS


FIRST_WEIGHTS = "a9d2304c129097409b9242460ed506fc239ac52928c5b19adcd34d8e1447421e"


def test_numpy_forward_does_not_depend_on_the_number_of_threads():
    parameters = {"inputs": 784, "classes": 10, "hidden": [256]}
    weights = initial_weights("mlp", parameters, 0)
    samples = np.random.Generator(np.random.PCG64(0)).standard_normal((500, 784)).astype(np.float32)
    free = forward_function("mlp", parameters)(weights, samples)
    with single_threaded():
        assert np.array_equal(forward_function("mlp", parameters)(weights, samples), free)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("transformer", {}),
        ("os:system", {"inputs": 3, "classes": 2}),
        ("softmax", {"inputs": 3}),
        ("softmax", {"inputs": 3, "classes": 2, "bias": 1}),
        ("softmax", {"inputs": 0, "classes": 2}),
        ("softmax", {"inputs": 3.0, "classes": 2}),
        ("softmax", {"inputs": True, "classes": 2}),
        ("softmax", {"inputs": [3], "classes": 2}),
        ("softmax", {"inputs": 2**21, "classes": 2}),
        ("mlp", {"inputs": 3, "classes": 2, "hidden": [0]}),
        ("mlp", {"inputs": 3, "classes": 2, "hidden": "wide"}),
        ("mlp", {"inputs": 3, "classes": 2, "hidden": [1] * 65}),
        ("mlp", {"inputs": 2**20, "classes": 2, "hidden": [2**20]}),
        ("tcn", {"inputs": 3, "classes": 2, "filters": 8.0}),
        ("cnn", {"height": 2, "width": 2, "classes": 2, "filters": [4, 4]}),
    ],
)
def test_what_is_not_registered_is_refused(name, parameters):
    with pytest.raises(ConfigurationError):
        architecture_of(name, parameters)


@pytest.mark.parametrize(("name", "parameters", "size"), CASES)
def test_samples_of_another_shape_are_refused(name, parameters, size):
    weights = initial_weights(name, parameters, 0)
    with pytest.raises(ConfigurationError, match="fit"):
        forward_function(name, parameters)(weights, np.zeros((5, 7, 5), np.float32))


def test_numpy_forward_knows_its_limits():
    described = architecture_of(*CASES[4][:2])
    with pytest.raises(ConfigurationError, match="numpy"):
        forward_numpy(described, initial_weights(*CASES[4][:2], 0), features())
    with pytest.raises(MalformedObject):
        forward_function(*CASES[4][:2])(initial_weights(*CASES[5][:2], 0), features())


def test_auditing_and_small_devices_need_no_torch():
    script = (
        "import sys; sys.modules['torch'] = None\n"
        "import numpy as np, flare_offchain.models as m, flare_offchain.compression, flare_offchain.utils.datasets\n"
        "p = {'inputs': 4, 'classes': 2}\n"
        "logits = m.forward_function('mlp', p)(m.initial_weights('mlp', p, 0), np.zeros((3, 4), np.float32))\n"
        "assert logits.shape == (3, 2)\n"
        "m.build_adapter('softmax', p)\n"
        "for call in (lambda: m.build_adapter('mlp', p), lambda: m.forward_function('gru', p)):\n"
        "    try: call()\n"
        "    except m.builder.ConfigurationError as error: assert 'torch' in str(error)\n"
        "    else: raise SystemExit('no error')\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
