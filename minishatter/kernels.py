"""The numba kernels of the analysis: row passes over dual arrays, pieces of an interval.

A dual array D has shape (units, 2 N): row u holds the values of unit u at the N
points, D[u, :N], and behind them their tangents, D[u, N:]. A unit's statistics,
its rectifier and its tangent are then one pass over one contiguous row.

The row passes work in place on an array that their caller owns. They alternate
with matrix products, so they are serial: a parallel kernel would fight with the
BLAS for the cores. Each is the forward and the tangent rule of one layer of
layers.py with its batch statistics held; the twin in NumPy is in the docstring.
Behind them two that cut an interval into pieces. Those of the convnets are in images/kernels.py.
"""

from typing import Any

import numba
import numpy as np
from numba import njit

# Sums may be reassociated, so that they vectorise; NaN and infinity keep their meaning.
ROW_PASS: dict[str, Any] = {"cache": True, "nogil": True, "fastmath": {"reassoc", "contract", "nsz", "arcp"}}


@njit(**ROW_PASS)
def normalise(D, scale, shift, eps):
    """BatchNorm: v <- g (v - mean v) + shift, t <- g t;  v, t = D[:, :N], D[:, N:], g = scale / sqrt(var v + eps)."""
    units, n = D.shape[0], D.shape[1] // 2
    for u in range(units):
        row = D[u]
        total = 0.0
        for i in range(n):
            total += row[i]
        mean = total / n
        squares = 0.0
        for i in range(n):
            squares += (row[i] - mean) ** 2
        variance = squares / n + eps
        if not 0.0 < variance < np.inf:
            raise ValueError("BatchNorm: the variance of a unit overflowed, or is 0 with eps = 0")
        gain = scale[u] / variance ** 0.5
        for i in range(n):
            row[i] = gain * (row[i] - mean) + shift[u]
            row[n + i] *= gain


@njit(**ROW_PASS)
def center(D):
    """Center: v <- v - mean v;  t as it was."""
    units, n = D.shape[0], D.shape[1] // 2
    for u in range(units):
        row = D[u]
        total = 0.0
        for i in range(n):
            total += row[i]
        mean = total / n
        for i in range(n):
            row[i] -= mean


@njit(**ROW_PASS)
def rectify(D, slope):
    """ReLU (slope 0) and PReLU: v, t <- v, t where v > 0, else slope v, slope t."""
    units, n = D.shape[0], D.shape[1] // 2
    for u in range(units):
        row = D[u]
        for i in range(n):
            factor = 1.0 if row[i] > 0 else slope
            row[i] *= factor
            row[n + i] *= factor


@njit(**ROW_PASS)
def affine(D, scale, shift):
    """Affine: v <- scale v + shift;  t <- scale t."""
    units, n = D.shape[0], D.shape[1] // 2
    for u in range(units):
        row = D[u]
        for i in range(n):
            row[i] = scale[u] * row[i] + shift[u]
            row[n + i] *= scale[u]


def threading_layer() -> str | None:
    """The threads that numba has started in this process, "omp", "tbb" or "workqueue"; None if no kernel needed any."""
    try:
        return numba.threading_layer()
    except ValueError:  # not yet
        return None


# Pieces. D is a dual array with one point for each piece of an interval, its midpoint (regions.py).


@njit(**ROW_PASS)
def zeros(D, reach):
    """Where a unit is zero in a piece: all |v| < |t| reach, as (piece, -v / t), units one after another.

    reach: (pieces,), how far from the midpoint a zero counts; -v / t is the zero's distance from it.
    Twin: unit, piece = np.nonzero(abs(v) < abs(t) * reach);  piece, -(v / t)[unit, piece]
    """
    units, n = D.shape[0], D.shape[1] // 2
    count = 0
    for u in range(units):
        row = D[u]
        for i in range(n):
            count += abs(row[i]) < abs(row[n + i]) * reach[i]
    piece, offset = np.empty(count, np.int64), np.empty(count)
    count = 0
    for u in range(units):
        row = D[u]
        for i in range(n):
            if abs(row[i]) < abs(row[n + i]) * reach[i]:
                piece[count], offset[count] = i, -row[i] / row[n + i]
                count += 1
    return piece, offset


@njit(**ROW_PASS)
def cut(D, parent, shift):
    """New pieces inside old ones: v <- v[parent] + t[parent] shift, t <- t[parent]; (units, 2 x new pieces)."""
    units, old, new = D.shape[0], D.shape[1] // 2, parent.size
    out = np.empty((units, 2 * new))
    for u in range(units):
        row, out_row = D[u], out[u]
        for i in range(new):
            slope = row[old + parent[i]]
            out_row[i] = row[parent[i]] + slope * shift[i]
            out_row[new + i] = slope
    return out
