"""Objects under their content ids: in memory, in a folder, or on IPFS."""

from typing import TYPE_CHECKING

from flare_offchain.storage.local import LocalStorageProvider
from flare_offchain.storage.memory import InMemoryStorageProvider
from flare_offchain.storage.provider import StorageProvider

if TYPE_CHECKING:
    from flare_offchain.storage.ipfs import IPFSStorageProvider

__all__ = ["IPFSStorageProvider", "InMemoryStorageProvider", "LocalStorageProvider", "StorageProvider"]


def __getattr__(name: str) -> object:
    # The client library takes a third of a second to import, and only users of IPFS need it.
    if name == "IPFSStorageProvider":
        from flare_offchain.storage.ipfs import IPFSStorageProvider

        return IPFSStorageProvider
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
