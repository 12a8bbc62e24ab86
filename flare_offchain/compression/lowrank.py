"""The matrix steps of PowerSGD: subspace iteration with safe orthogonalisation, in float64 of one thread.

M is scaled to largest element 1 before (by a power of two, exactly), so nothing here overflows; the caller has
refused NaN.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]

_TINY = 1e-12


def orthonormal(matrix: Float64Array) -> Float64Array:
    """Return an orthonormal basis of the columns, [m, r] for m >= r, with the signs of R's diagonal made positive.

    Columns that are zero or depend on earlier ones become some completion of the basis, never NaN: Householder QR
    divides by no column norm (Gram-Schmidt with a zero column gives 0/0).
    """
    basis, triangle = np.linalg.qr(matrix)
    return np.asarray(basis * np.where(np.diag(triangle) < 0, -1.0, 1.0))


def subspace(matrix: NDArray[np.floating], start: Float64Array, iterations: int) -> tuple[Float64Array, Float64Array]:
    """Return (P, Q) with P [m, r] orthonormal and P @ Q.T ~ matrix, from `iterations` full power iterations.

    One iteration is P = orth(M @ Q), Q = M.T @ P (Vogels et al. 2019, arXiv:1905.13727, algorithm 1). The pair is
    then turned so that Q's columns are orthogonal, of falling norm: P @ Q.T = sum of sigma_k * u_k * v_k.T of the
    projection P @ P.T @ M.
    """
    right = start
    left = start[:0]
    for _ in range(iterations):
        left = orthonormal(_times(matrix, orthonormal(right)))
        right = _times(matrix.T, left)
    basis, triangle = np.linalg.qr(right)
    outer, sigma, inner = np.linalg.svd(triangle)
    sign = np.where(inner.T.sum(axis=0) < 0, -1.0, 1.0)
    return left @ (inner.T * sign), basis @ (outer * sigma * sign)


def least_squares(matrix: NDArray[np.floating], left: Float64Array) -> Float64Array:
    """Return the Q [n, r] that minimises ‖M − left @ Q.T‖ for a given left factor of full or deficient rank."""
    gram = left.T @ left
    inverse = np.linalg.pinv(gram, rcond=_TINY, hermitian=True)
    return np.asarray(_times(matrix.T, left) @ inverse)


def _times(matrix: NDArray[np.floating], factor: Float64Array) -> Float64Array:
    """Return the product in the matrix's own precision (no copy of a large float32 matrix), as float64."""
    return np.asarray(matrix @ factor.astype(matrix.dtype), np.float64)
