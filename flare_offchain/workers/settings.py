"""`worker.toml`: everything that an operator sets. docs/operator.md shows a whole file.

No secret stands in it: keys are encrypted files, their password is in a file or a variable of its own, and the URL of
an endpoint that holds an access token comes from the environment (`rpc = "${FLARE_RPC_URL}"`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from flare_offchain.core.config import FlareConfig
from flare_offchain.core.errors import ConfigurationError
from flare_offchain.workers.daemon import Pace

if TYPE_CHECKING:
    from flare_offchain.blockchain.signers import SigningMethod

Role = Literal["worker", "keeper"]
_GWEI = 10**9
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_MODULES = "modules"
"""The one section whose names are the operator's own."""
_KNOWN = {
    "role": None,
    "dry": None,
    "address": None,
    "folder": None,
    "chain": {"rpc", "chain_id", "finality", "deployments", "timeout", "log_chunk"},
    "fees": {"max_gwei", "replace_after", "timeout"},
    "store": {"ipfs", "folder", "timeout"},
    "task": {"id"},
    "keys": {"account", "vrf", "password_file", "signer", "address", "method", "timeout"},
    "data": {"name", "path"},
    "training": {"enabled", "seed", "device", "timeout"},
    "pace": {"poll", "turn_blocks", "turn_seconds", "first_delay", "max_delay", "quiet_limit"},
    "status": {"host", "port", "limit", "enabled"},
    "log": {"level", "json"},
}


@dataclass(frozen=True, slots=True)
class ChainSettings:
    """Where the chain is. `urls` may hold access tokens and are shown nowhere."""

    urls: tuple[str, ...] = field(repr=False)
    chain_id: int | None
    finality: str
    deployments: Path
    timeout: float
    log_chunk: int


@dataclass(frozen=True, slots=True)
class FeeSettings:
    """How transactions are paid: cap in wei, seconds until a stuck one is sent again, seconds until it is left."""

    max_fee_per_gas: int | None
    replace_after: float
    timeout: float


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Where objects are: Kubo endpoints or a folder."""

    ipfs: tuple[str, ...] = field(repr=False)
    folder: Path | None
    timeout: float


@dataclass(frozen=True, slots=True)
class SignerSettings:
    """A signer elsewhere (`flare_offchain.blockchain.signers.RemoteSigner`). `url` may hold an access token."""

    url: str = field(repr=False)
    address: str
    method: SigningMethod
    timeout: float


@dataclass(frozen=True, slots=True)
class KeySettings:
    """Key files and where their password is; exactly one of `account` and `signer` is set."""

    account: Path | None
    vrf: Path | None
    password_file: Path | None
    signer: SignerSettings | None = None


@dataclass(frozen=True, slots=True)
class DataSettings:
    """The worker's own data (`flare_offchain.utils.datasets.load_dataset`)."""

    name: str
    path: Path | None


@dataclass(frozen=True, slots=True)
class StatusSettings:
    """Where health and metrics are served."""

    enabled: bool
    host: str
    port: int
    limit: float


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """A worker's settings. Paths are relative to the file's folder.

    `keys` is None in dry mode without a key; `address` is then whose view is taken. `data` is None where it does not
    train.
    """

    role: Role
    dry: bool
    address: str | None
    folder: Path
    chain: ChainSettings
    fees: FeeSettings
    store: StoreSettings
    task_id: int
    keys: KeySettings | None
    data: DataSettings | None
    training_seed: int | None
    device: str
    training_timeout: float
    modules: Mapping[str, str]
    pace: Pace
    status: StatusSettings
    log_level: str
    log_json: bool

    @classmethod
    def read(cls, path: Path, environment: Mapping[str, str] | None = None) -> WorkerSettings:
        """Read a file. Raises `ConfigurationError`: it cannot be read, or a setting is unknown, missing or wrong."""
        reader = _Reader(FlareConfig.from_toml(path), path, os.environ if environment is None else environment)
        reader.check_names()
        dry, role = reader.flag("dry", False), reader.text("role", "worker")
        if role not in ("worker", "keeper"):
            raise ConfigurationError(f"{path}: role is worker or keeper, not {role!r}")
        keys = _keys(reader, role, dry)
        trains = role == "worker" and keys is not None and reader.flag("training.enabled", True)
        return cls(
            role=role,
            dry=dry,
            address=reader.text("address", None),
            folder=reader.path("folder", "state"),
            chain=_chain(reader),
            fees=_fees(reader),
            store=_store(reader, role),
            task_id=reader.number("task.id"),
            keys=keys,
            data=DataSettings(reader.text("data.name", "npz"), reader.path("data.path", None)) if trains else None,
            training_seed=reader.number("training.seed", None),
            device=reader.text("training.device", "cpu"),
            training_timeout=reader.seconds("training.timeout", 3600.0),
            modules=_modules(reader),
            pace=Pace(**reader.section("pace")),
            status=StatusSettings(
                reader.flag("status.enabled", True),
                reader.text("status.host", "127.0.0.1"),
                reader.number("status.port", 0),
                reader.seconds("status.limit", 120.0),
            ),
            log_level=reader.text("log.level", "INFO"),
            log_json=reader.flag("log.json", True),
        )


def _modules(reader: _Reader) -> Mapping[str, str]:
    """Return the torch modules that this worker offers: name to package.module:Class."""
    found = reader.config.section(_MODULES).to_dict()
    if not all(isinstance(path, str) for path in found.values()):
        raise ConfigurationError(f'{reader.file}: [modules] names classes: net = "package.module:Class"')
    return found


