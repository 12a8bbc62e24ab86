"""The audit as the command runs it: evidence, chain record, store, run record, and the auditor itself.

One ledger counts all checks. A finding that two parts make alike is told once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from flare_offchain.audit.auditor import Auditor
from flare_offchain.audit.ledger import Finding, Ledger
from flare_offchain.blockchain.artifacts import ADDRESS_BYTES
from flare_offchain.blockchain.contracts import TaskStatus
from flare_offchain.cli.altered import WHOLE_RECORD, record_findings
from flare_offchain.cli.deployment_check import CODE, check_deployment
from flare_offchain.cli.evidence import Evidence, chain_evidence, record_evidence
from flare_offchain.cli.network import CHAIN, DEPLOYMENTS, STORE, OpenNetwork, Place, open_network
from flare_offchain.cli.output import progress
from flare_offchain.cli.stored import check_files, object_places
from flare_offchain.core.errors import (
    ChainRecordAltered,
    ConfigurationError,
    FlareError,
    StorageUnavailable,
    WrongChain,
)
from flare_offchain.core.phases import Phase
from flare_offchain.core.records import TaskHistory
from flare_offchain.core.types import Address
from flare_offchain.federation.update import TaskIdentity
from flare_offchain.storage.local import LocalStorageProvider
from flare_offchain.storage.provider import StorageProvider
from flare_offchain.utils.memory import release_library_pages

if TYPE_CHECKING:
    from flare_offchain.blockchain.recorded_chain import RecordedChain

HEAD = "the chain has the block that was named"
STATE = "the events agree with the contract's state"
MEANINGLESS = (KeyError, IndexError, ValueError, ArithmeticError, FlareError)
"""What checking a history can raise that has been altered so that its parts no longer fit."""


@dataclass(slots=True)
class AuditResult:
    """What was checked and found. `checked` counts the checks by rule."""

    head: tuple[int, bytes]
    tasks: int = 0
    rounds: int = 0
    finalized: int = 0
    void: int = 0
    checked: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return {
            "clean": not self.findings,
            "findings": len(self.findings),
            "tasks": self.tasks,
            "rounds": self.rounds,
            "finalized": self.finalized,
            "void": self.void,
            "checks": sum(self.checked.values()),
            "checked": dict(sorted(self.checked.items())),
            "notes": list(self.notes),
            "head": {"block": self.head[0], "hash": self.head[1].hex()},
        }


def audit_network(place: Place, task: int | None, rounds: list[int] | None, head: bytes | None) -> AuditResult:
    """Audit the tasks of a coordinator behind an endpoint.

    Raises: FlareError: the chain or the store cannot be asked, or the contracts are not Flare's.
    """
    ledger = Ledger()
    with open_network(place) as network:
        store = network.store
        evidence = _network_evidence(ledger, network)
        release_library_pages()
        _check_state(ledger, network, evidence)
        if head is not None:
            _check_head(ledger, evidence, head)
        if isinstance(store, LocalStorageProvider):
            check_files(ledger, store.folder, object_places(evidence.tasks, store))
        return _audit_tasks(ledger, evidence, store, _chosen(evidence, task), rounds)


def audit_run(folder: Path, task: int | None, rounds: list[int] | None, head: bytes | None) -> AuditResult:
    """Audit a run's folder: its chain record, its store, its own record, and its tasks.

    Raises: ConfigurationError: it is no run's folder; StorageUnavailable: it cannot be read.
    """
    # Only an embedded chain needs py-evm: over RPC an auditor does without it and its memory.
    from flare_offchain.blockchain.embedded import EthTesterConnector
    from flare_offchain.cli.run_record import RunRecordCheck

    ledger = Ledger()
    if not (folder / CHAIN).is_dir():
        raise ConfigurationError(f"{folder} holds no embedded chain: name the folder of a run with --run")
    store = LocalStorageProvider(folder / STORE)
    progress("running the chain again")
    try:
        chain = EthTesterConnector.read(folder / CHAIN)
    except ChainRecordAltered:
        evidence = _altered_evidence(ledger, folder)
        intact = False
    else:
        # Read only: it holds neither lock nor file, and serves the audit to its end.
        ledger.check(WHOLE_RECORD, True, None, "chain record")
        evidence = _run_evidence(ledger, OpenNetwork(Place(run=folder), chain), folder)
        evidence.started_with["seed"] = chain.genesis.seed
        intact = True
    if head is not None:
        _check_head(ledger, evidence, head)
    progress("hashing the store")
    check_files(ledger, store.folder, object_places(evidence.tasks, store))
    RunRecordCheck(ledger, folder, evidence, store).run()
    return _audit_tasks(ledger, evidence, store, _chosen(evidence, task), rounds, tolerant=not intact)


# --------------------------------------------------------------------------------------- evidence


def _run_evidence(ledger: Ledger, network: OpenNetwork, folder: Path) -> Evidence:
    """The evidence of an intact chain; its deployment records may still be altered."""
    try:
        evidence = _network_evidence(ledger, network)
    except (WrongChain, ConfigurationError, StorageUnavailable) as error:
        ledger.check(CODE, False, None, f"{DEPLOYMENTS} records", str(error))
        from flare_offchain.blockchain.recorded_chain import RecordedChain

        return _recorded_evidence(RecordedChain(folder / CHAIN))
    _check_state(ledger, network, evidence)
    return evidence


def _network_evidence(ledger: Ledger, network: OpenNetwork) -> Evidence:
    deployment = network.deployment
    check_deployment(ledger, network.chain, deployment)
    first = 0 if network.embedded else network.first_block
    return chain_evidence(network.chain, deployment.coordinator, deployment.registry, first)


def _altered_evidence(ledger: Ledger, folder: Path) -> Evidence:
    """What an altered record still says, and where it is altered."""
    from flare_offchain.blockchain.record_verification import verify_chain_record
    from flare_offchain.blockchain.recorded_chain import RecordedChain

    progress("the chain record is altered: looking for every alteration")
    recorded = RecordedChain(folder / CHAIN)
    evidence = _recorded_evidence(recorded)
    found = record_findings(verify_chain_record(folder / CHAIN), evidence)
    ledger.checked[WHOLE_RECORD] += 1
    for finding in found or [Finding(None, "chain record", WHOLE_RECORD, "it does not run again to the same blocks")]:
        ledger.check(finding.rule, False, finding.round, finding.object, finding.detail)
    for note in evidence.notes:
        ledger.note(note)
    ledger.note("the chain could not be run again as recorded: what follows is checked as far as the record goes")
    return evidence


def _recorded_evidence(recorded: RecordedChain) -> Evidence:
    nobody = Address("0x" + "00" * ADDRESS_BYTES)
    return record_evidence(recorded) or Evidence(recorded.chain_id, nobody, recorded, recorded.head)


def _check_head(ledger: Ledger, evidence: Evidence, head: bytes) -> None:
    numbers = range(evidence.head[0], -1, -1)
    there = any(evidence.facts.block_hash(number) == head for number in numbers)
    ledger.check(HEAD, there, None, "chain record", f"block {head.hex()} is not on the chain")


def _check_state(ledger: Ledger, network: OpenNetwork, evidence: Evidence) -> None:
    """The endpoint's events are all there: they add up to what the contract says now."""
    coordinator, chain = network.coordinator, network.chain
    stamp = chain.stamp(evidence.head[0])
    ledger.equal(STATE, len(evidence.tasks), coordinator.task_count(block=stamp), None, "number of tasks")
    for number, history in evidence.tasks.items():
        view = coordinator.task(number, block=stamp)
        facts: dict[str, tuple[object, object]] = {
            "rounds": (len(history.rounds), view.round),
            "spec": (history.spec, view.spec),
            "model": (history.base_model(len(history.rounds) + 1), view.model),
            "ended": (history.ended, view.status is TaskStatus.Ended),
        }
        for name, (told, actual) in facts.items():
            ledger.equal(STATE, told, actual, None, f"task {number}: {name}")


