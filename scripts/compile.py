"""Compile the contracts and write the artifacts that the package carries; or check that they are up to date.

    .venv/bin/python scripts/compile.py            # write flare_offchain/blockchain/compiled/*.json
    .venv/bin/python scripts/compile.py --check    # exit 1 unless the committed files are what the sources compile to

Settings are those of `foundry.toml`, so forge and the artifacts agree. The compiler is the exact version named below:
the pinned npm package behind `scripts/solc` where node_modules is installed, else a solc that py-solc-x has installed,
else `solc` on the PATH. Artifacts hold no path, time or compiler build of this machine.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import solcx

ROOT = Path(__file__).resolve().parent.parent
SOLC_VERSION = "0.8.37"
FRONT = ROOT / "scripts" / "solc"
_IMPORT = re.compile(r'^\s*import\s[^;]*?"([^"]+)"\s*;', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Target:
    """A contract that gets an artifact.

    answers: the interface of all that the contract's address answers to, also by running other code (see
    `RoundCoordinator.fallback`); its entries, which name every parameter, go into the artifact's ABI in place of the
    contract's own.
    """

    name: str
    source: str
    folder: str
    answers: tuple[str, str] | None = None


COMPILED = "flare_offchain/blockchain/compiled"
TARGETS = (
    Target("ParticipantRegistry", "contracts/ParticipantRegistry.sol", COMPILED),
    Target(
        "RoundCoordinator",
        "contracts/RoundCoordinator.sol",
        COMPILED,
        answers=("contracts/interfaces/IRoundCoordinator.sol", "IRoundCoordinator"),
    ),
    Target("TaskActions", "contracts/TaskActions.sol", COMPILED),
    Target("RoundViews", "contracts/RoundViews.sol", COMPILED),
    Target("EcVrfHarness", "tests/contracts/solidity/EcVrfHarness.sol", "tests/contracts/compiled"),
)


class CompilerMissing(Exception):
    """No compiler of the exact version was found."""


def find_compiler(explicit: Path | None = None) -> Path:
    """Return a solc of `SOLC_VERSION`. Raises `CompilerMissing` where none is found."""
    candidates: list[Path] = [explicit] if explicit else []
    if not explicit:
        if (ROOT / "node_modules" / "solc").is_dir():
            candidates.append(FRONT)
        installed = {str(version): version for version in solcx.get_installed_solc_versions()}
        if SOLC_VERSION in installed:
            candidates.append(Path(solcx.install.get_executable(installed[SOLC_VERSION])))
        if on_path := shutil.which("solc"):
            candidates.append(Path(on_path))
    for candidate in candidates:
        if str(solcx.wrapper.get_solc_version(candidate)) == SOLC_VERSION:
            return candidate
    raise CompilerMissing(
        f"no solc {SOLC_VERSION} found: run `npm ci`, or `python -m solcx.install v{SOLC_VERSION}`, "
        "or put it on the PATH"
    )


def settings() -> dict[str, Any]:
    """Return the compiler settings of foundry.toml's default profile, as standard JSON, without remappings' targets."""
    profile = tomllib.loads((ROOT / "foundry.toml").read_text())["profile"]["default"]
    return {
        "evmVersion": profile["evm_version"],
        "viaIR": profile["via_ir"],
        "optimizer": {"enabled": profile["optimizer"], "runs": profile["optimizer_runs"]},
        "metadata": {"bytecodeHash": profile["bytecode_hash"], "appendCBOR": profile["cbor_metadata"]},
    }


def _remappings() -> list[tuple[str, str]]:
    profile = tomllib.loads((ROOT / "foundry.toml").read_text())["profile"]["default"]
    return [tuple(entry.split("=", 1)) for entry in profile["remappings"]]


def _file_of(unit: str) -> Path:
    """Return the file of a source unit name."""
    for prefix, target in _remappings():
        if unit.startswith(prefix):
            return ROOT / target / unit.removeprefix(prefix)
    return ROOT / unit


def sources_of(unit: str) -> dict[str, str]:
    """Return source unit name to text, for a source and everything that it imports."""
    found: dict[str, str] = {}
    waiting = [unit]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found[name] = _file_of(name).read_text(encoding="utf-8")
        waiting.extend(_imports(name, found[name]))
    return dict(sorted(found.items()))


def _imports(unit: str, text: str) -> Iterator[str]:
    for path in _IMPORT.findall(text):
        if path.startswith("."):
            yield (ROOT / unit).parent.joinpath(path).resolve().relative_to(ROOT).as_posix()
        else:
            yield path


def compile_target(target: Target, solc: Path) -> dict[str, Any]:
    """Return the artifact of one contract. Raises `solcx.exceptions.SolcError` where it does not compile."""
    sources = sources_of(target.source)
    selection = {"*": {"*": ["abi"]}, target.source: {target.name: ["abi", "evm.bytecode", "evm.deployedBytecode"]}}
    selection[target.source][target.name] += ["storageLayout"]
    output = solcx.compile_standard(
        {
            "language": "Solidity",
            "sources": {name: {"content": text} for name, text in sources.items()},
            "settings": {**settings(), "outputSelection": selection},
        },
        solc_binary=solc,
    )
    return _artifact(target, output, sources)


def _artifact(target: Target, output: dict[str, Any], sources: dict[str, str]) -> dict[str, Any]:
    contract = output["contracts"][target.source][target.name]
    entries = {_signature(entry): entry for entry in contract["abi"]}
    if target.answers:
        unit, interface = target.answers
        entries |= {_signature(entry): entry for entry in output["contracts"][unit][interface]["abi"]}
    created, deployed = contract["evm"]["bytecode"], contract["evm"]["deployedBytecode"]
    return {
        "contractName": target.name,
        "sourceName": target.source,
        "abi": sorted(
            entries.values(),
            key=lambda entry: (
                (entry["type"], entry.get("name", ""), json.dumps(entry["inputs"]))
                if "inputs" in entry
                else (entry["type"], "", "")
            ),
        ),
        "bytecode": "0x" + created["object"],
        "deployedBytecode": "0x" + deployed["object"],
        "linkReferences": created["linkReferences"],
        "deployedLinkReferences": deployed["linkReferences"],
        "immutableReferences": _immutables(deployed.get("immutableReferences", {})),
        "storageLayoutHash": _hash(json.dumps(plain_layout(contract["storageLayout"]), sort_keys=True)),
        "compiler": {"version": SOLC_VERSION, "settings": settings()},
        "sourceHashes": {name: _hash(text) for name, text in sources.items()},
    }


def _signature(entry: dict[str, Any]) -> tuple[str, ...]:
    """Return what makes an ABI's entry the same as another, whatever its parameters are called."""
    return (entry["type"], entry.get("name", ""), *(_type(item) for item in entry.get("inputs", [])))


