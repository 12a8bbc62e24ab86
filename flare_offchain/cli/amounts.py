"""Amounts of ether as people write them, to and from wei."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from fractions import Fraction

from flare_offchain.core.errors import ConfigurationError

ETHER = 10**18
UNITS = {"wei": 1, "gwei": 10**9, "eth": ETHER, "ether": ETHER}
MAX_WEI = 2**128 - 1


def wei_of(text: str, unit: str = "ether") -> int:
    """Return an amount in wei: "0.5", "0.5 ether", "20 gwei", "1 wei".

    Args:
        text: a decimal number, not negative, and perhaps a unit.
        unit: the unit of a number that has none.

    Raises:
        ConfigurationError: it is no such amount, is finer than one wei, or exceeds 2**128 - 1 wei.
    """
    number, _, named = text.strip().partition(" ")
    factor = UNITS.get((named.strip() or unit).lower())
    try:
        amount = Decimal(number)
    except InvalidOperation:
        amount = Decimal("NaN")
    if factor is None or not amount.is_finite() or amount < 0 or abs(amount.adjusted()) > 60:
        raise ConfigurationError(f'{text!r} is no amount: write for example 0.5, "0.5 ether" or "20 gwei"')
    exact = Fraction(amount) * factor
    if exact.denominator != 1 or exact > MAX_WEI:
        raise ConfigurationError(f"{text!r} is finer than one wei, or more ether than there is")
    return int(exact)


def ether_text(wei: int) -> str:
    """Return an amount for people, exact: "0.05 ETH"."""
    whole, rest = divmod(abs(wei), ETHER)
    fraction = f".{rest:018d}".rstrip("0") if rest else ""
    return f"{'-' if wei < 0 else ''}{whole}{fraction} ETH"
