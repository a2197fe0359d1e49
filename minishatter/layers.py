"""Layers: three rules each, written side by side.

    forward(x)           -> y, cache           the value
    tangent(t, cache)    -> J t                push a direction forward  (forward mode)
    backward(dy, cache)  -> J^T dy, grads      pull a gradient back      (reverse mode)

J is the Jacobian dy/dx at the x that `forward` saw. A batch is an array of
shape (N, units), one input per row, or of images (channels, rows, cols, N), see
conv.py; a channel is then what a unit is here. Parameters live in `layer.params` and are
the only state: the rules write to nothing, what backward needs is in `cache`,
and gradients of parameters are returned, with the keys of `params`.

`freeze(x)` gives the layer with its batch statistics replaced by the constants
measured on x. Only Center and BatchNorm have any.
"""

from typing import NamedTuple

import numpy as np

from . import arguments
from .batch import batch_axes, check_width, per_unit, unit_axis, unit_mean


class Layer:
    """A layer without parameters of its own, as a base for the others."""

    def __init__(self, **params):
        self.params = params

    def freeze(self, x):
        return self

    def __repr__(self):
        return f"{type(self).__name__}()"


class Identity(Layer):
    """y = x: the skip of a skip connection."""

    def forward(self, x):
        return x, None

    def tangent(self, t, cache):
        return t

    def backward(self, dy, cache):
        return dy, {}


class DenseCache(NamedTuple):
    """Of Dense and Affine: the input."""

    x: np.ndarray  # (N, fan_in)


class Dense(Layer):
    """y = x W + b, with x (N, fan_in), W (fan_in, fan_out), b (fan_out,); b = 0 if not given.

    J t = t W;  dx = dy W^T;  dW = x^T dy;  db = sum of dy over the batch.
    """

    def __init__(self, W, b=None):
        W = arguments.array("W", W, ndim=2)
        b = np.zeros(W.shape[1], W.dtype) if b is None else arguments.array("b", b, ndim=1)
        if b.shape != W.shape[1:]:
            raise ValueError(f"b must have shape ({W.shape[1]},) to go with W of shape {W.shape}, "
                             f"got {b.shape}")
        super().__init__(W=W, b=b)

    def forward(self, x):
        W, b = self.params["W"], self.params["b"]
        check_width(self, x, W.shape[0], images=False)
        return x @ W + b, DenseCache(x)  # (N, fan_out)

    def tangent(self, t, cache):
        return t @ self.params["W"]

    def backward(self, dy, cache):
        dx = dy @ self.params["W"].T
        return dx, {"W": cache.x.T @ dy, "b": dy.sum(axis=0)}

    def __repr__(self):
        return "Dense({}, {})".format(*self.params["W"].shape)


class ReLUCache(NamedTuple):
    """Of ReLU: the output, which the next layer keeps anyway."""

    y: np.ndarray  # (N, units)

    @property
    def active(self):
        """Which units are active, x > 0: (N, units)."""
        return self.y > 0


class CReLUCache(NamedTuple):
    """Of CReLU: which outputs are active."""

    active: np.ndarray  # (N, 2 units); one of each pair


class ReLU(Layer):
    """y = max(x, 0).   J t = t where x > 0, else 0;  dx = dy where x > 0, else 0."""

    def forward(self, x):
        y = np.maximum(x, 0)
        return y, ReLUCache(y)

    def tangent(self, t, cache):
        return t * cache.active

    def backward(self, dy, cache):
        return dy * cache.active, {}


class CReLU(Layer):
    """y = (max(x, 0), max(-x, 0)), shape (N, 2 units): both halves of x are kept.

    Exactly one half of each unit is active, also at x = 0, so that a mirrored
    weight matrix (W, -W) after it gives the linear map x W at every x.
    """

    def forward(self, x):
        y = np.concatenate([np.maximum(x, 0), np.maximum(-x, 0)], axis=unit_axis(x))
        return y, CReLUCache(np.concatenate([x > 0, ~(x > 0)], axis=unit_axis(x)))

    def tangent(self, t, cache):
        return np.concatenate([t, -t], axis=unit_axis(t)) * cache.active

    def backward(self, dy, cache):
        d_positive, d_negative = np.split(dy * cache.active, 2, axis=unit_axis(dy))
        return d_positive - d_negative, {}


class PReLUCache(NamedTuple):
    """Of PReLU: the input, and where it is active."""

    x: np.ndarray       # (N, units)
    active: np.ndarray  # (N, units), True where x > 0


class PReLU(Layer):
    """y = x where x > 0, else slope * x, with one trained slope for the layer, shape (1,).

    J t = t or slope * t;  dx likewise;  d slope = sum of dy * x where x <= 0.
    """

    def __init__(self, slope=0.25):
        super().__init__(slope=np.array([arguments.number("slope", slope)]))

    def forward(self, x):
        active = x > 0
        return np.where(active, x, self.params["slope"] * x), PReLUCache(x, active)

    def tangent(self, t, cache):
        return np.where(cache.active, t, self.params["slope"] * t)

    def backward(self, dy, cache):
        dx = np.where(cache.active, dy, self.params["slope"] * dy)
        d_slope = np.sum(dy * cache.x * ~cache.active).reshape(1)
        return dx, {"slope": d_slope}

    def __repr__(self):
        return f"PReLU({self.params['slope'][0]:g})"


