"""Measure what the contract tests run: lines and branches of every file in contracts/, and their totals.

    .venv/bin/python scripts/forge_coverage.py [--lines 98] [--branches 95] [--lcov FILE]

The contracts are compiled by the IR pipeline with minimal optimisation (without it the stack is too deep), so a few
positions are those of a neighbouring line. Of assembly the compiler reports next to nothing, whether it runs or not:
its lines are not counted, and `EcVrf`, which is all assembly, is listed apart. Exit status: 0 if both totals reach what
is asked, 1 if one does not, 2 if forge fails.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from _forge import ROOT, ForgeFailed, find_forge

APART = frozenset({"contracts/libraries/EcVrf.sol"})
DEPLOYED = tuple(
    f"contracts/{name}.sol" for name in ("ParticipantRegistry", "RoundCoordinator", "RoundViews", "TaskActions")
)
TIMEOUT_SECONDS = 1800


@dataclass(frozen=True, slots=True)
class Covered:
    """How many of a file's lines and branches the tests run."""

    lines: int = 0
    lines_hit: int = 0
    branches: int = 0
    branches_hit: int = 0

    def __add__(self, other: Covered) -> Covered:
        return Covered(
            self.lines + other.lines,
            self.lines_hit + other.lines_hit,
            self.branches + other.branches,
            self.branches_hit + other.branches_hit,
        )

    @property
    def line_share(self) -> float:
        """Percent; of no lines, 100."""
        return 100 * self.lines_hit / self.lines if self.lines else 100.0

    @property
    def branch_share(self) -> float:
        """Percent; of no branches, 100."""
        return 100 * self.branches_hit / self.branches if self.branches else 100.0


def measure(report: Path) -> None:
    """Run the tests and write an lcov report. Raises `ForgeFailed` where they do not pass."""
    command = [str(find_forge()), "coverage", "--ir-minimum", "--exclude-tests", "--report", "lcov"]
    with tempfile.TemporaryDirectory(prefix="coverage-") as folder:
        result = subprocess.run(
            [*command, "--report-file", str(report)],
            cwd=ROOT,
            env={
                **os.environ,
                "FOUNDRY_PROFILE": "fast",
                # The contracts are too large for a chain this way, which is a warning; the campaign by far.
                "FOUNDRY_DENY": "never",
                "FOUNDRY_CODE_SIZE_LIMIT": str(2**20),
                # In one build with the tests: of two builds forge reports on one alone.
                "FOUNDRY_COMPILATION_RESTRICTIONS": "[]",
                "FOUNDRY_ADDITIONAL_COMPILER_PROFILES": "[]",
                "FOUNDRY_GAS_SNAPSHOT_EMIT": "false",
                "FOUNDRY_OUT": f"{folder}/out",
                "FOUNDRY_CACHE_PATH": f"{folder}/cache",
            },
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    if result.returncode != 0 or not report.exists():
        raise ForgeFailed((result.stdout + result.stderr)[-4000:])


def assembly_lines(source: str) -> set[int]:
    """Return the numbers, from 1, of the lines in assembly blocks, those that open and close them included."""
    found: set[int] = set()
    closing: str | None = None
    for number, line in enumerate(source.splitlines(), 1):
        if closing is None and re.match(r"\s*assembly\b.*\{$", line):
            closing = line[: len(line) - len(line.lstrip())] + "}"
        if closing is not None:
            found.add(number)
            closing = None if line == closing else closing
    return found


def read_report(text: str) -> dict[str, Covered]:
    """Return what an lcov report says of each file in contracts/. Raises `ForgeFailed` if one is missing."""
    files: dict[str, Covered] = {}
    name = ""
    lines: dict[str, bool] = {}
    branches: dict[str, bool] = {}
    left_out: set[int] = set()
    for record in text.splitlines():
        kind, _, value = record.partition(":")
        if kind == "SF":
            name, lines, branches = value, {}, {}
            source = ROOT / name
            left_out = (
                assembly_lines(source.read_text(encoding="utf-8")) if name not in APART and source.exists() else set()
            )
        elif kind in ("DA", "BRDA") and int(value.split(",")[0]) in left_out:
            continue
        elif kind == "DA":
            number, hits = value.split(",")[:2]
            lines[number] = lines.get(number, False) or int(hits) > 0
        elif kind == "BRDA":
            branch, _, taken = value.rpartition(",")
            branches[branch] = branches.get(branch, False) or taken not in ("-", "0")
        elif record == "end_of_record" and name.startswith("contracts/"):
            covered = Covered(len(lines), sum(lines.values()), len(branches), sum(branches.values()))
            files[name] = files.get(name, Covered()) + covered
    # A file of declarations alone has no line to report; a contract that can be deployed has.
    if missing := [name for name in DEPLOYED if name not in files or not files[name].lines]:
        raise ForgeFailed(f"the report names no line of {', '.join(missing)}")
    return files


def show(name: str, covered: Covered) -> None:
    """Print a row."""
    lines = f"{covered.lines_hit}/{covered.lines}"
    branches = f"{covered.branches_hit}/{covered.branches}"
    print(f"{name:<44} {lines:>9} {covered.line_share:>6.1f} %  {branches:>9} {covered.branch_share:>6.1f} %")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", type=float, default=98.0, help="least percentage of lines (98)")
    parser.add_argument("--branches", type=float, default=95.0, help="least percentage of branches (95)")
    parser.add_argument("--lcov", type=Path, metavar="FILE", help="keep the lcov report")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lcov-") as folder:
        report = arguments.lcov.resolve() if arguments.lcov else Path(folder) / "lcov.info"
        report.unlink(missing_ok=True)
        try:
            measure(report)
            files = read_report(report.read_text(encoding="utf-8"))
        except ForgeFailed as error:
            print(error, file=sys.stderr)
            return 2
    print(f"{'':<44} {'lines':>18}  {'branches':>18}")
    total = Covered()
    for name, covered in sorted(files.items()):
        if name not in APART:
            show(name, covered)
            total += covered
    show("total", total)
    for name in sorted(APART & files.keys()):
        show(f"apart: {name}", files[name])
    return 0 if total.line_share >= arguments.lines and total.branch_share >= arguments.branches else 1


if __name__ == "__main__":
    sys.exit(main())
