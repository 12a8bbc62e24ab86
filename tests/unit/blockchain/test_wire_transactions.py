"""Transactions as endpoints describe them: whatever they say must hash to the name that was asked for."""

import pytest
from eth_utils.crypto import keccak

from flare_offchain.blockchain.keys import derive_account
from flare_offchain.blockchain.wire_transactions import checked_input

pytestmark = pytest.mark.unit

TO = "0x" + "22" * 20
FEES = {
    0: {"gasPrice": 7},
    1: {"gasPrice": 7, "accessList": [{"address": TO, "storageKeys": ["0x" + "01" * 32]}]},
    2: {"maxFeePerGas": 9, "maxPriorityFeePerGas": 1, "accessList": []},
}


def described(kind, to=TO):
    """Sign a transaction and describe it as an endpoint does."""
    fields = {"chainId": 5, "nonce": 3, "gas": 90000, "value": 4, "data": "0x1234", **FEES[kind]}
    if kind:
        fields["type"] = kind
    if to:
        fields["to"] = to
    signed = derive_account(1, 1).sign_transaction(fields)
    answer = {name: hex(value) for name, value in fields.items() if isinstance(value, int)}
    answer |= {"type": hex(kind), "input": "0x1234", "to": to, "accessList": fields.get("accessList", [])}
    answer |= {"v": hex(signed.v), "r": hex(signed.r), "s": hex(signed.s)}
    return answer, keccak(signed.raw_transaction)


@pytest.mark.parametrize("to", [TO, None])
@pytest.mark.parametrize("kind", [0, 1, 2])
def test_every_kind__is_read_and_checked(kind, to):
    answer, name = described(kind, to)
    assert checked_input(answer, name) == b"\x12\x34"
    for field, wrong in (("input", "0x1235"), ("nonce", "0x4"), ("r", "0x5"), ("to", "0x" + "23" * 20)):
        with pytest.raises(ValueError, match="does not hash"):
            checked_input(answer | {field: wrong}, name)


@pytest.mark.parametrize(
    "change",
    [{"type": "0x3"}, {"type": "0x4"}, {"input": None}, {"nonce": 3}, {"to": "0x12"}, {"accessList": 5}, {"v": None}],
)
def test_malformed__is_refused(change):
    answer, name = described(2)
    with pytest.raises(ValueError):
        checked_input(answer | change, name)
    for missing in ("input", "gas", "to"):
        with pytest.raises(ValueError, match="malformed"):
            checked_input({field: value for field, value in answer.items() if field != missing}, name)