def _type(item: dict[str, Any]) -> str:
    """Return a parameter's type, with those of its members."""
    return item["type"] + ",".join(_type(member) for member in item.get("components", []))


def _hash(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _immutables(references: dict[str, list[dict[str, int]]]) -> dict[str, list[dict[str, int]]]:
    """Return the places of immutables, numbered by first place: the compiler's own names change with any edit."""
    spans = sorted(
        (sorted(places, key=lambda place: place["start"]) for places in references.values()),
        key=lambda places: places[0]["start"],
    )
    return {str(number): places for number, places in enumerate(spans)}


def plain_layout(layout: dict[str, Any]) -> dict[str, Any]:
    """Return a storage layout without the compiler's node numbers, which change with any edit."""
    text = re.sub(r"\)\d+_storage", ")_storage", json.dumps(layout))
    text = re.sub(r"(t_(?:userDefinedValueType|enum|contract)\(\w+\))\d+", r"\1", text)
    parsed = json.loads(text)
    entries = [parsed["storage"], *(kind.get("members", []) for kind in (parsed["types"] or {}).values())]
    for members in entries:
        for member in members:
            member.pop("astId", None)
    return parsed


def render(artifact: dict[str, Any]) -> str:
    """Return an artifact as its file holds it."""
    return json.dumps(artifact, indent=1, sort_keys=True, ensure_ascii=True) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a committed artifact differs")
    parser.add_argument("--solc", type=Path, help=f"a solc {SOLC_VERSION} to use instead of looking for one")
    arguments = parser.parse_args()
    try:
        solc = find_compiler(arguments.solc)
        rendered = {target: render(compile_target(target, solc)) for target in TARGETS}
    except (CompilerMissing, solcx.exceptions.SolcError) as error:
        print(error, file=sys.stderr)
        return 2
    stale = []
    for target, text in rendered.items():
        path = ROOT / target.folder / f"{target.name}.json"
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(path)
        if not arguments.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    for path in stale:
        print(f"{'stale' if arguments.check else 'wrote'} {path.relative_to(ROOT)}")
    return 1 if arguments.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
