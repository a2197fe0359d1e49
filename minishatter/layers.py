"""Layers: three rules each, written side by side.

    forward(x)           -> y, cache           the value
    tangent(t, cache)    -> J t                push a direction forward  (forward mode)
    backward(dy, cache)  -> J^T dy, grads      pull a gradient back      (reverse mode)

J is the Jacobian dy/dx at the x that `forward` saw. A batch x is an array of shape
(N, units), one input per row. Parameters live in `layer.params` and are the only
state: the rules write to nothing, what backward needs is in `cache`, and gradients
of parameters are returned, with the keys of `params`.

`freeze(x)` gives the layer with its batch statistics replaced by the constants
measured on x. Only Center and BatchNorm have any.
"""

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import numpy as np

from . import arguments

Grads = dict[str, np.ndarray]  # one gradient for each parameter, under its name


class Layer(ABC):
    """The base of all layers: parameters by name, the three rules to be written, and nothing to freeze."""

    def __init__(self, **params: np.ndarray):
        self.params = params

    @abstractmethod
    def forward(self, x: np.ndarray) -> tuple[np.ndarray, Any]:
        """The value y at x, and what the other two rules need."""

    @abstractmethod
    def tangent(self, t: np.ndarray, cache: Any) -> np.ndarray:
        """J t, with the shape of y."""

    @abstractmethod
    def backward(self, dy: np.ndarray, cache: Any) -> tuple[np.ndarray, Grads]:
        """J^T dy, with the shape of x, and the gradients of the parameters."""

    def freeze(self, x: np.ndarray) -> "Layer":
        return self

    def __repr__(self) -> str:
        sizes = next((array.shape for array in self.params.values()), ())
        return f"{type(self).__name__}({', '.join(map(str, sizes))})"


def _check_units(layer, x, units):
    """Raise ValueError unless x is a batch of so many units."""
    if x.ndim != 2 or x.shape[1] != units:
        raise ValueError(f"{layer} expects x of shape (N, {units}), got {x.shape}; do the layers chain? "
                         "(a CReLU doubles the number of units)")


class Identity(Layer):
    """y = x: the skip of a skip connection."""

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, None]:
        return x, None

    def tangent(self, t: np.ndarray, cache: None) -> np.ndarray:
        return t

    def backward(self, dy: np.ndarray, cache: None) -> tuple[np.ndarray, Grads]:
        return dy, {}


class InputCache(NamedTuple):
    """Of Dense and Affine: the input."""

    x: np.ndarray  # (N, fan_in), (N, units)


class Dense(Layer):
    """y = x W + b, with x (N, fan_in), W (fan_in, fan_out), b (fan_out,); b = 0 if not given.

    J t = t W;  dx = dy W^T;  dW = x^T dy;  db = sum of dy over the batch.

    >>> y, cache = Dense(np.array([[1.0, 2.0]])).forward(np.array([[3.0], [4.0]]))
    >>> y.tolist()
    [[3.0, 6.0], [4.0, 8.0]]
    """

    def __init__(self, W: np.ndarray, b: np.ndarray | None = None):
        W = arguments.array("W", W, ndim=2)
        b = np.zeros(W.shape[1], W.dtype) if b is None else arguments.array("b", b, ndim=1)
        if b.shape != W.shape[1:]:
            raise ValueError(f"b must have shape ({W.shape[1]},) to go with W of shape {W.shape}, got {b.shape}")
        super().__init__(W=W, b=b)

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, InputCache]:
        W, b = self.params["W"], self.params["b"]
        _check_units(self, x, W.shape[0])
        return x @ W + b, InputCache(x)  # (N, fan_out)

    def tangent(self, t: np.ndarray, cache: InputCache) -> np.ndarray:
        return t @ self.params["W"]

    def backward(self, dy: np.ndarray, cache: InputCache) -> tuple[np.ndarray, Grads]:
        return dy @ self.params["W"].T, {"W": cache.x.T @ dy, "b": dy.sum(axis=0)}


class ReLUCache(NamedTuple):
    """Of ReLU: the output, which the next layer keeps anyway."""

    y: np.ndarray  # (N, units)

    @property
    def active(self) -> np.ndarray:
        """Which units are active, x > 0: (N, units)."""
        return self.y > 0


