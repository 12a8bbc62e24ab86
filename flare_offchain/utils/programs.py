"""Programs of others that are run as daemons: finding them, starting them detached, stopping them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from flare_offchain.core.errors import ConfigurationError

STOP_SECONDS = 30


def find_program(name: str, *, project: str, version: str) -> Path:
    """Return a program: the one on the PATH, or the one that `scripts/install_<project>.sh` built into the cache.

    Raises:
        ConfigurationError: if there is neither.
    """
    on_path = shutil.which(name)
    if on_path is not None:
        return Path(on_path)
    cache = Path(os.environ.get("FLARE_CACHE") or Path.home() / ".cache" / "flare")
    built = cache / project / f"v{version}" / name
    if not os.access(built, os.X_OK):
        raise ConfigurationError(f"there is no {name} on the PATH: install it, or run scripts/install_{project}.sh")
    return built


def start_detached(
    command: Sequence[str], log: Path, *, environment: Mapping[str, str] | None = None, append: bool = False
) -> subprocess.Popen[bytes]:
    """Start a program that prints into `log`, in a session of its own: Ctrl-C reaches whoever started it first."""
    with log.open("ab" if append else "wb") as file:
        return subprocess.Popen(  # noqa: S603 (a program that the operator installed)
            list(command),
            env=None if environment is None else dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def stop_process(process: subprocess.Popen[bytes], seconds: float = STOP_SECONDS) -> None:
    """Ask a process to end, end it where it does not, and wait until it has gone."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
