"""Gas of verifying a VRF proof: ours beside Chainlink's VRF.sol and Witnet's fastVerify, in one run.

    .venv/bin/python scripts/bench/vrf_gas.py --quick

Two figures. *Verify only*: execution gas of the verifier, call data and the call that brings it apart, over fresh
random keys and messages that are the same for all three. *All-in*: gas of a transaction that carries 128 claims
through the production coordinator, divided by 128: call data, the member's key (from storage, or from a snapshot in
code), verification, its bit in the roster, its place in the chain of claims, and its part of the event. Both under the
rules of Prague and of Osaka.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from _chain import LARGE_GAS, Call, Chain, Receipt, Snapshot, address_of
from _compilers import chainlink, ours, witnet
from _harness import Benchmark, BenchmarkFailed, Row, Sample, run
from _peer_proofs import chainlink_proof, witnet_proof
from _rounds import CLAIM_SIZE, Deployment, Task, Worker, batch

from flare_offchain.blockchain.artifacts import ContractArtifact
from flare_offchain.consensus.chain_proof import prove_for_chain
from flare_offchain.consensus.keys import VrfKey

CHAINLINK, WITNET = "Chainlink VRF.sol", "Witnet fastVerify"
QUICK_PROOFS, FULL_PROOFS = 256, 2_048
QUICK_BATCHES, FULL_BATCHES = 2, 48
MEMBERS, SEATS = 128, 64
"""Claims in a batch, and the largest committee that the contracts admit: E of the task. Widened, all 128 win."""
SEGMENT_SIZE = 96
"""Keys in a snapshot (`KeyLib`)."""
VERIFY_LIMIT, STORAGE_LIMIT, SNAPSHOT_LIMIT = 12_000, 20_000, 17_900
KINDS = {False: "keys in storage", True: "keys in snapshots"}


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
    from_snapshot: bool
    gas: float


def all_in(bench: Benchmark, chain: Chain, deployment: Deployment) -> list[Carried]:
    """Send claims of 128 members through the production coordinator, each batch in one transaction."""
    workers, _ = deployment.register(MEMBERS, "all-in")
    task = Task(deployment, workers, SEATS, SEATS)
    segments = range(workers[0].number // SEGMENT_SIZE, workers[-1].number // SEGMENT_SIZE + 1)
    taken = deployment.send([deployment.call(deployment.owner, "snapshotKeys", segment) for segment in segments])
    for receipt in taken:
        bench.add(Row(f"snapshot of {SEGMENT_SIZE} keys, once", receipt.gas, "gas", 1, [bench.seed]))
    found = []
    for _ in range(QUICK_BATCHES if bench.quick else FULL_BATCHES):
        for from_snapshot in (False, True):
            claims = winners(task)
            arguments = [task.task_id, task.round, from_snapshot, batch(claims)]
            call = deployment.call(deployment.owner, "claimSeats", *arguments, gas=LARGE_GAS)
            before = chain.snapshot()
            receipt = task.claim("claimSeats", [(deployment.owner, arguments)])[0]
            found.append(Carried(before, call, from_snapshot, share(receipt, MEMBERS)))
            if bench.arguments.breakdown and len(found) <= len(KINDS):
                show_breakdown(bench, chain, receipt, call, from_snapshot)
            close(bench, task, len(found) == 1)
    for size in (64, 32, 8, 1):
        claims = winners(task)[:size]
        receipt = task.claim("claimSeats", [(deployment.owner, [task.task_id, task.round, False, batch(claims)])])[0]
        gas = share(receipt, size)
        bench.add(Row(f"all-in per member of {size}, Prague, {KINDS[False]}", gas, "gas", size, [bench.seed]))
        task.abandon()
    return found


def winners(task: Task) -> list[tuple[Worker, bytes, int]]:
    """Return claims of a new round whose threshold has been widened, so that everyone wins."""
    task.open_and_train(task.workers[:1])
    alpha, _ = task.fix_seed()
    claims = task.winning(alpha, task.widen())
    if len(claims) != len(task.workers):
        raise BenchmarkFailed(f"{len(claims)} of {len(task.workers)} win a seat")
    return claims


def close(bench: Benchmark, task: Task, shown: bool) -> None:
    """Close SORTITION with the list of all claims, which the chain must be the hash of, and let the round end."""
    receipt = task.do("closeSortition", [(task.workers[0].address, [task.task_id, task.claims])])[0]
    if shown:
        case = f"closeSortition, {MEMBERS} claims, {SEATS} seats, first use of the slots"
        bench.add(Row(case, receipt.gas, "gas", 1, [bench.seed]))
    task.abandon()


def share(receipt: Receipt, size: int) -> float:
    """Return the gas, a member, of a transaction that must take `size` claims."""
    # The claims are the event's only argument in data: offset, length, bytes.
    taken = sum(int(log["data"][66:130], 16) for log in receipt.logs) // CLAIM_SIZE
    if taken != size:
        raise BenchmarkFailed(f"{taken} claims were taken, not {size}")
    return receipt.gas / size


def show_breakdown(bench: Benchmark, chain: Chain, receipt: Receipt, call: Call, from_snapshot: bool) -> None:
    """Report where the gas of a batch goes."""
    for part, gas in chain.breakdown(receipt.hash, call.data, receipt.gas).items():
        case = f"all-in per member of {MEMBERS}, {KINDS[from_snapshot]}: {part}"
        bench.add(Row(case, gas / MEMBERS, "gas", MEMBERS, [bench.seed]))


def again_on(chain: Chain, deployment: Deployment, carried: Sequence[Carried]) -> list[Carried]:
    """Send the same transactions in the same states under another fork's rules."""
    found = []
    deployment = deployment.on(chain)
    for item in carried:
        chain.resume(item.before)
        found.append(replace(item, gas=share(deployment.send([item.call])[0], MEMBERS)))
    return found


