"""RoundContext."""

import pytest

from flare_offchain import RoundContext

pytestmark = pytest.mark.unit


def test_holds_what_it_was_given():
    context = RoundContext(3, "bafkrei", {"committee": ["0xabc"]})
    assert (context.round_number, context.global_model_version) == (3, "bafkrei")
    assert context.metadata["committee"] == ["0xabc"]


def test_metadata_is_its_own():
    first, second = RoundContext(0, 0), RoundContext(0, 0)
    first.metadata["x"] = 1
    assert second.metadata == {}


def test_refuses_a_negative_round():
    with pytest.raises(ValueError, match="rounds count"):
        RoundContext(-1, 0)
