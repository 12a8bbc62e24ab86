"""The chain: one connector interface, in process or over JSON-RPC, and Flare's contracts on it.

Names are loaded when they are first used: py-evm for the embedded chain and web3.py for endpoints are both heavy, and
hardly anybody needs both.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flare_offchain.blockchain.artifacts import BoundContract, ContractArtifact, load_artifact
    from flare_offchain.blockchain.connector import BlockchainConnector, Deployed
    from flare_offchain.blockchain.contracts import ParticipantRegistry, RoundCoordinator, TaskRules
    from flare_offchain.blockchain.deployments import (
        Deployment,
        FlareDeployment,
        deploy_flare,
        open_deployment,
        read_deployment,
        verify_deployment,
        write_deployment,
    )
    from flare_offchain.blockchain.embedded import EthTesterConnector
    from flare_offchain.blockchain.ethereum import EthereumConnector
    from flare_offchain.blockchain.events import ChainEvent, EventDecoder, RawLog
    from flare_offchain.blockchain.networks import Network, network_names, read_network
    from flare_offchain.blockchain.outcomes import (
        BlockStamp,
        Confirmed,
        Dropped,
        Pending,
        Receipt,
        Reverted,
        TransactionOutcome,
    )
    from flare_offchain.blockchain.record_verification import RecordFinding, verify_chain_record
    from flare_offchain.blockchain.transactions import TransactionPolicy

_HOMES = {
    "artifacts": ("BoundContract", "ContractArtifact", "load_artifact"),
    "connector": ("BlockchainConnector", "Deployed"),
    "contracts": ("ParticipantRegistry", "RoundCoordinator", "TaskRules"),
    "deployments": (
        "Deployment",
        "FlareDeployment",
        "deploy_flare",
        "open_deployment",
        "read_deployment",
        "verify_deployment",
        "write_deployment",
    ),
    "embedded": ("EthTesterConnector",),
    "ethereum": ("EthereumConnector",),
    "events": ("ChainEvent", "EventDecoder", "RawLog"),
    "networks": ("Network", "network_names", "read_network"),
    "outcomes": ("BlockStamp", "Confirmed", "Dropped", "Pending", "Receipt", "Reverted", "TransactionOutcome"),
    "record_verification": ("RecordFinding", "verify_chain_record"),
    "transactions": ("TransactionPolicy",),
}
_MODULES = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "BlockStamp",
    "BlockchainConnector",
    "BoundContract",
    "ChainEvent",
    "Confirmed",
    "ContractArtifact",
    "Deployed",
    "Deployment",
    "Dropped",
    "EthTesterConnector",
    "EthereumConnector",
    "EventDecoder",
    "FlareDeployment",
    "Network",
    "ParticipantRegistry",
    "Pending",
    "RawLog",
    "Receipt",
    "RecordFinding",
    "Reverted",
    "RoundCoordinator",
    "TaskRules",
    "TransactionOutcome",
    "TransactionPolicy",
    "deploy_flare",
    "load_artifact",
    "network_names",
    "open_deployment",
    "read_deployment",
    "read_network",
    "verify_chain_record",
    "verify_deployment",
    "write_deployment",
]


def __getattr__(name: str) -> object:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{module}"), name)
