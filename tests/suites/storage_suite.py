"""What every store must do. Subclass it with a fixture `store`."""

import dataclasses
import hashlib
import io
import random
import threading

import pytest

from flare_offchain.core.errors import IntegrityError, MalformedObject, ObjectNotFound
from flare_offchain.core.types import ContentId
from flare_offchain.storage.cid import CHUNK_BYTES, content_id
from flare_offchain.storage.provider import StorageProvider

SIZES = [0, 1, 100, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES + 17]


def sample(size: int, label: str = "") -> bytes:
    """Bytes of their own for each label, so that tests sharing a store cannot see each other's objects."""
    return random.Random(f"{label}/{size}").randbytes(size)


class StorageSuite:
    """Tests of `StorageProvider`."""

    LIMIT = 4 * CHUNK_BYTES
    """`max_object_bytes` of the store that the fixture makes."""

    @pytest.fixture
    def store(self) -> StorageProvider:
        raise NotImplementedError

    @pytest.fixture
    def label(self, request) -> str:
        return request.node.nodeid

    def corrupt(self, store: StorageProvider, identifier: ContentId, data: bytes) -> None:
        """Put other bytes where the store keeps the object, behind its back."""
        raise NotImplementedError

    @pytest.mark.parametrize("size", SIZES)
    def test_put_then_get_returns_the_bytes(self, store, size, label):
        data = sample(size, label)
        identifier = store.put(data)
        assert identifier == content_id(data)
        assert store.get(identifier) == data
        assert store.exists(identifier)

    @pytest.mark.parametrize("size", SIZES)
    def test_streams_give_the_same(self, store, size, label):
        data = sample(size, label)
        assert store.put_stream(io.BytesIO(data)) == content_id(data)
        with store.open(content_id(data)) as file:
            assert hashlib.sha256(file.read()).digest() == hashlib.sha256(data).digest()

    def test_stream_is_read_from_where_it_stands(self, store, label):
        data = sample(50, label)
        source = io.BytesIO(b"before" + data)
        source.seek(6)
        assert store.put_stream(source) == content_id(data)

    def test_put_twice_is_the_same_object(self, store, label):
        data = sample(CHUNK_BYTES + 5, label)
        assert store.put(data) == store.put(data)
        assert store.get(content_id(data)) == data

    def test_unknown_objects_are_not_found(self, store, label):
        for size in (10, CHUNK_BYTES + 1):
            unknown = content_id(sample(size, label))
            assert not store.exists(unknown)
            for read in (store.get, store.open, store.pin):
                with pytest.raises(ObjectNotFound):
                    read(unknown)

    def test_another_size_is_another_object(self, store, label):
        identifier = store.put(sample(10, label))
        for size in (9, 11, 2**32 - 1):
            other = dataclasses.replace(identifier, size=size)
            assert not store.exists(other)
            with pytest.raises((IntegrityError, ObjectNotFound)):
                store.get(other)

    def test_delete_removes_a_pinned_object_and_may_be_repeated(self, store, label):
        for size in (10, 2 * CHUNK_BYTES + 1):
            identifier = store.put(sample(size, label))
            store.delete(identifier)
            assert not store.exists(identifier)
            with pytest.raises(ObjectNotFound):
                store.get(identifier)
            store.delete(identifier)

    def test_deleted_objects_can_be_put_again(self, store, label):
        data = sample(CHUNK_BYTES + 1, label)
        store.delete(store.put(data))
        assert store.get(store.put(data)) == data

    def test_collection_keeps_what_is_pinned(self, store, label):
        kept, dropped, pinned_again = (store.put(sample(CHUNK_BYTES + n, label)) for n in (1, 2, 3))
        store.unpin(dropped)
        store.unpin(pinned_again)
        assert store.exists(dropped)
        store.pin(pinned_again)
        store.collect()
        assert store.exists(kept) and store.exists(pinned_again)
        assert not store.exists(dropped)
        assert store.get(pinned_again) == sample(CHUNK_BYTES + 3, label)

    def test_pin_and_unpin_may_be_repeated(self, store, label):
        identifier = store.put(sample(10, label))
        store.pin(identifier)
        store.pin(identifier)
        store.unpin(identifier)
        store.unpin(identifier)
        store.unpin(content_id(sample(11, label)))
        assert store.get(identifier) == sample(10, label)

    def test_objects_beyond_the_store_limit_are_refused(self, store, label):
        assert store.max_object_bytes == self.LIMIT
        data = sample(self.LIMIT + 1, label)
        identifier = content_id(data)
        with pytest.raises(MalformedObject, match="limit"):
            store.put(data)
        with pytest.raises(MalformedObject, match="limit"):
            store.put_stream(io.BytesIO(data))
        assert not store.exists(identifier)
        with pytest.raises(ObjectNotFound, match="keeps up to"):
            store.get(identifier)
        at_limit = data[:-1]
        assert store.get(store.put(at_limit)) == at_limit

    def test_caller_may_want_less(self, store, label):
        identifier = store.put(sample(10, label))
        assert len(store.get(identifier, max_bytes=10)) == 10
        for read in (store.get, store.open):
            with pytest.raises(MalformedObject, match="admitted"):
                read(identifier, max_bytes=9)

    @pytest.mark.parametrize("size", [10, CHUNK_BYTES])
    def test_altered_bytes_are_never_returned(self, store, size, label):
        data = sample(size, label)
        for altered in (data[:-1] + bytes([data[-1] ^ 1]), data[:-1], data + b"\0", b""):
            identifier = store.put(data)
            self.corrupt(store, identifier, altered)
            for read in (store.get, store.open):
                with pytest.raises((IntegrityError, ObjectNotFound)):
                    read(identifier)
            store.delete(identifier)

    def test_an_altered_object_can_be_replaced(self, store, label):
        data = sample(10, label)
        identifier = store.put(data)
        self.corrupt(store, identifier, b"other")
        store.delete(identifier)
        store.put(data)
        assert store.get(identifier) == data

    def test_threads_may_share_it(self, store, label):
        failures = []

        def work(worker: int) -> None:
            for step in range(10):
                data = sample(1000, f"{label}{step % 3}")
                identifier = store.put(data)
                if store.get(identifier) != data:
                    failures.append((worker, step))

        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
