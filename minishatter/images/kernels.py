"""The numba kernels of the convnets: convolution, rectifiers and batch normalisation over images.

Images have the shape (channels, rows, cols, N), the batch last: a pixel of a channel is one contiguous run over the
batch. Convolution goes along it by the vectors of vectors.py, and keeps its sums in registers; y is touched only when
it is done.

No matrix product alternates with these kernels, so they are parallel. Each number is summed by one thread in a fixed
order: results do not depend on the number of threads. Six loops in tests/images/test_conv.py define a convolution.
"""

import functools
import threading

import numpy as np
from numba import prange

from ..kernels import compiled, threading_layer
from .vectors import add_product, add_up, empty, fill, lanes, load, load_double, store

TURN = threading.Lock()
ONE = np.ones(1)  # tells `fill` that the vector is one of double precision
DOUBLES = lanes(ONE)
BLOCK = 4 * DOUBLES  # four sums at a time, for none to wait for another


def kernel(function):
    """Compile a kernel for numba's threads. Where those are the workqueue, which would abort, calls take turns.

    numba compiles a parallel loop twice, and runs the one in the process that compiles, the other from the cache.
    """
    parallel = compiled(function, parallel=True)

    @functools.wraps(function)
    def call(*arrays):
        if threading_layer() in ("omp", "tbb"):
            return parallel(*arrays)
        with TURN:
            return parallel(*arrays)

    return call


# Convolution. N is a multiple of the lanes: conv.py sees to that. Stride and padding are in two tables, of `reads`.


@compiled
def reads(outputs, inputs, taps, stride, padding, spacing):
    """Which input row (or col) each output row reads through each tap, (outputs, taps); -1 if it reads a zero.

    Output i reads place i stride + p - padding through tap p. The inputs stand `spacing` apart, with zeros between
    and outside.
    """
    table = np.full((outputs, taps), -1)
    for i in range(outputs):
        for p in range(taps):
            place = i * stride + p - padding
            if place >= 0 and place % spacing == 0 and place // spacing < inputs:
                table[i, p] = place // spacing
    return table


