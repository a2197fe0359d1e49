"""The numba kernels of the analysis: row passes over dual arrays, pieces of an interval.

A dual array D has shape (units, 2 N): row u holds the values of unit u at the N
points, D[u, :N], and behind them their tangents, D[u, N:]. A unit's statistics,
its rectifier and its tangent are then one pass over one contiguous row.

The row passes work in place on an array that their caller owns. They alternate
with matrix products, so they are serial: a parallel kernel would fight with the
BLAS for the cores. Each is the forward and the tangent rule of one layer of
layers.py with its batch statistics held; the twin in NumPy is in the docstring.
Behind them two that cut an interval into pieces. Those of the convnets are in images/kernels.py and
images/channel_kernels.py.
"""

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import njit


def compiled(function: Callable, **options: Any) -> Callable:
    """numba's njit of a function, kept in numba's cache, or only in memory where it finds no folder for that.

    The compiler may round a product and a sum at once, and may not choose the order of a sum (`reassoc`): one and
    the same kernel would then add in another order in the process that compiles it than in one that loads it.
    """
    settings: dict[str, Any] = {"nogil": True, "fastmath": {"contract", "nsz"}} | options
    try:
        return njit(cache=True, **settings)(function)
    except RuntimeError:  # neither the package's folder nor the user's home can be written
        _say_that_nothing_is_kept()
        return njit(**settings)(function)


@functools.cache
def _say_that_nothing_is_kept():
    warnings.warn("numba finds no folder that it may write: the kernels of minishatter are compiled anew in every "
                  "process, some seconds each; name a folder in the variable NUMBA_CACHE_DIR", RuntimeWarning, 3)


@compiled
def mean_of(row, n, sums):
    """The mean of row[:n]: the upper half is added to the lower, again and again; sums: room for (n + 1) // 2."""
    half = (n + 1) // 2
    sums[half - 1] = row[half - 1]  # no partner, if n is odd
    for i in range(n - half):
        sums[i] = row[i] + row[half + i]
    return sum_up(sums) / n


@compiled
def variance_of(row, n, mean, sums):
    """The mean of (row[:n] - mean)^2, likewise."""
    half = (n + 1) // 2
    sums[half - 1] = (row[half - 1] - mean) ** 2
    for i in range(n - half):
        sums[i] = (row[i] - mean) ** 2 + (row[half + i] - mean) ** 2
    return sum_up(sums) / n


@compiled
def sum_up(sums):
    """The sum of the numbers, which are used up."""
    n = sums.size
    while n > 1:
        half = (n + 1) // 2
        for i in range(n - half):
            sums[i] += sums[half + i]
        n = half
    return sums[0]


@compiled
def normalise(D, scale, shift, eps):
    """BatchNorm: v <- g (v - mean v) + shift, t <- g t;  v, t = D[:, :N], D[:, N:], g = scale / sqrt(var v + eps)."""
    units, n = D.shape[0], D.shape[1] // 2
    sums = np.empty((n + 1) // 2)
    for u in range(units):
        row = D[u]
        mean = mean_of(row, n, sums)
        variance = variance_of(row, n, mean, sums) + eps
        if not 0.0 < variance < np.inf:
            raise ValueError("BatchNorm: the variance of a unit overflowed, or is 0 with eps = 0")
        gain = scale[u] / variance ** 0.5
        for i in range(n):
            row[i] = gain * (row[i] - mean) + shift[u]
            row[n + i] *= gain


@compiled
def center(D):
    """Center: v <- v - mean v;  t as it was."""
    units, n = D.shape[0], D.shape[1] // 2
    sums = np.empty((n + 1) // 2)
    for u in range(units):
        row = D[u]
        mean = mean_of(row, n, sums)
        for i in range(n):
            row[i] -= mean


@compiled
def rectify(D, slope):
    """ReLU (slope 0) and PReLU: v, t <- v, t where v > 0, else slope v, slope t."""
    units, n = D.shape[0], D.shape[1] // 2
    for u in range(units):
        row = D[u]
        for i in range(n):
            factor = 1.0 if row[i] > 0 else slope
            row[i] *= factor
            row[n + i] *= factor


@compiled
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


@compiled
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


@compiled
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
