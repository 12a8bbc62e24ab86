"""JSON-RPC endpoints of one chain: requests, strict reading of answers, fail-over, and errors in Flare's terms.

The transport is web3.py's HTTP provider with bounded answers. An endpoint's URL often holds an access token: messages
and logs show its scheme, host and port only.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import requests
from web3 import HTTPProvider, Web3
from web3.exceptions import Web3Exception
from web3.types import RPCEndpoint

from flare_offchain.blockchain.reverts import CallRefused
from flare_offchain.core.errors import ChainUnavailable, ConfigurationError, InsufficientFunds, WrongChain

logger = logging.getLogger(__name__)

MAX_RESPONSE_BYTES = 64 * 2**20
_CHUNK = 65536
_REVERT_CODE = 3
"""geth's JSON-RPC error code of a reverted call; others follow it, or say so in words."""


class RpcRefused(Exception):
    """The endpoint answered a request with an error. Never leaves the package."""

    def __init__(self, code: int, message: str, data: bytes) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data

    def says(self, *words: str) -> bool:
        """Whether the message has one of the words, in any case."""
        return any(word in self.message.lower() for word in words)

    @property
    def reverted(self) -> bool:
        """Whether the contract refused, rather than the endpoint."""
        return self.code == _REVERT_CODE or self.says("revert", "out of gas", "evm error", "invalid opcode")


class _BoundedProvider(HTTPProvider):
    """web3's provider, with a bound on what an answer may weigh, and no URL in its logs."""

    logger = logging.getLogger("flare_offchain.blockchain.rpc.transport")

    def __init__(self, url: str, timeout: float) -> None:
        super().__init__(url, request_kwargs={"timeout": timeout}, exception_retry_configuration=None)
        self._session = requests.Session()
        self._timeout = timeout
        # Both log whole URLs, tokens included, once somebody turns debugging on.
        for noisy in (self.logger, logging.getLogger("urllib3.connectionpool")):
            noisy.setLevel(logging.INFO)

    def _make_request(self, method: RPCEndpoint, request_data: bytes) -> bytes:
        with self._session.post(
            str(self.endpoint_uri),
            data=request_data,
            headers={"Content-Type": "application/json"},
            timeout=self._timeout,
            stream=True,
            allow_redirects=False,
        ) as response:
            response.raise_for_status()
            body = bytearray()
            for chunk in response.iter_content(_CHUNK):
                body += chunk
                if len(body) > MAX_RESPONSE_BYTES:
                    raise requests.exceptions.ContentDecodingError(f"more than {MAX_RESPONSE_BYTES} bytes")
            return bytes(body)

    def close(self) -> None:
        self._session.close()


class _Endpoint:
    """One endpoint: its label, its transport, and whether it is known to serve the chain."""

    def __init__(self, url: str, timeout: float) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError("an RPC endpoint is a URL that begins with http:// or https://: set --rpc")
        try:
            self.label = f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
        except ValueError as error:
            raise ConfigurationError("the RPC endpoint's port is not a number from 0 to 65535: set --rpc") from error
        self.provider = _BoundedProvider(url, timeout)
        self.web3 = Web3(self.provider)
        self.verified = False

    def request(self, method: str, parameters: Sequence[object]) -> Any:
        """Return the result of one request. Raises as `Rpc.request`."""
        try:
            answer: Any = self.provider.make_request(RPCEndpoint(method), list(parameters))
        except (requests.exceptions.RequestException, OSError) as error:
            raise ChainUnavailable(self._unreachable(error)) from None
        except (Web3Exception, json.JSONDecodeError, ValueError, RecursionError) as error:
            raise ChainUnavailable(f"{self.label} does not answer in JSON-RPC ({type(error).__name__})") from None
        if not isinstance(answer, Mapping):
            raise ChainUnavailable(f"{self.label} does not answer in JSON-RPC: the answer is no object")
        if answer.get("error") is not None:
            raise _refusal(answer["error"])
        if "result" not in answer:
            raise ChainUnavailable(f"{self.label} answered {method} with neither a result nor an error")
        return answer["result"]

    def _unreachable(self, error: Exception) -> str:
        if isinstance(error, requests.exceptions.Timeout):
            return f"RPC {self.label} did not answer in time: is it overloaded? Try again, or another endpoint"
        if isinstance(error, requests.exceptions.HTTPError):
            status = error.response.status_code if error.response is not None else "an error"
            return f"RPC {self.label} answered with HTTP {status}: check its URL and access token"
        return f"cannot reach RPC {self.label}: is the node running? Start it, or set --rpc to one that runs"