def correlation(x, W, b, row_of, col_of):
    """A new y[o, i, j, n] = b[o] + sum over c, p, q of W[o, c, p, q] x[c, row_of[i, p], col_of[j, q], n]."""
    outs, channels, *taps = W.shape
    fours = -(-outs // 4)
    whole, biases = np.zeros((4 * fours, channels, *taps), W.dtype), np.zeros((fours, 4), W.dtype)
    whole[:outs], biases.reshape(-1)[:outs] = W, b
    blocks = np.ascontiguousarray(whole.reshape(fours, 4, channels, *taps).transpose(0, 3, 4, 2, 1))
    y = empty((outs, len(row_of), len(col_of), x.shape[3]), x.dtype)
    correlate(x, blocks, biases, y, row_of, col_of)
    return y


@kernel
def correlate(x, W, b, y, row_of, col_of):
    """The loops of `correlation`: W (blocks, tap rows, tap cols, channels, 4) and b (blocks, 4) hold the outs by fours.

    Four outs by two vectors stay in registers. The rows of x that a row of y sees are first copied
    together: their channels lie a power of two apart in x, where few of them fit into a cache at a time.
    """
    blocks, tap_rows, tap_cols, channels, _ = W.shape
    (outs, rows, cols, N), x_cols, line = y.shape, x.shape[2], 2 * lanes(x)
    for i in prange(rows):
        flat_y, seen = y.reshape(-1), np.empty(tap_rows * x_cols * channels * line, x.dtype)
        for n in range(0, N, line):
            n1 = min(n + lanes(x), N - lanes(x))  # an odd last vector is computed twice
            gather(x, row_of[i], n, n1, seen)
            for k in range(blocks):
                w, bias = W[k].reshape(-1), b[k]
                for j in range(cols):
                    y0, y1, y2, y3 = fill(x, bias[0]), fill(x, bias[1]), fill(x, bias[2]), fill(x, bias[3])
                    z0, z1, z2, z3 = y0, y1, y2, y3
                    for p in range(tap_rows):
                        for q in range(tap_cols):
                            if row_of[i, p] < 0 or col_of[j, q] < 0:
                                continue
                            at, tap = (p * x_cols + col_of[j, q]) * channels, (p * tap_cols + q) * channels
                            for c in range(channels):
                                u, v = load(seen, (at + c) * line), load(seen, (at + c) * line + lanes(x))
                                to = 4 * (tap + c)
                                weight = fill(x, w[to])
                                y0, z0 = add_product(y0, weight, u), add_product(z0, weight, v)
                                weight = fill(x, w[to + 1])
                                y1, z1 = add_product(y1, weight, u), add_product(z1, weight, v)
                                weight = fill(x, w[to + 2])
                                y2, z2 = add_product(y2, weight, u), add_product(z2, weight, v)
                                weight = fill(x, w[to + 3])
                                y3, z3 = add_product(y3, weight, u), add_product(z3, weight, v)
                    for h, (low, high) in enumerate(((y0, z0), (y1, z1), (y2, z2), (y3, z3))):
                        if 4 * k + h < outs:
                            to = (((4 * k + h) * rows + i) * cols + j) * N
                            store(flat_y, to + n, low)
                            store(flat_y, to + n1, high)


@compiled
def gather(x, rows, n, n1, seen):
    """seen[p, j, c] <- the vectors x[c, rows[p], j, n ...] and x[c, rows[p], j, n1 ...], side by side, rows[p] >= 0."""
    (channels, x_rows, cols, N), flat_x = x.shape, x.reshape(-1)
    for p in range(len(rows)):
        if rows[p] >= 0:
            for j in range(cols):
                for c in range(channels):
                    at, to = ((c * x_rows + rows[p]) * cols + j) * N, ((p * cols + j) * channels + c) * 2 * lanes(x)
                    store(seen, to, load(flat_x, at + n))
                    store(seen, to + lanes(x), load(flat_x, at + n1))


@kernel
def correlate_weights(x, dy, dW, row_of, col_of):
    """dW[o, c, p, q] <- sum over i, j, n of dy[o, i, j, n] x[c, row_of[i, p], col_of[j, q], n].

    Four outs by three channels share a pass: v2 adds up for channel c + 1 and out o + 2. A pass is over few
    enough pixels for what it reads to be still in the cache for the next tap.
    """
    outs, channels, tap_rows, tap_cols = dW.shape
    _, rows, cols, N = dy.shape
    columns = -(-channels // 3)
    for task in prange(-(-outs // 4) * columns):
        o, c = task // columns * 4, task % columns * 3
        o1, o2, o3 = min(o + 1, outs - 1), min(o + 2, outs - 1), min(o + 3, outs - 1)
        c1, c2 = min(c + 1, channels - 1), min(c + 2, channels - 1)
        flat_x, flat_dy = x.reshape(-1), dy.reshape(-1)
        plane, dy_plane = x.shape[1] * x.shape[2] * N, rows * cols * N
        dW[o:o + 4, c:c + 3] = 0
        for i in range(rows):
            for left in range(0, cols, 8):
                for p in range(tap_rows):
                    for q in range(tap_cols):
                        u0 = u1 = u2 = u3 = v0 = v1 = v2 = v3 = w0 = w1 = w2 = w3 = fill(x, 0.0)
                        for j in range(left, min(left + 8, cols)):
                            r, s = row_of[i, p], col_of[j, q]
                            if r < 0 or s < 0:
                                continue
                            for n in range(0, N, lanes(x)):
                                at, to = (r * x.shape[2] + s) * N + n, (i * cols + j) * N + n
                                u, v = load(flat_x, at + c * plane), load(flat_x, at + c1 * plane)
                                w = load(flat_x, at + c2 * plane)
                                d = load(flat_dy, to + o * dy_plane)
                                u0, v0, w0 = add_product(u0, d, u), add_product(v0, d, v), add_product(w0, d, w)
                                d = load(flat_dy, to + o1 * dy_plane)
                                u1, v1, w1 = add_product(u1, d, u), add_product(v1, d, v), add_product(w1, d, w)
                                d = load(flat_dy, to + o2 * dy_plane)
                                u2, v2, w2 = add_product(u2, d, u), add_product(v2, d, v), add_product(w2, d, w)
                                d = load(flat_dy, to + o3 * dy_plane)
                                u3, v3, w3 = add_product(u3, d, u), add_product(v3, d, v), add_product(w3, d, w)
                        for k, sums in enumerate(((u0, v0, w0), (u1, v1, w1), (u2, v2, w2), (u3, v3, w3))):
                            for h, total in enumerate(sums):
                                if o + k < outs and c + h < channels:
                                    dW[o + k, c + h, p, q] += add_up(total)


@kernel
def add_images(dy, db):
    """db[o] <- sum over i, j, n of dy[o, i, j, n]."""
    for o in prange(len(dy)):
        run, total = dy[o].reshape(-1), fill(dy, 0.0)
        for at in range(0, run.size, lanes(dy)):
            total = add_product(total, fill(dy, 1.0), load(run, at))
        db[o] = add_up(total)


# Rectifiers. One channel is one contiguous run over pixels and batch, here and below.


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
def rectify_halves_back(dy, y, dx):
    """CReLU's backward rule: dx[c] <- dy[c] where y[c] > 0, else -dy[channels + c]."""
    channels, M = dx.shape
    for c in prange(channels):
        for m in range(M):
            dx[c, m] = dy[c, m] if y[c, m] > 0 else -dy[channels + c, m]


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
def normalise_images(x, y, xhat, std, scale, shift, eps):
    """BatchNorm for runs x (channels, M): xhat <- (x - mean) / std, y <- scale xhat + shift, std (channels,)."""
    channels, M = x.shape
    for c in prange(channels):
        mean = x.dtype.type(sum_of(x[c]) / M)
        std[c] = (sum_of_squares(x[c], np.float64(mean)) / M + eps) ** 0.5
        inverse = x.dtype.type(1.0 / std[c])
        for m in range(M):
            xhat[c, m] = (x[c, m] - mean) * inverse
            y[c, m] = scale[c] * xhat[c, m] + shift[c]


@kernel
def normalise_images_back(dy, xhat, std, scale, dx, d_scale, d_shift):
    """BatchNorm's backward rule: dx = scale / std (dy - mean dy - xhat mean(xhat dy)), d_scale, d_shift the sums."""
    channels, M = dy.shape
    for c in prange(channels):
        total, product = sum_and_product(dy[c], xhat[c])
        d_shift[c], d_scale[c] = total, product
        gain = dy.dtype.type(scale[c] / std[c])
        mean, slope = dy.dtype.type(total / M), dy.dtype.type(product / M)
        for m in range(M):
            dx[c, m] = gain * (dy[c, m] - mean - xhat[c, m] * slope)
