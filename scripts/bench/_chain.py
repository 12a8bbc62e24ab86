"""A chain to measure gas on: anvil with the rules of one fork, driven block by block, and where gas goes.

Gas used does not depend on speed or price, so senders are impersonated and the base fee is 0: what is measured is what
the contracts do.
"""

from __future__ import annotations

import itertools
import socket
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests
from _harness import BenchmarkFailed
from eth_utils import keccak

from flare_offchain.blockchain.abi import Abi
from flare_offchain.devnet.chain_daemon import ANVIL_CHAIN_ID, find_anvil, free_port

GAS = 5_000_000
"""Limit of an ordinary transaction."""
LARGE_GAS = 16_000_000
"""Limit of a deployment or a batch; Osaka admits 2**24."""
_BLOCK = 50
"""Transactions in one block: the time that anvil takes for a block's receipts grows with their square."""
_REQUESTS = 250
"""Requests in one HTTP message."""


@dataclass(frozen=True, slots=True)
class Call:
    """A transaction to send."""

    sender: str
    to: str | None
    data: bytes
    value: int = 0
    gas: int = GAS


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of it."""

    hash: str
    gas: int
    logs: list[dict[str, Any]]
    created: str | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A chain's state, in anvil's own form, and the senders' nonces."""

    state: str
    nonces: Counter[str]


