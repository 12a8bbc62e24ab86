"""`flare simulate`: a network described by a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flare_offchain.cli.options import Json

HELP = """Run the network that a TOML file describes. Every setting of the demo, and the task's rules under [rules].

Example: flare simulate scripts/examples/all_together.toml --out run
"""


def command(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.toml", help="The scenario.")],
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Keep chain, store and record here.")] = None,
    json: Json = False,
) -> int:
    """Run a scenario from a file."""
    from flare_offchain.cli.running import run_and_show
    from flare_offchain.cli.toml import read_toml
    from flare_offchain.simulation.scenario import Scenario

    return run_and_show(Scenario.from_record(read_toml(config)), out, json)
