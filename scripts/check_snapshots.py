"""Compare gas, ABI and storage layout of the contracts with the snapshots in tests/snapshots.

    .venv/bin/python scripts/check_snapshots.py              # exit 1, with a diff, where anything has changed
    .venv/bin/python scripts/check_snapshots.py --update     # write the snapshots anew

Gas is what tests/contracts/solidity/Gas.t.sol measures: the same transactions on the same chain each time, so the
tolerance is 0. The ABI is reduced to the functions, events and errors by signature; the storage layout to slot, offset
and type of every member, structs unfolded, so that neither changes unless what a caller or a reader of storage meets
does.
Exit status: 0 if all agree, 1 if a snapshot differs or is missing, 2 if forge fails.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from _forge import ROOT, ForgeFailed, find_forge

SNAPSHOTS = ROOT / "tests" / "snapshots"
CONTRACTS = ("ParticipantRegistry", "RoundCoordinator", "RoundViews", "TaskActions")
GAS_TESTS = "^GasTest$"
TIMEOUT_SECONDS = 900


def run_forge(*arguments: str, variables: dict[str, str] | None = None) -> str:
    """Return what forge prints. Raises `ForgeFailed` where its exit status is not 0."""
    result = subprocess.run(
        [str(find_forge()), *arguments],
        cwd=ROOT,
        env={**os.environ, "FOUNDRY_PROFILE": "default", **(variables or {})},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    if result.returncode != 0:
        raise ForgeFailed(f"forge {' '.join(arguments)}:\n{(result.stdout + result.stderr)[-4000:]}")
    return result.stdout


def measure_gas() -> list[str]:
    """Return a line for each measured action. Raises `ForgeFailed` where a test fails or nothing was measured."""
    with tempfile.TemporaryDirectory(prefix="gas-") as folder:
        variables = {
            "FOUNDRY_SNAPSHOTS": folder,
            "FOUNDRY_GAS_SNAPSHOT_CHECK": "false",
            "FOUNDRY_GAS_SNAPSHOT_EMIT": "true",
        }
        run_forge("test", "--match-contract", GAS_TESTS, variables=variables)
        groups = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in Path(folder).rglob("*.json")}
    if not groups:
        raise ForgeFailed(f"no test of {GAS_TESTS} has measured anything")
    return [f"{group}, {name}: {int(gas)}" for group in sorted(groups) for name, gas in sorted(groups[group].items())]


def type_of(parameter: dict[str, Any]) -> str:
    """Return a parameter's canonical type, tuples unfolded."""
    kind = str(parameter["type"])
    if not kind.startswith("tuple"):
        return kind
    return f"({','.join(type_of(part) for part in parameter['components'])}){kind.removeprefix('tuple')}"


def describe(entry: dict[str, Any]) -> str:
    """Return an entry of an ABI as one line."""

    def listed(parameters: list[dict[str, Any]]) -> str:
        return ", ".join(
            " ".join(filter(None, (type_of(p), "indexed" if p.get("indexed") else "", str(p.get("name", "")))))
            for p in parameters
        )

    line = f"{entry['type']} {entry.get('name', '')}({listed(entry.get('inputs', []))})".replace(" (", "(")
    if "stateMutability" in entry:
        line += f" {entry['stateMutability']}"
    return line + (f" returns ({listed(entry['outputs'])})" if entry.get("outputs") else "")


def inspect(contract: str, what: str) -> Any:
    """Return what `forge inspect` knows of a contract."""
    return json.loads(run_forge("inspect", f"contracts/{contract}.sol:{contract}", what, "--json"))


def describe_layout(layout: dict[str, Any]) -> list[str]:
    """Return a line for each variable, and below it for each member of the structs it leads to, mappings included."""
    lines: list[str] = []
    types = layout["types"] or {}

    def walk(members: list[dict[str, Any]], depth: int, seen: tuple[str, ...]) -> None:
        for member in members:
            kind = types[member["type"]]
            place = f"slot {member['slot']}, byte {member['offset']}, {kind['numberOfBytes']} bytes"
            lines.append(f"{'    ' * depth}{member['label']}: {kind['label']} at {place}")
            inner = member["type"]
            while "members" not in types[inner]:
                following = types[inner].get("value") or types[inner].get("base")
                if following is None:
                    break
                inner = following
            if "members" in types[inner] and inner not in seen:
                walk(types[inner]["members"], depth + 1, (*seen, inner))

    walk(layout["storage"], 0, ())
    return lines


def current() -> dict[str, list[str]]:
    """Return the lines of every snapshot, as the sources have them now, by file name."""
    files = {"gas.txt": measure_gas()}
    for contract in CONTRACTS:
        files[f"abi/{contract}.txt"] = sorted(describe(entry) for entry in inspect(contract, "abi"))
        files[f"storage/{contract}.txt"] = describe_layout(inspect(contract, "storageLayout"))
    return files


def differences(files: dict[str, list[str]]) -> list[str]:
    """Return the lines of a unified diff between the committed snapshots and the current ones."""
    lines: list[str] = []
    kept = {path.relative_to(SNAPSHOTS).as_posix() for path in SNAPSHOTS.rglob("*.txt")}
    for name in sorted(kept | files.keys()):
        path = SNAPSHOTS / name
        before = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        lines += difflib.unified_diff(before, files.get(name, []), f"committed {name}", f"now {name}", lineterm="", n=1)
        if not path.exists() and not files[name]:
            lines.append(f"{name} is missing")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--update", action="store_true", help="write the snapshots anew")
    arguments = parser.parse_args()
    try:
        files = current()
    except ForgeFailed as error:
        print(error, file=sys.stderr)
        return 2
    changed = differences(files)
    if arguments.update:
        for name, lines in files.items():
            path = SNAPSHOTS / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        for path in SNAPSHOTS.rglob("*.txt"):
            if path.relative_to(SNAPSHOTS).as_posix() not in files:
                path.unlink()
    print("\n".join(changed) if changed else f"{len(files)} snapshots agree")
    if not changed or arguments.update:
        return 0
    print("If this is meant, run scripts/check_snapshots.py --update and commit what it writes.", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
