"""The terminal view of a local network: where the round stands, the rounds so far, what each worker does."""

from __future__ import annotations

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from flare_offchain.devnet.monitor import Monitor, RoundSummary, WorkerStatus

SHOWN_ROUNDS = 8
COLUMNS = ("round", "outcome", "accuracy", "accepted", "seats", "attempts", "bytes/update", "gas/worker", "blocks")


def round_row(summary: RoundSummary, workers: int) -> tuple[str, ...]:
    """Return a round as the cells of a table with `COLUMNS`."""
    return (
        str(summary.round),
        summary.outcome,
        "–" if summary.accuracy is None else f"{100 * summary.accuracy:.1f} %",
        f"{summary.accepted}/{summary.updates}",
        f"{summary.seats}, quorum {summary.quorum}",
        str(summary.attempts),
        f"{summary.bytes_per_update:,.0f}",
        f"{summary.gas / workers:,.0f}",
        str(summary.blocks),
    )


def render(monitor: Monitor) -> Group:
    """Return the whole view."""
    network, moment = monitor.network, monitor.moment
    rounds = network.settings.scenario.rounds
    phase = moment.phase.name.upper().strip("_")
    head = Text.assemble(
        (f"round {moment.round}/{rounds}  ", "bold"),
        (f"{phase:<12}", "bold cyan"),
        f"block {moment.block}   updates {moment.updates}/{len(monitor.workers)}   seats {moment.seats}   "
        f"votes {moment.votes}   attempt {moment.attempt}",
    )
    where = Text(f"{network.settings.chain} {network.chain_daemon.url}   IPFS {network.kubo.endpoint}", "dim")
    parts: list[Text | Table] = [head, where, _rounds(monitor), _workers(monitor.workers)]
    if moment.fault:
        parts.append(Text(moment.fault, "yellow"))
    complaints = monitor.complaints()
    if complaints:
        parts.append(Text("\n".join(complaints[-3:]), "yellow"))
    return Group(*parts)


def _rounds(monitor: Monitor) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=None)
    for column in COLUMNS:
        table.add_column(column)
    for summary in monitor.rounds[-SHOWN_ROUNDS:]:
        table.add_row(*round_row(summary, len(monitor.workers)))
    return table


def _workers(workers: list[WorkerStatus]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("worker", "account", "did last", "gas", "steps", "complaints"):
        table.add_column(column)
    for number, worker in enumerate(workers, 1):
        short = f"{worker.files.address[:8]}…{worker.files.address[-4:]}"
        steps = sum(worker.steps.values())
        table.add_row(
            str(number), short, worker.last, f"{worker.gas:,}", str(steps), str(len(worker.complaints) or "–")
        )
    return table
