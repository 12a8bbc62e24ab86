// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {EcVrfHarness} from "./EcVrfHarness.sol";
import {Vm} from "./support/Vm.sol";
import {VrfProver} from "./support/VrfProver.sol";
import {VrfWitness} from "./support/VrfWitness.sol";

contract EcVrfTest {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    uint256 private constant P = VrfProver.P;
    uint256 private constant N = VrfProver.N;

    EcVrfHarness private harness;
    uint256 private secret;
    uint256 private key;
    bytes32 private alpha;

    function setUp() public {
        harness = new EcVrfHarness();
        (secret, key) = VrfProver.keyOf(1);
        alpha = keccak256("alpha");
    }

    function accepts(VrfProver.Proof memory proof) private view returns (bool ok) {
        (ok,) = harness.verify(key, alpha, VrfProver.encode(proof));
    }

    /// An alpha whose H is found at the given counter.
    function alphaWithCounter(uint256 counter) private view returns (bytes32 found) {
        for (uint256 i = 0;; ++i) {
            found = keccak256(abi.encode("alpha", i));
            (, uint256[] memory roots) = VrfProver.encodeToCurve(key, found);
            if (roots.length == counter) return found;
        }
    }

    // ---------------------------------------------------------------- accepts

    function test_verify_accepts_publishedVectors() public {
        string memory json = vm.readFile("tests/vectors/vectors_secp256k1_rfc9381_fe.json");
        uint256 count;
        for (; vm.keyExistsJson(json, vectorKey(count, "")); ++count) {
            bytes memory public_ = vm.parseBytes(vm.parseJsonString(json, vectorKey(count, ".pub")));
            bytes memory pi = vm.parseBytes(vm.parseJsonString(json, vectorKey(count, ".pi")));
            bytes memory message = vm.parseBytes(vm.parseJsonString(json, vectorKey(count, ".message")));
            bytes memory beta = vm.parseBytes(vm.parseJsonString(json, vectorKey(count, ".hash")));
            (uint256 prefix, uint256 x, bytes memory proof) = VrfWitness.complete(public_, message, pi);
            (bool ok, uint256 output) = harness.verifyMessage(prefix, x, message, proof);
            vm.assertTrue(ok);
            vm.assertEq(output, uint256(bytes32(beta)));
        }
        vm.assertEq(count, 45);
    }

    /// The draft-05 suite of the same name, whose challenge leaves out the key.
    function test_verify_rejects_vectorsOfTheDraft() public {
        string memory json = vm.readFile("tests/vectors/vectors_secp256k1_witnet_draft05_fe.json");
        uint256 count;
        for (; vm.keyExistsJson(json, vectorKey(count, "")); ++count) {
            bytes memory public_ = vm.parseBytes(vm.parseJsonString(json, vectorKey(count, ".pub")));
            bytes memory pi = vm.parseBytes(vm.parseJsonString(json, vectorKey(count, ".pi")));
            bytes memory message = vm.parseBytes(vm.parseJsonString(json, vectorKey(count, ".message")));
            (uint256 prefix, uint256 x, bytes memory proof) = VrfWitness.complete(public_, message, pi);
            (bool ok,) = harness.verifyMessage(prefix, x, message, proof);
            vm.assertFalse(ok);
        }
        vm.assertEq(count, 46);
    }

    function vectorKey(uint256 index, string memory field) private pure returns (string memory) {
        return string.concat(".vectors[", vm.toString(index), "]", field);
    }

    function test_fuzz_verify_accepts_honestProofs(uint256 seed, bytes32 message) public {
        (secret, key) = VrfProver.keyOf(seed);
        VrfProver.Proof memory proof = VrfProver.proofOf(secret, message);
        (bool ok, uint256 output) = harness.verify(key, message, VrfProver.encode(proof));
        vm.assertTrue(ok);
        vm.assertEq(output, VrfProver.outputOf(proof));
    }

    function test_verify_accepts_skippedCounters() public {
        for (uint256 counter = 0; counter < 6; ++counter) {
            alpha = alphaWithCounter(counter);
            vm.assertTrue(accepts(VrfProver.proofOf(secret, alpha)));
        }
    }

    // ---------------------------------------------------------------- rejects

    function test_fuzz_verify_rejects_anyChangedByte(uint256 at, uint8 change, bytes32 message) public {
        vm.assume(change != 0);
        bytes memory proof = VrfProver.prove(secret, message);
        at %= proof.length;
        proof[at] ^= bytes1(change);
        (bool ok,) = harness.verify(key, message, proof);
        vm.assertFalse(ok);
    }

    function test_fuzz_verify_rejects_randomBytes(bytes calldata proof) public view {
        (bool ok,) = harness.verify(key, alpha, proof);
        vm.assertFalse(ok);
    }

    function test_verify_rejects_anotherMessageOrKey() public {
        bytes memory proof = VrfProver.prove(secret, alpha);
        (bool ok,) = harness.verify(key, keccak256("another"), proof);
        vm.assertFalse(ok);
        (, uint256 other) = VrfProver.keyOf(2);
        (ok,) = harness.verify(other, alpha, proof);
        vm.assertFalse(ok);
    }

    function test_verify_rejects_wrongLengths() public {
        bytes memory proof = VrfProver.prove(secret, alpha);
        (bool ok,) = harness.verify(key, alpha, abi.encodePacked(proof, hex"00"));
        vm.assertFalse(ok);
        (ok,) = harness.verify(key, alpha, abi.encodePacked(proof, bytes32(0)));
        vm.assertFalse(ok);
        (ok,) = harness.verify(key, alpha, "");
        vm.assertFalse(ok);
        assembly ("memory-safe") {
            mstore(proof, sub(mload(proof), 1))
        }
        (ok,) = harness.verify(key, alpha, proof);
        vm.assertFalse(ok);
    }

    /// The proof's first byte says how many counters are skipped; the length must say the same.
    function test_verify_rejects_aCounterThatTheLengthDoesNotMatch() public {
        bytes memory proof = VrfProver.prove(secret, alpha);
        proof[0] ^= 0x01;
        (bool ok,) = harness.verify(key, alpha, proof);
        vm.assertFalse(ok);
    }

    /// A prover who knows a small secret can make s + N fit into 32 bytes. Where N - s is taken modulo 2**256 it is then
    /// off by 2**256 - N, which a U for the shifted scalar makes up for: a second encoding, were s not asked to be reduced.
    function test_verify_rejects_anUnreducedResponse() public {
        (secret, key) = (1, vm.createWallet(1).publicKeyX);
        uint256 wrap = type(uint256).max - N + 1;
        vm.assertTrue(accepts(VrfProver.proofWith(secret, alpha, 5, 5)));
        VrfProver.Proof memory proof = VrfProver.proofWith(secret, alpha, 5, N + 5 - wrap);
        vm.assertTrue(proof.s < wrap);
        proof.s += N;
        vm.assertFalse(accepts(proof));
    }

    /// Uniqueness: H at a later counter would be a second output for the same key and message.
    function test_verify_rejects_aSkippedPoint() public {
        alpha = alphaWithCounter(0);
        VrfProver.Proof memory proof = VrfWitness.skipping(secret, alpha);
        vm.assertFalse(accepts(proof));
        // The same proof, were it allowed to skip: only the root is missing.
        vm.assertEq(proof.roots.length, VrfWitness.counterAfterFirst(key, alpha));
    }

    function test_verify_rejects_anEarlierCounter() public {
        alpha = alphaWithCounter(2);
        VrfProver.Proof memory proof = VrfProver.proofOf(secret, alpha);
        uint256[] memory fewer = new uint256[](1);
        fewer[0] = proof.roots[0];
        proof.roots = fewer;
        vm.assertFalse(accepts(proof));
    }

    function test_verify_rejects_aFalseRoot() public {
        alpha = alphaWithCounter(1);
        VrfProver.Proof memory proof = VrfProver.proofOf(secret, alpha);
        proof.roots[0] = P - proof.roots[0];
        vm.assertTrue(accepts(proof));
        proof.roots[0] = addmod(proof.roots[0], 1, P);
        vm.assertFalse(accepts(proof));
    }

    function test_verify_rejects_sNotReduced() public {
        // s + n fits into 256 bits for one s in 2**128 only, so a true s cannot be used here.
        VrfProver.Proof memory proof = VrfProver.proofOf(secret, alpha);
        proof.s = N;
        vm.assertFalse(accepts(proof));
        proof.s = type(uint256).max;
        vm.assertFalse(accepts(proof));
    }

    function test_verify_rejects_zeroScalars() public {
        VrfProver.Proof memory proof = VrfProver.proofOf(secret, alpha);
        proof.s = 0;
        vm.assertFalse(accepts(proof));
        proof = VrfProver.proofOf(secret, alpha);
        proof.c = 0;
        vm.assertFalse(accepts(proof));
    }

    function test_verify_rejects_falseGamma() public {
        // Gamma for another secret, everything else made to fit.
        VrfProver.Proof memory proof = VrfWitness.withGamma(secret, alpha, secret + 1);
        vm.assertFalse(accepts(proof));
        proof = VrfProver.proofOf(secret, alpha);
        proof.gamma.y = P - proof.gamma.y;
        vm.assertFalse(accepts(proof));
    }

    function test_verify_rejects_keyOffTheCurve() public {
        bytes memory proof = VrfProver.prove(secret, alpha);
        uint256[4] memory keys = [uint256(0), 5, N, P];
        for (uint256 i = 0; i < keys.length; ++i) {
            (bool ok,) = harness.verify(keys[i], alpha, proof);
            vm.assertFalse(ok);
        }
    }

    function test_verify_rejects_equalAbscissas() public {
        VrfProver.Proof memory proof = VrfProver.proofOf(secret, alpha);
        proof.sX = proof.t.x;
        vm.assertFalse(accepts(proof));
    }

    function test_verify_rejects_coordinatesNotReduced() public {
        VrfProver.Proof memory proof = VrfProver.proofOf(secret, alpha);
        proof.slope = P - 1;
        vm.assertFalse(accepts(proof));
    }
}
