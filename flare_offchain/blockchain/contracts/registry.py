"""The participant registry: bonds and VRF keys. One method a function of `IParticipantRegistry.sol`."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from flare_offchain.blockchain.artifacts import load_artifact
from flare_offchain.blockchain.connector import BlockchainConnector
from flare_offchain.blockchain.contracts.structs import Participant, read_struct
from flare_offchain.blockchain.outcomes import BlockStamp, TransactionOutcome
from flare_offchain.core.types import Address

if TYPE_CHECKING:
    from flare_offchain.blockchain.signers import Signer


class ParticipantRegistry:
    """A registry on a chain. Functions that change state return the transaction's outcome, views a value.

    Raises: as `BlockchainConnector.submit_transaction` and `read_state`.
    """

    NAME = "ParticipantRegistry"

    def __init__(self, chain: BlockchainConnector, address: str) -> None:
        self.chain = chain
        self.contract = load_artifact(self.NAME).at(address)
        self.address = self.contract.address

    def _send(self, account: Signer, function: str, *arguments: object, value: int = 0) -> TransactionOutcome:
        return self.chain.submit_transaction(account, self.contract, function, *arguments, value=value)

    def register(self, account: Signer, vrf_key: int, proof_of_possession: bytes, *, bond: int) -> TransactionOutcome:
        """Register the account with a bond (wei) and a VRF key (its x coordinate)."""
        return self._send(account, "register", vrf_key, proof_of_possession, value=bond)

    def increase_bond(self, account: Signer, amount: int) -> TransactionOutcome:
        """Add wei to the account's bond."""
        return self._send(account, "increaseBond", value=amount)

    def request_exit(self, account: Signer) -> TransactionOutcome:
        """Start the unbonding delay."""
        return self._send(account, "requestExit")

    def withdraw_bond(self, account: Signer) -> TransactionOutcome:
        """Pay the account its bond after the delay."""
        return self._send(account, "withdrawBond")

    def fine(self, account: Signer, fined: str, amount: int) -> TransactionOutcome:
        """Take wei from an account's bond. The coordinator alone may: from any other account it is refused."""
        return self._send(account, "fine", fined, amount)

    def burn_fines(self, account: Signer) -> TransactionOutcome:
        """Send all fines collected so far to the burn address."""
        return self._send(account, "burnFines")

    def participant(self, account: str, block: BlockStamp | None = None) -> Participant:
        """Return an account's registration; all zero where it has none."""
        return read_struct(Participant, self.chain.read_state(self.contract, "participant", account, block=block))

    def participants(self, block: BlockStamp | None = None) -> int:
        """Return how many accounts ever registered: the highest number."""
        return cast(int, self.chain.read_state(self.contract, "participants", block=block))

    def active_key(self, account: str, block: BlockStamp | None = None) -> int:
        """Return the VRF key of an account that is bonded and has not requested an exit, else 0."""
        return cast(int, self.chain.read_state(self.contract, "activeKey", account, block=block))

    def key_owner(self, vrf_key: int, block: BlockStamp | None = None) -> Address:
        """Return the account that registered a key; the zero address where none has."""
        return cast(Address, self.chain.read_state(self.contract, "keyOwner", vrf_key, block=block))

    def possession_alpha(self, account: str, block: BlockStamp | None = None) -> bytes:
        """Return the message of an account's proof of possession."""
        return cast(bytes, self.chain.read_state(self.contract, "possessionAlpha", account, block=block))

    def minimum_bond(self, block: BlockStamp | None = None) -> int:
        """Return the smallest bond, in wei."""
        return cast(int, self.chain.read_state(self.contract, "minimumBond", block=block))

    def unbonding_delay(self, block: BlockStamp | None = None) -> int:
        """Return the seconds between an exit request and the withdrawal."""
        return cast(int, self.chain.read_state(self.contract, "unbondingDelay", block=block))

    def coordinator(self, block: BlockStamp | None = None) -> Address:
        """Return the coordinator that may fine."""
        return cast(Address, self.chain.read_state(self.contract, "coordinator", block=block))

    def unburnt_fines(self, block: BlockStamp | None = None) -> int:
        """Return the fines that are not burnt yet, in wei."""
        return cast(int, self.chain.read_state(self.contract, "unburntFines", block=block))
