"""A worker whose machine's clock is wrong: it runs as any other, and all readings of the time are seconds off."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from flare_offchain.devnet.program import serve


def skew_clock(seconds: float) -> None:
    """Move what `time.time` returns in this process."""
    true = time.time
    time.time = lambda: true() + seconds


def main() -> None:
    """Run a worker with a wrong clock."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    chosen = parser.parse_args()
    skew_clock(chosen.seconds)
    serve(chosen.config)


if __name__ == "__main__":
    main()
