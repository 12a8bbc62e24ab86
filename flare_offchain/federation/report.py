"""The report of a round: the committee's published reasoning.

The report names every update of the round, says which could be used, and carries the plan: scores, reasons, margins
and the integers from which the model follows exactly (docs/protocol.md §6). Where the rule remembers, it also carries
every worker's standing after the round, which follows from those of the report before and the plan's scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flare_offchain.core.errors import MalformedObject
from flare_offchain.core.types import Address, ContentId
from flare_offchain.federation.aggregation.plan import Plan
from flare_offchain.federation.aggregation.standing import Standing
from flare_offchain.federation.spec import read_content_id
from flare_offchain.utils.serialization import decode_record, encode_record

REPORT_VERSION = 2
MAX_REPORT_BYTES = 16 * 1024 * 1024
MAX_UPDATES = 4096

USED, UNAVAILABLE, MALFORMED = "used", "unavailable", "malformed"
STATUSES = (USED, UNAVAILABLE, MALFORMED)


@dataclass(frozen=True, slots=True)
class Report:
    """What the proposer found and decided.

    `statuses[i]` is the status of update i; `plan.verdicts` has one verdict for each used update, in order of index.
    `state` is the object of what the task's server optimiser remembers after the round, None where the task has none.
    `standings` are by `worker_key`; empty where the rule does not remember.
    """

    task_id: int
    round: int
    base_digest: bytes
    seed: bytes
    statuses: tuple[str, ...]
    plan: Plan
    state: ContentId | None = None
    standings: Mapping[bytes, Standing] = field(default_factory=dict)

    @property
    def used(self) -> list[int]:
        """Indices of the updates that the plan judges."""
        return [index for index, status in enumerate(self.statuses) if status == USED]

    @property
    def accepted(self) -> list[int]:
        """Indices of the updates in the aggregate."""
        return [i for i, verdict in zip(self.used, self.plan.verdicts, strict=True) if verdict.accepted]

    def encode(self) -> bytes:
        """Return the canonical DAG-CBOR bytes."""
        return encode_record(
            {
                "type": "report",
                "version": REPORT_VERSION,
                "task": self.task_id,
                "round": self.round,
                "base": self.base_digest,
                "seed": self.seed,
                "statuses": list(self.statuses),
                "plan": self.plan.to_record(),
                "state": None if self.state is None else [self.state.digest, self.state.size],
                "standings": [[key, s.value, s.rounds] for key, s in sorted(self.standings.items())],
            }
        )

    @classmethod
    def decode(cls, data: bytes) -> Report:
        """Read a report; raise `MalformedObject` unless it is canonical and consistent in itself."""
        record: Any = decode_record(data, max_bytes=MAX_REPORT_BYTES)
        names = {"type", "version", "task", "round", "base", "seed", "statuses", "plan", "state", "standings"}
        if not isinstance(record, dict) or set(record) != names:
            raise MalformedObject("not a report: wrong fields")
        if record["type"] != "report" or record["version"] != REPORT_VERSION:
            raise MalformedObject(f"not a report of version {REPORT_VERSION}")
        if type(record["task"]) is not int or type(record["round"]) is not int:
            raise MalformedObject("a report's task and round are integers")
        if not all(isinstance(record[n], bytes) and len(record[n]) == 32 for n in ("base", "seed")):
            raise MalformedObject("a report's base and seed are 32 bytes")
        statuses = record["statuses"]
        if not isinstance(statuses, list) or len(statuses) > MAX_UPDATES or any(s not in STATUSES for s in statuses):
            raise MalformedObject("a report has one known status for each update")
        plan = Plan.from_record(record["plan"])
        if len(plan.verdicts) != sum(status == USED for status in statuses):
            raise MalformedObject("a report's plan has one verdict for each used update")
        state = None if record["state"] is None else read_content_id(record["state"])
        return cls(
            record["task"],
            record["round"],
            record["base"],
            record["seed"],
            tuple(statuses),
            plan,
            state,
            _read_standings(record["standings"]),
        )


def worker_key(worker: Address) -> bytes:
    """Return the 20 bytes under which a report keeps a worker's standing."""
    return bytes.fromhex(worker.removeprefix("0x"))


def _read_standings(record: object) -> dict[bytes, Standing]:
    if not isinstance(record, list):
        raise MalformedObject("a report has a list of standings")
    standings: dict[bytes, Standing] = {}
    before = b""
    for entry in record:
        if not isinstance(entry, list) or [type(item) for item in entry] != [bytes, float, int]:
            raise MalformedObject("a standing is a worker, a value and a number of rounds")
        key, value, rounds = entry
        if len(key) != 20 or key <= before or rounds < 1:
            raise MalformedObject("standings are in ascending order of workers, each after a round at least")
        standings[key], before = Standing(value, rounds), key
    return standings


def bitmap_of(indices: list[int], count: int) -> bytes:
    """Return the accepted bitmap: bit i%8 of byte i//8 is set for each index; ceil(count / 8) bytes."""
    bitmap = bytearray((count + 7) // 8)
    for index in indices:
        bitmap[index // 8] |= 1 << index % 8
    return bytes(bitmap)
