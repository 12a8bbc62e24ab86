"""`flare drill`: hurt a local network on purpose and count what became of it."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from flare_offchain.cli.options import Json
from flare_offchain.cli.output import Output

if TYPE_CHECKING:
    from flare_offchain.devnet.drills import DrillResult

HELP = """Run fault drills on local networks of real processes: kill -9, failing endpoints, reorganisations, and more.

Exit code 0 where every drill passed: rounds went on, nothing was lost, sent twice, falsely accepted or unjustly fined.

Example: flare drill --quick kill rpc reorg
"""
COLUMNS = (
    "drill",
    "chain",
    "passed",
    "finalized",
    "void",
    "faults",
    "transactions lost",
    "double sends",
    "updates lost",
    "wrong objects",
    "fined",
    "recovery (blocks)",
)


def command(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[DRILL]...", help="Which; all but endurance by default.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer faults and rounds of each.")] = False,
    folder: Annotated[Path | None, typer.Option(metavar="DIR", help="Keep the networks' folders here.")] = None,
    chain: Annotated[str, typer.Option(metavar="NAME", help="anvil or geth; some drills need one of them.")] = "anvil",
    json: Json = False,
) -> int:
    """Run the drills that are named."""
    from flare_offchain.devnet.chain_daemon import CHAINS
    from flare_offchain.devnet.drill_list import DRILLS, run_drills, summary

    chosen = names or [name for name in DRILLS if name != "endurance"]
    unknown = sorted(set(chosen) - set(DRILLS))
    if unknown:
        raise typer.BadParameter(f"there is no drill {unknown[0]!r}; there are {', '.join(DRILLS)}")
    if chain not in CHAINS:
        raise typer.BadParameter(f"the chain is {' or '.join(sorted(CHAINS))}, not {chain!r}")
    output = Output(json)

    def report(result: DrillResult) -> None:
        output.emit({"event": "drill", **result.to_json()})
        for note in result.notes + result.remarks:
            output.say(f"{result.name}: {note}")

    with TemporaryDirectory(prefix="flare-drill-") as temporary:
        results = run_drills(chosen, Path(temporary) if folder is None else folder, quick, report, chain)
    output.table("", COLUMNS, [_row(result) for result in results])
    output.emit({"event": "summary", **summary(results)})
    return 0 if all(result.passed for result in results) else 1


def _row(r: DrillResult) -> tuple[object, ...]:
    return (
        r.name,
        r.chain,
        "yes" if r.passed else "no",
        r.finalized,
        r.void,
        r.faults,
        r.transactions_lost,
        r.double_sends,
        r.updates_lost,
        r.wrong_objects,
        r.fined,
        r.recovery_blocks,
    )
