"""Gas of verifying a VRF proof: ours beside Chainlink's VRF.sol and Witnet's fastVerify, in one run.

    .venv/bin/python scripts/bench/vrf_gas.py --quick

Two figures. *Verify only*: execution gas of the verifier, call data and the call that brings it apart, over fresh
random keys and messages that are the same for all three. *All-in*: gas of a transaction that carries 128 claims
through the production coordinator, divided by 128: call data, the member's key from storage, verification, the seat,
its place in the round's record, and the event. Both under the rules of Prague and of Osaka.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from _chain import LARGE_GAS, Call, Chain, Snapshot, address_of
from _compilers import chainlink, ours, witnet
from _harness import Benchmark, BenchmarkFailed, Row, Sample, run
from _peer_proofs import chainlink_proof, witnet_proof
from _rounds import Deployment, Task, batch, key_snapshot_function

from flare_offchain.blockchain.artifacts import ContractArtifact
from flare_offchain.consensus.chain_proof import prove_for_chain
from flare_offchain.consensus.keys import VrfKey

CHAINLINK, WITNET = "Chainlink VRF.sol", "Witnet fastVerify"
QUICK_PROOFS, FULL_PROOFS = 256, 2_048
QUICK_BATCHES, FULL_BATCHES = 2, 8
SEATS = 64
"""The largest committee that the contracts admit."""
VERIFY_LIMIT, STORAGE_LIMIT = 12_000, 20_000


@dataclass(frozen=True, slots=True)
class Measured:
    """One verifier's proofs: the call data of its meter, and how many candidates each proof skips.

    foreign: call data with a proof of another message, which its meter must refuse.
    """

    name: str
    artifact: ContractArtifact
    calls: list[bytes]
    skipped: list[int]
    foreign: bytes

    def gas(self, chain: Chain) -> list[int]:
        """Return the execution gas of each; a meter reverts where its verifier refuses the proof.

        Raises:
            BenchmarkFailed: if it refuses one of the proofs, or takes the one of another message.
        """
        address = chain.deploy(address_of("owner"), self.artifact.creation.linked({}))
        if not chain.reverts(address, self.foreign):
            raise BenchmarkFailed(f"{self.name} takes a proof of another message: its meter measures nothing")
        answers = chain.call_all((address, data) for data in self.calls)
        return [int.from_bytes(answer, "big") for answer in answers]

    def means(self, gas: Sequence[int]) -> tuple[Sample, Sample]:
        """Return the mean over all proofs, and over those that skip nothing."""
        return Sample.of(gas), Sample.of(value for value, skips in zip(gas, self.skipped, strict=True) if skips == 0)


def prepare(bench: Benchmark) -> list[Measured]:
    """Return all three verifiers with proofs of the same keys over the same messages."""
    count = QUICK_PROOFS if bench.quick else FULL_PROOFS
    source = random.Random(bench.seed)  # noqa: S311 (throw-away keys of a run that repeats)
    pairs = [(source.randbytes(32), source.randbytes(32)) for _ in range(count)]
    keys = [VrfKey(secret) for secret, _ in pairs]
    proofs = [prove_for_chain(key, message) for key, (_, message) in zip(keys, pairs, strict=True)]
    meter = ours("EcVrfMeter")
    function = meter.abi.function("measure")
    calls = [
        function.encode([key.public_x, message, proof])
        for key, (_, message), proof in zip(keys, pairs, proofs, strict=True)
    ]
    foreign = function.encode([keys[0].public_x, pairs[1][1], proofs[0]])
    measured = [Measured("ours", meter, calls, [proof[0] & 0x7F for proof in proofs], foreign)]
    for name, (artifact, told), prove, message_at in (
        (CHAINLINK, chainlink(), chainlink_proof, 4),
        (WITNET, witnet(), witnet_proof, 2),
    ):
        bench.note(told)
        found = [prove(secret, message) for secret, message in pairs]
        mixed = list(found[0][0])
        mixed[message_at] = found[1][0][message_at]
        encode = artifact.abi.function("measure").encode
        # Chainlink's arguments are one struct.
        encoded = [
            encode([fields] if name == CHAINLINK else fields) for fields in (*(item[0] for item in found), mixed)
        ]
        measured.append(Measured(name, artifact, encoded[:-1], [skips for _, skips in found], encoded[-1]))
    return measured


def verify_only(bench: Benchmark, chain: Chain, verifiers: Sequence[Measured]) -> dict[str, tuple[Sample, Sample]]:
    """Report the verifiers' execution gas under one fork."""
    means = {verifier.name: verifier.means(verifier.gas(chain)) for verifier in verifiers}
    mine, mine_plain = means["ours"]
    fork = chain.fork.capitalize()
    bench.add(Row(f"verify only, {fork}", mine.mean, "gas", mine.n, [bench.seed], VERIFY_LIMIT, "limit"))
    bench.add(Row(f"verify only, {fork}, standard error of ours", mine.error, "gas", mine.n, [bench.seed]))
    for name in (CHAINLINK, WITNET):
        theirs, plain = means[name]
        bench.add(Row(f"verify only, {fork}", mine.mean, "gas", mine.n, [bench.seed], theirs.mean, name))
        bench.add(
            Row(
                f"verify only, {fork}, standard error of the peer's",
                None,
                "gas",
                theirs.n,
                [bench.seed],
                theirs.error,
                name,
            )
        )
        bench.add(
            Row(f"verify only, {fork}, no retry", mine_plain.mean, "gas", mine_plain.n, [bench.seed], plain.mean, name)
        )
    return means


@dataclass(frozen=True, slots=True)
class Carried:
    """A transaction that carries 128 claims, the state in which it was sent, and the gas it used, a member."""

    before: Snapshot
    call: Call
    gas: float


