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

    /// @notice Bytes of the proof at a position in call data, as its counter asks for.
    function lengthAt(uint256 position) internal pure returns (uint256 length) {
        assembly ("memory-safe") {
            length := add(PROOF_LENGTH, shl(5, and(shr(248, calldataload(position)), 0x7f)))
        }
    }

    /// @notice Whether the proof at a position in call data is valid for `alpha` under `key`, and what it proves. The caller
    /// has seen to it that `lengthAt` bytes are the proof's.
    /// @param key x coordinate of the public key; the point with this x and even y.
    /// @return valid whether the proof is.
    /// @return output beta = SHA-256(0xfe || 0x03 || Gamma || 0x00), as an integer; means nothing unless the proof is valid.
    function verifyAt(uint256 key, bytes32 alpha, uint256 position) internal view returns (bool valid, uint256 output) {
        assembly ("memory-safe") {
            mstore(add(mload(0x40), 291), alpha)
        }
        valid = _verify(2, key, 32, position);
        output = _output();
    }

    /// @dev What the proof that `_verify` was last given proves, if it is valid.
    function _output() private view returns (uint256 output) {
        assembly ("memory-safe") {
            // The last hash was of fe 02 || PK || H || Gamma || ...: what is hashed now stands there but for three bytes.
            let m := add(mload(0x40), 322)
            mstore8(m, 0xfe)
            mstore8(add(m, 1), 3)
            mstore8(add(m, 35), 0)
            // A call that fails, for want of gas alone, leaves 47 gas at most: the caller fails too.
            if iszero(staticcall(gas(), 2, m, 36, 0, 32)) { revert(0, 0) }
            output := mload(0)
        }
    }

    /// @notice Whether `proof` is valid for `alpha` under `key`.
    /// @param key x coordinate of the public key; the point with this x and even y.
    function verify(uint256 key, bytes32 alpha, bytes calldata proof) internal view returns (bool) {
        assembly ("memory-safe") {
            mstore(add(mload(0x40), 291), alpha)
        }
        return _isWhole(proof) && _verify(2, key, 32, _positionOf(proof));
    }

    /// @notice As `verifyAt`, for any key and message and a proof of any length; nothing here uses it, but published test
    /// vectors do.
    /// @param prefix of the compressed public key, 2 or 3.
    function verifyMessage(uint256 prefix, uint256 key, bytes memory alpha, bytes calldata proof)
        internal
        view
        returns (bool valid, uint256 output)
    {
        assembly ("memory-safe") {
            mcopy(add(mload(0x40), 291), add(alpha, 32), mload(alpha))
        }
        valid = _isWhole(proof) && _verify(prefix, key, alpha.length, _positionOf(proof));
        output = valid ? _output() : 0;
    }

    function _positionOf(bytes calldata proof) private pure returns (uint256 position) {
        assembly ("memory-safe") {
            position := proof.offset
        }
    }

    /// @dev Whether a proof has the length that its counter asks for; without a byte, it has none.
    function _isWhole(bytes calldata proof) private pure returns (bool) {
        return proof.length != 0 && proof.length == lengthAt(_positionOf(proof));
    }

    /// @dev The message stands in memory, 291 bytes after the free pointer; the proof in call data, whole. Faults are gathered and looked at once:
    /// an honest proof, which is what pays, takes no branch.
    // solhint-disable-next-line function-max-lines
    function _verify(uint256 prefix, uint256 key, uint256 alphaLength, uint256 position)
        private
        view
        returns (bool valid)
    {
        assembly ("memory-safe") {
            // Memory, from the free pointer on: the precompile's input (z, v, r, s), two points at `w`, and at `m` what
            // is hashed. Scratch space holds results.
            let e := mload(0x40)
            let w := add(e, 128)
            let m := add(e, 256)
            let c := shr(128, calldataload(add(position, 33)))
            let s := calldataload(add(position, 49))
            let head := shr(248, calldataload(position))
            let parity := shr(7, head)
            // s is reduced.
            let fault := iszero(lt(s, N))

            // H = encode_to_curve(PK, alpha): x is the first hash of fe 01 || PK || alpha || counter || 00 that is one.
            mstore(m, shl(232, or(0xfe0100, prefix)))
            mstore(add(m, 3), key)
            let counterAt := add(add(m, 35), alphaLength)
            mstore(counterAt, 0)
            let length := add(37, alphaLength)
            fault := or(fault, iszero(staticcall(gas(), 2, m, length, 0, 32)))
            let hX := mload(0)
            {
                let root := add(position, PROOF_LENGTH)
                let end := add(root, shl(5, and(head, 0x7f)))
                for { let counter := 1 } lt(root, end) {
                    root := add(root, 32)
                    counter := add(counter, 1)
                } {
                    // root**2 + hX**3 + 7 = 0: no point has the abscissa hX, so the next counter is tried.
                    let r := calldataload(root)
                    fault := or(fault, addmod(mulmod(r, r, P), add(mulmod(mulmod(hX, hX, P), hX, P), 7), P))
                    mstore8(counterAt, counter)
                    fault := or(fault, iszero(staticcall(gas(), 2, m, length, 0, 32)))
                    hX := mload(0)
                }
            }

            // U = s*B - c*Y. The precompile answers nothing where it recovers nothing, and memory stays as it was: hence
            // the test of returndatasize, which covers a failed call too.
            calldatacopy(w, add(position, 81), 128)
            mstore(e, mulmod(sub(N, s), key, N))
            mstore(add(e, 32), add(25, prefix))
            mstore(add(e, 64), key)
            mstore(add(e, 96), mulmod(sub(N, c), key, N))
            pop(staticcall(gas(), 1, e, 128, 0, 32))
            // Exclusive or is meant: it is 0 where both are equal.
            // slither-disable-next-line incorrect-exp
            fault := or(fault, or(xor(returndatasize(), 32), shl(96, xor(mload(0), keccak256(w, 64)))))

            // T = s*H; H has even y.
            mstore(e, 0)
            mstore(add(e, 32), 27)
            mstore(add(e, 64), hX)
            mstore(add(e, 96), mulmod(s, hX, N))
            pop(staticcall(gas(), 1, e, 128, 0, 32))
            w := add(w, 64)
            // Exclusive or is meant: it is 0 where both are equal.
            // slither-disable-next-line incorrect-exp
            fault := or(fault, or(xor(returndatasize(), 32), shl(96, xor(mload(0), keccak256(w, 64)))))
            let tX := mload(w)
            let minusTY := sub(P, mload(add(w, 32)))

            // S = c*Gamma. Its y follows from the slope through T and -S; the address certifies both.
            let sX := calldataload(add(position, 209))
            let slope := calldataload(add(position, 241))
            // Equal abscissas would leave the slope, and with it V, to the prover.
            fault := or(fault, eq(tX, sX))
            mstore(w, sX)
            mstore(add(w, 32), addmod(mulmod(slope, addmod(tX, sub(P, sX), P), P), minusTY, P))
            let gammaX := calldataload(add(position, 1))
            mstore(add(e, 32), add(27, parity))
            mstore(add(e, 64), gammaX)
            mstore(add(e, 96), mulmod(c, gammaX, N))
            pop(staticcall(gas(), 1, e, 128, 0, 32))
            // Exclusive or is meant: it is 0 where both are equal.
            // slither-disable-next-line incorrect-exp
            fault := or(fault, or(xor(returndatasize(), 32), shl(96, xor(mload(0), keccak256(w, 64)))))

            // V = T - S, the chord's third point mirrored.
            let vX := addmod(mulmod(slope, slope, P), sub(P, addmod(tX, sX, P)), P)
            let vY := addmod(mulmod(slope, addmod(tX, sub(P, vX), P), P), minusTY, P)

            // c = first 16 bytes of SHA-256(fe 02 || PK || H || Gamma || U || V || 00), points compressed.
            mstore8(add(m, 1), 2)
            mstore8(add(m, 35), 2)
            mstore(add(m, 36), hX)
            mstore8(add(m, 68), or(2, parity))
            mstore(add(m, 69), gammaX)
            mstore8(add(m, 101), or(2, and(mload(sub(w, 32)), 1)))
            mstore(add(m, 102), mload(sub(w, 64)))
            mstore8(add(m, 134), or(2, and(vY, 1)))
            mstore(add(m, 135), vX)
            mstore8(add(m, 167), 0)
            fault := or(fault, iszero(staticcall(gas(), 2, m, 168, 0, 32)))
            valid := iszero(or(fault, xor(shr(128, mload(0)), c)))
        }
    }
}
