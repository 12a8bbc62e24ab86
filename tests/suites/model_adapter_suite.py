"""What every model adapter must do."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import pytest

from flare_offchain.core.errors import ConfigurationError, DataError, MalformedObject, RoundAbandoned
from flare_offchain.core.tensors import ModelSchema
from flare_offchain.models.adapter import ModelAdapter, TrainingOptions
from flare_offchain.utils.datasets import Dataset


def clusters(samples: int = 240, seed: int = 0) -> Dataset:
    """Four well separated classes of 36 numbers, as [N, 6, 6]."""
    generator = np.random.Generator(np.random.PCG64(seed))
    centres = np.random.Generator(np.random.PCG64(99)).standard_normal((4, 6, 6))
    labels = generator.integers(0, 4, samples)
    features = centres[labels] + 0.5 * generator.standard_normal((samples, 6, 6))
    return Dataset("clusters", features.astype(np.float32), labels, 4)


def same(left, right) -> bool:
    return left.keys() == right.keys() and all(np.array_equal(left[name], right[name]) for name in left)


class ModelAdapterSuite(ABC):
    """`make(seed)` returns an adapter for samples [6, 6] and 4 classes."""

    learning_rate = 0.1

    @abstractmethod
    def make(self, seed: int = 0) -> ModelAdapter:
        """Return a new adapter."""

    def test_training_learns(self):
        adapter, data = self.make(), clusters()
        before = adapter.evaluate(clusters(seed=1))
        result = adapter.train(data, epochs=8, learning_rate=self.learning_rate)
        after = adapter.evaluate(clusters(seed=1))
        assert after.accuracy > 0.9 > before.accuracy
        assert after.loss < before.loss
        assert (result.samples, result.steps) == (240, 8 * 15)
        assert 0 < result.loss < before.loss

    def test_training_is_a_function_of_weights_data_and_options(self):
        left, right, other = self.make(), self.make(), self.make()
        options = TrainingOptions(batch_size=32, momentum=0.5, weight_decay=0.01, proximal=0.1, seed=3)
        left.train(clusters(), 2, self.learning_rate, options)
        right.train(clusters(), 2, self.learning_rate, options)
        other.train(clusters(), 2, self.learning_rate, TrainingOptions(batch_size=32, seed=4))
        assert left.serialize_weights() == right.serialize_weights()
        assert left.serialize_weights() != other.serialize_weights()

    def test_seed_gives_the_first_weights(self):
        assert same(self.make(5).get_weights(), self.make(5).get_weights())
        assert not same(self.make(5).get_weights(), self.make(6).get_weights())

    def test_weights_are_a_copy_and_come_back(self):
        adapter = self.make()
        weights = adapter.get_weights()
        assert all(array.dtype == np.float32 and array.flags.c_contiguous for array in weights.values())
        kept = {name: array.copy() for name, array in weights.items()}
        for array in weights.values():
            array += 1
        assert same(adapter.get_weights(), kept)
        adapter.set_weights(weights)
        assert same(adapter.get_weights(), weights)
        assert adapter.schema == ModelSchema.of(weights)

    def test_foreign_or_broken_weights_are_refused(self):
        adapter = self.make()
        weights = adapter.get_weights()
        name = next(iter(weights))
        for wrong in (
            {},
            weights | {"other": np.zeros(1, np.float32)},
            weights | {name: weights[name].astype(np.float64)},
            weights | {name: np.full_like(weights[name], np.nan)},
            weights | {name: np.zeros((1, *weights[name].shape), np.float32)},
        ):
            with pytest.raises(MalformedObject):
                adapter.set_weights(wrong)
        assert same(adapter.get_weights(), weights)

    def test_predictions_are_logits(self):
        logits = self.make().predict(clusters(7).features)
        assert (logits.shape, logits.dtype) == ((7, 4), np.float32)

    def test_weights_and_model_survive_serialisation(self):
        adapter = self.make(1)
        copy, model = self.make(2), self.make(3)
        copy.deserialize_weights(adapter.serialize_weights())
        model.deserialize_model(adapter.serialize_model())
        assert same(copy.get_weights(), adapter.get_weights())
        assert model.serialize_model() == adapter.serialize_model()

    def test_other_bytes_are_refused(self):
        adapter = self.make()
        weights, model = adapter.serialize_weights(), adapter.serialize_model()
        for data in (b"", b"junk", weights, model[:-1], model + b"\0"):
            with pytest.raises(MalformedObject):
                adapter.deserialize_model(data)
        for data in (b"", model, weights[:-1], weights + b"\0"):
            with pytest.raises(MalformedObject):
                adapter.deserialize_weights(data)

    def test_model_of_another_description_is_refused(self):
        from flare_offchain.utils.serialization import encode_record

        adapter = self.make()
        record = {
            "type": "flare/model",
            "version": 1,
            "model": {"architecture": "x"},
            "weights": adapter.serialize_weights(),
        }
        with pytest.raises(MalformedObject, match="not"):
            adapter.deserialize_model(encode_record(record))

    def test_weight_decay_shrinks_and_proximal_term_holds_back(self):
        def moved(options):
            adapter = self.make()
            start = adapter.get_weights()
            adapter.train(clusters(), 3, self.learning_rate, options)
            end = {name: array for name, array in adapter.get_weights().items() if "running" not in name}
            size = sum(float(np.square(array).sum()) for array in end.values())
            return size, sum(float(np.square(end[name] - start[name]).sum()) for name in end)

        plain = moved(TrainingOptions())
        assert moved(TrainingOptions(weight_decay=0.3))[0] < plain[0]
        assert moved(TrainingOptions(proximal=3.0))[1] < 0.5 * plain[1]

    def test_divergence_is_an_error_and_restores_the_weights(self):
        adapter = self.make()
        before = adapter.get_weights()
        with pytest.raises(RoundAbandoned, match="learning rate"):
            adapter.train(clusters(40), 5, 1e30, TrainingOptions(weight_decay=1e30))
        assert same(adapter.get_weights(), before)

    def test_nothing_to_do_is_an_error(self):
        adapter, data = self.make(), clusters()
        nothing = data.subset(np.zeros(0, np.int64))
        with pytest.raises(DataError, match="no samples"):
            adapter.train(nothing)
        for epochs, rate in ((0, 0.1), (1, 0.0), (1, float("nan")), (1, float("inf"))):
            with pytest.raises(ConfigurationError):
                adapter.train(data, epochs, rate)
        assert np.isnan(adapter.evaluate(nothing).accuracy)
