"""Keys on disk, encrypted: an account's signing key and a worker's VRF secret, each in a file of its own.

The format is the Web3 Secret Storage Definition, version 3, with scrypt, as geth and eth-account write it: any wallet
reads an account's file. A `flare` entry says what the file holds, so that a VRF secret is never taken for an
account or the other way round. Files are readable by their owner only. No key or password is ever printed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flare_offchain.core.errors import KeyStoreError
from flare_offchain.utils.bounded_json import load_json

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from flare_offchain.consensus.keys import VrfKey

PASSWORD_VARIABLE = "FLARE_PASSWORD"  # noqa: S105 - the name of a variable
SCRYPT_WORK = 2**18
"""scrypt's N, as geth's default: about a second, 256 MiB with r = 8."""
MAX_KEY_FILE_BYTES = 65536
MAX_PASSWORD_BYTES = 4096
_ACCOUNT, _VRF = "account", "vrf"


def write_account(path: Path, account: LocalAccount, password: str, *, work: int = SCRYPT_WORK) -> None:
    """Write an account's key to a new file. `work` is scrypt's N, a power of two; lower only in tests.

    Raises: KeyStoreError: the file exists already or cannot be written, or the password is empty.
    """
    _write(path, _ACCOUNT, account.address, bytes(account.key), password, work)


def read_account(path: Path, password: str) -> LocalAccount:
    """Read an account's key, of Flare's or any other wallet's version 3 file.

    Raises: KeyStoreError: there is no such file, it is damaged or holds something else, or the password is wrong.
    """
    from eth_account import Account

    value = _load(path)
    if _flare(value).get("holds", _ACCOUNT) != _ACCOUNT:
        raise KeyStoreError(f"{path} does not hold an account's key but a VRF secret: name the account's key file")
    account: LocalAccount = Account.from_key(_decrypt(path, value, password))
    stated = value.get("address")
    if isinstance(stated, str) and int(stated.removeprefix("0x") or "0", 16) != int(account.address, 16):
        raise KeyStoreError(f"{path} holds the key of another account than the {stated} that it names: it is damaged")
    return account


def write_vrf_key(path: Path, key: VrfKey, password: str, *, work: int = SCRYPT_WORK) -> None:
    """Write a VRF secret to a new file. Raises as `write_account`."""
    _write(path, _VRF, hex(key.public_x), key.export_secret(), password, work)


def read_vrf_key(path: Path, password: str) -> VrfKey:
    """Read a VRF secret. Raises as `read_account`."""
    from flare_offchain.consensus.keys import VrfKey

    value = _load(path)
    entry = _flare(value)
    if entry.get("holds") != _VRF:
        raise KeyStoreError(f"{path} does not hold a VRF secret: name the VRF key file, or make one")
    try:
        key = VrfKey(_decrypt(path, value, password))
    except ValueError:
        raise KeyStoreError(f"{path} does not hold a usable VRF secret: it is damaged") from None
    if entry.get("public") != hex(key.public_x):
        raise KeyStoreError(f"{path} holds another VRF secret than the one that it names: it is damaged")
    return key


def public_part(path: Path) -> str:
    """Return what a key file says of itself without the password: an account's address, or a VRF key's x in hex.

    It is a claim until the file is decrypted. Raises `KeyStoreError`.
    """
    value = _load(path)
    stated = _flare(value).get("public") or value.get("address")
    if not isinstance(stated, str):
        raise KeyStoreError(f"{path} does not say whose key it holds")
    return stated if stated.startswith("0x") else "0x" + stated


def find_password(
    *,
    file: Path | None = None,
    variable: str | None = PASSWORD_VARIABLE,
    prompt: Callable[[], str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Return the password from the first source that is there: a file, an environment variable, a prompt.

    A file's one trailing newline is not part of the password.

    Raises: KeyStoreError: there is no source, or the first one that is there gives nothing.
    """
    found: str | None = None
    if file is not None:
        try:
            data = file.read_bytes()[: MAX_PASSWORD_BYTES + 1]
            found = data.decode().removesuffix("\n").removesuffix("\r")
        except OSError as error:
            raise KeyStoreError(f"cannot read the password file {file}: {error.strerror}") from error
        except UnicodeDecodeError:
            raise KeyStoreError(f"the password file {file} is not UTF-8 text") from None
    elif variable is not None and variable in (os.environ if environment is None else environment):
        found = (os.environ if environment is None else environment)[variable]
    elif prompt is not None:
        found = prompt()
    if found is None:
        raise KeyStoreError(
            f"no password: give a password file, set {variable or PASSWORD_VARIABLE}, or use a terminal"
        )
    _check_password(found)
    return found


