"""The store in memory."""

import pytest

from flare_offchain.storage import InMemoryStorageProvider
from flare_offchain.storage.cid import cid_string
from tests.suites.storage_suite import StorageSuite

pytestmark = pytest.mark.unit


class TestInMemoryStorageProvider(StorageSuite):
    @pytest.fixture
    def store(self):
        return InMemoryStorageProvider(max_object_bytes=self.LIMIT)

    def corrupt(self, store, identifier, data):
        store._objects[cid_string(identifier)] = data

    def test_put_heals_an_altered_object(self, store):
        identifier = store.put(b"hello")
        self.corrupt(store, identifier, b"other")
        store.put(b"hello")
        assert store.get(identifier) == b"hello"
