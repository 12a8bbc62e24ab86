"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object a line instead of tables.")]
Run = Annotated[
    Path | None, typer.Option("--run", metavar="DIR", help="A folder that keeps an embedded chain and store.")
]
Rpc = Annotated[str | None, typer.Option("--rpc", metavar="URL", help="An Ethereum JSON-RPC endpoint.")]
Store = Annotated[
    Path | None, typer.Option("--store", metavar="DIR", help="A folder that holds the objects (with --rpc).")
]
Ipfs = Annotated[str | None, typer.Option("--ipfs", metavar="URL", help="A Kubo RPC endpoint (with --rpc).")]
Deployments = Annotated[
    Path, typer.Option("--deployments", metavar="DIR", help="Where deployments are recorded (with --rpc).")
]
Key = Annotated[
    str | None,
    typer.Option("--key", metavar="FILE", help="Key file of the account; dev:N is account N of an embedded chain."),
]
PasswordFile = Annotated[
    Path | None,
    typer.Option("--password-file", metavar="FILE", help="File with the key file's password (else FLARE_PASSWORD)."),
]
Task = Annotated[int, typer.Option("--task", metavar="ID", help="The task's number.")]
RoundNumber = Annotated[int | None, typer.Option("--round", metavar="N", help="The round; the newest by default.")]

DEFAULT_DEPLOYMENTS = Path("deployments")
