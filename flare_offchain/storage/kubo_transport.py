"""The wire to a Kubo node: `ipfshttpclient`, adapted to newer daemons, with answers bounded in size and time.

`ipfshttpclient` 0.7.0 was written for daemons before 0.8 and is unmaintained since. What is adapted here:

* its `connect` refuses newer daemons, so its HTTP client is used without it (`flare_offchain.storage.kubo` checks the
  version);
* it reads answers, and errors in particular, without a bound: both are bounded here;
* it follows redirects, turning POST into GET: a redirect is an error here;
* options that it does not know (`max-file-links`, `with-local`, `timeout`) are passed on as they are.

The node is the operator's own choice: what it returns is verified by the caller, and what it is asked is bounded, but a
hostile one can still waste time.

Source: https://docs.ipfs.tech/reference/kubo/rpc/.
"""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import unquote, urlsplit

import ipfshttpclient.exceptions
import ipfshttpclient.http
import requests

from flare_offchain.core.errors import ConfigurationError, Retryable, StorageUnavailable
from flare_offchain.utils.bounded_json import load_json

MAX_ANSWER_BYTES = 2**22
"""Longest answer to anything but a request for an object: names every block of 4 GiB with room to spare."""
MAX_ERROR_BYTES = 2**16
"""How much of an error is read."""
_PIECE_BYTES = 2**16

# The library passes an argument that urllib3 no longer needs and says so on every connection.
warnings.filterwarnings("ignore", message="The 'strict' parameter", category=FutureWarning)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a node's RPC is. `name` is fit to be shown: credentials are only in `auth`."""

    name: str
    multiaddr: str
    base: str
    auth: tuple[str, str] | None = None

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """Read `http(s)://[user:password@]host[:port][/prefix]` or a multiaddr such as `/ip4/127.0.0.1/tcp/5001`.

        Raises:
            ConfigurationError: if it is neither.
        """
        if text.startswith("/"):
            return cls(text, text, "api/v0")
        try:
            url = urlsplit(text)
            port = url.port or {"http": 80, "https": 443}[url.scheme]
        except (ValueError, KeyError) as error:
            raise ConfigurationError(_not_an_endpoint(text)) from error
        if not url.hostname or url.query or url.fragment:
            raise ConfigurationError(_not_an_endpoint(text))
        kind = "ip6" if ":" in url.hostname else "ip4" if re.fullmatch(r"[\d.]+", url.hostname) else "dns"
        prefix = url.path.strip("/").removesuffix("api/v0").strip("/")
        auth = (unquote(url.username or ""), unquote(url.password or "")) if url.username else None
        return cls(
            name=f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}",
            multiaddr=f"/{kind}/{url.hostname}/tcp/{port}/{url.scheme}",
            base=f"{prefix}/api/v0".lstrip("/"),
            auth=auth,
        )


class _Client(ipfshttpclient.http.ClientSync):  # type: ignore[misc]
    """The library's HTTP client, with what it reads of an error bounded and redirects refused."""

    def _make_session(self) -> requests.Session:
        session = cast("requests.Session", super()._make_session())
        session.max_redirects = 0
        return session

    def _do_raise_for_status(self, response: requests.Response) -> None:
        try:
            response.raise_for_status()
        except requests.HTTPError as error:
            body = next(response.iter_content(MAX_ERROR_BYTES), b"")
            try:
                message = load_json(body)["Message"]
            except (ValueError, RecursionError, LookupError, TypeError):
                raise ipfshttpclient.exceptions.StatusError(error) from error
            raise ipfshttpclient.exceptions.ErrorResponse(str(message), error) from error


class Interrupted(StorageUnavailable):
    """A node took a request and did not answer it in full or in time."""


# Raised by the library while it waits for an answer or reads it; before that, it raises other CommunicationErrors.
_INTERRUPTIONS = (
    requests.RequestException,
    ipfshttpclient.exceptions.TimeoutError,
    ipfshttpclient.exceptions.StatusError,
)


