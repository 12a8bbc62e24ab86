"""Fault drills: a local network is hurt on purpose, and what became of it is counted.

A drill passes if rounds go on and nothing was lost, sent twice, falsely accepted or unjustly fined.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from flare_offchain.audit.auditor import Auditor
from flare_offchain.blockchain.facts import ConnectorFacts
from flare_offchain.blockchain.rpc import hex_of
from flare_offchain.core.errors import Fatal
from flare_offchain.core.participants import Participants
from flare_offchain.core.records import RoundHistory
from flare_offchain.devnet.chain_daemon import ChainKind
from flare_offchain.devnet.monitor import Monitor, log_tail
from flare_offchain.devnet.network import Devnet
from flare_offchain.devnet.processes import WORKER, record, stop_all
from flare_offchain.devnet.settings import DevnetSettings
from flare_offchain.federation.update import TaskIdentity

LOOK_SECONDS = 0.25
ROUNDS = 200
"""More rounds than any drill runs: a drill ends when it has seen enough."""
KILLED = -9
STOPPED_FOR_GOOD = 78
"""Exit code of a worker that only a person can help."""


@dataclass(slots=True)
class DrillResult:
    """What a drill counted.

    Attributes:
        name: of the drill.
        finalized, void: how the rounds ended.
        faults: how often something was done to the network.
        transactions_lost: sent and never mined, or replaced by another one under the same nonce.
        double_sends: mined, with the sender and call data of an earlier mined one in the same round's phase.
        races_lost: mined and refused, because others were faster in the same block.
        updates_lost: of workers that were there, and not in the model of a finalized round.
        wrong_objects: accepted objects that do not hash to their CID, and all other findings of the audit.
        fined: fines of honest members.
        reactions: blocks from what a worker acts on to its transaction (seed to seat, proposal to vote): how many took
            how many.
        recovery_blocks: blocks until the network or worker was back, the longest.
        notes: what went wrong besides; a drill with a note has not passed.
        remarks: what else is to be known.
        chain: the kind of node.
    """

    name: str
    finalized: int = 0
    void: int = 0
    faults: int = 0
    transactions_lost: int = 0
    double_sends: int = 0
    races_lost: int = 0
    updates_lost: int = 0
    wrong_objects: int = 0
    fined: int = 0
    recovery_blocks: float = 0.0
    reactions: dict[int, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    chain: str = "anvil"

    @property
    def passed(self) -> bool:
        """Whether nothing was lost and rounds went on."""
        lost = self.transactions_lost + self.double_sends + self.updates_lost + self.wrong_objects + self.fined
        return self.finalized > 0 and lost == 0 and not self.notes

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self) | {"passed": self.passed}


class DrillNetwork:
    """A local network under a drill: restarts workers that were killed, and counts."""

    def __init__(self, network: Devnet) -> None:
        self.network, self.monitor = network, Monitor(network)
        self.killed: list[int] = []
        self.away: set[int] = set()
        """Workers that are meant to be gone."""

    def look(self) -> None:
        """Wait a moment, look, and start killed workers again.

        Raises:
            Fatal: a worker ended otherwise than by being killed.
        """
        time.sleep(LOOK_SECONDS)
        self.monitor.look()
        for worker, code in self.network.ended_workers().items():
            if worker in self.away:
                continue
            if code != KILLED:
                tail = log_tail(self.network.workers[worker].log)
                raise Fatal(f"worker {worker + 1} ended with exit code {code}; its log ends: {tail}")
            self.killed.append(worker)
            self.network.start_worker(worker)

    def stop_worker(self, worker: int) -> None:
        """Stop a worker, which is then meant to be gone."""
        self.away.add(worker)
        process = self.network.processes[worker]
        process.terminate()
        process.wait(60)

    def return_worker(self, worker: int) -> None:
        """Start a worker again that was stopped."""
        self.network.start_worker(worker)
        self.away.discard(worker)

    def pause(self, seconds: float) -> None:
        """Look on for some seconds."""
        end = time.monotonic() + seconds
        self.until(lambda: time.monotonic() >= end, seconds + 60, "time")

    def until(self, reached: Callable[[], bool], seconds: float, what: str) -> None:
        """Look until something is reached. Raises `Fatal` where it is not in time."""
        deadline = time.monotonic() + seconds
        while not reached():
            if time.monotonic() > deadline:
                raise Fatal(f"after {seconds:.0f} s there is still no {what}")
            self.look()

    def rounds(self, count: int, seconds_each: float = 120.0) -> None:
        """Let so many further rounds end."""
        goal = len(self.monitor.rounds) + count
        self.until(lambda: len(self.monitor.rounds) >= goal, count * seconds_each, f"round {goal}")

    @property
    def block(self) -> int:
        """The newest block."""
        return self.network.connector.head().number

    def blocks_until_progress(self, seconds: float = 120.0) -> int:
        """Return how many blocks pass until the chain records anything of the task."""
        start = self.block
        coordinator = self.network.task.coordinator.address
        found: list[int] = []

        def progress() -> bool:
            logs = self.network.connector.raw_logs([coordinator], start + 1, max(start + 1, self.block))
            found.extend(log.block for log in logs)
            return bool(found)

        self.until(lambda: self.block > start and progress(), seconds, "progress")
        return min(found) - start

    # ------------------------------------------------------------------------------ counting

    def _quiet(self) -> None:
        """Stop the workers and let what they sent be mined: what is unmined after that is lost."""
        running = [p for n, p in self.network.processes.items() if p.poll() is None]
        stop_all([record("worker", process.pid) for process in running])
        for process in running:
            process.wait()
        goal = self.block + 2
        while self.block < goal:
            time.sleep(LOOK_SECONDS)
        self.monitor.look()

    def count(self, result: DrillResult, expected_updates: int | None = None) -> DrillResult:
        """Stop the workers, and fill in what chain, store and logs show."""
        self._quiet()
        history = self.monitor.history.refresh()
        ended = [r for r in history.rounds.values() if r.phase.terminal]
        workers = self.network.settings.scenario.workers if expected_updates is None else expected_updates
        for r in ended:
            final = r.final_proposal
            result.finalized += final is not None
            result.void += final is None
            result.fined += len(r.fines)
            if final is not None:
                result.updates_lost += max(0, workers - sum(final.accepts(u.index) for u in r.updates))
        result.reactions = dict(sorted(Counter(blocks for r in ended for blocks in _reactions(r)).items()))
        mined = self._mined()
        result.races_lost = sum(not succeeded for *_, succeeded in mined)
        calls = Counter((sender, data) for sender, _, data, succeeded in mined if succeeded)
        # Some calls carry no round (`openRound(task)`): only those whose data names one can be told to be repeats.
        result.double_sends = sum(times - 1 for (_, data), times in calls.items() if len(data) > 4 + 32)
        for worker in self.monitor.workers:
            worker.follow()
            result.transactions_lost += sum(n for name, n in worker.steps.items() if name.endswith(":dropped"))
            result.transactions_lost += self.network.connector.unmined(worker.files.address)
        result.wrong_objects = self._findings(result, {r.number for r in ended})
        return result

    def _mined(self) -> list[tuple[str, int, bytes, bool]]:
        """Return every mined transaction of the workers: sender, nonce, call data, whether it succeeded."""
        rpc = self.network.connector.rpc
        mine = {worker.files.address.lower() for worker in self.monitor.workers}
        first = self.monitor.history.refresh().created_block
        found = []
        for number in range(first, self.block + 1):
            block = rpc.request("eth_getBlockByNumber", hex_of(number), True)
            sent = [t for t in block["transactions"] if t["from"].lower() in mine]
            if not sent:
                continue
            receipts = {r["transactionHash"]: r for r in rpc.request("eth_getBlockReceipts", hex_of(number))}
            for t in sent:
                succeeded = int(receipts[t["hash"]]["status"], 16) == 1
                found.append((t["from"].lower(), int(t["nonce"], 16), bytes.fromhex(t["input"][2:]), succeeded))
        return found

    def _findings(self, result: DrillResult, rounds: set[int]) -> int:
        network, history = self.network, self.monitor.history.refresh()
        identity = TaskIdentity(network.connector.chain_id, network.task.coordinator.address, network.task.task_id)
        registry, deployment = network.task.registry, network.task.deployment
        first = min(record.block for record in deployment.records)
        contracts = [registry.contract, network.task.coordinator.contract]
        participants = Participants(registry.minimum_bond())
        participants.extend(network.connector.logs(contracts, first, network.connector.block_number))
        facts = ConnectorFacts(network.connector)
        report = Auditor(identity, history, participants, facts, network.store).run(rounds)
        result.notes += [f"audit: {finding.to_json()}" for finding in report.findings[:3]]
        return len(report.findings)

    def recovery(self, worker: int, since: float) -> float:
        """Return the seconds from `since` until a worker's log shows that it has read the chain again."""
        for line in self.network.workers[worker].log.read_bytes().splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            moment = datetime.fromisoformat(entry["time"]).timestamp()
            if moment > since and entry["message"] in ("waiting", "step taken"):
                return moment - since
        return 0.0


