"""The kept record of a run: what was asked for, and one line a round.

`run.json` says how the run came about, `rounds.jsonl` what came of it. Neither is trusted by an audit; both are
compared with what the chain says.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flare_offchain.core.errors import ConfigurationError, StorageUnavailable
from flare_offchain.simulation.results import RoundResult
from flare_offchain.simulation.scenario import Scenario
from flare_offchain.utils.bounded_json import load_json

VERSION = 1


class RunRecord:
    """The record of a run in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = folder / "run.json"
        self.log = folder / "rounds.jsonl"

    @property
    def exists(self) -> bool:
        """Whether the folder holds a run."""
        return self.settings.exists()

    def begin(self, scenario: Scenario) -> None:
        """Write the settings of a new run, or check that a kept one has the same.

        Raises:
            ConfigurationError: the folder holds another run, or something else.
        """
        if self.exists:
            kept = self.scenario()
            if kept != scenario:
                names = [n for n, v in kept.to_record().items() if v != scenario.to_record()[n]]
                raise ConfigurationError(
                    f"{self.folder} holds a run with other settings ({', '.join(names)}): choose another --out, "
                    "or the same settings to go on with it"
                )
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if any(self.folder.iterdir()):
                raise ConfigurationError(f"{self.folder} is not empty and holds no run: choose another --out")
            _write(self.settings, {"version": VERSION, "scenario": scenario.to_record()})
        except OSError as error:
            raise StorageUnavailable(f"cannot write to {self.folder}: {error.strerror}") from error

    def note(self, **facts: Any) -> None:
        """Add facts (the coordinator's address, the task's number) to the settings."""
        record = self._read()
        if any(record.get(name) != value for name, value in facts.items()):
            _write(self.settings, {**record, **facts})

    def fact(self, name: str) -> Any:
        """Return a noted fact, or None."""
        return self._read().get(name)

    def scenario(self) -> Scenario:
        """Return the scenario of a kept run."""
        return Scenario.from_record(self._read()["scenario"])

    def append(self, result: RoundResult) -> None:
        """Add a round."""
        try:
            with self.log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(result.to_json()) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StorageUnavailable(f"cannot write {self.log}: {error.strerror}") from error

    def rounds(self) -> list[RoundResult]:
        """Return the rounds that were recorded; a torn last line (a killed writer) is dropped.

        Raises:
            ConfigurationError: the log is not one.
        """
        if not self.log.exists():
            return []
        lines = self.log.read_text(encoding="utf-8").split("\n")
        if lines[-1]:
            self.log.write_text("\n".join(lines[:-1]) + "\n" if lines[:-1] else "", encoding="utf-8")
        try:
            return [RoundResult.from_json(load_json(line)) for line in lines[:-1]]
        except (ValueError, TypeError, AttributeError) as error:
            raise ConfigurationError(f"{self.log} is damaged: {error}") from error

    def _read(self) -> dict[str, Any]:
        try:
            record = load_json(self.settings.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigurationError(f"{self.folder} holds no run: cannot read run.json ({error.strerror})") from error
        except ValueError as error:
            raise ConfigurationError(f"{self.settings} is damaged: {error}") from error
        if not isinstance(record, dict) or record.get("version") != VERSION or "scenario" not in record:
            raise ConfigurationError(f"{self.settings} is not the record of a run of version {VERSION}")
        return record


def _write(path: Path, record: Mapping[str, Any]) -> None:
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    temporary.replace(path)
