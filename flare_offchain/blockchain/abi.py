"""ABI encoding and decoding, with everything that can be known beforehand worked out once per contract.

Decoded values are plain: `int`, `bool`, `str`, `bytes`, `Address` (EIP-55), lists as tuples, structs as mappings
from field to value. Arguments may be given the same way, and structs also as dataclasses or tuples.

Source: Solidity contract ABI specification; `eth_abi` does the coding, in its strict mode.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, cast

from eth_abi.abi import decode as abi_decode
from eth_abi.abi import encode as abi_encode
from eth_abi.exceptions import DecodingError, EncodingError
from eth_utils.abi import collapse_if_tuple
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from flare_offchain.core.errors import ConfigurationError, MalformedObject
from flare_offchain.core.types import Address

SELECTOR_BYTES = 4
WORD_BYTES = 32


@lru_cache(maxsize=65536)
def checksum(address: str | bytes) -> Address:
    """Return an address in EIP-55 form. Raises `ConfigurationError` where it is not 20 bytes."""
    try:
        return Address(to_checksum_address(address))
    except ValueError as error:
        raise ConfigurationError(f"{address!r} is not an address: an address is 20 bytes, 0x and 40 digits") from error


@dataclass(frozen=True)
class Parameter:
    """One input or output of a function, event or error."""

    name: str
    type: str
    indexed: bool
    fields: tuple[Parameter, ...]

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Parameter:
        """Read one entry of a JSON ABI's inputs, outputs or components."""
        return cls(
            str(entry.get("name", "")),
            collapse_if_tuple(cast(Any, dict(entry))),
            bool(entry.get("indexed", False)),
            tuple(cls.of(component) for component in entry.get("components", ())),
        )

    @property
    def is_array(self) -> bool:
        """Whether the outermost type is an array."""
        return self.type.endswith("]")

    @cached_property
    def element(self) -> Parameter:
        """The parameter of one element of an array."""
        return dataclasses.replace(self, type=self.type[: self.type.rindex("[")])

    @property
    def static_words(self) -> int | None:
        """Words of the encoding where its length is fixed, else None."""
        if self.type in ("bytes", "string") or self.type.endswith("[]"):
            return None
        if self.is_array:
            each = self.element.static_words
            return None if each is None else each * int(self.type[self.type.rindex("[") + 1 : -1])
        if self.fields:
            words = [part.static_words for part in self.fields]
            return None if None in words else sum(cast(list[int], words))
        return 1

    def lower(self, value: object) -> object:
        """Return a value in the form that `eth_abi` encodes."""
        if self.is_array:
            if not isinstance(value, Sequence) or isinstance(value, str | bytes):
                raise ConfigurationError(f"{self.name or 'a value'} must be a sequence of {self.element.type}")
            return tuple(self.element.lower(item) for item in value)
        if self.fields:
            return tuple(part.lower(item) for part, item in zip(self.fields, self._struct(value), strict=True))
        if self.type.startswith("bytes") and self.type != "bytes":
            # eth_abi would pad a shorter value: a digest that has lost a byte must not become another digest.
            if not isinstance(value, bytes) or len(value) != int(self.type.removeprefix("bytes")):
                raise ConfigurationError(f"{self.name or 'a value'} must be exactly {self.type}")
        return value

    def _struct(self, value: object) -> tuple[object, ...]:
        names = [part.name for part in self.fields]
        if isinstance(value, Mapping):
            if set(value) != set(names):
                raise ConfigurationError(f"{self.name or 'a struct'} must have exactly the fields {', '.join(names)}")
            return tuple(value[name] for name in names)
        if dataclasses.is_dataclass(value):
            given = [field.name for field in dataclasses.fields(value)]
            if [name.replace("_", "") for name in given] != [name.lower() for name in names]:
                raise ConfigurationError(f"{self.name or 'a struct'} has the fields {', '.join(names)}")
            return tuple(getattr(value, name) for name in given)
        if isinstance(value, Sequence) and not isinstance(value, str | bytes) and len(value) == len(names):
            return tuple(value)
        raise ConfigurationError(f"{self.name or 'a struct'} must give the fields {', '.join(names)}")

    def lift(self, value: Any) -> object:
        """Return a value that `eth_abi` decoded in Flare's form."""
        if self.is_array:
            return tuple(self.element.lift(item) for item in value)
        if self.fields:
            return {part.name: part.lift(item) for part, item in zip(self.fields, value, strict=True)}
        if self.type == "address":
            return checksum(value)
        return value


@dataclass(frozen=True)
class Parameters:
    """An ordered list of parameters, coded together."""

    items: tuple[Parameter, ...]

    @cached_property
    def types(self) -> tuple[str, ...]:
        """The canonical ABI types."""
        return tuple(item.type for item in self.items)

    @cached_property
    def static_bytes(self) -> int | None:
        """Length of the encoding where it is fixed, else None."""
        words = [item.static_words for item in self.items]
        return None if None in words else WORD_BYTES * sum(cast(list[int], words))

    def encode(self, values: Sequence[object], what: str) -> bytes:
        """Encode values. Raises `ConfigurationError` where their number or a type does not fit."""
        if len(values) != len(self.items):
            raise ConfigurationError(f"{what} takes {len(self.items)} arguments, not {len(values)}")
        lowered = [item.lower(value) for item, value in zip(self.items, values, strict=True)]
        try:
            return abi_encode(self.types, lowered)
        except (EncodingError, ValueError, TypeError) as error:
            raise ConfigurationError(f"{what}: an argument does not fit its type: {error}") from error

    def decode(self, data: bytes, what: str, *, canonical: bool = False) -> tuple[object, ...]:
        """Decode values. With `canonical`, bytes that do not encode back to themselves are refused as well.

        Raises `MalformedObject` where the data does not decode.
        """
        try:
            values = abi_decode(self.types, data)
        except (DecodingError, ValueError, OverflowError) as error:
            raise MalformedObject(f"{what} does not decode by its ABI: {error}") from error
        if canonical and (
            len(data) != self.static_bytes if self.static_bytes is not None else abi_encode(self.types, values) != data
        ):
            raise MalformedObject(f"{what} is not encoded canonically")
        return tuple(item.lift(value) for item, value in zip(self.items, values, strict=True))

    def named(self, values: Sequence[object]) -> Mapping[str, object]:
        """Return values by parameter name; a parameter without a name goes by its position."""
        return {item.name or str(i): v for i, (item, v) in enumerate(zip(self.items, values, strict=True))}


