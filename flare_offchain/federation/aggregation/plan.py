"""The plan of a round: what a strategy decided in floating point, written as integers that everyone can repeat.

A plan is published in the report. Scores and margins are there for people and for the comparison between committee
members; multipliers, rows, trim and divisor are what the model follows from, exactly.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flare_offchain.compression.exact import DecodedUpdate
from flare_offchain.core.errors import MalformedObject
from flare_offchain.core.tensors import ModelSchema
from flare_offchain.federation.aggregation.exact_rows import nearest_sum, trimmed_sum
from flare_offchain.federation.exact_sum import MAX_DIVISOR, MAX_MULTIPLIER, ExactSums, weighted_sum

MAX_UPDATES = 4096
MAX_STEP_SHIFT = 32
SCORE_DIGITS = 6

SUM, TRIMMED, NEAREST = "sum", "trimmed", "nearest"
RULES = (SUM, TRIMMED, NEAREST)

ACCEPTED = "accepted"
REASONS = (
    ACCEPTED,
    "distance",
    "low_information",
    "noise",
    "not_selected",
    "outlier_norm",
)
"""Why an update is in the aggregate or not.

`distance`: too far from the others in the space of weights, or against the reference there; `low_information`: what it
does to the probe says too little of the labels or of what its peers do; `noise`: nothing in it is like the others;
`not_selected`: the rule takes a fixed number and others came first; `outlier_norm`: its norm is 0 or beyond what
clipping can bring back.
"""


@dataclass(frozen=True, slots=True)
class UpdateVerdict:
    """One update's verdict: score, signed distance `margin` to the cut (negative: below), multiplier 0 to 4096."""

    reason: str
    score: float
    margin: float
    multiplier: int

    def __post_init__(self) -> None:
        if self.reason not in REASONS:
            raise MalformedObject(f"{self.reason!r} is no reason for a verdict")
        if not (math.isfinite(self.score) and math.isfinite(self.margin)):
            raise MalformedObject("scores and margins are finite")
        if not 0 <= self.multiplier <= MAX_MULTIPLIER or (self.multiplier > 0) != self.accepted:
            raise MalformedObject(f"accepted updates have a multiplier of 1 to {MAX_MULTIPLIER}, others 0")

    @property
    def accepted(self) -> bool:
        """Whether the update is in the aggregate."""
        return self.reason == ACCEPTED


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything from which the aggregate follows exactly.

    Attributes:
        verdicts: one for each update, in the order of the request.
        rule: `sum`: Σ multiplier * update; `trimmed`: rows sorted by coordinate without the `trim` lowest and
            highest; `nearest`: the 2 * trim rows farthest from the coordinate's median left out instead.
        divisor: what the sum is divided by; the whole of it, 2**step_shift included.
        rows: for `trimmed` and `nearest`, the indices (ascending) of accepted updates in each row.
        trim: rows left out at either end (`trimmed`), half of those left out (`nearest`).
        step_shift: the step was halved that many times.
    """

    verdicts: tuple[UpdateVerdict, ...]
    rule: str
    divisor: int
    rows: tuple[tuple[int, ...], ...] = ()
    trim: int = 0
    step_shift: int = 0

    def __post_init__(self) -> None:
        if not 1 <= len(self.verdicts) <= MAX_UPDATES:
            raise MalformedObject(f"a plan judges 1 to {MAX_UPDATES} updates")
        if self.rule not in RULES:
            raise MalformedObject(f"{self.rule!r} is no rule of combination")
        if not 1 <= self.divisor <= MAX_DIVISOR or not 0 <= self.step_shift <= MAX_STEP_SHIFT:
            raise MalformedObject("a plan's divisor or step is out of range")
        if self.divisor % (1 << self.step_shift):
            raise MalformedObject("a plan's divisor contains its step")
        if not self.accepted:
            raise MalformedObject("a plan accepts at least one update")
        if self.rule == SUM:
            if self.rows or self.trim:
                raise MalformedObject("a plain sum has no rows and no trim")
            return
        accepted = set(self.accepted)
        if not 1 <= len(self.rows) <= MAX_UPDATES or not 0 <= 2 * self.trim < len(self.rows):
            raise MalformedObject("a plan's trim leaves at least one row")
        for row in self.rows:
            if not row or list(row) != sorted(set(row)) or not accepted.issuperset(row):
                raise MalformedObject("a row lists accepted updates in ascending order")

    @property
    def accepted(self) -> tuple[int, ...]:
        """Indices of the accepted updates, ascending."""
        return tuple(index for index, verdict in enumerate(self.verdicts) if verdict.accepted)

    @property
    def multipliers(self) -> tuple[int, ...]:
        """The multiplier of each update."""
        return tuple(verdict.multiplier for verdict in self.verdicts)

    @property
    def summands(self) -> tuple[object, ...]:
        """What the sums follow from, given the updates: neither scores nor the divisor."""
        return self.rule, self.multipliers, self.rows, self.trim

    def combine(self, updates: Sequence[DecodedUpdate], schema: ModelSchema) -> ExactSums:
        """Return the exact sums that the plan asks for; `updates` are those it judges, in the same order.

        Raises:
            ExactnessError: the updates are not as many as the verdicts, or not of the schema.
        """
        if self.rule == SUM:
            return weighted_sum(updates, self.multipliers, schema)
        if self.rule == TRIMMED:
            return trimmed_sum(updates, self.multipliers, self.rows, self.trim, schema)
        return nearest_sum(updates, self.multipliers, self.rows, len(self.rows) - 2 * self.trim, schema)

    def to_record(self) -> dict[str, Any]:
        """Return a map of integers, floats, text, bytes and lists (what DAG-CBOR can hold)."""
        count = len(self.verdicts)
        return {
            "rule": self.rule,
            "divisor": self.divisor,
            "trim": self.trim,
            "step_shift": self.step_shift,
            "rows": [_to_bitmap(row, count) for row in self.rows],
            "verdicts": [[v.reason, v.score, v.margin, v.multiplier] for v in self.verdicts],
        }

    @classmethod
    def from_record(cls, record: object) -> Plan:
        """Read what `to_record` wrote; raise `MalformedObject` for anything else."""
        names = {"rule", "divisor", "trim", "step_shift", "rows", "verdicts"}
        if not isinstance(record, Mapping) or set(record) != names:
            raise MalformedObject(f"a plan is a map of {', '.join(sorted(names))}")
        if any(type(record[name]) is not int for name in ("divisor", "trim", "step_shift")):
            raise MalformedObject("a plan's divisor, trim and step are integers")
        verdicts, rows = record["verdicts"], record["rows"]
        if not isinstance(verdicts, list) or not isinstance(rows, list) or type(record["rule"]) is not str:
            raise MalformedObject("a plan has a list of verdicts, a list of rows and a rule")
        if len(verdicts) > MAX_UPDATES or len(rows) > MAX_UPDATES:
            raise MalformedObject(f"a plan judges at most {MAX_UPDATES} updates")
        return cls(
            tuple(_read_verdict(entry) for entry in verdicts),
            record["rule"],
            record["divisor"],
            tuple(_from_bitmap(entry, len(verdicts)) for entry in rows),
            record["trim"],
            record["step_shift"],
        )


class RepeatedSum:
    """`Plan.combine` for a caller that asks for the same sums twice, to try a step and then to take it.

    The second time the sums are handed over and forgotten, with the updates that it holds on to.
    """

    def __init__(self) -> None:
        self._kept: tuple[tuple[DecodedUpdate, ...], Plan, ExactSums] | None = None

    def first(self, updates: Sequence[DecodedUpdate], plan: Plan, schema: ModelSchema) -> ExactSums:
        """Return the sums and keep them for the second time."""
        sums = plan.combine(updates, schema)
        self._kept = tuple(updates), plan, sums
        return sums

    def second(self, updates: Sequence[DecodedUpdate], plan: Plan, schema: ModelSchema) -> ExactSums:
        """Return the kept sums where they are of the very same updates, combined alike, else compute them."""
        kept, self._kept = self._kept, None
        if kept is not None and kept[1].summands == plan.summands and kept[2].schema == schema:
            if len(kept[0]) == len(updates) and all(map(operator.is_, kept[0], updates)):
                return kept[2]
        return plan.combine(updates, schema)


def publishable(value: float) -> float:
    """Return a score as it is published: rounded to SCORE_DIGITS places, finite, without negative zero."""
    return round(min(max(float(value), -1e9), 1e9), SCORE_DIGITS) + 0.0


def _read_verdict(entry: object) -> UpdateVerdict:
    if not isinstance(entry, list) or [type(item) for item in entry] != [str, float, float, int]:
        raise MalformedObject("a verdict is a reason, a score, a margin and a multiplier")
    return UpdateVerdict(*entry)


def _to_bitmap(row: Sequence[int], count: int) -> bytes:
    bits = sum(1 << index for index in row)
    return bits.to_bytes((count + 7) // 8, "little")


def _from_bitmap(entry: object, count: int) -> tuple[int, ...]:
    if not isinstance(entry, bytes) or len(entry) != (count + 7) // 8:
        raise MalformedObject("a row is a bitmap of one bit an update")
    bits = int.from_bytes(entry, "little")
    if bits >> count:
        raise MalformedObject("a row names an update that the plan does not judge")
    return tuple(index for index in range(count) if bits >> index & 1)
