"""Flare's own descent step moves parameters as torch's optimizer does, to the bit."""

import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from flare_offchain.models.pytorch import _Descent, one_torch_thread  # noqa: E402 - needs torch

pytestmark = pytest.mark.unit


def trajectory(make_step, steps=12):
    """Train a small network, one parameter of which never gets a gradient, and return all parameters."""
    with one_torch_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        module = torch.nn.Sequential(torch.nn.Linear(9, 5), torch.nn.Tanh(), torch.nn.Linear(5, 3))
        unused = torch.nn.Parameter(torch.randn(4))
        parameters = [*module.parameters(), unused]
        step = make_step(parameters)
        for _ in range(steps):
            loss = torch.nn.functional.cross_entropy(module(torch.randn(6, 9)), torch.randint(0, 3, (6,)))
            loss.backward()
            step()
    return np.concatenate([p.detach().numpy().ravel() for p in parameters])


@pytest.mark.parametrize(("momentum", "weight_decay"), [(0.0, 0.0), (0.9, 0.0), (0.0, 0.01), (0.5, 0.1)])
def test_step__same_gradients__same_bits_as_torch(momentum, weight_decay):
    def torchs(parameters):
        optimizer = torch.optim.SGD(parameters, lr=0.3, momentum=momentum, weight_decay=weight_decay)

        def step():
            optimizer.step()
            optimizer.zero_grad()

        return step

    own = trajectory(lambda parameters: _Descent(parameters, 0.3, momentum, weight_decay).step)
    expected = trajectory(torchs)
    assert np.array_equal(own, expected)
    assert not np.array_equal(own, trajectory(lambda parameters: _Descent(parameters, 0.31, 0.0, 0.0).step))


def test_training__in_a_fresh_process__does_not_load_torchs_compiler():
    code = """
import sys
import numpy as np
from flare_offchain.models.adapter import TrainingOptions
from flare_offchain.models.builder import build_adapter
from flare_offchain.utils.datasets import Dataset
data = Dataset("x", np.ones((8, 4), np.float32), np.zeros(8, np.int64), 2)
build_adapter("mlp", {"inputs": 4, "classes": 2, "hidden": [3]}, device="cpu").train(data, 1, 0.1, TrainingOptions())
print("torch._dynamo" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "False", done.stderr