def _parameters(entries: Sequence[Mapping[str, Any]]) -> Parameters:
    return Parameters(tuple(Parameter.of(entry) for entry in entries))


@dataclass(frozen=True)
class Function:
    """A function of a contract (or its constructor, whose selector is empty)."""

    name: str
    signature: str
    selector: bytes
    inputs: Parameters
    outputs: Parameters
    payable: bool
    view: bool

    def encode(self, arguments: Sequence[object]) -> bytes:
        """Return call data."""
        return self.selector + self.inputs.encode(arguments, self.signature)

    def decode_input(self, data: bytes) -> Mapping[str, object]:
        """Return the arguments of call data by name. Raises `MalformedObject`."""
        if data[:SELECTOR_BYTES] != self.selector:
            raise MalformedObject(f"the call data does not call {self.signature}")
        return self.inputs.named(self.inputs.decode(data[SELECTOR_BYTES:], f"call data of {self.signature}"))

    def decode_output(self, data: bytes) -> object:
        """Return the one output, or a tuple of several. Raises `MalformedObject`."""
        values = self.outputs.decode(data, f"the return value of {self.signature}")
        return values[0] if len(values) == 1 else values


@dataclass(frozen=True)
class Event:
    """An event of a contract."""

    name: str
    signature: str
    topic: bytes
    inputs: Parameters

    @cached_property
    def indexed(self) -> tuple[Parameter, ...]:
        """Parameters that are topics."""
        return tuple(item for item in self.inputs.items if item.indexed)

    @cached_property
    def plain(self) -> Parameters:
        """Parameters that are in the data."""
        return Parameters(tuple(item for item in self.inputs.items if not item.indexed))

    def decode(self, topics: Sequence[bytes], data: bytes) -> Mapping[str, object]:
        """Return the arguments by name, in the order of declaration. Raises `MalformedObject`.

        An indexed argument of dynamic type is its hash, as the chain keeps no more.
        """
        what = f"event {self.signature}"
        if not topics or topics[0] != self.topic or len(topics) != len(self.indexed) + 1:
            raise MalformedObject(f"{what} does not have the topics of its ABI")
        found: dict[str, object] = {}
        for item, topic in zip(self.indexed, topics[1:], strict=True):
            if item.static_words == 1 and not item.fields and not item.is_array:
                found[item.name] = Parameters((item,)).decode(topic, what, canonical=True)[0]
            else:
                found[item.name] = topic
        values = self.plain.decode(data, what, canonical=True)
        found.update((item.name, value) for item, value in zip(self.plain.items, values, strict=True))
        return {item.name: found[item.name] for item in self.inputs.items}


@dataclass(frozen=True)
class CustomError:
    """A custom error of a contract."""

    name: str
    signature: str
    selector: bytes
    inputs: Parameters


class Abi:
    """The interface of one contract, indexed by name, selector and topic."""

    def __init__(self, entries: Sequence[Mapping[str, Any]]) -> None:
        self.functions: dict[str, Function] = {}
        self.functions_by_selector: dict[bytes, Function] = {}
        self.events: dict[str, Event] = {}
        self.events_by_topic: dict[bytes, Event] = {}
        self.errors_by_selector: dict[bytes, CustomError] = {}
        self.constructor = Function("constructor", "constructor()", b"", Parameters(()), Parameters(()), False, False)
        names = [entry.get("name") for entry in entries if entry.get("type") == "function"]
        for entry in entries:
            self._add(entry, names)

    def _add(self, entry: Mapping[str, Any], names: Sequence[object]) -> None:
        kind, name = entry.get("type"), str(entry.get("name", ""))
        inputs = _parameters(entry.get("inputs", ()))
        signature = f"{name or kind}({','.join(inputs.types)})"
        digest = keccak(text=signature)
        if kind in ("function", "constructor"):
            mutability = entry.get("stateMutability")
            outputs = _parameters(entry.get("outputs", ()))
            selector = digest[:SELECTOR_BYTES] if kind == "function" else b""
            payable, view = mutability == "payable", mutability in ("view", "pure")
            function = Function(name or str(kind), signature, selector, inputs, outputs, payable, view)
            if kind == "constructor":
                self.constructor = function
                return
            self.functions[signature] = self.functions_by_selector[selector] = function
            if names.count(name) == 1:
                self.functions[name] = function
        elif kind == "event":
            event = Event(name, signature, digest, inputs)
            self.events[name] = self.events_by_topic[digest] = event
        elif kind == "error":
            self.errors_by_selector[digest[:SELECTOR_BYTES]] = CustomError(
                name, signature, digest[:SELECTOR_BYTES], inputs
            )

    def function(self, name: str) -> Function:
        """Return a function by name, or by signature where the name is overloaded. Raises `ConfigurationError`."""
        found = self.functions.get(name)
        if found is None:
            known = ", ".join(sorted(key for key in self.functions if "(" not in key))
            raise ConfigurationError(f"the contract has no function {name!r} (or several); it has {known}")
        return found
