"""Whole rounds through the production coordinator and registry, with the gas of every transaction.

Everything that the contracts check is real: bonds, proofs of possession, VRF proofs over the seed that the chain fixed,
commitments, the inner that opens them. Digests of objects are random, for no contract reads the objects.
"""

from __future__ import annotations

import copy
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from _chain import LARGE_GAS, Call, Chain, Receipt, address_of
from _compilers import production
from _harness import BenchmarkFailed

from flare_offchain.blockchain.artifacts import BoundContract
from flare_offchain.consensus import identities
from flare_offchain.consensus.chain_proof import prove_many
from flare_offchain.consensus.keys import VrfKey
from flare_offchain.consensus.vrf import SECP256K1_TAI, proof_to_output
from flare_offchain.core.phases import Phase
from flare_offchain.core.types import ContentId

BOND = 10**18
REWARD = 10**18
BUDGET = 10**22
THRESHOLD = 6_000
SAMPLE_CAP = 1_000
CLAIM_SIZE = 15
"""Bytes of a claim in `SeatsClaimed`: prefix of the output, participant's number."""
_HOUR, _DAY = 3_600, 86_400
COMMITTEE_CALLS = ("claimSeat", "claimSeats", "closeSortition", "propose", "vote", "closeValidation", "reveal")


@dataclass(frozen=True, slots=True)
class Worker:
    """An account with its VRF key and its number in the registry."""

    address: str
    key: VrfKey
    number: int


@dataclass(frozen=True, slots=True)
class Spent:
    """One transaction of a round: what it called, who sent it, what it cost, and how often its sender had done so."""

    call: str
    sender: str
    gas: int
    hash: str
    data: bytes
    before: int
    new_slot: bool = False


@dataclass
class Deployment:
    """The production contracts on a chain of one fork."""

    chain: Chain
    seed: int
    coordinator: BoundContract = field(init=False)
    registry: BoundContract = field(init=False)
    compiled_here: bool = field(init=False)
    owner: str = field(default=address_of("owner"), init=False)

    def __post_init__(self) -> None:
        self.chain.endow([self.owner], 10**30)
        artifact, self.compiled_here = production("RoundCoordinator")
        registry, _ = production("ParticipantRegistry")
        arguments = artifact.abi.constructor.encode([BOND, 10**7])
        address = self.chain.deploy(self.owner, artifact.creation.linked({}) + arguments)
        self.coordinator = artifact.at(address)
        self.registry = registry.at(self.read("registry"))

    def on(self, chain: Chain) -> Deployment:
        """Return the same deployment on a chain that goes on from this one's state."""
        there = copy.copy(self)
        there.chain = chain
        return there

    def read(self, name: str, *arguments: object) -> Any:
        """Return what a view function of the coordinator returns."""
        function = self.coordinator.abi.function(name)
        return function.decode_output(self.chain.call(self.coordinator.address, function.encode(arguments)))

    def participants(self) -> int:
        """Return how many accounts have registered."""
        function = self.registry.abi.function("participants")
        return int(function.decode_output(self.chain.call(self.registry.address, function.encode([]))))

    def call(self, sender: str, name: str, *arguments: object, value: int = 0, gas: int | None = None) -> Call:
        """Return a transaction that calls the coordinator."""
        data = self.coordinator.abi.function(name).encode(arguments)
        return Call(sender, self.coordinator.address, data, value, gas or Call.__dataclass_fields__["gas"].default)

    def send(self, calls: Sequence[Call]) -> list[Receipt]:
        """Send transactions in one block."""
        return self.chain.send(calls, self.coordinator.abi)

    def register(self, count: int, label: str) -> tuple[list[Worker], list[int]]:
        """Return workers that have registered a bond and a key, and the gas of each registration."""
        master = self.seed.to_bytes(8, "big")
        names = [f"{label}/{number}" for number in range(count)]
        given = self.participants()
        workers = [
            Worker(address_of(f"{self.seed}/{name}"), VrfKey.derive(master, name.encode()), given + number)
            for number, name in enumerate(names, 1)
        ]
        self.chain.endow(worker.address for worker in workers)
        alphas = [
            identities.possession_alpha(self.chain.chain_id, self.registry.address, worker.address)
            for worker in workers
        ]
        proofs = prove_many((worker.key, alpha) for worker, alpha in zip(workers, alphas, strict=True))
        function = self.registry.abi.function("register")
        calls = [
            Call(worker.address, self.registry.address, function.encode([worker.key.public_x, proof]), BOND)
            for worker, proof in zip(workers, proofs, strict=True)
        ]
        return workers, [receipt.gas for receipt in self.chain.send(calls, self.registry.abi)]


