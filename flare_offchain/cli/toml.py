"""Reading a TOML file that a person wrote."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from flare_offchain.core.errors import ConfigurationError

MAX_BYTES = 1024 * 1024


def read_toml(path: Path) -> dict[str, Any]:
    """Return the file's content.

    Raises:
        ConfigurationError: the file cannot be read, is too large, or is not TOML.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigurationError(f"{path} is larger than {MAX_BYTES} bytes: is it the right file?")
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not valid TOML: {error}") from error
