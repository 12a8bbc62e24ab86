"""From the options of a command to one open network: chain, contracts, store, account.

Three ways to name a network, of which each command takes exactly one: a folder that keeps an embedded chain and its
store (`--run`), an endpoint (`--rpc`), or a name in `networks.toml` beside the deployment records (`--network`).
What a command does not use is not opened.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import typer

from flare_offchain.core.errors import ConfigurationError

if TYPE_CHECKING:
    from flare_offchain.blockchain.connector import BlockchainConnector
    from flare_offchain.blockchain.contracts import ParticipantRegistry, RoundCoordinator
    from flare_offchain.blockchain.deployments import FlareDeployment
    from flare_offchain.blockchain.signers import Signer
    from flare_offchain.cli.accounts import AccountKey
    from flare_offchain.core.types import Address
    from flare_offchain.storage.provider import StorageProvider

CHAIN, STORE, DEPLOYMENTS, NETWORKS = "chain", "store", "deployments", "networks.toml"


@dataclass(frozen=True, slots=True)
class Place:
    """Which network a command works on, as its options say. See `flare_offchain.cli.options`."""

    run: Path | None = None
    rpc: str | None = None
    network: str | None = None
    deployments: Path = Path(DEPLOYMENTS)
    store: Path | None = None
    ipfs: str | None = None
    key: str | None = None
    password_file: Path | None = None

    def check(self) -> None:
        """Raise a usage error unless exactly one network is named, with what belongs to it."""
        named = [name for name in ("run", "rpc", "network") if getattr(self, name) is not None]
        if len(named) != 1:
            raise typer.BadParameter("name one network: --run DIR, --rpc URL or --network NAME")
        if self.run is not None and (self.store is not None or self.ipfs is not None):
            raise typer.BadParameter("a run folder has its own store: leave out --store and --ipfs")
        if self.store is not None and self.ipfs is not None:
            raise typer.BadParameter("name one store: --store DIR or --ipfs URL")

    @property
    def records(self) -> Path:
        """The folder of the deployment records."""
        return self.deployments if self.run is None else self.run / DEPLOYMENTS


class OpenNetwork:
    """A network that a command works on. Everything but the chain is opened when it is first used."""

    def __init__(self, place: Place, chain: BlockchainConnector) -> None:
        self.place, self.chain = place, chain

    @property
    def embedded(self) -> bool:
        """Whether the chain is kept in a run's folder."""
        return self.place.run is not None

    @cached_property
    def deployment(self) -> FlareDeployment:
        """The contracts, their code compared with the records and with this release."""
        from flare_offchain.blockchain.deployments import open_deployment

        return open_deployment(self.chain, self.place.records)

    @property
    def coordinator(self) -> RoundCoordinator:
        """The coordinator."""
        return self.deployment.coordinator

    @property
    def registry(self) -> ParticipantRegistry:
        """The registry."""
        return self.deployment.registry

    @property
    def first_block(self) -> int:
        """The block in which the coordinator was deployed: its first event cannot be earlier."""
        return next(r.block for r in self.deployment.records if r.address == self.coordinator.address)

    @property
    def has_store(self) -> bool:
        """Whether the options name a store."""
        return any(named is not None for named in (self.place.run, self.place.store, self.place.ipfs))

    @cached_property
    def store(self) -> StorageProvider:
        """The store. Raises `ConfigurationError` where the options name none."""
        from flare_offchain.storage import IPFSStorageProvider, LocalStorageProvider

        if self.place.run is not None:
            return LocalStorageProvider(self.place.run / STORE)
        if self.place.store is not None:
            return LocalStorageProvider(self.place.store)
        if self.place.ipfs is not None:
            return IPFSStorageProvider(self.place.ipfs)
        raise ConfigurationError("this needs the objects: name their store with --store DIR or --ipfs URL")

    @cached_property
    def key(self) -> AccountKey:
        """The key that `--key` names, still locked."""
        from flare_offchain.blockchain.embedded import EthTesterConnector
        from flare_offchain.cli.accounts import account_key

        seed = self.chain.genesis.seed if isinstance(self.chain, EthTesterConnector) else None
        return account_key(self.place.key, self.place.password_file, seed)

    @property
    def account(self) -> Signer:
        """The account that signs."""
        return self.key.account

    @property
    def address(self) -> Address:
        """The account's address; a key file need not be opened for it."""
        return self.key.address

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.chain.close()


def open_network(place: Place, *, writes: bool = False) -> OpenNetwork:
    """Open the network that a command names.

    Args:
        place: the options.
        writes: whether transactions are sent. An embedded chain is locked for that; to be read it is not.

    Raises:
        typer.BadParameter: not exactly one network is named, or options do not go together.
        ConfigurationError: there is no chain in the folder, or no such name.
        ChainUnavailable: the endpoint cannot be reached, or another process uses the folder.
        WrongChain: the endpoint serves another chain than the network's.
        ChainRecordAltered: the folder's chain is not as it was made.
    """
    place.check()
    if place.run is not None:
        return OpenNetwork(place, _embedded(place.run, writes))
    return OpenNetwork(place, _remote(place))


def start_network(place: Place, seed: int | None, accounts: int | None) -> OpenNetwork:
    """Open a network to deploy on; in a folder without an embedded chain, start one. Raises as `open_network`."""
    place.check()
    if place.run is None:
        if seed is not None or accounts is not None:
            raise typer.BadParameter("--seed and --accounts start an embedded chain: use them with --run")
        return OpenNetwork(place, _remote(place))
    from flare_offchain.blockchain.embedded import EthTesterConnector

    folder = place.run
    if folder.exists() and not (folder / CHAIN).exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigurationError(f"{folder} is not empty and holds no embedded chain: choose another --run")
    place = place if place.key is not None else replace(place, key="dev:0")
    return OpenNetwork(place, EthTesterConnector.open(folder / CHAIN, seed, accounts))


def _embedded(folder: Path, writes: bool) -> BlockchainConnector:
    from flare_offchain.blockchain.chain_record import RECORD_NAME
    from flare_offchain.blockchain.embedded import EthTesterConnector

    if not (folder / CHAIN / RECORD_NAME).exists():
        raise ConfigurationError(
            f"{folder} holds no embedded chain: start one with `flare deploy --run {folder}` or `flare demo --out`"
        )
    opened: Callable[[Path], EthTesterConnector] = EthTesterConnector.open if writes else EthTesterConnector.read
    return opened(folder / CHAIN)


def _remote(place: Place) -> BlockchainConnector:
    if place.rpc is not None:
        from flare_offchain.blockchain.ethereum import EthereumConnector

        return EthereumConnector(place.rpc)
    from flare_offchain.blockchain.networks import read_network

    network = read_network(place.deployments / NETWORKS, place.network or "")
    if network.kind == "embedded":
        raise ConfigurationError(f"network {network.name} is an embedded chain: name its folder with --run DIR")
    return network.connect()
