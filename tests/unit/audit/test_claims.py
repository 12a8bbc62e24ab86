"""Call data of SORTITION's transactions, read back."""

import pytest
from eth_abi.abi import encode
from eth_utils.abi import function_signature_to_4byte_selector as selector

from flare_offchain.audit.claims import ADVANCE, CLAIM_SEAT, CLAIM_SEATS, CLOSE_SORTITION, closing_list, sent_claims
from flare_offchain.blockchain.artifacts import load_artifact
from flare_offchain.consensus.claims import encode_claim
from flare_offchain.core.errors import MalformedObject

pytestmark = pytest.mark.unit

FIRST, SECOND = (7, bytes(273)), (2**24 - 1, b"\x81" + bytes(304))


def call(signature, *values):
    return selector(signature) + encode(signature[signature.index("(") + 1 : -1].split(","), values)


def test_signatures__are_the_contract_s():
    abi = load_artifact("RoundCoordinator").abi
    for signature in (CLAIM_SEAT, CLAIM_SEATS, CLOSE_SORTITION, ADVANCE):
        assert abi.function(signature).selector == selector(signature)


def test_claims__of_both_functions():
    one = sent_claims(call(CLAIM_SEAT, 3, 4, encode_claim(*FIRST)))
    assert (one.task, one.round, one.from_snapshot, one.claims) == (3, 4, False, (FIRST,))
    packed = encode_claim(*FIRST) + encode_claim(*SECOND)
    many = sent_claims(call(CLAIM_SEATS, 3, 4, True, packed))
    assert (many.task, many.round, many.from_snapshot, many.claims) == (3, 4, True, (FIRST, SECOND))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        call(CLAIM_SEAT, 3, 4, b"")[:-1],
        call(CLAIM_SEATS, 3, 4, False, encode_claim(*FIRST)[:-1]),
        call(ADVANCE, 3, b""),
        selector(CLAIM_SEATS),
    ],
)
def test_claims__that_cannot_be_read__are_malformed(data):
    with pytest.raises(MalformedObject):
        sent_claims(data)


def test_list__of_both_functions():
    assert closing_list(call(CLOSE_SORTITION, 3, b"list")) == (3, b"list")
    assert closing_list(call(ADVANCE, 3, b"list")) == (3, b"list")
    with pytest.raises(MalformedObject):
        closing_list(call(CLAIM_SEAT, 3, 4, b"list"))
