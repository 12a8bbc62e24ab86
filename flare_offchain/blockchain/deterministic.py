"""Deploying so that it can be planned, repeated and resumed: through the factory, each address known beforehand.

A plan says what is on chain already and what is to be sent. It is made anew from the chain each time, so that a run
that was killed anywhere (before a transaction, between sending and recording, between two records) is resumed by
running again: what has code at its address is recorded and never sent twice.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from flare_offchain.blockchain.artifacts import ContractArtifact, load_artifact
from flare_offchain.blockchain.connector import TransactionRequest
from flare_offchain.blockchain.contracts import RoundCoordinator
from flare_offchain.blockchain.create2 import create2_address
from flare_offchain.blockchain.deployments import (
    Deployment,
    FlareDeployment,
    complete,
    initcode,
    link_order,
    read_deployment,
    record_of,
)
from flare_offchain.blockchain.factory import FACTORY, FACTORY_COST, create_factory, has_factory
from flare_offchain.blockchain.outcomes import BlockStamp, Reverted
from flare_offchain.core.errors import ChainUnavailable, ConfigurationError, InsufficientFunds, WrongChain
from flare_offchain.core.types import Address

if TYPE_CHECKING:
    from flare_offchain.blockchain.ethereum import EthereumConnector
    from flare_offchain.blockchain.signers import Signer

logger = logging.getLogger(__name__)

MAX_INITCODE_BYTES = 49_152
"""What a chain takes at once (EIP-3860)."""
QUIET_SECONDS = 300.0
"""How long earlier transactions of the account are waited for: one of them may be what a killed run sent."""
_POLL = 0.25


@dataclass(frozen=True, slots=True)
class PlannedContract:
    """A contract with the address that it has or will have.

    Attributes:
        name: of the contract.
        address: follows from `salt` (32 bytes) and `code`, the initcode.
        arguments, libraries: the constructor's, and the addresses linked in.
        present: whether it is on chain.
        gas: what creating it is expected to use at most; 0 where it is on chain.
    """

    name: str
    address: Address
    salt: bytes
    code: bytes
    arguments: tuple[int, ...]
    libraries: tuple[tuple[str, Address], ...]
    present: bool
    gas: int = 0


@dataclass(frozen=True, slots=True)
class DeploymentPlan:
    """What is to be done on a chain.

    Attributes:
        chain_id: the chain.
        contracts: in the order of their creation; the coordinator, which creates registry, views and task actions, is
            the last.
        factory_present: whether the chain has the factory.
        gas_price: wei that a unit of gas costs at most.
    """

    chain_id: int
    contracts: tuple[PlannedContract, ...]
    factory_present: bool
    gas_price: int

    @property
    def due(self) -> tuple[PlannedContract, ...]:
        """What is not on chain yet."""
        return tuple(contract for contract in self.contracts if not contract.present)

    @property
    def cost(self) -> int:
        """Wei that it costs at most."""
        factory = 0 if self.factory_present or not self.due else FACTORY_COST + 21_000 * self.gas_price
        return factory + sum(contract.gas for contract in self.due) * self.gas_price


def plan_flare(
    chain: EthereumConnector, sender: str, *, minimum_bond: int, unbonding_delay: int, salt: int = 0
) -> DeploymentPlan:
    """Plan the deployment of a coordinator and what it is linked to. Sends nothing.

    Args:
        sender: who is to pay.
        minimum_bond, unbonding_delay: as `deploy_flare`.
        salt: 0 to 2**256 - 1; another one gives other addresses.

    Raises:
        WrongChain: other code is where the factory belongs.
        TransactionReverted: the constructor refuses the arguments.
        ChainUnavailable; ConfigurationError.
    """
    factory_present = has_factory(chain)
    base, priority = chain.fee_levels()
    contracts = tuple(
        _priced(chain, sender, contract, factory_present)
        for contract in _contracts(chain, (minimum_bond, unbonding_delay), salt.to_bytes(32, "big"))
    )
    return DeploymentPlan(chain.chain_id, contracts, factory_present, 2 * base + priority)


def _contracts(chain: EthereumConnector, arguments: tuple[int, int], salt: bytes) -> Iterator[PlannedContract]:
    coordinator = load_artifact(RoundCoordinator.NAME)
    libraries: dict[str, Address] = {}
    for artifact in [*map(load_artifact, link_order(coordinator)), coordinator]:
        given = arguments if artifact is coordinator else ()
        code = initcode(artifact, given, libraries)
        if len(code) > MAX_INITCODE_BYTES:
            raise ConfigurationError(f"{artifact.name} takes {len(code)} bytes to create, chains take 49,152")
        address = create2_address(FACTORY, salt, code)
        linked = tuple((name, libraries[name]) for name in sorted(artifact.runtime.links))
        yield PlannedContract(artifact.name, address, salt, code, given, linked, bool(chain.code(address)))
        libraries[artifact.name] = address


def _priced(chain: EthereumConnector, sender: str, contract: PlannedContract, factory_present: bool) -> PlannedContract:
    if contract.present:
        return contract
    request = TransactionRequest(None, contract.code)
    if factory_present:
        request = TransactionRequest(FACTORY, contract.salt + contract.code)
    return replace(contract, gas=chain.estimate(sender, request))


def carry_out(chain: EthereumConnector, account: Signer, plan: DeploymentPlan, records: Path) -> FlareDeployment:
    """Send what a plan still lacks, check all code on chain, and return the deployment with its records.

    Args:
        records: folder of earlier records, of which those that fit are kept.

    Raises:
        WrongChain: code on chain is not this release's, or the chain is not the plan's.
        InsufficientFunds: the account cannot pay for all of it; nothing was sent then.
        ConfigurationError: as `create_factory`, `creation_of`.
        ChainUnavailable, TransactionNotMined, TransactionReverted.
    """
    if chain.chain_id != plan.chain_id:
        raise WrongChain(f"the plan is for chain {plan.chain_id}, this is chain {chain.chain_id}")
    if not all(chain.code(contract.address) for contract in plan.contracts):
        # What a killed run sent may be what is due.
        wait_for_earlier(chain, account.address)
        check_funds(chain, account.address, plan)
        create_factory(chain, account, plan.gas_price)
    return complete(chain, [_create(chain, account, contract, plan.gas_price, records) for contract in plan.contracts])


def wait_for_earlier(chain: EthereumConnector, address: str) -> None:
    """Wait until all that an account sent before is mined. Raises `ChainUnavailable` where that takes too long."""
    deadline = time.monotonic() + QUIET_SECONDS
    while chain.unmined(address):
        if time.monotonic() > deadline or chain.pause(_POLL):
            raise ChainUnavailable(f"earlier transactions of {address} are not mined yet: wait, and deploy again")


def check_funds(chain: EthereumConnector, address: str, plan: DeploymentPlan) -> None:
    """Raise `InsufficientFunds` unless an account can pay for all that a plan may cost."""
    held = chain.balance(address)
    if held < plan.cost:
        raise InsufficientFunds(f"{address} holds {held} wei and the deployment may cost {plan.cost}: fund the account")


def _create(
    chain: EthereumConnector, account: Signer, contract: PlannedContract, max_fee: int, records: Path
) -> Deployment:
    artifact = load_artifact(contract.name)
    if chain.code(contract.address):
        return _found(chain, artifact, contract, records)
    logger.info("creating %s at %s", contract.name, contract.address)
    doing = f"the creation of {contract.name}"
    outcome = chain.send_data(account, FACTORY, contract.salt + contract.code, doing=doing, max_fee=max_fee)
    if isinstance(outcome, Reverted) and chain.code(contract.address):
        # Somebody else created it a moment before: at this address it can only be the same.
        return _found(chain, artifact, contract, records)
    done = outcome.confirmed()
    return _record(chain, artifact, contract, (done.transaction_hash, done.block))


def _record(
    chain: EthereumConnector, artifact: ContractArtifact, contract: PlannedContract, made_by: tuple[bytes, BlockStamp]
) -> Deployment:
    salt = "0x" + contract.salt.hex()
    linked = dict(contract.libraries)
    return record_of(chain, artifact, contract.address, made_by, contract.arguments, linked, factory=FACTORY, salt=salt)


def _found(
    chain: EthereumConnector, artifact: ContractArtifact, contract: PlannedContract, records: Path
) -> Deployment:
    """Return the record of a contract that is on chain: the one that is kept, or one made from the chain."""
    if (records / str(chain.chain_id) / f"{contract.name}.json").exists():
        kept = read_deployment(records, chain.chain_id, contract.name)
        if _stands(chain, artifact, contract, kept):
            return kept
    return _record(chain, artifact, contract, creation_of(chain, contract))


def _stands(chain: EthereumConnector, artifact: ContractArtifact, contract: PlannedContract, kept: Deployment) -> bool:
    """Whether a record is what would be written now, and its transaction is the one that created the contract."""
    try:
        made_by = bytes.fromhex(kept.transaction.removeprefix("0x")), chain.stamp(kept.block)
        if kept != _record(chain, artifact, contract, made_by):
            return False
        return chain.transaction_input(made_by[0]) == contract.salt + contract.code
    except (ChainUnavailable, ValueError):
        # A record of a chain that was started anew.
        return False


def creation_of(chain: EthereumConnector, contract: PlannedContract) -> tuple[bytes, BlockStamp]:
    """Return the transaction that created a contract, and its block: the first after which there is code.

    Raises:
        ConfigurationError: another contract's call created it.
        ChainUnavailable: the endpoint no longer has the states of old blocks.
    """
    block = _first_with_code(chain, contract.address)
    wanted = contract.salt + contract.code
    for name, data in chain.calls_in(block, FACTORY):
        if data == wanted and chain.transaction_input(name) == wanted:
            return name, block
    raise ConfigurationError(
        f"{contract.name} at {contract.address} was created in block {block.number}, but by no transaction of its own: "
        "deploy with another --salt"
    )


def _first_with_code(chain: EthereumConnector, address: Address) -> BlockStamp:
    newest = chain.newest()
    last, distance = newest.number, 1
    # Backwards in growing steps first: nodes keep the states of recent blocks only.
    while last and chain.code(address, chain.stamp(max(0, newest.number - distance))):
        last = max(0, newest.number - distance)
        distance *= 2
    first = max(0, newest.number - distance)
    while last - first > 1:
        middle = (first + last) // 2
        if chain.code(address, chain.stamp(middle)):
            last = middle
        else:
            first = middle
    return chain.stamp(last)
