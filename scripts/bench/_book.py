"""Finished trainings of a benchmark, so that a run that was cut short goes on where it stopped.

A training is what its key says and nothing else; the file has one JSON object a line, found again by its key.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from _harness import BenchmarkFailed

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Outcome = TypeVar("Outcome", bound="DataclassInstance")


class Book(Generic[Outcome]):
    """Outcomes by key: in memory, and in a file if there is one.

    Args:
        path: the file, or None.
        outcome: makes an outcome of its fields, as JSON has them.

    Raises:
        BenchmarkFailed: a line of the file is no outcome.
    """

    def __init__(self, path: Path | None, outcome: Callable[..., Outcome]) -> None:
        self.path = path
        self._known: dict[str, Outcome] = {}
        if path is None or not path.is_file():
            return
        for number, line in enumerate(path.read_text().splitlines(), 1):
            try:
                record: dict[str, Any] = json.loads(line)
                self._known[record["key"]] = outcome(**record["outcome"])
            except (ValueError, TypeError, KeyError) as error:
                raise BenchmarkFailed(f"{path}, line {number}: no training of this benchmark") from error

    def find(self, key: str) -> Outcome | None:
        """Return what a training gave, or None if it is still to run."""
        return self._known.get(key)

    def add(self, key: str, outcome: Outcome) -> None:
        """Keep a finished training."""
        self._known[key] = outcome
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a") as file:
                file.write(json.dumps({"key": key, "outcome": asdict(outcome)}) + "\n")
