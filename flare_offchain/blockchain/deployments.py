"""Deploying Flare's contracts, the record of it, and the proof that what is on chain is what was compiled.

A deployment is kept as `<folder>/<chain id>/<Contract>.json`. Reading one back checks the code on chain twice: against
the hash that was recorded, and, with the immutable values masked, against the artifact of this release. Where a factory
created the contract, its address must follow from the artifact, the arguments and the salt besides.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eth_utils.crypto import keccak

from flare_offchain.blockchain.abi import checksum
from flare_offchain.blockchain.artifacts import ContractArtifact, load_artifact
from flare_offchain.blockchain.connector import BlockchainConnector
from flare_offchain.blockchain.contracts import ParticipantRegistry, RoundCoordinator
from flare_offchain.blockchain.create2 import create2_address
from flare_offchain.blockchain.outcomes import BlockStamp
from flare_offchain.core.errors import ConfigurationError, StorageUnavailable, WrongChain
from flare_offchain.core.types import Address
from flare_offchain.utils.bounded_json import load_json

if TYPE_CHECKING:
    from flare_offchain.blockchain.signers import Signer

MAX_RECORD_BYTES = 2**20
VIEWS = "RoundViews"
"""The contract whose code answers the coordinator's view functions."""
TASK_ACTIONS = "TaskActions"
"""The contract whose code does what is done to tasks as a whole."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """A contract on a chain, and all that is needed to check it later.

    `transaction`, `block_hash`, `abi_hash` and `code_hash` are hex with 0x. `code_hash` is keccak256 of the code on
    chain. `arguments` are the constructor's, as text; none for a contract that another one created. `libraries` are
    the addresses linked in. `factory` and `salt` (hex with 0x) made the address (`flare_offchain.blockchain.factory`);
    both are empty where an account or another contract created it.
    """

    contract: str
    chain_id: int
    address: Address
    transaction: str
    block: int
    block_hash: str
    abi_hash: str
    code_hash: str
    compiler: str
    arguments: tuple[str, ...]
    libraries: Mapping[str, str]
    factory: str = ""
    salt: str = ""

    def to_json(self) -> str:
        """Return the record's text."""
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"

    @classmethod
    def of_json(cls, text: str | bytes) -> Deployment:
        """Read a record. Raises `ValueError` where it is none."""
        value = load_json(text)
        if not isinstance(value, dict) or set(value) != set(cls.__dataclass_fields__):
            raise ValueError("it does not have the fields of a deployment")
        texts = ["contract", "transaction", "block_hash", "abi_hash", "code_hash", "compiler", "address"]
        texts += ["factory", "salt"]
        if any(not isinstance(value[name], str) for name in texts) or not isinstance(value["libraries"], dict):
            raise ValueError("a field is of the wrong type")
        if type(value["chain_id"]) is not int or type(value["block"]) is not int:
            raise ValueError("chain_id and block are integers")
        value["address"] = checksum(value["address"])
        value["arguments"] = tuple(str(argument) for argument in value["arguments"])
        return cls(**value)


@dataclass(frozen=True, slots=True)
class FlareDeployment:
    """A coordinator with the registry that it created, and the records of both."""

    coordinator: RoundCoordinator
    registry: ParticipantRegistry
    records: tuple[Deployment, ...]


def deploy_flare(
    chain: BlockchainConnector, account: Signer, *, minimum_bond: int, unbonding_delay: int
) -> FlareDeployment:
    """Deploy a coordinator, which creates its registry, and the libraries that it is linked to.

    Args:
        minimum_bond: wei that every participant has to bond.
        unbonding_delay: seconds between an exit request and the withdrawal; longer than any round a task may have.

    Raises: as `BlockchainConnector.deploy`; WrongChain: the code on chain is not what was deployed.
    """
    artifact = load_artifact(RoundCoordinator.NAME)
    libraries: dict[str, Address] = {}
    records: list[Deployment] = []
    for name in link_order(artifact):
        library = load_artifact(name)
        deployed = chain.deploy(account, library, libraries=libraries)
        libraries[name] = deployed.contract.address
        made_by = deployed.receipt.transaction_hash, deployed.receipt.block
        records.append(record_of(chain, library, libraries[name], made_by, (), libraries))
    arguments = (minimum_bond, unbonding_delay)
    made = chain.deploy(account, artifact, *arguments, libraries=libraries)
    made_by = made.receipt.transaction_hash, made.receipt.block
    records.append(record_of(chain, artifact, made.contract.address, made_by, arguments, libraries))
    return complete(chain, records)


