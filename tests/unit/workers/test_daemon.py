"""The daemon's cycle: when it looks, when it acts, when it waits, and what each kind of error leads to."""

import threading
from dataclasses import replace

import pytest

from flare_offchain.blockchain.connector import BlockchainConnector
from flare_offchain.blockchain.outcomes import BlockStamp, Confirmed, Dropped, Pending, Receipt, Reverted
from flare_offchain.blockchain.reverts import Revert
from flare_offchain.core.clock import ManualClock
from flare_offchain.core.errors import ChainUnavailable, ConfigurationError, RoundAbandoned, WrongChain
from flare_offchain.core.phases import Phase
from flare_offchain.core.records import TaskHistory
from flare_offchain.core.types import Address, ContentId
from flare_offchain.workers.daemon import Daemon, Pace, outcome_name
from flare_offchain.workers.keeper import Done, turn
from flare_offchain.workers.plan import Step, Wait
from tests.unit.workers.test_plan import ME, OTHER, THIRD, view

pytestmark = pytest.mark.unit

PACE = Pace(poll=1.0, turn_blocks=2, turn_seconds=30.0)


class Chain:
    """The few calls that a daemon itself makes, answered from a script."""

    def __init__(self):
        self.block, self.events, self.unmined_now, self.fault, self.interrupted = 10, [], [0], None, False

    def head(self):
        if self.fault:
            raise self.fault
        return BlockStamp(self.block, self.block.to_bytes(32, "big"), self.block)

    def balance(self, address):
        return 5 * 10**18

    def raw_logs(self, addresses, first, last):
        return [event for event in self.events if first <= event <= last]

    def unmined(self, address):
        return self.unmined_now.pop(0) if len(self.unmined_now) > 1 else self.unmined_now[0]

    def interrupt(self):
        self.interrupted = True


class History:
    coordinator = Address("0x" + "cc" * 20)

    def refresh(self):
        none = ContentId(bytes(32), 1)
        enrolments = [(who, 1, 1) for who in (ME, OTHER, THIRD)]
        return TaskHistory(1, ME, none, none, {}, 1, enrolments=enrolments)


class Actor:
    """Says what is due from a list, and notes what it was told to do."""

    def __init__(self, chain, *due, address=ME):
        self.chain, self.due, self.address = chain, list(due), address
        self.looks, self.taken, self.outcome = 0, [], None

    def next_step(self):
        self.looks += 1
        step = self.due.pop(0) if len(self.due) > 1 else self.due[0]
        if isinstance(step, Exception):
            raise step
        return view(Phase.Training, block=self.chain.block), step

    def take(self, step, seen):
        self.taken.append(step)
        return Done(step, seen.round.round, self.outcome)


class Clock(ManualClock):
    def wake(self):
        self.woken = True


def daemon(*due, address=ME, **options):
    chain = Chain()
    actor = Actor(chain, *due, address=address)
    made = Daemon(actor, chain, History(), pace=PACE, clock=Clock(), **options)
    return made, actor, chain


def test_cycle__step_of_ones_own__is_taken_and_looks_again_at_once():
    made, actor, _ = daemon(Step.SUBMIT_UPDATE, Wait("others"))
    assert made.cycle() == 0.0
    assert made.cycle() == PACE.poll
    assert actor.taken == [Step.SUBMIT_UPDATE] and actor.looks == 2
    assert made.pulse.status()[0]


def test_cycle__without_a_new_block__does_not_look_again():
    made, actor, _ = daemon(Wait("others are training", until=5000))
    for _ in range(5):
        made.cycle()
        made.clock.advance(1)
    assert actor.looks == 1


def test_cycle__block_without_events__does_not_look__block_with_one_does():
    made, actor, chain = daemon(Wait("others are training", until=5000))
    made.cycle()
    chain.block = 12
    made.cycle()
    assert actor.looks == 1
    chain.block, chain.events = 14, [13]
    made.cycle()
    assert actor.looks == 2


def test_cycle__long_without_events__looks_all_the_same():
    made, actor, chain = daemon(Wait("others are training", until=5000))
    made.cycle()
    for _ in range(31):
        made.clock.advance(1)
        chain.block += 1
        made.cycle()
    assert actor.looks == 2


@pytest.mark.parametrize("block", [9, 10])
def test_cycle__chain_that_went_back__looks(block):
    made, actor, chain = daemon(Wait("others are training", until=5000))
    made.cycle()
    chain.block = block
    chain.head = lambda: BlockStamp(block, b"other".ljust(32), block)
    made.cycle()
    assert actor.looks == 2


def test_cycle__awaited_moment_or_block__looks():
    made, actor, chain = daemon(Wait("deadline", until=100), Wait("seed block", block=20))
    made.cycle()
    made.clock.advance(99)
    made._seen = made._seen[0], made.clock.monotonic() - 2
    made.cycle()
    assert actor.looks == 1
    made.clock.advance(1)
    made.cycle()
    assert actor.looks == 2
    chain.block = 19
    made.cycle()
    assert actor.looks == 2
    chain.block = 20
    made.cycle()
    assert actor.looks == 3


