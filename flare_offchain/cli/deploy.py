"""`flare deploy`: put the contracts on a chain, and keep the record of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from flare_offchain.cli.amounts import ether_text, wei_of
from flare_offchain.cli.network import OpenNetwork, Place, start_network
from flare_offchain.cli.options import KEYS, PLACE, place_command
from flare_offchain.cli.output import Output, progress

if TYPE_CHECKING:
    from flare_offchain.blockchain.deployments import FlareDeployment

HELP = """Deploy the contracts, check their code on chain, and write the deployment records.

With --run DIR an embedded chain is started in that folder (or the one there is used), paid for by its account dev:0.
Repeated, it finds the deployment that the records name, checks it again and says so.

Example: flare deploy --run net --accounts 6

Example: flare deploy --network sepolia --key keys --bond 0.01
"""

DEFAULT_DELAY = 86_400
MAX_DELAY = 2**63 - 1


def deploy(
    place: Place,
    output: Output,
    bond: Annotated[str, typer.Option(metavar="ETH", help="The smallest bond of a participant.")] = "1",
    unbonding_delay: Annotated[
        int,
        typer.Option(
            metavar="SECONDS", min=1, max=MAX_DELAY, help="From an exit request to the bond; longer than any round."
        ),
    ] = DEFAULT_DELAY,
    replace: Annotated[
        bool, typer.Option("--replace", help="Deploy anew and replace the records of another deployment.")
    ] = False,
    seed: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="Of a new embedded chain: everything on it follows from the seed."),
    ] = None,
    accounts: Annotated[
        int | None, typer.Option(metavar="N", min=1, max=65_536, help="Funded accounts of a new embedded chain.")
    ] = None,
) -> None:
    """Deploy, or find what is deployed."""
    minimum = wei_of(bond)
    with start_network(place, seed, accounts) as network:
        existing = (place.records / str(network.chain.chain_id) / "RoundCoordinator.json").exists()
        if existing and not replace:
            _show(network, network.deployment, output, "found")
        else:
            _show(network, _deploy(network, minimum, unbonding_delay, replace), output, "deployed")


def _deploy(network: OpenNetwork, bond: int, unbonding_delay: int, replace: bool) -> FlareDeployment:
    from flare_offchain.blockchain.deployments import deploy_flare, write_deployment

    progress(f"deploying from {network.address} to chain {network.chain.chain_id}")
    deployment = deploy_flare(network.chain, network.account, minimum_bond=bond, unbonding_delay=unbonding_delay)
    write_deployment(network.place.records, deployment.records, replace=replace)
    return deployment


def _show(network: OpenNetwork, deployment: FlareDeployment, output: Output, event: str) -> None:
    minimum, delay = deployment.registry.minimum_bond(), deployment.registry.unbonding_delay()
    output.emit(
        {
            "event": event,
            "chain_id": network.chain.chain_id,
            "contracts": {record.contract: record.address for record in deployment.records},
            "minimum_bond_wei": str(minimum),
            "unbonding_delay": delay,
            "records": str(network.place.records / str(network.chain.chain_id)),
        }
    )
    verb = "already deployed, checked again" if event == "found" else "deployed and checked"
    output.say(f"{verb} on chain {network.chain.chain_id}:")
    output.table("", ("contract", "address", "block"), [(r.contract, r.address, r.block) for r in deployment.records])
    output.say(f"minimum bond {ether_text(minimum)}, unbonding delay {delay:,} s")


command = place_command(deploy, PLACE | KEYS)