def complete(chain: BlockchainConnector, records: Sequence[Deployment]) -> FlareDeployment:
    """Return the deployment of a coordinator, whose record is the last, with those that it created; all code checked.

    Raises: WrongChain: the code on chain is not what was deployed; ChainUnavailable.
    """
    made = records[-1]
    coordinator = RoundCoordinator(chain, made.address)
    made_by = bytes.fromhex(made.transaction[2:]), chain.stamp(made.block)
    verify_deployment(chain, made)
    made_with_it = _created(coordinator).items()
    created = [record_of(chain, load_artifact(name), address, made_by, (), {}) for name, address in made_with_it]
    for record in [*records[:-1], *created]:
        verify_deployment(chain, record)
    return FlareDeployment(coordinator, coordinator.registry(), (*records, *created))


def _created(coordinator: RoundCoordinator) -> dict[str, Address]:
    """Return the contracts that a coordinator created, and trusts, by name."""
    return {
        ParticipantRegistry.NAME: coordinator.registry().address,
        VIEWS: coordinator.view_code(),
        TASK_ACTIONS: coordinator.task_code(),
    }


def link_order(artifact: ContractArtifact) -> list[str]:
    """Return the libraries of a contract, each after those that it needs itself."""
    order: list[str] = []
    for name in sorted({*artifact.creation.links, *artifact.runtime.links}):
        order += [inner for inner in link_order(load_artifact(name)) if inner not in order]
        if name not in order:
            order.append(name)
    return order


def record_of(
    chain: BlockchainConnector,
    artifact: ContractArtifact,
    address: Address,
    made_by: tuple[bytes, BlockStamp],
    arguments: Sequence[object],
    libraries: Mapping[str, str],
    *,
    factory: str = "",
    salt: str = "",
) -> Deployment:
    """Return the record of a contract that is on chain; `made_by` is its transaction's hash and block."""
    return Deployment(
        contract=artifact.name,
        chain_id=chain.chain_id,
        address=address,
        transaction="0x" + made_by[0].hex(),
        block=made_by[1].number,
        block_hash="0x" + made_by[1].hash.hex(),
        abi_hash=artifact.abi_hash,
        code_hash="0x" + keccak(chain.code(address)).hex(),
        compiler=artifact.compiler,
        arguments=tuple(str(argument) for argument in arguments),
        libraries={name: libraries[name] for name in sorted(artifact.runtime.links)},
        factory=factory,
        salt=salt,
    )


def verify_deployment(chain: BlockchainConnector, record: Deployment) -> None:
    """Check a contract on chain against its record and against this release's artifact.

    Raises: WrongChain: another chain, no code, or other code; ChainUnavailable.
    """
    where = f"{record.contract} at {record.address} on chain {record.chain_id}"
    if chain.chain_id != record.chain_id:
        raise WrongChain(f"{where} is deployed on another chain than {chain.chain_id}: set --rpc")
    artifact = load_artifact(record.contract)
    if artifact.abi_hash != record.abi_hash:
        raise WrongChain(f"{where} was deployed by a release with another interface: use that release, or deploy anew")
    code = chain.code(record.address)
    if not code:
        raise WrongChain(f"there is no code for {where}: was the test chain started anew? Deploy again")
    if "0x" + keccak(code).hex() != record.code_hash:
        raise WrongChain(f"the code of {where} is not what was deployed")
    libraries = {name: checksum(address) for name, address in record.libraries.items()}
    expected, actual = artifact.runtime.masked(code, libraries)
    if expected != actual:
        raise WrongChain(f"the code of {where} is not what this release compiles to: use the release that deployed it")
    if record.factory and record.address != _made_address(artifact, record, libraries):
        raise WrongChain(f"the address of {where} is not of this release's code with the recorded arguments and salt")


