"""A simulated run: the workers' own cycles on one embedded chain, round after round.

Nothing here knows how a round works. The loop lets each worker look at the chain and take the step that is due, and
lets time pass when all of them wait. What it adds is measurement.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import fmean
from typing import Self

from flare_offchain.core.errors import Fatal
from flare_offchain.core.phases import Phase
from flare_offchain.core.records import RoundHistory
from flare_offchain.models.adapter import ModelAdapter
from flare_offchain.models.architectures import initial_weights
from flare_offchain.models.builder import build_adapter
from flare_offchain.simulation.data import PreparedData, check_names, model_parameters, prepare
from flare_offchain.simulation.network import Network, build_network
from flare_offchain.simulation.population import attackers_of, build_workers
from flare_offchain.simulation.record import RunRecord
from flare_offchain.simulation.results import RoundResult, Summary, summarise
from flare_offchain.simulation.scenario import Scenario
from flare_offchain.storage.cid import cid_string
from flare_offchain.workers.keeper import Done
from flare_offchain.workers.plan import Step, Wait
from flare_offchain.workers.worker import Worker

Status = Callable[[str], None]
FLOAT32_BYTES = 4


class SimulationRun:
    """One run in one folder. Use as a context manager."""

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self.scenario, self.folder = scenario, folder
        self.record = RunRecord(folder)
        self._data: PreparedData | None = None
        if not self.record.exists:
            # A scenario that cannot run must leave nothing behind.
            check_names(scenario)
            self._data = prepare(scenario)
            initial_weights(scenario.model, model_parameters(scenario, self._data), scenario.seed)
        self.record.begin(scenario)
        self.results = self.record.rounds()
        self._started = time.monotonic()
        self._network: Network | None = None

    @classmethod
    def open(cls, scenario: Scenario, folder: Path) -> Self:
        """Start a run in an empty folder, or go on with the same one.

        Raises:
            ConfigurationError: the scenario names something unknown, or the folder holds something else.
            DataError: the data cannot be read or divided. Nothing is written then.
        """
        return cls(scenario, folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._network is not None:
            self._network.close()

    @property
    def finished(self) -> bool:
        """Whether all rounds were run."""
        return len(self.results) >= self.scenario.rounds

    @property
    def model_bytes(self) -> int:
        """Size of the model's parameters as float32."""
        return int(self.record.fact("parameters") or 0) * FLOAT32_BYTES

    def summary(self) -> Summary:
        """Sum up the rounds so far (at least one)."""
        return summarise(self.results, self.model_bytes, sum(r.seconds for r in self.results))

    def rounds(self, status: Status) -> Iterator[RoundResult]:
        """Run the rounds that are missing and yield each result as it is known.

        Raises:
            FlareError: what a worker could not deal with; everything up to the last block is kept.
        """
        if self.finished:
            return
        status("loading data")
        data = self._data or prepare(self.scenario)
        network = self._network = build_network(self.scenario, data, self.folder, self.record, status)
        self.record.note(parameters=network.schema.parameters)
        loop = _Loop(network, build_workers(network, data), data, status)
        while not self.finished:
            result = loop.next_round(len(self.results) + 1)
            if result is None:
                return
            self.record.append(result)
            self.record.note(head=network.chain.head().hash.hex())
            self.results.append(result)
            yield result


class _Loop:
    """Drives the workers and measures."""

    def __init__(self, network: Network, workers: list[Worker], data: PreparedData, status: Status) -> None:
        self.network, self.workers, self.data, self.status = network, workers, data, status
        self.attackers = attackers_of(workers, network.scenario.attackers)
        spec = network.spec
        self.model: ModelAdapter = build_adapter(spec.model.name, spec.model.parameters, device=network.scenario.device)

    def next_round(self, number: int) -> RoundResult | None:
        """Run until round `number` has ended, and measure it. None where the task is over before that."""
        started, gas = time.monotonic(), 0
        while True:
            history = self.network.history.refresh().rounds.get(number)
            if history is not None and history.phase.terminal:
                return self._measure(history, gas, time.monotonic() - started)
            acted, waits = 0, []
            for worker in self.workers:
                done = worker.step()
                if isinstance(done, Wait):
                    waits.append(done)
                    continue
                acted += 1
                gas += done.gas_used
                self._show(number, worker, done)
                # A new round starts with the first worker, so that attackers, the last, see every honest update.
                if done.step is Step.OPEN_ROUND or self._ended(number):
                    break
            if not acted and not self._pass_time(waits):
                return None

    def _ended(self, number: int) -> bool:
        history = self.network.history.refresh().rounds.get(number)
        return history is not None and history.phase.terminal

    def _pass_time(self, waits: list[Wait]) -> bool:
        """Let the next awaited block or moment come; False where nobody waits for one."""
        chain = self.network.chain
        blocks = [wait.block for wait in waits if wait.block is not None]
        if blocks:
            missing = min(blocks) - chain.head().number
            if missing > 0:
                chain.advance_blocks(missing)
                return True
        moments = [wait.until for wait in waits if wait.until is not None]
        if not moments:
            return False
        ahead = min(moments) - chain.head().timestamp
        if ahead < 1:
            raise Fatal("the simulation stands still: every worker waits for a moment that has passed")
        chain.advance_time(ahead)
        return True

    def _show(self, number: int, worker: Worker, done: Done) -> None:
        who = f"worker {self.workers.index(worker) + 1}"
        verb = "trained and submitted its update" if done.step is Step.SUBMIT_UPDATE else done.step.value
        self.status(f"round {number}: {who}: {verb}{' · ' + done.note if done.note else ''}")

    def _measure(self, history: RoundHistory, gas: int, seconds: float) -> RoundResult:
        task = self.network.history.refresh()
        newest = task.base_model(history.number + 1)
        self.model.set_weights(self.network.objects.model(newest))
        accuracy = self.model.evaluate(self.data.test).accuracy
        final = history.final_proposal
        taken = {u.worker for u in history.updates if history.accepts(u.index)}
        refused = {u.worker for u in history.updates} - taken if final is not None else set()
        return RoundResult(
            round=history.number,
            outcome="FINALIZED" if history.phase is Phase.Finalized else "VOID",
            reason="" if history.phase is Phase.Finalized else history.void_reason.name,
            accuracy=accuracy,
            updates=len(history.updates),
            accepted=len(taken),
            attackers_submitted=sum(u.worker in self.attackers for u in history.updates),
            attackers_rejected=len(refused & self.attackers),
            honest_rejected=len(refused - self.attackers),
            seats=len(history.committee),
            quorum=history.quorum,
            attempts=len(history.proposers),
            fines=len(history.fines),
            honest_fines=sum(fine.member not in self.attackers for fine in history.fines),
            attackers_proposed=sum(p.proposer in self.attackers for p in history.proposals.values()),
            attackers_finalized=int(final is not None and final.proposer in self.attackers),
            bytes_per_update=fmean(u.content_id.size for u in history.updates) if history.updates else 0.0,
            gas_per_worker=gas / len(self.workers),
            model_cid=cid_string(newest),
            seconds=round(seconds, 3),
        )
