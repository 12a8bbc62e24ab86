"""Plans: strict reading, and what makes one inconsistent."""

from dataclasses import replace

import pytest

from flare_offchain.core.errors import MalformedObject
from flare_offchain.federation.aggregation.plan import Plan, UpdateVerdict, publishable

pytestmark = pytest.mark.unit

YES, NO = UpdateVerdict("accepted", 0.5, 0.25, 7), UpdateVerdict("noise", -1.0, -0.5, 0)
PLAN = Plan((YES, NO, YES), "trimmed", 6, ((0,), (0, 2), (2,)), 1, 1)


def test_round_trip():
    assert Plan.from_record(PLAN.to_record()) == PLAN
    assert PLAN.accepted == (0, 2)
    assert PLAN.multipliers == (7, 0, 7)


@pytest.mark.parametrize(
    "change",
    [
        {"verdicts": ()},
        {"verdicts": (NO, NO, NO)},
        {"verdicts": (YES,) * 4097},
        {"rule": "mean"},
        {"divisor": 0},
        {"divisor": 2**53},
        {"divisor": 7},
        {"step_shift": 33},
        {"step_shift": -1},
        {"rule": "sum"},
        {"rule": "sum", "rows": ()},
        {"rows": ()},
        {"trim": 2},
        {"trim": -1},
        {"rows": ((0,), (), (2,))},
        {"rows": ((0,), (2, 0), (2,))},
        {"rows": ((0,), (0, 0), (2,))},
        {"rows": ((0,), (1,), (2,))},
        {"rows": ((0,), (3,), (2,))},
    ],
)
def test_inconsistent_plans_are_refused(change):
    with pytest.raises(MalformedObject):
        replace(PLAN, **change)


@pytest.mark.parametrize(
    "arguments",
    [
        ("bad", 0.0, 0.0, 0),
        ("accepted", 0.0, 0.0, 0),
        ("noise", 0.0, 0.0, 1),
        ("accepted", 0.0, 0.0, 4097),
        ("accepted", float("nan"), 0.0, 1),
        ("accepted", 0.0, float("inf"), 1),
    ],
)
def test_inconsistent_verdicts_are_refused(arguments):
    with pytest.raises(MalformedObject):
        UpdateVerdict(*arguments)


@pytest.mark.parametrize(
    "change",
    [
        {"extra": 1},
        {"divisor": 6.0},
        {"divisor": True},
        {"trim": "1"},
        {"rule": 3},
        {"rows": [b"\x01"] * 5000},
        {"rows": [b"\x01\x00"]},
        {"rows": [b"\x09"]},
        {"rows": ["1"]},
        {"rows": None},
        {"verdicts": [["accepted", 0.5, 0.25]]},
        {"verdicts": [["accepted", 0.5, 0, 7]]},
        {"verdicts": [["accepted", 0.5, 0.25, True]]},
        {"verdicts": [[1, 0.5, 0.25, 7]]},
        {"verdicts": "accepted"},
        {"verdicts": [["accepted", 0.5, 0.25, 7]] * 5000},
    ],
)
def test_strange_records_are_refused(change):
    with pytest.raises(MalformedObject):
        Plan.from_record(PLAN.to_record() | change)
    with pytest.raises(MalformedObject):
        Plan.from_record([PLAN.to_record()])


def test_published_numbers_are_rounded_finite_and_not_negative_zero():
    assert publishable(0.12345678) == 0.123457
    assert str(publishable(-1e-12)) == "0.0"
    assert publishable(1e300) == 1e9
