"""The round coordinator: tasks, enrolment, rounds, rewards. One method a function of
`contracts/interfaces/IRoundCoordinator.sol`, which says what each does and who may call it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from flare_offchain.blockchain.artifacts import load_artifact
from flare_offchain.blockchain.connector import BlockchainConnector
from flare_offchain.blockchain.contracts.registry import ParticipantRegistry
from flare_offchain.blockchain.contracts.structs import (
    EnrolmentView,
    OutcomeView,
    RoundView,
    TaskRules,
    TaskView,
    read_struct,
)
from flare_offchain.blockchain.events import ChainEvent
from flare_offchain.blockchain.outcomes import BlockStamp, TransactionOutcome
from flare_offchain.consensus.claims import encode_claim
from flare_offchain.core.claims import CLAIM_BYTES, list_claims
from flare_offchain.core.errors import ChainUnavailable, ConfigurationError
from flare_offchain.core.phases import RejectReason
from flare_offchain.core.types import Address, ContentId

if TYPE_CHECKING:
    from flare_offchain.blockchain.signers import Signer


def _claim(number: int, proof: bytes) -> bytes:
    try:
        return encode_claim(number, proof)
    except ValueError as error:
        raise ConfigurationError(f"this is no claim: {error}") from error


class RoundCoordinator:
    """A coordinator on a chain. Functions that change state return the transaction's outcome, views a record.

    Raises: as `BlockchainConnector.submit_transaction` and `read_state`.
    """

    NAME = "RoundCoordinator"

    def __init__(self, chain: BlockchainConnector, address: str) -> None:
        self.chain = chain
        self.contract = load_artifact(self.NAME).at(address)
        self.address = self.contract.address

    def _send(self, account: Signer, function: str, *arguments: object, value: int = 0) -> TransactionOutcome:
        return self.chain.submit_transaction(account, self.contract, function, *arguments, value=value)

    def _read(self, block: BlockStamp | None, function: str, *arguments: object) -> object:
        return self.chain.read_state(self.contract, function, *arguments, block=block)

    def events(self, from_block: int, to_block: int) -> list[ChainEvent]:
        """Return the coordinator's events in the closed range of blocks, in chain order."""
        return self.chain.logs([self.contract], from_block, to_block)

    # ------------------------------------------------------------------ tasks

    def create_task(
        self, account: Signer, rules: TaskRules, spec: ContentId, genesis: ContentId, *, budget: int = 0
    ) -> TransactionOutcome:
        """Create a task with a first budget in wei. Its id is in the event (`created_task`)."""
        return self._send(account, "createTask", rules, spec, genesis, value=budget)

    @staticmethod
    def created_task(outcome: TransactionOutcome) -> int:
        """Return the id of the task that a `create_task` made. Raises as `TransactionOutcome.confirmed`."""
        return cast(int, outcome.confirmed().event("TaskCreated").arguments["taskId"])

    def fund_task(self, account: Signer, task: int, amount: int) -> TransactionOutcome:
        """Add wei to a task's budget."""
        return self._send(account, "fundTask", task, value=amount)

    def invite(self, account: Signer, task: int, workers: Sequence[str]) -> TransactionOutcome:
        """Invite workers to an invite-only task."""
        return self._send(account, "invite", task, list(workers))

    def end_task(self, account: Signer, task: int) -> TransactionOutcome:
        """End a task."""
        return self._send(account, "endTask", task)

    def withdraw_remainder(self, account: Signer, task: int) -> TransactionOutcome:
        """Pay a task's owner what no finalized round has earned."""
        return self._send(account, "withdrawRemainder", task)

    # -------------------------------------------------------------- enrolment

    def enrol(self, account: Signer, task: int) -> TransactionOutcome:
        """Enrol the account."""
        return self._send(account, "enrol", task)

    def leave(self, account: Signer, task: int) -> TransactionOutcome:
        """End the account's enrolment."""
        return self._send(account, "leave", task)

    def remove_idle(self, account: Signer, task: int, worker: str) -> TransactionOutcome:
        """End the enrolment of a worker that was idle too long or is no active participant."""
        return self._send(account, "removeIdle", task, worker)

    # ----------------------------------------------------------------- rounds

    def open_round(self, account: Signer, task: int) -> TransactionOutcome:
        """Open the next round."""
        return self._send(account, "openRound", task)

    def submit_update(
        self, account: Signer, task: int, round_number: int, update: ContentId, sample_count: int
    ) -> TransactionOutcome:
        """Commit to an update."""
        return self._send(account, "submitUpdate", task, round_number, update.digest, update.size, sample_count)

    def close_training(self, account: Signer, task: int) -> TransactionOutcome:
        """Close TRAINING."""
        return self._send(account, "closeTraining", task)

    def fix_seed(self, account: Signer, task: int) -> TransactionOutcome:
        """Store the round's seed, or fix a later seed block."""
        return self._send(account, "fixSeed", task)

    def claim_seat(
        self, account: Signer, task: int, round_number: int, number: int, proof: bytes
    ) -> TransactionOutcome:
        """Claim a seat for the participant with a number, by its on-chain proof."""
        return self._send(account, "claimSeat", task, round_number, _claim(number, proof))

    def claim_seats(
        self,
        account: Signer,
        task: int,
        round_number: int,
        claims: Sequence[tuple[int, bytes]],
        *,
        from_snapshot: bool = False,
    ) -> TransactionOutcome:
        """Claim many seats at once: (participant's number, on-chain proof) each. A claim that fails is skipped.

        from_snapshot: take keys from snapshots (`snapshot_keys`): cheaper for large batches; who is in none is skipped.
        """
        # By number they read the fewest slots.
        packed = b"".join(_claim(number, proof) for number, proof in sorted(claims))
        return self._send(account, "claimSeats", task, round_number, from_snapshot, packed)

    def close_sortition(self, account: Signer, task: int, claims: bytes) -> TransactionOutcome:
        """Close SORTITION with the list of its claims (`round_claims`)."""
        return self._send(account, "closeSortition", task, claims)

    def round_claims(self, task: int, current: RoundView, block: int) -> bytes:
        """Return the list that SORTITION is closed with (`list_claims`): the claims of the current round's events.

        Args:
            current: the round at `block`, with its seed fixed.
            block: read the events up to this one.

        Raises:
            ChainUnavailable: they are not as many as the round counts (the chain was reorganised meanwhile, or the
                endpoint does not give all events); or the endpoint does not answer.
        """
        if not current.claims:
            return b""
        named = {"taskId": task, "round": current.round}
        packed = [
            cast(bytes, event.arguments["claims"])
            for event in self.events(current.seed_block, block)
            if event.name == "SeatsClaimed" and named.items() <= event.arguments.items()
        ]
        whole = all(len(claims) % CLAIM_BYTES == 0 for claims in packed)
        if not whole or sum(map(len, packed)) != CLAIM_BYTES * current.claims:
            raise ChainUnavailable(
                f"round {current.round} counts {current.claims} claims, and its events up to block {block} do not give "
                "as many: read again"
            )
        return list_claims(packed)

    def snapshot_keys(self, account: Signer, segment: int) -> TransactionOutcome:
        """Put the active keys of participants `segment * 96` to `segment * 96 + 95` into code (see `claim_seats`)."""
        return self._send(account, "snapshotKeys", segment)

    def propose(
        self,
        account: Signer,
        task: int,
        round_number: int,
        attempt: int,
        *,
        model: ContentId,
        report: ContentId,
        accepted_bitmap: bytes,
        accepted_weight: int,
        commitment: bytes,
    ) -> TransactionOutcome:
        """Propose the round's model."""
        return self._send(
            account,
            "propose",
            task,
            round_number,
            attempt,
            model,
            report,
            accepted_bitmap,
            accepted_weight,
            commitment,
        )

    def vote(
        self,
        account: Signer,
        task: int,
        round_number: int,
        attempt: int,
        seat: int,
        *,
        commitment: bytes = bytes(32),
        reason: RejectReason = RejectReason.None_,
    ) -> TransactionOutcome:
        """Vote for one's seat: approve (a commitment and no reason) or reject (a reason and no commitment)."""
        return self._send(account, "vote", task, round_number, attempt, seat, commitment, int(reason))

    def close_validation(self, account: Signer, task: int) -> TransactionOutcome:
        """Close VALIDATION."""
        return self._send(account, "closeValidation", task)

    def reveal(self, account: Signer, task: int, round_number: int, attempt: int, inner: bytes) -> TransactionOutcome:
        """Open the proposer's commitment."""
        return self._send(account, "reveal", task, round_number, attempt, inner)

    def advance(self, account: Signer, task: int, claims: bytes = b"") -> TransactionOutcome:
        """Push an expired phase on. `claims` is looked at in SORTITION alone, as by `close_sortition`."""
        return self._send(account, "advance", task, claims)

    # ---------------------------------------------------------------- rewards

    def settle(self, account: Signer, task: int, worker: str) -> TransactionOutcome:
        """Settle a worker's newest update."""
        return self._send(account, "settle", task, worker)

    def withdraw_rewards(self, account: Signer, task: int) -> TransactionOutcome:
        """Pay the account all its credit of a task."""
        return self._send(account, "withdrawRewards", task)

    # ------------------------------------------------------------------ views

    def registry(self, block: BlockStamp | None = None) -> ParticipantRegistry:
        """Return the registry that this coordinator created."""
        return ParticipantRegistry(self.chain, cast(str, self._read(block, "registry")))

    def task_count(self, block: BlockStamp | None = None) -> int:
        """Return how many tasks there are; ids count from 1."""
        return cast(int, self._read(block, "taskCount"))

    def task(self, task: int, block: BlockStamp | None = None) -> TaskView:
        """Return a task."""
        return read_struct(TaskView, self._read(block, "task", task))

    def current_round(self, task: int, block: BlockStamp | None = None) -> RoundView:
        """Return a task's current round."""
        return read_struct(RoundView, self._read(block, "currentRound", task))

    def enrolment(self, task: int, worker: str, block: BlockStamp | None = None) -> EnrolmentView:
        """Return a worker's enrolment."""
        return read_struct(EnrolmentView, self._read(block, "enrolment", task, worker))

    def outcome(self, task: int, round_number: int, block: BlockStamp | None = None) -> OutcomeView:
        """Return how a recent round ended."""
        return read_struct(OutcomeView, self._read(block, "outcome", task, round_number))

    def check_task(
        self,
        rules: TaskRules,
        spec: ContentId,
        genesis: ContentId,
        unbonding_delay: int,
        block: BlockStamp | None = None,
    ) -> None:
        """Raise `TransactionReverted` as `create_task` would, if it would, under an unbonding delay in seconds."""
        self._read(block, "checkTask", rules, spec, genesis, unbonding_delay)

    def view_code(self, block: BlockStamp | None = None) -> Address:
        """Return the contract whose code answers the coordinator's view functions."""
        return cast(Address, self._read(block, "viewCode"))

    def task_code(self, block: BlockStamp | None = None) -> Address:
        """Return the contract whose code does what is done to tasks as a whole."""
        return cast(Address, self._read(block, "taskCode"))

    def key_segment(self, segment: int, block: BlockStamp | None = None) -> tuple[Address, int]:
        """Return the snapshot of a segment's keys (the zero address: there is none), and a bit for each active one."""
        return cast(tuple[Address, int], self._read(block, "keySegment", segment))

    def longest_round(self, rules: TaskRules, block: BlockStamp | None = None) -> int:
        """Return the seconds that the longest possible round takes under these rules."""
        return cast(int, self._read(block, "longestRound", rules))

    def vrf_alpha(self, task: int, round_number: int, seed: bytes, block: BlockStamp | None = None) -> bytes:
        """Return the message whose VRF output decides a seat."""
        return cast(bytes, self._read(block, "vrfAlpha", task, round_number, seed))

    def proposal_digest(
        self,
        task: int,
        round_number: int,
        attempt: int,
        *,
        model: ContentId,
        report: ContentId,
        bitmap_digest: bytes,
        accepted_weight: int,
        block: BlockStamp | None = None,
    ) -> bytes:
        """Return the digest of what a proposal says."""
        arguments = (task, round_number, attempt, model, report, bitmap_digest, accepted_weight)
        return cast(bytes, self._read(block, "proposalDigest", *arguments))

    def vote_commitment(
        self,
        task: int,
        round_number: int,
        attempt: int,
        *,
        proposal: bytes,
        member: str,
        inner: bytes,
        block: BlockStamp | None = None,
    ) -> bytes:
        """Return a member's commitment to a proposal. Asking an endpoint shows it `inner`: compute it locally instead
        (`flare_offchain.consensus.identities.vote_commitment`) while it is secret.
        """
        return cast(bytes, self._read(block, "voteCommitment", task, round_number, attempt, proposal, member, inner))
