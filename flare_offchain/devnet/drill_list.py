"""The drills, each a function of a folder and whether it is to be quick."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from flare_offchain.blockchain.contracts import RoundView
from flare_offchain.core.errors import FlareError
from flare_offchain.core.phases import Phase
from flare_offchain.devnet.chain_daemon import ChainKind
from flare_offchain.devnet.drills import STOPPED_FOR_GOOD, DrillNetwork, DrillResult, drill_network
from flare_offchain.devnet.endurance import endurance
from flare_offchain.devnet.machine_drills import full_disk, killed_training, restarted_nodes, wrong_clocks
from flare_offchain.devnet.processes import start_worker
from flare_offchain.devnet.proxy import Fault, Proxy, answering, wrong_bytes
from flare_offchain.devnet.victim import points
from flare_offchain.devnet.wires import wired
from flare_offchain.workers.plan import Step

Drill = Callable[[Path, bool, ChainKind], DrillResult]


def killed(folder: Path, quick: bool, chain: ChainKind) -> DrillResult:
    """kill −9 at every step of every role, at several moments of it, and start again."""
    result = DrillResult("kill -9 at every step, and restart")
    chosen = [p for p in points() if not quick or p.endswith(":sent")]
    claims = folder.absolute().with_suffix(".claims")
    claims.mkdir(parents=True)
    program = ("-m", "flare_offchain.devnet.victim", "--claims", str(claims), "--points", *chosen)
    # Steps that need no transaction have no other moments; a proposal is late where somebody died before it.
    with drill_network(folder, chain=chain, program=program) as drill:

        def reached() -> set[str]:
            return {path.name for path in claims.iterdir()}

        late = {p for p in chosen if p.startswith(Step.ADVANCE.value)}
        drill.until(lambda: set(chosen) - late <= reached(), 90.0 * len(chosen), "death at every point")
        for _ in late:
            before = len(reached())
            if late <= reached():
                break
            _withhold_proposal(drill, lambda before=before: len(reached()) > before)  # type: ignore[misc]
        drill.rounds(1)
        missed = set(chosen) - reached()
        result.notes += [f"nobody died at {', '.join(sorted(missed))}"] if missed else []
        result.faults = len(reached())
        result.recovery_blocks = max(_recoveries(drill, claims), default=0.0)
        drill.count(result)
    return result


def _recoveries(drill: DrillNetwork, claims: Path) -> Iterator[float]:
    numbers = {files.address: n for n, files in enumerate(drill.network.workers)}
    for path in claims.iterdir():
        death = json.loads(path.read_text())
        seconds = drill.recovery(numbers[death["address"]], death["time"])
        yield round(seconds / drill.network.settings.block_time, 1)


def _withhold_proposal(drill: DrillNetwork, reached: Callable[[], bool]) -> None:
    """Hold the proposer of the next proposal back until its window has passed and somebody has pushed the round on."""
    numbers = {files.address: n for n, files in enumerate(drill.network.workers)}
    coordinator, task_id = drill.network.task.coordinator, drill.network.task.task_id
    while not reached():
        drill.until(lambda: drill.monitor.moment.phase is Phase.Sortition, 120, "sortition")
        drill.until(lambda: coordinator.current_round(task_id).phase is Phase.Aggregation, 120, "aggregation")
        current = coordinator.current_round(task_id)
        if current.phase is not Phase.Aggregation:
            continue
        process = drill.network.processes[numbers[current.seats[current.attempt].member]]
        os.kill(process.pid, signal.SIGSTOP)
        try:
            # What it sent before it was stopped may still be mined: then another round's proposer has to do.
            drill.until(
                lambda held=current: reached() or _moved(coordinator.current_round(task_id), held),  # type: ignore[misc]
                180,
                "push past a proposer that is away",
            )
        finally:
            os.kill(process.pid, signal.SIGCONT)


def _moved(now: RoundView, before: RoundView) -> bool:
    return (now.round, now.phase, now.attempt) != (before.round, before.phase, before.attempt)


def _suffer(drill: DrillNetwork, wire: Proxy, fault: Fault, seconds: float, result: DrillResult) -> None:
    """Put a fault on a wire for some seconds, take it off, and measure how long it takes until the round goes on."""
    before = wire.faulty
    wire.fault = fault
    start = drill.network.connector.head().timestamp
    drill.until(lambda: drill.network.connector.head().timestamp >= start + seconds, 10 * seconds + 60, "time")
    wire.fault = Fault()
    result.faults += wire.faulty - before
    result.recovery_blocks = max(result.recovery_blocks, float(drill.blocks_until_progress()))
    drill.rounds(1)


def rpc_faults(folder: Path, quick: bool, chain: ChainKind) -> DrillResult:
    """The endpoint drops connections, hangs, and answers with stale blocks; workers wait and go on."""
    result = DrillResult("RPC drops, hangs, answers with stale blocks")
    with wired(folder, chain) as (drill, rpc, _):
        drill.rounds(1)
        old = drill.network.connector.rpc.request("eth_getBlockByNumber", "latest", False)
        faults = [Fault(drop=True), Fault(delay=25.0), Fault(alter=answering("eth_getBlockByNumber", lambda _: old))]
        for fault in faults:
            _suffer(drill, rpc, fault, 8.0 if quick else 15.0, result)
        drill.count(result)
    return result


def wrong_chain(folder: Path, quick: bool, chain: ChainKind) -> DrillResult:
    """The endpoint claims to be another chain: workers that start refuse it, and send nothing."""
    result = DrillResult("RPC lies about the chain id")
    with wired(folder, chain) as (drill, rpc, _):
        drill.rounds(1)
        config = drill.network.workers[0].config
        _set_chain_id(config, drill.network.connector.chain_id)
        rpc.fault = Fault(alter=answering("eth_chainId", lambda _: "0x5"))
        drill.stop_worker(0)
        log = config.with_name("liar.log")
        process = start_worker(config, log)
        code = process.wait(60)
        rpc.fault = Fault()
        result.faults = 1
        if code != STOPPED_FOR_GOOD:
            result.notes.append(f"a worker on the wrong chain ended with {code}: {log.read_text()[-300:]}")
        drill.return_worker(0)
        result.recovery_blocks = float(drill.blocks_until_progress())
        drill.rounds(1 if quick else 2)
        drill.count(result)
    return result


def store_faults(folder: Path, quick: bool, chain: ChainKind) -> DrillResult:
    """Kubo is down, slow, and returns wrong bytes; no wrong object is accepted and no update is lost."""
    result = DrillResult("Kubo down, slow, returning wrong bytes")
    with wired(folder, chain) as (drill, _, ipfs):
        drill.rounds(1)
        for fault in (Fault(drop=True), Fault(delay=3.0)):
            _suffer(drill, ipfs, fault, 6.0 if quick else 10.0, result)
        # Wrong bytes last as long as one proposal: who reads them must neither vote for nor build on them.
        ipfs.fault = Fault(alter=wrong_bytes)
        before = ipfs.faulty
        start = drill.network.connector.head().timestamp
        drill.until(lambda: drill.network.connector.head().timestamp >= start + 6, 60, "time")
        ipfs.fault = Fault()
        result.faults += ipfs.faulty - before
        drill.rounds(2)
        drill.count(result)
    return result


def random_faults(folder: Path, quick: bool, chain: ChainKind) -> DrillResult:
    """One in a hundred of all calls fails, for many rounds."""
    result = DrillResult("1 % of all calls fail at random")
    with wired(folder, chain) as (drill, rpc, ipfs):
        rpc.fault, ipfs.fault = Fault(share=0.01), Fault(share=0.01)
        drill.rounds(4 if quick else 20)
        result.faults = rpc.faulty + ipfs.faulty
        rpc.fault, ipfs.fault = Fault(), Fault()
        drill.rounds(1)
        drill.count(result)
    return result


def reorganisations(folder: Path, quick: bool, chain: ChainKind) -> DrillResult:
    """Reorganisations of 1 to 10 blocks in every phase; the transactions in them go back to the pool."""
    result = DrillResult("reorganisations of 1 to 10 blocks across every phase")
    phases = [Phase.Training, Phase.Sortition, Phase.Aggregation, Phase.Validation, Phase.Reveal, Phase.Finalized]
    with drill_network(folder, chain=chain) as drill:
        drill.rounds(1)
        rpc = drill.network.connector.rpc
        depths = [1, 3, 10] if quick else list(range(1, 11))
        for index, depth in enumerate(depths):
            phase = phases[index % len(phases)]
            drill.until(lambda phase=phase: drill.monitor.moment.phase is phase, 180, phase.name)  # type: ignore[misc]
            if chain == "anvil":
                rpc.request("anvil_reorg", depth, [])
            else:
                # geth takes blocks back without another branch: what was in them is gone, from the pool too.
                rpc.request("debug_setHead", hex(drill.block - depth))
            result.faults += 1
            result.recovery_blocks = max(result.recovery_blocks, float(drill.blocks_until_progress()))
        drill.rounds(2)
        drill.count(result)
    return result


def two_with_one_key(folder: Path, quick: bool, chain: ChainKind) -> DrillResult:
    """A second process runs with a worker's keys in a folder of its own."""
    result = DrillResult("two daemons with one key")
    with drill_network(folder, chain=chain) as drill:
        drill.rounds(1)
        config = drill.network.workers[0].config
        twin = config.with_name("twin.toml")
        twin.write_text(config.read_text().replace('folder = "state"', 'folder = "twin"'))
        log = config.with_name("twin.log")
        process = start_worker(twin, log)
        result.faults = 1
        try:
            drill.away.add(0)
            drill.rounds(2 if quick else 4)
        finally:
            process.terminate()
            process.wait(60)
        ended = drill.network.ended_workers()
        if process.returncode not in (0, STOPPED_FOR_GOOD) or set(ended.values()) - {STOPPED_FOR_GOOD}:
            result.notes.append(f"the twins ended with {process.returncode} and {ended}")
        drill.count(result)
        # Whatever one of the two sends takes the nonce of the other: that is the fault itself, not its consequence.
        result.transactions_lost = 0
    return result


