"""Models in a process of their own: what needs torch runs in a child, so that a daemon that waits never loads it.

A worker trains for seconds and waits for minutes, and torch holds several hundred MiB for as long as its process lives.
The child is started when there is something to compute, reused while more comes, and ended a moment after. Models and
data cross as plain arrays (`flare_offchain.utils.frames`); results are the same bits as in one process. A child that
dies costs a second try and nothing else: what a worker must not lose, it keeps itself.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
from numpy.typing import NDArray

from flare_offchain.core import errors
from flare_offchain.core.errors import FlareError, MalformedObject, ProcessFailed, RoundAbandoned
from flare_offchain.core.tensors import Float32Array, ModelSchema, Weights
from flare_offchain.models.adapter import ModelAdapter, TrainingOptions, TrainingResult
from flare_offchain.models.architectures import Parameters
from flare_offchain.models.builder import build_adapter
from flare_offchain.models.child import FEATURES, LABELS, LOGITS, LOSS
from flare_offchain.models.forward import (
    IN_PROCESS,
    NUMPY_ARCHITECTURES,
    Forward,
    ForwardMany,
    Forwards,
)
from flare_offchain.models.own import offered_path
from flare_offchain.utils.datasets import Dataset
from flare_offchain.utils.frames import Frame, read_frame, write_frame

TIMEOUT = 3600.0
"""Seconds that one training may take."""
LINGER = 5.0
"""Seconds that an idle child is kept: a committee's evaluations come one after another."""
_WITHOUT_TORCH = "softmax"
_STDERR_LINES = 20


