"""What a model process runs: it alone loads torch, does what its parent asks over its pipes, and ends with it.

`python -m flare_offchain.models.child`; see `flare_offchain.models.apart` for the other side. Requests come on standard
input and answers go to standard output (`flare_offchain.utils.frames`).
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from flare_offchain.core.errors import FlareError, MalformedObject
from flare_offchain.models.adapter import ModelAdapter, TrainingOptions
from flare_offchain.models.builder import build_adapter
from flare_offchain.models.forward import forward_many_function
from flare_offchain.models.own import offer_module
from flare_offchain.utils.datasets import Dataset
from flare_offchain.utils.frames import Frame, read_frame, write_frame
from flare_offchain.utils.memory import release_free_memory, release_library_pages

FEATURES, LABELS, LOGITS, LOSS = "/features", "/labels", "/logits", "/loss"
"""What crosses beside a model's tensors, under names that no tensor has."""
MAX_MESSAGE = 2000
"""Characters of an error that its parent is told."""


def perform(request: Frame) -> Frame:
    """Do what a request asks.

    Raises:
        FlareError: as the adapter.
    """
    match request.values:
        case {"job": "build"}:
            return Frame({}, _adapter(request).get_weights())
        case {"job": "train", "epochs": int(epochs), "learning_rate": float(rate), "options": dict(options)}:
            return _train(request, epochs, rate, options)
        case {"job": "predict"}:
            arrays = dict(request.arrays)
            features = arrays.pop(FEATURES)
            adapter = _adapter(request)
            adapter.set_weights(arrays)
            return Frame({}, {LOGITS: adapter.predict(features)})
        case {"job": "forward", "architecture": str(name), "parameters": dict(parameters)}:
            _offer(request)
            arrays = dict(request.arrays)
            features = arrays.pop(FEATURES)
            return Frame({}, {LOGITS: forward_many_function(name, parameters)(arrays, features)})
        case _:
            raise MalformedObject(f"a model process does not know the job {request.values.get('job')!r}")


def _train(request: Frame, epochs: int, learning_rate: float, options: dict[str, Any]) -> Frame:
    arrays = dict(request.arrays)
    features, labels = arrays.pop(FEATURES), arrays.pop(LABELS)
    adapter = _adapter(request)
    adapter.set_weights(arrays)
    data = Dataset("training", features, labels, int(labels.max(initial=0)) + 1)
    result = adapter.train(data, epochs, learning_rate, TrainingOptions(**options))
    values = {"samples": result.samples, "steps": result.steps}
    return Frame(values, {**adapter.get_weights(), LOSS: np.array(result.loss)})


def _offer(request: Frame) -> None:
    match request.values:
        case {"architecture": str(name), "module": str(path)}:
            offer_module(name, path)


def _adapter(request: Frame) -> ModelAdapter:
    _offer(request)
    match request.values:
        case {"architecture": str(name), "parameters": dict(parameters), "device": str(device), "seed": int(seed)}:
            adapter = build_adapter(name, parameters, seed, device)
            release_library_pages()
            return adapter
        case _:
            raise MalformedObject("a request names an architecture, its parameters, a device and a seed")


def answer(request: Frame) -> Frame:
    """Do what a request asks; an error becomes an answer too, by the name of its class."""
    try:
        return perform(request)
    except FlareError as error:
        return Frame({"error": type(error).__name__, "message": str(error)[:MAX_MESSAGE]})
    except Exception as error:  # noqa: BLE001 (a module of one's own may raise anything)
        where = traceback.extract_tb(error.__traceback__)[-1]
        message = f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
        return Frame({"error": "", "message": message[:MAX_MESSAGE]})


def _read_requests(stream: BinaryIO, requests: queue.Queue[Frame]) -> None:
    """Hand on what comes; end the process, whatever it is doing, when its parent has closed the pipe or died."""
    try:
        while (request := read_frame(stream)) is not None:
            requests.put(request)
    finally:
        os._exit(0)


def main() -> None:
    """Answer requests until the parent is gone."""
    # Ctrl-C and a service's stop go to every process of a group: the parent decides, and finishes its step first.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # What modules print must not end up among the answers.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    requests: queue.Queue[Frame] = queue.Queue()
    threading.Thread(target=_read_requests, args=(sys.stdin.buffer, requests), daemon=True).start()
    while True:
        write_frame(answers, answer(requests.get()))
        release_free_memory()
        release_library_pages()


if __name__ == "__main__":
    main()