# ------------------------------------------------------------------------------------------ tasks


def _chosen(evidence: Evidence, task: int | None) -> list[TaskHistory]:
    if task is None:
        return list(evidence.tasks.values())
    if task not in evidence.tasks:
        raise typer.BadParameter(f"there is no task {task}: there are {len(evidence.tasks)}")
    return [evidence.tasks[task]]


def _audit_tasks(
    ledger: Ledger,
    evidence: Evidence,
    store: StorageProvider,
    tasks: Sequence[TaskHistory],
    rounds: list[int] | None,
    *,
    tolerant: bool = False,
) -> AuditResult:
    result = AuditResult(evidence.head, tasks=len(tasks))
    for task in tasks:
        progress(f"auditing task {task.task_id}")
        numbers = sorted(task.rounds) if rounds is None else sorted(set(rounds))
        _audit_rounds(ledger, evidence, store, task, numbers, tolerant)
        audited = [task.rounds[number] for number in numbers if number in task.rounds]
        result.rounds += len(audited)
        result.finalized += sum(history.phase is Phase.Finalized for history in audited)
        result.void += sum(history.phase is Phase.Void for history in audited)
    result.checked = dict(ledger.checked)
    result.findings = list({(f.round, f.object, f.rule): f for f in reversed(ledger.findings)}.values())
    result.findings.sort(key=lambda finding: (finding.round or 0, finding.object, finding.rule))
    result.notes = list(dict.fromkeys(ledger.notes))
    return result


def _audit_rounds(
    ledger: Ledger,
    evidence: Evidence,
    store: StorageProvider,
    task: TaskHistory,
    numbers: list[int],
    tolerant: bool,
) -> None:
    identity = TaskIdentity(evidence.chain_id, evidence.coordinator, task.task_id)
    if not tolerant:
        Auditor(identity, task, evidence.participants, evidence.facts, store, ledger).run(numbers)
        return
    for number in numbers or [0]:
        try:
            auditor = Auditor(identity, task, evidence.participants, evidence.facts, store, ledger)
            auditor.run([number] if number else [])
        except MEANINGLESS as error:
            ledger.note(f"round {number} cannot be checked further, its record is in pieces: {error!r}")
