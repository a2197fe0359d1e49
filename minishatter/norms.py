"""Normalisation inside one input: over its units, so no batch, nothing to freeze, and no staircase.

Both divide each row of x by its own size, which is no linear map of x: f' is no longer constant between
flips, and regions.py refuses these layers. Behind them f depends on the direction of the signals
only. The mean alone is layers.Center("units"). What is normalised in the weights instead
is init.standardised.
"""

from typing import NamedTuple

import numpy as np

from . import arguments
from .layers import Grads, Layer


class RowCache(NamedTuple):
    """Of both: the normalised input, and what each row was divided by."""

    xhat: np.ndarray  # (N, units)
    size: np.ndarray  # (N, 1)


class RMSNorm(Layer):
    """y = scale * xhat,  xhat = x / size,  size = sqrt(mean of x^2 over the units + eps), for each input.

    J t = scale * (t - xhat mean(xhat t)) / size;  dx = (dxhat - xhat mean(xhat dxhat)) / size, dxhat = scale * dy;
    d scale = sum of dy * xhat over the batch. x (N, units); Zhang & Sennrich 2019. Derived below.
    """

    # Move x by t. size^2 moves by 2 mean(x t), so size by mean(x t) / size = mean(xhat t), with eps too. By the rule
    # for quotients xhat = x / size moves by t / size - x mean(xhat t) / size^2 = (t - xhat mean(xhat t)) / size: the
    # part of t along x goes, as f depends on the direction only. For backward, t -> xhat mean(xhat t) is its own
    # transpose, since <u, xhat mean(xhat t)> = units mean(xhat u) mean(xhat t), and both are row by row.

    def __init__(self, units: int, eps: float = 1e-5):
        self.eps = arguments.number("eps", eps, low=0.0)
        super().__init__(scale=np.ones(arguments.integer("units", units)))

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, RowCache]:
        _check_units(self, x)
        size = _size(self, x)
        xhat = x / size
        return self.params["scale"] * xhat, RowCache(xhat, size)

    def tangent(self, t: np.ndarray, cache: RowCache) -> np.ndarray:
        xhat, size = cache
        return self.params["scale"] * (t - xhat * _mean(xhat * t)) / size

    def backward(self, dy: np.ndarray, cache: RowCache) -> tuple[np.ndarray, Grads]:
        xhat, size = cache
        dxhat = self.params["scale"] * dy
        return (dxhat - xhat * _mean(xhat * dxhat)) / size, {"scale": (dy * xhat).sum(axis=0)}


class LayerNorm(Layer):
    """y = scale * xhat + shift,  xhat = (x - mean) / size,  size = sqrt(var + eps), mean and var over the units.

    It is Center("units"), then RMSNorm, then a shift, so the tangent is theirs one after the other, and dx theirs in
    reverse: d_centred = (dxhat - xhat mean(xhat dxhat)) / size,  dx = d_centred - mean d_centred;
    d scale = sum of dy * xhat over the batch;  d shift = sum of dy. x (N, units); Ba et al. 2016.
    """

    def __init__(self, units: int, eps: float = 1e-5):
        units = arguments.integer("units", units)
        self.eps = arguments.number("eps", eps, low=0.0)
        super().__init__(scale=np.ones(units), shift=np.zeros(units))

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, RowCache]:
        _check_units(self, x)
        centred = x - _mean(x)
        size = _size(self, centred)
        xhat = centred / size
        return self.params["scale"] * xhat + self.params["shift"], RowCache(xhat, size)

    def tangent(self, t: np.ndarray, cache: RowCache) -> np.ndarray:
        xhat, size = cache
        centred = t - _mean(t)
        return self.params["scale"] * (centred - xhat * _mean(xhat * centred)) / size

    def backward(self, dy: np.ndarray, cache: RowCache) -> tuple[np.ndarray, Grads]:
        xhat, size = cache
        dxhat = self.params["scale"] * dy
        d_centred = (dxhat - xhat * _mean(xhat * dxhat)) / size
        return d_centred - _mean(d_centred), {"scale": (dy * xhat).sum(axis=0), "shift": dy.sum(axis=0)}


def _mean(x):
    """Over the units of each input: (N, 1)."""
    return x.mean(axis=1, keepdims=True)


def _check_units(layer, x):
    """Raise ValueError unless x is a batch of the layer's units."""
    units = layer.params["scale"].size
    if x.ndim != 2 or x.shape[1] != units:
        raise ValueError(f"{layer} expects x of shape (N, {units}), got {x.shape}; do the layers chain?")


def _size(layer, x):
    """sqrt(mean square + eps) of each row: (N, 1)."""
    with np.errstate(over="ignore", invalid="ignore"):
        size = np.sqrt(_mean(x**2) + layer.eps)
    if not np.isfinite(size).all() or not size.all():
        raise ValueError(f"{layer}: the size of a row of x overflowed, or is 0 with eps = 0")
    return size
