"""The `flare` command.

Every command takes `--json`, has an example in its help, and exits with a code that tells what to do: 0 done, 1 the
answer is no (an audit with findings), 2 wrong use, 65 this round is lost, 75 try again, 78 a person must act.
Heavy libraries are imported by the commands that need them, never here.
"""

from __future__ import annotations

import sys

import click
import typer

from flare_offchain.cli import audit, demo, deploy, key, model, show, simulate, task, worker
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
app.add_typer(worker.app, name="worker")
app.add_typer(task.app, name="task")
app.add_typer(model.app, name="model")
app.add_typer(show.app, name="show")

INTERRUPTED = 130


def run(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code. Errors are one line on standard error."""
    try:
        result = app(arguments, standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except FlareError as error:
        sys.stderr.write(f"flare: {error}\n")
        sys.exit(exit_code(error))
    except (KeyboardInterrupt, click.Abort):
        sys.stderr.write("flare: interrupted; what was kept so far is whole, run the same command again to go on\n")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.exit(INTERRUPTED)
    sys.exit(result if isinstance(result, int) else 0)