def _made_address(artifact: ContractArtifact, record: Deployment, libraries: Mapping[str, Address]) -> Address | None:
    try:
        arguments = [int(argument) for argument in record.arguments]
        code = initcode(artifact, arguments, libraries)
        return create2_address(record.factory, bytes.fromhex(record.salt.removeprefix("0x")), code)
    except (ValueError, ConfigurationError):
        return None


def initcode(artifact: ContractArtifact, arguments: Sequence[object], libraries: Mapping[str, Address]) -> bytes:
    """Return what creates a contract: its code, linked, and its constructor's arguments."""
    return artifact.creation.linked(libraries) + artifact.abi.constructor.encode(arguments)


def write_deployment(folder: Path, records: Sequence[Deployment], *, replace: bool = False) -> list[Path]:
    """Write records to `<folder>/<chain id>/<Contract>.json`.

    Raises: ConfigurationError: there is a record of another deployment, and `replace` is not set; StorageUnavailable.
    """
    paths = [folder / str(record.chain_id) / f"{record.contract}.json" for record in records]
    for path, record in zip(paths, records, strict=True):
        if path.exists() and not replace and _read(path) != record:
            raise ConfigurationError(f"{path} records another deployment: move it away, or replace it explicitly")
    for path, record in zip(paths, records, strict=True):
        temporary = path.with_suffix(".new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(record.to_json())
            temporary.replace(path)
        except OSError as error:
            raise StorageUnavailable(f"cannot write the deployment record {path}: {error.strerror}") from error
    return paths


def read_deployment(folder: Path, chain_id: int, contract: str) -> Deployment:
    """Read a record. Raises `ConfigurationError` where there is none, or it is malformed."""
    record = _read(folder / str(chain_id) / f"{contract}.json")
    if record.chain_id != chain_id or record.contract != contract:
        raise ConfigurationError(f"the deployment record of {contract} on chain {chain_id} is of something else")
    return record


def open_deployment(chain: BlockchainConnector, folder: Path) -> FlareDeployment:
    """Read the records of a chain, check all code, and return the contracts.

    Raises: ConfigurationError: no records; WrongChain: the chain does not hold what they say.
    """
    found = read_deployment(folder, chain.chain_id, RoundCoordinator.NAME)
    names = [*sorted(found.libraries), RoundCoordinator.NAME, ParticipantRegistry.NAME, VIEWS, TASK_ACTIONS]
    records = {name: read_deployment(folder, chain.chain_id, name) for name in names}
    for record in records.values():
        verify_deployment(chain, record)
    coordinator = RoundCoordinator(chain, found.address)
    registry = coordinator.registry()
    created = all(records[name].address == address for name, address in _created(coordinator).items())
    if not created or registry.coordinator() != coordinator.address:
        raise WrongChain(
            "the recorded contracts are not the coordinator's own: the records are of different deployments"
        )
    return FlareDeployment(coordinator, registry, tuple(records.values()))


def _read(path: Path) -> Deployment:
    try:
        with path.open("rb") as file:
            data: Any = file.read(MAX_RECORD_BYTES + 1)
    except FileNotFoundError as error:
        raise ConfigurationError(f"there is no deployment record {path}: deploy first (`flare deploy`)") from error
    except OSError as error:
        raise StorageUnavailable(f"cannot read the deployment record {path}: {error.strerror}") from error
    try:
        if len(data) > MAX_RECORD_BYTES:
            raise ValueError("it is too large")
        return Deployment.of_json(data)
    except (ValueError, TypeError, RecursionError) as error:
        raise ConfigurationError(f"{path} is not a deployment record: {error}") from error
