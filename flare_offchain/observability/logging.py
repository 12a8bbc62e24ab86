"""Logs: one line an event, as JSON or for the eye, with secrets left out."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TextIO

ROOT = "flare_offchain"
"""Every logger of Flare is below this one; others are not touched."""

MASK = "***"
_MAX_VALUE_CHARACTERS = 2000

_SECRET_FIELD = re.compile(r"pass(word|phrase)?$|secret|private_?key|mnemonic|token$|api_?key|authorization", re.I)
# What precedes the @ of a URL; the name in `key=value` or `"key": value`.
_URL_CREDENTIALS = re.compile(r"(?<=://)[^\s/@]+(?=@)")
_ASSIGNED_SECRET = re.compile(
    r"""((?:pass(?:word|phrase)?|secret|private[_ ]?key|token|api[_-]?key|authorization)["']?\s*[=:]\s*)"""
    r"""("[^"]*"|'[^']*'|(?:(?:Basic|Bearer)\s+)?[^\s,;&"')}\]]+)""",
    re.I,
)
# A mnemonic is several words: all that follows on its line is part of it.
_MNEMONIC = re.compile(r"""(mnemonic["']?\s*[=:]\s*)[^\n]+""", re.I)
# Fields of a log record that are not the caller's own.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class Redactor:
    """Removes secrets from text: URL credentials, `password=…` and the like, and values it was told.

    A private key looks like any other 32 bytes, so one in the open is recognised only by its field's name or because
    it was added.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: set[str] = set()
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """Never show this value again, in either case and with or without `0x`.

        Raises:
            ValueError: if it is too short to be told from ordinary text (fewer than 6 characters).
        """
        bare = secret.removeprefix("0x")
        if len(bare) < 6:
            raise ValueError("a secret of fewer than 6 characters cannot be recognised in text")
        self._secrets.add(bare)

    def text(self, text: str) -> str:
        """Return `text` without the secrets in it."""
        for secret in self._secrets:
            text = re.sub(re.escape(secret), MASK, text, flags=re.IGNORECASE)
        text = _URL_CREDENTIALS.sub(MASK, text)
        text = _MNEMONIC.sub(rf"\g<1>{MASK}", text)
        return _ASSIGNED_SECRET.sub(rf"\g<1>{MASK}", text)

    def field(self, name: str, value: object) -> object:
        """Return a field's value fit to be shown: plain values as they are, others as text, secrets masked."""
        if _SECRET_FIELD.search(name):
            return MASK
        if isinstance(value, bytes | bytearray):
            value = bytes(value).hex()
        if isinstance(value, dict):
            return {str(key): self.field(str(key), item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.field(name, item) for item in value]
        if value is None or isinstance(value, bool | int | float):
            # Secrets may be numbers, too: a private key often is.
            return value if self.text(str(value)) == str(value) else MASK
        return self.text(str(value))[:_MAX_VALUE_CHARACTERS]


class _Formatter(logging.Formatter):
    """Common part: time, level, logger, message, the caller's fields (`extra=`), the error."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def parts(self, record: logging.LogRecord) -> dict[str, object]:
        parts: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self._redactor.text(record.getMessage()),
        }
        for name, value in vars(record).items():
            if name not in _STANDARD and name not in parts:
                parts[name] = self._redactor.field(name, value)
        if record.exc_info:
            parts["error"] = self._redactor.text(self.formatException(record.exc_info))
        return parts


class JsonFormatter(_Formatter):
    """A JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(self.parts(record), ensure_ascii=False, default=str)


class PlainFormatter(_Formatter):
    """A line for the eye: time, level, message, fields; an error's traceback below it."""

    def format(self, record: logging.LogRecord) -> str:
        parts = self.parts(record)
        time, level, _, message = (parts.pop(name) for name in ("time", "level", "logger", "message"))
        error = parts.pop("error", None)
        fields = "".join(f" {name}={_quoted(value)}" for name, value in parts.items())
        # A line break in a message could pass for a line of its own.
        line = f"{time} {level!s:7} {message!s}{fields}".replace("\r", "\\r").replace("\n", "\\n")
        return line if error is None else f"{line}\n{error}"


def _quoted(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text[1:-1] if isinstance(value, str) and re.fullmatch(r"\S+", value) and '"' not in value else text


def configure_logging(
    level: int | str = "INFO",
    *,
    json_lines: bool = False,
    stream: TextIO | None = None,
    secrets: Iterable[str] = (),
) -> Redactor:
    """Send Flare's logs to a stream; calling it again replaces the former setting.

    Args:
        level: least severe level to show.
        json_lines: JSON objects instead of lines for the eye.
        stream: where to (standard error by default).
        secrets: values never to be shown, such as this node's private key.

    Returns:
        The redactor, to which further secrets can be added.

    Raises:
        ValueError: if the level is unknown.
    """
    redactor = Redactor(secrets)
    handler = logging.StreamHandler(stream if stream is not None else sys.stderr)
    handler.setFormatter(JsonFormatter(redactor) if json_lines else PlainFormatter(redactor))
    logger = logging.getLogger(ROOT)
    logger.setLevel(level.upper() if isinstance(level, str) else level)
    for former in list(logger.handlers):
        logger.removeHandler(former)
    logger.addHandler(handler)
    logger.propagate = False
    return redactor
