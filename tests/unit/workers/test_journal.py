"""The journal keeps whole entries, whatever happens."""

import pytest

from flare_offchain.core.errors import StorageUnavailable
from flare_offchain.workers.journal import FolderJournal, MemoryJournal

pytestmark = pytest.mark.unit


@pytest.fixture(params=["memory", "folder"])
def journal(request, tmp_path):
    return MemoryJournal() if request.param == "memory" else FolderJournal(tmp_path / "journal")


def test_entries_are_kept_replaced_and_removed(journal):
    assert journal.read("a") is None
    journal.write("a", b"1")
    journal.write("b", b"2")
    journal.write("a", b"3")
    assert (journal.read("a"), journal.read("b")) == (b"3", b"2")
    journal.remove("a")
    journal.remove("never there")
    assert journal.read("a") is None


def test_entries_survive_a_restart(tmp_path):
    FolderJournal(tmp_path).write("a", b"kept")
    assert FolderJournal(tmp_path).read("a") == b"kept"


def test_a_half_written_entry_is_not_read(tmp_path):
    journal = FolderJournal(tmp_path)
    journal.write("a", b"whole")
    (tmp_path / ".a.new").write_bytes(b"half")
    assert FolderJournal(tmp_path).read("a") == b"whole"


def test_unusable_folders_are_reported(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageUnavailable, match="cannot create the journal"):
        FolderJournal(tmp_path / "file")
    journal = FolderJournal(tmp_path / "journal")
    (tmp_path / "journal" / "a").mkdir()
    with pytest.raises(StorageUnavailable, match="cannot read"):
        journal.read("a")
    with pytest.raises(StorageUnavailable, match="cannot write"):
        journal.write("a", b"1")
