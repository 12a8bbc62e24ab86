"""Trying again: bounded, with back-off and jitter, and only what may pass by itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import tenacity

from flare_offchain.core.errors import Retryable

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how long to try.

    Attributes:
        attempts: most calls, the first included; at least 1.
        first_delay: seconds; the wait after attempt n is drawn evenly from 0 to first_delay * 2**(n - 1).
        max_delay: longest wait in seconds.
        max_elapsed: no new attempt begins this many seconds after the first one did.

    Source: "full jitter" of https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/.
    """

    attempts: int = 4
    first_delay: float = 0.2
    max_delay: float = 5.0
    max_elapsed: float = 60.0

    def __post_init__(self) -> None:
        if self.attempts < 1 or min(self.first_delay, self.max_delay, self.max_elapsed) < 0:
            raise ValueError("a retry policy has at least one attempt and no negative times")


def call_with_retry(
    function: Callable[[], T],
    policy: RetryPolicy | None = None,
    *,
    on: type[Retryable] | tuple[type[Retryable], ...] = Retryable,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Call `function` until it returns, and return what it returns.

    Args:
        function: safe to call again after it failed.
        policy: how often and how long.
        on: the errors that are worth another attempt; only kinds of `Retryable` can be.
        sleep: how to wait (a clock's `sleep`).

    Raises:
        Any error of `function` not named by `on`, at once; otherwise the last one when the policy is used up.
    """
    policy = policy or RetryPolicy()
    kinds = on if isinstance(on, tuple) else (on,)
    if not all(issubclass(kind, Retryable) for kind in kinds):
        raise TypeError("only Retryable errors can be tried again")
    retrying = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(policy.attempts) | tenacity.stop_before_delay(policy.max_elapsed),
        wait=tenacity.wait_random_exponential(multiplier=policy.first_delay, max=policy.max_delay),
        retry=tenacity.retry_if_exception_type(kinds),
        sleep=sleep,
        reraise=True,
    )
    return retrying(function)
