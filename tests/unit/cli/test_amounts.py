"""Amounts of ether: exact both ways."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flare_offchain.cli.amounts import MAX_WEI, ether_text, wei_of
from flare_offchain.core.errors import ConfigurationError

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "wei"),
    [
        ("0", 0),
        ("1", 10**18),
        ("0.05 ether", 5 * 10**16),
        ("0.05 ETH", 5 * 10**16),
        (" 20 gwei ", 20 * 10**9),
        ("1 wei", 1),
        ("1e-18", 1),
        ("0.000000000000000001", 1),
    ],
)
def test_wei_of__an_amount__is_exact(text, wei):
    assert wei_of(text) == wei


@pytest.mark.parametrize(
    "text", ["", "x", "-1", "1 pound", "nan", "inf", "0.5 wei", "1e-19", "1e30", "1e999999999", "1 2 ether", "0x10"]
)
def test_wei_of__no_amount__is_refused(text):
    with pytest.raises(ConfigurationError):
        wei_of(text)


def test_wei_of__a_number_alone__has_the_given_unit():
    assert wei_of("7", "wei") == 7


@given(st.integers(0, MAX_WEI))
def test_ether_text__read_again__is_the_same_amount(wei):
    assert wei_of(ether_text(wei)) == wei


def test_ether_text__of_a_debt__keeps_its_sign():
    assert ether_text(-15 * 10**17) == "-1.5 ETH"