def report_all_in(bench: Benchmark, found: dict[str, list[Carried]]) -> dict[tuple[str, bool], Sample]:
    """Report a member's share of a batch of 128, by fork and by where its key was."""
    samples = {
        (fork, kind): Sample.of(item.gas for item in carried if item.from_snapshot == kind)
        for fork, carried in found.items()
        for kind in KINDS
    }
    for (fork, kind), sample in samples.items():
        case = f"all-in per member of {MEMBERS}, {fork.capitalize()}, {KINDS[kind]}"
        limit = SNAPSHOT_LIMIT if kind else STORAGE_LIMIT
        bench.add(Row(case, sample.mean, "gas", sample.n * MEMBERS, [bench.seed], limit, "limit"))
        base = samples["prague", kind].mean
        bench.add(Row(case, sample.mean, "gas", sample.n * MEMBERS, [bench.seed], base, "Prague, same transactions"))
    return samples


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
        carried_again = again_on(chain, deployment, carried)
    members = report_all_in(bench, {"prague": carried, "osaka": carried_again})
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
            "member_all_in_128_storage": members["prague", False].mean,
            "member_all_in_128_snapshot": members["prague", True].mean,
            "osaka_ratio": osaka["ours"][0].mean / mine.mean,
            "osaka_ratio_all_in": members["osaka", False].mean / members["prague", False].mean,
        }
    )


def add_notes(bench: Benchmark, deployment: Deployment) -> None:
    """Say how the figures came about."""
    bench.note(
        f"E is {SEATS}, the largest committee, and the threshold was widened, so that all {MEMBERS} win; their claims "
        "are one transaction straight to the coordinator. The committee is chosen of them when SORTITION closes, at a "
        "cost of its own (closeSortition)."
    )
    if deployment.compiled_here:
        bench.note("The package's artifacts are older than the sources: the sources were compiled and measured.")


if __name__ == "__main__":
    run(main)
