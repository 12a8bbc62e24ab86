"""Play three tasks at random against the rules, for as many calls as are asked for, and say what was reached.

    .venv/bin/python scripts/run_invariants.py [--calls 1000000] [--depth 500] [--seed 1] [--keep FOLDER] [--json]

The moves and the rules are in tests/contracts/solidity/invariants/. Calls are made in batches, each with a seed of its
own; a batch whose result is in FOLDER already, for the same sources, is not played again, so that a run can be cut
short and taken up. Exit status: 0 if every rule held and everything that the rules speak of was reached, 1 if not, 2 if
forge fails to run.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from _forge import ROOT, ForgeFailed, digest_of_sources, find_forge

REFEREE = ROOT / "tests/contracts/solidity/invariants/Referee.sol"
RUNS_PER_BATCH = 20
TIMEOUT_SECONDS = 3600


def counter_names() -> list[str]:
    """Return what `Referee.Tally` counts, in its order."""
    body = re.search(r"struct Tally \{(.*?)\}", REFEREE.read_text(encoding="utf-8"), re.DOTALL)
    if body is None:
        raise SystemExit("no struct Tally in Referee.sol")
    return re.findall(r"uint256 (\w+);", body[1])


def play(seed: int, runs: int, depth: int, tally: Path) -> str | None:
    """Play one batch; what each run reached is appended to `tally`. Return forge's output where a rule was broken."""
    tally.unlink(missing_ok=True)
    result = subprocess.run(
        [str(find_forge()), "test", "--match-contract", "^Invariants$"],
        cwd=ROOT,
        env={
            **os.environ,
            "FOUNDRY_PROFILE": "fast",
            "FOUNDRY_DENY": "never",
            "FOUNDRY_FUZZ_SEED": hex(seed),
            "FOUNDRY_INVARIANT_RUNS": str(runs),
            "FOUNDRY_INVARIANT_DEPTH": str(depth),
            "FLARE_INVARIANT_TALLY": str(tally.relative_to(ROOT)),
        },
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    played = re.search(r"runs: (\d+), calls: (\d+), reverts: 0", result.stdout)
    if result.returncode == 0 and played and int(played[2]) == runs * depth:
        return None
    return (result.stdout + result.stderr)[-6000:]


def read_tally(path: Path, names: list[str]) -> dict[str, int]:
    """Add up what the runs of a batch reached."""
    total = dict.fromkeys(names, 0)
    for line in path.read_text(encoding="utf-8").splitlines():
        words = bytes.fromhex(line.removeprefix("0x"))
        if len(words) != 32 * len(names):
            raise SystemExit(f"{path}: {len(words)} bytes for {len(names)} counters")
        for position, name in enumerate(names):
            total[name] += int.from_bytes(words[32 * position : 32 * position + 32], "big")
    return total


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=1_000_000, help="calls in all, rounded up to whole batches")
    parser.add_argument("--depth", type=int, default=500, help="calls a run, from a fresh deployment (500)")
    parser.add_argument("--seed", type=int, default=1, help="of the first batch (1)")
    parser.add_argument("--keep", type=Path, default=ROOT / "out/invariants", help="folder for results")
    parser.add_argument("--json", action="store_true", help="one object a line, a summary last")
    arguments = parser.parse_args()
    names = counter_names()
    # forge writes below out/ only.
    folder = arguments.keep.resolve() / f"{digest_of_sources()}-{arguments.depth}"
    folder.mkdir(parents=True, exist_ok=True)
    total, calls, seed, start = dict.fromkeys(names, 0), 0, arguments.seed, time.monotonic()
    while calls < arguments.calls:
        left = -(-(arguments.calls - calls) // arguments.depth)
        runs = min(RUNS_PER_BATCH, left)
        done = folder / f"{seed}-{runs}.txt"
        if not done.exists():
            partial = done.with_suffix(".part")
            if (output := play(seed, runs, arguments.depth, partial)) is not None:
                print(output, file=sys.stderr)
                return 1 if "FAIL" in output else 2
            partial.rename(done)
        batch = read_tally(done, names)
        total = {name: total[name] + batch[name] for name in names}
        calls += runs * arguments.depth
        seed += 1
        if not arguments.json:
            print(f"{calls:>9,} calls  {total['finalized']:>7,} finalized  {total['voided']:>6,} void", flush=True)
    missed = [name for name in names if not total[name]]
    summary = {"event": "summary", "calls": calls, "seconds": round(time.monotonic() - start, 1), **total}
    if arguments.json:
        print(json.dumps({**summary, "missed": missed}))
    else:
        print("\n".join(f"{name:<16} {count:>9,}" for name, count in total.items()))
    if missed:
        print(f"never reached: {', '.join(missed)}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ForgeFailed as failed:
        print(failed, file=sys.stderr)
        sys.exit(2)
