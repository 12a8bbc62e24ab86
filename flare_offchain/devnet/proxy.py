"""A faulty wire: an HTTP proxy between workers and an endpoint that drops, delays, refuses or alters what passes."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from random import Random
from typing import Any
from urllib.parse import urlsplit

MAX_BODY_BYTES = 2**26
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "te", "trailer", "upgrade", "host"}
_NOT_PASSED_ON = _HOP_BY_HOP | {"accept-encoding"}
"""Without the last one answers come uncompressed, so that they can be altered."""


@dataclass(slots=True)
class Fault:
    """What goes wrong. All off: the wire is sound.

    Attributes:
        drop: close the connection without an answer.
        delay: seconds to hold an answer back.
        share: how many of the requests are dropped at random, 0 to 1.
        alter: changes an answer's body; (path, request body, answer body) -> answer body.
    """

    drop: bool = False
    delay: float = 0.0
    share: float = 0.0
    alter: Callable[[str, bytes, bytes], bytes] | None = None


@dataclass(slots=True)
class Proxy:
    """A proxy on a free port of loopback, in threads of its own. Set `fault` at any time; the next request has it.

    `target` returns the endpoint's URL, which need not be known when the proxy starts.
    """

    target: Callable[[], str]
    seed: int = 0
    fault: Fault = field(default_factory=Fault)
    requests: int = 0
    faulty: int = 0
    _server: ThreadingHTTPServer | None = None
    _random: Random = field(default_factory=Random)
    _ending: threading.Event = field(default_factory=threading.Event)

    def start(self) -> str:
        """Start it, and return its URL."""
        self._random = Random(self.seed)  # noqa: S311 (repeatable faults, no secret)
        server = self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, name="proxy", daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}"

    def stop(self) -> None:
        """Stop it; safe to call twice."""
        self._ending.set()
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    def next_fault(self) -> Fault:
        """Return what happens to a request, and count it."""
        fault = self.fault
        self.requests += 1
        if fault.share and self._random.random() < fault.share:
            fault = Fault(drop=True)
        if fault.drop or fault.delay or fault.alter is not None:
            self.faulty += 1
        return fault

    def hold(self, seconds: float) -> None:
        """Wait, but not longer than the proxy runs."""
        self._ending.wait(seconds)


def _handler(proxy: Proxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Head and body in one packet: the other end acknowledges the first of two after 40 ms only.
        wbufsize = -1

        def do_POST(self) -> None:
            body = self._body()
            fault = proxy.next_fault()
            proxy.hold(fault.delay)
            if fault.drop:
                self.close_connection = True
                return
            try:
                status, headers, answer = self._forward(body)
            except (OSError, HTTPException):
                self.close_connection = True
                return
            if fault.alter is not None:
                answer = fault.alter(self.path, body, answer)
            try:
                self._answer(status, headers, answer)
            except OSError:
                # Whoever asked has not waited for the answer.
                self.close_connection = True

        def _answer(self, status: int, headers: list[tuple[str, str]], answer: bytes) -> None:
            self.send_response(status)
            for name, value in headers:
                if name.lower() not in _HOP_BY_HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def do_GET(self) -> None:
            self.do_POST()

        def _body(self) -> bytes:
            if "chunked" not in self.headers.get("Transfer-Encoding", ""):
                return self.rfile.read(min(int(self.headers.get("Content-Length", 0)), MAX_BODY_BYTES))
            return _chunks(self.rfile)

        def _forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
            target = urlsplit(proxy.target())
            connection = HTTPConnection(target.hostname or "", target.port, timeout=60)
            try:
                headers = {n: v for n, v in self.headers.items() if n.lower() not in _NOT_PASSED_ON}
                connection.request(self.command, self.path, body=body, headers=headers)
                answer = connection.getresponse()
                return answer.status, answer.getheaders(), answer.read(MAX_BODY_BYTES)
            finally:
                connection.close()

        def log_message(self, format: str, *arguments: object) -> None:
            return

    return Handler


def _chunks(stream: BufferedIOBase) -> bytes:
    """Read a body that comes in chunks (RFC 9112, section 7.1)."""
    parts = []
    while size := int(stream.readline().split(b";")[0], 16):
        parts.append(stream.read(min(size, MAX_BODY_BYTES)))
        stream.readline()
    stream.readline()
    return b"".join(parts)


def answering(method: str, result: Callable[[Any], Any]) -> Callable[[str, bytes, bytes], bytes]:
    """Return an alteration of JSON-RPC answers: `result` makes the false result of a method out of the true one."""

    def alter(path: str, request: bytes, answer: bytes) -> bytes:
        asked = json.loads(request)
        if asked.get("method") != method:
            return answer
        record = json.loads(answer)
        record["result"] = result(record.get("result"))
        return json.dumps(record).encode()

    return alter


def wrong_bytes(path: str, request: bytes, answer: bytes) -> bytes:
    """Alter every object that a Kubo node hands out."""
    if not path.startswith("/api/v0/cat") or not answer:
        return answer
    return bytes([answer[0] ^ 1]) + answer[1:]
