"""The store in a folder: names, atomicity, faults of the disk, several processes."""

import errno
import io
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flare_offchain.core.errors import MalformedObject, ObjectNotFound, StorageUnavailable
from flare_offchain.storage import LocalStorageProvider
from flare_offchain.storage.cid import CHUNK_BYTES, cid_string, content_id
from tests.suites.storage_suite import StorageSuite, sample

pytestmark = pytest.mark.unit


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def path_of(store, identifier) -> Path:
    name = cid_string(identifier)
    return store.folder / "objects" / name[-3:-1] / name


class TestLocalStorageProvider(StorageSuite):
    @pytest.fixture(params=[True, False], ids=["durable", "fast"])
    def store(self, tmp_path, request):
        return LocalStorageProvider(tmp_path / "store", max_object_bytes=self.LIMIT, durable=request.param)

    def corrupt(self, store, identifier, data):
        path_of(store, identifier).write_bytes(data)

    def test_put_heals_an_altered_object(self, store):
        identifier = store.put(b"hello")
        self.corrupt(store, identifier, b"other")
        store.put(b"hello")
        assert store.get(identifier) == b"hello"


@pytest.fixture
def store(tmp_path):
    return LocalStorageProvider(tmp_path / "store", max_object_bytes=2**20)


class Failing(io.RawIOBase):
    """A source that breaks after a megabyte less one chunk."""

    def __init__(self, error):
        self.left = 3
        self.error = error

    def read(self, size=-1):
        if self.left == 0:
            raise self.error
        self.left -= 1
        return bytes(size)


class TestFiles:
    def test_object_is_a_plain_file_under_its_cid(self, store):
        identifier = store.put(b"hello")
        assert path_of(store, identifier).read_bytes() == b"hello"

    def test_objects_survive_the_process(self, store):
        identifier = store.put(b"hello")
        assert LocalStorageProvider(store.folder).get(identifier) == b"hello"

    def test_what_is_not_an_object_of_the_store_is_never_returned(self, store):
        identifier = content_id(b"hello")
        path_of(store, identifier).mkdir(parents=True)
        with pytest.raises(StorageUnavailable):
            store.get(identifier)

    @pytest.mark.parametrize("error", [OSError(errno.EIO, "broken"), MalformedObject("stop"), KeyboardInterrupt()])
    def test_interrupted_put_leaves_nothing(self, store, error):
        with pytest.raises((StorageUnavailable, MalformedObject, KeyboardInterrupt)):
            store.put_stream(Failing(error))
        assert files(store.folder) == []

    def test_temporary_files_of_the_dead_are_removed_and_those_of_the_living_are_not(self, store):
        old, new = (store.folder / "temporary" / name for name in ("old", "new"))
        old.write_bytes(b"x")
        new.write_bytes(b"x")
        hours_ago = time.time() - 7200
        os.utime(old, (hours_ago, hours_ago))
        LocalStorageProvider(store.folder)
        assert files(store.folder) == [new]

    def test_an_object_pinned_while_it_is_collected_stays(self, store, monkeypatch):
        identifier = store.put(b"hello")
        store.unpin(identifier)
        replace = Path.replace

        def pin_meanwhile(self, target):
            result = replace(self, target)
            if "temporary" in str(target):
                store._write_pin(identifier)
            return result

        monkeypatch.setattr(Path, "replace", pin_meanwhile)
        store.collect()
        assert store.get(identifier) == b"hello"


KILLED = """
import os, sys, signal
from flare_offchain.storage import LocalStorageProvider
class Source:
    pieces = 0
    def read(self, size):
        self.pieces += 1
        if self.pieces == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return bytes(size)
LocalStorageProvider(sys.argv[1]).put_stream(Source())
"""

FULL = """
import resource, sys
from flare_offchain.storage import LocalStorageProvider
from flare_offchain.core.errors import StorageUnavailable
store = LocalStorageProvider(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    store.put(bytes(200_000))
except StorageUnavailable as error:
    print(error)
"""

WRITER = """
import sys
from flare_offchain.storage import LocalStorageProvider
store = LocalStorageProvider(sys.argv[1])
for step in range(40):
    store.put(bytes([step]) * 300_000)
"""


class TestProcesses:
    def run(self, script, *arguments):
        return subprocess.run([sys.executable, "-c", script, *map(str, arguments)], capture_output=True, text=True)

    def test_killed_put_leaves_no_object(self, store):
        assert self.run(KILLED, store.folder).returncode == -9
        assert files(store.folder / "objects") == []

    def test_write_beyond_what_the_system_allows(self, store):
        done = self.run(FULL, store.folder)
        assert "cannot store an object" in done.stdout and "larger than" in done.stdout
        assert files(store.folder) == []

    def test_processes_writing_the_same_objects_and_a_reader(self, store):
        writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(store.folder)]) for _ in range(2)]
        names = [content_id(bytes([step]) * 300_000) for step in range(40)]
        while any(writer.poll() is None for writer in writers):
            for step, name in enumerate(names):
                if store.exists(name):
                    assert store.get(name) == bytes([step]) * 300_000
        assert [writer.returncode for writer in writers] == [0, 0]
        assert all(store.exists(name) for name in names)
        assert files(store.folder / "temporary") == []


class TestFaults:
    @pytest.mark.parametrize(
        ("code", "advice"),
        [
            (errno.ENOSPC, "disk is full"),
            (errno.EDQUOT, "quota"),
            (errno.EACCES, "permission denied"),
            (errno.EROFS, "read-only"),
            (errno.EIO, "Input/output error"),
        ],
    )
    @pytest.mark.parametrize("call", ["fsync", "replace"])
    def test_failed_write_says_what_to_do_and_leaves_nothing(self, store, monkeypatch, code, advice, call):
        def fail(*arguments):
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(*((os, "fsync") if call == "fsync" else (Path, "replace")), fail)
        with pytest.raises(StorageUnavailable, match=advice):
            store.put(b"hello")
        monkeypatch.undo()
        assert files(store.folder / "objects") == files(store.folder / "temporary") == []
        assert not store.exists(content_id(b"hello"))
        assert store.get(store.put(b"hello")) == b"hello"

    def test_a_file_in_the_way(self, tmp_path):
        (tmp_path / "taken").write_bytes(b"")
        for folder in (tmp_path / "taken", tmp_path / "taken" / "below"):
            with pytest.raises(StorageUnavailable, match="in the way"):
                LocalStorageProvider(folder)

    def test_folder_removed_under_a_running_store(self, store):
        identifier = store.put(b"hello")
        for path in files(store.folder):
            path.unlink()
        for path in sorted((p for p in store.folder.rglob("*")), reverse=True):
            path.rmdir()
        with pytest.raises(StorageUnavailable, match="cannot store"):
            store.put(b"hello")
        assert not store.exists(identifier)
        with pytest.raises(ObjectNotFound):
            store.get(identifier)

    @pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read and write everything")
    def test_folder_that_may_not_be_written(self, store):
        store.folder.joinpath("temporary").chmod(0o500)
        with pytest.raises(StorageUnavailable, match="permission denied"):
            store.put(b"hello")

    def test_no_room_for_a_temporary_copy(self, store, monkeypatch):
        identifier = store.put(sample(CHUNK_BYTES))

        def fail(*arguments):
            raise OSError(errno.ENOSPC, "full")

        monkeypatch.setattr("tempfile.SpooledTemporaryFile.write", fail)
        with pytest.raises(StorageUnavailable, match="temporary copy"):
            store.open(identifier)
