"""Bounded retries."""

import pytest

from flare_offchain.core.clock import ManualClock
from flare_offchain.core.errors import Fatal, ObjectNotFound, Retryable, RoundAbandoned, StorageUnavailable
from flare_offchain.utils.retry import RetryPolicy, call_with_retry

pytestmark = pytest.mark.unit


class Flaky:
    def __init__(self, *errors):
        self.errors = list(errors)
        self.calls = 0

    def __call__(self):
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


class Waits(list):
    def __call__(self, seconds):
        self.append(seconds)


def test_returns_once_it_works():
    function, waits = Flaky(StorageUnavailable("a"), ObjectNotFound("b")), Waits()
    assert call_with_retry(function, sleep=waits) == "done"
    assert function.calls == 3 and len(waits) == 2


def test_raises_the_last_error_when_attempts_are_used_up():
    function, waits = Flaky(*(StorageUnavailable(str(n)) for n in range(9))), Waits()
    with pytest.raises(StorageUnavailable, match="2"):
        call_with_retry(function, RetryPolicy(attempts=3), sleep=waits)
    assert function.calls == 3 and len(waits) == 2


@pytest.mark.parametrize("error", [Fatal("x"), RoundAbandoned("x"), ValueError("x"), KeyboardInterrupt()])
def test_other_errors_are_raised_at_once(error):
    function = Flaky(error)
    with pytest.raises(type(error)):
        call_with_retry(function, sleep=Waits())
    assert function.calls == 1


def test_kinds_can_be_narrowed_but_not_widened():
    function = Flaky(ObjectNotFound("x"))
    with pytest.raises(ObjectNotFound):
        call_with_retry(function, on=StorageUnavailable, sleep=Waits())
    assert function.calls == 1
    for kinds in (ValueError, (Retryable, Fatal)):
        with pytest.raises(TypeError):
            call_with_retry(Flaky(), on=kinds)


def test_waits_grow_within_their_bounds_and_vary():
    policy = RetryPolicy(attempts=9, first_delay=1.0, max_delay=8.0, max_elapsed=1e9)
    runs = []
    for _ in range(30):
        waits = Waits()
        with pytest.raises(Retryable):
            call_with_retry(Flaky(*[Retryable("x")] * 9), policy, sleep=waits)
        assert all(0 <= wait <= min(8.0, 2.0**n) for n, wait in enumerate(waits))
        runs.append(tuple(waits))
    assert len(set(runs)) == 30
    assert max(run[-1] for run in runs) > 2


def test_gives_up_when_time_is_used_up():
    policy = RetryPolicy(attempts=1000, first_delay=0.0, max_delay=0.0, max_elapsed=0.05)
    function = Flaky(*[Retryable("x")] * 100_000)
    with pytest.raises(Retryable):
        call_with_retry(function, RetryPolicy(attempts=1000, max_elapsed=0.0), sleep=ManualClock().sleep)
    with pytest.raises(Retryable):
        call_with_retry(function, policy)
    assert function.calls < 1001


@pytest.mark.parametrize("values", [{"attempts": 0}, {"first_delay": -1}, {"max_delay": -1}, {"max_elapsed": -1}])
def test_policy_is_checked(values):
    with pytest.raises(ValueError, match="retry policy"):
        RetryPolicy(**values)
