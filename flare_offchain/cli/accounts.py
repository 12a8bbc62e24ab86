"""The keys that a command works with: an account's, and the VRF key beside it.

`dev:N` is funded account N of an embedded chain, derived from its seed. A name that ends in `.toml` is a worker's
settings, whose keys are taken, a remote signer among them. Any other name is a key file, or a folder that
`flare key new` made.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from flare_offchain.core.errors import ConfigurationError
from flare_offchain.core.types import Address

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from flare_offchain.blockchain.signers import Signer
    from flare_offchain.consensus.keys import VrfKey

ACCOUNT_FILE, VRF_FILE = "account.json", "vrf.json"
DEVELOPMENT = "dev:"


def key_files(path: Path) -> tuple[Path, Path]:
    """Return the files of an account's key and of its VRF key.

    For a folder (or a name without a suffix) they are `account.json` and `vrf.json` in it; for a file `NAME.json`,
    itself and `NAME.vrf.json` beside it.
    """
    if path.is_dir() or (not path.exists() and not path.suffix):
        return path / ACCOUNT_FILE, path / VRF_FILE
    if path.name == ACCOUNT_FILE:
        return path, path.with_name(VRF_FILE)
    return path, path.with_name(f"{path.stem}.vrf{path.suffix}")


class AccountKey(ABC):
    """A named key. Its secrets are read when they are first needed."""

    @property
    def address(self) -> Address:
        """The account's address."""
        return Address(self.account.address)

    @property
    @abstractmethod
    def account(self) -> Signer:
        """The account, able to sign."""

    @property
    @abstractmethod
    def vrf_key(self) -> VrfKey:
        """The VRF key that goes with the account."""


@dataclass
class DevelopmentKey(AccountKey):
    """Account `index` of the embedded chain of a seed."""

    seed: int
    index: int

    @cached_property
    def account(self) -> LocalAccount:
        from flare_offchain.blockchain.keys import derive_account

        return derive_account(self.seed, self.index)

    @cached_property
    def vrf_key(self) -> VrfKey:
        from flare_offchain.blockchain.keys import derive_vrf_key

        return derive_vrf_key(self.seed, self.index)


@dataclass
class FileKey(AccountKey):
    """Keys in encrypted files."""

    account_file: Path
    vrf_file: Path
    password_file: Path | None

    @cached_property
    def address(self) -> Address:
        from flare_offchain.blockchain.abi import checksum
        from flare_offchain.blockchain.keys import public_part

        if "account" in self.__dict__:
            return Address(self.account.address)
        return checksum(public_part(self.account_file))

    @cached_property
    def account(self) -> LocalAccount:
        from flare_offchain.blockchain.keys import read_account

        return read_account(self.account_file, self._password)

    @cached_property
    def vrf_key(self) -> VrfKey:
        from flare_offchain.blockchain.keys import read_vrf_key

        return read_vrf_key(self.vrf_file, self._password)

    @cached_property
    def _password(self) -> str:
        return password_for(self.password_file, f"Password of {self.account_file}: ")


@dataclass
class WorkerKey(AccountKey):
    """The keys that a `worker.toml` names, a remote signer among them."""

    settings: Path

    @cached_property
    def account(self) -> Signer:
        return self._keys[0]

    @cached_property
    def vrf_key(self) -> VrfKey:
        if self._keys[1] is None:
            raise ConfigurationError(f"{self.settings} names no VRF key: set keys.vrf")
        return self._keys[1]

    @cached_property
    def _keys(self) -> tuple[Signer, VrfKey | None]:
        from flare_offchain.workers.runtime import open_keys
        from flare_offchain.workers.settings import WorkerSettings

        keys = WorkerSettings.read(self.settings).keys
        if keys is None:
            raise ConfigurationError(f"{self.settings} names no keys: add [keys]")
        account, vrf_key, _ = open_keys(keys)
        return account, vrf_key


def account_key(name: str | None, password_file: Path | None, seed: int | None) -> AccountKey:
    """Return the key that `--key` names.

    Args:
        name: a file, a folder, a worker's settings, or `dev:N`.
        password_file: where the password of a file is.
        seed: the embedded chain's; None where there is none.

    Raises:
        ConfigurationError: no key is named, or `dev:N` is not an account of the chain.
        KeyStoreError: there is no such file.
    """
    if not name:
        hint = "" if seed is None else ", or --key dev:N for account N of the embedded chain"
        raise ConfigurationError(f"this needs an account: name its key with --key FILE{hint}")
    if not name.startswith(DEVELOPMENT):
        if name.endswith(".toml"):
            return WorkerKey(Path(name))
        account_file, vrf_file = key_files(Path(name))
        return FileKey(account_file, vrf_file, password_file)
    number = name.removeprefix(DEVELOPMENT)
    if seed is None:
        raise ConfigurationError(f"{name} is an account of an embedded chain: here, name a key file with --key")
    if not number.isascii() or not number.isdecimal() or int(number) >= 2**16:
        raise ConfigurationError(f"{name!r} is no account: write dev:0 for the first of the embedded chain")
    return DevelopmentKey(seed, int(number))


def named_address(name: str, seed: int | None = None) -> Address:
    """Return the account that a text names: an address, a key file or folder, or `dev:N`. Raises as `account_key`."""
    from eth_utils.address import is_address

    from flare_offchain.blockchain.abi import checksum

    if not name.startswith("0x"):
        return account_key(name, None, seed).address
    digits = name.removeprefix("0x")
    mixed = digits not in (digits.lower(), digits.upper())
    if not is_address(name) or (mixed and checksum(name) != name):
        raise ConfigurationError(f"{name} is not an address: 0x and 40 digits, in the right case where it is mixed")
    return checksum(name)


def password_for(file: Path | None, question: str, *, twice: bool = False) -> str:
    """Return a password: from the file, from FLARE_PASSWORD, or asked for on a terminal. Raises `KeyStoreError`."""
    from flare_offchain.blockchain.keys import find_password

    def ask() -> str:
        return str(typer.prompt(question, prompt_suffix="", hide_input=True, confirmation_prompt=twice, err=True))

    return find_password(file=file, prompt=ask if sys.stdin.isatty() else None)
