"""Every numba kernel: row passes over dual arrays, pieces of an interval, convolution.

A dual array D has shape (units, 2 N): row u holds the values of unit u at the N
points, D[u, :N], and behind them their tangents, D[u, N:]. A unit's statistics,
its rectifier and its tangent are then one pass over one contiguous row.

The row passes work in place on an array that their caller owns. They alternate
with matrix products, so they are serial: a parallel kernel would fight with the
BLAS for the cores. Each is the forward and the tangent rule of one layer of
layers.py with its batch statistics held; the twin in NumPy is in the docstring.
Behind them two that cut an interval into pieces, and then convolution.
"""

import numpy as np
from numba import njit, prange

# Sums may be reassociated, so that they vectorise; NaN and infinity keep their meaning.
ROW_PASS = {"cache": True, "nogil": True, "fastmath": {"reassoc", "contract", "nsz", "arcp"}}
CONVOLUTION = ROW_PASS | {"parallel": True}  # no matrix product alternates with these


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


# Convolution. Images have the shape (channels, rows, cols, N), the batch last: a pixel of a channel is one contiguous
# run over the batch, and a kernel tap is a number times such a run. x is padded already. The inner loops hold as many
# weights as there are registers: two output channels by nine taps. Each output number is summed by one thread in a
# fixed order, so results do not depend on the number of threads. The six-loop definition is the twin, in the tests.


@njit(**CONVOLUTION)
def correlate(x, W, y, stride):
    """y[o, i, j, n] <- sum over c, p, q of W[o, c, p, q] x[c, i stride + p, j stride + q, n]; y gives the size."""
    outs, channels, tap_rows, tap_cols = W.shape
    for i in prange(y.shape[1]):
        for o in range(outs):
            for j in range(y.shape[2]):
                out = y[o, i, j]
                out[:] = 0
                for c in range(channels):
                    for p in range(tap_rows):
                        for q in range(tap_cols):
                            weight, run = W[o, c, p, q], x[c, i * stride + p, j * stride + q]
                            for n in range(out.size):
                                out[n] += weight * run[n]