class Chain:
    """anvil under one fork's rules. It mines when asked and at no other time."""

    def __init__(self, fork: str, *, traces: bool = False) -> None:
        self.fork = fork
        self._traces = traces
        self.chain_id = ANVIL_CHAIN_ID
        self.url = f"http://127.0.0.1:{free_port()}"
        self._session = requests.Session()
        self._ids = itertools.count(1)
        self._nonces: Counter[str] = Counter()
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="flare-bench-")

    def __enter__(self) -> Self:
        port = self.url.rpartition(":")[2]
        command = [str(find_anvil()), "--port", port, "--hardfork", self.fork, "--accounts", "1", "--no-mining"]
        command += ["--auto-impersonate", "--base-fee", "0", "--gas-price", "0", "--order", "fifo"]
        command += ["--gas-limit", "1000000000000", "--disable-console-log", "--silent"]
        command += ["--no-request-size-limit"]
        command += ["--steps-tracing"] if self._traces else []
        log = (Path(self._folder.name) / "anvil.log").open("wb")
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", int(port)), 1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return self
        self.__exit__(None, None, None)
        raise BenchmarkFailed(f"anvil did not start with --hardfork {self.fork}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
        self._session.close()
        self._folder.cleanup()

    # -------------------------------------------------------------- requests

    def ask(self, method: str, *parameters: object) -> Any:
        """Return the answer to one request. Raises `BenchmarkFailed` where it is an error."""
        return self.ask_all([(method, list(parameters))])[0]

    def ask_all(self, wanted: Sequence[tuple[str, list[object]]]) -> list[Any]:
        """Return the answers to many requests, in order."""
        answers: list[Any] = []
        for start in range(0, len(wanted), _REQUESTS):
            part = [
                {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": parameters}
                for method, parameters in wanted[start : start + _REQUESTS]
            ]
            answer = self._session.post(self.url, json=part, timeout=120).json()
            if not isinstance(answer, list):
                raise BenchmarkFailed(f"anvil refuses {part[0]['method']}: {answer}")
            found = {item["id"]: item for item in answer}
            for request in part:
                answer = found[request["id"]]
                if "error" in answer:
                    raise BenchmarkFailed(f"anvil refuses {request['method']}: {answer['error']}")
                answers.append(answer["result"])
        return answers

    def call(self, to: str, data: bytes) -> bytes:
        """Return what a call without a transaction returns."""
        return self.call_all([(to, data)])[0]

    def call_all(self, wanted: Iterable[tuple[str, bytes]]) -> list[bytes]:
        """Return what calls return, in order."""
        calls = [
            ("eth_call", [{"to": to, "data": "0x" + data.hex(), "gas": hex(GAS)}, "latest"]) for to, data in wanted
        ]
        return [bytes.fromhex(answer[2:]) for answer in self.ask_all(calls)]

    def reverts(self, to: str, data: bytes) -> bool:
        """Return whether a call is refused by the contract."""
        request = {"to": to, "data": "0x" + data.hex(), "gas": hex(GAS)}
        body = {"jsonrpc": "2.0", "id": next(self._ids), "method": "eth_call", "params": [request, "latest"]}
        answer = self._session.post(self.url, json=body, timeout=120).json()
        return "revert" in str(answer.get("error", {}).get("message", "")).lower()

    def snapshot(self) -> Snapshot:
        """Return the state, to go on from on another chain."""
        return Snapshot(self.ask("anvil_dumpState"), Counter(self._nonces))

    def resume(self, snapshot: Snapshot) -> None:
        """Go on from another chain's state."""
        self.ask("anvil_loadState", snapshot.state)
        self._nonces = Counter(snapshot.nonces)

    # ---------------------------------------------------------- transactions

    def endow(self, accounts: Iterable[str], wei: int = 10**24) -> None:
        """Give accounts money."""
        self.ask_all([("anvil_setBalance", [account, hex(wei)]) for account in accounts])

    def pass_time(self, seconds: int) -> None:
        """Let the next block be this much later."""
        self.ask("evm_increaseTime", seconds)

    def mine(self, blocks: int = 1) -> None:
        """Make empty blocks."""
        for _ in range(blocks):
            self.ask("evm_mine")

    def send(self, calls: Sequence[Call], abi: Abi | None = None) -> list[Receipt]:
        """Send transactions, mine them in this order, and return their receipts.

        Raises:
            BenchmarkFailed: if one reverts; `abi` names the error.
        """
        receipts: list[Receipt] = []
        for start in range(0, len(calls), _BLOCK):
            receipts += self._send_block(calls[start : start + _BLOCK], abi)
        return receipts

    def _send_block(self, calls: Sequence[Call], abi: Abi | None) -> list[Receipt]:
        wanted: list[tuple[str, list[object]]] = []
        for call in calls:
            fields = {"from": call.sender, "data": "0x" + call.data.hex(), "value": hex(call.value)}
            fields |= {"gas": hex(call.gas), "gasPrice": "0x0", "nonce": hex(self._nonces[call.sender])}
            self._nonces[call.sender] += 1
            wanted.append(("eth_sendTransaction", [fields | ({"to": call.to} if call.to else {})]))
        hashes = self.ask_all(wanted)
        self.mine()
        found = {receipt["transactionHash"]: receipt for receipt in self.ask("eth_getBlockReceipts", "latest")}
        return [self._receipt(found.get(name), call, abi, name) for name, call in zip(hashes, calls, strict=True)]

    def _receipt(self, fields: dict[str, Any] | None, call: Call, abi: Abi | None, name: str) -> Receipt:
        if fields is None:
            raise BenchmarkFailed("a transaction was not mined with the others")
        if fields["status"] != "0x1":
            raise BenchmarkFailed(f"a transaction reverted: {self._reason(name, call, abi)}")
        return Receipt(fields["transactionHash"], int(fields["gasUsed"], 16), fields["logs"], fields["contractAddress"])

    def _reason(self, name: str, call: Call, abi: Abi | None) -> str:
        trace = self.ask("debug_traceTransaction", name, {"tracer": "callTracer"})
        data = bytes.fromhex(trace.get("output", "0x")[2:])
        error = abi.errors_by_selector.get(data[:4]) if abi else None
        function = abi.functions_by_selector.get(call.data[:4]) if abi else None
        return f"{function.name if function else 'a call'}: {error.name if error else trace.get('error')} {data.hex()}"

    def deploy(self, sender: str, code: bytes) -> str:
        """Create a contract and return its address."""
        created = self.send([Call(sender, None, code, gas=LARGE_GAS)])[0].created
        if created is None:
            raise BenchmarkFailed("a deployment made no contract")
        return created

    # ------------------------------------------------------ where the gas goes

    def breakdown(self, name: str, data: bytes, gas: int) -> dict[str, int]:
        """Return where a transaction's gas went, largest part first; the parts add up to what it used.

        name: its hash; data: its call data; gas: what it used. The chain keeps traces. Reads and writes of storage are
        told apart by what they cost, precompiles by their address. `rest` is what other contracts were called for.
        """
        trace = self.ask("debug_traceTransaction", name, {"disableMemory": True, "disableStorage": True})
        zeros = data.count(0)
        parts: Counter[str] = Counter({"transaction": 21_000, "call data": 4 * zeros + 16 * (len(data) - zeros)})
        for step, following in itertools.pairwise(trace["structLogs"]):
            if step["depth"] == following["depth"] == 1:
                parts[_kind(step)] += step["gas"] - following["gas"]
        parts["rest"] = gas - sum(parts.values())
        return {part: spent for part, spent in parts.most_common() if spent}


_PRECOMPILES = {1: "ecrecover", 2: "sha256", 5: "modexp"}
_MEMORY = {"MLOAD", "MSTORE", "MSTORE8", "MCOPY", "CALLDATACOPY", "CODECOPY", "RETURNDATACOPY"}


def _kind(step: dict[str, Any]) -> str:
    operation = step["op"]
    if operation == "SLOAD":
        return "storage: cold read" if step["gasCost"] >= 2_000 else "storage: warm read"
    if operation == "SSTORE":
        names = {22_100: "cold, new slot", 20_000: "warm, new slot", 5_000: "cold, overwrite", 2_900: "warm, overwrite"}
        return f"storage: write ({names.get(step['gasCost'], 'slot written before')})"
    if operation in ("STATICCALL", "DELEGATECALL", "CALL"):
        return _PRECOMPILES.get(int(step["stack"][-2], 16), "calls of contracts")
    if operation.startswith("LOG"):
        return "events"
    if operation in ("KECCAK256", "SHA3"):
        return "keccak256"
    return "memory" if operation in _MEMORY else "other execution"


def address_of(label: str) -> str:
    """Return the address that stands for a name; nobody needs its key here."""
    return "0x" + keccak(text=label)[-20:].hex()
