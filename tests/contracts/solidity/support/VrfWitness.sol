// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Vm} from "./Vm.sol";
import {VrfProver} from "./VrfProver.sol";

/// @title Witnesses for published proofs, and proofs that cheat
library VrfWitness {
    using VrfProver for VrfProver.Point;

    uint256 private constant P = VrfProver.P;
    uint256 private constant N = VrfProver.N;
    Vm private constant VM = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    /// Add the witnesses to an 81-byte proof; it need not be valid.
    function complete(bytes memory public_, bytes memory message, bytes memory pi)
        internal
        returns (uint256 prefix, uint256 x, bytes memory encoded)
    {
        VrfProver.Proof memory proof;
        VrfProver.Point memory y = _decode(public_, 0);
        (prefix, x) = (uint8(public_[0]), y.x);
        proof.gamma = _decode(pi, 0);
        proof.c = _word(pi, 33) >> 128;
        proof.s = _word(pi, 49);
        VrfProver.Point memory h;
        (h, proof.roots) = _encodeToCurve(public_, message);
        VrfProver.Point memory cY = VrfProver.multiply(y, proof.c);
        cY.y = P - cY.y;
        Vm.Wallet memory sB = VM.createWallet(proof.s);
        proof.u = VrfProver.add(VrfProver.Point(sB.publicKeyX, sB.publicKeyY), cY);
        proof.t = VrfProver.multiply(h, proof.s);
        _addSlope(proof);
        encoded = VrfProver.encode(proof);
    }

    /// A valid proof in all but this: it skips the first point that try-and-increment finds.
    function skipping(uint256 secret, bytes32 alpha) internal returns (VrfProver.Proof memory proof) {
        uint256 key = VM.createWallet(secret).publicKeyX;
        uint256 counter = counterAfterFirst(key, alpha);
        proof.roots = new uint256[](counter);
        for (uint256 i = 1; i < counter; ++i) {
            uint256 skipped = _candidate(key, alpha, i);
            proof.roots[i] = VrfProver.power(P - _rightSide(skipped), (P + 1) / 4);
        }
        uint256 x = _candidate(key, alpha, counter);
        uint256 y = VrfProver.power(_rightSide(x), (P + 1) / 4);
        VrfProver.Point memory h = VrfProver.Point(x, y % 2 == 0 ? y : P - y);
        _finish(proof, secret, secret, key, h);
    }

    /// The second counter that gives a point, counter 0 being the first.
    function counterAfterFirst(uint256 key, bytes32 alpha) internal view returns (uint256 counter) {
        for (counter = 1;; ++counter) {
            uint256 right = _rightSide(_candidate(key, alpha, counter));
            uint256 y = VrfProver.power(right, (P + 1) / 4);
            if (mulmod(y, y, P) == right) return counter;
        }
    }

    /// A proof whose Gamma is for one secret and whose response is for another.
    function withGamma(uint256 secret, bytes32 alpha, uint256 other) internal returns (VrfProver.Proof memory proof) {
        uint256 key = VM.createWallet(secret).publicKeyX;
        VrfProver.Point memory h;
        (h, proof.roots) = VrfProver.encodeToCurve(key, alpha);
        _finish(proof, secret, other, key, h);
    }

    function _finish(
        VrfProver.Proof memory proof,
        uint256 secret,
        uint256 gammaSecret,
        uint256 key,
        VrfProver.Point memory h
    ) private {
        uint256 k = uint256(keccak256(abi.encode("nonce", secret, h.x))) % (N - 1) + 1;
        Vm.Wallet memory u = VM.createWallet(k);
        proof.u = VrfProver.Point(u.publicKeyX, u.publicKeyY);
        proof.gamma = VrfProver.multiply(h, gammaSecret);
        proof.c = VrfProver.challenge(key, h.x, proof.gamma, proof.u, VrfProver.multiply(h, k));
        proof.s = addmod(k, mulmod(proof.c, secret, N), N);
        proof.t = VrfProver.multiply(h, proof.s);
        _addSlope(proof);
    }

    function _addSlope(VrfProver.Proof memory proof) private view {
        VrfProver.Point memory s = VrfProver.multiply(proof.gamma, proof.c);
        proof.sX = s.x;
        uint256 run = addmod(proof.t.x, P - s.x, P);
        proof.slope = mulmod(addmod(proof.t.y, s.y, P), VrfProver.inverse(run), P);
    }

    function _encodeToCurve(bytes memory public_, bytes memory message)
        private
        view
        returns (VrfProver.Point memory h, uint256[] memory roots)
    {
        uint256[] memory found = new uint256[](128);
        for (uint256 counter = 0;; ++counter) {
            uint256 x = uint256(sha256(abi.encodePacked(hex"fe01", public_, message, uint8(counter), hex"00")));
            uint256 right = _rightSide(x);
            uint256 y = VrfProver.power(right, (P + 1) / 4);
            if (mulmod(y, y, P) == right) {
                roots = new uint256[](counter);
                for (uint256 i = 0; i < counter; ++i) {
                    roots[i] = found[i];
                }
                return (VrfProver.Point(x, y % 2 == 0 ? y : P - y), roots);
            }
            found[counter] = VrfProver.power(P - right, (P + 1) / 4);
        }
    }

    function _candidate(uint256 key, bytes32 alpha, uint256 counter) private pure returns (uint256) {
        return uint256(sha256(abi.encodePacked(hex"fe0102", key, alpha, uint8(counter), hex"00")));
    }

    function _rightSide(uint256 x) private pure returns (uint256) {
        return addmod(mulmod(mulmod(x, x, P), x, P), 7, P);
    }

    function _decode(bytes memory data, uint256 at) private view returns (VrfProver.Point memory point) {
        point.x = _word(data, at + 1);
        point.y = VrfProver.power(_rightSide(point.x), (P + 1) / 4);
        if (point.y % 2 != uint8(data[at]) % 2) point.y = P - point.y;
    }

    function _word(bytes memory data, uint256 at) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mload(add(add(data, 32), at))
        }
    }
}
