"""Smooth activations: a function and its slope, unit by unit.

The paper's nets have rectifiers. For comparison, any function phi whose slope is known may
stand in their place. f' is then no staircase, and regions.py refuses such a layer.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from . import arguments
from .layers import Grads, Layer

Function = Callable[[np.ndarray], np.ndarray]


def _erf(x):
    return np.fromiter(map(math.erf, x.ravel().tolist()), float, x.size).reshape(x.shape)


def erf(x: float | np.ndarray) -> np.ndarray:
    """2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x, for a number or an array.

    >>> erf([0.0, 1.0]).round(4)
    array([0.    , 0.8427])
    """
    return _erf(arguments.array("x", x))


class Activation(NamedTuple):
    """phi and phi', functions of arrays."""

    value: Function
    slope: Function


def _cdf(x):
    return (1 + _erf(x / math.sqrt(2))) / 2


def _pdf(x):
    return np.exp(-x**2 / 2) / math.sqrt(2 * math.pi)


TANH = Activation(np.tanh, lambda x: 1 - np.tanh(x)**2)
ERF = Activation(_erf, lambda x: 2 / math.sqrt(math.pi) * np.exp(-x**2))
SOFTPLUS = Activation(lambda x: np.logaddexp(0, x), lambda x: np.exp(-np.logaddexp(0, -x)))  # log(1 + exp(x))
GELU = Activation(lambda x: x * _cdf(x), lambda x: _cdf(x) + x * _pdf(x))  # x P(z < x), z ~ N(0, 1)


class SlopeCache(NamedTuple):
    """Of Pointwise: phi' at the input."""

    slope: np.ndarray  # (N, units)


class Pointwise(Layer):
    """y = phi(x).   J t = phi'(x) t;  dx = phi'(x) dy.  activation: an Activation, such as TANH."""

    def __init__(self, activation: Activation = TANH):
        super().__init__()
        if not isinstance(activation, Activation):
            raise TypeError(f"activation must be an Activation, a function and its slope, got {activation!r}")
        self.activation = activation

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, SlopeCache]:
        return self.activation.value(x), SlopeCache(self.activation.slope(x))

    def tangent(self, t: np.ndarray, cache: SlopeCache) -> np.ndarray:
        return cache.slope * t

    def backward(self, dy: np.ndarray, cache: SlopeCache) -> tuple[np.ndarray, Grads]:
        return cache.slope * dy, {}
