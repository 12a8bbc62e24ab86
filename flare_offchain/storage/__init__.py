"""Objects under their content ids: in memory, in a folder, or on IPFS."""

from flare_offchain.storage.local import LocalStorageProvider
from flare_offchain.storage.memory import InMemoryStorageProvider
from flare_offchain.storage.provider import StorageProvider

__all__ = ["InMemoryStorageProvider", "LocalStorageProvider", "StorageProvider"]