class Rpc:
    """One or several endpoints of one chain. The first that answers is used until it fails, then the next.

    Once the chain is known (`chain_id`), an endpoint that is used for the first time, or again after it failed, is
    asked first which chain it serves; one that serves another is never used.
    """

    def __init__(self, urls: str | Sequence[str], timeout: float) -> None:
        given = [urls] if isinstance(urls, str) else list(urls)
        if not given:
            raise ConfigurationError("a chain is reached through at least one RPC endpoint: set --rpc")
        self._endpoints = tuple(_Endpoint(url, timeout) for url in given)
        self._current = 0
        self.chain_id: int | None = None

    @property
    def label(self) -> str:
        """Scheme, host and port of the endpoint in use."""
        return self._endpoints[self._current].label

    @property
    def web3(self) -> Web3:
        """The web3.py object over the endpoint in use."""
        return self._endpoints[self._current].web3

    def request(self, method: str, *parameters: object) -> Any:
        """Return the result of one request, from the first endpoint that answers.

        Raises:
            RpcRefused: the endpoint answered with an error.
            ChainUnavailable: none gave a proper answer.
            WrongChain: none but endpoints of other chains answer.
        """
        failures: list[ChainUnavailable | WrongChain] = []
        first = self._current
        for step in range(len(self._endpoints)):
            index = (first + step) % len(self._endpoints)
            endpoint = self._endpoints[index]
            try:
                self._verify(endpoint)
                result = endpoint.request(method, parameters)
            except ChainUnavailable as error:
                endpoint.verified = False
                failures.append(error)
            except WrongChain as error:
                logger.error("%s", error)
                failures.append(error)
            except RpcRefused:
                self._use(index)
                raise
            else:
                self._use(index)
                return result
        # An endpoint that is down may come back; endpoints of other chains alone need a person.
        raise next((error for error in failures if isinstance(error, ChainUnavailable)), failures[0])

    def _use(self, index: int) -> None:
        if index != self._current:
            logger.warning("RPC %s is used instead of %s", self._endpoints[index].label, self.label)
            self._current = index

    def _verify(self, endpoint: _Endpoint) -> None:
        if endpoint.verified or self.chain_id is None:
            return
        try:
            found = quantity_of(endpoint.request("eth_chainId", ()))
        except RpcRefused as refused:
            raise ChainUnavailable(f"RPC {endpoint.label} refused to name its chain: {refused.message}") from None
        except ValueError as error:
            raise ChainUnavailable(f"RPC {endpoint.label} answered eth_chainId with {error}") from None
        if found != self.chain_id:
            raise WrongChain(f"{endpoint.label} serves chain {found}, not {self.chain_id}: set --rpc or --chain-id")
        endpoint.verified = True

    def unavailable(self, refused: RpcRefused, doing: str) -> ChainUnavailable:
        """Return an endpoint's refusal as an error to raise."""
        return ChainUnavailable(f"RPC {self.label} refused {doing}: {refused.message} (code {refused.code})")

    def call_error(self, refused: RpcRefused, doing: str, sender: str) -> Exception:
        """Return what a refused call or estimate means: the contract's refusal, missing money, or the endpoint's."""
        if refused.says("insufficient funds", "insufficient balance"):
            return InsufficientFunds(f"{sender} cannot pay for {doing}: {refused.message}. Fund the account")
        if refused.reverted:
            return CallRefused(refused.data, f"({refused.message})")
        return self.unavailable(refused, doing)

    def close(self) -> None:
        """Close the connections."""
        for endpoint in self._endpoints:
            endpoint.provider.close()


def _refusal(error: object) -> RpcRefused:
    if not isinstance(error, Mapping):
        return RpcRefused(0, str(error)[:500], b"")
    code, data = error.get("code"), error.get("data")
    if isinstance(data, Mapping):
        data = data.get("data")
    try:
        decoded = data_of(data) if isinstance(data, str) else b""
    except ValueError:
        decoded = b""
    return RpcRefused(code if isinstance(code, int) else 0, str(error.get("message", ""))[:500], decoded)


def quantity_of(value: object) -> int:
    """Read a JSON-RPC quantity. Raises `ValueError`."""
    if not isinstance(value, str) or not value.startswith("0x") or len(value) > 66:
        raise ValueError(f"{str(value)[:80]!r} is not a quantity")
    return int(value, 16)


def data_of(value: object, length: int | None = None) -> bytes:
    """Read JSON-RPC data, of a given length if any. Raises `ValueError`."""
    if not isinstance(value, str) or not value.startswith("0x"):
        raise ValueError(f"{str(value)[:80]!r} is not data")
    data = bytes.fromhex(value[2:])
    if length is not None and len(data) != length:
        raise ValueError(f"{value[:80]!r} is not {length} bytes")
    return data


def hex_of(value: int | bytes) -> str:
    """Write a quantity, or data."""
    return hex(value) if isinstance(value, int) else "0x" + value.hex()
