"""Correlation maps: R is the slope of what a net does to a correlation.

In a wide net with Gaussian weights a layer takes the correlation c of the signals at two inputs to
C(c) = E[phi(u) phi(v)] / E[phi^2], where u, v are Gaussian of correlation c. It multiplies the covariance of
the gradients df/dn by E[phi'(u) phi'(v)], and that is C'(c), up to a factor without c (Price's theorem). Behind
layers with maps C_1, C_2, ... the correlation of df/dn is then, by the chain rule for ... o C_2 o C_1,

    R = C_1'(c) C_2'(C_1(c)) ... / (C_1'(1) C_2'(1) ...).

If the composed map is flat but near 1, all inputs come to look the same, and R is small. What keeps it near
the identity keeps R: leaky rectifiers (`tailored_slope`), small branches (`skip_map`), `shaped` activations.
"""

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import numpy as np

from . import arguments
from .pointwise import Activation, Function

# A map gives (C(c), C'(c)), with C(1) = 1, for a number c; for an array too, where it has a closed form.
Map = Callable[[Any], tuple[Any, Any]]


def composed(maps: Iterable[Map], c: float = 0.0) -> float:
    """R of df/dn behind layers with these maps, one after the other, at two inputs whose signals have correlation c.

    >>> round(composed([rectifier_map()] * 2), 3)  # k0(0) k0(k1(0))
    0.302
    """
    c, R, at_1 = arguments.number("c", c, low=-1.0, high=1.0), 1.0, {}
    for each in maps:
        if not callable(each):
            raise TypeError(f"maps must be functions of a correlation, got {each!r}")
        if each not in at_1:
            at_1[each] = each(1.0)[1]
        after, slope = each(c)
        c, R = min(max(after, -1.0), 1.0), R * slope / at_1[each]
    return float(R)


# Rectifiers: the arc-cosine functions are what one layer of them does to a correlation c (Cho & Saul 2009).


def k0(c: float | np.ndarray) -> np.ndarray:
    """The factor that a rectifier layer puts on the correlation of gradients: 1 - arccos(c) / pi. k0(0) = 1/2.

    k0(c) = 2 P(u > 0 and v > 0) for u, v ~ N(0, 1) of correlation c: the chance that a unit active at one
    input is active at the other.

    >>> k0(np.array([-1.0, 0.0, 1.0]))
    array([0. , 0.5, 1. ])
    """
    return _k0(_cosine(c))


def k1(c: float | np.ndarray) -> np.ndarray:
    """The correlation of signals behind a rectifier layer: (sin h + (pi - h) cos h) / pi, h = arccos c.

    k1(c) = 2 E[relu(u) relu(v)] for u, v ~ N(0, 1) of correlation c.

    >>> k1(np.array([-1.0, 0.0, 1.0])).round(3)  # 1 / pi at c = 0: rectified signals share a mean
    array([0.   , 0.318, 1.   ])
    """
    return _k1(_cosine(c))


def _k0(c):
    return 1 - np.arccos(c) / np.pi


def _k1(c):
    h = np.arccos(c)
    return (np.sin(h) + (np.pi - h) * np.cos(h)) / np.pi


def _cosine(c):
    c = arguments.array("c", c)
    if not (np.abs(c) <= 1).all():
        raise ValueError(f"c must be a correlation in [-1, 1], got {c}")
    return c


def rectifier_map(slope: float = 0.0, mean: bool = True) -> Map:
    """k(c), k'(c) behind rectifiers, or PReLUs of this slope; mean=False: without the mean that outputs share.

    phi(z) = relu(z) - slope relu(-z) has k(c) = k1(c) - m k1(-c), m = 2 slope / (1 + slope^2), and k' = k0(c) +
    m k0(-c). Without the mean, as behind standardised weights, (k(c) - s) / (1 - s), where s = k(0) is its share.

    >>> [round(float(number), 3) for number in rectifier_map()(0.0)]  # 1 / pi, 1 / 2
    [0.318, 0.5]
    >>> [round(float(number), 3) for number in rectifier_map(mean=False)(0.0)]
    [0.0, 0.733]
    """
    slope = arguments.number("slope", slope, -1e3, 1e3)
    m = 2 * slope / (1 + slope**2)  # how much of the other side a PReLU lets through
    share = 0.0 if mean else (1 - m) / np.pi
    if share == 1:
        raise ValueError("slope must not make the mean all there is")

    def apply(c):
        k, k_slope = _k1(c) - m * _k1(-c), _k0(c) + m * _k0(-c)
        return (k - share) / (1 - share), k_slope / (1 - share)
    return apply


