"""The hashes that bind proofs, proposals and votes: Python's are the contracts' view functions."""

import pytest

from flare_offchain.blockchain.deployments import deploy_flare
from flare_offchain.blockchain.embedded import EthTesterConnector
from flare_offchain.consensus.chain_proof import prove_for_chain
from flare_offchain.consensus.identities import (
    bitmap_digest,
    inner_hash,
    possession_alpha,
    proposal_digest,
    vote_commitment,
    vrf_alpha,
)
from flare_offchain.consensus.keys import VrfKey
from flare_offchain.core.errors import TransactionReverted
from flare_offchain.core.types import ContentId

pytestmark = pytest.mark.contracts

MODEL, REPORT = ContentId(b"\x11" * 32, 1), ContentId(bytes(range(32)), 2**32 - 1)
DIGEST, MAXIMA = b"\xab" * 32, (2**32 - 1, 2**16 - 1)
BOND = 10**18


@pytest.fixture(scope="module")
def chain():
    return EthTesterConnector()


@pytest.fixture(scope="module")
def flare(chain):
    return deploy_flare(chain, chain.account(0), minimum_bond=BOND, unbonding_delay=10**6)


@pytest.mark.parametrize("task", [1, 2**256 - 1])
@pytest.mark.parametrize(("round_number", "attempt"), [(0, 0), (7, 3), MAXIMA])
def test_views_of_the_coordinator(chain, flare, task, round_number, attempt):
    coordinator, where = flare.coordinator, (chain.chain_id, flare.coordinator.address, task, round_number)
    assert coordinator.vrf_alpha(task, round_number, DIGEST) == vrf_alpha(*where, DIGEST)

    bitmap, weight = bitmap_digest(b"\x05\x01"), 2**32 - 1
    proposal = proposal_digest(*where, attempt, MODEL, REPORT, bitmap, weight)
    said = {"model": MODEL, "report": REPORT, "bitmap_digest": bitmap, "accepted_weight": weight}
    assert coordinator.proposal_digest(task, round_number, attempt, **said) == proposal

    member, inner = chain.account(1).address, inner_hash(attempt, DIGEST)
    commitment = vote_commitment(*where, attempt, proposal, member, inner)
    said = {"proposal": proposal, "member": member, "inner": inner}
    assert coordinator.vote_commitment(task, round_number, attempt, **said) == commitment


def test_possession_is_proven_to_the_registry(chain, flare):
    registry = flare.registry
    for index in range(1, 4):
        account, key = chain.account(index), VrfKey.derive(b"possession", bytes([index]))
        alpha = possession_alpha(chain.chain_id, registry.address, account.address)
        assert registry.possession_alpha(account.address) == alpha
        other = possession_alpha(chain.chain_id, registry.address, chain.account(0).address)
        with pytest.raises(TransactionReverted, match="PossessionNotProven"):
            registry.register(account, key.public_x, prove_for_chain(key, other), bond=BOND).confirmed()
        registry.register(account, key.public_x, prove_for_chain(key, alpha), bond=BOND).confirmed()
        assert registry.active_key(account.address) == key.public_x
