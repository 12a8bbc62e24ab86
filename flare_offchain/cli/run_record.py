"""The record of a simulated run (`run.json`, `rounds.jsonl`) against the chain that the run made."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from statistics import fmean
from typing import Any

from flare_offchain.audit.ledger import Ledger
from flare_offchain.blockchain.contracts.structs import camel
from flare_offchain.cli.evidence import Evidence
from flare_offchain.core.errors import ConfigurationError, FlareError
from flare_offchain.core.phases import Phase
from flare_offchain.core.records import RoundHistory, TaskHistory
from flare_offchain.federation.round import ProbePool
from flare_offchain.federation.spec import TaskSpec
from flare_offchain.simulation.record import VERSION
from flare_offchain.simulation.results import RoundResult
from flare_offchain.simulation.scenario import NO_SERVER, Rules, Scenario
from flare_offchain.storage.cid import cid_string
from flare_offchain.storage.provider import StorageProvider
from flare_offchain.utils.bounded_json import load_json
from flare_offchain.utils.serialization import read_model

READABLE = "a run's record can be read"
AGREES = "a run's record agrees with the chain"
HEAD = "the chain record goes as far as the run did"
COMPLETE = "a run's record has every round of the chain"
MAX_BYTES = 64 * 2**20
OWN_MEASURES = "accuracy, seconds, gas and who attacked are the run's own measures in rounds.jsonl: no chain has them"


class RunRecordCheck:
    """Compares one run's record with the evidence of its chain."""

    def __init__(self, ledger: Ledger, folder: Path, evidence: Evidence, store: StorageProvider) -> None:
        self.ledger, self.folder, self.evidence, self.store = ledger, folder, evidence, store

    def run(self) -> None:
        """Check everything that the record and the chain both say."""
        settings = self._settings()
        if settings is None:
            return
        task = self._task(settings)
        if task is None:
            return
        head = self._check_head(settings)
        self._check_scenario(settings, task)
        self._check_rounds(task, head, noted="head" in settings)
        self.ledger.note(OWN_MEASURES)

    # ---------------------------------------------------------------- run.json

    def _settings(self) -> Mapping[str, Any] | None:
        path = self.folder / "run.json"
        if not path.exists():
            left = [name for name in ("rounds.jsonl", "workers") if (self.folder / name).exists()]
            if left:
                self.ledger.check(READABLE, False, None, "run.json", f"it is gone, though {left[0]} is there")
            else:
                self.ledger.note(f"{self.folder} has no run.json: it is not the folder of a simulation")
            return None
        try:
            record = load_json(_read(path))
            if not isinstance(record, dict) or record.get("version") != VERSION:
                raise ValueError(f"it is not the record of a run of version {VERSION}")
            Scenario.from_record(record.get("scenario", {}))
        except (OSError, ValueError, TypeError, RecursionError) as error:
            self.ledger.check(READABLE, False, None, "run.json", str(error))
            return None
        self.ledger.check(READABLE, True, None, "run.json")
        return record

    def _task(self, settings: Mapping[str, Any]) -> TaskHistory | None:
        evidence = self.evidence
        for name, actual in (("chain_id", evidence.chain_id), ("coordinator", evidence.coordinator)):
            if name in settings or evidence.tasks:
                self.ledger.equal(AGREES, settings.get(name), actual, None, f"run.json: {name}")
        task = settings.get("task")
        if task is None and not evidence.tasks:
            self.ledger.note("the run was interrupted before its task was created")
            return None
        known = isinstance(task, int) and task in evidence.tasks
        self.ledger.check(AGREES, known, None, "run.json: task", f"there is no task {task} on the chain")
        return evidence.tasks[task] if known and isinstance(task, int) else None

    def _check_head(self, settings: Mapping[str, Any]) -> int | None:
        """The block that the run noted as its newest is on the chain. Returns its number."""
        noted = settings.get("head")
        if noted is None:
            return None
        numbers = range(self.evidence.head[0], -1, -1)
        found = next((n for n in numbers if _hex(self.evidence.facts.block_hash(n)) == noted), None)
        detail = f"the run reached block {noted}, which is not on the chain: its last blocks were removed or changed"
        self.ledger.check(HEAD, found is not None, self._first_lost_round(), "chain record", detail)
        return found

    def _first_lost_round(self) -> int:
        """The round that was not over when the chain record ends."""
        newest = max(
            (r for task in self.evidence.tasks.values() for r in task.rounds.values()), key=_number, default=None
        )
        if newest is None:
            return 1
        return newest.number + 1 if newest.phase.terminal else newest.number

    def _check_scenario(self, settings: Mapping[str, Any], task: TaskHistory) -> None:
        scenario = Scenario.from_record(settings["scenario"])
        expected: dict[str, tuple[object, object]] = {
            "rounds": (scenario.rounds, task.rules["maxRounds"]),
            "workers": (scenario.workers, task.rules["maxUpdates"]),
        }
        for item in fields(Rules):
            if camel(item.name) in task.rules:
                expected[f"rules.{item.name}"] = (getattr(scenario.rules, item.name), task.rules[camel(item.name)])
        started = self.evidence.started_with
        if "seed" in started:
            expected["seed"] = (scenario.seed, started["seed"])
        if "minimum_bond" in started:
            expected["rules.minimum_bond"] = (scenario.rules.minimum_bond, started["minimum_bond"])
        try:
            expected |= self._of_objects(settings, scenario, task)
        except FlareError:
            # An object is missing or altered: the auditor says which.
            self.ledger.note("run.json is not compared with the task's spec, which cannot be read")
        for name, (recorded, actual) in expected.items():
            self.ledger.equal(AGREES, recorded, actual, None, f"run.json: {name}")

    def _of_objects(
        self, settings: Mapping[str, Any], scenario: Scenario, task: TaskHistory
    ) -> dict[str, tuple[object, object]]:
        """Return what the run's settings and the task's objects both say."""
        spec = TaskSpec.decode(self.store.get(task.spec))
        found = _of_spec(scenario, spec)
        if spec.probe is not None:
            pool = ProbePool.decode(self.store.get(spec.probe.pool))
            found["probe_pool"] = (scenario.probe_pool, len(pool.labels))
        if "parameters" in settings or task.rounds:
            weights = read_model(self.store.get(task.genesis))
            found["parameters"] = (settings.get("parameters"), sum(int(array.size) for array in weights.values()))
        return found

    # ------------------------------------------------------------ rounds.jsonl

    def _check_rounds(self, task: TaskHistory, head: int | None, *, noted: bool) -> None:
        recorded = 0
        for result in self._results():
            recorded += 1
            number, subject = result.round, f"rounds.jsonl: line {recorded}"
            self.ledger.equal(AGREES, number, recorded, number, f"{subject}: round")
            history = task.rounds.get(number)
            ended = history is not None and history.phase.terminal
            self.ledger.check(AGREES, ended, number, subject, f"the chain has not ended a round {number}")
            if history is not None and ended:
                for name, actual in _facts(task, history).items():
                    self.ledger.equal(AGREES, getattr(result, name), actual, number, f"{subject}: {name}")
                _check_sums(self.ledger, result, subject)
        for number, history in task.rounds.items():
            if number <= recorded or history.ended_block is None:
                continue
            if head is not None and history.ended_block <= head:
                self.ledger.check(COMPLETE, False, number, "rounds.jsonl", f"the line of round {number} is gone")
            else:
                self.ledger.note(f"round {number} ended on chain and is not in rounds.jsonl yet: a run was interrupted")
        if recorded > 1 and not noted:
            # The run notes the head after each round, so an interruption can cost at most the first note.
            self.ledger.check(HEAD, False, None, "run.json", "it does not say which block the run reached")

    def _results(self) -> Iterator[RoundResult]:
        path = self.folder / "rounds.jsonl"
        try:
            lines = _read(path).split("\n") if path.exists() else [""]
        except (OSError, ValueError) as error:
            self.ledger.check(READABLE, False, None, "rounds.jsonl", str(error))
            return
        if lines[-1]:
            self.ledger.note("the last line of rounds.jsonl was cut off as it was written")
        for index, line in enumerate(lines[:-1], 1):
            subject = f"rounds.jsonl: line {index}"
            try:
                value = load_json(line)
                result = RoundResult.from_json(value)
            except (ValueError, TypeError, AttributeError, RecursionError) as error:
                self.ledger.check(READABLE, False, index, subject, str(error))
                continue
            whole = json.dumps(result.to_json()) == line and type(result.round) is int
            self.ledger.check(READABLE, whole, index, subject, "it is not written the way a run writes it")
            yield result


