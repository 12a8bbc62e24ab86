"""`flare worker`: an account's bond, VRF key and rewards."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from flare_offchain.cli.amounts import ether_text, wei_of
from flare_offchain.cli.options import OpenNetwork, Output, add_command
from flare_offchain.cli.output import moment, progress
from flare_offchain.cli.reading import choose_task
from flare_offchain.core.errors import ConfigurationError, Retryable

if TYPE_CHECKING:
    from flare_offchain.blockchain.contracts import Participant

app = typer.Typer(help="Register as a worker, leave, and take rewards.", no_args_is_help=True)


def register(
    network: OpenNetwork,
    output: Output,
    bond: Annotated[
        str | None, typer.Option(metavar="ETH", help="The bond; the smallest that the registry takes by default.")
    ] = None,
) -> None:
    """Bond ether and register the VRF key, with a proof that the account holds it.

    Example: flare worker register --run net --key dev:1 --bond 2
    """
    from flare_offchain.consensus.chain_proof import prove_for_chain
    from flare_offchain.consensus.identities import possession_alpha

    registry, vrf_key = network.registry, network.key.vrf_key
    minimum = registry.minimum_bond()
    amount = minimum if bond is None else wei_of(bond)
    if amount < minimum:
        raise ConfigurationError(f"the registry asks for a bond of at least {ether_text(minimum)}: raise --bond")
    found = registry.participant(network.address)
    if found.vrf_key:
        _check_same(found, vrf_key.public_x)
        _show(network, found, output, "already registered")
        return
    proof = prove_for_chain(vrf_key, possession_alpha(network.chain.chain_id, registry.address, network.address))
    registry.register(network.account, vrf_key.public_x, proof, bond=amount).confirmed()
    _show(network, registry.participant(network.address), output, "registered")


def leave(network: OpenNetwork, output: Output) -> None:
    """Request the exit: from now on the account takes part in nothing, and after the delay its bond can be withdrawn.

    Example: flare worker leave --run net --key dev:1
    """
    found = _registered(network)
    if found.withdrawable_at:
        _show(network, found, output, "exit already requested")
        return
    network.registry.request_exit(network.account).confirmed()
    _show(network, _registered(network), output, "exit requested")


def withdraw(
    network: OpenNetwork,
    output: Output,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for the end of the delay (an embedded chain's clock is moved on).")
    ] = False,
) -> None:
    """Take the bond back, once the delay after the exit request is over.

    Example: flare worker withdraw --run net --key dev:1 --wait
    """
    found = _registered(network)
    if not found.withdrawable_at:
        raise ConfigurationError(f"{network.address} has not requested its exit: `flare worker leave` first")
    if wait:
        _wait_until(network, found.withdrawable_at)
    elif network.chain.now() < found.withdrawable_at:
        raise Retryable(f"the bond is locked until {moment(found.withdrawable_at)}: try again then, or --wait")
    network.registry.withdraw_bond(network.account).confirmed()
    output.result(
        f"{network.address} has its bond of {ether_text(found.bond)} back",
        {"event": "bond withdrawn", "account": network.address, "amount_wei": str(found.bond)},
    )


def rewards(
    network: OpenNetwork,
    output: Output,
    task: Annotated[
        int | None, typer.Option("--task", metavar="ID", min=1, help="One task; all of them by default.")
    ] = None,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Pay the credit to the account.")] = False,
) -> None:
    """List an account's credit in each task, and withdraw it.

    Example: flare worker rewards --run net --key dev:1 --withdraw
    """
    coordinator, address = network.coordinator, network.address
    tasks = range(1, coordinator.task_count() + 1) if task is None else [choose_task(network, task)]
    credits = {number: coordinator.enrolment(number, address).credit for number in tasks}
    for number, credit in credits.items():
        paid = withdraw and credit > 0
        if paid:
            coordinator.withdraw_rewards(network.account, number).confirmed()
        output.emit(
            {"event": "reward", "account": address, "task": number, "credit_wei": str(credit), "withdrawn": paid}
        )
    rows = [(number, ether_text(credit), "yes" if withdraw and credit else "no") for number, credit in credits.items()]
    output.table(f"rewards of {address}", ("task", "credit", "withdrawn"), rows)
    if not credits:
        output.say("there is no task yet")


def _check_same(found: Participant, public_x: int) -> None:
    if found.vrf_key != public_x:
        raise ConfigurationError(
            f"the account is registered with another VRF key, {found.vrf_key:#066x}: use that key's file"
        )
    if found.withdrawable_at:
        raise ConfigurationError(
            f"the account has requested its exit: withdraw the bond after {moment(found.withdrawable_at)}, "
            "then register a new VRF key (`flare key new`); a key is never used twice"
        )


def _registered(network: OpenNetwork) -> Participant:
    found = network.registry.participant(network.address)
    if not found.vrf_key:
        raise ConfigurationError(f"{network.address} is not registered: `flare worker register` first")
    return found


def _show(network: OpenNetwork, found: Participant, output: Output, event: str) -> None:
    text = f"{network.address} {event}: bond {ether_text(found.bond)}, VRF key {found.vrf_key:#066x}"
    if found.withdrawable_at:
        text += f", bond to be had from {moment(found.withdrawable_at)} on"
    output.result(
        text,
        {
            "event": event,
            "account": network.address,
            "vrf_key": f"{found.vrf_key:#066x}",
            "bond_wei": str(found.bond),
            "withdrawable_at": found.withdrawable_at,
        },
    )


def _wait_until(network: OpenNetwork, timestamp: int) -> None:
    from flare_offchain.blockchain.embedded import EthTesterConnector

    missing = timestamp - network.chain.now()
    if isinstance(network.chain, EthTesterConnector):
        if missing > 0:
            network.chain.advance_time(missing)
        return
    progress(f"waiting until {moment(timestamp)}")
    while (missing := timestamp - network.chain.now()) > 0:
        time.sleep(min(missing, 15))


add_command(app, "register", register, key=True, writes=True)
add_command(app, "leave", leave, key=True, writes=True)
add_command(app, "withdraw", withdraw, key=True, writes=True)
add_command(app, "rewards", rewards, key=True, writes="withdraw")
