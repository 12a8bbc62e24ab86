"""`flare demo`: a whole network in one process, end to end."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flare_offchain.cli.options import Json

HELP = """Run federated learning end to end on the embedded chain: deploy, train, record, aggregate, vote, finalize.

Example: flare demo --workers 10 --rounds 5 --attackers 3 --attack sign_flip --out run
"""


def command(
    workers: Annotated[int, typer.Option(help="How many workers take part.")] = 10,
    rounds: Annotated[int, typer.Option(help="How many rounds are run.")] = 5,
    attackers: Annotated[int | None, typer.Option(help="How many of them attack (30 % by default).")] = None,
    attack: Annotated[str, typer.Option(metavar="NAME", help="What the attackers do.")] = "sign_flip",
    committee_attack: Annotated[
        str, typer.Option(metavar="NAME", help="What the attackers do as committee members.")
    ] = "honest",
    data: Annotated[str, typer.Option(metavar="NAME", help="digits, mnist5k, mnist, hapt, fsdd or npz.")] = "digits",
    data_dir: Annotated[Path | None, typer.Option(metavar="DIR", help="Where mnist, hapt, fsdd or npz lie.")] = None,
    partition: Annotated[str, typer.Option(help="iid, label, dirichlet:ALPHA or subject.")] = "dirichlet:0.5",
    aggregation: Annotated[str, typer.Option(metavar="NAME", help="The aggregation rule.")] = "mutual_information",
    server: Annotated[
        str, typer.Option(metavar="NAME", help="The server optimiser: none, fedavgm or fedadam.")
    ] = "none",
    device: Annotated[str, typer.Option(metavar="NAME", help="Where to train: auto, cpu or cuda.")] = "cpu",
    seed: Annotated[int, typer.Option(help="The same seed gives the same models, to the bit.")] = 0,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Keep chain, store and record here.")] = None,
    json: Json = False,
) -> int:
    """Run the demo with the given options."""
    from flare_offchain.cli.running import run_and_show
    from flare_offchain.simulation.scenario import Scenario

    scenario = Scenario(
        workers=workers,
        rounds=rounds,
        attackers=round(0.3 * workers) if attackers is None else attackers,
        attack=attack,
        committee_attack=committee_attack,
        data=data,
        data_dir=None if data_dir is None else str(data_dir),
        partition=partition,
        aggregation=aggregation,
        server=server,
        device=device,
        seed=seed,
    )
    return run_and_show(scenario, out, json)
