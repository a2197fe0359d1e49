"""A CReLU and the convolution behind it in one pass, which is what a deep net of CReLUs spends its time on."""

from typing import Any

import numpy as np

from ..layers import Grads
from . import channel_kernels, kernels, vectors
from .conv import Conv2d, ConvCache
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