class ModelProcess:
    """A child process that computes with models, one request at a time. A context manager: it ends with the block.

    Args:
        timeout: seconds that one request may take; after them the child is killed.
        linger: seconds that an idle child is kept.
    """

    def __init__(self, timeout: float = TIMEOUT, linger: float = LINGER) -> None:
        self.timeout, self.linger = timeout, linger
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._said: deque[str] = deque(maxlen=_STDERR_LINES)
        self._idle: threading.Timer | None = None

    @property
    def pid(self) -> int | None:
        """The child's process id; None where none runs."""
        child = self._child
        return child.pid if child is not None and child.poll() is None else None

    def ask(self, request: Frame) -> Frame:
        """Have a request answered.

        Raises:
            ProcessFailed: the child ended or failed; the next call starts another.
            RoundAbandoned: it took longer than the limit, and was killed.
            FlareError: what the child raised, of the same class.
        """
        with self._lock:
            self._keep_awake()
            answer = self._exchange(request)
            self._idle = threading.Timer(self.linger, self.close)
            self._idle.daemon = True
            self._idle.start()
        match answer.values:
            case {"error": str(name), "message": str(message)}:
                raise _error(name, message)
        return answer

    def close(self) -> None:
        """End the child, if one runs and has nothing to do; safe to call twice."""
        with self._lock:
            self._keep_awake()
            self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _keep_awake(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _exchange(self, request: Frame) -> Frame:
        child = self._started()
        assert child.stdin is not None
        assert child.stdout is not None
        late = threading.Event()

        def give_up() -> None:
            late.set()
            child.kill()

        limit = threading.Timer(self.timeout, give_up)
        limit.daemon = True
        limit.start()
        try:
            write_frame(child.stdin, request)
            answer = read_frame(child.stdout)
        except (OSError, MalformedObject) as error:
            answer, cause = None, f": {error}"
        else:
            cause = ""
        finally:
            limit.cancel()
        if answer is None:
            self._end()
            if late.is_set():
                raise RoundAbandoned(
                    f"computing with the model took longer than {self.timeout:.0f} s: raise training.timeout"
                )
            said = f"; it said: {self._said[-1]}" if self._said else ""
            raise ProcessFailed(f"the model process {_ending(child.returncode)}{cause}{said}; trying again")
        return answer

    def _started(self) -> subprocess.Popen[bytes]:
        if self._child is not None and self._child.poll() is None:
            return self._child
        self._end()
        try:
            self._child = subprocess.Popen(
                [sys.executable, "-P", "-m", "flare_offchain.models.child"],
                env=_environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except OSError as error:
            raise ProcessFailed(f"the model process cannot be started: {error}; trying again") from error
        assert self._child.stderr is not None
        self._said.clear()
        threading.Thread(target=_follow, args=(self._child.stderr, self._said), daemon=True).start()
        return self._child

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        # It watches its standard input; what it computes for nobody is not waited for.
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    continue


class ApartAdapter(ModelAdapter):
    """A model that is held here and computed with in a model process.

    Args:
        process: where.
        architecture, parameters, seed, device: as `build_adapter`.

    Raises:
        ConfigurationError: as `build_adapter`: the child tries it at once.
        ProcessFailed: the child cannot be started, or ended.
    """

    def __init__(
        self, process: ModelProcess, architecture: str, parameters: Parameters, seed: int = 0, device: str = "auto"
    ) -> None:
        self._process = process
        self._model = _model(architecture, parameters, seed, device)
        self._weights: dict[str, Float32Array] = dict(process.ask(Frame({"job": "build", **self._model})).arrays)
        self._schema = ModelSchema.of(self._weights)

    @property
    def description(self) -> dict[str, object]:
        """Architecture and parameters."""
        return {"architecture": self._model["architecture"], "parameters": self._model["parameters"]}

    def get_weights(self) -> dict[str, Float32Array]:
        """Return a copy of the weights."""
        return {name: array.copy() for name, array in self._weights.items()}

    def set_weights(self, weights: Weights) -> None:
        """Replace the weights (see `ModelAdapter.set_weights`)."""
        self._schema.check(weights)
        self._weights = {name: np.array(weights[name], np.float32, order="C") for name in weights}

    def predict(self, features: Float32Array) -> Float32Array:
        """Return logits, float32 [N, classes]."""
        arrays = {**self._weights, FEATURES: np.asarray(features, np.float32)}
        return _logits(self._process.ask(Frame({"job": "predict", **self._model}, arrays)))

    def _fit(self, data: Dataset, epochs: int, learning_rate: float, options: TrainingOptions) -> TrainingResult:
        values = {
            "job": "train",
            "epochs": epochs,
            "learning_rate": float(learning_rate),
            "options": asdict(options),
            **self._model,
        }
        arrays: dict[str, NDArray[Any]] = {**self._weights, FEATURES: data.features, LABELS: data.labels}
        answer = self._process.ask(Frame(values, arrays))
        match answer.values:
            case {"samples": int(samples), "steps": int(steps)} if LOSS in answer.arrays:
                arrays = dict(answer.arrays)
                loss = float(arrays.pop(LOSS))
                self.set_weights(arrays)
                return TrainingResult(samples, steps, loss)
            case _:
                raise ProcessFailed("the model process did not say how training went; trying again")


def build_adapter_apart(
    process: ModelProcess, architecture: str, parameters: Parameters, seed: int = 0, device: str = "auto"
) -> ModelAdapter:
    """Return an adapter whose torch, if it needs any, is in `process`. Raises as `build_adapter` and `ApartAdapter`."""
    if architecture == _WITHOUT_TORCH and offered_path(architecture) is None:
        return build_adapter(architecture, parameters, seed, device)
    return ApartAdapter(process, architecture, parameters, seed, device)


def forwards_apart(process: ModelProcess) -> Forwards:
    """Return the functions that compute logits in `process` where they need torch, the same bits as in this one."""

    def many(architecture: str, parameters: Parameters) -> ForwardMany:
        if architecture in NUMPY_ARCHITECTURES:
            return IN_PROCESS.many(architecture, parameters)
        model = _model(architecture, parameters)

        def forward(stacked: Mapping[str, Float32Array], features: Float32Array) -> Float32Array:
            arrays = {**stacked, FEATURES: np.asarray(features, np.float32)}
            return _logits(process.ask(Frame({"job": "forward", **model}, arrays)))

        return forward

    def one(architecture: str, parameters: Parameters) -> Forward:
        if architecture in NUMPY_ARCHITECTURES:
            return IN_PROCESS.one(architecture, parameters)
        forward = many(architecture, parameters)
        return lambda weights, features: forward({name: array[None] for name, array in weights.items()}, features)[0]

    return Forwards(one, many)


def _model(architecture: str, parameters: Parameters, seed: int = 0, device: str = "cpu") -> dict[str, Any]:
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in parameters.items()}
    path = offered_path(architecture)
    return {
        "architecture": architecture,
        "parameters": plain,
        "seed": seed,
        "device": device,
        **({} if path is None else {"module": path}),
    }


def _logits(answer: Frame) -> Float32Array:
    logits = answer.arrays.get(LOGITS)
    if logits is None:
        raise ProcessFailed("the model process did not return what was asked for; trying again")
    return np.asarray(logits, np.float32)


def _environment() -> dict[str, str]:
    """Return the child's environment: what is imported here can be imported there; passwords stay here."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FLARE_")}
    return kept | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def _follow(stream: IO[bytes], said: deque[str]) -> None:
    with stream:
        for line in stream:
            text = line.decode(errors="replace").strip()
            if text:
                said.append(text[:500])


def _ending(code: int) -> str:
    return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"


def _error(name: str, message: str) -> FlareError:
    """Return the child's error as this process would have raised it."""
    kind = getattr(errors, name, None) if name else None
    if isinstance(kind, type) and issubclass(kind, FlareError):
        return kind(message)
    return ProcessFailed(f"the model process failed: {message}; trying again")
