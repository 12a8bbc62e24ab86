"""The published vectors through the contract's own source, on the embedded chain.

The contract verifies messages of 32 bytes under keys with even y; the vectors are over "sample", 6 bytes, and half
of their keys are odd. So the source is compiled with these constants changed, and nothing else: the length of the
message, and for odd keys the prefix byte and the parity that `ecrecover` takes.
"""

import json
import subprocess
from pathlib import Path

import pytest
from web3 import EthereumTesterProvider, Web3

from flare_offchain.blockchain.embedded import EthTesterConnector
from flare_offchain.consensus import chain_proof, vrf
from flare_offchain.consensus.chain_proof import ChainProof, verify_for_chain, with_witnesses
from flare_offchain.consensus.curve import SECP256K1
from flare_offchain.consensus.vrf import SECP256K1_TAI
from tests.suites.vrf_vectors import DRAFT05_VECTORS, SECP256K1_VECTORS

pytestmark = pytest.mark.contracts

ROOT = Path(__file__).parents[2]
LIBRARY, HARNESS = "contracts/libraries/EcVrf.sol", "tests/contracts/solidity/EcVrfHarness.sol"
MESSAGE = b"sample"
SHORTER = 32 - len(MESSAGE)
P = SECP256K1.p


def replaced(source, old, new, times):
    assert source.count(old) == times, f"{old!r} stands {source.count(old)} times in {LIBRARY}, not {times}"
    return source.replace(old, new)


def variant(is_odd):
    """Return the library's source for messages of 6 bytes, under keys of one parity."""
    source = (ROOT / LIBRARY).read_text()
    source = replaced(source, "mstore(add(m, 67), 0)", f"mstore(add(m, {67 - SHORTER}), 0)", 1)
    source = replaced(source, "mstore8(add(m, 67), counter)", f"mstore8(add(m, {67 - SHORTER}), counter)", 1)
    source = replaced(
        source, "staticcall(gas(), 2, m, 69, 0, 32)", f"staticcall(gas(), 2, m, {69 - SHORTER}, 0, 32)", 2
    )
    if is_odd:
        source = replaced(source, "mstore(m, shl(232, 0xfe0102))", "mstore(m, shl(232, 0xfe0103))", 1)
        source = replaced(source, "mstore(add(e, 32), 27)", "mstore(add(e, 32), 28)", 1)
        # Which H, of even y, still needs.
        source = replaced(source, "mstore(e, 0)\n", "mstore(e, 0) mstore(add(e, 32), 27)\n", 1)
    return source


def compiled(is_odd):
    """Return ABI and creation code of the harness over the variant."""
    settings = {
        "viaIR": True,
        "evmVersion": "prague",
        "optimizer": {"enabled": True, "runs": 1_000_000},
        "outputSelection": {"*": {"EcVrfHarness": ["abi", "evm.bytecode.object"]}},
    }
    sources = {LIBRARY: {"content": variant(is_odd)}, HARNESS: {"content": (ROOT / HARNESS).read_text()}}
    request = {"language": "Solidity", "sources": sources, "settings": settings}
    done = subprocess.run(
        [ROOT / "scripts" / "solc", "--standard-json"],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    answer = json.loads(done.stdout)
    assert not [error for error in answer.get("errors", []) if error["severity"] == "error"], answer["errors"]
    contract = answer["contracts"][HARNESS]["EcVrfHarness"]
    return contract["abi"], contract["evm"]["bytecode"]["object"]


@pytest.fixture(scope="module")
def harnesses():
    web3 = Web3(EthereumTesterProvider(EthTesterConnector().tester))
    deployed = {}
    for is_odd in (False, True):
        abi, code = compiled(is_odd)
        transaction = web3.eth.contract(abi=abi, bytecode=code).constructor().transact({"from": web3.eth.accounts[0]})
        address = web3.eth.wait_for_transaction_receipt(transaction)["contractAddress"]
        deployed[is_odd] = web3.eth.contract(address=address, abi=abi)
    return deployed


@pytest.fixture
def verify(harnesses):
    def call(key, proof):
        harness = harnesses[key[0] == 3]
        return harness.functions.verify(int.from_bytes(key[1:], "big"), MESSAGE.ljust(32, b"\x00"), proof).call()

    return call


def test_all_published_proofs_verify_on_chain_with_the_published_output(verify, monkeypatch):
    parities = set()
    for vector in SECP256K1_VECTORS:
        assert vector["message"] == MESSAGE
        key, output = vector["pub"], int.from_bytes(vector["hash"], "big")
        monkeypatch.setattr(chain_proof, "encode_public_key", lambda _, key=key: key)
        proof = with_witnesses(0, MESSAGE, vector["pi"])
        assert verify(key, proof) == [True, output]
        assert verify_for_chain(0, MESSAGE, proof) == output
        parities.add(key[0])
    assert parities == {2, 3}


def test_published_proofs_with_a_changed_challenge_or_response_are_refused(verify, monkeypatch):
    for vector in SECP256K1_VECTORS[:12]:
        key = vector["pub"]
        monkeypatch.setattr(chain_proof, "encode_public_key", lambda _, key=key: key)
        proof = with_witnesses(0, MESSAGE, vector["pi"])
        for byte in (40, 60, 100):
            changed = bytearray(proof)
            changed[byte] ^= 1
            assert verify(key, bytes(changed)) == [False, 0]
        negated = bytes([key[0] ^ 1]) + key[1:]
        assert verify(negated, proof) == [False, 0]


def test_draft05_proofs_are_refused_on_chain(verify):
    """With every witness as right as it can be made: only the challenge is another draft's."""
    group = SECP256K1_TAI.group
    for vector in DRAFT05_VECTORS:
        key, pi = vector["pub"], vrf.decode_proof(SECP256K1_TAI, vector["pi"])
        assert vector["message"] == MESSAGE
        encoding = vrf.encode_to_curve(SECP256K1_TAI, key, MESSAGE)
        u = group.linear(pi.s, SECP256K1.generator, -pi.c, group.decode(key))
        t, s = group.multiply(pi.s, encoding.point), group.multiply(pi.c, pi.gamma)
        slope = (t.y + s.y) * pow(t.x - s.x, -1, P) % P
        roots = tuple(pow(-SECP256K1.right_side(x), (P + 1) // 4, P) for x in encoding.skipped)
        proof = ChainProof(pi.gamma, pi.c, pi.s, u, t, s.x, slope, roots).to_bytes()
        assert verify(key, proof) == [False, 0]
