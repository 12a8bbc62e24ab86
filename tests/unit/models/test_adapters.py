import numpy as np
import pytest
import torch
from torch import nn

from flare_offchain.core.errors import ConfigurationError, DataError
from flare_offchain.models import MockModelAdapter, TrainingOptions, build_adapter, initial_weights
from flare_offchain.models.pytorch import PyTorchModelAdapter, adapter_from_class, one_torch_thread, select_device
from tests.suites.model_adapter_suite import ModelAdapterSuite, clusters, same

pytestmark = pytest.mark.unit


class Normalised(nn.Module):
    """With batch normalisation, dropout and a frozen layer: what the registered architectures lack."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.first = nn.Linear(36, width)
        self.norm = nn.BatchNorm1d(width)
        self.drop = nn.Dropout(0.1)
        self.last = nn.Linear(width, 4)

    def forward(self, features):
        return self.last(self.drop(torch.relu(self.norm(self.first(features.flatten(1))))))


class TestMockModelAdapter(ModelAdapterSuite):
    def make(self, seed=0):
        return MockModelAdapter(36, 4, seed)

    def test_gradient_agrees_with_torch(self):
        data = clusters(50)
        ours = self.make()
        module = nn.Linear(36, 4)
        with torch.no_grad():
            module.weight.copy_(torch.from_numpy(ours.get_weights()["output.weight"]))
            module.bias.copy_(torch.from_numpy(ours.get_weights()["output.bias"]))
        options = TrainingOptions(batch_size=50, momentum=0.9, weight_decay=0.1)
        theirs = PyTorchModelAdapter(nn.Sequential(nn.Flatten(), module), "cpu")
        ours.train(data, 4, 0.5, options)
        theirs.train(data, 4, 0.5, options)
        assert np.allclose(ours.get_weights()["output.weight"], theirs.get_weights()["1.weight"], atol=1e-5)
        assert np.allclose(ours.get_weights()["output.bias"], theirs.get_weights()["1.bias"], atol=1e-5)


class TestPerceptron(ModelAdapterSuite):
    def make(self, seed=0):
        return build_adapter("mlp", {"inputs": 36, "hidden": [16], "classes": 4}, seed, "cpu")


class TestConvolutionalNetwork(ModelAdapterSuite):
    def make(self, seed=0):
        parameters = {"height": 6, "width": 6, "classes": 4, "filters": [8, 8], "dense": 16}
        return build_adapter("cnn", parameters, seed, "cpu")


class TestRecurrentNetwork(ModelAdapterSuite):
    learning_rate = 0.3

    def make(self, seed=0):
        return build_adapter("gru", {"inputs": 6, "hidden": 16, "classes": 4}, seed, "cpu")


class TestTemporalNetwork(ModelAdapterSuite):
    learning_rate = 0.3

    def make(self, seed=0):
        return build_adapter("tcn", {"inputs": 6, "filters": [16, 16], "classes": 4}, seed, "cpu")


class TestOwnModule(ModelAdapterSuite):
    def make(self, seed=0):
        return adapter_from_class(f"{__name__}:Normalised", {"width": 24}, seed, "cpu")

    def test_float_buffers_are_weights_and_counters_are_not(self):
        adapter = self.make()
        names = set(adapter.get_weights())
        assert {"norm.running_mean", "norm.running_var"} <= names
        assert "norm.num_batches_tracked" not in names
        before = adapter.get_weights()["norm.running_mean"]
        adapter.train(clusters())
        assert not np.array_equal(adapter.get_weights()["norm.running_mean"], before)

    def test_statistics_travel_like_weights_and_a_negative_variance_is_taken_as_zero(self):
        adapter, other = self.make(), self.make(1)
        weights = adapter.get_weights()
        weights["norm.running_var"][:3] = [-0.5, -1e-3, 0.0]
        adapter.set_weights(weights)
        other.deserialize_weights(adapter.serialize_weights())
        features = clusters(20).features
        logits = adapter.predict(features)
        assert np.isfinite(logits).all()
        assert np.array_equal(other.predict(features), logits)
        assert same(adapter.get_weights(), weights)
        zero = dict(weights) | {"norm.running_var": np.maximum(weights["norm.running_var"], 0)}
        adapter.set_weights(zero)
        assert np.array_equal(adapter.predict(features), logits)

    def test_a_batch_of_one_is_left_out_where_there_is_batch_normalisation(self):
        data = clusters(17)
        result = self.make().train(data, 2, 0.1, TrainingOptions(batch_size=8))
        assert result.steps == 4
        assert np.isfinite(result.loss)
        adapter = self.make()
        before = adapter.get_weights()
        with pytest.raises(DataError, match="batches of at least 2"):
            adapter.train(data, 1, 0.1, TrainingOptions(batch_size=1))
        assert same(adapter.get_weights(), before)

    def test_counters_stay_where_they_are(self):
        adapter = self.make()
        adapter.train(clusters(), 1)
        count = int(adapter.module.norm.num_batches_tracked)
        adapter.set_weights(self.make(1).get_weights())
        assert int(adapter.module.norm.num_batches_tracked) == count > 0

    def test_dropout_is_seeded_and_leaves_torchs_generator_alone(self):
        torch.manual_seed(1)
        expected = torch.rand(1)
        torch.manual_seed(1)
        self.make().train(clusters())
        assert torch.rand(1) == expected

    @pytest.mark.parametrize(
        "path", ["", "x", ":y", "no.such.module:X", f"{__name__}:Nothing", "os:getcwd", "json:JSONDecoder"]
    )
    def test_what_is_no_module_class_is_refused(self, path):
        with pytest.raises(ConfigurationError):
            adapter_from_class(path, {})


def test_training_does_not_depend_on_the_number_of_threads():
    results = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        adapter = TestConvolutionalNetwork().make()
        adapter.train(clusters(), 2)
        results.append(adapter.serialize_weights())
        assert torch.get_num_threads() == threads
    assert results[0] == results[1]


def test_one_torch_thread_is_undone_after_an_error():
    torch.set_num_threads(2)
    with pytest.raises(KeyError), one_torch_thread():
        assert torch.get_num_threads() == 1
        raise KeyError
    assert torch.get_num_threads() == 2


def test_devices():
    assert select_device("cpu").type == "cpu"
    assert select_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(ConfigurationError, match="auto, cpu or cuda"):
        select_device("tpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_missing_cuda_is_said():
    with pytest.raises(ConfigurationError, match="no CUDA device"):
        select_device("cuda")


@pytest.mark.parametrize("architecture", ["softmax", "mlp", "cnn", "gru", "tcn"])
def test_builder_starts_from_the_weights_that_the_seed_gives(architecture):
    parameters = {
        "softmax": {"inputs": 36, "classes": 4},
        "mlp": {"inputs": 36, "classes": 4},
        "cnn": {"height": 6, "width": 6, "classes": 4},
        "gru": {"inputs": 6, "classes": 4},
        "tcn": {"inputs": 6, "classes": 4},
    }[architecture]
    adapter = build_adapter(architecture, parameters, 9, "cpu")
    assert same(adapter.get_weights(), initial_weights(architecture, parameters, 9))


@pytest.mark.parametrize(
    "options", [{"batch_size": 0}, {"seed": -1}, {"momentum": 1.0}, {"weight_decay": -0.1}, {"proximal": -1.0}]
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ConfigurationError):
        TrainingOptions(**options)


def test_batches_cover_every_sample_once_an_epoch_in_fresh_order():
    batches = list(TrainingOptions(batch_size=4, seed=1).batches(10, 2))
    assert [len(batch) for batch in batches] == [4, 4, 2, 4, 4, 2]
    first, second = np.concatenate(batches[:3]), np.concatenate(batches[3:])
    assert sorted(first) == sorted(second) == list(range(10))
    assert not np.array_equal(first, second)
