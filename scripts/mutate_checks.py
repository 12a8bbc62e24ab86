"""Remove the contracts' checks one at a time and see that a test notices.

    .venv/bin/python scripts/mutate_checks.py [--full] [--json] [--only NAME …] [--jobs N]

Each mutation is made in a temporary copy of the contracts and tests, compiled with foundry's `fast` profile (no IR
pipeline, same semantics), and tried against the tests of the part that it changes. Exit status: 0 if every mutation
makes a test fail, 1 if one survives, 2 if the tests do not pass without any, or a mutation no longer applies.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from _forge import ROOT, ForgeFailed
from _mutated import Broken, changed_tree, compiled_tree, failed_tests, forge_test
from _mutations import MUTATIONS, Mutation


def require_applicable() -> None:
    """Raise `Broken` if any mutation, chosen or not, no longer applies."""
    stale = [
        f"{m.name}: {m.old!r} occurs {count} times in {m.file}"
        for m in MUTATIONS
        if (count := (ROOT / m.file).read_text(encoding="utf-8").count(m.old)) != 1
    ]
    if stale:
        raise Broken("\n".join(stale))


def apply(tree: Path, mutation: Mutation) -> None:
    """Make a mutation. Raises `Broken` unless its text occurs exactly once."""
    path = tree / mutation.file
    text = path.read_text(encoding="utf-8")
    if text.count(mutation.old) != 1:
        raise Broken(f"{mutation.name}: {mutation.old!r} occurs {text.count(mutation.old)} times in {mutation.file}")
    path.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")


def try_mutation(compiled: Path, mutation: Mutation) -> dict[str, Any]:
    """Return what became of a mutation: the tests that failed, and how long it took."""
    start = time.monotonic()
    with changed_tree(compiled) as tree:
        apply(tree, mutation)
        status, output = forge_test(tree, "--match-contract", mutation.tests)
    failed = failed_tests(output)
    if status != 0 and not failed:
        raise Broken(f"{mutation.name}: the mutated contracts do not compile:\n{output[-2000:]}")
    return {
        "name": mutation.name,
        "file": mutation.file,
        "caught": bool(failed),
        "failed_tests": failed,
        "seconds": round(time.monotonic() - start, 1),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one object a line, a summary last")
    parser.add_argument("--full", action="store_true", help="every mutation, not only those of the core checks")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these mutations alone")
    parser.add_argument("--jobs", type=int, default=2, help="mutations tried at the same time (2)")
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.only or ()) - {m.name for m in MUTATIONS}):
        parser.error(f"no mutation is called {', '.join(unknown)}")
    chosen = [m for m in MUTATIONS if (m.name in arguments.only if arguments.only else m.core or arguments.full)]
    try:
        require_applicable()
        tests = "|".join(sorted({m.tests for m in chosen}))
        with compiled_tree("--match-contract", tests) as compiled, ThreadPoolExecutor(arguments.jobs) as pool:
            results = []
            for result in pool.map(partial(try_mutation, compiled), chosen):
                results.append(result)
                _show(result, arguments.json)
    except (Broken, ForgeFailed) as error:
        print(error, file=sys.stderr)
        return 2
    survivors = [result["name"] for result in results if not result["caught"]]
    summary = {
        "event": "summary",
        "mutations": len(results),
        "caught": len(results) - len(survivors),
        "survivors": survivors,
    }
    print(json.dumps(summary) if arguments.json else f"{summary['caught']} of {summary['mutations']} caught")
    return 1 if survivors else 0


def _show(result: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(result), flush=True)
        return
    tests = result["failed_tests"]
    caught = f"{len(tests)} tests, e.g. {tests[0]}" if tests else "SURVIVES"
    print(f"{result['name']:<34} {result['seconds']:>6} s  {caught}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
