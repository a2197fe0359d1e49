"""What images need: convolution, normalisation, pooling.

A batch of images has the shape (channels, rows, cols, N), the batch last. A pixel of a
channel is then one contiguous run over the batch, and every inner loop of the
kernels runs over it. Layers that act on each number alone (ReLU, PReLU, Identity) take
images as they are; `PerPixel` makes any other layer of units one of images.
"""

from typing import Any, NamedTuple

import numpy as np

from .. import arguments
from ..layers import BatchNorm, BatchNormCache, CReLU, Grads, Layer, ReLU, ReLUCache
from . import channel_kernels, kernels, vectors
from .vectors import runs


class ConvCache(NamedTuple):
    """Of Conv2d: its input."""

    x: np.ndarray  # (channels, rows, cols, N)


class Conv2d(Layer):
    """y[o, i, j] = b[o] + sum over c, p, q of W[o, c, p, q] x[c, i s + p - padding, j s + q - padding], s the stride.

    x (channels, rows, cols, N), zero outside; W (outs, channels, filter rows, filter cols), b (outs,);
    y (outs, (rows + 2 padding - filter rows) // s + 1, likewise cols, N). The tangent is the same map without b.
    dx is the same map again, of dy spread by the stride, with each filter turned around. padding: None
    keeps the size at stride 1 (half the filter, which must be odd).
    """

    _halves = 1  # of W, for one channel of x
    _correlate_weights = staticmethod(kernels.correlate_weights)

    def __init__(self, W: np.ndarray, b: np.ndarray | None = None, stride: int = 1, padding: int | None = None):
        W = arguments.array("W", W, ndim=4)
        b = np.zeros(len(W), W.dtype) if b is None else arguments.array("b", b, ndim=1)
        if b.shape != W.shape[:1]:
            raise ValueError(f"b must have shape ({len(W)},) to go with W of shape {W.shape}, got {b.shape}")
        self.stride = arguments.integer("stride", stride)
        if padding is None and not (W.shape[2] == W.shape[3] and W.shape[2] % 2):
            raise ValueError(f"padding must be given if the filter is not square and odd, got W of shape {W.shape}")
        self.padding = W.shape[2] // 2 if padding is None else arguments.integer("padding", padding, least=0)
        if self.padding >= min(W.shape[2:]):
            raise ValueError(f"padding must be less than the filter's size {W.shape[2:]}, got {padding}")
        super().__init__(W=W, b=b)

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, ConvCache]:
        W, b = self.params["W"], self.params["b"]
        if x.ndim != 4 or x.shape[0] * self._halves != W.shape[1]:
            raise ValueError(f"{self} expects x of shape ({W.shape[1] // self._halves}, rows, cols, N), got {x.shape}; "
                             "do the layers chain? (a CReLU doubles the number of channels)")
        return self._map(x, b), ConvCache(x)

    def tangent(self, t: np.ndarray, cache: ConvCache) -> np.ndarray:
        return self._map(t, np.zeros_like(self.params["b"]))

    def backward(self, dy: np.ndarray, cache: ConvCache) -> tuple[np.ndarray, Grads]:
        W, x, dy = self.params["W"], vectors.filled(cache.x), vectors.filled(dy.astype(cache.x.dtype, copy=False))
        dW, db = np.empty_like(W), np.empty_like(self.params["b"])
        self._correlate_weights(x, dy, dW, *self._reads(x.shape[1:3], dy.shape[1:3]))
        kernels.add_images(dy, db)
        turned = W[:, :, ::-1, ::-1].swapaxes(0, 1)
        spread = (kernels.reads(n, m, taps, 1, taps - 1 - self.padding, self.stride)
                  for n, m, taps in zip(x.shape[1:3], dy.shape[1:3], W.shape[2:]))
        dx = kernels.correlation(dy, turned, np.zeros(len(turned), W.dtype), *spread)
        return dx[..., :cache.x.shape[3]], {"W": dW, "b": db}

    def _map(self, x, b):
        """The map of forward and tangent, with the biases b."""
        if x.dtype not in (np.float32, np.float64):
            raise ValueError(f"{self} expects x of float32 or float64, got {x.dtype}")
        W, s, pad = self.params["W"], self.stride, self.padding
        size = [(n + 2 * pad - taps) // s + 1 for n, taps in zip(x.shape[1:3], W.shape[2:])]
        if min(size) < 1:
            raise ValueError(f"{self} expects images of at least {W.shape[2:]} pixels with their padding, "
                             f"got {tuple(n + 2 * pad for n in x.shape[1:3])}")
        return kernels.correlation(vectors.filled(x), W, b, *self._reads(x.shape[1:3], size))[..., :x.shape[3]]

    def _reads(self, x_size, y_size):
        """Which rows, and which cols, of x the taps of W see from the rows and cols of y."""
        return [kernels.reads(m, n, taps, self.stride, self.padding, 1)
                for m, n, taps in zip(y_size, x_size, self.params["W"].shape[2:])]

    def __repr__(self):
        outs, channels, rows, cols = self.params["W"].shape
        stride = f", stride {self.stride}" if self.stride > 1 else ""
        return f"{type(self).__name__}({channels // self._halves}, {outs}, {rows} x {cols}{stride})"


def _rows(x: np.ndarray) -> np.ndarray:
    """Images (channels, rows, cols, N) as a batch of units (rows * cols * N, channels): a pixel is a row. A view."""
    return x.reshape(len(x), -1).T


def _images(batch: np.ndarray, like: np.ndarray) -> np.ndarray:
    """A batch of units (rows * cols * N, units) as images (units, rows, cols, N), with the rows, cols, N of `like`."""
    return batch.T.reshape(-1, *like.shape[1:])


class PerPixel(Layer):
    """A layer of units at every pixel of images: a pixel is a row of its batch, a channel is a unit.

    So CReLU, Center, BatchNorm and Affine serve images with the rules of layers.py; batch statistics of a channel are
    over all its pixels and the batch. (ReLU, PReLU and Identity ask for no shape and need no wrapper.)
    """

    def __init__(self, layer: Layer):
        self.layer = arguments.layer("layer", layer)

    @property
    def params(self) -> Grads:
        """The layer's own."""
        return self.layer.params

    @params.setter
    def params(self, params: Grads) -> None:
        """Replace them, as `train.cast` does."""
        self.layer.params = params

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, Any]:
        _check_images(self, x)
        y, cache = self.layer.forward(_rows(x))
        return _images(y, x), cache

    def tangent(self, t: np.ndarray, cache: Any) -> np.ndarray:
        return _images(self.layer.tangent(_rows(t), cache), t)

    def backward(self, dy: np.ndarray, cache: Any) -> tuple[np.ndarray, Grads]:
        dx, grads = self.layer.backward(_rows(dy), cache)
        return _images(dx, dy), grads

    def freeze(self, x: np.ndarray) -> Layer:
        return PerPixel(self.layer.freeze(_rows(x)))

    def __repr__(self) -> str:
        return f"PerPixel({self.layer!r})"


