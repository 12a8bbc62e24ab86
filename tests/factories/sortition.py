"""A task on an embedded chain whose rounds are played up to the end of sortition, call by call."""

from flare_offchain.blockchain.contracts import TaskRules
from flare_offchain.blockchain.deployments import deploy_flare
from flare_offchain.blockchain.embedded import EthTesterConnector
from flare_offchain.consensus.chain_proof import prove_for_chain, verify_for_chain
from flare_offchain.consensus.identities import possession_alpha
from flare_offchain.consensus.keys import VrfKey
from flare_offchain.core.phases import Phase
from flare_offchain.core.types import ContentId

HOUR = 3600
OBJECT = ContentId(b"\x01" * 32, 100)


def rules(expected: int, max_seats: int, basis_points: int) -> TaskRules:
    """Return rules of long phases, without money."""
    return TaskRules(
        training_duration=HOUR,
        seed_duration=HOUR,
        sortition_duration=HOUR,
        proposal_duration=HOUR,
        validation_duration=HOUR,
        reveal_duration=HOUR,
        expected_committee=expected,
        max_seats=max_seats,
        threshold_basis_points=basis_points,
        max_attempts=3,
        min_updates=1,
        max_updates=64,
        sample_cap=100,
        idle_rounds=50,
        strike_limit=0,
        max_consecutive_voids=50,
        max_rounds=50,
        invite_only=False,
        round_reward=0,
        fine_amount=0,
        trainer_share=5000,
        proposer_share=3000,
        voter_share=1000,
        revealer_share=1000,
    )


class SortitionTask:
    """A task with workers, numbered 1, 2, …, and one round after another."""

    def __init__(self, workers: int, *, expected: int, max_seats: int, basis_points: int) -> None:
        self.chain = EthTesterConnector(seed=3, accounts=workers + 1)
        flare = deploy_flare(self.chain, self.chain.account(0), minimum_bond=1, unbonding_delay=10**7)
        self.coordinator, self.registry = flare.coordinator, flare.registry
        self.workers, self.keys = [], []
        created = self.coordinator.create_task(
            self.chain.account(0), rules(expected, max_seats, basis_points), OBJECT, OBJECT
        )
        self.task = self.coordinator.created_task(created)
        for _ in range(workers):
            self.join()

    def join(self) -> int:
        """Register and enrol another worker; return its number."""
        index = len(self.workers)
        account, key = self.chain.account(index), VrfKey.derive(b"sortition", bytes([index]))
        alpha = possession_alpha(self.chain.chain_id, self.registry.address, account.address)
        self.registry.register(account, key.public_x, prove_for_chain(key, alpha), bond=1).confirmed()
        self.coordinator.enrol(account, self.task).confirmed()
        self.workers.append(account)
        self.keys.append(key)
        assert self.coordinator.enrolment(self.task, account.address).number == len(self.workers)
        return len(self.workers)

    def view(self):
        """The newest round."""
        return self.coordinator.current_round(self.task)

    def open(self):
        """Open a round, close its training, fix its seed; return its number, the seed's event, and proofs by number."""
        anyone = self.workers[0]
        self.coordinator.open_round(anyone, self.task).confirmed()
        number = self.view().round
        for index, account in enumerate(self.workers):
            update = ContentId(bytes([number]) * 31 + bytes([index + 1]), 10)
            self.coordinator.submit_update(account, self.task, number, update, 10).confirmed()
        self.coordinator.close_training(anyone, self.task).confirmed()
        self.chain.advance_blocks(3)
        seeded = self.coordinator.fix_seed(anyone, self.task).confirmed().event("SeedFixed").arguments
        alpha = self.view().alpha
        return number, seeded, {number: prove_for_chain(key, alpha) for number, key in enumerate(self.keys, 1)}

    def output(self, number: int, proof: bytes) -> int:
        """Return the output of a worker's proof."""
        return verify_for_chain(self.keys[number - 1].public_x, self.view().alpha, proof)

    def list(self) -> bytes:
        """Return the list that SORTITION is to be closed with."""
        return self.coordinator.round_claims(self.task, self.view(), self.chain.block_number)

    def close_sortition(self):
        """Close SORTITION at its deadline."""
        claims = self.list()
        self.chain.advance_time(HOUR + 1)
        self.coordinator.close_sortition(self.workers[0], self.task, claims).confirmed()
        return self.view()

    def end(self) -> None:
        """Let the round run out."""
        for _ in range(20):
            if self.view().phase.terminal:
                return
            claims = self.list() if self.view().phase is Phase.Sortition and any(self.view().seed) else b""
            self.chain.advance_time(HOUR + 1)
            self.coordinator.advance(self.workers[0], self.task, claims).confirmed()
        raise AssertionError("the round does not end")
