"""Deciding together: VRF proofs, sortition, the vote, and the hashes that bind them to a chain."""

from flare_offchain.consensus.ballot import Ballot
from flare_offchain.consensus.capture import CaptureRow, capture_probability, capture_table, unsafe_probability
from flare_offchain.consensus.chain_proof import (
    ChainProof,
    parse_chain_proof,
    prove_for_chain,
    prove_many,
    verify_for_chain,
    with_witnesses,
)
from flare_offchain.consensus.keys import VrfKey, encode_public_key
from flare_offchain.consensus.mechanism import ConsensusMechanism, ConsensusResult, DecisionStatus
from flare_offchain.consensus.selection import Claim, CommitteeSelection, select, verify_selection
from flare_offchain.consensus.sortition import Seat, lowest, quorum, threshold
from flare_offchain.consensus.validation import (
    Agreement,
    ContributionRules,
    Objection,
    Validation,
    reach_agreement,
    validate_contribution,
    validate_contributions,
)
from flare_offchain.consensus.vrf_consensus import ConsensusStats, VRFConsensus

__all__ = [
    "Agreement",
    "Ballot",
    "CaptureRow",
    "ChainProof",
    "Claim",
    "CommitteeSelection",
    "ConsensusMechanism",
    "ConsensusResult",
    "ConsensusStats",
    "ContributionRules",
    "DecisionStatus",
    "Objection",
    "Seat",
    "VRFConsensus",
    "Validation",
    "VrfKey",
    "capture_probability",
    "capture_table",
    "encode_public_key",
    "lowest",
    "parse_chain_proof",
    "prove_for_chain",
    "prove_many",
    "quorum",
    "reach_agreement",
    "select",
    "threshold",
    "unsafe_probability",
    "validate_contribution",
    "validate_contributions",
    "verify_for_chain",
    "verify_selection",
    "with_witnesses",
]
