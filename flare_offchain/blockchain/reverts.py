"""What a contract says when it refuses: revert data to a named error with values and a readable message."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from eth_utils.crypto import keccak

from flare_offchain.blockchain.abi import SELECTOR_BYTES, Abi, CustomError, Parameter, Parameters
from flare_offchain.core.errors import MalformedObject, TransactionReverted

_TEXT = Parameters((Parameter("reason", "string", False, ()),))
_CODE = Parameters((Parameter("code", "uint256", False, ()),))
_BUILT_IN = {
    keccak(text="Error(string)")[:SELECTOR_BYTES]: CustomError("Error", "Error(string)", b"", _TEXT),
    keccak(text="Panic(uint256)")[:SELECTOR_BYTES]: CustomError("Panic", "Panic(uint256)", b"", _CODE),
}
_PANICS = {
    0x01: "an assertion is false",
    0x11: "an arithmetic operation overflows",
    0x12: "division by zero",
    0x21: "a value is outside its enum",
    0x31: "pop from an empty array",
    0x32: "an array index is out of bounds",
    0x41: "too much memory is asked for",
}


@dataclass(frozen=True, slots=True)
class Revert:
    """A decoded refusal. `error` is None where the contract gave no reason that the ABI knows."""

    error: str | None
    arguments: tuple[object, ...]
    message: str

    def exception(self) -> TransactionReverted:
        """Return the refusal as an error to raise."""
        return TransactionReverted(self.message, self.error, self.arguments)


def show_value(value: object) -> str:
    """Return a decoded value for a message: bytes as hex, or as text where they are padded text."""
    if isinstance(value, bytes):
        text = value.rstrip(b"\0")
        printable = 0 < len(text) < len(value) and text.isascii() and text.decode("ascii").isprintable()
        return text.decode("ascii") if printable else "0x" + value.hex()
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {show_value(item)}" for name, item in value.items()) + "}"
    if isinstance(value, tuple):
        return "[" + ", ".join(show_value(item) for item in value) + "]"
    return str(value)


def decode_revert(data: bytes, abi: Abi | None, doing: str, hint: str = "") -> Revert:
    """Decode revert data.

    Args:
        data: what the call returned as it reverted; may be empty.
        abi: the contract's ABI; without one only `Error(string)` and `Panic(uint256)` are known.
        doing: what was tried, for the message ("submitUpdate").
        hint: what the node said besides, where there is no data.
    """
    error = (abi.errors_by_selector.get(data[:SELECTOR_BYTES]) if abi else None) or _BUILT_IN.get(data[:SELECTOR_BYTES])
    if error is None:
        reason = f"with data 0x{data.hex()} that its ABI does not know" if data else f"without a reason {hint}".rstrip()
        return Revert(None, (), f"the contract refused {doing} {reason}")
    try:
        values = error.inputs.decode(data[SELECTOR_BYTES:], f"error {error.signature}")
    except MalformedObject as malformed:
        return Revert(error.name, (), f"the contract refused {doing} with {error.name}, but {malformed}")
    if error.name == "Panic":
        code = int(str(values[0]))
        return Revert("Panic", values, f"{doing} failed inside the contract: {_PANICS.get(code, f'panic {code:#x}')}")
    if error.name == "Error":
        return Revert("Error", values, f"the contract refused {doing}: {values[0]}")
    shown = ", ".join(
        f"{item.name} {show_value(value)}" for item, value in zip(error.inputs.items, values, strict=True)
    )
    return Revert(error.name, values, f"the contract refused {doing}: {error.name}({shown})")


class CallRefused(Exception):
    """A connector's internal signal: a call or simulation reverted with this data. Never leaves the package."""

    def __init__(self, data: bytes, hint: str = "") -> None:
        super().__init__(hint)
        self.data = data
        self.hint = hint