def _check_password(password: str) -> None:
    if not password or len(password.encode()) > MAX_PASSWORD_BYTES:
        raise KeyStoreError(f"a password has 1 to {MAX_PASSWORD_BYTES} bytes")


def _write(path: Path, holds: str, public: str, secret: bytes, password: str, work: int) -> None:
    from eth_keyfile.keyfile import create_keyfile_json

    _check_password(password)
    value = create_keyfile_json(secret, password.encode(), kdf="scrypt", iterations=work)
    if holds == _VRF:
        # The address that belongs to the scalar means nothing, and would make the file look like an account's.
        value.pop("address", None)
    value["flare"] = {"holds": holds, "public": public}
    data = json.dumps(value, indent=1).encode() + b"\n"
    try:
        if path.exists():
            raise KeyStoreError(f"{path} exists: a key is never overwritten. Move it away, or name another file")
        path.parent.mkdir(parents=True, exist_ok=True)
        _create(path, data)
    except OSError as error:
        raise KeyStoreError(f"cannot write the key file {path}: {error.strerror}") from error


def _create(path: Path, data: bytes) -> None:
    """Write a new file whole, or not at all."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # A link, not a rename: it fails where a key has appeared meanwhile, which must never be lost.
        os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _load(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_KEY_FILE_BYTES + 1)
        value = load_json(data)
    except FileNotFoundError:
        raise KeyStoreError(f"there is no key file {path}: make one with `flare key new`") from None
    except OSError as error:
        raise KeyStoreError(f"cannot read the key file {path}: {error.strerror}") from error
    except (ValueError, RecursionError):
        raise KeyStoreError(f"{path} is not a key file") from None
    if len(data) > MAX_KEY_FILE_BYTES or not isinstance(value, dict) or value.get("version") != 3:
        raise KeyStoreError(f"{path} is not a key file of version 3")
    return value


def _flare(value: Mapping[str, Any]) -> Mapping[str, Any]:
    entry = value.get("flare")
    return entry if isinstance(entry, Mapping) else {}


def _decrypt(path: Path, value: dict[str, Any], password: str) -> bytes:
    from eth_keyfile.keyfile import decode_keyfile_json

    _check_password(password)
    _check_work(path, value)
    try:
        secret = bytes(decode_keyfile_json({k: v for k, v in value.items() if k != "flare"}, password.encode()))
    except (KeyError, TypeError, AttributeError, NotImplementedError):
        raise KeyStoreError(f"{path} is not a complete key file") from None
    except ValueError:
        # eth-keyfile says "MAC mismatch": the password is another one, or the file has been altered.
        raise KeyStoreError(f"the password does not open {path} (or the file is damaged)") from None
    if len(secret) != 32:
        raise KeyStoreError(f"{path} does not hold a key of 32 bytes")
    return secret


def _check_work(path: Path, value: Mapping[str, Any]) -> None:
    """Refuse a file that would have this machine compute, or fill its memory, without end."""
    crypto = value.get("crypto", value.get("Crypto"))
    parameters = crypto.get("kdfparams") if isinstance(crypto, Mapping) else None
    if not isinstance(parameters, Mapping):
        raise KeyStoreError(f"{path} is not a complete key file")
    n, r, p, c = (parameters.get(name, 1) for name in ("n", "r", "p", "c"))
    if any(type(number) is not int or number < 1 for number in (n, r, p, c)):
        raise KeyStoreError(f"{path} is not a complete key file")
    if n * r > 2**23 or p > 64 or c > 2**24 or parameters.get("dklen", 32) != 32:
        raise KeyStoreError(f"{path} asks for more work than any wallet does: it is refused")


def derive_account(seed: int, index: int) -> LocalAccount:
    """Return account `index` of the embedded chain of a seed.

    **Insecure by design**: whoever knows the seed, which the chain's record states, knows the key. For the embedded
    chain only; never send anything of value there.
    """
    from eth_account import Account

    account: LocalAccount = Account.from_key(_derived(b"flare/embedded/account", seed, index))
    return account


def derive_vrf_key(seed: int, index: int) -> VrfKey:
    """Return the VRF key that goes with `derive_account(seed, index)`. As insecure, and for the same use only."""
    from flare_offchain.consensus.keys import VrfKey

    return VrfKey(_derived(b"flare/embedded/vrf", seed, index))


def _derived(domain: bytes, seed: int, index: int) -> bytes:
    return hashlib.sha256(domain + seed.to_bytes(8, "big") + index.to_bytes(8, "big")).digest()
