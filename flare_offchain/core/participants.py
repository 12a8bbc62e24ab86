"""Who registered which key under which number, and when each was active: folded from the registry's events.

The coordinator's `KeysSnapshotted` belong here too: which keys a claim may be verified by follows from both. Where
within a block a claim came is not looked at, so what holds for it may be uncertain: questions are answered with the set
of all answers that are possible.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from flare_offchain.core.records import EventLike
from flare_offchain.core.types import Address

SEGMENT_SIZE = 96
"""Participants in a snapshot of keys."""
CERTAIN, UNCERTAIN = frozenset({True}), frozenset({True, False})
NEVER = frozenset({False})


@dataclass(frozen=True, slots=True)
class Registration:
    """An account registered a VRF key (its x coordinate) in a block, and was given a number."""

    block: int
    account: Address
    vrf_key: int
    number: int


@dataclass(slots=True)
class Participants:
    """All registrations, and since which blocks their accounts were active or not.

    minimum_bond: the registry's, in wei; None where it is not known, so that whoever was fined may be active or not.
    """

    minimum_bond: int | None = None
    registrations: list[Registration] = field(default_factory=list)
    snapshots: list[tuple[int, int]] = field(default_factory=list)
    """(segment, block) of each snapshot of keys."""
    _first_by_number: dict[int, Registration] = field(default_factory=dict)
    _first_by_account: dict[Address, Registration] = field(default_factory=dict)
    _first_by_key: dict[int, Registration] = field(default_factory=dict)
    _standings: dict[Address, list[tuple[int, frozenset[bool]]]] = field(default_factory=dict)
    """(block, whether active from then on) of each account, in order of events."""
    _exited: set[Address] = field(default_factory=set)

    def extend(self, events: Iterable[EventLike]) -> Participants:
        """Fold more events of the registry or the coordinator, in chain order; others are passed over."""
        for event in events:
            a = cast(Mapping[str, Any], event.arguments)
            match event.name:
                case "ParticipantRegistered":
                    account = Address(a["account"])
                    self._register(Registration(event.block, account, int(a["vrfKey"]), int(a["number"])))
                case "BondIncreased" | "BondFined":
                    account = Address(a["account"])
                    self._stands(event.block, account, self._bonded(account, int(a["bond"])))
                case "ExitRequested":
                    self._exited.add(Address(a["account"]))
                    self._stands(event.block, Address(a["account"]), NEVER)
                case "KeysSnapshotted":
                    self.snapshots.append((int(a["segment"]), event.block))
                case _:
                    pass
        return self

    def _register(self, item: Registration) -> None:
        self.registrations.append(item)
        self._first_by_number.setdefault(item.number, item)
        self._first_by_account.setdefault(item.account, item)
        self._first_by_key.setdefault(item.vrf_key, item)
        self._stands(item.block, item.account, CERTAIN)

    def _bonded(self, account: Address, bond: int) -> frozenset[bool]:
        if account in self._exited:
            return NEVER
        return UNCERTAIN if self.minimum_bond is None else frozenset({bond >= self.minimum_bond})

    def _stands(self, block: int, account: Address, active: frozenset[bool]) -> None:
        self._standings.setdefault(account, []).append((block, active))

    def numbered(self, number: int) -> Registration | None:
        """Return the registration with a number; the first, should there be several."""
        return self._first_by_number.get(number)

    def with_key(self, vrf_key: int) -> Registration | None:
        """Return the registration of a key; the first, should there be several."""
        return self._first_by_key.get(vrf_key)

    def account(self, account: Address) -> Registration | None:
        """Return an account's registration; the first, should there be several."""
        return self._first_by_account.get(account)

    def active(self, account: Address, block: int) -> frozenset[bool]:
        """Return whether an account was an active participant at some moment within a block."""
        standings = self._standings.get(account, [])
        before = [active for at, active in standings if at < block]
        within = [active for at, active in standings if at == block]
        return frozenset().union(before[-1] if before else NEVER, *within)

    def readable(self, number: int, block: int, from_snapshot: bool) -> frozenset[bool]:
        """Return whether a claim with this number found its key within a block, in storage or in a snapshot."""
        found = self.numbered(number)
        if found is None:
            return NEVER
        active = self.active(found.account, block)
        if not from_snapshot:
            return active
        taken = [at for segment, at in self.snapshots if segment == number // SEGMENT_SIZE and at <= block]
        if any(at < block and self.active(found.account, at) == CERTAIN for at in taken):
            return active
        possible = any(True in self.active(found.account, at) for at in taken)
        return active | NEVER if possible else NEVER
