"""Every file of a local store against the CID that names it, referenced by a round or not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from flare_offchain.audit.ledger import Ledger
from flare_offchain.audit.object_checks import WHOLE
from flare_offchain.core.errors import FlareError, MalformedObject
from flare_offchain.core.records import TaskHistory
from flare_offchain.core.types import ContentId
from flare_offchain.federation.spec import TaskSpec
from flare_offchain.storage.cid import cid_string, content_id, content_id_of_cid
from flare_offchain.storage.provider import StorageProvider

NAMED = "a store's file is named by a CID"
Place = tuple[int | None, str]
"""The round and the name of an object."""


def object_places(tasks: Mapping[int, TaskHistory], store: StorageProvider) -> dict[str, Place]:
    """Return which round and record names each object, by CID; the first where several do."""
    places: dict[str, Place] = {}
    for task in tasks.values():
        for number, name, identifier in _named(task, store):
            places.setdefault(cid_string(identifier), (number, name))
    return places


def _named(task: TaskHistory, store: StorageProvider) -> Iterator[tuple[int | None, str, ContentId]]:
    yield None, "spec", task.spec
    yield None, "genesis model", task.genesis
    try:
        spec = TaskSpec.decode(store.get(task.spec))
    except FlareError:
        spec = None
    if spec is not None and spec.probe is not None:
        yield None, "probe pool", spec.probe.pool
    for history in task.rounds.values():
        for update in history.updates:
            yield history.number, f"update {update.index}", update.content_id
        for attempt, proposal in history.proposals.items():
            yield history.number, f"report of attempt {attempt}", proposal.report
            yield history.number, f"model of attempt {attempt}", proposal.model


def check_files(ledger: Ledger, folder: Path, places: Mapping[str, Place]) -> None:
    """Hash every file of a store's folder and compare it with its name."""
    unreferenced = 0
    for path in sorted((folder / "objects").rglob("*")):
        if not path.is_file():
            continue
        number, name = places.get(path.name, (None, "unreferenced object"))
        unreferenced += path.name not in places
        label = f"{name} {path.name}"
        try:
            with path.open("rb") as file:
                found = cid_string(content_id(file))
        except (OSError, MalformedObject) as error:
            ledger.check(WHOLE, False, number, label, f"it cannot be read: {error}")
            continue
        if path.name not in places and not _is_cid(path.name, found):
            ledger.check(NAMED, False, None, f"file {path.name}", "its name is no CID")
            continue
        ledger.check(WHOLE, found == path.name, number, label, f"the file holds {found}")
    if unreferenced:
        ledger.note(f"{unreferenced} objects of the store are named by no round (they were hashed all the same)")


def _is_cid(name: str, found: str) -> bool:
    """Whether a name is a CID of either codec."""
    if name == found:
        return True
    for size in (0, 2**32 - 1):
        try:
            content_id_of_cid(name, size)
        except MalformedObject:
            continue
        return True
    return False