def _facts(task: TaskHistory, history: RoundHistory) -> dict[str, object]:
    """Return what the chain says of a round that has ended, under the names of `RoundResult`."""
    finalized = history.phase is Phase.Finalized
    return {
        "outcome": "FINALIZED" if finalized else "VOID",
        "reason": "" if finalized else history.void_reason.name,
        "updates": len(history.updates),
        "accepted": sum(history.accepts(u.index) for u in history.updates),
        "seats": len(history.committee),
        "quorum": history.quorum,
        "attempts": len(history.proposers),
        "fines": len(history.fines),
        "bytes_per_update": fmean(u.content_id.size for u in history.updates) if history.updates else 0.0,
        "model_cid": cid_string(task.base_model(history.number + 1)),
    }


def _check_sums(ledger: Ledger, result: RoundResult, subject: str) -> None:
    """Who was rejected adds up to what was."""
    rejected = result.updates - result.accepted if result.outcome == "FINALIZED" else 0
    counted = result.attackers_rejected + result.honest_rejected
    ledger.equal(AGREES, counted, rejected, result.round, f"{subject}: rejected updates")
    within = 0 <= result.attackers_rejected <= result.attackers_submitted <= result.updates
    ledger.check(AGREES, within, result.round, f"{subject}: attackers", "more attackers are rejected than submitted")


