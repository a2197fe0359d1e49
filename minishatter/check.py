"""Gradient checks: does a layer, or a whole net, obey its own three rules?

    tangent      <dy, J t>   = d/dh <dy, f(x + h t)>   it is the derivative of forward
    backward     <J^T dy, t> = d/dh <dy, f(x + h t)>   and so is this, from the other end
    adjoint      <dy, J t>   = <J^T dy, t>             they are one matrix, to rounding
    parameters   <dp, v>     = d/dh <dy, f(x; p + h v)>  for every parameter p

All directions are random: a sum of outputs (dy = 1) is blind to mistakes behind
a normalisation. Use odd shapes, so that a forgotten transpose cannot hide.
"""

import copy
from typing import NamedTuple

import numpy as np

from . import arguments
from .layers import Layer

ROUNDING = 1e-10   # two orders of summation of some 10^4 float64 terms differ by less
STEP = 1e-6        # central differences then err by about STEP^2 + 1e-16 / STEP = 1e-10 ...
DIFFERENCE = 1e-6  # ... and this leaves room for curvature
KINK = 1e-2        # slopes to two sides differ by STEP times the curvature, but by themselves on a kink
FLOOR = 1e-3       # a slope this much smaller than the value itself is taken for zero, as behind a centering


class GradientCheckError(ValueError):
    """Two numbers that should agree do not; the message says which."""


class Check(NamedTuple):
    """Two routes to one number; error is their difference relative to the size of its terms."""

    rule: str
    left: float
    right: float
    error: float
    tolerance: float


def check_layer(layer: Layer, x: np.ndarray, rng: np.random.Generator) -> list[Check]:
    """Check all rules of a layer or net at x (N, units), in float64: a list of Checks, one for each rule.

    Raises GradientCheckError at the first that fails, naming the rule, the worst entry and both
    numbers, and if float32 or a kink at x may be the reason.

    >>> from minishatter.layers import ReLU
    >>> rng = np.random.default_rng(0)
    >>> [check.rule for check in check_layer(ReLU(), rng.standard_normal((3, 5)), rng)]
    ['tangent', 'backward', 'adjoint']
    """
    layer, x, rng = arguments.layer("layer", layer), arguments.array("x", x), arguments.generator("rng", rng)
    try:
        return _checks(layer, x, rng)
    except GradientCheckError as error:
        raise GradientCheckError(f"{error}{_hint(layer, x, rng)}") from None


def _hint(layer, x, rng):
    """Why a layer whose rules are right may fail, if one of the two reasons is seen; else an empty text."""
    y = layer.forward(x)[0]
    if np.float32 in {array.dtype.type for array in (x, y, *layer.params.values())}:
        return "; in float32 differences are too coarse for this check: give x and parameters in float64"
    for _ in range(3):
        t = rng.standard_normal(x.shape)
        right, left = (layer.forward(x + step * t)[0] - y for step in (STEP, -STEP))
        if np.max(np.abs(right + left)) > KINK * np.max(np.abs(right - left)):
            return "; the slopes to the two sides of x differ, so it is on a kink (a rectifier's 0?): move x a little"
    return ""


def _checks(layer, x, rng):
    y, cache = layer.forward(x)
    dy, t = rng.standard_normal(y.shape), rng.standard_normal(x.shape)
    tangent = layer.tangent(t, cache)
    dx, grads = layer.backward(dy, cache)
    if set(grads) != set(layer.params):
        raise GradientCheckError(f"{layer!r}: backward must return gradients for {sorted(layer.params)}, "
                                 f"got {sorted(grads)}")
    _same_shape(layer, "tangent", tangent, y)
    _same_shape(layer, "dx", dx, x)

    def outputs(x):
        return layer.forward(x)[0]

    def value(x):
        return np.vdot(dy, outputs(x))

    floor = FLOOR * np.linalg.norm(dy) * np.linalg.norm(y)
    size, slope = max(np.linalg.norm(dy) * np.linalg.norm(tangent), floor), _difference(value, x, t)
    checks = [_compared("tangent", np.vdot(dy, tangent), slope, size, DIFFERENCE),
              _compared("backward", np.vdot(dx, t), slope, size, DIFFERENCE),
              _compared("adjoint", np.vdot(dy, tangent), np.vdot(dx, t), size, ROUNDING)]
    _refuse(layer, checks[0], lambda: _worst("tangent", tangent, _difference(outputs, x, t)))
    _refuse(layer, checks[1], lambda: _worst("dx", dx, _differences(value, x)))
    _refuse(layer, checks[2], lambda: "tangent against backward")
    return checks + [_check_parameter(layer, name, grads[name], x, dy, floor, rng) for name in layer.params]


def _check_parameter(layer, name, gradient, x, dy, floor, rng):
    array = layer.params[name]
    _same_shape(layer, f"d {name}", gradient, array)

    def value(array):
        changed = copy.deepcopy(layer)
        changed.params[name][...] = array
        return np.vdot(dy, changed.forward(x)[0])

    v = rng.standard_normal(array.shape)
    size = max(np.linalg.norm(gradient) * np.linalg.norm(v), floor)
    check = _compared(f"d {name}", np.vdot(gradient, v), _difference(value, array, v), size, DIFFERENCE)
    _refuse(layer, check, lambda: _worst(f"d {name}", gradient, _differences(value, array)))
    return check


def _compared(rule, left, right, size, tolerance):
    """The Check of two routes to one number, a sum of terms of this size."""
    return Check(rule, float(left), float(right), float(abs(left - right) / (size or 1.0)), tolerance)


def _refuse(layer, check, worst):
    """Raise if the two routes disagree, or are NaN; worst() says where."""
    if not check.error <= check.tolerance:
        raise GradientCheckError(f"{layer!r}: {check.rule}: {check.left:.10g} by the rule, {check.right:.10g} by the "
                                 f"other route (relative error {check.error:.1e}, allowed {check.tolerance:.0e}); "
                                 f"{worst()}")


def _difference(function, at, direction):
    """d/dh function(at + h direction) at h = 0, by a central difference."""
    return (function(at + STEP * direction) - function(at - STEP * direction)) / (2 * STEP)


def _differences(value, at):
    """The gradient of a number-valued function, one entry at a time."""
    slopes = np.empty(at.shape)
    for index in np.ndindex(at.shape):
        unit = np.zeros(at.shape)
        unit[index] = 1.0
        slopes[index] = _difference(value, at, unit)
    return slopes


def _worst(name, by_rule, by_differences):
    """The entry where two arrays are furthest apart, with both numbers."""
    index = np.unravel_index(np.argmax(np.abs(by_rule - by_differences)), by_rule.shape)
    place = [int(i) for i in index]
    return f"worst entry {name}{place}: {by_rule[index]:.10g}, by differences {by_differences[index]:.10g}"


def _same_shape(layer, name, array, like):
    if np.shape(array) != like.shape:
        raise GradientCheckError(f"{layer!r}: {name} must have shape {like.shape}, got {np.shape(array)}")
