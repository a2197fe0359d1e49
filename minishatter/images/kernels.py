"""The numba kernels of convolution. (Those of rectifiers and batch normalisation are in channel_kernels.py.)

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
from .vectors import add_product, add_up, empty, fill, lanes, load, pick, store

TURN = threading.Lock()


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
    """A new y[o, i, j, n] = b[o] + sum over c, p, q of W[o, c, p, q] x[c, row_of[i, p], col_of[j, q], n].

    Where W has twice the channels of x, the same of CReLU(x): of max(x, 0), then of max(-x, 0).
    """
    (outs, _, *taps), channels = W.shape, len(x)
    halves, fours = W.shape[1] // channels, -(-outs // 4)
    whole, biases = np.zeros((halves, 4 * fours, channels, *taps), W.dtype), np.zeros((fours, 4), W.dtype)
    for half, sign in zip(range(halves), (1, -1)):
        whole[half, :outs] = sign * W[:, half * channels:(half + 1) * channels]
    biases.reshape(-1)[:outs] = b
    whole = whole.reshape(halves, fours, 4, channels, *taps).transpose(1, 4, 5, 3, 0, 2)
    blocks = np.ascontiguousarray(whole).reshape(fours, *taps, channels, 4 * halves)
    y = empty((outs, len(row_of), len(col_of), x.shape[3]), x.dtype)
    correlate(x, blocks, biases, y, row_of, col_of)
    return y


@kernel
def correlate(x, W, b, y, row_of, col_of):
    """The loops of `correlation`: W (blocks, tap rows, tap cols, channels, 4) and b (blocks, 4) hold the outs by fours.

    For CReLU(x) W has 8 instead of 4: those of max(x, 0), and those of max(-x, 0) times -1. The rows of x that a row
    of y sees are first copied together: their channels lie a power of two apart in x, where few of them fit into a
    cache at a time.
    """
    blocks, tap_rows, _, channels, width = W.shape
    (outs, rows, cols, N), x_cols, line = y.shape, x.shape[2], 2 * lanes(x)
    for i in prange(rows):
        flat_y, seen = y.reshape(-1), np.empty(tap_rows * x_cols * channels * line, x.dtype)
        for n in range(0, N, line):
            n1 = min(n + lanes(x), N - lanes(x))  # an odd last vector is computed twice
            gather(x, row_of[i], n, n1, seen)
            for k in range(blocks):
                w = W[k].reshape(-1)
                for j in range(cols):
                    if width == 4:
                        sums = four_sums(x, seen, w, b[k], row_of[i], col_of[j])
                    else:
                        sums = four_sums_of_pairs(x, seen, w, b[k], row_of[i], col_of[j])
                    for h, (low, high) in enumerate(sums):
                        if 4 * k + h < outs:
                            to = (((4 * k + h) * rows + i) * cols + j) * N
                            store(flat_y, to + n, low)
                            store(flat_y, to + n1, high)


@compiled
def four_sums(x, seen, w, b, rows, cols):
    """Four outs of a pixel of y, by two vectors each, which stay in registers; `seen` as `gather` leaves it."""
    (channels, _, x_cols, _), line = x.shape, 2 * lanes(x)
    y0, y1, y2, y3 = fill(x, b[0]), fill(x, b[1]), fill(x, b[2]), fill(x, b[3])
    z0, z1, z2, z3 = y0, y1, y2, y3
    for p in range(len(rows)):
        for q in range(len(cols)):
            if rows[p] < 0 or cols[q] < 0:
                continue
            at, to = (p * x_cols + cols[q]) * channels * line, (p * len(cols) + q) * channels * 4
            for c in range(channels):
                u, v = load(seen, at + c * line), load(seen, at + c * line + lanes(x))
                weight = fill(x, w[to + 4 * c])
                y0, z0 = add_product(y0, weight, u), add_product(z0, weight, v)
                weight = fill(x, w[to + 4 * c + 1])
                y1, z1 = add_product(y1, weight, u), add_product(z1, weight, v)
                weight = fill(x, w[to + 4 * c + 2])
                y2, z2 = add_product(y2, weight, u), add_product(z2, weight, v)
                weight = fill(x, w[to + 4 * c + 3])
                y3, z3 = add_product(y3, weight, u), add_product(z3, weight, v)
    return (y0, z0), (y1, z1), (y2, z2), (y3, z3)


@compiled
def four_sums_of_pairs(x, seen, w, b, rows, cols):
    """`four_sums` for CReLU(x): of a pair one is 0, so the sign of x picks the weight of the other."""
    (channels, _, x_cols, _), line = x.shape, 2 * lanes(x)
    y0, y1, y2, y3 = fill(x, b[0]), fill(x, b[1]), fill(x, b[2]), fill(x, b[3])
    z0, z1, z2, z3 = y0, y1, y2, y3
    for p in range(len(rows)):
        for q in range(len(cols)):
            if rows[p] < 0 or cols[q] < 0:
                continue
            at, to = (p * x_cols + cols[q]) * channels * line, (p * len(cols) + q) * channels * 8
            for c in range(channels):
                u, v = load(seen, at + c * line), load(seen, at + c * line + lanes(x))
                up, down = fill(x, w[to + 8 * c]), fill(x, w[to + 8 * c + 4])
                y0, z0 = add_product(y0, pick(u, up, down), u), add_product(z0, pick(v, up, down), v)
                up, down = fill(x, w[to + 8 * c + 1]), fill(x, w[to + 8 * c + 5])
                y1, z1 = add_product(y1, pick(u, up, down), u), add_product(z1, pick(v, up, down), v)
                up, down = fill(x, w[to + 8 * c + 2]), fill(x, w[to + 8 * c + 6])
                y2, z2 = add_product(y2, pick(u, up, down), u), add_product(z2, pick(v, up, down), v)
                up, down = fill(x, w[to + 8 * c + 3]), fill(x, w[to + 8 * c + 7])
                y3, z3 = add_product(y3, pick(u, up, down), u), add_product(z3, pick(v, up, down), v)
    return (y0, z0), (y1, z1), (y2, z2), (y3, z3)


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


@compiled
def side_by_side(cols, j, right):
    """How many of the cols of x that cols[j], cols[j + 1], ..., cols[right - 1] name stand side by side, from j on."""
    run = 1
    while j + run < right and cols[j] >= 0 and cols[j + run] == cols[j] + run:
        run += 1
    return run


@kernel
def correlate_weights(x, dy, dW, row_of, col_of):
    """dW[o, c, p, q] <- sum over i, j, n of dy[o, i, j, n] x[c, row_of[i, p], col_of[j, q], n].

    Four outs by three channels share a pass: v2 adds up for channel c + 1 and out o + 2. A pass is over few
    enough pixels for what it reads to be still in the cache for the next tap, and takes those side by side as one run.
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
                right = min(left + 8, cols)
                for p in range(tap_rows):
                    for q in range(tap_cols):
                        u0 = u1 = u2 = u3 = v0 = v1 = v2 = v3 = w0 = w1 = w2 = w3 = fill(x, 0.0)
                        j = left
                        while j < right:
                            r, s, run = row_of[i, p], col_of[j, q], side_by_side(col_of[:, q], j, right)
                            for n in range(0, run * N if r >= 0 and s >= 0 else 0, lanes(x)):
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
                            j += run
                        for k, sums in enumerate(((u0, v0, w0), (u1, v1, w1), (u2, v2, w2), (u3, v3, w3))):
                            for h, total in enumerate(sums):
                                if o + k < outs and c + h < channels:
                                    dW[o + k, c + h, p, q] += add_up(total)


