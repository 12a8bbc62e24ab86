"""What the programs of drills have in common: a worker's service, as `flare worker run` runs it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path

from flare_offchain.observability.logging import configure_logging
from flare_offchain.utils.memory import settle
from flare_offchain.workers.runtime import Runtime, Service
from flare_offchain.workers.settings import WorkerSettings


def serve(config: Path, ready: Callable[[Runtime], None] = lambda runtime: None) -> None:
    """Run a worker until it is told to stop; `ready` may change it before it runs. Raises as `Service.run`."""
    settings = WorkerSettings.read(config)
    service = Service(settings, configure_logging(settings.log_level, json_lines=True, stream=sys.stdout))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: service.stop())

    def started(runtime: Runtime) -> None:
        settle()
        ready(runtime)

    service.run(started)
