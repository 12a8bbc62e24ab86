"""The report: canonical, consistent in itself, and nothing else read."""

import pytest

from flare_offchain.core.errors import MalformedObject
from flare_offchain.federation.aggregation.plan import Plan, UpdateVerdict
from flare_offchain.federation.report import MALFORMED, UNAVAILABLE, USED, Report, bitmap_of
from flare_offchain.utils.serialization import decode_record, encode_record

pytestmark = pytest.mark.unit

PLAN = Plan(
    verdicts=(
        UpdateVerdict("accepted", 0.5, 0.4, 10),
        UpdateVerdict("distance", -0.5, 0.6, 0),
        UpdateVerdict("accepted", 0.25, 0.15, 7),
    ),
    rule="sum",
    divisor=17,
)
REPORT = Report(3, 9, b"b" * 32, b"s" * 32, (USED, UNAVAILABLE, USED, MALFORMED, USED), PLAN)


def test_a_report_round_trips_and_names_the_accepted():
    again = Report.decode(REPORT.encode())
    assert again == REPORT
    assert (again.used, again.accepted) == ([0, 2, 4], [0, 4])


def test_bitmaps_count_from_the_lowest_bit():
    assert bitmap_of([0, 4], 5) == b"\x11"
    assert bitmap_of([8, 15], 16) == b"\x00\x81"
    assert bitmap_of([], 9) == b"\x00\x00"


@pytest.mark.parametrize(
    "change",
    [
        {"type": "spec"},
        {"version": 1},
        {"task": "3"},
        {"round": True},
        {"base": b"b" * 31},
        {"seed": "s" * 32},
        {"statuses": ["used"]},
        {"statuses": ["used", "lost", "used", "used", "used"]},
        {"statuses": 5},
        {"plan": {}},
        {"more": 1},
    ],
)
def test_anything_else_is_refused(change):
    record = {**decode_record(REPORT.encode(), max_bytes=10_000), **change}
    with pytest.raises(MalformedObject):
        Report.decode(encode_record(record))


def test_a_missing_field_is_refused():
    record = decode_record(REPORT.encode(), max_bytes=10_000)
    del record["seed"]
    with pytest.raises(MalformedObject):
        Report.decode(encode_record(record))