def _of_spec(scenario: Scenario, spec: TaskSpec) -> dict[str, tuple[object, object]]:
    """Return what a run's settings and the task's spec both say."""
    training = asdict(spec.training)
    found: dict[str, tuple[object, object]] = {
        name: (getattr(scenario, name), training[name])
        for name in ("epochs", "learning_rate", "batch_size", "momentum", "proximal")
    }
    found |= {
        "data": (scenario.data, spec.data),
        "censorship_share": (scenario.censorship_share, spec.censorship_share),
        "model": (scenario.model, spec.model.name),
        "model_parameters": (
            dict(scenario.model_parameters),
            {name: spec.model.parameters.get(name) for name in scenario.model_parameters},
        ),
        "codec": (scenario.codec, spec.codec.name),
        "codec_parameters": (dict(scenario.codec_parameters), dict(spec.codec.parameters)),
        "aggregation": (scenario.aggregation, spec.aggregation.name),
        "aggregation_parameters": (dict(scenario.aggregation_parameters), dict(spec.aggregation.parameters)),
    }
    if spec.server is None:
        found["server"] = (scenario.server, NO_SERVER)
    else:
        found["server"] = (scenario.server, spec.server.name)
        found["server_parameters"] = (dict(scenario.server_parameters), dict(spec.server.parameters))
    if spec.probe is not None:
        found["probe_count"] = (scenario.probe_count, spec.probe.count)
    return found


def _number(history: RoundHistory) -> int:
    return history.number


def _hex(value: bytes | None) -> str | None:
    return None if value is None else value.hex()


def _read(path: Path) -> str:
    if path.stat().st_size > MAX_BYTES:
        raise ConfigurationError(f"it is larger than {MAX_BYTES} bytes")
    return path.read_text(encoding="utf-8")
