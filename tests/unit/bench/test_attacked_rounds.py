"""The robustness benchmark's own training: right gradients, paired honest clients, results that can be gone on with."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts" / "bench"))

import _attacked
import robustness
from _harness import BenchmarkFailed

from flare_offchain.federation.aggregation.fedavg import FedAvg
from flare_offchain.models.architectures import initial_weights

pytestmark = pytest.mark.unit

SETTING = _attacked.Setting("digits", "dirichlet:0.5", clients=5, malicious=2, rounds=2, steps=2, hidden=(8,))


def loss(weights, features, labels):
    hidden = np.maximum(features @ weights["hidden.0.weight"].T + weights["hidden.0.bias"], 0)
    logits = hidden @ weights["output.weight"].T + weights["output.bias"]
    return float(np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(labels)), labels]))


def test_steps_follow_the_gradient():
    rng = np.random.default_rng(0)
    start = {
        name: array.astype(np.float64)
        for name, array in initial_weights("mlp", {"inputs": 6, "classes": 3, "hidden": [5]}, 1).items()
    }
    features, labels = rng.random((2, 7, 6)), rng.integers(0, 3, (2, 7))
    stacked = {name: np.repeat(array[None], 2, axis=0) for name, array in start.items()}
    _attacked._descend(stacked, features, labels, np.float64(1.0))
    for client in range(2):
        for name, array in start.items():
            for index in [*np.ndindex(array.shape)][:4]:
                ends = []
                for step in (1e-6, -1e-6):
                    moved = {key: value.copy() for key, value in start.items()}
                    moved[name][index] += step
                    ends.append(loss(moved, features[client], labels[client]))
                slope = (ends[0] - ends[1]) / 2e-6
                assert stacked[name][client][index] - array[index] == pytest.approx(-slope, abs=1e-6)


def test_honest_clients_train_the_same_with_and_without_attackers():
    world = _attacked.World(SETTING, 3)
    clean = _attacked.Federation(world, FedAvg(), None, clean=True)
    attacked = _attacked.Federation(world, FedAvg(), "label_flip")
    alone, among = clean.updates(world.initial, 1), attacked.updates(world.initial, 1)
    assert alone.shape[0] == world.honest == 3 and among.shape[0] == 5
    assert np.allclose(alone, among[:3], atol=1e-6)
    unattacked = _attacked.Federation(world, FedAvg(), None).updates(world.initial, 1)
    assert not np.allclose(among[3:], unattacked[3:])


def test_results_are_gone_on_with_and_foreign_files_refused(tmp_path):
    path = tmp_path / "cells.jsonl"
    cell = robustness.Cell(SETTING, robustness.OURS, "sign_flip", 1)
    outcome = robustness.train(cell)
    assert 0 <= outcome.accuracy <= 1 and 0 <= outcome.false_positives <= 1
    path.write_text(json.dumps({"key": cell.key, "outcome": robustness.asdict(outcome)}) + "\n")
    kept = robustness.Results(path)
    kept.complete([cell], 1)
    assert kept[cell] == outcome == robustness.train(cell)
    assert len(path.read_text().splitlines()) == 1
    path.write_text('{"key": 1}\n')
    with pytest.raises(BenchmarkFailed, match="line 1"):
        robustness.Results(path)
