"""`networks.toml`: the chains that a deployment or a worker can be pointed at, by name.

    [sepolia]
    kind = "rpc"                  # or "embedded"
    url = "${FLARE_RPC_URL}"      # a whole value in ${…} comes from the environment
    chain_id = 11155111
    finality = "safe"             # latest, safe or finalized

An endpoint's URL may hold an access token: keep it in the environment. It is shown in no message.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from flare_offchain.core.errors import ConfigurationError

if TYPE_CHECKING:
    from flare_offchain.blockchain.ethereum import EthereumConnector, Finality
    from flare_offchain.blockchain.transactions import TransactionPolicy

MAX_FILE_BYTES = 2**20
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_KEYS = {"kind", "url", "chain_id", "finality", "log_chunk", "timeout"}


@dataclass(frozen=True, slots=True)
class Network:
    """A chain by name. All but `name` and `kind` are of kind "rpc" only; `timeout` is seconds for a request."""

    name: str
    kind: Literal["embedded", "rpc"]
    url: str | None = field(default=None, repr=False)
    chain_id: int | None = None
    finality: Finality = "latest"
    log_chunk: int = 2000
    timeout: float = 20.0

    def connect(self, policy: TransactionPolicy | None = None) -> EthereumConnector:
        """Connect to a network of kind "rpc". Raises as `EthereumConnector`."""
        from flare_offchain.blockchain.ethereum import EthereumConnector

        if self.kind != "rpc" or self.url is None:
            raise ConfigurationError(f"network {self.name} is embedded: open it with EthTesterConnector")
        return EthereumConnector(
            self.url,
            chain_id=self.chain_id,
            finality=self.finality,
            timeout=self.timeout,
            policy=policy,
            log_chunk=self.log_chunk,
        )


def read_network(path: Path, name: str, environment: Mapping[str, str] | None = None) -> Network:
    """Return one network of a file; only its own variables need be set. Raises `ConfigurationError`."""
    entries = _read(path)
    if name not in entries:
        raise ConfigurationError(f"{path} has no network {name!r}; it has {', '.join(sorted(entries))}")
    return _network(path, name, entries[name], os.environ if environment is None else environment)


def network_names(path: Path) -> tuple[str, ...]:
    """Return the names of all networks of a file. Raises `ConfigurationError`."""
    return tuple(_read(path))


def _read(path: Path) -> dict[str, Any]:
    try:
        data = path.read_bytes()
        if len(data) > MAX_FILE_BYTES:
            raise ConfigurationError(f"{path} is too large for a file of networks")
        return tomllib.loads(data.decode())
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigurationError(f"{path} is not TOML: {error}") from error


def _network(path: Path, name: str, entry: object, environment: Mapping[str, str]) -> Network:
    where = f"network {name} of {path}"
    if not isinstance(entry, dict) or not set(entry) <= _KEYS:
        known = ", ".join(sorted(_KEYS))
        raise ConfigurationError(f"{where} must be a table with no other keys than {known}")
    kind = entry.get("kind", "rpc")
    if kind == "embedded":
        if set(entry) != {"kind"}:
            raise ConfigurationError(f"{where} is embedded: it takes no other keys")
        return Network(name, "embedded")
    chain_id, finality = entry.get("chain_id"), entry.get("finality", "latest")
    chunk, timeout = entry.get("log_chunk", 2000), entry.get("timeout", 20.0)
    if kind != "rpc" or finality not in ("latest", "safe", "finalized"):
        raise ConfigurationError(f"{where}: kind is embedded or rpc, finality is latest, safe or finalized")
    if type(chain_id) is not int or chain_id < 1 or type(chunk) is not int or chunk < 1:
        raise ConfigurationError(f"{where}: chain_id must be given, and chain_id and log_chunk are integers from 1")
    if type(timeout) not in (int, float) or not 0 < timeout <= 3600:
        raise ConfigurationError(f"{where}: timeout is seconds, more than 0 and at most 3600")
    url = _url(where, entry.get("url"), environment)
    return Network(name, "rpc", url, chain_id, cast("Finality", finality), chunk, float(timeout))


def _url(where: str, value: object, environment: Mapping[str, str]) -> str:
    if not isinstance(value, str):
        raise ConfigurationError(f"{where} needs a url")
    variable = _VARIABLE.fullmatch(value)
    if variable is None:
        return value
    found = environment.get(variable[1], "")
    if not found:
        raise ConfigurationError(f"{where} takes its URL from the variable {variable[1]}, which is not set")
    return found
