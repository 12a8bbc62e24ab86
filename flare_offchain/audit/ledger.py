"""What an audit checked and what it found.

Every check has a rule: one short sentence that held or was broken. The ledger counts the checks of each rule, so that
an audit without a finding still says what it looked at.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken rule: in which round, about which object or record, and what was seen."""

    round: int | None
    object: str
    rule: str
    detail: str

    def to_json(self) -> dict[str, Any]:
        return {"round": self.round, "object": self.object, "rule": self.rule, "detail": self.detail}

    def __str__(self) -> str:
        where = "the task" if self.round is None else f"round {self.round}"
        return f"{where}: {self.object}: {self.rule}: {self.detail}"


@dataclass(slots=True)
class Ledger:
    """Counts checks and collects findings."""

    checked: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def check(self, rule: str, holds: bool, round_number: int | None, subject: str, detail: str = "") -> bool:
        """Count one check of a rule; record a finding unless it holds. Returns whether it holds."""
        self.checked[rule] += 1
        if not holds:
            self.findings.append(Finding(round_number, subject, rule, detail or "it does not hold"))
        return holds

    def equal(self, rule: str, recorded: object, recomputed: object, round_number: int | None, subject: str) -> bool:
        """Check that what the chain recorded equals what the auditor recomputed."""
        detail = f"recorded {_short(recorded)}, recomputed {_short(recomputed)}"
        return self.check(rule, recorded == recomputed, round_number, subject, detail)

    def note(self, text: str) -> None:
        """Keep an observation that is no finding."""
        self.notes.append(text)


def _short(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