def _reactions(history: RoundHistory) -> Iterator[int]:
    """Return the blocks from the seed, or the wider threshold, to each claim, and from each proposal to each vote."""
    if history.seed is not None:
        widened = history.widened_block
        for claim in history.claims:
            late = widened is not None and claim.block >= widened
            yield claim.block - (widened if widened is not None and late else history.seed.block)
    for proposal in history.proposals.values():
        yield from (vote.block - proposal.block for vote in history.votes_of(proposal.attempt))


@contextmanager
def drill_network(
    folder: Path,
    *,
    workers: int = 4,
    model: str = "softmax",
    chain: ChainKind = "anvil",
    program: tuple[str, ...] = WORKER,
    prepare: Callable[[Devnet], None] = lambda network: None,
) -> Iterator[DrillNetwork]:
    """Start a network for a drill: FedAvg on a small model, so that every update counts and rounds are short.

    `prepare` may change where the workers find chain and store, before they are set up.
    """
    scenario: dict[str, Any] = {
        "workers": workers,
        "rounds": ROUNDS,
        "model": model,
        "aggregation": "fedavg",
        "epochs": 1,
    }
    network = Devnet(DevnetSettings.of(folder, chain=chain, **scenario), program)
    with network:
        prepare(network)
        network.start()
        yield DrillNetwork(network)
