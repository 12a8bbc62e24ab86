"""The store on IPFS against real Kubo daemons."""

import base64
import io
import time
from pathlib import Path

import pytest

from flare_offchain.core.errors import IntegrityError, ObjectNotFound, StorageUnavailable
from flare_offchain.core.types import ContentId
from flare_offchain.storage import InMemoryStorageProvider, IPFSStorageProvider
from flare_offchain.storage.cid import CHUNK_BYTES, MAX_LINKS, cid_string, content_id, content_id_of_cid
from flare_offchain.storage.kubo_daemon import KuboDaemon
from flare_offchain.utils.retry import RetryPolicy
from tests.suites.storage_suite import StorageSuite, sample

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore:The .strict. parameter:FutureWarning")]

ONCE = RetryPolicy(attempts=1)
NOBODY = "http://127.0.0.1:1"
"""An address where nothing listens."""


def block_file(daemon: KuboDaemon, identifier: ContentId) -> Path:
    """Where Kubo's block store keeps the root block of an object."""
    key = base64.b32encode(b"\x12\x20" + identifier.digest).decode().rstrip("=")
    return daemon.repository / "blocks" / key[-3:-1] / f"{key}.data"


@pytest.fixture(scope="module")
def big(daemon):
    """A store without the small limit of the suite."""
    store = IPFSStorageProvider(daemon.endpoint)
    yield store
    store.close()


class TestIPFSStorageProvider(StorageSuite):
    @pytest.fixture
    def store(self, daemon):
        store = IPFSStorageProvider(daemon.endpoint, max_object_bytes=self.LIMIT, timeout=20, retry=ONCE)
        yield store
        store.close()

    @pytest.fixture(autouse=True)
    def _daemon(self, daemon):
        self.daemon = daemon

    def corrupt(self, store, identifier, data):
        path = block_file(self.daemon, identifier)
        assert path.exists()
        path.write_bytes(data)


class TestContentIds:
    @pytest.mark.parametrize(
        "size",
        [
            *(0, 1, 255, 256, 65_535, 65_536),
            *(CHUNK_BYTES + n for n in (-1, 0, 1)),
            *(2 * CHUNK_BYTES + n for n in (-1, 0, 1)),
            *(MAX_LINKS * CHUNK_BYTES + n for n in (-1, 0, 1)),
            *((MAX_LINKS + 1) * CHUNK_BYTES + n for n in (0, 1)),
            *(2 * MAX_LINKS * CHUNK_BYTES + n for n in (0, 1)),
        ],
    )
    def test_kubo_names_objects_as_we_do(self, daemon, tmp_path, size):
        path = tmp_path / "object"
        path.write_bytes(sample(size))
        options = ["--cid-version=1", "--raw-leaves", "--chunker=size-262144"]
        printed = daemon.run("add", "--quieter", "--only-hash", *options, str(path)).strip()
        with path.open("rb") as file:
            assert cid_string(content_id(file)) == printed

    def test_objects_of_several_levels_travel_as_streams(self, big):
        data = sample((MAX_LINKS + 2) * CHUNK_BYTES + 1)
        identifier = big.put_stream(io.BytesIO(data))
        assert identifier == content_id(data)
        with big.open(identifier) as file:
            assert file.read() == data
        big.delete(identifier)
        assert not big.exists(identifier)

    def test_the_node_s_own_import_settings_do_not_matter(self, daemon, kubo_binary, tmp_path):
        with KuboDaemon(tmp_path / "other", binary=kubo_binary) as other:
            other.run("config", "--json", "Import", '{"UnixFSChunker": "size-1048576", "UnixFSFileMaxLinks": 16}')
            store = IPFSStorageProvider(other.endpoint, retry=ONCE)
            data = sample(20 * CHUNK_BYTES)
            assert store.put(data) == content_id(data)
            store.close()


class TestTrees:
    """Roots that are the right hash of something that is not an object of Flare."""

    def test_a_folder_is_not_an_object(self, daemon, big, tmp_path):
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "file").write_bytes(b"x")
        root = daemon.run("add", "-r", "--quieter", "--cid-version=1", str(tmp_path / "folder")).strip()
        with pytest.raises(ObjectNotFound):
            big.get(content_id_of_cid(root, CHUNK_BYTES + 1))

    def test_another_layout_of_the_same_bytes_is_refused(self, daemon, big, tmp_path):
        data = sample(2 * CHUNK_BYTES)
        (tmp_path / "file").write_bytes(data)
        options = ["--cid-version=1", "--raw-leaves", "--chunker=size-1024"]
        other = daemon.run("add", "--quieter", *options, str(tmp_path / "file")).strip()
        identifier = content_id_of_cid(other, len(data))
        with pytest.raises(IntegrityError):
            big.get(identifier)
        with pytest.raises(IntegrityError):
            big.pin(identifier)

    def test_a_tree_larger_than_its_name_says_is_neither_read_nor_pinned_whole(self, daemon, big, tmp_path):
        (tmp_path / "file").write_bytes(sample(40 * CHUNK_BYTES))
        options = ["--cid-version=1", "--raw-leaves", "--chunker=size-262144", "--pin=false"]
        root = daemon.run("add", "--quieter", *options, str(tmp_path / "file")).strip()
        identifier = content_id_of_cid(root, CHUNK_BYTES + 1)
        for read in (big.get, big.pin):
            with pytest.raises(IntegrityError, match="longer"):
                read(identifier)
        assert root not in daemon.run("pin", "ls", "--type=recursive")

    def test_deleting_keeps_blocks_that_another_pinned_object_shares(self, big):
        shared = sample(CHUNK_BYTES, "shared")
        kept, deleted = big.put(shared + b"kept"), big.put(shared + b"deleted")
        big.delete(deleted)
        assert big.get(kept) == shared + b"kept"
        assert not big.exists(deleted)

    def test_an_object_that_lost_a_block_does_not_exist(self, daemon, big):
        first = sample(CHUNK_BYTES, "first")
        identifier = big.put(first + b"more")
        block_file(daemon, content_id(first)).unlink()
        assert not big.exists(identifier)
        with pytest.raises(ObjectNotFound):
            big.get(identifier)
        assert big.get(big.put(first + b"more")) == first + b"more"


