"""Who was active when, and whether a claim found its key."""

from dataclasses import dataclass, field

import pytest

from flare_offchain.core.participants import Participants, Registration
from flare_offchain.core.types import Address

pytestmark = pytest.mark.unit

ALICE, BOB = Address("0x" + "0a" * 20), Address("0x" + "0b" * 20)
YES, NO, EITHER = frozenset({True}), frozenset({False}), frozenset({True, False})


@dataclass
class Event:
    name: str
    block: int
    arguments: dict = field(default_factory=dict)
    transaction_hash: bytes = bytes(32)


def registered(block, account, number, key=5):
    return Event("ParticipantRegistered", block, {"account": account, "vrfKey": key, "number": number, "bond": 10})


def of(account, name, block, **arguments):
    return Event(name, block, {"account": account, **arguments})


def participants(*events, minimum_bond=10):
    return Participants(minimum_bond).extend(events)


def test_registrations__are_found_by_number_account_and_key__the_first():
    found = participants(registered(2, ALICE, 1), registered(3, BOB, 2, 6), registered(4, ALICE, 3, 6))
    alice, bob = Registration(2, ALICE, 5, 1), Registration(3, BOB, 6, 2)
    assert (found.account(ALICE), found.numbered(2), found.with_key(6)) == (alice, bob, bob)
    assert (found.numbered(9), found.with_key(9)) == (None, None)


def test_active__from_registration_until_exit__within_the_block_either():
    found = participants(registered(5, ALICE, 1), of(ALICE, "ExitRequested", 8, withdrawableAt=99))
    states = {block: found.active(ALICE, block) for block in (4, 5, 6, 8, 9)}
    assert states == {4: NO, 5: EITHER, 6: YES, 8: EITHER, 9: NO}
    assert found.active(BOB, 6) == NO


def test_active__follows_the_bond__but_not_after_an_exit():
    found = participants(
        registered(1, ALICE, 1),
        of(ALICE, "BondFined", 3, amount=1, bond=9),
        of(ALICE, "BondIncreased", 5, amount=1, bond=10),
        of(ALICE, "ExitRequested", 7),
        of(ALICE, "BondFined", 9, amount=0, bond=10),
    )
    assert [found.active(ALICE, block) for block in (2, 4, 6, 8, 10)] == [YES, NO, YES, NO, NO]
    unknown = participants(registered(1, ALICE, 1), of(ALICE, "BondFined", 3, bond=9), minimum_bond=None)
    assert (unknown.active(ALICE, 2), unknown.active(ALICE, 4)) == (YES, EITHER)


def test_readable__from_storage__while_active():
    found = participants(registered(1, ALICE, 1), of(ALICE, "ExitRequested", 7))
    assert [found.readable(1, block, False) for block in (5, 7, 8)] == [YES, EITHER, NO]
    assert found.readable(2, 5, False) == NO


def test_readable__from_a_snapshot__once_one_was_taken_while_active():
    found = participants(
        registered(1, ALICE, 95),
        registered(1, BOB, 96, 6),
        Event("KeysSnapshotted", 4, {"segment": 0, "snapshot": BOB}),
        of(ALICE, "ExitRequested", 7),
    )
    assert [found.readable(95, block, True) for block in (3, 4, 5, 8)] == [NO, EITHER, YES, NO]
    assert found.readable(96, 5, True) == NO, "it is in the next segment"


def test_readable__from_a_snapshot_taken_in_the_block_of_the_registration__is_uncertain():
    snapshot = Event("KeysSnapshotted", 4, {"segment": 0, "snapshot": BOB})
    found = participants(registered(4, ALICE, 1), snapshot)
    assert found.readable(1, 9, True) == EITHER
