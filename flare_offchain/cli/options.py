"""Options that several commands share, and commands that take them.

A command on a network declares its own options only, after the open network and the output that it is given:

    def join(network: OpenNetwork, output: Output, task: TaskChoice = None) -> None: ...

    add_command(app, "join", join, key=True, writes=True)
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from flare_offchain.cli.network import DEPLOYMENTS, OpenNetwork, Place, open_network
from flare_offchain.cli.output import Output

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object a line instead of tables.")]
Run = Annotated[
    Path | None, typer.Option("--run", metavar="DIR", help="A folder that keeps an embedded chain and store.")
]
Rpc = Annotated[str | None, typer.Option("--rpc", metavar="URL", help="An Ethereum JSON-RPC endpoint.")]
NetworkName = Annotated[
    str | None, typer.Option("--network", metavar="NAME", help="A network in networks.toml of the deployments folder.")
]
Store = Annotated[
    Path | None, typer.Option("--store", metavar="DIR", help="A folder that holds the objects (not with --run).")
]
Ipfs = Annotated[str | None, typer.Option("--ipfs", metavar="URL", help="A Kubo RPC endpoint (not with --run).")]
Deployments = Annotated[
    Path, typer.Option("--deployments", metavar="DIR", help="Where deployments are recorded (not with --run).")
]
Key = Annotated[
    str | None,
    typer.Option(
        "--key", metavar="FILE", help="Key file, folder or worker.toml; dev:N is account N of an embedded chain."
    ),
]
PasswordFile = Annotated[
    Path | None,
    typer.Option("--password-file", metavar="FILE", help="File with the keys' password (else FLARE_PASSWORD)."),
]
TaskChoice = Annotated[
    int | None, typer.Option("--task", metavar="ID", min=1, help="The task's number; the only one by default.")
]
RoundChoice = Annotated[
    int | None, typer.Option("--round", metavar="N", min=1, help="The round; the newest by default.")
]

DEFAULT_DEPLOYMENTS = Path(DEPLOYMENTS)

Options = dict[str, tuple[Any, Any]]

PLACE: Options = {
    "run": (Run, None),
    "rpc": (Rpc, None),
    "network": (NetworkName, None),
    "deployments": (Deployments, DEFAULT_DEPLOYMENTS),
}
STORES: Options = {"store": (Store, None), "ipfs": (Ipfs, None)}
KEYS: Options = {"key": (Key, None), "password_file": (PasswordFile, None)}
OUTPUT: Options = {"json": (Json, False)}


def add_command(
    app: typer.Typer,
    name: str,
    function: Callable[..., int | None],
    *,
    key: bool = False,
    store: bool = False,
    writes: bool | str = False,
) -> None:
    """Add a command on a network to an app. Its docstring is its help.

    Args:
        function: takes (network, output, …own options); returns the exit code, None for 0.
        key: it needs an account.
        store: it needs the store.
        writes: whether it sends transactions; or the name of the option that makes it.
    """

    def on_network(place: Place, output: Output, **own: Any) -> int | None:
        sends = bool(own[writes]) if isinstance(writes, str) else writes
        with open_network(place, writes=sends) as network:
            return function(network, output, **own)

    shared = PLACE | (STORES if store else {}) | (KEYS if key else {})
    app.command(name, help=inspect.getdoc(function))(place_command(on_network, shared, function))


def place_command(
    work: Callable[..., int | None], shared: Options, declared: Callable[..., int | None] | None = None
) -> Callable[..., int]:
    """Return a command for typer: its own options first, then the shared ones.

    Args:
        work: takes (place, output, …own options).
        shared: the options that make the place.
        declared: the function whose parameters, after the first two, are the own options; `work` itself by default.
    """
    source = declared or work
    keyword = inspect.Parameter.KEYWORD_ONLY
    own = list(inspect.signature(source, eval_str=True).parameters.values())[2:]
    parameters = [parameter.replace(kind=keyword) for parameter in own]
    for option, (annotation, default) in {**shared, **OUTPUT}.items():
        parameters.append(inspect.Parameter(option, keyword, annotation=annotation, default=default))

    def command(**values: Any) -> int:
        place = Place(**{option: values.pop(option) for option in shared})
        output = Output(values.pop("json"))
        return work(place, output, **values) or 0

    command.__name__ = source.__name__
    command.__signature__ = inspect.Signature(parameters, return_annotation=int)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


__all__ = [
    "DEFAULT_DEPLOYMENTS",
    "Deployments",
    "Ipfs",
    "Json",
    "Key",
    "NetworkName",
    "OpenNetwork",
    "Output",
    "PasswordFile",
    "RoundChoice",
    "Rpc",
    "Run",
    "Store",
    "TaskChoice",
    "add_command",
    "place_command",
]