class TestTwoNodes:
    def test_an_object_put_on_one_is_had_from_the_other(self, pair):
        first, second = (IPFSStorageProvider(node.endpoint, timeout=30, retry=ONCE) for node in pair)
        for size in (1000, 5 * CHUNK_BYTES + 3):
            data = sample(size, "exchange")
            identifier = first.put(data)
            assert not second.exists(identifier)
            assert second.get(identifier) == data
            assert second.exists(identifier)

    def test_pinning_on_the_other_fetches_it(self, pair):
        first, second = (IPFSStorageProvider(node.endpoint, timeout=30, retry=ONCE) for node in pair)
        data = sample(3 * CHUNK_BYTES, "pinned elsewhere")
        identifier = first.put(data)
        second.pin(identifier)
        first.delete(identifier)
        first.collect()
        second.collect()
        assert second.exists(identifier)
        assert first.get(identifier) == data

    def test_an_object_that_nobody_has_is_not_found_in_time_and_no_outage(self, pair):
        store = IPFSStorageProvider(pair[0].endpoint, timeout=2, retry=ONCE)
        unknown = content_id(b"nobody has this")
        for call in (store.get, store.pin):
            before = time.monotonic()
            with pytest.raises(ObjectNotFound):
                call(unknown)
            assert time.monotonic() - before < 10
        assert not store.exists(unknown)

    def test_everything_is_written_to_both_and_read_from_either(self, pair):
        both = IPFSStorageProvider([node.endpoint for node in pair], timeout=20, retry=ONCE)
        data = sample(2 * CHUNK_BYTES, "both")
        identifier = both.put(data)
        for node in pair:
            assert IPFSStorageProvider(node.endpoint, retry=ONCE).exists(identifier)
        both.delete(identifier)
        for node in pair:
            assert not IPFSStorageProvider(node.endpoint, retry=ONCE).exists(identifier)

    def test_a_node_that_returns_wrong_bytes_is_passed_over(self, pair):
        both = IPFSStorageProvider([node.endpoint for node in pair], timeout=20, retry=ONCE)
        data = sample(1000, "one spoiled")
        identifier = both.put(data)
        block_file(pair[0], identifier).write_bytes(sample(1000, "spoiled"))
        with pytest.raises(IntegrityError):
            IPFSStorageProvider(pair[0].endpoint, retry=ONCE).get(identifier)
        assert both.get(identifier) == data
        both.delete(identifier)


class TestOutages:
    def test_one_node_that_works_is_enough(self, daemon):
        store = IPFSStorageProvider([NOBODY, daemon.endpoint], retry=ONCE)
        data = sample(CHUNK_BYTES + 1, "one down")
        identifier = store.put(data)
        assert store.get(identifier) == data
        assert store.exists(identifier)
        store.pin(identifier)
        for change in (store.unpin, store.delete):
            with pytest.raises(StorageUnavailable):
                change(identifier)
        with pytest.raises(StorageUnavailable):
            store.collect()
        assert not IPFSStorageProvider(daemon.endpoint, retry=ONCE).exists(identifier)
        with pytest.raises(StorageUnavailable):
            store.exists(identifier)
        with pytest.raises(StorageUnavailable):
            store.get(identifier)

    def test_a_daemon_that_stops_and_comes_back(self, kubo_binary, tmp_path):
        daemon = KuboDaemon(tmp_path / "repository", binary=kubo_binary)
        daemon.start()
        store = IPFSStorageProvider(daemon.endpoint, retry=ONCE)
        data = sample(CHUNK_BYTES + 1, "restart")
        identifier = store.put(data)
        daemon.stop()
        with pytest.raises(StorageUnavailable):
            store.get(identifier)
        with pytest.raises(StorageUnavailable, match="not running"):
            _ = daemon.endpoint
        daemon.start()
        try:
            again = IPFSStorageProvider(daemon.endpoint, retry=ONCE)
            assert again.get(identifier) == data
        finally:
            daemon.stop()

    def test_a_daemon_that_cannot_start_says_why(self, kubo_binary, tmp_path):
        with (
            KuboDaemon(tmp_path / "repository", binary=kubo_binary) as first,
            pytest.raises(StorageUnavailable, match="lock"),
        ):
            KuboDaemon(first.repository, binary=kubo_binary).start()


class TestSameNames:
    def test_every_store_names_an_object_alike(self, big, tmp_path):
        data = sample(3 * CHUNK_BYTES, "same")
        assert big.put(data) == InMemoryStorageProvider().put(data)

    def test_check_tells_versions(self, big, daemon):
        assert list(big.check().values()) == [daemon.run("version", "--number").strip()]


def test_daemon__killed_and_started_again__answers_at_the_same_address_with_what_it_had(kubo_binary, tmp_path):
    with KuboDaemon(tmp_path / "ipfs", binary=kubo_binary) as daemon:
        endpoint = daemon.endpoint
        store = IPFSStorageProvider(endpoint)
        kept = store.put(b"kept")
        daemon.kill()
        with pytest.raises(StorageUnavailable):
            store.get(kept)
        daemon.start()
        assert daemon.endpoint == endpoint and store.get(kept) == b"kept"
