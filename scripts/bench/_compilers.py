"""What a benchmark runs: the production contracts as the tree has them, and the peers' as npm has them, compiled here.

Nothing is compiled twice: outputs are kept in the cache folder under the hash of what went in.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from _harness import BENCH, ROOT, BenchmarkFailed, cache_folder

from flare_offchain.blockchain.artifacts import COMPILED, ContractArtifact

_IMPORT = re.compile(r'^\s*import\s[^;]*?"([^"]+)"\s*;', re.MULTILINE)
_PEER_FILES = ("package.json", "package-lock.json")


def _compile_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("flare_compile", ROOT / "scripts" / "compile.py")
    if spec is None or spec.loader is None:
        raise BenchmarkFailed("scripts/compile.py is missing")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up by name.
    sys.modules["flare_compile"] = module
    spec.loader.exec_module(module)
    return module


def production(name: str) -> tuple[ContractArtifact, bool]:
    """Return a production contract as the tree's sources have it, and whether it had to be compiled.

    The artifact that the package carries serves where it is what the sources compile to.
    """
    script = _compile_script()
    target = next(target for target in script.TARGETS if target.name == name)
    hashes = {unit: script._hash(text) for unit, text in script.sources_of(target.source).items()}
    carried = json.loads((COMPILED / f"{name}.json").read_text())
    if carried["sourceHashes"] == hashes and carried["compiler"]["settings"] == script.settings():
        return ContractArtifact.parse(carried), False
    key = _key({"sources": hashes, "settings": script.settings(), "target": name})
    kept = cache_folder("compiled") / f"{name}-{key}.json"
    if not kept.is_file():
        _write(kept, script.compile_target(target, script.find_compiler()))
    return ContractArtifact.parse(json.loads(kept.read_text())), True


def ours(file: str) -> ContractArtifact:
    """Return a contract of scripts/bench/solidity, compiled as the production contracts are."""
    script = _compile_script()
    unit = f"scripts/bench/solidity/{file}.sol"
    output = _standard_json(script.sources_of(unit), script.settings(), unit)
    return _artifact(file, output["contracts"][unit][file])


def chainlink() -> tuple[ContractArtifact, str]:
    """Return Chainlink's verifier behind our meter, and how it was compiled."""
    peers = _peers()
    settings = {"optimizer": {"enabled": True, "runs": 1_000_000}, "evmVersion": "prague"}
    settings["metadata"] = {"bytecodeHash": "none"}
    unit = "scripts/bench/solidity/ChainlinkMeter.sol"
    output = _standard_json(_peer_sources(unit, peers), settings, unit)
    version = json.loads((peers / "@chainlink/contracts/package.json").read_text())["version"]
    told = f"Chainlink VRF.sol of @chainlink/contracts {version}, unchanged, solc 0.8.37, optimizer runs 1000000"
    return _artifact("ChainlinkMeter", output["contracts"][unit]["ChainlinkMeter"]), told


def witnet() -> tuple[ContractArtifact, str]:
    """Return Witnet's verifier behind our meter, and how it was compiled: by the compiler and the settings it names."""
    peers = _peers()
    settings: dict[str, Any] = {"optimizer": {"enabled": True, "runs": 200}, "evmVersion": "istanbul"}
    unit = "scripts/bench/solidity/WitnetMeter.sol"
    output = _standard_json(_peer_sources(unit, peers), settings, unit, peers / "solc-0.6.12" / "soljson.js")
    version = json.loads((peers / "vrf-solidity/package.json").read_text())["version"]
    told = f"Witnet fastVerify of vrf-solidity {version}, unchanged, solc 0.6.12, optimizer runs 200"
    return _artifact("WitnetMeter", output["contracts"][unit]["WitnetMeter"]), told


# ----------------------------------------------------------------- compilers


def _standard_json(
    sources: dict[str, str], settings: dict[str, Any], unit: str, soljson: Path | None = None
) -> dict[str, Any]:
    selection = {unit: {"*": ["abi", "evm.bytecode", "evm.deployedBytecode"]}}
    request = {
        "language": "Solidity",
        "sources": {name: {"content": text} for name, text in sources.items()},
        "settings": {**settings, "outputSelection": selection},
    }
    key = _key({"request": request, "compiler": soljson.parent.name if soljson else "0.8.37"})
    kept = cache_folder("compiled") / f"{Path(unit).stem}-{key}.json"
    if not kept.is_file():
        _write(kept, _compiled(request, soljson))
    answer: dict[str, Any] = json.loads(kept.read_text())
    return answer


def _compiled(request: dict[str, Any], soljson: Path | None) -> dict[str, Any]:
    node = shutil.which("node")
    if node is None or not (ROOT / "node_modules" / "solc").is_dir():
        raise BenchmarkFailed("the compiler is missing: install Node.js, then run `make setup-node`")
    command = [str(ROOT / "scripts" / "solc"), "--standard-json"]
    if soljson is not None:
        wrapper = ROOT / "node_modules" / "solc" / "wrapper.js"
        command = [node, str(BENCH / "peers" / "solc.js"), str(wrapper), str(soljson)]
    done = subprocess.run(command, input=json.dumps(request), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchmarkFailed(f"the compiler failed: {done.stderr.strip()[-500:]}")
    answer: dict[str, Any] = json.loads(done.stdout)
    answer = answer.get("output", answer)
    errors = [item["formattedMessage"] for item in answer.get("errors", ()) if item["severity"] == "error"]
    if errors:
        raise BenchmarkFailed(errors[0])
    return answer


def _artifact(name: str, contract: dict[str, Any]) -> ContractArtifact:
    fields = {"contractName": name, "abi": contract["abi"], "bytecode": contract["evm"]["bytecode"]["object"]}
    return ContractArtifact.parse({**fields, "deployedBytecode": contract["evm"]["deployedBytecode"]["object"]})


def _key(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]


def _write(path: Path, value: object) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(value))
    partial.replace(path)


# --------------------------------------------------------------------- peers


def _peers() -> Path:
    """Return the peers' `node_modules`, installed by the lock on the first call."""
    named = _key([(BENCH / "peers" / name).read_text() for name in _PEER_FILES])
    folder = cache_folder("peers", named)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / ".ready").is_file():
            npm = shutil.which("npm")
            if npm is None:
                raise BenchmarkFailed("npm is missing: the peers' contracts are installed with it")
            for name in _PEER_FILES:
                shutil.copyfile(BENCH / "peers" / name, folder / name)
            command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise BenchmarkFailed(f"npm could not install the peers: {(done.stderr or done.stdout).strip()[-500:]}")
            (folder / ".ready").touch()
    return folder / "node_modules"


def _peer_sources(unit: str, peers: Path) -> dict[str, str]:
    """Return source unit name to text, of a meter and everything that it imports."""
    found: dict[str, str] = {}
    waiting = [unit]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = ((ROOT if name == unit else peers) / name).read_text(encoding="utf-8")
            waiting.extend(_IMPORT.findall(found[name]))
    return dict(sorted(found.items()))
