"""Every file of a store is hashed, whether a round names it or not."""

import pytest

from flare_offchain.audit.ledger import Ledger
from flare_offchain.audit.object_checks import WHOLE
from flare_offchain.cli.stored import NAMED, check_files, object_places
from flare_offchain.core.records import RoundHistory, TaskHistory, UpdateRecord
from flare_offchain.core.types import Address
from flare_offchain.storage.cid import CHUNK_BYTES, cid_string
from flare_offchain.storage.local import LocalStorageProvider

pytestmark = pytest.mark.unit


@pytest.fixture
def store(tmp_path):
    return LocalStorageProvider(tmp_path)


def path_of(store, identifier):
    return next(path for path in store.folder.rglob(cid_string(identifier)) if path.parent.parent.name == "objects")


def findings(store, places=()):
    ledger = Ledger()
    check_files(ledger, store.folder, dict(places))
    return ledger


def test_whole_files__are_counted(store):
    for size in (0, 1, CHUNK_BYTES, CHUNK_BYTES + 1):
        store.put(bytes(size))
    ledger = findings(store)
    assert not ledger.findings
    assert ledger.checked[WHOLE] == 4
    assert "4 objects" in ledger.notes[0]


@pytest.mark.parametrize("size", [10, CHUNK_BYTES + 10])
@pytest.mark.parametrize(
    "alter",
    [lambda d: d[:-1], lambda d: d + b"x", lambda d: bytes([d[0] ^ 1]) + d[1:], lambda d: b"", lambda d: bytes(2**19)],
)
def test_altered_file__is_found_under_its_round_and_name(store, size, alter):
    identifier = store.put(b"a" * size)
    path = path_of(store, identifier)
    path.write_bytes(alter(path.read_bytes()))
    for places, where in (((), None), ([(cid_string(identifier), (3, "update 2"))], 3)):
        (found,) = findings(store, places).findings
        assert (found.round, found.rule) == (where, WHOLE)
        assert cid_string(identifier) in found.object


def test_stray_file__is_no_object(store):
    (store.folder / "objects" / "xx").mkdir()
    (store.folder / "objects" / "xx" / "notes.txt").write_text("hello")
    (found,) = findings(store).findings
    assert (found.rule, found.object) == (NAMED, "file notes.txt")


def test_places__name_round_and_record(store):
    names = [store.put(bytes([n])) for n in range(3)]
    task = TaskHistory(1, Address("0x" + "11" * 20), names[0], names[1], {}, 1)
    task.rounds[2] = RoundHistory(2, 1, bytes(32), 1, 2)
    task.rounds[2].updates = [UpdateRecord(0, Address("0x" + "22" * 20), names[2], 5, 3)]
    places = object_places({1: task}, store)
    assert places[cid_string(names[0])] == (None, "spec")
    assert places[cid_string(names[1])] == (None, "genesis model")
    assert places[cid_string(names[2])] == (2, "update 0")
