"""Models in a process of their own: the same bits, the same errors, and what a dying child costs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from flare_offchain.core.errors import ConfigurationError, FlareError, MalformedObject, ProcessFailed, RoundAbandoned
from flare_offchain.core.tensors import Weights
from flare_offchain.models import ModelAdapter, TrainingOptions, build_adapter, forward_function, forward_many_function
from flare_offchain.models.apart import ApartAdapter, ModelProcess, build_adapter_apart, forwards_apart
from flare_offchain.models.own import offer_module
from flare_offchain.utils.datasets import Dataset

MLP = {"inputs": 6, "hidden": [5], "classes": 3}
GRU = {"inputs": 3, "hidden": 4, "classes": 3}
OPTIONS = TrainingOptions(batch_size=7, momentum=0.9, weight_decay=0.01, proximal=0.1, seed=4)
LONG = 10_000_000
"""Epochs that no test waits for."""


def samples(count: int = 40, shape: tuple[int, ...] = (6,)) -> Dataset:
    generator = np.random.default_rng(1)
    return Dataset(
        "made",
        generator.standard_normal((count, *shape)).astype(np.float32),
        generator.integers(0, 3, count).astype(np.int64),
        3,
    )


def same(left: Weights, right: Weights) -> bool:
    return left.keys() == right.keys() and all(left[name].tobytes() == right[name].tobytes() for name in left)


def running(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def soon(reached: object, seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while not reached():  # type: ignore[operator]
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture(scope="module")
def process() -> Iterator[ModelProcess]:
    with ModelProcess(timeout=60, linger=60) as one:
        yield one


def _trained(adapter: ModelAdapter, data: Dataset) -> tuple[Weights, float]:
    result = adapter.train(data, 2, 0.05, OPTIONS)
    return adapter.get_weights(), result.loss


@pytest.mark.parametrize(("name", "parameters", "shape"), [("mlp", MLP, (6,)), ("gru", GRU, (4, 3))])
def test_training_and_predictions_are_the_same_bits(
    process: ModelProcess, name: str, parameters: dict[str, object], shape: tuple[int, ...]
) -> None:
    data = samples(shape=shape)
    apart, here = ApartAdapter(process, name, parameters, 5, "cpu"), build_adapter(name, parameters, 5, "cpu")
    assert same(apart.get_weights(), here.get_weights())
    (left, left_loss), (right, right_loss) = _trained(apart, data), _trained(here, data)
    assert same(left, right)
    assert left_loss == right_loss
    assert apart.predict(data.features).tobytes() == here.predict(data.features).tobytes()
    assert apart.evaluate(data) == here.evaluate(data)


def test_committees_see_the_same_logits(process: ModelProcess) -> None:
    forwards, data = forwards_apart(process), samples(shape=(4, 3))
    models = [build_adapter("gru", GRU, seed, "cpu").get_weights() for seed in range(3)]
    stacked = {name: np.stack([model[name] for model in models]) for name in models[0]}
    one, many = forwards.one("gru", GRU), forwards.many("gru", GRU)
    assert one(models[0], data.features).tobytes() == forward_function("gru", GRU)(models[0], data.features).tobytes()
    expected = forward_many_function("gru", GRU)(stacked, data.features)
    assert many(stacked, data.features).tobytes() == expected.tobytes()


def test_what_needs_no_torch_stays_here() -> None:
    with ModelProcess() as process:
        adapter = build_adapter_apart(process, "softmax", {"inputs": 6, "classes": 3})
        adapter.train(samples(), 1, 0.1)
        forwards = forwards_apart(process)
        model = build_adapter("mlp", MLP, 0, "cpu").get_weights()
        assert forwards.one("mlp", MLP)(model, samples().features).shape == (40, 3)
        assert process.pid is None


def test_a_module_of_ones_own_is_built_there(
    process: ModelProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = """
from torch import nn
class Net(nn.Module):
    def __init__(self, width):
        super().__init__()
        print("nobody reads what a module prints")
        self.norm, self.output = nn.BatchNorm1d(width), nn.Linear(width, 3)
    def forward(self, features):
        return self.output(self.norm(features))
class Broken(Net):
    def forward(self, features):
        raise KeyError("not today")