def test_cycle__shared_step__waits_for_the_workers_before():
    everybody = (ME, OTHER, THIRD)
    seen = view(Phase.Training)
    places = {who: turn(who, everybody, seen, Step.CLOSE_TRAINING) for who in everybody}
    assert sorted(places.values()) == [0, 1, 2]
    for who, place in places.items():
        made, actor, chain = daemon(Step.CLOSE_TRAINING, address=who)
        blocks = 0
        while not actor.taken:
            made.cycle()
            blocks, chain.block = blocks + 1, chain.block + 1
        assert blocks - 1 == place * PACE.turn_blocks


def test_cycle__shared_step_on_a_chain_without_blocks__is_taken_in_time():
    last = max((ME, OTHER, THIRD), key=lambda who: turn(who, (ME, OTHER, THIRD), view(Phase.Training), Step.ADVANCE))
    made, actor, _ = daemon(Step.ADVANCE, address=last)
    for _ in range(61):
        made.cycle()
        made.clock.advance(1)
    assert actor.taken


def test_cycle__step_that_was_refused__waits_for_the_next_block(caplog):
    caplog.set_level("INFO")
    made, actor, chain = daemon(Step.SUBMIT_UPDATE)
    actor.outcome = Reverted(Revert("WrongPhase", (), "WrongPhase()"))
    for _ in range(5):
        assert made.cycle() == PACE.poll
    assert len(actor.taken) == 1
    assert any(getattr(record, "refusal", None) == "WrongPhase" for record in caplog.records)
    chain.block += 1
    made.cycle()
    assert len(actor.taken) == 2


def test_cycle__shared_step_with_a_new_deadline__begins_its_turns_anew():
    everybody = (ME, OTHER, THIRD)
    seen = view(Phase.Training)
    last = max(everybody, key=lambda who: turn(who, everybody, seen, Step.CLOSE_TRAINING))
    made, _, _ = daemon(Step.CLOSE_TRAINING, address=last)
    first = made._turns_left(seen, Step.CLOSE_TRAINING)
    later = replace(seen, block=seen.block + first, round=replace(seen.round, deadline=seen.round.deadline + 60))
    assert first == 2 * PACE.turn_blocks == made._turns_left(later, Step.CLOSE_TRAINING)
    assert made._turns_left(replace(later, block=later.block + first), Step.CLOSE_TRAINING) == 0


def test_cycle__dry__takes_nothing():
    made, actor, chain = daemon(Step.SUBMIT_UPDATE, dry=True)
    for _ in range(5):
        made.cycle()
        chain.block += 1
    assert actor.taken == []


def test_cycle__passing_fault__waits_longer_each_time_and_recovers(caplog):
    made, actor, chain = daemon(Wait("others"))
    chain.fault = ChainUnavailable("cannot reach it")
    delays = [made.cycle() for _ in range(8)]
    assert all(0.5 * min(30, 2**n) <= delay <= min(30, 2**n) for n, delay in enumerate(delays))
    assert made.pulse.status()[1]["fault"] == "cannot reach it"
    assert made.metrics.registry.get_sample_value("flare_faults_total", {"branch": "retry"}) == 8
    chain.fault = None
    made.cycle()
    assert actor.looks == 1 and made.pulse.status()[1]["fault"] is None
    assert {record.levelname for record in caplog.records} <= {"WARNING", "INFO"}


def test_cycle__round_given_up__waits_for_the_next_block():
    made, _, _ = daemon(RoundAbandoned("too late"), Wait("others"))
    assert made.cycle() == PACE.poll
    assert made.metrics.registry.get_sample_value("flare_faults_total", {"branch": "abandon"}) == 1


def test_run__fatal_error__ends_it_and_shows_in_health():
    made, _, _ = daemon(WrongChain("another chain"))
    with pytest.raises(WrongChain):
        made.run()
    assert made.pulse.status()[1]["fault"] == "another chain"
    assert made.metrics.registry.get_sample_value("flare_faults_total", {"branch": "stop"}) == 1


def test_run__until_stopped__returns():
    made, actor, chain = daemon(Wait("others"))
    timer = threading.Timer(0.2, made.stop)
    timer.start()
    made.clock.sleep = lambda seconds: threading.Event().wait(0.01)
    made.run()
    assert actor.looks == 1 and chain.interrupted and made.clock.woken


def test_run__transactions_of_an_earlier_process__are_waited_for():
    made, _, chain = daemon(Wait("others"))
    chain.unmined_now = [2, 1, 1, 0]
    made._await_own_transactions()
    assert chain.unmined_now == [0] and made.clock.monotonic() == 3 * PACE.poll
    chain.unmined_now = [1]
    made._await_own_transactions()
    assert made.clock.monotonic() >= PACE.quiet_limit


def test_outcomes__have_names():
    stamp = BlockStamp(1, bytes(32), 1)
    receipt = Receipt(bytes(32), stamp, 0, True, 21000, 1, None, ())
    assert outcome_name(None) == "done"
    assert outcome_name(Confirmed(receipt, ())) == "confirmed"
    assert outcome_name(Pending(ME, 0, (bytes(32),))) == "pending"
    assert outcome_name(Dropped(ME, 0, (bytes(32),))) == "dropped"
    assert outcome_name(Reverted(Revert("WrongPhase", (), "WrongPhase()"))) == "lost"


def test_pace__of_no_time__is_refused():
    with pytest.raises(ConfigurationError):
        Pace(poll=0)
    assert issubclass(Daemon, object) and BlockchainConnector.unmined(Chain(), "0x") == 0
