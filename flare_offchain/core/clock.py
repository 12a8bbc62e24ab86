"""Time as an argument: what waits or measures takes a clock, so that tests need not wait."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """Where time comes from."""

    def now(self) -> float:
        """Return the time in seconds since 1970 (UTC)."""
        ...

    def monotonic(self) -> float:
        """Return seconds since some fixed moment; never goes back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait; not at all if `seconds` is not positive."""
        ...


class SystemClock:
    """The machine's clock. A thread sleeping on it can be woken for good with `wake`, to shut down at once."""

    def __init__(self) -> None:
        self._woken = threading.Event()

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        if seconds > 0:
            self._woken.wait(seconds)

    def wake(self) -> None:
        """End every sleep on this clock, present and future."""
        self._woken.set()


class ManualClock:
    """A clock that stands still until told: sleeping moves it on and takes no time.

    Args:
        start: where it stands, in seconds since 1970.
    """

    def __init__(self, start: float = 0.0) -> None:
        self._time = start

    def now(self) -> float:
        return self._time

    def monotonic(self) -> float:
        return self._time

    def sleep(self, seconds: float) -> None:
        self.advance(max(0.0, seconds))

    def advance(self, seconds: float) -> None:
        """Move the clock on.

        Raises:
            ValueError: if `seconds` is negative.
        """
        if seconds < 0:
            raise ValueError("time does not go back")
        self._time += seconds
