// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Vm} from "./Vm.sol";

/// @title A prover of ECVRF-SECP256K1-SHA256-TAI for tests, written from RFC 9381 and independently of the verifier
/// @notice Not constant time and with a nonce of its own: for keys that guard nothing.
library VrfProver {
    uint256 internal constant P = 0xfffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f;
    uint256 internal constant N = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;
    Vm private constant VM = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    struct Point {
        uint256 x;
        uint256 y;
    }

    /// The fields of a proof in the layout of docs/protocol.md, section 2.
    struct Proof {
        Point gamma;
        uint256 c;
        uint256 s;
        Point u;
        Point t;
        uint256 sX;
        uint256 slope;
        uint256[] roots;
    }

    /// The secret scalar whose public key has even y, and that key's x.
    function keyOf(uint256 seed) internal returns (uint256 secret, uint256 x) {
        secret = uint256(keccak256(abi.encode("vrf key", seed))) % (N - 1) + 1;
        Vm.Wallet memory wallet = VM.createWallet(secret);
        if (wallet.publicKeyY % 2 == 1) secret = N - secret;
        x = wallet.publicKeyX;
    }

    function prove(uint256 secret, bytes32 alpha) internal returns (bytes memory) {
        return encode(proofOf(secret, alpha));
    }

    function proofOf(uint256 secret, bytes32 alpha) internal returns (Proof memory proof) {
        uint256 k = uint256(keccak256(abi.encode("nonce", secret, alpha))) % (N - 1) + 1;
        return proofWith(secret, alpha, k, k);
    }

    /// A proof with a nonce of the caller's choice, and U = uScalar * B; an honest one has uScalar = k.
    function proofWith(uint256 secret, bytes32 alpha, uint256 k, uint256 uScalar)
        internal
        returns (Proof memory proof)
    {
        uint256 key = VM.createWallet(secret).publicKeyX;
        Point memory h;
        (h, proof.roots) = encodeToCurve(key, alpha);
        Vm.Wallet memory u = VM.createWallet(uScalar);
        proof.u = Point(u.publicKeyX, u.publicKeyY);
        proof.gamma = multiply(h, secret);
        Point memory v = multiply(h, k);
        proof.c = challenge(key, h.x, proof.gamma, proof.u, v);
        proof.s = addmod(k, mulmod(proof.c, secret, N), N);
        Point memory s = multiply(proof.gamma, proof.c);
        proof.t = add(v, s);
        proof.sX = s.x;
        proof.slope = mulmod(addmod(proof.t.y, s.y, P), inverse(addmod(proof.t.x, P - s.x, P)), P);
    }

    function encode(Proof memory proof) internal pure returns (bytes memory) {
        return abi.encodePacked(
            uint8(((proof.gamma.y & 1) << 7) | proof.roots.length),
            proof.gamma.x,
            uint128(proof.c),
            proof.s,
            proof.u.x,
            proof.u.y,
            proof.t.x,
            proof.t.y,
            proof.sX,
            proof.slope,
            proof.roots
        );
    }

    function outputOf(Proof memory proof) internal pure returns (uint256) {
        return uint256(sha256(abi.encodePacked(hex"fe03", compress(proof.gamma), hex"00")));
    }

    /// H, and for each counter skipped the root of -(x**3 + 7).
    function encodeToCurve(uint256 key, bytes32 alpha) internal view returns (Point memory h, uint256[] memory roots) {
        roots = new uint256[](0);
        for (uint8 counter = 0;; ++counter) {
            uint256 x = uint256(sha256(abi.encodePacked(hex"fe0102", key, alpha, counter, hex"00")));
            uint256 right = addmod(mulmod(mulmod(x, x, P), x, P), 7, P);
            uint256 y = power(right, (P + 1) / 4);
            if (mulmod(y, y, P) == right) return (Point(x, y % 2 == 0 ? y : P - y), roots);
            uint256[] memory longer = new uint256[](roots.length + 1);
            for (uint256 i = 0; i < roots.length; ++i) {
                longer[i] = roots[i];
            }
            longer[roots.length] = power(P - right, (P + 1) / 4);
            roots = longer;
        }
    }

    function challenge(uint256 key, uint256 hX, Point memory gamma, Point memory u, Point memory v)
        internal
        pure
        returns (uint256)
    {
        bytes memory hashed =
            abi.encodePacked(hex"fe0202", key, hex"02", hX, compress(gamma), compress(u), compress(v), hex"00");
        return uint256(sha256(hashed)) >> 128;
    }

    function compress(Point memory point) internal pure returns (bytes memory) {
        return abi.encodePacked(uint8(2 + (point.y & 1)), point.x);
    }

    // ------------------------------------------------------------------ group

    /// The sum of two points with different abscissas.
    function add(Point memory a, Point memory b) internal view returns (Point memory c) {
        uint256 slope = mulmod(addmod(b.y, P - a.y, P), inverse(addmod(b.x, P - a.x, P)), P);
        c.x = addmod(mulmod(slope, slope, P), P - addmod(a.x, b.x, P), P);
        c.y = addmod(mulmod(slope, addmod(a.x, P - c.x, P), P), P - a.y, P);
    }

    /// A multiple of a point, in Jacobian coordinates, bit by bit from the top; the scalar is not 0.
    function multiply(Point memory a, uint256 scalar) internal view returns (Point memory) {
        uint256 x = a.x;
        uint256 y = a.y;
        uint256 z = 1;
        uint256 bit = 255;
        while ((scalar >> bit) & 1 == 0) --bit;
        while (bit != 0) {
            --bit;
            (x, y, z) = _double(x, y, z);
            if ((scalar >> bit) & 1 != 0) (x, y, z) = _addAffine(x, y, z, a.x, a.y);
        }
        uint256 zInverse = inverse(z);
        uint256 zSquare = mulmod(zInverse, zInverse, P);
        return Point(mulmod(x, zSquare, P), mulmod(y, mulmod(zSquare, zInverse, P), P));
    }

    function _double(uint256 x, uint256 y, uint256 z) private pure returns (uint256 x3, uint256 y3, uint256 z3) {
        unchecked {
            uint256 b = mulmod(y, y, P);
            uint256 s = mulmod(4, mulmod(x, b, P), P);
            uint256 m = mulmod(3, mulmod(x, x, P), P);
            x3 = addmod(mulmod(m, m, P), P - addmod(s, s, P), P);
            y3 = addmod(mulmod(m, addmod(s, P - x3, P), P), P - mulmod(8, mulmod(b, b, P), P), P);
            z3 = mulmod(2, mulmod(y, z, P), P);
        }
    }

    function _addAffine(uint256 x1, uint256 y1, uint256 z1, uint256 x2, uint256 y2)
        private
        pure
        returns (uint256 x3, uint256 y3, uint256 z3)
    {
        unchecked {
            uint256 zz = mulmod(z1, z1, P);
            uint256 h = addmod(mulmod(x2, zz, P), P - x1, P);
            uint256 r = addmod(mulmod(y2, mulmod(zz, z1, P), P), P - y1, P);
            uint256 hh = mulmod(h, h, P);
            uint256 hhh = mulmod(hh, h, P);
            uint256 v = mulmod(x1, hh, P);
            x3 = addmod(mulmod(r, r, P), P - addmod(hhh, addmod(v, v, P), P), P);
            y3 = addmod(mulmod(r, addmod(v, P - x3, P), P), P - mulmod(y1, hhh, P), P);
            z3 = mulmod(z1, h, P);
        }
    }

    function inverse(uint256 a) internal view returns (uint256) {
        return power(a, P - 2);
    }

    function power(uint256 base, uint256 exponent) internal view returns (uint256) {
        (bool done, bytes memory result) = address(5).staticcall(abi.encode(32, 32, 32, base, exponent, P));
        require(done && result.length == 32);
        return abi.decode(result, (uint256));
    }
}
