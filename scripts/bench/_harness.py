"""What every benchmark shares: its options, its lines of JSON, its table, and the machine it ran on.

    bench = Benchmark("name", __doc__)          # reads --quick, --full, --json, --seed
    bench.add(Row(case="…", ours=1.0, peer=2.0, peer_name="…", unit="…", n=5, seeds=[bench.seed]))
    bench.finish({"key": 1.0})                  # the last line is the summary

With `--json` standard output carries one object a line and nothing else; without it, a table for people.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import secrets
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BENCH = Path(__file__).resolve().parent


def cache_folder(*parts: str) -> Path:
    """Return a folder outside the checkout, made if missing, for what a benchmark installs or compiles."""
    base = Path(os.environ.get("FLARE_CACHE") or Path.home() / ".cache" / "flare")
    folder = base.joinpath("bench", *parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class BenchmarkFailed(Exception):
    """A benchmark could not measure what it is for."""


@dataclass(frozen=True, slots=True)
class Row:
    """One measured case: ours beside the peer's, or beside a limit.

    n: repetitions (proofs, transactions, runs). seeds: those that reproduce it. `ratio` is ours over the peer's.
    ours or peer: None where there is no such thing to measure; the case then says why.
    """

    case: str
    ours: float | None
    unit: str
    n: int
    seeds: Sequence[int]
    peer: float | None = None
    peer_name: str | None = None

    @property
    def ratio(self) -> float | None:
        """Ours over the peer's."""
        return self.ours / self.peer if self.ours is not None and self.peer else None


@dataclass(frozen=True, slots=True)
class Sample:
    """Mean, standard error of the mean, and extremes of some measurements."""

    mean: float
    error: float
    least: float
    most: float
    n: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Sample:
        """Summarise measurements. Raises `BenchmarkFailed` where there is none."""
        data = list(values)
        if not data:
            raise BenchmarkFailed("there is nothing to average: the case was never met")
        mean = math.fsum(data) / len(data)
        spread = math.fsum((value - mean) ** 2 for value in data)
        error = math.sqrt(spread / (len(data) - 1) / len(data)) if len(data) > 1 else math.nan
        return cls(mean, error, min(data), max(data), len(data))


def machine() -> str:
    """Return what the figures were measured on."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [
            line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{platform.system()} {platform.machine()}, {model}, {cores} cores, Python {platform.python_version()}"


@dataclass
class Benchmark:
    """One run of one benchmark."""

    name: str
    description: str
    arguments: argparse.Namespace = field(init=False)
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)
    options: Sequence[tuple[str, Mapping[str, Any]]] = ()
    argv: Sequence[str] | None = None

    def __post_init__(self) -> None:
        parser = argparse.ArgumentParser(description=self.description.splitlines()[0])
        size = parser.add_mutually_exclusive_group()
        size.add_argument("--quick", action="store_true", help="small sizes: under 50 seconds on two cores")
        size.add_argument("--full", action="store_true", help="the full run (the default)")
        parser.add_argument("--json", action="store_true", help="one JSON object a line instead of a table")
        parser.add_argument("--seed", type=int, help="what all randomness derives from; drawn and printed by default")
        for flag, settings in self.options:
            parser.add_argument(flag, **settings)
        self.arguments = parser.parse_args(self.argv)
        if self.arguments.seed is None:
            self.arguments.seed = secrets.randbits(32)
        self._print_json({"event": "start", "bench": self.name, "machine": machine(), "seed": self.seed})
        self.say(f"{self.name}, {'quick' if self.quick else 'full'} run, seed {self.seed}\n{machine()}")

    @property
    def quick(self) -> bool:
        """Whether the small sizes were asked for."""
        return bool(self.arguments.quick)

    @property
    def seed(self) -> int:
        """What all randomness of the run derives from."""
        return int(self.arguments.seed)

    def say(self, text: str) -> None:
        """Print text for people; nothing with --json."""
        if not self.arguments.json:
            print(text, flush=True)

    def note(self, text: str) -> None:
        """Keep a remark on how something was measured for the end of the output."""
        self.notes.append(text)
        self._print_json({"event": "note", "bench": self.name, "note": text})

    def add(self, row: Row) -> None:
        """Report a case."""
        self.rows.append(row)
        self._print_json(
            {
                "bench": self.name,
                "case": row.case,
                "ours": row.ours,
                "peer": row.peer,
                "peer_name": row.peer_name,
                "ratio": row.ratio,
                "unit": row.unit,
                "n": row.n,
                "seeds": list(row.seeds),
            }
        )

    def finish(self, summary: Mapping[str, object]) -> None:
        """Print the table and the notes, or the summary line."""
        seconds = round(time.monotonic() - self.started, 1)
        self.say("\n" + table(self.rows))
        for number, text in enumerate(self.notes, 1):
            self.say(f"[{number}] {text}")
        self.say("\n" + "\n".join(f"{key} = {_number(value)}" for key, value in summary.items()) + f"\n{seconds} s")
        self._print_json({"event": "summary", "bench": self.name, **summary, "seconds": seconds})

    def _print_json(self, value: Mapping[str, object]) -> None:
        if self.arguments.json:
            print(json.dumps(value, ensure_ascii=False), flush=True)


def _number(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def table(rows: Sequence[Row]) -> str:
    """Return rows as aligned text."""
    head = ["case", "ours", "peer or limit", "", "ratio", "unit", "n"]
    lines = [
        [row.case, _number(row.ours), _number(row.peer), row.peer_name or "", _number(row.ratio), row.unit, str(row.n)]
        for row in rows
    ]
    widths = [max(len(line[column]) for line in [head, *lines]) for column in range(len(head))]
    right = {1, 2, 4, 6}
    aligned = (
        "  ".join(
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in [head, *lines]
    )
    return "\n".join(line.rstrip() for line in aligned)


def run(main: Any) -> None:
    """Run a benchmark's main function; say in one line what prevented it."""
    try:
        main()
    except BenchmarkFailed as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