def half_gone(folder: Path, quick: bool, chain: ChainKind) -> DrillResult:
    """Half of the workers go for good; the others go on, and nobody who is there loses anything."""
    result = DrillResult("half of the workers gone")
    with drill_network(folder, chain=chain, workers=6) as drill:
        drill.rounds(1)
        for worker in (3, 4, 5):
            drill.away.add(worker)
            drill.network.processes[worker].kill()
            result.faults += 1
        result.recovery_blocks = float(drill.blocks_until_progress())
        drill.rounds(2 if quick else 4, seconds_each=240)
        drill.count(result, expected_updates=3)
        gone = {drill.network.workers[worker].address for worker in drill.away}
        history = drill.monitor.history.refresh()
        result.fined = sum(f.member not in gone for r in history.rounds.values() for f in r.fines)
    return result


def dear_gas(folder: Path, quick: bool, chain: ChainKind) -> DrillResult:
    """The base fee jumps to a hundredfold; transactions that are under way are sent again with higher fees."""
    result = DrillResult("gas price spike")
    with drill_network(folder, chain=chain) as drill:
        drill.rounds(1)
        for _ in range(2 if quick else 5):
            base, _ = drill.network.connector.fee_levels()
            drill.network.connector.rpc.request("anvil_setNextBlockBaseFeePerGas", hex(base * 100 + 10**9))
            result.faults += 1
            result.recovery_blocks = max(result.recovery_blocks, float(drill.blocks_until_progress()))
            drill.rounds(1)
        drill.count(result)
    return result


