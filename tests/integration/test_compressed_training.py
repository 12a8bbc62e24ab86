"""Federated training on the digits through a codec reaches the accuracy of uncompressed training."""

import numpy as np
import pytest

from flare_offchain.compression import codec_from_spec
from flare_offchain.core.tensors import ModelSchema
from flare_offchain.models import TrainingOptions, build_adapter, initial_weights
from flare_offchain.utils.datasets import load_dataset, split
from flare_offchain.utils.partition import partition

pytestmark = pytest.mark.integration

PARAMETERS = {"inputs": 64, "hidden": [64], "classes": 10}
CLIENTS = 6
ROUNDS = 25


def train(codec_name, codec_parameters, seed=0):
    """Return (test accuracy, bytes of all updates) of FedAvg; every update is read from its bytes."""
    parts = split(load_dataset(), seed, probe=0.05, test=0.25)
    shares = [parts.train.subset(i) for i in partition(parts.train, "dirichlet:0.5", CLIENTS, seed)]
    codecs = [codec_from_spec(codec_name, codec_parameters) for _ in shares]
    adapter = build_adapter("mlp", PARAMETERS, seed, "cpu")
    weights, sent = initial_weights("mlp", PARAMETERS, seed), 0
    schema = ModelSchema.of(weights)
    for number in range(ROUNDS):
        mean = {name: np.zeros(array.shape) for name, array in weights.items()}
        for client, (share, codec) in enumerate(zip(shares, codecs, strict=True)):
            adapter.set_weights(weights)
            adapter.train(share, 2, 0.1, TrainingOptions(seed=1000 * number + client))
            delta = {name: array - weights[name] for name, array in adapter.get_weights().items()}
            context = bytes([number, client]) * 16
            data = codec.encode(delta, schema, context).data
            codec.acknowledge(accepted=True)
            sent += len(data)
            for name, tensor in codec.decode(data, schema, context).tensors.items():
                mean[name] += tensor.to_float() * len(share) / len(parts.train)
        weights = {name: (array + mean[name]).astype(np.float32) for name, array in weights.items()}
    adapter.set_weights(weights)
    return adapter.evaluate(parts.test).accuracy, sent


@pytest.fixture(scope="module")
def uncompressed():
    return train("none", {})


def test_uncompressed_training_works(uncompressed):
    assert uncompressed[0] > 0.94


@pytest.mark.parametrize(
    ("name", "parameters", "ratio"),
    [
        ("powersgd", {"rank": 4, "bits": 4}, 25),
        ("powersgd", {"rank": 2, "bits": 3}, 50),
        ("topk", {"density": 0.1}, 30),
    ],
    ids=["rank 4", "rank 2", "top 10 %"],
)
def test_compressed_training_loses_next_to_nothing(uncompressed, name, parameters, ratio):
    accuracy, sent = train(name, parameters)
    schema_bytes = 4 * sum(array.size for array in initial_weights("mlp", PARAMETERS, 0).values())
    assert accuracy >= uncompressed[0] - 0.015
    assert schema_bytes * CLIENTS * ROUNDS / sent >= ratio
