"""Where the tree is, and the forge that npm has installed in it."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
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