class Task:
    """One task with its workers, played round after round."""

    def __init__(self, deployment: Deployment, workers: Sequence[Worker], expected: int, max_seats: int) -> None:
        self.deployment, self.chain, self.workers = deployment, deployment.chain, list(workers)
        self.expected, self.max_seats = expected, max_seats
        self.random = random.Random(f"{deployment.seed}/{len(workers)}")  # noqa: S311 (a benchmark repeats)
        self.spent: dict[int, list[Spent]] = defaultdict(list)
        self.finalized: list[int] = []
        self._by_number = {worker.number: worker for worker in workers}
        self.claims = b""
        self.taken: list[bytes] = []
        self._count: dict[tuple[str, str], int] = defaultdict(int)
        self._used_seats: set[int] = set()
        self._updates: dict[int, list[int]] = {}
        self.round = 0
        self.task_id = int(deployment.read("taskCount")) + 1
        spec = ContentId(self.random.randbytes(32), 1_000)
        create = deployment.call(deployment.owner, "createTask", self._rules(), spec, spec, value=BUDGET)
        deployment.send([create])
        calls = [deployment.call(worker.address, "enrol", self.task_id) for worker in self.workers]
        self.enrol_gas = [receipt.gas for receipt in deployment.send(calls)]

    def _rules(self) -> dict[str, object]:
        durations = ("training", "seed", "sortition", "proposal", "validation", "reveal")
        return {
            **{f"{name}Duration": _DAY if name == "sortition" else _HOUR for name in durations},
            "expectedCommittee": self.expected,
            "maxSeats": self.max_seats,
            "thresholdBasisPoints": THRESHOLD,
            "maxAttempts": 3,
            "minUpdates": 1,
            "maxUpdates": 4_096,
            "sampleCap": SAMPLE_CAP,
            "idleRounds": 100,
            "strikeLimit": 0,
            "maxConsecutiveVoids": 1_000,
            "maxRounds": 100_000,
            "inviteOnly": False,
            "roundReward": REWARD,
            "fineAmount": 10**15,
            "trainerShare": 7_000,
            "proposerShare": 1_000,
            "voterShare": 1_500,
            "revealerShare": 500,
        }

    def do(
        self, name: str, senders_and_arguments: Sequence[tuple[str, Sequence[object]]], new: set[str] | None = None
    ) -> list[Receipt]:
        """Send one transaction for each sender, in one block, and keep what each cost.

        new: senders whose transaction writes a slot that was never written before.
        """
        gas = LARGE_GAS if name in ("claimSeats", "reveal", "closeSortition", "advance") else None
        calls = [self.deployment.call(sender, name, *arguments, gas=gas) for sender, arguments in senders_and_arguments]
        receipts = self.deployment.send(calls)
        for call, receipt in zip(calls, receipts, strict=True):
            before = self._count[call.sender, name]
            self._count[call.sender, name] += 1
            spent = Spent(name, call.sender, receipt.gas, receipt.hash, call.data, before, call.sender in (new or ()))
            self.spent[self.round].append(spent)
        return receipts

    def event(self, receipts: Sequence[Receipt], name: str) -> list[dict[str, Any]]:
        """Return the arguments of every event of a name, in order."""
        event = self.deployment.coordinator.abi.events[name]
        topic = "0x" + event.topic.hex()
        return [
            dict(event.decode([bytes.fromhex(item[2:]) for item in log["topics"]], bytes.fromhex(log["data"][2:])))
            for receipt in receipts
            for log in receipt.logs
            if log["topics"][0] == topic
        ]

    # ------------------------------------------------------------- the phases

    def open_and_train(self, trainers: Sequence[Worker] | None = None) -> None:
        """Open a round and take an update of each trainer (all workers by default), in random order."""
        self.round += 1
        self.claims, self.taken = b"", []
        self.do("openRound", [(self.deployment.owner, [self.task_id])])
        order = self.random.sample(trainers or self.workers, len(trainers or self.workers))
        counts = [self.random.randint(50, 2 * SAMPLE_CAP) for _ in order]
        updates = [
            (worker.address, [self.task_id, self.round, self.random.randbytes(32), 40_000, count])
            for worker, count in zip(order, counts, strict=True)
        ]
        self.do("submitUpdate", updates)
        self._updates[self.round] = [min(count, SAMPLE_CAP) for count in counts]
        if len(order) < len(self.workers):
            self.chain.pass_time(_HOUR + 1)

    def fix_seed(self) -> tuple[bytes, int]:
        """Close TRAINING, fix the seed, and return alpha and the threshold."""
        self.do("closeTraining", [(self.deployment.owner, [self.task_id])])
        self.chain.mine(3)
        fixed = self.event(self.do("fixSeed", [(self.deployment.owner, [self.task_id])]), "SeedFixed")[0]
        chain_id, address = self.chain.chain_id, self.deployment.coordinator.address
        return identities.vrf_alpha(chain_id, address, self.task_id, self.round, fixed["seed"]), fixed["threshold"]

    def winning(self, alpha: bytes, threshold: int) -> list[tuple[Worker, bytes, int]]:
        """Return worker, proof and output of everyone who wins a seat."""
        proofs = prove_many((worker.key, alpha) for worker in self.workers)
        outputs = [_output(proof) for proof in proofs]
        found = zip(self.workers, proofs, outputs, strict=True)
        return [(worker, proof, output) for worker, proof, output in found if output <= threshold]

    def claim(self, name: str, calls: Sequence[tuple[str, Sequence[object]]]) -> list[Receipt]:
        """Send claims, `claimSeat` or `claimSeats`, and keep the list that closes SORTITION."""
        receipts = self.do(name, calls)
        for event in self.event(receipts, "SeatsClaimed"):
            taken = event["claims"]
            self.claims += (len(taken) // CLAIM_SIZE).to_bytes(2, "big") + taken
            self.taken += [taken[start : start + CLAIM_SIZE] for start in range(0, len(taken), CLAIM_SIZE)]
        return receipts

    def widen(self) -> int:
        """Let SORTITION pass with too few claims, and return the wider threshold."""
        self.chain.pass_time(_DAY + 1)
        receipts = self.do("closeSortition", [(self.deployment.owner, [self.task_id, b""])])
        return int(self.event(receipts, "SortitionWidened")[0]["threshold"])

    def claim_all(self, alpha: bytes, threshold: int) -> list[str] | None:
        """Claim with every output that wins, close SORTITION, and return the committee in order of seats.

        None where the round is void.
        """
        claimed: set[str] = set()
        while True:
            winners = [item for item in self.winning(alpha, threshold) if item[0].address not in claimed]
            self.random.shuffle(winners)
            calls = [(item[0].address, [self.task_id, self.round, batch([item])]) for item in winners]
            self.claim("claimSeat", calls)
            claimed |= {worker.address for worker, _, _ in winners}
            if len(claimed) < len(self.workers):
                self.chain.pass_time(_DAY + 1)
            receipts = self.do("closeSortition", [(self.deployment.owner, [self.task_id, self.claims])])
            if self.event(receipts, "RoundVoided"):
                return None
            widened = self.event(receipts, "SortitionWidened")
            if not widened:
                break
            threshold = widened[0]["threshold"]
        lowest = sorted(self.taken)[: self.max_seats]
        return [self._by_number[int.from_bytes(claim[12:], "big")].address for claim in lowest]

    def finish(self, committee: Sequence[str], left_out: float) -> None:
        """Propose, let every other member approve, and reveal: the round is finalized.

        left_out: share of the updates that are not accepted.
        """
        weights = self._updates[self.round]
        out = set(self.random.sample(range(len(weights)), round(left_out * len(weights))))
        bitmap = bytearray((len(weights) + 7) // 8)
        for index in set(range(len(weights))) - out:
            bitmap[index // 8] |= 1 << (index % 8)
        weight = sum(value for index, value in enumerate(weights) if index not in out)
        model, report = (ContentId(self.random.randbytes(32), 300_000) for _ in range(2))
        place = (self.chain.chain_id, self.deployment.coordinator.address, self.task_id, self.round, 0)
        digest = identities.proposal_digest(*place, model, report, identities.bitmap_digest(bytes(bitmap)), weight)
        inner = identities.inner_hash(0, self.random.randbytes(32))
        proposer, *voters = committee
        made = identities.vote_commitment(*place, digest, proposer, inner)
        here = [self.task_id, self.round, 0]
        self.do("propose", [(proposer, [*here, model, report, bytes(bitmap), weight, made])])
        votes = [
            (member, [*here, seat, identities.vote_commitment(*place, digest, member, inner), 0])
            for seat, member in enumerate(voters, 1)
        ]
        self.do("vote", votes, {member for seat, member in enumerate(voters, 1) if seat not in self._used_seats})
        self._used_seats |= set(range(1, len(committee)))
        self.do("closeValidation", [(self.deployment.owner, [self.task_id])])
        receipts = self.do("reveal", [(proposer, [*here, inner])])
        if not self.event(receipts, "RoundFinalized"):
            raise BenchmarkFailed(f"round {self.round} was not finalized")
        self.finalized.append(self.round)

    def abandon(self) -> None:
        """Let every deadline pass until the round is void."""
        ends = (Phase.Finalized, Phase.Void)
        while self.deployment.read("currentRound", self.task_id)["phase"] not in ends:
            self.chain.pass_time(_DAY + 1)
            self.do("advance", [(self.deployment.owner, [self.task_id, self.claims])])

    def play(self, rounds: int, left_out: Sequence[float]) -> None:
        """Play rounds until so many are finalized; `left_out` is gone through in turn."""
        while len(self.finalized) < rounds:
            if self.round > 4 * rounds + 20:
                raise BenchmarkFailed("committees stay too small: the rounds are void again and again")
            self.open_and_train()
            committee = self.claim_all(*self.fix_seed())
            if committee is not None:
                self.finish(committee, left_out[len(self.finalized) % len(left_out)])

    def of(self, *calls: str, since: int = 0, until: int | None = None) -> list[Spent]:
        """Return the transactions of finalized rounds that call one of these functions (all, where none is named)."""
        return [
            spent
            for number in self.finalized
            if number >= since and (until is None or number <= until)
            for spent in self.spent[number]
            if not calls or spent.call in calls
        ]


def batch(claims: Sequence[tuple[Worker, bytes, int]]) -> bytes:
    """Return claims as `claimSeats` takes them, in order of the participants' numbers: number, proof."""
    ordered = sorted(claims, key=lambda item: item[0].number)
    return b"".join(worker.number.to_bytes(3, "big") + proof for worker, proof, _ in ordered)


def _output(proof: bytes) -> int:
    prefix = bytes([2 + (proof[0] >> 7)])
    return int.from_bytes(proof_to_output(SECP256K1_TAI, prefix + proof[1:81]), "big")
