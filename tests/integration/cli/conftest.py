"""The real commands in this process, and one small finished run that tests look at or copy."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flare_offchain.cli import main

DEMO = (
    "demo",
    "--workers",
    "4",
    "--rounds",
    "2",
    "--attackers",
    "1",
    "--attack",
    "random",
    "--aggregation",
    "mutual_information",
)


@dataclass(frozen=True)
class Done:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The objects that it printed with `--json`."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def record(self) -> dict[str, Any]:
        """The last of them."""
        return self.lines[-1]

    def events(self, name: str) -> list[dict[str, Any]]:
        """Those of one kind."""
        return [line for line in self.lines if line.get("event") == name]


def run_command(*arguments: object) -> Done:
    """Run `flare` with arguments."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main.run([str(argument) for argument in arguments])
    code = ended.value.code
    return Done(code if isinstance(code, int) else 0, out.getvalue(), err.getvalue())


@pytest.fixture(scope="session")
def flare():
    """Run a command that must succeed; `flare.any` may fail."""

    def run(*arguments: object) -> Done:
        done = run_command(*arguments)
        assert done.code == 0, done.err
        return done

    run.any = run_command
    return run


@pytest.fixture(scope="session")
def finished(tmp_path_factory, flare) -> Path:
    """A finished run of two rounds; nobody changes it."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    flare(*DEMO, "--out", folder, "--json")
    return folder


@pytest.fixture
def copied(finished, tmp_path) -> Path:
    """A copy of the finished run, to be changed."""
    return shutil.copytree(finished, tmp_path / "run")


@pytest.fixture
def password(monkeypatch):
    """The password of new keys, from the environment."""
    monkeypatch.setenv("FLARE_PASSWORD", "correct horse")
