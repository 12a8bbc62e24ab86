"""Rounds decided by a VRF committee, in one process: members propose in turn, the others recompute and vote."""

from __future__ import annotations

import hashlib
from typing import Any

from flare_offchain.consensus.mechanism import DecisionStatus
from flare_offchain.consensus.vrf_consensus import VRFConsensus
from flare_offchain.core.errors import NoAcceptableUpdate
from flare_offchain.federation.aggregation.plan import Plan
from flare_offchain.federation.aggregation.strategy import SelectionRequest
from flare_offchain.federation.orchestrator import Orchestrator
from flare_offchain.utils.serialization import encode_record, write_model


class VRFOrchestrator(Orchestrator):
    """An orchestrator whose model changes only when a committee approves.

    Each round a committee is drawn by VRF among all clients. Its members propose in order of their outputs; a
    proposal is the plan, the digest of the model and of the exact sums. The other members recompute and vote; a
    rejected proposal passes the turn on. Where every member's proposal fails the round is void.

    Args:
        consensus: the committee; its seed makes a run repeatable.
        Others as `Orchestrator`.
    """

    def __init__(self, *arguments: Any, consensus: VRFConsensus | None = None, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.consensus = consensus or VRFConsensus()
        self._members = {client.name: client for client in self.clients}

    def _conclude(self, request: SelectionRequest, names: tuple[str, ...]) -> Plan:
        committee = self.consensus.select_committee([client.name for client in self.clients], self.round)
        for proposer in committee:
            try:
                plan = self._members[proposer].propose(self.strategy, request)
            except NoAcceptableUpdate:
                plan = None
            if self._approved(request, proposer, committee, plan):
                assert plan is not None
                self._take(request, plan)
                return plan
        raise NoAcceptableUpdate(f"none of {len(committee)} proposals was approved")

    def _approved(
        self, request: SelectionRequest, proposer: str, committee: tuple[str, ...], plan: Plan | None
    ) -> bool:
        """Put a proposal to the vote; a member that finds no acceptable update proposes nothing and is voted down."""
        decision = b"" if plan is None else self._decision(request, plan)
        proposal = self.consensus.propose_decision(decision, proposer)
        for name in committee:
            result = self.consensus.get_consensus_result(proposal)
            if result.status is not DecisionStatus.UNDECIDED:
                break
            if name == proposer:
                continue
            member = self._members[name]
            # Each member follows the plan itself: only then does it know the sums and the model.
            vote = plan is not None and member.approve(
                self.strategy, request, plan, self._decision(request, plan) == decision
            )
            self.consensus.vote(proposal, name, vote)
        return self.consensus.get_consensus_result(proposal).status is DecisionStatus.APPROVED

    def _decision(self, request: SelectionRequest, plan: Plan) -> bytes:
        model, _, sums_digest = self._follow(request, plan)
        return encode_record([hashlib.sha256(write_model(model)).digest(), sums_digest, plan.to_record()])
