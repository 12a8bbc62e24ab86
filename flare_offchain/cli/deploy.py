"""`flare deploy`: put the contracts on a chain, and keep the record of it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from flare_offchain.cli.amounts import ether_text, wei_of
from flare_offchain.cli.network import OpenNetwork, Place, start_network
from flare_offchain.cli.options import KEYS, PLACE, place_command
from flare_offchain.cli.output import Output, progress
from flare_offchain.core.errors import ConfigurationError, Fatal

if TYPE_CHECKING:
    from flare_offchain.blockchain.deployments import Deployment, FlareDeployment
    from flare_offchain.blockchain.deterministic import DeploymentPlan

HELP = """Deploy the contracts, check their code on chain, and write the deployment records.

With --rpc or --network the plan and its cost are shown first, and nothing is sent before you agree. Addresses follow
from the release, the bond, the delay and the salt: repeated, or run again after it was interrupted anywhere, it finds
what is on chain, records it, and sends only what is missing.

With --run DIR an embedded chain is started in that folder (or the one there is used), paid for by its account dev:0.

Example: flare deploy --run net --accounts 6

Example: flare deploy --network sepolia --key keys --bond 0.01
"""

DEFAULT_BOND, DEFAULT_DELAY = "1", 86_400
MAX_DELAY = 2**63 - 1
MAX_SALT = 2**63 - 1


@dataclass(frozen=True, slots=True)
class _Wish:
    """What the options ask for; None where they leave it open. The bond is wei, the delay seconds."""

    bond: int | None
    delay: int | None
    salt: int | None
    replace: bool
    yes: bool

    @property
    def terms(self) -> tuple[int, int, int]:
        """Bond, delay and salt of a new deployment."""
        return (
            wei_of(DEFAULT_BOND) if self.bond is None else self.bond,
            DEFAULT_DELAY if self.delay is None else self.delay,
            self.salt or 0,
        )


def deploy(
    place: Place,
    output: Output,
    bond: Annotated[
        str | None, typer.Option(metavar="ETH", help="The smallest bond of a participant; 1 by default.")
    ] = None,
    unbonding_delay: Annotated[
        int | None,
        typer.Option(
            metavar="SECONDS",
            min=1,
            max=MAX_DELAY,
            help="From an exit request to the bond, longer than any round; a day by default.",
        ),
    ] = None,
    salt: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, max=MAX_SALT, help="Another number, other addresses (not with --run)."),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Deploy anew and replace the records of another deployment.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Agree to the plan without being asked.")] = False,
    seed: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="Of a new embedded chain: everything on it follows from the seed."),
    ] = None,
    accounts: Annotated[
        int | None, typer.Option(metavar="N", min=1, max=65_536, help="Funded accounts of a new embedded chain.")
    ] = None,
) -> None:
    """Deploy, or find what is deployed."""
    wish = _Wish(None if bond is None else wei_of(bond), unbonding_delay, salt, replace, yes)
    if place.run is not None and salt is not None:
        raise typer.BadParameter("an embedded chain is your own and needs no salt: leave --salt out")
    with start_network(place, seed, accounts) as network:
        kept = None if replace else _kept(network)
        if kept is None:
            deployment, event = _embedded(network, wish) if network.embedded else _planned(network, wish, wish.terms)
        else:
            _check_wish(wish, kept)
            deployment, event = _kept_deployment(network, wish, kept)
        _show(network, deployment, output, event)


def _kept(network: OpenNetwork) -> Deployment | None:
    """Return the record of the coordinator, if there is one."""
    from flare_offchain.blockchain.contracts import RoundCoordinator
    from flare_offchain.blockchain.deployments import read_deployment

    name = RoundCoordinator.NAME
    if not (network.place.records / str(network.chain.chain_id) / f"{name}.json").exists():
        return None
    return read_deployment(network.place.records, network.chain.chain_id, name)


def _check_wish(wish: _Wish, kept: Deployment) -> None:
    """Raise `ConfigurationError` where the options ask for another deployment than the records'."""
    salt = None if wish.salt is None else "0x" + wish.salt.to_bytes(32, "big").hex()
    asked = tuple(None if value is None else str(value) for value in (wish.bond, wish.delay))
    found = (*kept.arguments, kept.salt)
    if len(found) != 3 or any(one not in (None, other) for one, other in zip((*asked, salt), found, strict=True)):
        raise ConfigurationError(
            f"{kept.contract} is recorded on chain {kept.chain_id} with bond and delay {', '.join(kept.arguments)}, "
            f"salt {kept.salt or 'none'}: ask for the same, choose another --deployments, or --replace"
        )


