"""Keys. (Key files follow below.)"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount


def derive_account(seed: int, index: int) -> LocalAccount:
    """Return account `index` of the embedded chain of a seed.

    **Insecure by design**: whoever knows the seed, which the chain's record states, knows the key. For the embedded
    chain only; never send anything of value there.
    """
    from eth_account import Account

    digest = hashlib.sha256(b"flare/embedded/account" + seed.to_bytes(8, "big") + index.to_bytes(8, "big")).digest()
    account: LocalAccount = Account.from_key(digest)
    return account
