"""The structs of the contracts' interfaces as frozen records, in the interfaces' own words (snake_case).

See `contracts/interfaces/` for what each field means; a test proves that names, order and types agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from flare_offchain.core.errors import WrongChain
from flare_offchain.core.phases import Phase
from flare_offchain.core.types import Address, ContentId

Record = TypeVar("Record")


class TaskStatus(IntEnum):
    """Where a task stands. Solidity's `None` is `None_` here, a keyword otherwise."""

    None_ = 0
    Open = 1
    Ended = 2


@dataclass(frozen=True, slots=True)
class Participant:
    """A registered account. `withdrawable_at` is 0 while no exit is requested; numbers count from 1."""

    vrf_key: int
    bond: int
    withdrawable_at: int
    number: int


@dataclass(frozen=True, slots=True)
class TaskRules:
    """The rules of a task's rounds. Durations in seconds, shares and threshold in basis points, amounts in wei."""

    training_duration: int
    seed_duration: int
    sortition_duration: int
    proposal_duration: int
    validation_duration: int
    reveal_duration: int
    expected_committee: int
    max_seats: int
    threshold_basis_points: int
    max_attempts: int
    min_updates: int
    max_updates: int
    sample_cap: int
    idle_rounds: int
    strike_limit: int
    max_consecutive_voids: int
    max_rounds: int
    invite_only: bool
    round_reward: int
    fine_amount: int
    trainer_share: int
    proposer_share: int
    voter_share: int
    revealer_share: int


@dataclass(frozen=True, slots=True)
class TaskView:
    """A task as it stands. `round` is the last opened round, 0 before the first; `budget` is in wei."""

    owner: Address
    status: TaskStatus
    rules: TaskRules
    spec: ContentId
    model: ContentId
    budget: int
    round: int
    consecutive_voids: int
    enrolled: int
    seed: bytes


@dataclass(frozen=True, slots=True)
class SeatView:
    """A seat of the committee; `output_prefix` is the top 96 bits of its VRF output, its number is its position."""

    member: Address
    output_prefix: int
    voted: bool
    approved: bool
    commitment: bytes


@dataclass(frozen=True, slots=True)
class ProposalView:
    """The proposal of the current attempt; all zero while there is none."""

    proposer: Address
    model: ContentId
    report: ContentId
    bitmap_digest: bytes
    accepted_weight: int
    commitment: bytes
    digest: bytes


@dataclass(frozen=True, slots=True)
class RoundView:
    """The current round: all that a daemon needs to decide what to do next. `deadline` is a timestamp.

    `claims` counts those taken so far; `seats` is empty until the committee stands.
    """

    round: int
    phase: Phase
    deadline: int
    base_model: ContentId
    enrolled: int
    updates: int
    seed_block: int
    seed_attempt: int
    seed: bytes
    alpha: bytes
    threshold: int
    widened: bool
    claims: int
    quorum: int
    attempt: int
    approvals: int
    rejections: int
    proposal: ProposalView
    seats: tuple[SeatView, ...]


@dataclass(frozen=True, slots=True)
class EnrolmentView:
    """A worker's enrolment in a task. `credit` is what `withdraw_rewards` would pay now, in wei.

    `number` is the participant's, 0 before its first enrolment; `counting`: it takes part in the newest round's
    sortition.
    """

    enrolled: bool
    from_round: int
    last_active_round: int
    update_round: int
    update_index: int
    update_weight: int
    number: int
    counting: bool
    claimed: bool
    strikes: int
    invited: bool
    credit: int


@dataclass(frozen=True, slots=True)
class OutcomeView:
    """How a round of the past ended. `trainer_reward` is in wei."""

    finalized: bool
    accepted_weight: int
    trainer_reward: int


def read_struct(kind: type[Record], value: object) -> Record:
    """Return a decoded struct as its record.

    Raises: WrongChain: its fields are not the record's: the contract is of another version.
    """
    names = _fields(cast(Any, kind))
    if not isinstance(value, Mapping) or set(value) != {solidity for _, solidity, _ in names}:
        raise WrongChain(
            f"the contract's {kind.__name__} does not have the fields of this release: check the deployment"
        )
    try:
        return kind(**{name: _convert(hint, value[solidity]) for name, solidity, hint in names})
    except ValueError as error:
        raise WrongChain(f"the contract's {kind.__name__} is not of this release: {error}") from error


@lru_cache(maxsize=64)
def _fields(kind: Any) -> tuple[tuple[str, str, Any], ...]:
    hints = get_type_hints(kind)
    return tuple((item.name, camel(item.name), hints[item.name]) for item in fields(kind))


def _convert(hint: Any, value: Any) -> object:
    if get_origin(hint) is tuple:
        return tuple(_convert(get_args(hint)[0], item) for item in value)
    if isinstance(hint, type) and is_dataclass(hint):
        return read_struct(hint, value)
    if isinstance(hint, type) and issubclass(hint, IntEnum):
        return hint(value)
    return value


def camel(name: str) -> str:
    """Return a snake_case name as Solidity writes it."""
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)
