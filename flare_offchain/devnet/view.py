"""The terminal view of a local network: where the round stands, the rounds so far, what each worker does."""

from __future__ import annotations

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from flare_offchain.core.phases import Phase
from flare_offchain.devnet.monitor import Monitor, RoundSummary, WorkerStatus

SHOWN_ROUNDS, SHOWN_COMPLAINTS = 8, 3
COLUMNS = ("round", "outcome", "accuracy", "accepted", "seats", "attempts", "bytes/update", "gas/worker", "blocks")
TRACK = (Phase.Training, Phase.Sortition, Phase.Aggregation, Phase.Validation, Phase.Reveal)
_LEVELS = "▁▂▃▄▅▆▇█"
_BAR = 24
_LEAST_FIRST = ("blocks", "gas/worker", "attempts", "seats", "bytes/update", "accepted")
"""Columns in the order in which a narrow terminal does without them."""
_GAP = 3
_OF_WORKERS = ("did last", "steps", "gas")


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


def render(monitor: Monitor) -> RenderableType:
    """Return the whole view."""
    network, moment = monitor.network, monitor.moment
    parts: list[RenderableType] = [_head(monitor), Text(), _now(monitor), Text()]
    if monitor.rounds:
        parts += [_Rounds(monitor), Text()]
    parts.append(_workers(monitor.workers))
    complaints = monitor.complaints()
    told = [moment.fault] if moment.fault else complaints[-SHOWN_COMPLAINTS:]
    if told:
        parts += [Text(), Text("\n".join(told), "yellow")]
    where = f"{network.settings.chain} {network.chain_daemon.url}   IPFS {network.kubo.endpoint}"
    return Panel(
        Group(*parts),
        title="[bold]Flare[/] local network",
        subtitle=f"[dim]{where}[/]",
        box=box.ROUNDED,
        padding=(1, 2),
    )


def _head(monitor: Monitor) -> Table:
    """Rounds done, as a bar, and how accuracy has gone."""
    rounds, moment = monitor.network.settings.scenario.rounds, monitor.moment
    accuracies = [summary.accuracy for summary in monitor.rounds if summary.accuracy is not None]
    line = Table.grid(padding=(0, 3))
    line.add_row(
        Text(f"round {moment.round}/{rounds}", "bold"),
        ProgressBar(
            total=rounds, completed=len(monitor.rounds), width=_BAR, complete_style="green", finished_style="green"
        ),
        Text.assemble(("accuracy ", "dim"), (_spark(accuracies), "cyan"), f" {100 * accuracies[-1]:.1f} %")
        if accuracies
        else Text("accuracy –", "dim"),
        Text(f"block {moment.block}", "dim"),
    )
    return line


def _spark(values: list[float]) -> str:
    """Return values from 0 to 1 as bars, the newest last."""
    return "".join(_LEVELS[min(len(_LEVELS) - 1, int(value * len(_LEVELS)))] for value in values[-_BAR:])


def _now(monitor: Monitor) -> Group:
    """The phases with the present one marked, and how far it has got."""
    moment = monitor.moment
    track = Text()
    for phase in TRACK:
        if track:
            track.append(" ─▶ ", "dim")
        name = phase.name.upper()
        if phase is moment.phase:
            track.append(f" {name} ", "bold black on cyan")
        else:
            track.append(name, "green" if int(phase) < int(moment.phase) else "dim")
    if moment.phase is Phase.None_:
        track.append("   no round yet", "dim")
    elif moment.phase not in TRACK:
        name = moment.phase.name.upper()
        track.append(f"   {name}", "bold green" if moment.phase is Phase.Finalized else "bold")
    counts = Text.assemble(
        *(("updates ", "dim"), f"{moment.updates}/{len(monitor.workers)}   "),
        *(("claims ", "dim"), f"{moment.claims}   "),
        *(("seats ", "dim"), f"{moment.seats}   "),
        *(("votes ", "dim"), f"{moment.votes}   "),
        *(("attempt ", "dim"), f"{moment.attempt}"),
    )
    return Group(track, counts)


class _Rounds:
    """The rounds as a table that leaves columns out where the terminal is too narrow for all of them."""

    def __init__(self, monitor: Monitor) -> None:
        self._rows = [round_row(summary, len(monitor.workers)) for summary in monitor.rounds[-SHOWN_ROUNDS:]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render it."""
        shown = fitting(self._rows, options.max_width)
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="dim")
        for column in shown:
            table.add_column(column, justify="left" if column in ("outcome", "seats") else "right", no_wrap=True)
        for row in self._rows:
            cells = {name: Text(cell) for name, cell in zip(COLUMNS, row, strict=True)}
            cells["outcome"].stylize("green" if cells["outcome"].plain == "FINALIZED" else "yellow")
            cells["accuracy"].stylize("bold")
            table.add_row(*(cells[name] for name in shown))
        yield table


def fitting(rows: list[tuple[str, ...]], width: int) -> list[str]:
    """Return the columns that fit into so many characters beside each other; the first three always stay."""
    widths = {name: max(len(name), *(len(row[n]) for row in rows)) for n, name in enumerate(COLUMNS)}
    shown = list(COLUMNS)
    for name in _LEAST_FIRST:
        if sum(widths[kept] for kept in shown) + _GAP * (len(shown) - 1) <= width:
            break
        shown.remove(name)
    return shown


def _workers(workers: list[WorkerStatus]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="dim")
    table.add_column("worker", justify="right")
    table.add_column("account", style="dim", no_wrap=True)
    for column in _OF_WORKERS:
        table.add_column(column, justify="left" if column == "did last" else "right", no_wrap=True)
    table.add_column("complaints", justify="right")
    for number, worker in enumerate(workers, 1):
        short = f"{worker.files.address[:8]}…{worker.files.address[-4:]}"
        last = Text(worker.last, "yellow" if worker.last.endswith(")") else "")
        complaints = Text(str(len(worker.complaints)), "yellow") if worker.complaints else Text("–", "dim")
        steps = f"{sum(worker.steps.values()):,}"
        table.add_row(str(number), short, last, steps, f"{worker.gas:,}", complaints)
    return table
