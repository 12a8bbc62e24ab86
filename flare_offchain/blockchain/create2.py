"""Addresses that follow from what is created."""

from __future__ import annotations

from eth_utils.crypto import keccak

from flare_offchain.blockchain.abi import checksum
from flare_offchain.core.errors import ConfigurationError
from flare_offchain.core.types import Address

SALT_BYTES = 32


def create2_address(factory: str, salt: bytes, initcode: bytes) -> Address:
    """Return the address of what a factory creates from initcode and a salt of 32 bytes.

    Raises: ConfigurationError: the salt or the factory's address is of another length.
    Source: EIP-1014.
    """
    if len(salt) != SALT_BYTES:
        raise ConfigurationError(f"a salt is {SALT_BYTES} bytes, not {len(salt)}")
    return checksum(keccak(b"\xff" + bytes.fromhex(checksum(factory)[2:]) + salt + keccak(initcode))[12:])
