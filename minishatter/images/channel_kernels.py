"""The numba kernels of rectifiers and batch normalisation over images, which mix no channels.

One channel is one contiguous run over pixels and batch: images are runs (channels, M), as `vectors.runs` shows them.
The rules in layers.py stay their definitions.
"""

import numpy as np
from numba import prange

from ..kernels import compiled
from .kernels import kernel
from .vectors import add_product, add_up, fill, lanes, load_double

ONE = np.ones(1)  # tells `fill` that the vector is one of double precision
DOUBLES = lanes(ONE)
BLOCK = 4 * DOUBLES  # four sums at a time, for none to wait for another

# Rectifiers.


@kernel
def rectify(x, y):
    """ReLU for runs (channels, M): y <- max(x, 0); NaN stays NaN."""
    for c in prange(len(x)):
        for m in range(x.shape[1]):
            y[c, m] = x.dtype.type(0) if x[c, m] <= 0 else x[c, m]


@kernel
def rectify_back(dy, y, dx):
    """ReLU's backward rule for runs (channels, M): dx <- dy where y > 0, else 0."""
    for c in prange(len(dy)):
        for m in range(dy.shape[1]):
            dx[c, m] = dy[c, m] if y[c, m] > 0 else dy.dtype.type(0)


@kernel
def rectify_halves(x, y):
    """CReLU for runs x (channels, M): y[c] <- max(x[c], 0), y[channels + c] <- max(-x[c], 0); NaN stays NaN."""
    channels, M = x.shape
    for c in prange(channels):
        for m in range(M):
            y[c, m] = x.dtype.type(0) if x[c, m] <= 0 else x[c, m]
            y[channels + c, m] = x.dtype.type(0) if x[c, m] >= 0 else -x[c, m]


@kernel
def rectify_halves_back(dy, x, dx):
    """CReLU's backward rule: dx[c] <- dy[c] where x[c] > 0, else -dy[channels + c]; x may be the output as well."""
    channels, M = dx.shape
    for c in prange(channels):
        for m in range(M):
            dx[c, m] = dy[c, m] if x[c, m] > 0 else -dy[channels + c, m]


# Batch normalisation. Sums are in double precision, by the vectors of a run and then, one by one, what is left of it.


@compiled
def sum_of(run):
    """The sum of the numbers of a run."""
    total, size, step = 0.0, run.size // BLOCK * BLOCK, DOUBLES
    one = fill(ONE, 1.0)
    s0 = s1 = s2 = s3 = fill(ONE, 0.0)
    for m in range(0, size, BLOCK):
        s0, s1 = add_product(s0, one, load_double(run, m)), add_product(s1, one, load_double(run, m + step))
        s2 = add_product(s2, one, load_double(run, m + 2 * step))
        s3 = add_product(s3, one, load_double(run, m + 3 * step))
    for m in range(size, run.size):
        total += run[m]
    return add_up(s0) + add_up(s1) + add_up(s2) + add_up(s3) + total


@compiled
def sum_of_squares(run, mean):
    """The sum of (x - mean)^2 over the numbers x of a run."""
    total, size, step = 0.0, run.size // BLOCK * BLOCK, DOUBLES
    one, shift = fill(ONE, 1.0), fill(ONE, -mean)
    s0 = s1 = s2 = s3 = fill(ONE, 0.0)
    for m in range(0, size, BLOCK):
        x0, x1 = load_double(run, m), load_double(run, m + step)
        x2, x3 = load_double(run, m + 2 * step), load_double(run, m + 3 * step)
        x0, x1 = add_product(shift, one, x0), add_product(shift, one, x1)
        x2, x3 = add_product(shift, one, x2), add_product(shift, one, x3)
        s0, s1 = add_product(s0, x0, x0), add_product(s1, x1, x1)
        s2, s3 = add_product(s2, x2, x2), add_product(s3, x3, x3)
    for m in range(size, run.size):
        total += (run[m] - mean) ** 2
    return add_up(s0) + add_up(s1) + add_up(s2) + add_up(s3) + total


@compiled
def sum_and_product(run, other):
    """The sums of x and of x y over two runs."""
    total, product, size, step = 0.0, 0.0, run.size // BLOCK * BLOCK, DOUBLES
    one = fill(ONE, 1.0)
    s0 = s1 = s2 = s3 = p0 = p1 = p2 = p3 = fill(ONE, 0.0)
    for m in range(0, size, BLOCK):
        x0, x1 = load_double(run, m), load_double(run, m + step)
        x2, x3 = load_double(run, m + 2 * step), load_double(run, m + 3 * step)
        s0, p0 = add_product(s0, one, x0), add_product(p0, x0, load_double(other, m))
        s1, p1 = add_product(s1, one, x1), add_product(p1, x1, load_double(other, m + step))
        s2, p2 = add_product(s2, one, x2), add_product(p2, x2, load_double(other, m + 2 * step))
        s3, p3 = add_product(s3, one, x3), add_product(p3, x3, load_double(other, m + 3 * step))
    for m in range(size, run.size):
        total += run[m]
        product += np.float64(run[m]) * other[m]
    total += add_up(s0) + add_up(s1) + add_up(s2) + add_up(s3)
    return total, product + add_up(p0) + add_up(p1) + add_up(p2) + add_up(p3)


@kernel
def normalise_images(x, y, xhat, std, scale, shift, eps, least):
    """BatchNorm for runs x (channels, M): xhat <- (x - mean) / std, y <- max(scale xhat + shift, least).

    std (channels,); least is 0 with a ReLU, else -inf; NaN stays NaN.
    """
    channels, M = x.shape
    least = x.dtype.type(least)
    for c in prange(channels):
        mean = x.dtype.type(sum_of(x[c]) / M)
        std[c] = (sum_of_squares(x[c], np.float64(mean)) / M + eps) ** 0.5
        inverse = x.dtype.type(1.0 / std[c])
        for m in range(M):
            normalised = (x[c, m] - mean) * inverse
            value = scale[c] * normalised + shift[c]
            xhat[c, m], y[c, m] = normalised, least if value <= least else value


@kernel
def normalise_images_back(dy, xhat, std, scale, dx, d_scale, d_shift):
    """BatchNorm's backward rule: dx = scale / std (dy - mean dy - xhat mean(xhat dy)), d_scale, d_shift the sums."""
    channels, M = dy.shape
    for c in prange(channels):
        total, product = sum_and_product(dy[c], xhat[c])
        d_shift[c], d_scale[c] = total, product
        gain, mean, slope = scale[c] / std[c], dy.dtype.type(total / M), dy.dtype.type(product / M)
        for m in range(M):
            dx[c, m] = gain * (dy[c, m] - mean - xhat[c, m] * slope)


@kernel
def normalise_rectified_back(dy, y, xhat, std, scale, dx, d_scale, d_shift):
    """The same behind a ReLU with the output y: its rule first, while the channel is in the cache."""
    channels, M = dy.shape
    for c in prange(channels):
        for m in range(M):
            dx[c, m] = dy[c, m] if y[c, m] > 0 else dy.dtype.type(0)
        total, product = sum_and_product(dx[c], xhat[c])
        d_shift[c], d_scale[c] = total, product
        gain, mean, slope = scale[c] / std[c], dy.dtype.type(total / M), dy.dtype.type(product / M)
        for m in range(M):
            dx[c, m] = gain * (dx[c, m] - mean - xhat[c, m] * slope)
