"""What everything that signs transactions has to do. Subclasses give a `signer` and its `chain_id`."""

import pytest
from eth_account import Account
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_utils import is_checksum_address
from hexbytes import HexBytes

OTHER = "0x00000000000000000000000000000000000000ff"


class SignerSuite:
    @pytest.fixture
    def fields(self, chain_id):
        return {
            "type": 2,
            "chainId": chain_id,
            "nonce": 3,
            "gas": 90_000,
            "maxFeePerGas": 7 * 10**9,
            "maxPriorityFeePerGas": 10**9,
            "value": 5,
            "data": b"\x00\x01flare",
            "to": OTHER,
        }

    def test_address__has_its_checksum(self, signer):
        assert is_checksum_address(signer.address)

    @pytest.mark.parametrize("changes", [{}, {"data": b""}, {"value": 0, "nonce": 0}, {"maxPriorityFeePerGas": 0}])
    def test_sign__any_fields__are_what_is_signed(self, signer, fields, changes):
        asked = fields | changes
        raw = bytes(signer.sign_transaction(asked).raw_transaction)
        assert Account.recover_transaction(HexBytes(raw)) == signer.address
        signed = TypedTransaction.from_bytes(HexBytes(raw)).as_dict()
        assert {name: signed[name] for name in asked if name not in ("data", "to")} == {
            name: asked[name] for name in asked if name not in ("data", "to")
        }
        assert bytes(signed["data"]) == asked["data"] and bytes(signed["to"]) == bytes.fromhex(asked["to"][2:])
        assert tuple(signed["accessList"]) == ()

    def test_sign__a_creation__goes_to_nobody(self, signer, fields):
        del fields["to"]
        fields["gas"] = 200_000
        raw = signer.sign_transaction(fields).raw_transaction
        assert bytes(TypedTransaction.from_bytes(HexBytes(raw)).as_dict()["to"]) == b""

    def test_sign__twice__gives_valid_signatures_of_the_same(self, signer, fields):
        first, second = (
            TypedTransaction.from_bytes(HexBytes(signer.sign_transaction(fields).raw_transaction)).as_dict()
            for _ in range(2)
        )
        for one in (first, second):
            for name in "vrs":
                one.pop(name)
        assert first == second
