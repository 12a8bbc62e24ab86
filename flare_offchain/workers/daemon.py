"""The daemon: look at the chain, take the step that is due, wait for the next block; until it is told to stop.

It holds no state that matters: killed at any moment and started again, it reads the chain and goes on. An error's
branch says what happens next: `Retryable` waits a little and tries again, `RoundAbandoned` waits for the next block,
anything `Fatal` ends the daemon, since only a person can help.
"""

from __future__ import annotations

import logging
import secrets
import threading
from dataclasses import dataclass
from typing import Protocol

from flare_offchain.blockchain.connector import BlockchainConnector
from flare_offchain.blockchain.outcomes import BlockStamp, Confirmed, Dropped, Pending, Reverted, TransactionOutcome
from flare_offchain.core.clock import SystemClock
from flare_offchain.core.errors import ConfigurationError, Fatal, Retryable, RoundAbandoned
from flare_offchain.core.types import Address
from flare_offchain.observability.health import Pulse
from flare_offchain.observability.metrics import WorkerMetrics
from flare_offchain.utils.memory import release_free_memory
from flare_offchain.workers.keeper import SHARED, Done, sharers, turn
from flare_offchain.workers.plan import Step, View, Wait
from flare_offchain.workers.rhythm import Rhythm
from flare_offchain.workers.surroundings import History

logger = logging.getLogger(__name__)