def _keys(reader: _Reader, role: str, dry: bool) -> KeySettings | None:
    if "keys" not in reader.config.to_dict():
        if not dry:
            raise ConfigurationError(f"{reader.file} names no keys: add [keys], or set dry = true to send nothing")
        return None
    vrf = reader.path("keys.vrf", None)
    if vrf is None and role == "worker":
        raise ConfigurationError(f"{reader.file}: a worker needs keys.vrf, the file of its VRF key")
    account, url = reader.path("keys.account", None), reader.text("keys.signer", None)
    if (account is None) == (url is None):
        raise ConfigurationError(
            f"{reader.file}: name who signs, keys.account (a key file) or keys.signer (a remote signer)"
        )
    return KeySettings(account, vrf, reader.path("keys.password_file", None), _signer(reader, url) if url else None)


def _signer(reader: _Reader, url: str) -> SignerSettings:
    from flare_offchain.blockchain.signers import METHODS

    asked = reader.text("keys.method", METHODS[0])
    method = next((known for known in METHODS if known == asked), None)
    if method is None:
        raise ConfigurationError(f"{reader.file}: keys.method is {' or '.join(METHODS)}, not {asked!r}")
    return SignerSettings(url, reader.text("keys.address"), method, reader.seconds("keys.timeout", 20.0))


def _chain(reader: _Reader) -> ChainSettings:
    urls = reader.texts("chain.rpc")
    if not urls:
        raise ConfigurationError(f"{reader.file}: the setting chain.rpc is missing")
    return ChainSettings(
        urls,
        reader.number("chain.chain_id", None),
        reader.text("chain.finality", "latest"),
        reader.path("chain.deployments"),
        reader.seconds("chain.timeout", 20.0),
        reader.number("chain.log_chunk", 2000),
    )


def _fees(reader: _Reader) -> FeeSettings:
    cap = reader.seconds("fees.max_gwei", None)
    return FeeSettings(
        None if cap is None else int(cap * _GWEI),
        reader.seconds("fees.replace_after", 45.0),
        reader.seconds("fees.timeout", 180.0),
    )


def _store(reader: _Reader, role: str) -> StoreSettings:
    endpoints, folder = reader.texts("store.ipfs"), reader.path("store.folder", None)
    if bool(endpoints) == (folder is not None) and role == "worker":
        raise ConfigurationError(f"{reader.file}: name one store, store.ipfs (endpoints) or store.folder")
    return StoreSettings(endpoints, folder, reader.seconds("store.timeout", 60.0))


class _Reader:
    """Typed reading of one file."""

    def __init__(self, config: FlareConfig, file: Path, environment: Mapping[str, str]) -> None:
        self.config, self.file, self._environment = config, file, environment

    def check_names(self) -> None:
        """Raise `ConfigurationError` for a name that no setting has: a misspelt one would be ignored."""
        for name, value in self.config.to_dict().items():
            if name == _MODULES and isinstance(value, dict):
                continue
            inner = _KNOWN.get(name, set()) if name in _KNOWN else None
            if name not in _KNOWN or (inner is None) == isinstance(value, dict):
                raise ConfigurationError(
                    f"{self.file}: unknown setting {name}; known are {', '.join(sorted([*_KNOWN, _MODULES]))}"
                )
            unknown = sorted(set(value) - inner) if inner is not None else []
            if unknown and inner is not None:
                known = ", ".join(sorted(inner))
                raise ConfigurationError(f"{self.file}: unknown setting {name}.{unknown[0]}; known are {known}")

    def _get(self, key: str, kind: type[Any], default: Any) -> Any:
        if key not in self.config:
            if default is _REQUIRED:
                raise ConfigurationError(f"{self.file}: the setting {key} is missing")
            return default
        try:
            return self.config.get_required(key, kind)
        except ConfigurationError as error:
            raise ConfigurationError(f"{self.file}: {error}") from None

    def text(self, key: str, default: Any = ...) -> Any:
        return self._expand(key, self._get(key, str, default))

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.config.get(key, [])
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            raise ConfigurationError(f"{self.file}: {key} is a text or a list of texts")
        return tuple(self._expand(key, item) or "" for item in items)

    def flag(self, key: str, default: bool) -> bool:
        return bool(self._get(key, bool, default))

    def number(self, key: str, default: Any = ...) -> Any:
        value = self._get(key, int, default)
        if value is not None and not 0 <= value < 2**40:
            raise ConfigurationError(f"{self.file}: {key} is 0 to 2**40 - 1")
        return value

    def seconds(self, key: str, default: Any) -> Any:
        value = self._get(key, float, default)
        if value is not None and not 0 < value <= 10**6:
            raise ConfigurationError(f"{self.file}: {key} is more than 0 and at most 10**6")
        return value

    def path(self, key: str, default: Any = ...) -> Any:
        value = self._get(key, str, default)
        return None if value is None else (self.file.parent / Path(value).expanduser()).absolute()

    def section(self, key: str) -> dict[str, Any]:
        found = self.config.section(key).to_dict()
        if not all(type(value) in (int, float) for value in found.values()):
            raise ConfigurationError(f"{self.file}: the settings of [{key}] are numbers")
        return found

    def _expand(self, key: str, value: str | None) -> str | None:
        variable = _VARIABLE.fullmatch(value) if value else None
        if variable is None:
            return value
        found = self._environment.get(variable[1], "")
        if not found:
            raise ConfigurationError(f"{self.file} takes {key} from the variable {variable[1]}, which is not set")
        return found


_REQUIRED = ...
