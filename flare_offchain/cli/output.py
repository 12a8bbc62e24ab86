"""What the commands print: tables for people, one JSON object a line with `--json`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WIDE = 120
"""Columns of a table that is not printed on a terminal."""


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

            Console(highlight=False, soft_wrap=True).print(text)

    def fields(self, title: str, values: Mapping[str, object]) -> None:
        """Print a record: one JSON object, or a list of names and values."""
        if self.as_json:
            self.emit(values)
            return
        self.table(title, ("", ""), [(name.replace("_", " "), value) for name, value in values.items()])

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Print a table for people."""
        if self.as_json:
            return
        from rich import box
        from rich.console import Console
        from rich.table import Table

        headed = any(columns)
        table = Table(
            title=title or None, box=box.SIMPLE_HEAD if headed else None, show_header=headed, title_justify="left"
        )
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*[_text(cell) for cell in row])
        Console(highlight=False, width=None if sys.stdout.isatty() else WIDE).print(table)


def progress(text: str) -> None:
    """Print a line of progress to standard error."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _text(cell: object) -> str:
    return "–" if cell is None else str(cell)


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, (set, frozenset, tuple)):
        return list(value)
    if hasattr(value, "item"):
        return value.item()
    return str(value)
