"""A worker that dies: it runs as any other and kills itself, as `kill -9` would, at points that a drill names.

A point is a step and a moment of it. Each is claimed through a file that only one process can create, so that of many
victims one dies there.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flare_offchain.core.types import Address
from flare_offchain.devnet.program import serve
from flare_offchain.workers.keeper import Done
from flare_offchain.workers.plan import Step, View, Wait
from flare_offchain.workers.runtime import Runtime
from flare_offchain.workers.worker import Worker

MOMENTS = ("before", "ready", "sent", "after")
"""Of a step: before anything; all is computed and kept, nothing has left; the node or store has it, the worker does
not know; it is done, and nothing else was."""


def points() -> list[str]:
    """Return every point: each step that the planner can say, at each moment."""
    return [f"{step.value}:{moment}" for step in Step for moment in MOMENTS]


class Victim:
    """An actor that wraps a worker."""

    def __init__(self, runtime: Runtime, armed: frozenset[str], claims: Path) -> None:
        self._actor, self._armed, self._claims = runtime.actor, armed, claims
        self._step: Step | None = None
        rpc = runtime.chain.rpc
        rpc.request = self._around(rpc.request, "eth_sendRawTransaction")  # type: ignore[method-assign]
        if isinstance(runtime.actor, Worker):
            store = runtime.actor.surroundings.store
            store.put = self._around(store.put, None)  # type: ignore[method-assign]

    @property
    def address(self) -> Address:
        """The worker's account."""
        return self._actor.address

    def next_step(self) -> tuple[View, Step | Wait]:
        """What the worker would do."""
        return self._actor.next_step()

    def take(self, step: Step, view: View) -> Done:
        """Do it, unless it is time to die."""
        self._step = step
        self._reach("before")
        done = self._actor.take(step, view)
        self._reach("after")
        self._step = None
        return done

    def _around(self, function: Callable[..., Any], method: str | None) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            # A publication leaves through the store; every other step through a transaction.
            leaves = self._step is Step.PUBLISH_UPDATE if method is None else arguments[0] == method
            if leaves:
                self._reach("ready")
            result = function(*arguments)
            if leaves:
                self._reach("sent")
            return result

        return call

    def _reach(self, moment: str) -> None:
        if self._step is None:
            return
        point = f"{self._step.value}:{moment}"
        if point not in self._armed:
            return
        try:
            claim = os.open(self._claims / point, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        except FileExistsError:
            return
        os.write(claim, json.dumps({"address": self.address, "time": time.time()}).encode())
        os.fsync(claim)
        os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Run a worker that dies at the points named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--claims", type=Path, required=True)
    parser.add_argument("--points", nargs="*", default=points())
    chosen = parser.parse_args()

    def arm(runtime: Runtime) -> None:
        runtime.daemon.actor = Victim(runtime, frozenset(chosen.points), chosen.claims)

    serve(chosen.config, arm)


if __name__ == "__main__":
    main()
