"""`flare worker run` and `flare worker check`: the daemon, and what is looked at before it is started."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from flare_offchain.cli.options import Json
from flare_offchain.cli.output import Output

RUN_HELP = """Run a worker or keeper until it is stopped (Ctrl-C or SIGTERM; a second one ends it at once).

Example: flare worker run --config worker.toml
"""
CHECK_HELP = """Check everything that a worker needs, against the real endpoints, and send nothing.

Example: flare worker check --config worker.toml
"""
Config = Annotated[
    Path, typer.Option("--config", metavar="FILE", help="The worker's settings; docs/operator.md shows them.")
]
Dry = Annotated[bool, typer.Option("--dry", help="Send nothing; log what would be done.")]


def run(config: Config = Path("worker.toml"), dry: Dry = False) -> int:
    """Run the daemon."""
    from dataclasses import replace

    from flare_offchain.core.errors import FlareError
    from flare_offchain.observability.logging import configure_logging
    from flare_offchain.utils.memory import settle
    from flare_offchain.workers.runtime import Service, logger
    from flare_offchain.workers.settings import WorkerSettings

    settings = WorkerSettings.read(config)
    settings = replace(settings, dry=settings.dry or dry)
    redactor = configure_logging(settings.log_level, json_lines=settings.log_json, stream=sys.stdout)
    try:
        service = Service(settings, redactor)
        _stop_on_signals(service.stop)
        service.run(lambda runtime: settle())
    except FlareError as error:
        logger.error("%s", error, extra={"kind": type(error).__name__})
        raise
    return 0


def check(config: Config = Path("worker.toml"), json: Json = False) -> int:
    """Check, and return 0 where the worker can run, else 1."""
    from flare_offchain.workers.preflight import preflight
    from flare_offchain.workers.settings import WorkerSettings

    output = Output(json)
    results = preflight(WorkerSettings.read(config))
    for result in results:
        output.emit({"check": result.name, "result": result.verdict, "detail": result.detail})
    output.table("", ("check", "result", "detail"), [(r.name, r.verdict, r.detail) for r in results])
    return 1 if any(result.verdict == "failed" for result in results) else 0


def _stop_on_signals(stop: Callable[[], None]) -> None:
    def handle(number: int, frame: FrameType | None) -> None:
        # The second one is the system's own: a worker may be killed at any moment without loss.
        signal.signal(number, signal.SIG_DFL)
        stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)


def add_to(app: typer.Typer) -> None:
    """Add both commands to `flare worker`."""
    app.command("run", help=RUN_HELP)(run)
    app.command("check", help=CHECK_HELP)(check)
