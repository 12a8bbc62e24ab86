"""The vote: no outcome that is called certain ever changes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flare_offchain.consensus.ballot import Ballot

pytestmark = pytest.mark.unit


def futures(ballot):
    """All ways in which the vote may end: every number of approvals among the outstanding votes."""
    for approvals in range(ballot.outstanding + 1):
        yield Ballot(
            ballot.seats,
            ballot.quorum,
            ballot.approvals + approvals,
            ballot.rejections + ballot.outstanding - approvals,
        )


@given(data=st.data(), seats=st.integers(1, 64), quorum=st.integers(2, 64))
def test_outcomes_are_certain_exactly_when_every_future_agrees(data, seats, quorum):
    ballot = Ballot(seats, quorum)
    for approve in data.draw(st.lists(st.booleans(), max_size=seats - 1)):
        ballot = ballot.cast(approve)
    ends = [end.approvals >= quorum for end in futures(ballot)]
    assert ballot.is_reached == all(ends)
    assert ballot.is_lost == (not any(ends))
    assert ballot.may_close == (ballot.outstanding == 0 or not any(ends))
    assert ballot.is_proposer_at_fault == (ballot.rejections >= quorum)


def test_votes_are_counted():
    ballot = Ballot(5, 3).cast(True).cast(False)
    assert (ballot.approvals, ballot.rejections, ballot.outstanding) == (2, 1, 2)
    assert not ballot.may_close
    assert Ballot(5, 3, approvals=3).is_reached
    assert not Ballot(5, 3, approvals=3).may_close, "who can still vote is not shut out"
    assert Ballot(5, 3, rejections=3).is_lost
    assert Ballot(5, 3, rejections=3).may_close
    assert not Ballot(5, 3, rejections=2).is_lost


def test_more_votes_than_seats_are_refused():
    with pytest.raises(ValueError, match="at most one vote a seat"):
        Ballot(1, 2).cast(True)
    for wrong in ({"approvals": 0}, {"rejections": -1}, {"approvals": 2, "rejections": 2}):
        with pytest.raises(ValueError, match="ballot has"):
            Ballot(3, 2, **wrong)