class ReLU(Layer):
    """y = max(x, 0).   J t = t where x > 0, else 0;  dx = dy where x > 0, else 0."""

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, ReLUCache]:
        y = np.maximum(x, 0)
        return y, ReLUCache(y)

    def tangent(self, t: np.ndarray, cache: ReLUCache) -> np.ndarray:
        return t * cache.active

    def backward(self, dy: np.ndarray, cache: ReLUCache) -> tuple[np.ndarray, Grads]:
        return dy * cache.active, {}


class CReLUCache(NamedTuple):
    """Of CReLU: which outputs are active."""

    active: np.ndarray  # (N, 2 units); one of each pair


class CReLU(Layer):
    """y = (max(x, 0), max(-x, 0)), shape (N, 2 units): both halves of x are kept.

    Exactly one half of each unit is active, also at x = 0, so that a mirrored weight matrix
    (W, -W) after it gives the linear map x W at every x. x feeds both halves, so both send
    a gradient back: J t = (t, -t) where active, else 0;  dx = d_positive - d_negative,
    the halves of dy where active.
    """

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, CReLUCache]:
        y = np.concatenate([np.maximum(x, 0), np.maximum(-x, 0)], axis=1)  # (N, 2 units)
        return y, CReLUCache(np.concatenate([x > 0, ~(x > 0)], axis=1))

    def tangent(self, t: np.ndarray, cache: CReLUCache) -> np.ndarray:
        return np.concatenate([t, -t], axis=1) * cache.active

    def backward(self, dy: np.ndarray, cache: CReLUCache) -> tuple[np.ndarray, Grads]:
        d_positive, d_negative = np.split(dy * cache.active, 2, axis=1)  # (N, units) each
        return d_positive - d_negative, {}


class PReLUCache(NamedTuple):
    """Of PReLU: the input, and where it is active."""

    x: np.ndarray       # (N, units)
    active: np.ndarray  # (N, units), True where x > 0


class PReLU(Layer):
    """y = x where x > 0, else slope * x, with one trained slope for the layer, shape (1,).

    J t = t or slope * t;  dx likewise;  d slope = sum of dy * x where x <= 0.
    """

    def __init__(self, slope: float = 0.25):
        super().__init__(slope=np.array([arguments.number("slope", slope)]))

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, PReLUCache]:
        active = x > 0
        return np.where(active, x, self.params["slope"] * x), PReLUCache(x, active)

    def tangent(self, t: np.ndarray, cache: PReLUCache) -> np.ndarray:
        return np.where(cache.active, t, self.params["slope"] * t)

    def backward(self, dy: np.ndarray, cache: PReLUCache) -> tuple[np.ndarray, Grads]:
        dx = np.where(cache.active, dy, self.params["slope"] * dy)
        d_slope = np.sum(dy * cache.x * ~cache.active).reshape(1)
        return dx, {"slope": d_slope}

    def __repr__(self) -> str:
        return f"PReLU({self.params['slope'][0]:g})"


class Affine(Layer):
    """y = scale * x + shift for each unit: what Center and BatchNorm become when frozen.

    J t = scale * t;  dx = scale * dy;  d scale = sum of dy * x;  d shift = sum of dy.
    """

    def __init__(self, scale: np.ndarray, shift: np.ndarray):
        scale, shift = arguments.array("scale", scale, 1), arguments.array("shift", shift, 1)
        if scale.shape != shift.shape:
            raise ValueError(f"scale and shift must have one shape, got {scale.shape} and {shift.shape}")
        super().__init__(scale=scale, shift=shift)

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, InputCache]:
        _check_units(self, x, self.params["scale"].size)
        return self.params["scale"] * x + self.params["shift"], InputCache(x)

    def tangent(self, t: np.ndarray, cache: InputCache) -> np.ndarray:
        return self.params["scale"] * t

    def backward(self, dy: np.ndarray, cache: InputCache) -> tuple[np.ndarray, Grads]:
        return self.params["scale"] * dy, {"scale": (dy * cache.x).sum(axis=0), "shift": dy.sum(axis=0)}


