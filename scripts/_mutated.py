"""A copy of the contracts and their tests to change, and forge run in it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from _forge import ROOT, find_forge

COPIED = ("contracts", "tests/contracts/solidity", "tests/vectors", "foundry.toml", "scripts/solc")
CACHES = ("out/fast", "cache/fast")
TIMEOUT_SECONDS = 900
# A change may make a loop endless; no test needs a tenth of this.
GAS_LIMIT = 1_000_000_000


class Broken(Exception):
    """A change does not apply, or the tests fail without one."""


def copy_tree(target: Path) -> None:
    """Copy what forge needs, with its caches so that only what changes is compiled."""
    for name in (*COPIED, *CACHES):
        source, destination = ROOT / name, target / name
        if source.is_dir():
            shutil.copytree(source, destination)
        elif source.is_file():
            destination.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, destination)
    (target / "node_modules").symlink_to(ROOT / "node_modules")


def forge_test(tree: Path, *arguments: str, sources: str = "contracts") -> tuple[int, str]:
    """Run forge's tests in a tree, up to the first that fails; return its exit status and output.

    sources: a folder; of others, only what the tests import is compiled, so a test that deploys a contract by its name
    must be left out then.

    Raises `subprocess.TimeoutExpired` after `TIMEOUT_SECONDS`.
    """
    result = subprocess.run(
        [str(find_forge()), "test", "--fail-fast", *arguments],
        cwd=tree,
        env={
            **os.environ,
            "FOUNDRY_PROFILE": "fast",
            "FOUNDRY_FUZZ_RUNS": "16",
            "FOUNDRY_DENY": "never",
            "FOUNDRY_GAS_LIMIT": str(GAS_LIMIT),
            "FOUNDRY_SRC": sources,
        },
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    return result.returncode, result.stdout + result.stderr


def failed_tests(output: str) -> list[str]:
    """Return the names of the tests that failed, sorted; of a broken invariant, forge's line, which has no name."""
    lines = {line for line in output.splitlines() if line.startswith("[FAIL")}
    return sorted(line.rsplit("] ", 1)[1].split("(")[0] if "] " in line else line for line in lines)
