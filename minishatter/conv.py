"""What images need: convolution, normalisation, pooling.

A batch of images has the shape (channels, rows, cols, N), the batch last. A pixel of a
channel is then one contiguous run over the batch, and every inner loop of the
kernels runs over it. The layers of layers.py that act on each number alone
(ReLU, PReLU, Identity) or on each unit (CReLU, Affine, BatchNorm) take images as
they are, with a channel in the place of a unit.
"""

from typing import NamedTuple

import numpy as np

from . import arguments, kernels
from .layers import BatchNorm, BatchNormCache, Layer


class ConvCache(NamedTuple):
    """Of Conv2d: its input, padded."""

    padded: np.ndarray  # (channels, rows + 2 padding, cols + 2 padding, N)
    rows: int
    cols: int


class Conv2d(Layer):
    """y[o, i, j] = b[o] + sum over c, p, q of W[o, c, p, q] x[c, i s + p - padding, j s + q - padding], s the stride.

    x (channels, rows, cols, N), zero outside; W (outs, channels, kernel rows, kernel cols), b (outs,);
    y (outs, (rows + 2 padding - kernel rows) // s + 1, likewise cols, N). The tangent is the same map without b.
    dx is the same map again, of dy spread by the stride, with each kernel turned around. padding: None
    keeps the size at stride 1 (half the kernel, which must be odd).
    """

    def __init__(self, W, b=None, stride=1, padding=None):
        W = arguments.array("W", W, ndim=4)
        b = np.zeros(len(W), W.dtype) if b is None else arguments.array("b", b, ndim=1)
        if b.shape != W.shape[:1]:
            raise ValueError(f"b must have shape ({len(W)},) to go with W of shape {W.shape}, got {b.shape}")
        self.stride = arguments.integer("stride", stride)
        if padding is None and not (W.shape[2] == W.shape[3] and W.shape[2] % 2):
            raise ValueError(f"padding must be given if the kernel is not square and odd, got W of shape {W.shape}")
        self.padding = W.shape[2] // 2 if padding is None else arguments.integer("padding", padding, least=0)
        if self.padding >= min(W.shape[2:]):
            raise ValueError(f"padding must be less than the kernel's size {W.shape[2:]}, got {padding}")
        super().__init__(W=W, b=b)

    def forward(self, x):
        W, b = self.params["W"], self.params["b"]
        if x.ndim != 4 or x.shape[0] != W.shape[1]:
            raise ValueError(f"{self} expects x of shape ({W.shape[1]}, rows, cols, N), got {x.shape}; "
                             "do the layers chain? (a CReLU doubles the number of channels)")
        cache = ConvCache(self._padded(x), *x.shape[1:3])
        y = self._from_padded(cache.padded)
        if b.any():
            y = y + b[:, None, None, None]
        return y, cache

    def tangent(self, t, cache):
        return self._from_padded(self._padded(t))

    def backward(self, dy, cache):
        W, dy = self.params["W"], np.ascontiguousarray(dy)
        outs, channels, tap_rows, tap_cols = W.shape
        spread = np.empty((outs, cache.rows + tap_rows - 1, cache.cols + tap_cols - 1, dy.shape[3]), dy.dtype)
        kernels.place(dy, spread, tap_rows - 1 - self.padding, tap_cols - 1 - self.padding, self.stride)
        dx = np.empty((channels, cache.rows, cache.cols, dy.shape[3]), dy.dtype)
        _correlate(spread, np.ascontiguousarray(W[:, :, ::-1, ::-1].swapaxes(0, 1)), dx, 1)
        dW = np.empty_like(W)
        if self.stride == 1 and tap_cols == 3:
            kernels.correlate_weights_3(cache.padded, dy, dW)
        else:
            kernels.correlate_weights(cache.padded, dy, dW, self.stride)
        return dx, {"W": dW, "b": dy.sum(axis=(1, 2, 3))}

    def _padded(self, x):
        pad, (channels, rows, cols, N) = self.padding, x.shape
        padded = np.empty((channels, rows + 2 * pad, cols + 2 * pad, N), x.dtype)
        kernels.place(np.ascontiguousarray(x), padded, pad, pad, 1)
        return padded

    def _from_padded(self, padded):
        W = self.params["W"]
        size = [(n - taps) // self.stride + 1 for n, taps in zip(padded.shape[1:3], W.shape[2:])]
        if min(size) < 1:
            raise ValueError(f"{self} expects images of at least {W.shape[2:]} pixels with their padding, "
                             f"got {padded.shape[1:3]}")
        y = np.empty((len(W), *size, padded.shape[3]), padded.dtype)
        _correlate(padded, W, y, self.stride)
        return y

    def __repr__(self):
        outs, channels, rows, cols = self.params["W"].shape
        return f"Conv2d({channels}, {outs}, {rows} x {cols}{f', stride {self.stride}' if self.stride > 1 else ''})"


def _correlate(x, W, y, stride):
    kernel = kernels.correlate_3x3 if W.shape[2:] == (3, 3) and len(W) > 1 else kernels.correlate
    kernel(x, W, y, stride)


class BatchNorm2d(BatchNorm):
    """BatchNorm over images, by kernels: the statistics of a channel are over all its pixels and the batch.

    The rules are those of BatchNorm, which stays their definition; only forward and backward are fused.
    """

    def forward(self, x):
        if x.ndim != 4 or x.shape[0] != self.params["scale"].size:
            raise ValueError(f"{self} expects x of shape ({self.params['scale'].size}, rows, cols, N), got {x.shape}")
        x = np.ascontiguousarray(x)
        y, xhat, std = np.empty_like(x), np.empty_like(x), np.empty(len(x), x.dtype)
        runs = [array.reshape(len(x), -1) for array in (x, y, xhat)]
        kernels.normalise_images(*runs, std, self.params["scale"], self.params["shift"], self.eps)
        if not np.isfinite(std).all() or not std.all():
            raise ValueError(f"{self}: the variance of a channel overflowed, or is 0 with eps = 0")
        return y, BatchNormCache(xhat, std)

    def backward(self, dy, cache):
        xhat, std = cache
        dx, d_scale, d_shift = np.empty_like(xhat), np.empty_like(std), np.empty_like(std)
        runs = [array.reshape(len(dx), -1) for array in (np.ascontiguousarray(dy), xhat)]
        kernels.normalise_images_back(*runs, std, self.params["scale"], dx.reshape(len(dx), -1), d_scale, d_shift)
        return dx, {"scale": d_scale, "shift": d_shift}


class Flatten(Layer):
    """Images (channels, rows, cols, N) -> (N, channels * rows * cols): from images to units."""

    def forward(self, x):
        return x.reshape(-1, x.shape[-1]).T, x.shape

    def tangent(self, t, cache):
        return t.reshape(-1, t.shape[-1]).T

    def backward(self, dy, cache):
        return np.ascontiguousarray(dy.T).reshape(cache), {}


class AveragePool(Layer):
    """y[c, i, j] = mean of the size x size pixels x[c, i size : (i + 1) size, j size : (j + 1) size].

    Rows and columns that do not fill a window are left out, and their dx is 0.
    """

    def __init__(self, size):
        super().__init__()
        self.size = arguments.integer("size", size)

    def forward(self, x):
        if x.ndim != 4 or min(x.shape[1:3]) < self.size:
            raise ValueError(f"{self} expects images of at least {self.size} x {self.size} pixels, got shape {x.shape}")
        return self._mean(x), x.shape

    def tangent(self, t, cache):
        return self._mean(t)

    def backward(self, dy, cache):
        dx = np.zeros(cache, dy.dtype)
        share = (dy / self.size**2).repeat(self.size, axis=1).repeat(self.size, axis=2)
        dx[:, :share.shape[1], :share.shape[2]] = share
        return dx, {}

    def _mean(self, x):
        s, (channels, rows, cols, N) = self.size, x.shape
        windows = x[:, :rows // s * s, :cols // s * s].reshape(channels, rows // s, s, cols // s, s, N)
        return windows.mean(axis=(2, 4))

    def __repr__(self):
        return f"AveragePool({self.size})"