class Actor(Protocol):
    """Who acts: a `Worker` or a `Keeper`."""

    @property
    def address(self) -> Address: ...

    def next_step(self) -> tuple[View, Step | Wait]: ...

    def take(self, step: Step, view: View) -> Done: ...


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a daemon looks and how long it waits. All in seconds but `turn_blocks`.

    Attributes:
        poll: between two looks for a new block, where it is not known when one is due.
        turn_blocks: how long a turn at a shared step lasts (see `flare_offchain.workers.keeper.turn`).
        turn_seconds: the same where no blocks come.
        first_delay, max_delay: waiting after errors doubles from the first to the second.
        quiet_limit: how long a start waits for earlier transactions of the account to be mined.
    """

    poll: float = 1.0
    turn_blocks: int = 2
    turn_seconds: float = 30.0
    first_delay: float = 1.0
    max_delay: float = 30.0
    quiet_limit: float = 600.0

    def __post_init__(self) -> None:
        if min(self.poll, self.turn_seconds, self.first_delay, self.max_delay) <= 0 or self.turn_blocks < 0:
            raise ConfigurationError("the times of a daemon's pace are more than 0")


class Daemon:
    """Runs one actor on one task.

    Args:
        actor: a worker or keeper.
        chain: its connector.
        history: the task's.
        dry: only log what would be done.
    """

    def __init__(
        self,
        actor: Actor,
        chain: BlockchainConnector,
        history: History,
        *,
        dry: bool = False,
        pace: Pace | None = None,
        clock: SystemClock | None = None,
        metrics: WorkerMetrics | None = None,
        pulse: Pulse | None = None,
    ) -> None:
        self.actor, self.chain, self.history, self.dry = actor, chain, history, dry
        self.pace, self.clock = pace or Pace(), clock or SystemClock()
        self.metrics, self.pulse = metrics or WorkerMetrics(), pulse or Pulse()
        self._stopping = threading.Event()
        self._seen: tuple[BlockStamp, float] | None = None
        self._wait = Wait("")
        self._turn: tuple[tuple[object, ...], int, float] | None = None
        self._failures, self._round = 0, -1
        self._rhythm = Rhythm(self.pace.poll)

    def stop(self) -> None:
        """Finish the step that is under way and return from `run`. Safe in a signal handler."""
        self._stopping.set()
        self.chain.interrupt()
        self.clock.wake()

    def run(self) -> None:
        """Run until `stop`.

        Raises:
            Fatal: nothing will help but a person.
        """
        try:
            self._await_own_transactions()
            while not self._stopping.is_set():
                self.clock.sleep(self.cycle())
        except Fatal as error:
            self.metrics.faults.labels("stop").inc()
            self.pulse.fault(str(error))
            raise

    def cycle(self) -> float:
        """Look, and take a step if one is due. Return the seconds to wait before the next cycle."""
        try:
            pause = self._cycle()
        except Retryable as error:
            self._seen, self._failures = None, self._failures + 1
            return self._note("retry", error, self._delay())
        except RoundAbandoned as error:
            return self._note("abandon", error, self.pace.poll)
        self._failures = 0
        self.pulse.beat()
        return pause

    def _cycle(self) -> float:
        stamp = self.chain.head()
        self._rhythm.saw(stamp, self.clock.monotonic())
        if not self._news(stamp):
            return self._pause()
        self._seen = stamp, self.clock.monotonic()
        view, step = self.actor.next_step()
        self._measure(view)
        if isinstance(step, Wait):
            self._wait_for(step)
            return self._pause()
        if self.dry:
            self._wait_for(Wait(f"dry: {step} is due", until=view.round.deadline + 1))
            return self._pause()
        blocks = self._turns_left(view, step)
        if blocks:
            self._wait_for(Wait(f"it is others' turn to {step}", block=stamp.number + blocks))
            return self._pause()
        if self._take(step, view) == "lost":
            # Somebody else, or time, has to move first: nothing changes before the next block.
            self._wait_for(Wait(f"it was too late or too early to {step}", block=stamp.number + 1))
            return self._pause()
        # What it did may make the next step due: look again without waiting for a block.
        self._seen = None
        return 0.0

    def _pause(self) -> float:
        return self._rhythm.pause(self.clock.monotonic())

    def _news(self, stamp: BlockStamp) -> bool:
        """Whether there is a reason to read everything: an event, or a moment or block that was waited for.

        Where blocks pass without an event, all is read every `turn_seconds` even so: a reorganisation may have taken
        an event back.
        """
        if self._seen is None:
            return True
        known, looked = self._seen
        late = self.clock.monotonic() - looked
        if late >= self.pace.turn_seconds or stamp.number < known.number:
            return True
        moment = max(self.clock.now(), stamp.timestamp)
        if self._wait.until is not None and late >= 1.0 and moment >= self._wait.until:
            return True
        if stamp == known:
            return False
        if stamp.number == known.number or (self._wait.block is not None and stamp.number >= self._wait.block):
            return True
        events = self.chain.raw_logs([self.history.coordinator], known.number + 1, stamp.number)
        self._seen = stamp, looked
        self.metrics.block.set(stamp.number)
        return bool(events)

    def _turns_left(self, view: View, step: Step) -> int:
        """Return for how many blocks others go first with a shared step; 0 where it is one's own turn."""
        if step not in SHARED or self.pace.turn_blocks == 0:
            return 0
        current = view.round
        key = (step, current.round, current.phase, current.attempt, current.seed_attempt, current.deadline)
        if self._turn is None or self._turn[0] != key:
            self._turn = key, view.block, self.clock.monotonic()
        _, block, since = self._turn
        turns = turn(self.actor.address, sharers(step, view, self.history.refresh()), view, step)
        if self.clock.monotonic() - since >= turns * self.pace.turn_seconds:
            return 0
        return max(0, block + turns * self.pace.turn_blocks - view.block)

    def _take(self, step: Step, view: View) -> str:
        """Take a step, count and log it, and return its outcome's name."""
        self.pulse.busy(step.value)
        started = self.clock.monotonic()
        done = self.actor.take(step, view)
        seconds = self.clock.monotonic() - started
        self.metrics.seconds.labels(step.value).observe(seconds)
        outcome = outcome_name(done.outcome)
        self.metrics.steps.labels(step.value, outcome).inc()
        fields: dict[str, object] = {"round": done.round, "step": step.value, "outcome": outcome}
        if isinstance(done.outcome, Confirmed):
            receipt = done.outcome.receipt
            self.metrics.gas.inc(receipt.gas_used)
            self.metrics.fees.inc(receipt.fee)
            fields |= {"transaction": receipt.transaction_hash, "block": receipt.block.number, "gas": receipt.gas_used}
        if isinstance(done.outcome, Reverted):
            fields["refusal"] = done.outcome.error
        if done.note:
            fields["note"] = done.note
        logger.info("step taken", extra=fields | {"seconds": round(seconds, 3)})
        return outcome

    def _wait_for(self, wait: Wait) -> None:
        if wait.reason != self._wait.reason:
            logger.info("waiting", extra={"reason": wait.reason})
            # What the steps before have computed with is not needed while it waits.
            release_free_memory()
        self._wait = wait

    def _measure(self, view: View) -> None:
        m = self.metrics
        if view.round.round != self._round:
            self._round = view.round.round
            m.balance.set(self.chain.balance(self.actor.address))
        for gauge, value in (
            (m.block, view.block),
            (m.round, view.round.round),
            (m.phase, int(view.round.phase)),
            (m.enrolled, view.task.enrolled),
            (m.credit, view.enrolment.credit),
            (m.looked, self.clock.now()),
        ):
            gauge.set(value)

    def _note(self, branch: str, error: Exception, delay: float) -> float:
        self.metrics.faults.labels(branch).inc()
        self.pulse.fault(str(error))
        logger.warning("%s", error, extra={"branch": branch, "kind": type(error).__name__, "delay": round(delay, 2)})
        return delay

    def _delay(self) -> float:
        """Return how long to wait after a failure: half of a doubling delay, and up to half more at random."""
        full = min(self.pace.max_delay, self.pace.first_delay * 2.0 ** min(self._failures - 1, 16))
        return full / 2 + full / 2 * secrets.randbelow(1001) / 1000

    def _await_own_transactions(self) -> None:
        """Let what an earlier process of the account sent be mined first, so that nothing is sent twice."""
        deadline = self.clock.monotonic() + self.pace.quiet_limit
        while not self._stopping.is_set() and self.clock.monotonic() < deadline:
            try:
                unmined = self.chain.unmined(self.actor.address)
            except Retryable as error:
                self._failures += 1
                self.clock.sleep(self._note("retry", error, self._delay()))
                continue
            if not unmined:
                return
            logger.info("waiting", extra={"reason": f"{unmined} transactions of an earlier run are not mined yet"})
            self.clock.sleep(self.pace.poll)
        logger.warning("transactions of an earlier run are still not mined: going on; raise the fee cap if it is low")


def outcome_name(outcome: TransactionOutcome | None) -> str:
    """Return an outcome's name in logs and metrics (`flare_offchain.observability.metrics.OUTCOMES`)."""
    if outcome is None:
        return "done"
    names = {Confirmed: "confirmed", Pending: "pending", Dropped: "dropped"}
    return names.get(type(outcome), "lost")