def _kept_deployment(network: OpenNetwork, wish: _Wish, kept: Deployment) -> tuple[FlareDeployment, str]:
    """Check what the records say; where a run was killed between two of them, write those that are missing."""
    from flare_offchain.blockchain.deployments import verify_deployment

    verify_deployment(network.chain, kept)
    if network.embedded or not kept.factory:
        return network.deployment, "found"
    bond, delay = (int(argument) for argument in kept.arguments)
    deployment, _ = _planned(network, wish, (bond, delay, int(kept.salt, 16)))
    return deployment, "found"


def _embedded(network: OpenNetwork, wish: _Wish) -> tuple[FlareDeployment, str]:
    from flare_offchain.blockchain.deployments import deploy_flare, write_deployment

    progress(f"deploying from {network.address} to chain {network.chain.chain_id}")
    bond, delay, _ = wish.terms
    deployment = deploy_flare(network.chain, network.account, minimum_bond=bond, unbonding_delay=delay)
    write_deployment(network.place.records, deployment.records, replace=wish.replace)
    return deployment, "deployed"


def _planned(network: OpenNetwork, wish: _Wish, terms: tuple[int, int, int]) -> tuple[FlareDeployment, str]:
    from flare_offchain.blockchain.deployments import write_deployment
    from flare_offchain.blockchain.deterministic import carry_out, check_funds, plan_flare, wait_for_earlier
    from flare_offchain.blockchain.ethereum import EthereumConnector

    chain = network.chain
    if not isinstance(chain, EthereumConnector):
        raise Fatal("only an embedded chain is reached without an endpoint")
    bond, delay, salt = terms
    wait_for_earlier(chain, network.address)
    plan = plan_flare(chain, network.address, minimum_bond=bond, unbonding_delay=delay, salt=salt)
    if plan.due:
        _show_plan(network, plan)
        check_funds(chain, network.address, plan)
        _ask(wish)
    deployment = carry_out(chain, network.account, plan, network.place.records)
    write_deployment(network.place.records, deployment.records, replace=wish.replace)
    return deployment, "deployed" if plan.due else "found"


def _show_plan(network: OpenNetwork, plan: DeploymentPlan) -> None:
    """Tell on standard error what is to be sent, and what it costs."""
    progress(f"to be sent to chain {plan.chain_id}, from {network.address}:")
    if not plan.factory_present:
        progress("  the deployment factory, which this chain lacks (0.01 ETH)")
    for contract in plan.contracts:
        what = "is there already" if contract.present else f"at most {contract.gas:,} gas"
        progress(f"  {contract.name} at {contract.address}, {what}")
    price = f"{plan.gas_price / 10**9:.9g} gwei"
    held = network.chain.balance(network.address)
    progress(f"  costs at most {ether_text(plan.cost)} ({price} a unit of gas); the account holds {ether_text(held)}")


def _ask(wish: _Wish) -> None:
    if wish.yes:
        return
    if not sys.stdin.isatty():
        raise ConfigurationError("nothing was sent: there is nobody to ask here; add --yes to agree to the plan")
    if not typer.confirm("Send it?", err=True):
        raise ConfigurationError("nothing was sent")


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
