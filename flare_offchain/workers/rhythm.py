"""When to look for the next block: as it is due, not at some moment after it.

Looking every half second at a chain that makes a block a second finds each block a quarter of a second late on average,
which is often too late for the next one. The chain's own rhythm tells when a block is due: a daemon sleeps until then
and looks more often for a moment, with no more looks in all.
"""

from __future__ import annotations

from flare_offchain.blockchain.outcomes import BlockStamp

_EARLY, _STEP, _PATIENCE = 0.03, 0.06, 0.4
"""Parts of a block's time: how early the first look is at least, the time between looks, and how late a block may be
until looks are as far apart as without a rhythm."""


class Rhythm:
    """Learns the time between blocks from their timestamps, and the moment of each from when it was first seen.

    Args:
        poll: seconds between two looks where nothing is known, and at most twice that where it is.
    """

    def __init__(self, poll: float) -> None:
        self._poll = poll
        self._newest: BlockStamp | None = None
        self._seen = self._missed = self._early = 0.0
        self._period: float | None = None

    def saw(self, block: BlockStamp, moment: float) -> None:
        """Note the newest block at a moment of the monotonic clock, in seconds."""
        known = self._newest
        if known == block:
            self._missed = moment
            return
        if known is not None:
            blocks, seconds = block.number - known.number, block.timestamp - known.timestamp
            self._period = seconds / blocks if blocks > 0 and seconds > 0 else None
            # It came since the last look that missed it: the next look is in the middle of that, a period later.
            missed = self._missed > self._seen
            self._early = (moment - self._missed) / 2 if missed else 2 * max(self._early, _EARLY * (self._period or 0))
        self._newest, self._seen = block, moment

    def pause(self, moment: float) -> float:
        """Return the seconds to wait until the next look."""
        if self._period is None or self._period > 2 * self._poll:
            return self._poll
        due = self._seen + self._period - min(self._period / 2, max(self._early, _EARLY * self._period))
        if moment < due:
            return due - moment
        if moment < self._seen + (1 + _PATIENCE) * self._period:
            return min(self._poll, _STEP * self._period)
        return self._poll