def _check_images(layer, x):
    if x.ndim != 4:
        raise ValueError(f"{layer} expects images (channels, rows, cols, N), got shape {x.shape}")


class ReLU2d(ReLU):
    """ReLU over images: the same rules, by kernels."""

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, ReLUCache]:
        _check_images(self, x)
        y = vectors.empty(x.shape, x.dtype)
        channel_kernels.rectify(runs(x), runs(y))
        return y, ReLUCache(y)

    def backward(self, dy: np.ndarray, cache: ReLUCache) -> tuple[np.ndarray, Grads]:
        dx = vectors.empty(dy.shape, dy.dtype)
        channel_kernels.rectify_back(runs(dy), runs(cache.y), runs(dx))
        return dx, {}


class CReLU2dCache(NamedTuple):
    """Of CReLU2d: the output, which the next layer keeps anyway."""

    y: np.ndarray  # (2 channels, rows, cols, N)

    @property
    def active(self) -> np.ndarray:
        """Which outputs are active, one of each pair: (2 channels, rows, cols, N)."""
        positive = self.y[:len(self.y) // 2] > 0
        return np.concatenate([positive, ~positive])


class CReLU2d(PerPixel):
    """PerPixel(CReLU), by kernels: the rules of CReLU stay its definition; the cache holds no more than the output."""

    def __init__(self):
        super().__init__(CReLU())

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, CReLU2dCache]:
        _check_images(self, x)
        y = vectors.empty((2 * len(x), *x.shape[1:]), x.dtype)
        channel_kernels.rectify_halves(runs(x), runs(y))
        return y, CReLU2dCache(y)

    def tangent(self, t: np.ndarray, cache: CReLU2dCache) -> np.ndarray:
        return np.concatenate([t, -t]) * cache.active

    def backward(self, dy: np.ndarray, cache: CReLU2dCache) -> tuple[np.ndarray, Grads]:
        dx = vectors.empty((len(dy) // 2, *dy.shape[1:]), dy.dtype)
        channel_kernels.rectify_halves_back(runs(dy), runs(cache.y), runs(dx))
        return dx, {}

    def freeze(self, x: np.ndarray) -> Layer:
        return self

    def __repr__(self) -> str:
        return "CReLU2d()"


class BatchNorm2d(PerPixel):
    """PerPixel(BatchNorm), by kernels: the rules of BatchNorm stay its definition, forward and backward are fused."""

    layer: BatchNorm
    _least = -np.inf  # of y

    def __init__(self, channels: int, eps: float = 1e-5):
        super().__init__(BatchNorm(channels, eps))

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, BatchNormCache]:
        scale, shift = self.params["scale"], self.params["shift"]
        if x.ndim != 4 or len(x) != scale.size:
            raise ValueError(f"{self} expects x of shape ({scale.size}, rows, cols, N), got {x.shape}")
        y, xhat, std = vectors.empty(x.shape, x.dtype), vectors.empty(x.shape, x.dtype), np.empty(len(x), x.dtype)
        channel_kernels.normalise_images(runs(x), runs(y), runs(xhat), std, scale, shift, self.layer.eps, self._least)
        if not np.isfinite(std).all() or not std.all():
            raise ValueError(f"{self}: the variance of a channel overflowed, or is 0 with eps = 0")
        return y, BatchNormCache(_rows(xhat), std)

    def backward(self, dy: np.ndarray, cache: BatchNormCache) -> tuple[np.ndarray, Grads]:
        xhat, std = cache
        dx, d_scale, d_shift = vectors.empty(dy.shape, xhat.dtype), np.empty_like(std), np.empty_like(std)
        channel_kernels.normalise_images_back(runs(dy), xhat.T, std, self.params["scale"], runs(dx), d_scale, d_shift)
        return dx, {"scale": d_scale, "shift": d_shift}

    def __repr__(self) -> str:
        return f"BatchNorm2d({self.params['scale'].size})"


class Flatten(Layer):
    """Images (channels, rows, cols, N) -> (N, channels * rows * cols): from images to units."""

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, tuple[int, ...]]:
        return x.reshape(-1, x.shape[-1]).T, x.shape

    def tangent(self, t: np.ndarray, cache: tuple[int, ...]) -> np.ndarray:
        return t.reshape(-1, t.shape[-1]).T

    def backward(self, dy: np.ndarray, cache: tuple[int, ...]) -> tuple[np.ndarray, Grads]:
        return np.ascontiguousarray(dy.T).reshape(cache), {}


class AveragePool(Layer):
    """y[c, i, j] = mean of the size x size pixels x[c, i size : (i + 1) size, j size : (j + 1) size].

    Rows and columns that do not fill a window are left out, and their dx is 0.
    """

    def __init__(self, size: int):
        super().__init__()
        self.size = arguments.integer("size", size)

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, tuple[int, ...]]:
        if x.ndim != 4 or min(x.shape[1:3]) < self.size:
            raise ValueError(f"{self} expects images of at least {self.size} x {self.size} pixels, got shape {x.shape}")
        return self._mean(x), x.shape

    def tangent(self, t: np.ndarray, cache: tuple[int, ...]) -> np.ndarray:
        return self._mean(t)

    def backward(self, dy: np.ndarray, cache: tuple[int, ...]) -> tuple[np.ndarray, Grads]:
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