def all_in(bench: Benchmark, chain: Chain, deployment: Deployment) -> list[Carried]:
    """Send claims of 128 members through the production coordinator, each batch in one transaction."""
    workers, _ = deployment.register(2 * SEATS, "all-in")
    tasks = [Task(deployment, workers[:SEATS], SEATS, SEATS), Task(deployment, workers[SEATS:], SEATS, SEATS)]
    carrier = chain.deploy(deployment.owner, ours("ClaimCarrier").creation.linked({}))
    found = []
    for _ in range(QUICK_BATCHES if bench.quick else FULL_BATCHES):
        data = bytes.fromhex(deployment.coordinator.address[2:])
        for task in tasks:
            task.open_and_train(task.workers[:1])
            claims = task.winning(*task.fix_seed())
            payload = deployment.call("", "claimSeats", task.task_id, task.round, batch(claims)).data
            data += len(payload).to_bytes(4, "big") + payload
        call = Call(deployment.owner, carrier, data, gas=LARGE_GAS)
        found.append(Carried(chain.snapshot(), call, send_batch(deployment, call)))
        for task in tasks:
            task.abandon()
    for size in (64, 32, 8, 1):
        gas = one_batch(bench, deployment, tasks[0], size)
        bench.add(Row(f"all-in per member of {size}, Prague, keys in storage", gas, "gas", size, [bench.seed]))
    return found


def send_batch(deployment: Deployment, call: Call) -> float:
    """Return the gas, a member, of a transaction that must seat 128 members."""
    receipt = deployment.send([call])[0]
    topic = "0x" + deployment.coordinator.abi.events["SeatClaimed"].topic.hex()
    seated = sum(log["topics"][0] == topic for log in receipt.logs)
    if seated != 2 * SEATS:
        raise BenchmarkFailed(f"{seated} seats were taken, not {2 * SEATS}")
    return receipt.gas / seated


def again_on(chain: Chain, deployment: Deployment, carried: Sequence[Carried]) -> list[float]:
    """Send the same transactions in the same states under another fork's rules; return the gas, a member."""
    found = []
    deployment = deployment.on(chain)
    for item in carried:
        chain.resume(item.before)
        found.append(send_batch(deployment, item.call))
    return found


def one_batch(bench: Benchmark, deployment: Deployment, task: Task, size: int) -> float:
    """Return the gas, a member, of one transaction with `size` claims straight to the coordinator."""
    task.open_and_train(task.workers[:1])
    claims = task.winning(*task.fix_seed())[:size]
    receipt = task.do("claimSeats", [(deployment.owner, [task.task_id, task.round, batch(claims)])])[0]
    if bench.arguments.breakdown:
        data = task.spent[task.round][-1].data
        for part, gas in deployment.chain.breakdown(receipt.hash, data, receipt.gas).items():
            bench.add(Row(f"all-in per member of {size}: {part}", gas / size, "gas", size, [bench.seed]))
    task.abandon()
    return receipt.gas / size


def report_all_in(bench: Benchmark, members: dict[str, Sample]) -> None:
    """Report a member's share of a batch of 128 under each fork."""
    for fork, sample in members.items():
        case = f"all-in per member of 128, {fork.capitalize()}, keys in storage"
        bench.add(Row(case, sample.mean, "gas", sample.n * 2 * SEATS, [bench.seed], STORAGE_LIMIT, "limit"))
        base = members["prague"].mean
        bench.add(Row(case, sample.mean, "gas", sample.n * 2 * SEATS, [bench.seed], base, "Prague, same transactions"))


def main() -> None:
    shown = {"action": "store_true", "help": "show where the gas of a batch of claims goes"}
    bench = Benchmark("vrf_gas", __doc__ or "", options=[("--breakdown", shown)])
    verifiers = prepare(bench)
    with Chain("prague", traces=bench.arguments.breakdown) as chain:
        prague = verify_only(bench, chain, verifiers)
        deployment = Deployment(chain, bench.seed)
        carried = all_in(bench, chain, deployment)
    with Chain("osaka") as chain:
        osaka = verify_only(bench, chain, verifiers)
        osaka_members = again_on(chain, deployment, carried)
    members = {"prague": Sample.of(item.gas for item in carried), "osaka": Sample.of(osaka_members)}
    report_all_in(bench, members)
    add_notes(bench, deployment)
    mine, plain = prague["ours"]
    bench.finish(
        {
            "proofs": mine.n,
            "verify_mean": mine.mean,
            "verify_error": mine.error,
            "verify_no_retry": plain.mean,
            "chainlink_mean": prague[CHAINLINK][0].mean,
            "chainlink_ratio": mine.mean / prague[CHAINLINK][0].mean,
            "witnet_mean": prague[WITNET][0].mean,
            "member_all_in_128_storage": members["prague"].mean,
            "member_all_in_128_snapshot": None,
            "osaka_ratio": osaka["ours"][0].mean / mine.mean,
            "osaka_ratio_all_in": members["osaka"].mean / members["prague"].mean,
        }
    )


def add_notes(bench: Benchmark, deployment: Deployment) -> None:
    """Say how the figures came about."""
    bench.note(
        "A committee has 64 seats at most, so the 128 members are two tasks' full committees, all different workers, "
        "carried in one transaction by a contract of the benchmark's own, whose copying of call data is counted."
    )
    snapshot = key_snapshot_function(deployment)
    bench.note(
        f"The coordinator has {snapshot}, which this benchmark does not measure: member_all_in_128_snapshot is null."
        if snapshot
        else "The contracts have no key snapshot: member_all_in_128_snapshot is null."
    )
    if deployment.compiled_here:
        bench.note("The package's artifacts are older than the sources: the sources were compiled and measured.")


if __name__ == "__main__":
    run(main)