def tailored_slope(depth: int, eta: float = 0.9) -> float:
    """TAT (Zhang et al. 2022): the PReLU slope whose `depth` layers together take the correlation 0 to eta.

    By bisection: a greater slope takes it less far. 0 where rectifiers take it less far than eta.

    >>> slope = tailored_slope(50)
    >>> print(f"{slope:.2f}, R = {composed([rectifier_map(slope)] * 50):.3f}")
    0.43, R = 0.028
    """
    depth, eta = arguments.integer("depth", depth), arguments.number("eta", eta, low=0.0, high=1.0)
    low, high = 0.0, 1.0
    for _ in range(50):
        middle, c = (low + high) / 2, 0.0
        each = rectifier_map(middle)
        for _ in range(depth):
            c = each(c)[0]
        low, high = (middle, high) if c > eta else (low, middle)
    return low


def skip_map(branch_map: Map, skip: float = 1.0, branch: float = 1.0) -> Map:
    """x <- skip x + branch (a layer with this map): (skip^2 c + branch^2 C) / (skip^2 + branch^2), and its slope.

    The layer must keep the variance of its signals: then C' weighs the gradients of both paths rightly.

    >>> round(composed([skip_map(rectifier_map(), 1.0, 10**-0.5)] * 10), 3)  # ten branches 1 / sqrt 10
    0.651
    """
    if not callable(branch_map):
        raise TypeError(f"branch_map must be a function of a correlation, got {branch_map!r}")
    skip2, branch2 = _squares(skip, branch)

    def apply(c):
        after, slope = branch_map(c)
        return (skip2 * c + branch2 * after) / (skip2 + branch2), (skip2 + branch2 * slope) / (skip2 + branch2)
    return apply


def neuron_correlation(depth: int, c: float = 0.0, *, skip: float = 0.0, branch: float = 1.0) -> float:
    """R of df/dn behind `depth` layers x <- skip x + branch W relu(x), at two inputs of correlation c: a number.

        R = product over the layers of (skip^2 + branch^2 k0(c)) / (skip^2 + branch^2),
        c <- (skip^2 c + branch^2 k1(c)) / (skip^2 + branch^2).

    c is that of the first layer's signals. skip, branch: 0, 1 for a plain He net; 1, beta for a resnet; gamma1,
    gamma2 for a highway. `wide.gradient_correlation` with wrt="neuron" says the same of nets with biases.

    >>> round(neuron_correlation(1), 4), round(neuron_correlation(1, skip=1.0), 4)
    (0.5, 0.75)
    """
    return composed([skip_map(rectifier_map(), skip, branch)] * arguments.integer("depth", depth), c)


def _squares(skip, branch):
    """skip^2 and branch^2, not both 0."""
    skip, branch = arguments.number("skip", skip, -1e3, 1e3), arguments.number("branch", branch, -1e3, 1e3)
    if skip == branch == 0:
        raise ValueError("skip and branch must not both be 0: nothing would pass")
    return skip**2, branch**2


# Any activation, by Gauss-Hermite quadrature.


def activation_map(value: Function, slope: Function, q: float = 1.0, weight: float = 1.0, bias: float = 0.0,
                   nodes: int = 64) -> Map:
    """The map of any phi for signals of variance q: weights of variance weight / N, biases of variance `bias`.

    C = (weight E[phi(u) phi(v)] + bias) / (weight E[phi(u)^2] + bias), C' = q weight E[phi'(u) phi'(v)] / (the
    same), u, v ~ N(0, q) of correlation c; value and slope are phi and phi', functions of arrays. By Gauss-Hermite
    quadrature in two dimensions, nodes each: to rounding for smooth phi, to 1 / nodes where phi has a kink.

    >>> cube = activation_map(lambda u: u**3, lambda u: 3 * u**2)  # E[u^3 v^3] = 9 c + 6 c^3, of 15
    >>> [round(number, 6) for number in cube(0.5)], [round(number, 6) for number in cube(1.0)]
    ([0.35, 0.9], [1.0, 1.8])
    """
    q, weight = arguments.number("q", q, low=1e-12), arguments.number("weight", weight, low=1e-12)
    bias = arguments.number("bias", bias, low=0.0)
    nodes = arguments.integer("nodes", nodes, least=2)
    total = weight * _gaussian(value, 1.0, q, nodes) + bias

    def apply(c):
        return ((weight * _gaussian(value, c, q, nodes) + bias) / total,
                q * weight * _gaussian(slope, c, q, nodes) / total)
    return apply


