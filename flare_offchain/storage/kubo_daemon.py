"""An isolated Kubo daemon of one's own: for the local testnet and for tests."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from flare_offchain.core.errors import StorageUnavailable
from flare_offchain.utils.programs import find_program, start_detached, stop_process

KUBO_VERSION = "0.43.0"
"""What `scripts/install_kubo.sh` builds."""


def find_kubo() -> Path:
    """Return the `ipfs` program: the one on the PATH, or the one that `scripts/install_kubo.sh` built.

    Raises:
        ConfigurationError: if there is neither.
    """
    return find_program("ipfs", project="kubo", version=KUBO_VERSION)


class KuboDaemon:
    """A daemon that listens on loopback only, on ports that the system picks, and knows no other node.

    It finds no peers, announces nothing and reports nothing; two of them meet only by `connect`. Its repository stays
    when it stops, and started again it answers at the same address.

    Args:
        repository: its folder (IPFS_PATH); made on the first start.
        binary: the `ipfs` program; found by `find_kubo` by default.
        offline: do without a network of any kind.
        start_timeout: seconds to wait for it to answer.
    """

    def __init__(
        self,
        repository: str | os.PathLike[str],
        *,
        binary: str | os.PathLike[str] | None = None,
        offline: bool = True,
        start_timeout: float = 60.0,
    ) -> None:
        self.repository = Path(repository).absolute()
        self._binary = Path(binary) if binary is not None else find_kubo()
        self._offline = offline
        self._start_timeout = start_timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._api = "/ip4/127.0.0.1/tcp/0"

    @property
    def log(self) -> Path:
        """The file that holds what the daemon prints."""
        return self.repository / "daemon.log"

    @property
    def process(self) -> subprocess.Popen[bytes] | None:
        """The process, while it runs."""
        return self._process

    @property
    def endpoint(self) -> str:
        """Address of its RPC, as `IPFSStorageProvider` takes it.

        Raises:
            StorageUnavailable: if it is not running.
        """
        if self._process is None:
            raise StorageUnavailable("the Kubo daemon is not running: start it first")
        return (self.repository / "api").read_text().strip()

    def start(self) -> None:
        """Start it and wait until it answers.

        Raises:
            StorageUnavailable: if it does not start; the message ends with what it printed last.
        """
        if self._process is not None:
            return
        self.repository.mkdir(parents=True, exist_ok=True)
        if not (self.repository / "config").exists():
            self.run("init", "--profile=test")
        self._isolate()
        # The daemon writes the address of its RPC here once it listens; an old one would be believed.
        (self.repository / "api").unlink(missing_ok=True)
        command = [str(self._binary), "daemon", *(["--offline"] if self._offline else [])]
        self._process = start_detached(command, self.log, environment=self._environment())
        self._await_ready()

    def stop(self) -> None:
        """Stop it and wait until it has gone; safe to call twice."""
        process, self._process = self._process, None
        if process is None:
            return
        stop_process(process)

    def kill(self) -> None:
        """End it at once, as a power cut would; its repository stays."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def run(self, *arguments: str) -> str:
        """Run `ipfs` with these arguments in this repository (against the daemon while it runs) and return its output.

        Raises:
            StorageUnavailable: if it fails.
        """
        done = subprocess.run(  # noqa: S603 (a program that the operator installed)
            [str(self._binary), *arguments], env=self._environment(), capture_output=True, text=True, timeout=120
        )
        if done.returncode != 0:
            raise StorageUnavailable(f"ipfs {arguments[0]} failed: {done.stderr.strip()[-500:]}")
        return done.stdout

    def connect(self, other: KuboDaemon) -> None:
        """Connect this node to another one's first address.

        Raises:
            StorageUnavailable: if the other has no address (it is offline) or the connection fails.
        """
        addresses = json.loads(other.run("id"))["Addresses"]
        if not addresses:
            raise StorageUnavailable("the other Kubo daemon listens on no address: it is offline")
        self.run("swarm", "connect", addresses[0])

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
        return {**kept, "IPFS_PATH": str(self.repository), "IPFS_TELEMETRY": "off", "GOLOG_LOG_LEVEL": "error"}

    def _isolate(self) -> None:
        path = self.repository / "config"
        config: dict[str, Any] = json.loads(path.read_text())
        config["Bootstrap"] = []
        config["Addresses"].update({"API": self._api, "Gateway": [], "Swarm": ["/ip4/127.0.0.1/tcp/0"], "Announce": []})
        for section in ("AutoConf", "AutoTLS"):
            config[section] = {"Enabled": False}
        config["Discovery"] = {"MDNS": {"Enabled": False}}
        config["Routing"] = {"Type": "none"}
        config["Swarm"]["DisableNatPortMap"] = True
        config["Plugins"] = {"Plugins": {"telemetry": {"Config": {"Mode": "off"}}}}
        path.write_text(json.dumps(config, indent=2))

    def _await_ready(self) -> None:
        deadline = time.monotonic() + self._start_timeout
        process = self._process
        while process is not None and process.poll() is None and time.monotonic() < deadline:
            # The file appears before the daemon listens to it; this line comes after.
            if b"Daemon is ready" in self.log.read_bytes():
                # Started again, it answers where it did before.
                self._api = self.endpoint
                return
            time.sleep(0.05)
        self.stop()
        printed = self.log.read_bytes()[-1000:].decode(errors="replace").strip()
        raise StorageUnavailable(f"the Kubo daemon did not start; it printed last: {printed}")
