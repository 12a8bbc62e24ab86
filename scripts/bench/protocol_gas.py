"""Gas of whole rounds through the production coordinator and registry, with 10, 100 and 1,000 workers.

    .venv/bin/python scripts/bench/protocol_gas.py --quick

Every worker sends an update; the VRF seats the committee (expected size 5 with 10 workers, else 32); every member
claims its own seat and approves; the proposer reveals. In every other round a tenth of the updates is left out, which
makes the settlement that follows dearer. *Again* is every transaction from a worker's third round on, *first* a
worker's first, or, of votes, one that writes a slot which was never written before. `--breakdown` shows where the gas
of one transaction of each kind goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from _chain import Chain
from _harness import Benchmark, Row, Sample, run
from _rounds import COMMITTEE_CALLS, Deployment, Spent, Task

SIZES = {10: 5, 100: 32, 1_000: 32}
"""Expected committee by number of workers."""
ROUNDS = {True: {10: 6, 100: 6, 1_000: 4}, False: {10: 24, 100: 12, 1_000: 8}}
"""Rounds by number of workers; key: quick."""
MAX_SEATS = {5: 16, 32: 64}
LEFT_OUT = (0.0, 0.1)
STEADY = 3
"""The first round that counts as steady."""
LIMITS = {"submitUpdate": 45_000, "vote": 40_000, "claimSeat": 58_000}
FIRST_LIMIT, GROWTH_LIMIT = 85_000, 1.05
OTHER_SYSTEM_SUBMIT = 119_800
"""Gas of one update in 2CP (crowdsourced setting), from the data published with it; not run here."""
OTHERS = ("openRound", "closeTraining", "fixSeed", "closeSortition", "propose", "closeValidation", "reveal")


@dataclass(frozen=True, slots=True)
class Played:
    """The rounds of one size under one fork."""

    task: Task
    register: list[int]

    @property
    def workers(self) -> int:
        """How many there are."""
        return len(self.task.workers)

    def steady(self, call: str) -> list[Spent]:
        """Return the transactions of a kind from the third round on."""
        return self.task.of(call, since=STEADY)

    def first(self, call: str) -> list[Spent]:
        """Return the transactions of a kind that write a slot for the first time."""
        if call == "vote":
            return [spent for spent in self.task.of(call) if spent.new_slot]
        return [spent for spent in self.task.of(call) if spent.before == 0]

    def per_worker(self, *, committee: bool) -> float:
        """Return the gas of a steady round, a worker, with or without what the committee does."""
        rounds = [number for number in self.task.finalized if number >= STEADY]
        spent = self.task.of(since=STEADY)
        total = sum(item.gas for item in spent if committee or item.call not in COMMITTEE_CALLS)
        return total / len(rounds) / self.workers

    def submit(self) -> float:
        """Return the mean of a steady update alone."""
        return Sample.of(item.gas for item in self.steady("submitUpdate")).mean


def play(bench: Benchmark, fork: str, sizes: Sequence[int]) -> dict[int, Played]:
    """Play the rounds of several sizes on one chain."""
    played = {}
    with Chain(fork, traces=bench.arguments.breakdown) as chain:
        deployment = Deployment(chain, bench.seed)
        for size in sizes:
            workers, gas = deployment.register(size, f"size-{size}")
            expected = SIZES[size]
            task = Task(deployment, workers, expected, MAX_SEATS[expected])
            task.play(ROUNDS[bench.quick][size], LEFT_OUT)
            played[size] = Played(task, gas)
            report(bench, chain.fork, played[size])
            if bench.arguments.breakdown and size == 100:
                show_breakdown(bench, chain, played[size])
        if 10 in played:
            report_withdrawal(bench, chain.fork, played[10])
    return played


def report(bench: Benchmark, fork: str, played: Played) -> None:
    """Report the cases of one size."""
    where = f"{played.workers:,} workers, {fork.capitalize()}"
    for call, limit in LIMITS.items():
        again = Sample.of(item.gas for item in played.steady(call))
        bench.add(Row(f"{call}, {where}, again", again.mean, "gas", again.n, [bench.seed], limit, "limit"))
        bench.add(Row(f"{call}, {where}, again, dearest", again.most, "gas", again.n, [bench.seed], limit, "limit"))
        first = Sample.of(item.gas for item in played.first(call))
        bench.add(Row(f"{call}, {where}, first", first.mean, "gas", first.n, [bench.seed], FIRST_LIMIT, "limit"))
        bench.add(
            Row(f"{call}, {where}, first, dearest", first.most, "gas", first.n, [bench.seed], FIRST_LIMIT, "limit")
        )
    for call in OTHERS:
        again = Sample.of(item.gas for item in played.steady(call))
        bench.add(Row(f"{call}, {where}", again.mean, "gas", again.n, [bench.seed]))
    claims = Sample.of(
        len([item for item in played.task.spent[number] if item.call == "claimSeat"])
        for number in played.task.finalized
    )
    bench.add(Row(f"claims, {where}", claims.mean, "claims", claims.n, [bench.seed]))
    for name, values in (("register", played.register), ("enrol", played.task.enrol_gas)):
        sample = Sample.of(values)
        bench.add(Row(f"{name}, {where}", sample.mean, "gas", sample.n, [bench.seed]))
    rounds = len([number for number in played.task.finalized if number >= STEADY])
    bench.add(Row(f"round per worker, {where}", played.per_worker(committee=True), "gas", rounds, [bench.seed]))
    apart = played.per_worker(committee=False)
    bench.add(Row(f"round per worker, {where}, committee apart", apart, "gas", rounds, [bench.seed]))


def report_withdrawal(bench: Benchmark, fork: str, played: Played) -> None:
    """Report the withdrawal of what all rounds have earned a worker, its newest update settled with it."""
    task = played.task
    deployment = task.deployment
    calls = [deployment.call(worker.address, "withdrawRewards", task.task_id) for worker in task.workers]
    receipts = deployment.send(calls)
    sample = Sample.of(receipt.gas for receipt in receipts)
    bench.add(Row(f"withdrawRewards, {fork.capitalize()}", sample.mean, "gas", sample.n, [bench.seed]))


def show_breakdown(bench: Benchmark, chain: Chain, played: Played) -> None:
    """Report where the gas of one typical steady transaction of each kind goes."""
    for call in (*LIMITS, "propose", "closeSortition", "reveal"):
        found = sorted(played.steady(call), key=lambda item: item.gas)
        spent = found[len(found) // 2]
        for part, gas in chain.breakdown(spent.hash, spent.data, spent.gas).items():
            bench.add(Row(f"{call} of {spent.gas:,}: {part}", gas, "gas", 1, [bench.seed]))


def growth(bench: Benchmark, played: dict[int, Played], size: int) -> float:
    """Report cost per worker at a size over that at 10, committee work apart; return the larger of two readings.

    One counts all that is not the committee's, the other the updates alone: what a round costs whatever its size weighs
    less the more workers share it, and could hide that the updates had grown dearer.
    """
    here, least = played[size], played[10]
    whole = here.per_worker(committee=False), least.per_worker(committee=False)
    alone = here.submit(), least.submit()
    for name, (ours, base) in {"committee apart": whole, "updates alone": alone}.items():
        bench.add(Row(f"cost per worker at {size:,}, {name}", ours, "gas", size, [bench.seed], base, "at 10 workers"))
    found = max(whole[0] / whole[1], alone[0] / alone[1])
    bench.add(Row(f"growth 10 to {size:,}", found, "ratio", size, [bench.seed], GROWTH_LIMIT, "limit"))
    return found


def main() -> None:
    shown = {"action": "store_true", "help": "show where the gas of one transaction of each kind goes"}
    bench = Benchmark("protocol_gas", __doc__ or "", options=[("--breakdown", shown)])
    prague = play(bench, "prague", list(SIZES))
    osaka = play(bench, "osaka", [10] if bench.quick else [10, 100])
    steady = prague[100]
    again = {call: Sample.of(item.gas for item in steady.steady(call)) for call in LIMITS}
    first = {call: Sample.of(item.gas for item in steady.first(call)) for call in LIMITS}
    finalize = Sample.of(item.gas for item in steady.steady("reveal"))
    to_100, to_1000 = growth(bench, prague, 100), growth(bench, prague, 1_000)
    ratio = osaka[10].submit() / prague[10].submit()
    bench.add(
        Row(
            "submitUpdate, Osaka over Prague",
            osaka[10].submit(),
            "gas",
            10,
            [bench.seed],
            prague[10].submit(),
            "Prague",
        )
    )
    submit = again["submitUpdate"]
    bench.add(
        Row(
            "submitUpdate, again",
            submit.mean,
            "gas",
            submit.n,
            [bench.seed],
            OTHER_SYSTEM_SUBMIT,
            "2CP, its published data",
        )
    )
    if deployed_here(prague[10]):
        bench.note("The package's artifacts are older than the sources: the sources were compiled and measured.")
    bench.note(
        "The slots that an update and a claim write are first written by enrol (its gas is above), so a worker's first "
        "update and first claim cost no more than later ones; a vote's slot is its seat's, first written by a vote."
    )
    bench.note("The summary's figures are of 100 workers under Prague's rules; growth is the larger of both readings.")
    bench.finish(
        {
            "submit_first": first["submitUpdate"].mean,
            "submit_again": submit.mean,
            "submit_again_dearest": submit.most,
            "claim_seat_first": first["claimSeat"].mean,
            "claim_seat_again": again["claimSeat"].mean,
            "claim_seat_again_dearest": again["claimSeat"].most,
            "vote_first": first["vote"].mean,
            "vote_again": again["vote"].mean,
            "vote_again_dearest": again["vote"].most,
            "finalize": finalize.mean,
            "per_worker_round": steady.per_worker(committee=True),
            "growth_10_to_100": to_100,
            "growth_10_to_1000": to_1000,
            "osaka_ratio": ratio,
        }
    )


def deployed_here(played: Played) -> bool:
    """Whether the contracts were compiled for this run."""
    return played.task.deployment.compiled_here


if __name__ == "__main__":
    run(main)
