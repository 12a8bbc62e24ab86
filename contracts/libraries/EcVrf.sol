// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Verification of ECVRF-SECP256K1-SHA256-TAI proofs
/// @notice RFC 9381 in its final form (sections 5.3, 5.4.1.1, 5.4.3), suite byte 0xfe, with secp256k1 for P-256.
/// Keys are x coordinates of points with even y. The proof's layout is in docs/protocol.md, section 2.
/// @dev Elliptic-curve work is done by the ecrecover precompile: `ecrecover(z, v, r, s)` is the address of
/// `(s*R - z*B) / r`, R being the point with x coordinate r and the parity that v names. With z and s scaled by r it
/// multiplies any point by any scalar and adds a multiple of B, but gives only an address, that is, a hash of the
/// result. The proof therefore carries the results as witnesses, and a witness is accepted where its address is the
/// one that the precompile returns. Three consequences carry the soundness:
///
/// * A base point is on the curve, or the precompile returns nothing: keys, Gamma and H need no other check. An x
///   coordinate in [n, p), which the precompile refuses, is met with probability 2**-128.
/// * A witness is the true point, coordinates below p included: addresses are compared, and to find another preimage
///   of 160 bits that somebody else has fixed is not feasible (T and S are fixed once c is, U likewise).
/// * Full uniqueness: the counter of try-and-increment is the smallest possible, as for every counter skipped the proof
///   shows a square root of -(x**3 + 7). As p = 3 mod 4, -1 is not a square, so x**3 + 7 is none (nor is it 0: the
///   group's order is odd), and no point has this x.
library EcVrf {
    /// The field's prime.
    uint256 private constant P = 0xfffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f;
    /// The group's order.
    uint256 private constant N = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;

    /// Length in bytes of a proof that skips no counter; each one skipped adds 32.
    uint256 internal constant PROOF_LENGTH = 273;

    /// @notice What a proof proves, if it verifies: beta = SHA-256(0xfe || 0x03 || Gamma || 0x00), as an integer.
    /// @dev Cheap beside `verify`, so that a claim which cannot win is turned away first.
    /// @return wellFormed whether the proof has the length that its counter asks for; else `output` is 0.
    function outputOf(bytes calldata proof) internal view returns (bool wellFormed, uint256 output) {
        wellFormed = isWellFormed(proof);
        if (!wellFormed) return (false, 0);
        assembly ("memory-safe") {
            let m := mload(0x40)
            mstore(m, shl(232, or(0xfe0302, shr(255, calldataload(proof.offset)))))
            mstore(add(m, 3), calldataload(add(proof.offset, 1)))
            mstore8(add(m, 35), 0)
            // A call that fails, for want of gas alone, leaves 47 gas at most: the caller fails too.
            if iszero(staticcall(gas(), 2, m, 36, 0, 32)) { revert(0, 0) }
            output := mload(0)
        }
    }

    /// @notice Whether a proof has the length that its counter asks for.
    function isWellFormed(bytes calldata proof) internal pure returns (bool wellFormed) {
        assembly ("memory-safe") {
            let skipped := and(shr(248, calldataload(proof.offset)), 0x7f)
            wellFormed := and(gt(proof.length, 0), eq(proof.length, add(PROOF_LENGTH, shl(5, skipped))))
        }
    }

    /// @notice Whether `proof` is valid for `alpha` under `key`.
    /// @param key x coordinate of the public key; the point with this x and even y.
    function verify(uint256 key, bytes32 alpha, bytes calldata proof) internal view returns (bool valid) {
        if (!isWellFormed(proof)) return false;
        assembly ("memory-safe") {
            // Memory, from the free pointer on: 168 bytes that are hashed, then at `e` the precompile's input
            // (z, v, r, s) and at `w` two points. Scratch space holds results.
            let m := mload(0x40)
            let e := add(m, 192)
            let w := add(m, 320)
            let head := byte(0, calldataload(proof.offset))
            let gammaX := calldataload(add(proof.offset, 1))
            let c := shr(128, calldataload(add(proof.offset, 33)))
            let s := calldataload(add(proof.offset, 49))
            valid := lt(s, N)

            // H = encode_to_curve(02 || key, alpha): hashes of fe 01 02 key alpha counter 00.
            mstore(m, shl(232, 0xfe0102))
            mstore(add(m, 3), key)
            mstore(add(m, 35), alpha)
            mstore(add(m, 67), 0)
            valid := and(valid, staticcall(gas(), 2, m, 69, 0, 32))
            let hX := mload(0)
            {
                let witness := add(proof.offset, PROOF_LENGTH)
                let skipped := and(head, 0x7f)
                for { let counter := 0 } lt(counter, skipped) {} {
                    let root := calldataload(add(witness, shl(5, counter)))
                    // root**2 + hX**3 + 7 = 0
                    valid := and(
                        valid,
                        iszero(addmod(mulmod(root, root, P), addmod(mulmod(mulmod(hX, hX, P), hX, P), 7, P), P))
                    )
                    counter := add(counter, 1)
                    mstore8(add(m, 67), counter)
                    valid := and(valid, staticcall(gas(), 2, m, 69, 0, 32))
                    hX := mload(0)
                }
            }

            // U = s*B - c*Y
            calldatacopy(w, add(proof.offset, 81), 128)
            mstore(e, mulmod(sub(N, s), key, N))
            mstore(add(e, 32), 27)
            mstore(add(e, 64), key)
            mstore(add(e, 96), mulmod(sub(N, c), key, N))
            valid := and(valid, staticcall(gas(), 1, e, 128, 0, 32))
            // The precompile answers nothing where it recovers nothing, and what lay in memory stays there.
            valid := and(valid, eq(returndatasize(), 32))
            valid := and(valid, eq(mload(0), and(keccak256(w, 64), 0xffffffffffffffffffffffffffffffffffffffff)))

            // T = s*H; H has even y
            mstore(e, 0)
            mstore(add(e, 64), hX)
            mstore(add(e, 96), mulmod(s, hX, N))
            valid := and(valid, staticcall(gas(), 1, e, 128, 0, 32))
            valid := and(valid, eq(returndatasize(), 32))
            valid := and(
                valid,
                eq(mload(0), and(keccak256(add(w, 64), 64), 0xffffffffffffffffffffffffffffffffffffffff))
            )

            // S = c*Gamma; its y follows from the slope through T and -S, which the address then certifies.
            let tX := mload(add(w, 64))
            let tY := mload(add(w, 96))
            let sX := calldataload(add(proof.offset, 209))
            let slope := calldataload(add(proof.offset, 241))
            // Equal abscissas would leave the slope, and with it V, to the prover.
            valid := and(valid, iszero(eq(tX, sX)))
            mstore(add(w, 64), sX)
            mstore(add(w, 96), addmod(mulmod(slope, addmod(tX, sub(P, sX), P), P), sub(P, tY), P))
            mstore(add(e, 32), add(27, shr(7, head)))
            mstore(add(e, 64), gammaX)
            mstore(add(e, 96), mulmod(c, gammaX, N))
            valid := and(valid, staticcall(gas(), 1, e, 128, 0, 32))
            valid := and(valid, eq(returndatasize(), 32))
            valid := and(
                valid,
                eq(mload(0), and(keccak256(add(w, 64), 64), 0xffffffffffffffffffffffffffffffffffffffff))
            )

            // V = T - S, the chord's third point mirrored
            let vX := addmod(mulmod(slope, slope, P), sub(P, addmod(tX, sX, P)), P)
            let vY := addmod(mulmod(slope, addmod(tX, sub(P, vX), P), P), sub(P, tY), P)

            // c = first 16 bytes of SHA-256(fe 02 || Y || H || Gamma || U || V || 00), points compressed
            mstore8(add(m, 1), 2)
            mstore8(add(m, 35), 2)
            mstore(add(m, 36), hX)
            mstore8(add(m, 68), or(2, shr(7, head)))
            mstore(add(m, 69), gammaX)
            mstore8(add(m, 101), or(2, and(mload(add(w, 32)), 1)))
            mstore(add(m, 102), mload(w))
            mstore8(add(m, 134), or(2, and(vY, 1)))
            mstore(add(m, 135), vX)
            mstore8(add(m, 167), 0)
            valid := and(valid, staticcall(gas(), 2, m, 168, 0, 32))
            valid := and(valid, eq(shr(128, mload(0)), c))
        }
    }
}