@njit(**CONVOLUTION)
def correlate_3x3(x, W, y, stride):
    """The same for kernels of 3 x 3 and at least two output channels: nine runs of x are read once for two of y."""
    outs, channels, _, _ = W.shape
    for i in prange(y.shape[1]):
        for pair in range((outs + 1) // 2):
            o = min(2 * pair, outs - 2)  # an odd last channel is done together with the one before, which is done twice
            for j in range(y.shape[2]):
                left, ya, yb = j * stride, y[o, i, j], y[o + 1, i, j]
                ya[:] = 0
                yb[:] = 0
                for c in range(channels):
                    top, middle, low = x[c, i * stride], x[c, i * stride + 1], x[c, i * stride + 2]
                    x0, x1, x2 = top[left], top[left + 1], top[left + 2]
                    x3, x4, x5 = middle[left], middle[left + 1], middle[left + 2]
                    x6, x7, x8 = low[left], low[left + 1], low[left + 2]
                    A, B = W[o, c], W[o + 1, c]
                    a0, a1, a2, a3, a4, a5 = A[0, 0], A[0, 1], A[0, 2], A[1, 0], A[1, 1], A[1, 2]
                    b0, b1, b2, b3, b4, b5 = B[0, 0], B[0, 1], B[0, 2], B[1, 0], B[1, 1], B[1, 2]
                    a6, a7, a8, b6, b7, b8 = A[2, 0], A[2, 1], A[2, 2], B[2, 0], B[2, 1], B[2, 2]
                    for n in range(ya.size):
                        ya[n] += (a0 * x0[n] + a1 * x1[n] + a2 * x2[n] + a3 * x3[n] + a4 * x4[n] + a5 * x5[n]
                                  + a6 * x6[n] + a7 * x7[n] + a8 * x8[n])
                        yb[n] += (b0 * x0[n] + b1 * x1[n] + b2 * x2[n] + b3 * x3[n] + b4 * x4[n] + b5 * x5[n]
                                  + b6 * x6[n] + b7 * x7[n] + b8 * x8[n])


@njit(**CONVOLUTION)
def correlate_weights(x, dy, dW, stride):
    """dW[o, c, p, q] <- sum over i, j, n of dy[o, i, j, n] x[c, i stride + p, j stride + q, n]."""
    outs, channels, tap_rows, tap_cols = dW.shape
    N = x.shape[3]
    for task in prange(outs * channels):
        o, c = task // channels, task % channels
        for p in range(tap_rows):
            for q in range(tap_cols):
                total = dW.dtype.type(0)
                for i in range(dy.shape[1]):
                    for j in range(dy.shape[2]):
                        d, xq = dy[o, i, j], x[c, i * stride + p, j * stride + q]
                        for n in range(N):
                            total += d[n] * xq[n]
                dW[o, c, p, q] = total


@njit(**CONVOLUTION)
def correlate_weights_3(x, dy, dW):
    """The same for stride 1 and three columns of taps: a row of dy and three shifted rows of x are one run each.

    Two output channels by three taps share it.
    """
    outs, channels, tap_rows, _ = dW.shape
    N, run = x.shape[3], dy.shape[2] * x.shape[3]
    for task in prange((outs + 1) // 2 * channels):
        o, c = task // channels * 2, task % channels
        o2 = min(o + 1, outs - 1)
        for p in range(tap_rows):
            a0 = a1 = a2 = b0 = b1 = b2 = dW.dtype.type(0)
            for i in range(dy.shape[1]):
                d, e, x0 = dy[o, i].reshape(-1), dy[o2, i].reshape(-1), x[c, i + p].reshape(-1)
                x1, x2 = x0[N:], x0[2 * N:]
                for k in range(run):
                    a0 += d[k] * x0[k]
                    a1 += d[k] * x1[k]
                    a2 += d[k] * x2[k]
                    b0 += e[k] * x0[k]
                    b1 += e[k] * x1[k]
                    b2 += e[k] * x2[k]
            dW[o2, c, p, 0], dW[o2, c, p, 1], dW[o2, c, p, 2] = b0, b1, b2
            dW[o, c, p, 0], dW[o, c, p, 1], dW[o, c, p, 2] = a0, a1, a2


@njit(**CONVOLUTION)
def place(x, out, top, left, step):
    """out <- 0, then out[c, top + i step, left + j step] <- x[c, i, j]: padding (step 1) and spreading (step > 1)."""
    for task in prange(out.shape[0] * out.shape[1]):
        c, r = task // out.shape[1], task % out.shape[1]
        out[c, r] = 0
        i = (r - top) // step
        if (r - top) % step == 0 and 0 <= i < x.shape[1]:
            for j in range(x.shape[2]):
                out[c, r, left + j * step] = x[c, i, j]


# Batch normalisation and rectifiers over images: one channel is one contiguous run over pixels and batch.


@njit(**CONVOLUTION)
def normalise_images(x, y, xhat, std, scale, shift, eps):
    """BatchNorm for runs x (channels, M): xhat <- (x - mean) / std, y <- scale xhat + shift, std (channels,)."""
    channels, M = x.shape
    for c in prange(channels):
        total = 0.0
        for m in range(M):
            total += x[c, m]
        mean = x.dtype.type(total / M)
        squares = 0.0
        for m in range(M):
            squares += (x[c, m] - mean) ** 2
        std[c] = (squares / M + eps) ** 0.5
        inverse = x.dtype.type(1.0 / std[c])
        for m in range(M):
            xhat[c, m] = (x[c, m] - mean) * inverse
            y[c, m] = scale[c] * xhat[c, m] + shift[c]


@njit(**CONVOLUTION)
def normalise_images_back(dy, xhat, std, scale, dx, d_scale, d_shift):
    """BatchNorm's backward rule: dx = scale / std (dy - mean dy - xhat mean(xhat dy)), d_scale, d_shift the sums."""
    channels, M = dy.shape
    for c in prange(channels):
        total, product = 0.0, 0.0
        for m in range(M):
            total += dy[c, m]
            product += dy[c, m] * xhat[c, m]
        d_shift[c], d_scale[c] = total, product
        gain = dy.dtype.type(scale[c] / std[c])
        mean, slope = dy.dtype.type(total / M), dy.dtype.type(product / M)
        for m in range(M):
            dx[c, m] = gain * (dy[c, m] - mean - xhat[c, m] * slope)
