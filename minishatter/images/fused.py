"""Two layers in one pass, where deep convnets spend their time. The two in a row are the definition of each.

    CReLUConv2d       a convolution of a CReLU, which makes half of the products
    BatchNormReLU2d   a ReLU of a batch normalisation, which goes through memory once
"""

from typing import Any, NamedTuple

import numpy as np

from ..compose import Chain
from ..layers import Grads, Layer
from . import channel_kernels, kernels, vectors
from .conv import BatchNorm2d, Conv2d, ConvCache, ReLU2d
from .vectors import runs


class CReLUConvCache(ConvCache):
    """Of CReLUConv2d: its input. What the CReLU makes of it, twice as much, is nowhere kept."""

    __slots__ = ()

    @property
    def active(self) -> np.ndarray:
        """Which outputs of the CReLU are active, one of each pair: (2 channels, rows, cols, N)."""
        positive = self.x > 0
        return np.concatenate([positive, ~positive])


class CReLUConv2d(Conv2d):
    """y = Conv2d(CReLU2d(x)), those two layers in a row being its definition; W and b are the Conv2d's.

    x (channels, rows, cols, N), W (outs, 2 channels, filter rows, filter cols): W[:, c] for max(x[c], 0) and
    W[:, channels + c] for max(-x[c], 0). One of the two is 0, so forward makes half of the products:
    x[c] times W[:, c] where x[c] > 0, else times -W[:, channels + c].
    """

    _halves = 2
    _correlate_weights = staticmethod(kernels.correlate_weights_of_pairs)

    def __init__(self, W: np.ndarray, b: np.ndarray | None = None, stride: int = 1, padding: int | None = None):
        super().__init__(W, b, stride, padding)
        if self.params["W"].shape[1] % 2:
            raise ValueError(f"W must have an even number of channels, two for each of x, got shape {np.shape(W)}")

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, CReLUConvCache]:
        y, _ = super().forward(x)
        return y, CReLUConvCache(x)

    def tangent(self, t: np.ndarray, cache: Any) -> np.ndarray:
        return super().tangent(np.concatenate([t, -t]) * cache.active, cache)

    def backward(self, dy: np.ndarray, cache: Any) -> tuple[np.ndarray, Grads]:
        d_halves, d_params = super().backward(dy, cache)
        dx = vectors.empty(cache.x.shape, d_halves.dtype)
        channel_kernels.rectify_halves_back(runs(d_halves), runs(cache.x), runs(dx))
        return dx, d_params


class BatchNormReLUCache(NamedTuple):
    """Of BatchNormReLU2d: its output, and what BatchNorm keeps."""

    y: np.ndarray  # (channels, rows, cols, N)
    xhat: np.ndarray  # (rows * cols * N, channels), the normalised x
    std: np.ndarray  # (channels,)

    @property
    def active(self) -> np.ndarray:
        """Which outputs are active: (channels, rows, cols, N)."""
        return self.y > 0


class BatchNormReLU2d(BatchNorm2d):
    """y = ReLU2d(BatchNorm2d(x)), those two layers in a row being its definition, to the last bit.

    y = max(scale (x - mean) / std + shift, 0), x and y (channels, rows, cols, N), scale, shift, mean, std (channels,).
    """

    _least = 0.0

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, Any]:
        y, (xhat, std) = super().forward(x)
        return y, BatchNormReLUCache(y, xhat, std)

    def tangent(self, t: np.ndarray, cache: Any) -> np.ndarray:
        return super().tangent(t, cache[1:]) * cache.active

    def backward(self, dy: np.ndarray, cache: Any) -> tuple[np.ndarray, Grads]:
        y, xhat, std = cache
        dx, d_scale, d_shift = vectors.empty(dy.shape, xhat.dtype), np.empty_like(std), np.empty_like(std)
        arrays = runs(dy), runs(y), xhat.T, std, self.params["scale"], runs(dx), d_scale, d_shift
        channel_kernels.normalise_rectified_back(*arrays)
        return dx, {"scale": d_scale, "shift": d_shift}

    def freeze(self, x: np.ndarray) -> Layer:
        return Chain(super().freeze(x), ReLU2d())
