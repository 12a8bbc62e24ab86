"""Compiled contracts, as the package carries them, and contracts at an address.

`flare_offchain/blockchain/compiled/<Contract>.json` is written by `scripts/compile.py`; a test proves that it is what
the sources compile to. Nothing here compiles.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from eth_utils.crypto import keccak

from flare_offchain.blockchain.abi import Abi, checksum
from flare_offchain.core.errors import ConfigurationError
from flare_offchain.core.types import Address
from flare_offchain.utils.bounded_json import load_json

COMPILED = Path(__file__).parent / "compiled"
MAX_ARTIFACT_BYTES = 16 * 2**20
ADDRESS_BYTES = 20
_CALL_PROTECTION = bytes([0x73]) + bytes(ADDRESS_BYTES) + bytes([0x30, 0x14])
"""How a library's code begins: PUSH20 of its own address, filled in when it is deployed."""


@dataclass(frozen=True, slots=True)
class Span:
    """A range of bytes of code."""

    start: int
    length: int


@dataclass(frozen=True, slots=True)
class Code:
    """Bytecode with the places that are filled in later.

    `links` maps a library's name to the places of its address; `immutables` are the places of immutable values.
    """

    template: bytes
    links: Mapping[str, tuple[Span, ...]]
    immutables: tuple[Span, ...]

    def linked(self, libraries: Mapping[str, Address]) -> bytes:
        """Return the code with its libraries' addresses. Raises `ConfigurationError` where one is missing."""
        code = bytearray(self.template)
        for name, spans in self.links.items():
            if name not in libraries:
                raise ConfigurationError(f"the bytecode needs the address of library {name}: deploy it first")
            for span in spans:
                code[span.start : span.start + span.length] = bytes.fromhex(libraries[name][2:])
        return bytes(code)

    def masked(self, code: bytes, libraries: Mapping[str, Address]) -> tuple[bytes, bytes]:
        """Return (expected, actual) code with immutables, and a library's own address, blanked in both."""
        expected, actual = bytearray(self.linked(libraries)), bytearray(code)
        spans = list(self.immutables)
        if self.template.startswith(_CALL_PROTECTION):
            spans.append(Span(1, ADDRESS_BYTES))
        for span in spans:
            for target in (expected, actual):
                target[span.start : span.start + span.length] = bytes(span.length)
        return bytes(expected), bytes(actual)


@dataclass(frozen=True)
class ContractArtifact:
    """What the compiler made of one contract."""

    name: str
    abi_entries: tuple[Mapping[str, Any], ...]
    creation: Code
    runtime: Code
    compiler: str = ""

    @cached_property
    def abi(self) -> Abi:
        """The interface, indexed."""
        return Abi(self.abi_entries)

    @cached_property
    def abi_hash(self) -> str:
        """keccak256 of the ABI as canonical JSON, in hex: names the interface in deployment records."""
        text = json.dumps(self.abi_entries, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return "0x" + keccak(text=text).hex()

    @classmethod
    def parse(cls, value: Mapping[str, Any]) -> ContractArtifact:
        """Read an artifact's JSON. Raises `ConfigurationError` where a field is missing or malformed."""
        try:
            return cls(
                str(value["contractName"]),
                tuple(value["abi"]),
                _code(value["bytecode"], value.get("linkReferences"), None),
                _code(value["deployedBytecode"], value.get("deployedLinkReferences"), value.get("immutableReferences")),
                _compiler(value),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConfigurationError(
                f"the contract artifact is malformed: {error!r}; compile the contracts anew"
            ) from error

    def at(self, address: str) -> BoundContract:
        """Return this contract at an address."""
        return BoundContract(self, checksum(address))


def _compiler(value: Mapping[str, Any]) -> str:
    compiler = value.get("compiler", "")
    return str(compiler.get("version", "")) if isinstance(compiler, Mapping) else str(compiler)


def _spans(entries: list[Mapping[str, int]]) -> tuple[Span, ...]:
    return tuple(Span(int(entry["start"]), int(entry["length"])) for entry in entries)


def _code(value: str | Mapping[str, Any], links: Any, immutables: Any) -> Code:
    if isinstance(value, Mapping):
        links = links or value.get("linkReferences")
        immutables = immutables or value.get("immutableReferences")
        value = str(value["object"])
    text = value.removeprefix("0x")
    found: dict[str, tuple[Span, ...]] = {}
    for name, spans in _libraries(links or {}):
        found[name] = _spans(spans)
        for span in found[name]:
            text = text[: 2 * span.start] + "00" * span.length + text[2 * (span.start + span.length) :]
    masks = tuple(span for spans in (immutables or {}).values() for span in _spans(spans))
    return Code(bytes.fromhex(text), found, masks)


def _libraries(links: Mapping[str, Any]) -> Iterator[tuple[str, list[Mapping[str, int]]]]:
    for source in links.values():
        yield from source.items()


@dataclass(frozen=True)
class BoundContract:
    """A contract at an address."""

    artifact: ContractArtifact
    address: Address

    @property
    def name(self) -> str:
        """The contract's name."""
        return self.artifact.name

    @property
    def abi(self) -> Abi:
        """The contract's interface."""
        return self.artifact.abi


@lru_cache(maxsize=64)
def load_artifact(name: str, folder: Path = COMPILED) -> ContractArtifact:
    """Return the compiled contract `name`. Raises `ConfigurationError` where there is none, or it is malformed."""
    path = folder / f"{name}.json"
    try:
        if path.stat().st_size > MAX_ARTIFACT_BYTES:
            raise ConfigurationError(f"{path} is larger than any contract artifact")
        value = load_json(path.read_bytes())
    except FileNotFoundError as error:
        raise ConfigurationError(f"there is no compiled contract {name} in {folder}: run scripts/compile.py") from error
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be read as a contract artifact: {error}") from error
    if not isinstance(value, dict):
        raise ConfigurationError(f"{path} is not a contract artifact")
    return ContractArtifact.parse(value)


def compiled_names(folder: Path = COMPILED) -> tuple[str, ...]:
    """Names of all compiled contracts."""
    return tuple(sorted(path.stem for path in folder.glob("*.json")))
