"""Whether a daemon is alive, and a small HTTP server that says so: `/health` and `/metrics`."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from flare_offchain.core.errors import ConfigurationError
from flare_offchain.observability.metrics import CONTENT_TYPE

logger = logging.getLogger(__name__)


class Pulse:
    """Remembers when a daemon's cycle last went well, and what it is busy with.

    Args:
        limit: seconds without a good cycle after which it counts as ill.
        busy_limit: the same while it is busy with one step, such as training.
        monotonic: where time comes from.
    """

    def __init__(
        self, limit: float = 120.0, busy_limit: float = 7200.0, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.limit, self.busy_limit, self._monotonic = limit, busy_limit, monotonic
        self._lock = threading.Lock()
        self._last, self._busy, self._fault = monotonic(), "", ""

    def beat(self) -> None:
        """A cycle went well."""
        with self._lock:
            self._last, self._busy, self._fault = self._monotonic(), "", ""

    def busy(self, what: str) -> None:
        """A step begins that may take long."""
        with self._lock:
            self._last, self._busy = self._monotonic(), what

    def fault(self, message: str) -> None:
        """A cycle failed. The time since the last good one goes on."""
        with self._lock:
            self._busy, self._fault = "", message

    def status(self) -> tuple[bool, dict[str, Any]]:
        """Return whether the daemon is well, and a record for people and probes."""
        with self._lock:
            age = self._monotonic() - self._last
            well = age <= (self.busy_limit if self._busy else self.limit)
            record: dict[str, Any] = {"well": well, "seconds_since_last_good_cycle": round(age, 1)}
            return well, record | {"busy_with": self._busy or None, "fault": self._fault or None}


class StatusServer:
    """Serves health (200 or 503) and metrics over HTTP from a thread of its own.

    Args:
        pulse: the daemon's.
        render: returns the metrics.
        host: address to listen on; keep it on loopback or a private network.
        port: 0 for one that is free.

    Raises:
        ConfigurationError: the address cannot be listened on.
    """

    def __init__(self, pulse: Pulse, render: Callable[[], bytes], host: str = "127.0.0.1", port: int = 0) -> None:
        try:
            self._server = ThreadingHTTPServer((host, port), _handler(pulse, render))
        except OSError as error:
            raise ConfigurationError(f"cannot listen on {host}:{port}: {error.strerror}; set status.port") from error
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="status", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    def close(self) -> None:
        """Stop serving; safe to call twice."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


def _handler(pulse: Pulse, render: Callable[[], bytes]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            match self.path.partition("?")[0]:
                case "/health":
                    well, record = pulse.status()
                    self._answer(200 if well else 503, "application/json", json.dumps(record).encode() + b"\n")
                case "/metrics":
                    self._answer(200, CONTENT_TYPE, render())
                case _:
                    self._answer(404, "text/plain", b"/health or /metrics\n")

        def _answer(self, code: int, kind: str, body: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            logger.debug(format, *arguments)

    return Handler
