"""What the contract's verifier must do on every chain: the published vectors, and altered proofs.

Subclass `EcVrfSuite` and give the fixture `harness`, the deployed harness as a web3 contract.
"""

import random
from collections import Counter

import pytest

from flare_offchain.consensus import chain_proof, vrf
from flare_offchain.consensus.chain_proof import ChainProof, prove_for_chain, verify_for_chain, with_witnesses
from flare_offchain.consensus.curve import SECP256K1
from flare_offchain.consensus.keys import VrfKey
from flare_offchain.consensus.vrf import SECP256K1_TAI
from flare_offchain.core.errors import InvalidProof
from tests.suites.altered_proofs import Member, altered_proofs
from tests.suites.vrf_vectors import DRAFT05_VECTORS, SECP256K1_VECTORS

P = SECP256K1.p


def draft05_witnessed(vector):
    """Return a proof of a draft-05 vector with every witness as right as it can be: only the hashes are the draft's."""
    group = SECP256K1_TAI.group
    key, pi = vector["pub"], vrf.decode_proof(SECP256K1_TAI, vector["pi"])
    encoding = vrf.encode_to_curve(SECP256K1_TAI, key, vector["message"])
    u = group.linear(pi.s, SECP256K1.generator, -pi.c, group.decode(key))
    t, s = group.multiply(pi.s, encoding.point), group.multiply(pi.c, pi.gamma)
    slope = (t.y + s.y) * pow(t.x - s.x, -1, P) % P
    roots = tuple(pow(-SECP256K1.right_side(x), (P + 1) // 4, P) for x in encoding.skipped)
    return ChainProof(pi.gamma, pi.c, pi.s, u, t, s.x, slope, roots).to_bytes()


class EcVrfSuite:
    """The shared tests.

    members, each: how many keys, and how often every kind of alteration is made to each. least: how many proofs these
    must come to.
    """

    members: int
    each: int
    least: int

    @pytest.fixture
    def verify(self, harness):
        """Return a function from (x, message, proof) to (valid, output)."""

        def call(public_x, alpha, proof):
            return harness.functions.verify(public_x, alpha, proof).call()

        return call

    @pytest.fixture
    def verify_message(self, harness):
        """Return a function from (compressed key, message of any length, proof) to (valid, output)."""

        def call(key, message, proof):
            return harness.functions.verifyMessage(key[0], int.from_bytes(key[1:], "big"), message, proof).call()

        return call

    @pytest.fixture
    def with_any_key(self, monkeypatch):
        """Return a function like `with_witnesses` that takes a compressed key, also one with an odd y."""

        def witnessed(key, message, pi):
            monkeypatch.setattr(chain_proof, "encode_public_key", lambda _: key)
            return with_witnesses(0, message, pi)

        return witnessed

    def test_all_published_proofs_verify_with_the_published_output(self, verify_message, with_any_key):
        parities = Counter()
        for vector in SECP256K1_VECTORS:
            key, output = vector["pub"], int.from_bytes(vector["hash"], "big")
            proof = with_any_key(key, vector["message"], vector["pi"])
            assert verify_message(key, vector["message"], proof) == [True, output]
            assert verify_for_chain(0, vector["message"], proof) == output
            parities[key[0]] += 1
        assert parities.keys() == {2, 3}
        assert parities.total() == 45

    def test_draft05_proofs_are_refused(self, verify_message):
        refused = [
            verify_message(vector["pub"], vector["message"], draft05_witnessed(vector)) for vector in DRAFT05_VECTORS
        ]
        assert refused == [[False, 0]] * 46

    def test_published_proofs_that_are_changed_are_refused(self, verify_message, with_any_key):
        for vector in SECP256K1_VECTORS[:12]:
            key, message = vector["pub"], vector["message"]
            proof = with_any_key(key, message, vector["pi"])
            for byte in (10, 40, 60, 100, 150, 220, 250):
                changed = bytearray(proof)
                changed[byte] ^= 1
                assert verify_message(key, message, bytes(changed)) == [False, 0]
            assert verify_message(bytes([key[0] ^ 1]) + key[1:], message, proof) == [False, 0]
            for other in (b"", message + b"\x00", message[:-1], message.ljust(32, b"\x00")):
                assert verify_message(key, other, proof) == [False, 0]

    @pytest.mark.parametrize("length", [0, 1, 31, 32, 33, 64, 200])
    def test_messages_of_any_length(self, verify_message, length):
        key, message = VrfKey.derive(b"lengths", bytes([length])), bytes(range(length))
        proof = prove_for_chain(key, message)
        assert verify_message(key.public_key, message, proof) == [True, verify_for_chain(key.public_x, message, proof)]

    def test_a_message_of_32_bytes_is_what_rounds_use(self, verify, verify_message):
        key, alpha = VrfKey.derive(b"same", b""), bytes(range(32))
        proof = prove_for_chain(key, alpha)
        assert verify(key.public_x, alpha, proof) == verify_message(key.public_key, alpha, proof)

    def test_altered_proofs_are_refused_and_the_proofs_themselves_accepted(self, verify):
        source = random.Random(14)
        for _ in range(self.members):
            member = Member.draw(source)
            output = verify_for_chain(member.key.public_x, member.alpha, member.proof)
            assert verify(member.key.public_x, member.alpha, member.proof) == [True, output]
        kinds = Counter()
        for altered in altered_proofs(source, self.members, self.each):
            where = (altered.public_x, altered.alpha, altered.proof)
            assert verify(*where) == [False, 0], (altered.kind, *where)
            with pytest.raises(InvalidProof):
                verify_for_chain(*where)
            kinds[altered.kind] += 1
        assert len(kinds) >= 90
        assert kinds.total() >= self.least
