"""The factory behind deterministic deployment: the same code, arguments and salt have the same address on every chain.

It is the contract of https://github.com/Arachnid/deterministic-deployment-proxy: called with a salt (32 bytes) and
initcode, it creates the contract by CREATE2 (EIP-1014) and returns its address (20 bytes), or reverts. Most chains have
it. It is created by a transaction that somebody signed once, for every chain (its signature names none), from an
account whose key nobody has: anyone may fund that account and send it.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from flare_offchain.blockchain.rpc import RpcRefused, hex_of
from flare_offchain.core.errors import ChainUnavailable, ConfigurationError, WrongChain
from flare_offchain.core.types import Address

if TYPE_CHECKING:
    from flare_offchain.blockchain.ethereum import EthereumConnector
    from flare_offchain.blockchain.signers import Signer

logger = logging.getLogger(__name__)

FACTORY = Address("0x4e59b44847b379578588920cA78FbF26c0B4956C")
FACTORY_SIGNER = Address("0x3fAB184622Dc19b6109349B94811493BF2a45362")
FACTORY_COST = 10**16
"""Wei that its transaction costs, whatever gas costs otherwise: 100,000 gas at 100 gwei, all of it spent."""
FACTORY_CODE = bytes.fromhex(
    "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f580"
    "15156039578182fd5b8082525050506014600cf3"
)
_PRESIGNED = bytes.fromhex(
    "f8a58085174876e800830186a08080b853604580600e600039806000f350fe7fffffffffffffffffffffffffffffffffffffffffffffff"
    "ffffffffffffffffe03601600081602082378035828234f58015156039578182fd5b8082525050506014600cf31ba0222222222222222222"
    "2222222222222222222222222222222222222222222222a02222222222222222222222222222222222222222222222222222222222222222"
)
_GAS_PRICE = 100 * 10**9
_MINED_SECONDS = 180.0


def has_factory(chain: EthereumConnector) -> bool:
    """Return whether the chain has the factory. Raises `WrongChain` where other code is at its address."""
    code = chain.code(FACTORY)
    if code and code != FACTORY_CODE:
        raise WrongChain(f"chain {chain.chain_id} has other code than the deployment factory's at {FACTORY}")
    return bool(code)


def create_factory(chain: EthereumConnector, account: Signer, max_fee: int | None = None) -> None:
    """Create the factory where the chain lacks it; `account` pays for it. Safe to repeat.

    `max_fee` caps what a unit of gas may cost, in wei; the factory's own transaction costs what it always does.

    Raises:
        ConfigurationError: the endpoint takes no transaction without a chain id, or gas costs more than that one pays.
        ChainUnavailable: it is not mined, or the endpoint does not answer.
        InsufficientFunds, TransactionNotMined: as `send_value`.
    """
    if has_factory(chain):
        return
    if chain.fee_levels()[0] > _GAS_PRICE:
        raise ConfigurationError(
            f"gas costs more than the {_GAS_PRICE // 10**9} gwei that the deployment factory's transaction pays: wait"
        )
    # Asked for once more after a kill, the account may hold the money, or have spent it, already.
    short = FACTORY_COST - chain.balance(FACTORY_SIGNER)
    if short > 0 and chain.next_nonce(FACTORY_SIGNER) == 0:
        logger.info("funding the deployment factory's signer %s", FACTORY_SIGNER)
        doing = "the funding of the deployment factory"
        chain.send_data(account, FACTORY_SIGNER, b"", doing=doing, value=short, max_fee=max_fee).confirmed()
    try:
        chain.rpc.request("eth_sendRawTransaction", hex_of(_PRESIGNED))
    except RpcRefused as refused:
        if refused.says("replay-protected", "unprotected", "eip-155", "eip155"):
            raise ConfigurationError(
                f"{chain.rpc.label} takes no transaction without a chain id, and the chain has no deployment factory "
                f"at {FACTORY}: start the node with --rpc.allow-unprotected-txs (geth), or send the factory's "
                "transaction through an endpoint that takes it (its signer is funded)"
            ) from None
        if not refused.says("already known", "known transaction", "already imported", "nonce too low"):
            raise chain.rpc.unavailable(refused, "the deployment factory's transaction") from None
    deadline = time.monotonic() + _MINED_SECONDS
    while not has_factory(chain):
        if chain.transaction_count(FACTORY_SIGNER) and not has_factory(chain):
            raise ConfigurationError(
                f"the deployment factory's transaction failed on chain {chain.chain_id}, for good: it cannot have one"
            )
        if time.monotonic() > deadline:
            raise ChainUnavailable("the deployment factory's transaction is not mined: wait, and deploy again")
        if chain.pause(0.25):
            raise ChainUnavailable("interrupted while the deployment factory's transaction was waited for")
