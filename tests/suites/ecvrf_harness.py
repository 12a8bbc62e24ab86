"""The contract's verifier, called through web3."""

from pathlib import Path

from web3 import EthereumTesterProvider, Web3

from flare_offchain.blockchain.artifacts import load_artifact
from flare_offchain.blockchain.embedded import EthTesterConnector

COMPILED = Path(__file__).parents[1] / "contracts" / "compiled"


def deploy_harness(web3=None):
    """Return the harness, a web3 contract, on a chain whose first account is unlocked (the embedded one)."""
    web3 = web3 or Web3(EthereumTesterProvider(EthTesterConnector().tester))
    artifact = load_artifact("EcVrfHarness", COMPILED)
    contract = web3.eth.contract(abi=artifact.abi_entries, bytecode=artifact.creation.linked({}))
    receipt = web3.eth.wait_for_transaction_receipt(contract.constructor().transact({"from": web3.eth.accounts[0]}))
    return web3.eth.contract(address=receipt["contractAddress"], abi=artifact.abi_entries)