def _set_chain_id(config: Path, chain_id: int) -> None:
    config.write_text(config.read_text().replace("[chain]\n", f"[chain]\nchain_id = {chain_id}\n"))


DRILLS: dict[str, Drill] = {
    "kill": killed,
    "trainer": killed_training,
    "rpc": rpc_faults,
    "chain-id": wrong_chain,
    "store": store_faults,
    "random": random_faults,
    "reorg": reorganisations,
    "twins": two_with_one_key,
    "half": half_gone,
    "gas": dear_gas,
    "disk": full_disk,
    "clock": wrong_clocks,
    "restart": restarted_nodes,
    "endurance": endurance,
}
ONLY_ON: dict[str, ChainKind] = {"gas": "anvil", "restart": "geth"}
"""Drills that one kind of node can be put through: anvil alone can be told the base fee, geth alone keeps its chain."""


def run_drills(
    names: list[str], folder: Path, quick: bool, report: Callable[[DrillResult], Any], chain: ChainKind = "anvil"
) -> list[DrillResult]:
    """Run drills one after another, each in a folder of its own; report each as it ends.

    A drill that cannot be brought to its end has not passed, and says why; the others are run all the same.
    """
    results = []
    for name in names:
        kind = ONLY_ON.get(name, chain)
        sys.stderr.write(f"drill {name} on {kind}\n")
        try:
            result = DRILLS[name](folder / name, quick, kind)
        except FlareError as error:
            result = DrillResult(name, notes=[f"it was not brought to its end: {error}"])
        result.chain = kind
        results.append(result)
        report(result)
    return results


def summary(results: list[DrillResult]) -> dict[str, Any]:
    """Return what all drills together counted."""
    return {
        "drills": len(results),
        "passed": sum(r.passed for r in results),
        "rounds_finished": sum(r.finalized + r.void for r in results),
        "transactions_lost": sum(r.transactions_lost for r in results),
        "double_sends": sum(r.double_sends for r in results),
        "updates_lost": sum(r.updates_lost for r in results),
        "wrong_objects_accepted": sum(r.wrong_objects for r in results),
        "honest_fined": sum(r.fined for r in results),
        "max_recovery_blocks": max((r.recovery_blocks for r in results), default=0.0),
    }