"""
    (tmp_path / "nets_apart.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    offer_module("net-apart", "nets_apart:Net")
    offer_module("net-broken", "nets_apart:Broken")
    with ModelProcess() as fresh:
        apart = build_adapter_apart(fresh, "net-apart", {"width": 6}, 3, "cpu")
        here = build_adapter("net-apart", {"width": 6}, 3, "cpu")
        assert same(_trained(apart, samples())[0], _trained(here, samples())[0])
        broken = build_adapter_apart(fresh, "net-broken", {"width": 6}, 3, "cpu")
        with pytest.raises(ProcessFailed, match=r"KeyError: 'not today' \(nets_apart.py:12\)"):
            broken.train(samples(), 1, 0.1)
        # It failed, it did not end: the next request is answered by the same child.
        first = fresh.pid
        apart.train(samples(), 1, 0.1)
        assert fresh.pid == first


def test_errors_come_back_as_they_are(process: ModelProcess) -> None:
    with pytest.raises(ConfigurationError, match="unknown architecture"):
        ApartAdapter(process, "oracle", {})
    with pytest.raises(ConfigurationError, match="a device is auto, cpu or cuda"):
        ApartAdapter(process, "mlp", MLP, 0, "abacus")
    if not torch.cuda.is_available():
        with pytest.raises(ConfigurationError, match="there is no CUDA device here"):
            ApartAdapter(process, "mlp", MLP, 0, "cuda")
    adapter = ApartAdapter(process, "mlp", MLP, 5, "cpu")
    before = adapter.get_weights()
    with pytest.raises(RoundAbandoned, match="diverged"):
        adapter.train(samples(), 30, 1e30)
    assert same(adapter.get_weights(), before)
    with pytest.raises(MalformedObject):
        adapter.set_weights({"output.bias": np.zeros(3, np.float32)})


def test_a_killed_child_costs_a_second_try() -> None:
    with ModelProcess() as process:
        adapter = ApartAdapter(process, "mlp", MLP, 5, "cpu")
        before, pid = adapter.get_weights(), process.pid
        assert pid is not None
        killer = threading.Timer(0.5, lambda: os.kill(pid, signal.SIGKILL))
        killer.start()
        with pytest.raises(ProcessFailed, match="was killed by signal 9"):
            adapter.train(samples(), LONG, 1e-6)
        assert same(adapter.get_weights(), before)
        here = build_adapter("mlp", MLP, 5, "cpu")
        assert same(_trained(adapter, samples())[0], _trained(here, samples())[0])


def test_a_child_that_died_unseen_is_replaced() -> None:
    with ModelProcess() as process:
        adapter = ApartAdapter(process, "mlp", MLP, 5, "cpu")
        pid = process.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        assert soon(lambda: process.pid is None)
        adapter.train(samples(), 1, 0.1)
        assert process.pid != pid


def test_what_takes_too_long_is_given_up() -> None:
    with ModelProcess(timeout=60) as process:
        adapter = ApartAdapter(process, "mlp", MLP, 5, "cpu")
        process.timeout = 0.5
        with pytest.raises(RoundAbandoned, match=r"raise training\.timeout"):
            adapter.train(samples(), LONG, 1e-6)
        assert process.pid is None


def test_an_idle_child_ends() -> None:
    with ModelProcess(linger=0.1) as process:
        ApartAdapter(process, "mlp", MLP, 5, "cpu")
        assert soon(lambda: process.pid is None)


def test_signals_to_the_group_leave_the_decision_to_the_parent() -> None:
    with ModelProcess() as process:
        adapter = ApartAdapter(process, "mlp", MLP, 5, "cpu")
        pid = process.pid
        assert pid is not None
        os.kill(pid, signal.SIGINT)
        os.kill(pid, signal.SIGTERM)
        adapter.train(samples(), 1, 0.1)
        assert process.pid == pid


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_child_ends_with_a_parent_that_is_killed() -> None:
    code = f"""
import sys, threading
from tests.unit.models.test_apart import LONG, MLP, samples
from flare_offchain.models.apart import ApartAdapter, ModelProcess
process = ModelProcess()
adapter = ApartAdapter(process, "mlp", MLP, 5, "cpu")
print(process.pid, flush=True)
adapter.train(samples(), {LONG}, 1e-6)
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[3], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    with parent.stdout:
        child = int(parent.stdout.readline())
    time.sleep(0.3)
    parent.kill()
    parent.wait()
    assert soon(lambda: not running(child))


def test_it_is_told_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLARE_PASSWORD", "a password of nobody")
    with ModelProcess() as process:
        ApartAdapter(process, "mlp", MLP, 5, "cpu")
        environment = Path(f"/proc/{process.pid}/environ")
        if not environment.exists():
            pytest.skip("reads /proc")
        assert b"a password of nobody" not in environment.read_bytes()


def test_a_child_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with ModelProcess() as process, pytest.raises(FlareError, match="cannot be started"):
        ApartAdapter(process, "mlp", MLP, 5, "cpu")
