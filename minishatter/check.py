"""Gradient checks: does a layer, or a whole net, obey its own three rules?

    adjoint      <dy, J t> = <J^T dy, t>            tangent and backward are one matrix, to rounding
    tangent      <dy, J t> = d/dh <dy, f(x + h t)>  and it is the derivative of forward
    parameters   <dp, v>   = d/dh <dy, f(x; p + h v)>  for every parameter p

All directions are random: a sum of outputs (dy = 1) is blind to mistakes behind
a normalisation. Use odd shapes, so that a forgotten transpose cannot hide.
"""

import copy
from typing import NamedTuple

import numpy as np

from . import arguments

ROUNDING = 1e-10  # two orders of summation of some 10^4 float64 terms differ by less
STEP = 1e-6       # central differences then err by about STEP^2 + 1e-16 / STEP = 1e-10 ...
DIFFERENCE = 1e-6  # ... and this leaves room for curvature


class GradientCheckError(ValueError):
    """Two numbers that should agree do not; the message says which."""


class Check(NamedTuple):
    """Two routes to one number; error is their difference relative to the size of its terms."""

    rule: str
    left: float
    right: float
    error: float
    tolerance: float


def check_layer(layer, x, rng):
    """Check all rules of a layer or net at x (N, units): a list of Checks, one for each rule.

    Raises GradientCheckError at the first that fails, naming the rule, the worst
    entry and both numbers. The rectifier's kinks are not smooth: x should not sit on one.
    """
    x, rng = arguments.array("x", x), arguments.generator("rng", rng)
    y, cache = layer.forward(x)
    dy, t = rng.standard_normal(y.shape), rng.standard_normal(x.shape)
    tangent = layer.tangent(t, cache)
    dx, grads = layer.backward(dy, cache)
    if set(grads) != set(layer.params):
        raise GradientCheckError(f"{layer!r}: backward must return gradients for {sorted(layer.params)}, "
                                 f"got {sorted(grads)}")
    _same_shape(layer, "tangent", tangent, y)
    _same_shape(layer, "dx", dx, x)

    def value(x):
        return np.vdot(dy, layer.forward(x)[0])

    scale = np.linalg.norm(dy) * np.linalg.norm(tangent)
    slope = _difference(value, x, t)
    checks = [_check("adjoint", np.vdot(dy, tangent), np.vdot(dx, t), scale, ROUNDING),
              _check("tangent", np.vdot(dy, tangent), slope, scale, DIFFERENCE)]
    if checks[1].error > DIFFERENCE or checks[0].error > ROUNDING:
        failed = next(c for c in checks if c.error > c.tolerance)
        raise GradientCheckError(f"{layer!r}: {_says(failed)}; {_worst('dx', value, x, dx)}")
    for name in layer.params:
        checks.append(_check_parameter(layer, name, grads[name], x, dy, rng))
    return checks


def _check_parameter(layer, name, gradient, x, dy, rng):
    array = layer.params[name]
    _same_shape(layer, f"d {name}", gradient, array)

    def value(array):
        changed = copy.deepcopy(layer)
        changed.params[name][...] = array
        return np.vdot(dy, changed.forward(x)[0])

    v = rng.standard_normal(array.shape)
    scale = np.linalg.norm(gradient) * np.linalg.norm(v)
    check = _check(f"d {name}", np.vdot(gradient, v), _difference(value, array, v), scale, DIFFERENCE)
    if check.error > DIFFERENCE:
        raise GradientCheckError(f"{layer!r}: {_says(check)}; {_worst(f'd {name}', value, array, gradient)}")
    return check


def _difference(value, at, direction):
    """d/dh value(at + h direction) at h = 0, by a central difference."""
    return (value(at + STEP * direction) - value(at - STEP * direction)) / (2 * STEP)


def _check(rule, left, right, scale, tolerance):
    """Relative to `scale`; where both routes give zero, as for a bias before a centering, to 1."""
    return Check(rule, left, right, abs(left - right) / max(scale, 1.0), tolerance)


def _says(check):
    return (f"{check.rule}: {check.left:.10g} by the rule, {check.right:.10g} by the other route "
            f"(relative error {check.error:.1e}, allowed {check.tolerance:.0e})")


def _worst(name, value, array, gradient):
    """The entry where `gradient` is furthest from a central difference, with both numbers."""
    differences = np.empty(array.shape)
    for index in np.ndindex(array.shape):
        unit = np.zeros(array.shape)
        unit[index] = 1.0
        differences[index] = _difference(value, array, unit)
    index = np.unravel_index(np.argmax(np.abs(differences - gradient)), array.shape)
    place = tuple(int(i) for i in index)
    return f"worst entry {name}{list(place)}: {gradient[index]:.10g}, by differences {differences[index]:.10g}"


def _same_shape(layer, name, array, like):
    if np.shape(array) != like.shape:
        raise GradientCheckError(f"{layer!r}: {name} must have shape {like.shape}, got {np.shape(array)}")
