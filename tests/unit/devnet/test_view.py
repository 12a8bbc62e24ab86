"""The terminal view of a local network: what fits into a terminal."""

import pytest

from flare_offchain.devnet.view import COLUMNS, fitting

ROW = ("1", "FINALIZED", "69.2 %", "8/8", "4, quorum 3", "1", "1,079", "146,167", "27")


@pytest.mark.parametrize("width", [20, 40, 60, 74, 80, 94, 200])
def test_columns__that_are_shown__fit_and_keep_their_order(width):
    shown = fitting([ROW], width)
    assert shown == [name for name in COLUMNS if name in shown]
    assert shown[:3] == ["round", "outcome", "accuracy"]
    needed = sum(max(len(name), len(ROW[COLUMNS.index(name)])) for name in shown) + 3 * (len(shown) - 1)
    assert needed <= width or len(shown) == 3


def test_columns__where_there_is_room__are_all_shown():
    assert fitting([ROW], 105) == list(COLUMNS)
