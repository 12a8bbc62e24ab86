"""The deployment records against the chain: every field that the chain, or this release, also knows."""

from __future__ import annotations

from flare_offchain.audit.ledger import Ledger
from flare_offchain.blockchain.artifacts import load_artifact
from flare_offchain.blockchain.connector import BlockchainConnector
from flare_offchain.blockchain.contracts import RoundCoordinator
from flare_offchain.blockchain.create2 import SALT_BYTES
from flare_offchain.blockchain.deployments import Deployment, FlareDeployment
from flare_offchain.core.errors import ChainUnavailable

CODE = "the contracts' code is this release's"
RECORD = "a deployment record says what the chain says"


def check_deployment(ledger: Ledger, chain: BlockchainConnector, deployment: FlareDeployment) -> None:
    """Check the records of contracts whose code was already compared (`open_deployment`)."""
    for record in deployment.records:
        ledger.check(CODE, True, None, record.contract)
        _check_record(ledger, chain, record)
    registry = deployment.registry
    arguments = (str(registry.minimum_bond()), str(registry.unbonding_delay()))
    recorded = next(r.arguments for r in deployment.records if r.contract == RoundCoordinator.NAME)
    ledger.equal(RECORD, recorded, arguments, None, f"{RoundCoordinator.NAME}: arguments")


def _check_record(ledger: Ledger, chain: BlockchainConnector, record: Deployment) -> None:
    subject, artifact = record.contract, load_artifact(record.contract)
    ledger.equal(RECORD, record.compiler, artifact.compiler, None, f"{subject}: compiler")
    ledger.equal(RECORD, sorted(record.libraries), sorted(artifact.runtime.links), None, f"{subject}: libraries")
    try:
        block_hash = "0x" + chain.stamp(record.block).hash.hex()
    except ChainUnavailable as error:
        ledger.check(RECORD, False, None, f"{subject}: block", str(error))
        return
    ledger.equal(RECORD, record.block_hash, block_hash, None, f"{subject}: block")
    try:
        sent = chain.transaction_input(bytes.fromhex(record.transaction.removeprefix("0x")))
    except (ChainUnavailable, ValueError) as error:
        ledger.check(RECORD, False, None, f"{subject}: transaction", str(error))
        return
    if record.arguments:
        # A contract that another one created has no arguments in its record: its code is in that one's transaction.
        code = artifact.creation.template if not artifact.creation.links else b""
        # A factory is sent the salt before the code.
        carried = sent[SALT_BYTES if record.factory else 0 :].startswith(code)
        ledger.check(RECORD, carried, None, f"{subject}: transaction", "it does not carry the contract's code")