class Center(Layer):
    """y = x - mean of x over the batch, for each unit; with over="units" over the units, for each input.

    Subtracting the mean is linear, J = I - 1/N (a matrix of ones), and symmetric: J t = t - mean t;
    dx = dy - mean dy. Only the mean over the batch is a batch statistic, and frozen.
    """

    def __init__(self, over: str = "batch"):
        super().__init__()
        self.over = arguments.one_of("over", over, ("batch", "units"))

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, None]:
        return x - self._mean(x), None

    def tangent(self, t: np.ndarray, cache: None) -> np.ndarray:
        return t - self._mean(t)

    def backward(self, dy: np.ndarray, cache: None) -> tuple[np.ndarray, Grads]:
        return dy - self._mean(dy), {}

    def freeze(self, x: np.ndarray) -> Layer:
        if self.over == "units":
            return self
        mean = x.mean(axis=0)
        return Affine(np.ones_like(mean), -mean)

    def _mean(self, x):
        return x.mean(axis=0 if self.over == "batch" else 1, keepdims=True)


class BatchNormCache(NamedTuple):
    """Of BatchNorm: the normalised input, and what it was divided by."""

    xhat: np.ndarray  # (N, units)
    std: np.ndarray   # (units,)


class BatchNorm(Layer):
    """y = scale * xhat + shift,  xhat = (x - mean) / std,  std = sqrt(var + eps).

    mean and var (the biased variance) are taken over the batch for each unit, and
    the derivative goes through them:
    J t = scale / std * (t - mean t - xhat * mean(xhat * t));
    dx = (dxhat - mean dxhat - xhat * mean(xhat * dxhat)) / std,  with dxhat = scale * dy;
    d scale = sum of dy * xhat;  d shift = sum of dy. Derived below.
    """

    # Move x by t. The mean moves by mean t, so x - mean moves by c = t - mean t. The variance is the mean of
    # (x - mean)^2, so it moves by 2 mean((x - mean) c) = 2 std mean(xhat c) = 2 std mean(xhat t), since xhat has mean
    # 0; std = sqrt(var + eps) moves by half of that over std, mean(xhat t). By the rule for quotients xhat moves by
    #     c / std - xhat mean(xhat t) / std  =  P t / std,  P t = t - mean t - xhat mean(xhat t).
    # That is the tangent, up to the scale. For backward we need the transpose. P is the identity minus two averages,
    # and <u, P t> = <P u, t> term by term: <u, mean t> = <mean u, t>, and <u, xhat mean(xhat t)> = N mean(xhat u)
    # mean(xhat t) = <xhat mean(xhat u), t>. So P is its own transpose, and dx = P dxhat / std.

    def __init__(self, units: int, eps: float = 1e-5):
        units = arguments.integer("units", units)
        self.eps = arguments.number("eps", eps, low=0.0)
        super().__init__(scale=np.ones(units), shift=np.zeros(units))

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, BatchNormCache]:
        std = self._std(x)                   # (units,)
        xhat = (x - x.mean(axis=0)) / std    # (N, units)
        return self.params["scale"] * xhat + self.params["shift"], BatchNormCache(xhat, std)

    def tangent(self, t: np.ndarray, cache: BatchNormCache) -> np.ndarray:
        xhat, std = cache
        Pt = t - t.mean(axis=0) - xhat * (xhat * t).mean(axis=0)  # (N, units)
        return self.params["scale"] / std * Pt

    def backward(self, dy: np.ndarray, cache: BatchNormCache) -> tuple[np.ndarray, Grads]:
        xhat, std = cache
        dxhat = self.params["scale"] * dy                                          # (N, units)
        dx = (dxhat - dxhat.mean(axis=0) - xhat * (xhat * dxhat).mean(axis=0)) / std
        return dx, {"scale": (dy * xhat).sum(axis=0), "shift": dy.sum(axis=0)}     # (units,) each

    def freeze(self, x: np.ndarray) -> Layer:
        scale = self.params["scale"] / self._std(x)
        return Affine(scale, self.params["shift"] - scale * x.mean(axis=0))

    def _std(self, x):
        _check_units(self, x, self.params["scale"].size)
        with np.errstate(over="ignore", invalid="ignore"):
            std = np.sqrt(x.var(axis=0) + self.eps)
        if not np.isfinite(std).all() or not std.all():
            raise ValueError(f"{self}: the variance of a unit overflowed, or is 0 with eps = 0")
        return std
