"""Torch modules of one's own: offered by name, built from plain parameters, never taken from a spec."""

import subprocess
import sys

import numpy as np
import pytest

from flare_offchain.core.errors import ConfigurationError, MalformedObject
from flare_offchain.models import build_adapter, forward_function, forward_many_function, initial_weights
from flare_offchain.models import own as registry
from flare_offchain.models.own import is_offered, offer_module, offer_modules

pytestmark = pytest.mark.unit

NET = "tests.factories.nets:NormedNet"


@pytest.fixture(autouse=True)
def nothing_offered(monkeypatch):
    monkeypatch.setattr(registry, "_offered", {})


def test_an_offered_module_is_a_model_like_any_other():
    offer_modules([f"net={NET}"])
    weights = initial_weights("net", {"width": 8}, 3)
    assert set(weights) >= {"norm.running_mean", "norm.running_var", "hidden.weight"}
    assert weights["hidden.weight"].shape == (8, 64)
    adapter = build_adapter("net", {"width": 8}, 3, "cpu")
    for name, array in adapter.get_weights().items():
        np.testing.assert_array_equal(array, weights[name])
    features = np.random.default_rng(0).random((5, 8, 8), np.float32)
    adapter.set_weights(weights)
    logits = forward_function("net", {"width": 8})(weights, features)
    np.testing.assert_array_equal(logits, adapter.predict(features))
    stacked = {name: np.stack([array, array * 2]) for name, array in weights.items()}
    many = forward_many_function("net", {"width": 8})(stacked, features)
    assert many.shape == (2, 5, 10)
    np.testing.assert_array_equal(many[0], logits)


def test_negative_running_variances_of_a_lossy_update_are_taken_as_zero():
    offer_module("net", NET)
    weights = initial_weights("net", {}, 0)
    weights["norm.running_var"] = np.full_like(weights["norm.running_var"], -0.5)
    features = np.ones((2, 64), np.float32)
    assert np.isfinite(forward_function("net", {})(weights, features)).all()


@pytest.mark.parametrize(
    ("name", "path"),
    [("mlp", NET), ("Net", NET), ("", NET), ("net", "tests.factories.nets"), ("net", "os;x:y"), ("net", "")],
)
def test_what_names_no_module_is_refused(name, path):
    with pytest.raises(ConfigurationError):
        offer_modules([f"{name}={path}"])


def test_a_name_stands_for_one_class():
    offer_module("net", NET)
    offer_module("net", NET)
    with pytest.raises(ConfigurationError, match="already"):
        offer_module("net", "tests.factories.nets:Other")


def test_a_name_that_nobody_offered_is_refused_and_nothing_is_imported_before_it_is_asked_for():
    offer_module("other", "no_such_package.nets:Net")
    assert is_offered("other") and not is_offered("net")
    with pytest.raises(ConfigurationError, match=r"--module net=package\.module:Class"):
        build_adapter("net", {})
    with pytest.raises(ConfigurationError, match="cannot be imported"):
        build_adapter("other", {})


def test_wrong_parameters_samples_and_weights_are_refused_in_words():
    offer_module("net", NET)
    with pytest.raises(ConfigurationError, match="cannot be built"):
        build_adapter("net", {"depth": 3})
    forward = forward_function("net", {})
    with pytest.raises(ConfigurationError, match="do not fit the module net"):
        forward(initial_weights("net", {}, 0), np.zeros((2, 5), np.float32))
    with pytest.raises(MalformedObject):
        forward({}, np.zeros((2, 64), np.float32))


def test_offering_loads_no_torch():
    program = (
        "import sys; from flare_offchain.models.own import offer_modules; "
        f"offer_modules(['net={NET}']); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