def critical(value: Function, slope: Function, q: float, nodes: int = 64) -> tuple[float, float]:
    """(weight, bias): the variances, weight / N and bias, that keep a signal of variance q, and a gradient's size.

    weight E[phi'^2] = 1 and weight E[phi^2] + bias = q: the edge of chaos, where C'(1) = 1.
    Raises ValueError if bias would be negative: phi has no critical point at this q.

    >>> weight, bias = critical(np.tanh, lambda u: 1 - np.tanh(u)**2, q=0.5)
    >>> print(f"{weight:.3f}, {bias:.3f}")
    1.688, 0.038
    """
    q, nodes = arguments.number("q", q, low=1e-12), arguments.integer("nodes", nodes, least=2)
    weight = 1 / _gaussian(slope, 1.0, q, nodes)
    bias = q - weight * _gaussian(value, 1.0, q, nodes)
    if bias < -1e-12:
        raise ValueError(f"q must leave a variance >= 0 for the biases, got q = {q:g}, which needs {bias:g}")
    return float(weight), float(max(bias, 0.0))


def shaped(activation: Activation, depth: int, zeta: float = 1.5) -> Activation:
    """DKS (Martens et al. 2021): phi_hat(u) = gamma (phi(alpha u + beta) + delta), for a chain of `depth` layers.

    For signals of variance 1, weights of variance 1 / N and no biases, the four numbers are such that C(0) = 0,
    C'(1) = zeta^(1 / depth) and Q(1) = Q'(1) = 1, where Q(q) = E[phi_hat(sqrt(q) z)^2]. So the net has C(0) = 0
    and C'(1) = zeta. Raises ValueError where no such numbers are found.

    The map of the net is a power series with coefficients a_k >= 0 whose sum is C(1) = 1, and a_0 = C(0) = 0. So
    zeta = sum of k a_k >= a_1 + 2 (1 - a_1), hence C'(0) = a_1 >= 2 - zeta and R >= (2 - zeta) / zeta.

    >>> from minishatter.pointwise import TANH
    >>> each = activation_map(*shaped(TANH, 50))
    >>> print(f"C'(1) = {each(1.0)[1]:.6f} = 1.5^(1 / 50), R = {composed([each] * 50):.3f}")
    C'(1) = 1.008142 = 1.5^(1 / 50), R = 0.443
    """
    if not isinstance(activation, Activation):
        raise TypeError(f"activation must be an Activation, a function and its slope, got {activation!r}")
    depth, zeta = arguments.integer("depth", depth), arguments.number("zeta", zeta, low=1.001, high=100.0)
    z, w = _hermite(256)

    def errors(point):
        hat = _standardised(activation, *point)
        value, slope = hat.value(z), hat.slope(z)
        return np.array([w @ slope**2 - zeta**(1 / depth), w @ (value * slope * z) - 1])  # of C'(1) and Q'(1)
    return _standardised(activation, *_newton(errors, np.array([0.5, 1.0])))


def _standardised(activation, alpha, beta):
    """phi_hat of this alpha and beta: C(0) = 0 asks for mean 0 and so fixes delta, Q(1) = 1 fixes gamma."""
    z, w = _hermite(256)
    phi = activation.value(alpha * z + beta)
    mean = w @ phi
    gamma = 1 / np.sqrt(w @ (phi - mean)**2)
    return Activation(lambda u: gamma * (activation.value(alpha * u + beta) - mean),
                      lambda u: gamma * alpha * activation.slope(alpha * u + beta))


def _newton(errors, point):
    """(alpha, beta) where both errors are 0, from `point`; their derivatives by central differences."""
    steps = 1e-5 * np.eye(2)
    with np.errstate(all="ignore"):
        for _ in range(50):
            error = errors(point)
            if np.abs(error).max() < 1e-13:
                return point
            columns = [(errors(point + step) - errors(point - step)) / 2e-5 for step in steps]
            if not np.isfinite([error, *columns]).all():
                break
            point = point - np.linalg.lstsq(np.transpose(columns), error, rcond=None)[0]
    raise ValueError("activation must be one that can be shaped for this depth and zeta: found no alpha and beta")


@cache
def _hermite(nodes):
    """The nodes z and weights w of E[f(z)] = sum of w f(z), z ~ N(0, 1): to rounding for smooth f."""
    z, w = np.polynomial.hermite_e.hermegauss(nodes)
    return z, w / w.sum()


def _gaussian(function, c, q, nodes):
    """E[function(u) function(v)], u, v ~ N(0, q) of correlation c."""
    z, w = _hermite(nodes)
    apart = np.sqrt(max(1 - c, 0.0) / 2) * z[None, :]  # u = a + b, v = a - b: exact where u = v
    common = np.sqrt(max(1 + c, 0.0) / 2) * z[:, None]
    at_u = function(np.sqrt(q) * (common + apart))
    at_v = at_u[:, ::-1]                               # z lies as far to the left as to the right
    return float(w @ (at_u * at_v) @ w)
