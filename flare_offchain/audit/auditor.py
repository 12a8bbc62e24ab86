"""The audit of a task: every round, from the chain's records and the objects' hashes alone.

It needs no key and trusts no worker: whatever a contract or a committee decided is derived again and compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from flare_offchain.audit import claim_checks, object_checks, reward_checks, sortition_checks, voting_checks
from flare_offchain.audit.facts import ChainFacts
from flare_offchain.audit.ledger import Finding, Ledger
from flare_offchain.core.participants import Participants
from flare_offchain.core.phases import Phase
from flare_offchain.core.records import RoundHistory, TaskHistory
from flare_offchain.federation.gather import TaskObjects
from flare_offchain.federation.update import TaskIdentity
from flare_offchain.storage.provider import StorageProvider


@dataclass(frozen=True, slots=True)
class AuditReport:
    """The result of an audit."""

    task_id: int
    rounds: int
    finalized: int
    void: int
    checked: Mapping[str, int]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]

    @property
    def clean(self) -> bool:
        """Whether every rule held."""
        return not self.findings

    @property
    def checks(self) -> int:
        """How many checks were made."""
        return sum(self.checked.values())

    def to_json(self) -> dict[str, Any]:
        return {
            "task": self.task_id,
            "rounds": self.rounds,
            "finalized": self.finalized,
            "void": self.void,
            "checks": self.checks,
            "checked": dict(self.checked),
            "findings": [finding.to_json() for finding in self.findings],
            "notes": list(self.notes),
        }


class Auditor:
    """Audits one task."""

    def __init__(
        self,
        identity: TaskIdentity,
        task: TaskHistory,
        participants: Participants,
        facts: ChainFacts,
        store: StorageProvider,
        ledger: Ledger | None = None,
    ) -> None:
        """`participants`: what the registry's events say of them."""
        self.identity, self.task, self.participants, self.facts = identity, task, participants, facts
        self.objects = TaskObjects(store)
        self.ledger = ledger or Ledger()

    def run(self, rounds: Iterable[int] | None = None) -> AuditReport:
        """Audit the task's objects and the given rounds (all, unless some are named)."""
        chosen = sorted(self.task.rounds) if rounds is None else sorted(set(rounds))
        object_checks.check_task_objects(self.ledger, self.objects, self.task)
        claim_checks.check_numbers(self.ledger, self.task, self.participants)
        for number in chosen:
            history = self.task.rounds.get(number)
            if not self.ledger.check("a round is recorded", history is not None, number, "round", "never opened"):
                continue
            assert history is not None
            self._audit(history)
        self._check_money()
        audited = [self.task.rounds[n] for n in chosen if n in self.task.rounds]
        return AuditReport(
            self.task.task_id,
            len(audited),
            sum(r.phase is Phase.Finalized for r in audited),
            sum(r.phase is Phase.Void for r in audited),
            dict(sorted(self.ledger.checked.items())),
            tuple(self.ledger.findings),
            tuple(self.ledger.notes),
        )

    def _audit(self, history: RoundHistory) -> None:
        ledger, identity, task, facts = self.ledger, self.identity, self.task, self.facts
        sortition_checks.check_opening(ledger, task, history)
        sortition_checks.check_updates(ledger, task, history, facts)
        sortition_checks.check_seed(ledger, identity, history, self._previous_seed(history.number), facts)
        sortition_checks.check_sortition(ledger, identity, task, history, facts, self.participants)
        voting_checks.check_proposals(ledger, task, history, facts)
        voting_checks.check_votes(ledger, history, facts)
        voting_checks.check_openings(ledger, identity, history)
        voting_checks.check_outcome(ledger, history)
        voting_checks.check_fines(ledger, identity, task, history, facts)
        object_checks.check_round_objects(ledger, identity, self.objects, task, history)
        reward_checks.check_rewards(ledger, identity, task, history)
        if not history.phase.terminal:
            ledger.note(f"round {history.number} is still in progress ({history.phase.name.upper()})")

    def _previous_seed(self, number: int) -> bytes:
        seeds = [r.seed.seed for n, r in sorted(self.task.rounds.items()) if n < number and r.seed is not None]
        return seeds[-1] if seeds else bytes(32)

    def _check_money(self) -> None:
        """What the task paid out never exceeds what was put in."""
        paid = sum(r.reward for r in self.task.rounds.values())
        detail = f"{paid} wei of {self.task.funded} wei"
        self.ledger.check("rewards come out of the budget", paid <= self.task.funded, None, "budget", detail)
        credited = sum(c.amount for r in self.task.rounds.values() for c in r.credits)
        withdrawn = sum(amount for _, amount in self.task.withdrawals)
        detail = f"{withdrawn} wei of {credited} wei credited"
        self.ledger.check("only credited rewards are withdrawn", withdrawn <= credited, None, "budget", detail)