class KuboTransport:
    """Requests to one node.

    Args:
        endpoint: where it is, as `Endpoint.parse` reads it.
        timeout: seconds that one request may take in all; the node is told, so that it stops searching too.
        connect_timeout: seconds to wait for a connection.

    Raises:
        ConfigurationError: if the endpoint is not an address.
    """

    def __init__(self, endpoint: str, *, timeout: float, connect_timeout: float) -> None:
        place = Endpoint.parse(endpoint)
        self.name = place.name
        self._timeout = timeout
        self._connect_timeout = connect_timeout
        try:
            self._client = _Client(place.multiaddr, place.base, auth=place.auth)
        except ipfshttpclient.exceptions.AddressError as error:
            raise ConfigurationError(_not_an_endpoint(self.name)) from error
        self._client.open_session()

    def close(self) -> None:
        """Close the connections."""
        self._client.close_session()

    def call(
        self,
        path: str,
        arguments: tuple[str, ...] = (),
        options: Mapping[str, str] | None = None,
        *,
        refused: type[Retryable] = StorageUnavailable,
        data: Iterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Return an answer that is one JSON object.

        Raises:
            Retryable: as `lines`.
        """
        lines = self.lines(path, arguments, options or {}, refused=refused, data=data, headers=headers)
        if len(lines) != 1:
            raise self._strange(path)
        return lines[0]

    def lines(
        self,
        path: str,
        arguments: tuple[str, ...],
        options: Mapping[str, str],
        *,
        refused: type[Retryable] = StorageUnavailable,
        data: Iterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> list[dict[str, Any]]:
        """Return an answer that is a JSON object a line.

        Raises:
            Retryable: of the kind `refused`, if the node answers with an error.
            StorageUnavailable: if it does not answer, or not like Kubo (`Interrupted` where it began to).
        """
        answer = bytearray()
        with self.answering(path, refused):
            for piece in self.stream(path, arguments, options, data=data, headers=headers):
                answer += piece
                if len(answer) > MAX_ANSWER_BYTES:
                    raise StorageUnavailable(f"{self.name} answers {path} with more than {MAX_ANSWER_BYTES} bytes")
        try:
            lines = [load_json(line) for line in answer.splitlines() if line.strip()]
        except (ValueError, RecursionError) as error:
            raise self._strange(path) from error
        if not all(isinstance(line, dict) for line in lines):
            raise self._strange(path)
        return lines

    def stream(
        self,
        path: str,
        arguments: tuple[str, ...],
        options: Mapping[str, str],
        *,
        data: Iterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Generator[bytes, None, None]:
        """Yield the pieces of an answer; raises the library's errors, to be consumed within `answering`."""
        deadline = time.monotonic() + self._timeout
        # The node gives up a little before this side does, and then says why.
        parameters = [*options.items(), ("timeout", f"{self._timeout * 0.9:.3f}s")]
        parameters += [("arg", argument) for argument in arguments]
        closables, pieces = self._client._request(
            "POST",
            path,
            parameters,
            auth=None,
            data=data,
            # Compressed answers could expand without a bound.
            headers={**(headers or {}), "Accept-Encoding": "identity"},
            timeout=(self._connect_timeout, self._timeout),
            chunk_size=_PIECE_BYTES,
        )
        try:
            for piece in cast("Iterator[bytes]", pieces):
                if time.monotonic() > deadline:
                    raise Interrupted(f"{self.name} took more than {self._timeout:g} s over {path}")
                yield piece
        finally:
            for closable in closables:
                closable.close()

    @contextmanager
    def answering(self, what: str, refused: type[Retryable]) -> Iterator[None]:
        """Turn the library's errors into Flare's: `refused` for what the node says itself."""
        try:
            yield
        except ipfshttpclient.exceptions.ErrorResponse as error:
            raise refused(f"{self.name} refuses {what}: {str(error)[:500]}") from error
        except _INTERRUPTIONS as error:
            raise Interrupted(f"{self.name} did not finish {what}: {_short(error)}") from error
        except ipfshttpclient.exceptions.CommunicationError as error:
            raise StorageUnavailable(f"{self.name} did not answer {what}: {_short(error)}") from error

    def _strange(self, path: str) -> StorageUnavailable:
        return StorageUnavailable(f"{self.name} does not answer {path} like a Kubo RPC endpoint: check the address")


def _not_an_endpoint(text: str) -> str:
    # Shown without what precedes an @: it may be a password.
    shown = text.rpartition("@")[2][:200]
    return f"{shown!r} is not a Kubo endpoint: write http://127.0.0.1:5001 or /ip4/127.0.0.1/tcp/5001"


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error)[:300]}"
