"""The `flare` command.

Every command takes `--json`, has an example in its help, and exits with a code that tells what to do: 0 done, 1 the
answer is no (an audit with findings), 2 wrong use, 65 this round is lost, 75 try again, 78 a person must act.
Heavy libraries are imported by the commands that need them, never here.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from flare_offchain.cli import audit, demo, deploy, devnet, drill, key, model, show, simulate, task, worker, worker_run
from flare_offchain.core.errors import FlareError, exit_code

app = typer.Typer(
    name="flare",
    help="Federated learning without a server to trust: contracts coordinate, a VRF committee decides, anyone audits.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

app.command("demo", help=demo.HELP)(demo.command)
app.command("simulate", help=simulate.HELP)(simulate.command)
app.command("deploy", help=deploy.HELP)(deploy.command)
app.command("audit", help=audit.HELP)(audit.command)
app.add_typer(key.app, name="key")
worker_run.add_to(worker.app)
app.add_typer(worker.app, name="worker")
app.add_typer(task.app, name="task")
app.add_typer(model.app, name="model")
app.add_typer(show.app, name="show")
app.add_typer(devnet.app, name="devnet")
app.command("drill", help=drill.HELP)(drill.command)

INTERRUPTED = 130


@app.callback()
def offer(
    module: Annotated[
        list[str] | None,
        typer.Option(
            "--module",
            metavar="NAME=PACKAGE.MODULE:CLASS",
            envvar="FLARE_MODULES",
            help="A torch module of your own that tasks may name as their model (repeatable).",
        ),
    ] = None,
) -> None:
    """Take what holds for every command."""
    if module:
        from flare_offchain.models.own import offer_modules

        offer_modules(module)


def run(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code. Errors are one line on standard error."""
    try:
        result = app(arguments, standalone_mode=False, prog_name="flare")
    except typer.TyperException as error:
        _explain(error)
        sys.exit(error.exit_code)
    except FlareError as error:
        sys.stderr.write(f"flare: {' '.join(str(error).split())}\n")
        sys.exit(exit_code(error))
    except (KeyboardInterrupt, typer.Abort):
        result = INTERRUPTED
    except BrokenPipeError:
        sys.exit(INTERRUPTED)
    if result == INTERRUPTED:
        sys.stderr.write("flare: interrupted; what was kept so far is whole, run the same command again to go on\n")
    sys.exit(result if isinstance(result, int) else 0)


def _explain(error: typer.TyperException) -> None:
    """Say what is wrong with the command; a group that is named without a command shows its help instead."""
    text = error.format_message().removeprefix("Invalid value: ")
    if "\n" in text:
        sys.stderr.write(text + "\n")
        return
    context = getattr(error, "ctx", None)
    command = "flare" if context is None else context.command_path
    sys.stderr.write(f"flare: {text.removesuffix('.')} (`{command} --help` shows how)\n")
