"""A copy of the contracts and their tests to change, and forge run in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from _forge import ROOT, find_forge

COPIED = ("contracts", "tests/contracts/solidity", "tests/vectors", "foundry.toml", "scripts/solc")
CACHES = ("out/fast", "cache/fast")
TIMEOUT_SECONDS = 900
# A change may make a loop endless; no test needs a tenth of this.
GAS_LIMIT = 1_000_000_000


class Broken(Exception):
    """A change does not apply, or the tests fail without one."""


@contextmanager
def compiled_tree(*arguments: str) -> Iterator[Path]:
    """Give a copy of the contracts and their tests, compiled, in which forge's tests pass.

    Changed copies are made of it (`changed_tree`) and compile what changed alone. What is in the checkout would not do:
    whoever runs some of the tests there meanwhile makes forge forget what it has compiled of the others.

    Args:
        arguments: which tests to compile and run, as forge takes them; all of them by default.

    Raises:
        Broken: if the tests fail without any change.
    """
    with tempfile.TemporaryDirectory(prefix="compiled-") as folder:
        tree = Path(folder)
        for name in (*COPIED, *CACHES):
            source, destination = ROOT / name, tree / name
            if source.is_dir():
                shutil.copytree(source, destination)
            elif source.is_file():
                destination.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, destination)
        (tree / "node_modules").symlink_to(ROOT / "node_modules")
        status, output = forge_test(tree, *arguments)
        if status != 0:
            raise Broken(f"the tests fail without a change:\n{output[-2000:]}")
        yield tree


@contextmanager
def changed_tree(compiled: Path) -> Iterator[Path]:
    """Give a copy of a `compiled_tree` to change; it is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="changed-") as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(compiled, tree, symlinks=True)
        yield tree


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
