"""`flare audit`: check everything that happened, from the chain and the hashes alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flare_offchain.cli.network import Place
from flare_offchain.cli.options import PLACE, STORES, Output, place_command

if TYPE_CHECKING:
    from flare_offchain.cli.auditing import AuditResult

HELP = """Check every round again: signatures of the record, seeds, seats, votes, fines, rewards, objects, models.

Needs no key and trusts nobody: seats are verified by their VRF proofs, models are recomputed from the updates and
compared by CID. With --run also the chain's own record is run again, every file of the store is hashed, and the run's
record is compared with the chain. Exit code 0 without findings, 1 with findings.

Example: flare audit --run run

Example: flare audit --network sepolia --ipfs http://127.0.0.1:5001 --task 3 --round 7 --round 8
"""


def audit(
    place: Place,
    output: Output,
    task: Annotated[
        int | None, typer.Option("--task", metavar="ID", min=1, help="One task; all of them by default.")
    ] = None,
    rounds: Annotated[
        list[int] | None, typer.Option("--round", metavar="N", min=1, help="A round (repeatable); all by default.")
    ] = None,
    head: Annotated[
        str | None,
        typer.Option(metavar="HASH", help="A block that the chain must have: shows that none was cut off after it."),
    ] = None,
) -> int:
    """Audit, show the result, and return 1 where there is a finding."""
    from flare_offchain.cli.auditing import audit_network, audit_run
    from flare_offchain.utils.memory import release_library_pages

    place.check()
    expected = _block_hash(head)
    # An auditor may be small: what importing numpy and others touched goes before the chain's libraries come.
    release_library_pages()
    if place.run is not None:
        result = audit_run(place.run, task, rounds, expected)
    else:
        result = audit_network(place, task, rounds, expected)
    _show(result, output, place.run)
    return 1 if result.findings else 0


def _block_hash(text: str | None) -> bytes | None:
    if text is None:
        return None
    try:
        value = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        value = b""
    if len(value) != 32:
        raise typer.BadParameter(f"{text!r} is no block hash: 64 hexadecimal digits")
    return value


def _show(result: AuditResult, output: Output, folder: Path | None) -> None:
    for finding in result.findings:
        output.emit({"event": "finding", **finding.to_json()})
    output.emit({"event": "audit", **result.to_json()})
    output.table("checked", ("rule", "checks"), sorted(result.checked.items()))
    for note in result.notes:
        output.say(f"note: {note}")
    rows = [(f.round, f.object, f.rule, f.detail) for f in result.findings]
    output.table("findings", ("round", "object", "rule", "detail"), rows)
    what = f"{result.rounds} rounds of {result.tasks} tasks ({result.finalized} finalized, {result.void} void)"
    checks = sum(result.checked.values())
    verdict = f"{len(result.findings)} findings" if result.findings else "no findings"
    output.say(f"{verdict}: {what}, {checks:,} checks of {len(result.checked)} rules")
    output.say(f"newest block {result.head[0]}: {result.head[1].hex()}")


command = place_command(audit, PLACE | STORES)
