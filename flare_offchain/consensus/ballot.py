"""The vote on one proposal: docs/protocol.md section 3. A proposal counts as the proposer's approval."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ballot:
    """The state of one attempt's vote.

    seats: the committee's size. quorum: approvals that finalize. approvals: the proposer's included, so at
    least 1.
    """

    seats: int
    quorum: int
    approvals: int = 1
    rejections: int = 0

    def __post_init__(self) -> None:
        if self.approvals < 1 or self.rejections < 0 or self.approvals + self.rejections > self.seats:
            raise ValueError("a ballot has at least the proposer's approval and at most one vote a seat")

    def cast(self, approve: bool) -> Ballot:
        """Return the ballot with one more vote; `ValueError` if every seat has voted."""
        return Ballot(self.seats, self.quorum, self.approvals + approve, self.rejections + (not approve))

    @property
    def outstanding(self) -> int:
        """Seats that have not voted."""
        return self.seats - self.approvals - self.rejections

    @property
    def is_reached(self) -> bool:
        """Whether the approvals suffice, whatever else comes."""
        return self.approvals >= self.quorum

    @property
    def is_lost(self) -> bool:
        """Whether the quorum is out of reach: seats - rejections < quorum."""
        return self.seats - self.rejections < self.quorum

    @property
    def may_close(self) -> bool:
        """Whether VALIDATION may end before its deadline: everyone has voted, or the quorum is out of reach.

        Reaching the quorum does not end it, or a seat that could still vote would be shut out and its work
        unpaid.
        """
        return self.outstanding == 0 or self.is_lost

    @property
    def is_proposer_at_fault(self) -> bool:
        """Whether the rejections themselves reach the quorum, which costs the proposer a fine."""
        return self.rejections >= self.quorum
