"""What the commands print: tables for people, one JSON object a line with `--json`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

UNBOUNDED = 10_000
"""Columns where nothing limits them."""


@dataclass(slots=True)
class Output:
    """Where a command's results go. Progress and errors go to standard error, results to standard output."""

    as_json: bool = False

    def emit(self, record: Mapping[str, Any]) -> None:
        """Print one JSON object on a line of its own (with `--json` only)."""
        if self.as_json:
            sys.stdout.write(json.dumps(dict(record), separators=(", ", ": "), default=_plain) + "\n")
            sys.stdout.flush()

    def say(self, text: str) -> None:
        """Print a line for people."""
        if not self.as_json:
            from rich.console import Console

            Console(highlight=False, soft_wrap=True, markup=False).print(text)

    def result(self, text: str, record: Mapping[str, Any]) -> None:
        """Print what was done: a line for people, or one JSON object."""
        self.say(text)
        self.emit(record)

    def fields(self, title: str, values: Mapping[str, object]) -> None:
        """Print a record: one JSON object, or a list of names and values."""
        if self.as_json:
            self.emit(values)
            return
        self.table(title, ("", ""), [(name.replace("_", " "), value) for name, value in values.items()])

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Print a table for people; nothing where it has no rows."""
        shown = [[_text(cell) for cell in row] for row in rows]
        if self.as_json or not shown:
            return
        if title:
            self.say(title)
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        headed = any(columns)
        table = Table(box=box.SIMPLE_HEAD if headed else None, show_header=headed)
        for column in columns:
            table.add_column(column, overflow="fold")
        for cells in shown:
            table.add_row(*[Text(cell) for cell in cells])
        # A file or a pipe has no width: nothing is folded there.
        Console(highlight=False, width=None if sys.stdout.isatty() else UNBOUNDED).print(table)


def progress(text: str) -> None:
    """Print a line of progress to standard error."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def moment(timestamp: int) -> str:
    """Return a block's time for people (UTC)."""
    try:
        return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return f"{timestamp} s after 1970"


def _text(cell: object) -> str:
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return "–" if cell is None or cell == "" else str(cell)


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, (set, frozenset, tuple)):
        return list(value)
    if hasattr(value, "item"):
        return value.item()
    return str(value)
