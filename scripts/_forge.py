"""Where the tree is, what it compiles, and the forge that npm has installed in it."""

from __future__ import annotations

import hashlib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("contracts", "tests/contracts/solidity")
# The program itself: its npm front exits with 0 whatever happened.
_PATTERN = "node_modules/@foundry-rs/forge-*/bin/forge"


class ForgeFailed(Exception):
    """forge is missing or did not do what was asked of it."""


def find_forge() -> Path:
    """Return the installed forge. Raises `ForgeFailed` unless there is exactly one."""
    found = sorted(ROOT.glob(_PATTERN))
    if len(found) != 1:
        raise ForgeFailed(f"expected one {_PATTERN}, found {len(found)}: run `npm ci`")
    return found[0]


def digest_of_sources() -> str:
    """Return a short digest of all that is compiled."""
    digest = hashlib.sha256()
    for path in sorted(path for folder in SOURCES for path in (ROOT / folder).rglob("*.sol")):
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