class Affine(Layer):
    """y = scale * x + shift for each unit: what Center and BatchNorm become when frozen.

    J t = scale * t;  dx = scale * dy;  d scale = sum of dy * x;  d shift = sum of dy.
    """

    def __init__(self, scale, shift):
        scale, shift = arguments.array("scale", scale, 1), arguments.array("shift", shift, 1)
        if scale.shape != shift.shape:
            raise ValueError(f"scale and shift must have one shape, got {scale.shape} and {shift.shape}")
        super().__init__(scale=scale, shift=shift)

    def forward(self, x):
        check_width(self, x, self.params["scale"].size)
        return per_unit(self.params["scale"], x) * x + per_unit(self.params["shift"], x), DenseCache(x)

    def tangent(self, t, cache):
        return per_unit(self.params["scale"], t) * t

    def backward(self, dy, cache):
        grads = {"scale": (dy * cache.x).sum(axis=batch_axes(dy)), "shift": dy.sum(axis=batch_axes(dy))}
        return per_unit(self.params["scale"], dy) * dy, grads

    def __repr__(self):
        return f"Affine({self.params['scale'].size})"


class Center(Layer):
    """y = x - mean of x over the batch, for each unit; with over="units" over the units, for each input.

    Subtracting the mean is linear and symmetric: J t = t - mean t;  dx = dy - mean dy.
    Only the mean over the batch is a batch statistic, and frozen.
    """

    def __init__(self, over="batch"):
        super().__init__()
        self.over = arguments.one_of("over", over, ("batch", "units"))

    def forward(self, x):
        return x - self._mean(x), None

    def tangent(self, t, cache):
        return t - self._mean(t)

    def backward(self, dy, cache):
        return dy - self._mean(dy), {}

    def freeze(self, x):
        mean = x.mean(axis=batch_axes(x))
        return Affine(np.ones_like(mean), -mean) if self.over == "batch" else self

    def _mean(self, x):
        return unit_mean(x) if self.over == "batch" else x.mean(axis=unit_axis(x), keepdims=True)


class BatchNormCache(NamedTuple):
    """Of BatchNorm: the normalised input, and what it was divided by."""

    xhat: np.ndarray  # the normalised input, shape of x
    std: np.ndarray   # (units,)


class BatchNorm(Layer):
    """y = scale * xhat + shift,  xhat = (x - mean) / std,  std = sqrt(var + eps).

    mean and var (the biased variance) are taken over the batch for each unit, and
    the derivative goes through them. With dxhat = scale * dy:
    dx = (dxhat - mean dxhat - xhat * mean(xhat * dxhat)) / std;
    d scale = sum of dy * xhat;  d shift = sum of dy.
    J t has the form of dx, with scale outside: as a map t -> dxhat it is symmetric.
    """

    def __init__(self, units, eps=1e-5):
        units = arguments.integer("units", units)
        self.eps = arguments.number("eps", eps, low=0.0)
        super().__init__(scale=np.ones(units), shift=np.zeros(units))

    def forward(self, x):
        std = self._std(x)
        xhat = (x - unit_mean(x)) / per_unit(std, x)
        y = per_unit(self.params["scale"], x) * xhat + per_unit(self.params["shift"], x)
        return y, BatchNormCache(xhat, std)

    def tangent(self, t, cache):
        xhat, std = cache
        gain = per_unit(self.params["scale"] / std, t)
        return gain * (t - unit_mean(t) - xhat * unit_mean(xhat * t))

    def backward(self, dy, cache):
        xhat, std = cache
        dxhat = per_unit(self.params["scale"], dy) * dy
        dx = (dxhat - unit_mean(dxhat) - xhat * unit_mean(xhat * dxhat)) / per_unit(std, dy)
        return dx, {"scale": (dy * xhat).sum(axis=batch_axes(dy)), "shift": dy.sum(axis=batch_axes(dy))}

    def freeze(self, x):
        scale = self.params["scale"] / self._std(x)
        return Affine(scale, self.params["shift"] - scale * x.mean(axis=batch_axes(x)))

    def _std(self, x):
        check_width(self, x, self.params["scale"].size)
        with np.errstate(over="ignore", invalid="ignore"):
            std = np.sqrt(x.var(axis=batch_axes(x)) + self.eps)
        if not np.isfinite(std).all() or not std.all():
            raise ValueError(f"{self}: the variance of a unit overflowed, or is 0 with eps = 0")
        return std

    def __repr__(self):
        return f"BatchNorm({self.params['scale'].size})"
