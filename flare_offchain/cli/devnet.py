"""`flare devnet`: a whole network on this machine, each part a process of its own."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flare_offchain.cli.options import Json
from flare_offchain.cli.output import Output, progress
from flare_offchain.core.errors import Fatal

if TYPE_CHECKING:
    from flare_offchain.devnet.monitor import Monitor, RoundSummary
    from flare_offchain.devnet.network import Devnet
    from flare_offchain.devnet.settings import DevnetSettings

app = typer.Typer(help="Start and stop a whole network on this machine.", no_args_is_help=True)

FOLDER = Path("devnet")
LOOK_SECONDS = 0.5
Folder = Annotated[Path, typer.Option("--folder", metavar="DIR", help="Where everything of the network lies.")]


@app.command("up")
def up(
    workers: Annotated[int, typer.Option(help="How many worker processes.")] = 8,
    rounds: Annotated[int, typer.Option(help="How many rounds are run.")] = 5,
    chain: Annotated[str, typer.Option(metavar="NAME", help="anvil or geth.")] = "anvil",
    block_time: Annotated[int, typer.Option(help="Seconds between blocks.")] = 1,
    folder: Folder = FOLDER,
    keep: Annotated[bool, typer.Option("--keep", help="Let it run on; `flare devnet down` stops it.")] = False,
    data: Annotated[str, typer.Option(metavar="NAME", help="digits, mnist5k, mnist, hapt, fsdd or npz.")] = "digits",
    data_dir: Annotated[Path | None, typer.Option(metavar="DIR", help="Where mnist, hapt, fsdd or npz lie.")] = None,
    partition: Annotated[str, typer.Option(help="iid, label, dirichlet:ALPHA or subject.")] = "dirichlet:0.5",
    model: Annotated[str, typer.Option(metavar="NAME", help="softmax, mlp, cnn or gru.")] = "mlp",
    aggregation: Annotated[str, typer.Option(metavar="NAME", help="The aggregation rule.")] = "mutual_information",
    epochs: Annotated[int, typer.Option(help="Passes over its data that a worker trains in a round.")] = 5,
    seed: Annotated[int, typer.Option(help="Decides keys, data and models, not the chain's randomness.")] = 0,
    json: Json = False,
) -> int:
    """Start chain, IPFS node, contracts, a task and worker processes, and show them until all rounds are run.

    Ctrl-C stops everything; with --keep all goes on when the rounds are over or the view is left. The keys derive
    from the seed: never send anything of value there.

    Example: flare devnet up --workers 8 --rounds 5
    """
    from flare_offchain.devnet.network import Devnet
    from flare_offchain.devnet.settings import DevnetSettings

    settings = DevnetSettings.of(
        folder,
        chain=chain,  # type: ignore[arg-type]
        block_time=block_time,
        workers=workers,
        rounds=rounds,
        data=data,
        data_dir=None if data_dir is None else str(data_dir),
        partition=partition,
        model=model,
        aggregation=aggregation,
        epochs=epochs,
        seed=seed,
    )
    output = Output(json)
    with Devnet(settings) as network:
        network.start(progress)
        return _follow(network, output, keep)


@app.command("down")
def down(folder: Folder = FOLDER, json: Json = False) -> int:
    """Stop a network that was started with --keep, and every process of it.

    Example: flare devnet down --folder devnet
    """
    from flare_offchain.devnet.network import stop_kept

    running, killed = stop_kept(folder)
    output = Output(json)
    output.emit({"event": "stopped", "processes": len(running), "killed": [one.name for one in killed]})
    output.say(f"stopped {len(running)} processes" + (f", {len(killed)} of them by force" if killed else ""))
    return 0


@app.command("where")
def where(
    part: Annotated[str, typer.Argument(metavar="PART", help="rpc or ipfs.")],
    folder: Folder = FOLDER,
) -> int:
    """Print where a network that was kept running answers.

    Example: flare devnet where rpc --folder devnet
    """
    from flare_offchain.devnet.network import DevnetState

    if part not in ("rpc", "ipfs"):
        raise typer.BadParameter("ask for rpc or ipfs")
    typer.echo(getattr(DevnetState.read(folder.absolute() / "devnet.json"), part))
    return 0


def _follow(network: Devnet, output: Output, keep: bool) -> int:
    """Show the network until all rounds have ended. Return 0 where each was finalized, else 1."""
    from flare_offchain.devnet.monitor import Monitor

    monitor = Monitor(network)
    interrupted = False
    try:
        _watch(monitor, output)
    except KeyboardInterrupt:
        interrupted = True
    _report(monitor, output)
    if keep:
        state = network.keep()
        output.emit({"event": "kept", "rpc": state.rpc, "ipfs": state.ipfs, "task": state.task})
        output.say(f"it runs on: RPC {state.rpc}, IPFS {state.ipfs}, task {state.task}")
        output.say(f"audit it: flare audit --rpc {state.rpc} --ipfs {state.ipfs} {_records(network.settings)}")
        output.say(f"stop it: flare devnet down --folder {network.settings.folder}")
    else:
        progress("stopping")
        killed = network.stop()
        if killed:
            progress(f"these did not stop by themselves and were killed: {', '.join(one.name for one in killed)}")
    if interrupted:
        return 0
    return 0 if monitor.rounds and all(r.outcome == "FINALIZED" for r in monitor.rounds) else 1


def _records(settings: DevnetSettings) -> str:
    return f"--deployments {settings.deployments}"


def _watch(monitor: Monitor, output: Output) -> None:
    if not sys.stderr.isatty():
        while not monitor.moment.over:
            _note(monitor, output, monitor.look())
        return
    from rich.console import Console
    from rich.live import Live

    from flare_offchain.devnet.view import render

    with Live(render(monitor), console=Console(stderr=True), refresh_per_second=4, screen=False) as live:
        while not monitor.moment.over:
            _note(monitor, output, monitor.look())
            live.update(render(monitor))


def _shows_all(monitor: Monitor) -> bool:
    """Whether the view, which stays on the terminal, already shows every round."""
    from flare_offchain.devnet.view import SHOWN_ROUNDS

    return sys.stderr.isatty() and len(monitor.rounds) <= SHOWN_ROUNDS


def _note(monitor: Monitor, output: Output, ended: list[RoundSummary]) -> None:
    for summary in ended:
        output.emit({"event": "round", **summary.to_json()})
        if not sys.stderr.isatty():
            accuracy = "" if summary.accuracy is None else f", accuracy {100 * summary.accuracy:.1f} %"
            progress(f"round {summary.round}: {summary.outcome} after {summary.blocks} blocks{accuracy}")
    gone = monitor.network.ended_workers()
    if gone:
        from flare_offchain.devnet.monitor import log_tail

        worker, code = next(iter(gone.items()))
        tail = log_tail(monitor.network.workers[worker].log)
        raise Fatal(f"worker {worker + 1} ended with exit code {code}; its log ends: {tail}")
    if not monitor.moment.over:
        time.sleep(LOOK_SECONDS)


def _report(monitor: Monitor, output: Output) -> None:
    from flare_offchain.devnet.view import COLUMNS, round_row

    count = len(monitor.workers)
    if not (_shows_all(monitor) and sys.stdout.isatty()):
        output.table("", COLUMNS, [round_row(summary, count) for summary in monitor.rounds])
    steps: dict[str, int] = {}
    for worker in monitor.workers:
        worker.follow()
        for name, times in worker.steps.items():
            steps[name] = steps.get(name, 0) + times
    lost = sum(times for name, times in steps.items() if name.endswith((":lost", ":dropped")))
    complaints = monitor.complaints()
    summary: dict[str, Any] = {
        "event": "summary",
        "rounds": len(monitor.rounds),
        "finalized": sum(r.outcome == "FINALIZED" for r in monitor.rounds),
        "gas": sum(worker.gas for worker in monitor.workers),
        "transactions": sum(times for name, times in steps.items() if name.endswith(":confirmed")),
        "lost_races": lost,
        "complaints": complaints,
        "model": monitor.rounds[-1].model if monitor.rounds else "",
    }
    output.emit(summary)
    output.say(
        f"{summary['finalized']} of {summary['rounds']} rounds finalized, {summary['transactions']} transactions, "
        f"{summary['gas']:,} gas, {lost} races lost, {len(complaints)} complaints"
    )
