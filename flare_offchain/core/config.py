"""Settings: a small tree of plain values, read from a TOML file or set by hand."""

from __future__ import annotations

import copy
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, overload

from flare_offchain.core.errors import ConfigurationError

T = TypeVar("T")

MAX_FILE_BYTES = 2**20
"""Longest configuration file that is read."""


class FlareConfig:
    """Settings by dotted key: `config.get("chain.rpc_url")` is `rpc_url` in TOML's table `[chain]`.

    Values are copied on their way in and out, so no two configurations and no caller share mutable parts. The text
    form shows key names only: some values are secrets.

    Args:
        values: initial settings; nested mappings are sections.
    """

    def __init__(self, values: Mapping[str, Any] | None = None) -> None:
        self._values: dict[str, Any] = {}
        for key, value in (values or {}).items():
            self.set(key, value)

    @classmethod
    def from_toml(cls, path: str | os.PathLike[str]) -> FlareConfig:
        """Return the settings in a TOML file.

        Raises:
            ConfigurationError: if the file cannot be read, is too long or is not TOML.
        """
        try:
            with Path(path).open("rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
            if len(data) > MAX_FILE_BYTES:
                raise ConfigurationError(f"{path} is longer than {MAX_FILE_BYTES} bytes: is it a configuration file?")
            return cls(tomllib.loads(data.decode()))
        except OSError as error:
            raise ConfigurationError(f"cannot read the configuration file {path}: {error.strerror}") from error
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigurationError(f"{path} is not a TOML file: {error}") from error

    def set(self, key: str, value: Any) -> None:
        """Set a value; sections on the way are made.

        Raises:
            ConfigurationError: if the key is empty or leads through something that is not a section.
        """
        *sections, last = _parts(key)
        place = self._values
        for depth, name in enumerate(sections, 1):
            place = place.setdefault(name, {})
            if not isinstance(place, dict):
                raise ConfigurationError(f"{'.'.join(sections[:depth])} is a value, not a section: cannot set {key}")
        if isinstance(value, Mapping):
            # Built as a configuration of its own, which checks every key in it.
            value = FlareConfig(value)._values
        place[last] = copy.deepcopy(value)

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value, or `default` where it is not set."""
        place: Any = self._values
        for name in _parts(key):
            if not isinstance(place, dict) or name not in place:
                return default
            place = place[name]
        return copy.deepcopy(place)

    @overload
    def get_required(self, key: str) -> Any: ...

    @overload
    def get_required(self, key: str, kind: type[T]) -> T: ...

    def get_required(self, key: str, kind: type[Any] = object) -> Any:
        """Return a value that must be set, and be of a type where one is given (a bool is no int; an int is a float).

        Raises:
            ConfigurationError: (a `ValueError`) if it is missing or of another type.
        """
        missing = object()
        value = self.get(key, missing)
        if value is missing:
            raise ConfigurationError(f"the setting {key} is missing: add it to the configuration")
        if kind is float and type(value) is int:
            return float(value)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind in (int, float)):
            raise ConfigurationError(f"the setting {key} must be {kind.__name__}, not {type(value).__name__}")
        return value

    def section(self, key: str) -> FlareConfig:
        """Return a copy of a section; empty where it is not set.

        Raises:
            ConfigurationError: if there is a value in its place.
        """
        value = self.get(key, {})
        if not isinstance(value, dict):
            raise ConfigurationError(f"{key} is a value, not a section")
        return FlareConfig(value)

    def copy(self) -> FlareConfig:
        """Return a deep copy."""
        return FlareConfig(self._values)

    def to_dict(self) -> dict[str, Any]:
        """Return a deep copy of the settings as nested dictionaries."""
        return copy.deepcopy(self._values)

    def __contains__(self, key: str) -> bool:
        missing = object()
        return self.get(key, missing) is not missing

    def __iter__(self) -> Iterator[str]:
        """Yield the dotted key of every value."""
        return _keys(self._values, "")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FlareConfig) and self._values == other._values

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"FlareConfig({', '.join(self)})"


def _parts(key: str) -> list[str]:
    parts = key.split(".") if isinstance(key, str) else []
    if not parts or not all(parts):
        raise ConfigurationError(f"{key!r} is not the name of a setting")
    return parts


def _keys(values: dict[str, Any], prefix: str) -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _keys(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"