@kernel
def correlate_weights_of_pairs(x, dy, dW, row_of, col_of):
    """`correlate_weights` for CReLU(x): dW has twice the channels of x, those of max(x, 0), then those of max(-x, 0).

    Three outs by two channels share a pass, so that a vector of x serves both halves: u for the first channel's,
    v for the second's, w and z for the halves of those below 0.
    """
    outs, _, tap_rows, tap_cols = dW.shape
    channels, (_, rows, cols, N) = len(x), dy.shape
    columns = -(-channels // 2)
    for task in prange(-(-outs // 3) * columns):
        o, c = task // columns * 3, task % columns * 2
        o1, o2, c1 = min(o + 1, outs - 1), min(o + 2, outs - 1), min(c + 1, channels - 1)
        flat_x, flat_dy, zero = x.reshape(-1), dy.reshape(-1), fill(x, 0.0)
        plane, dy_plane = x.shape[1] * x.shape[2] * N, rows * cols * N
        for k in (c, c1, channels + c, channels + c1):
            dW[o:o + 3, k] = 0
        for i in range(rows):
            for left in range(0, cols, 8):
                for p in range(tap_rows):
                    for q in range(tap_cols):
                        u0 = u1 = u2 = v0 = v1 = v2 = w0 = w1 = w2 = z0 = z1 = z2 = zero
                        for j in range(left, min(left + 8, cols)):
                            r, s = row_of[i, p], col_of[j, q]
                            if r < 0 or s < 0:
                                continue
                            for n in range(0, N, lanes(x)):
                                at, to = (r * x.shape[2] + s) * N + n, (i * cols + j) * N + n
                                first, second = load(flat_x, at + c * plane), load(flat_x, at + c1 * plane)
                                u, w = pick(first, first, zero), pick(first, zero, first)
                                v, z = pick(second, second, zero), pick(second, zero, second)
                                d = load(flat_dy, to + o * dy_plane)
                                u0, w0 = add_product(u0, d, u), add_product(w0, d, w)
                                v0, z0 = add_product(v0, d, v), add_product(z0, d, z)
                                d = load(flat_dy, to + o1 * dy_plane)
                                u1, w1 = add_product(u1, d, u), add_product(w1, d, w)
                                v1, z1 = add_product(v1, d, v), add_product(z1, d, z)
                                d = load(flat_dy, to + o2 * dy_plane)
                                u2, w2 = add_product(u2, d, u), add_product(w2, d, w)
                                v2, z2 = add_product(v2, d, v), add_product(z2, d, z)
                        for k, sums in enumerate((((u0, w0), (v0, z0)), ((u1, w1), (v1, z1)), ((u2, w2), (v2, z2)))):
                            for h, (up, down) in enumerate(sums):
                                if o + k < outs and c + h < channels:
                                    dW[o + k, c + h, p, q] += add_up(up)
                                    dW[o + k, channels + c + h, p, q] -= add_up(down)


@kernel
def add_images(dy, db):
    """db[o] <- sum over i, j, n of dy[o, i, j, n]."""
    for o in prange(len(dy)):
        run, total = dy[o].reshape(-1), fill(dy, 0.0)
        for at in range(0, run.size, lanes(dy)):
            total = add_product(total, fill(dy, 1.0), load(run, at))
        db[o] = add_up(total)
