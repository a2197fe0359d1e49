"""Nets of infinite width: what a real net does, without the theorems' assumption on activity.

In a wide net with Gaussian weights the signals at two inputs x, y are jointly Gaussian, so one
function, their covariance K(x, y), says everything, and a layer maps K to the next K. With
c = K(x, y) / sqrt(K(x, x) K(y, y)) a He layer of rectifiers gives (Cho & Saul 2009)

    K(x, y) <- sqrt(K(x, x) K(y, y)) k1(c).

A skip connection x <- g1 x + g2 (W relu(x) + b) gives g1^2 K + g2^2 (that + variance of b).
Two gradients have two correlations. For df/dn, n a unit of the first layer, each rectifier multiplies
by k0(c) = k1'(c). For df/dx the covariance is the mixed derivative of K by x and y, because the
first-layer weights make both the signal and its derivative; the chain rule carries it along.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from . import arguments

Function = Callable[[np.ndarray], np.ndarray]

# The arc-cosine functions: what one layer of rectifiers does to a correlation c.


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


def neuron_correlation(depth: int, c: float = 0.0, *, skip: float = 0.0, branch: float = 1.0) -> float:
    """R of df/dn behind `depth` layers x <- skip x + branch W relu(x), at two inputs of correlation c: a number.

        R = product over the layers of (skip^2 + branch^2 k0(c)) / (skip^2 + branch^2),
        c <- (skip^2 c + branch^2 k1(c)) / (skip^2 + branch^2).

    c is that of the first layer's signals. skip, branch: 0, 1 for a plain He net; 1, beta for a resnet; gamma1,
    gamma2 for a highway. `gradient_correlation` with wrt="neuron" says the same of nets with biases.

    >>> round(neuron_correlation(1), 4), round(neuron_correlation(1, skip=1.0), 4)
    (0.5, 0.75)
    """
    depth, c = arguments.integer("depth", depth), arguments.number("c", c, low=-1.0, high=1.0)
    skip2, branch2 = _squares(skip, branch)
    total, R = skip2 + branch2, 1.0
    for _ in range(depth):
        R *= float(skip2 + branch2 * _k0(c)) / total
        c = float(skip2 * c + branch2 * _k1(c)) / total
    return R


def _squares(skip, branch):
    """skip^2 and branch^2, not both 0."""
    skip, branch = arguments.number("skip", skip, -1e3, 1e3), arguments.number("branch", branch, -1e3, 1e3)
    if skip == branch == 0:
        raise ValueError("skip and branch must not both be 0: nothing would pass")
    return skip**2, branch**2


# Between all pairs of inputs, with the derivatives that df/dx needs.


class Covariance(NamedTuple):
    """K at n inputs x (rows) and y (columns), the same n, and its derivatives; all broadcast to (n, n)."""

    xx: np.ndarray       # K(x, x), (n, 1)
    yy: np.ndarray       # K(y, y), (1, n)
    xy: np.ndarray       # K(x, y), (n, n)
    xx_dx: np.ndarray    # d K(x, x) / dx, (n, 1)
    yy_dy: np.ndarray    # d K(y, y) / dy, (1, n)
    xy_dx: np.ndarray    # d K(x, y) / dx, (n, n)
    xy_dy: np.ndarray    # d K(x, y) / dy, (n, n)
    xy_dxdy: np.ndarray  # d^2 K(x, y) / dx dy, (n, n): the covariance of df/dx at x and at y


def first_layer(x: np.ndarray, bias_std: float = 1.0) -> Covariance:
    """The Covariance of n = w x + b, w ~ N(0, 1), b ~ N(0, bias_std^2): K(x, y) = x y + bias_std^2; x (n,).

    >>> first_layer(np.array([-1.0, 1.0])).xy  # no correlation between -1 and 1
    array([[2., 0.],
           [0., 2.]])
    """
    x, variance = arguments.array("x", x, ndim=1), arguments.number("bias_std", bias_std, low=0.0)**2
    x = x.astype(np.float64)
    if np.abs(x).max() > 1e70:
        raise ValueError(f"x must lie in [-1e70, 1e70], got {np.abs(x).max()}: fourth powers would overflow")
    y, x = x[None, :], x[:, None]
    ones = np.ones((x.size, x.size))
    return Covariance(x**2 + variance, y**2 + variance, x * y + variance, 2 * x, 2 * y, y * ones, x * ones, ones)


def rectifier(K: Covariance, slope: float = 0.0) -> Covariance:
    """The Covariance behind rectifiers and He-normalised weights: F and its derivatives by the chain rule.

    slope is a PReLU's: phi(z) = relu(z) - slope relu(-z) has k(c) = k1(c) - m k1(-c), m = 2 slope / (1 + slope^2),
    and k'(c) = k0(c) + m k0(-c). slope = 1 is the linear net: k(c) = c.

    >>> K = first_layer(np.array([-1.0, 1.0]))
    >>> rectifier(K).xy.round(3)  # 2 k1(0) = 2 / pi for the pair
    array([[2.   , 0.637],
           [0.637, 2.   ]])
    """
    return _rectifier(K, _mix(slope))


def _mix(slope):
    """m = 2 slope / (1 + slope^2): how much of the other side a PReLU lets through."""
    slope = arguments.number("slope", slope, -1e3, 1e3)
    return 2 * slope / (1 + slope**2)


def _rectifier(K: Covariance, m: float) -> Covariance:
    # F(a, b, q) = root k(c), with a = K(x, x), b = K(y, y), q = K(x, y), root = sqrt(a b), c = q / root. By
    # da root = root / 2a and da c = -c / 2a:
    #     F_q = k'                        F_qq = k'' / root            F_qa = -c k'' / 2a
    #     F_a = root (k - c k') / 2a      F_ab = (k - c k' + c^2 k'') / 4 root
    # and the same with b for a. a depends on x, b on y, q on both, so
    #     d^2 F / dx dy = F_q q_xy + q_x (F_qq q_y + F_qb b_y) + a_x (F_qa q_y + F_ab b_y).
    root = np.sqrt(K.xx * K.yy)                   # (n, n), as all that follows
    c = np.clip(K.xy / root, -1, 1)
    k, slope = _k1(c) - m * _k1(-c), _k0(c) + m * _k0(-c)
    edge = 1 - c**2 < 1e-12                       # at y = x (or -x) the terms with k'' cancel
    curvature = np.where(edge, 0.0, (1 - m) / (np.pi * np.sqrt(np.where(edge, 1.0, 1 - c**2))))
    rest = k - c * slope
    F_a, F_b = root * rest / (2 * K.xx), root * rest / (2 * K.yy)
    F_qq, F_qa, F_qb = curvature / root, -curvature * c / (2 * K.xx), -curvature * c / (2 * K.yy)
    F_ab = (rest + c**2 * curvature) / (4 * root)
    mixed = (slope * K.xy_dxdy + K.xy_dx * (F_qq * K.xy_dy + F_qb * K.yy_dy)
             + K.xx_dx * (F_qa * K.xy_dy + F_ab * K.yy_dy))
    return Covariance(K.xx, K.yy, root * k, K.xx_dx, K.yy_dy, slope * K.xy_dx + F_a * K.xx_dx,
                      slope * K.xy_dy + F_b * K.yy_dy, mixed)


def gradient_correlation(x: np.ndarray, depth: int, *, skip: float = 0.0, branch: float = 1.0, slope: float = 0.0,
                         bias_std: float = 1.0, hidden_bias_std: float = 0.0, wrt: str = "input") -> np.ndarray:
    """R(x_i, x_j) of the gradients of a net of `depth` rectifier layers of infinite width: x (n,) -> (n, n).

    wrt: "input", df/dx; "neuron", df/dn for units n of the first layer (Definition 1).
    skip, branch: 0, 1 for feedforward nets, alpha and alpha beta for resnets, gamma1 and gamma2 for
    highways, all without normalisation. slope: a PReLU's, 1 for looks-linear nets. For "neuron"
    the product of (skip^2 + branch^2 k'(c)) / (skip^2 + branch^2); paper section 3, derived.

    >>> gradient_correlation([-1.0, 1.0], 1, wrt="neuron").round(3)
    array([[1. , 0.5],
           [0.5, 1. ]])
    """
    depth, (skip2, branch2), m = arguments.integer("depth", depth), _squares(skip, branch), _mix(slope)
    arguments.one_of("wrt", wrt, ("input", "neuron"))
    bias = arguments.number("hidden_bias_std", hidden_bias_std, low=0.0)**2
    K, neuron = first_layer(x, bias_std), np.ones((np.size(x), np.size(x)))
    if not K.xx.all():
        raise ValueError("x must not hold 0 if bias_std is 0: no signal, no correlation")
    total = skip2 + branch2
    for _ in range(depth):
        c = np.clip(K.xy / np.sqrt(K.xx * K.yy), -1, 1)
        neuron = neuron * (skip2 + branch2 * (_k0(c) + m * _k0(-c))) / total
        F = _rectifier(K, m)
        F = F._replace(xx=F.xx + bias, yy=F.yy + bias, xy=F.xy + bias)
        K = Covariance(*((skip2 * before + branch2 * after) / total for before, after in zip(K, F)))
        bias = bias / total  # all is kept in units of total^layer, which would overflow
    if wrt == "neuron":
        return neuron
    size = np.sqrt(np.diag(K.xy_dxdy))
    return K.xy_dxdy / np.outer(size, size)


# R is the slope of the composed correlation map. A map gives (C(c), C'(c)), with C(1) = 1.

Map = Callable[[float], tuple[float, float]]


def composed(maps: Iterable[Map], c: float = 0.0) -> float:
    """R = C_L'(c) / C_L'(1) of df/dn, C_L = the maps one after the other, at two inputs of correlation c.

    A layer multiplies E[df/dn(x) df/dn(y)] by E[phi'(u) phi'(v)] (times variances), and that is the slope of what
    it does to E[phi(u) phi(v)]: so R is the product of C'(c_l) / C'(1), the chain rule for C_L.

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
    return R


def rectifier_map(slope: float = 0.0, mean: bool = True) -> Map:
    """k(c), k'(c) behind rectifiers, or PReLUs of this slope; mean=False: without the mean that outputs share.

    Without it, as behind standardised weights, (k(c) - s) / (1 - s), where s = k(0) is the mean's share.
    """
    m = _mix(slope)
    share = 0.0 if mean else (1 - m) / np.pi
    if share == 1:
        raise ValueError("slope must not make the mean all there is")

    def apply(c):
        k, k_slope = _k1(c) - m * _k1(-c), _k0(c) + m * _k0(-c)
        return float(k - share) / (1 - share), float(k_slope) / (1 - share)
    return apply


def activation_map(value: Function, slope: Function, q: float = 1.0, weight: float = 1.0, bias: float = 0.0,
                   nodes: int = 64) -> Map:
    """The map of any phi for signals of variance q: weights of variance weight / N, biases of variance `bias`.

    C = (weight E[phi(u) phi(v)] + bias) / (weight E[phi(u)^2] + bias), C' = q weight E[phi'(u) phi'(v)] / (the
    same), u, v ~ N(0, q) of correlation c; value and slope are phi and phi', functions of arrays. By Gauss-Hermite
    quadrature in two dimensions, nodes each: to rounding for smooth phi, to 1 / nodes where phi has a kink.
    """
    q, weight = arguments.number("q", q, low=1e-12), arguments.number("weight", weight, low=1e-12)
    bias = arguments.number("bias", bias, low=0.0)
    total = weight * _gaussian(value, 1.0, q, nodes) + bias

    def apply(c):
        return ((weight * _gaussian(value, c, q, nodes) + bias) / total,
                q * weight * _gaussian(slope, c, q, nodes) / total)
    return apply


def critical(value: Function, slope: Function, q: float, nodes: int = 64) -> tuple[float, float]:
    """(weight, bias): the variances, weight / N and bias, that keep a signal of variance q, and a gradient's size.

    weight E[phi'^2] = 1 and weight E[phi^2] + bias = q: the edge of chaos, where C'(1) = 1.
    Raises ValueError if bias would be negative: phi has no critical point at this q.
    """
    q = arguments.number("q", q, low=1e-12)
    weight = 1 / _gaussian(slope, 1.0, q, nodes)
    bias = q - weight * _gaussian(value, 1.0, q, nodes)
    if bias < -1e-12:
        raise ValueError(f"q must leave a variance >= 0 for the biases, got q = {q:g}, which needs {bias:g}")
    return float(weight), float(max(bias, 0.0))


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


def _gaussian(function, c, q, nodes):
    """E[function(u) function(v)], u, v ~ N(0, q) of correlation c."""
    z, w = np.polynomial.hermite_e.hermegauss(arguments.integer("nodes", nodes, least=2))
    w = w / w.sum()
    apart = np.sqrt(max(1 - c, 0.0) / 2) * z[None, :]  # u = a + b, v = a - b: exact where u = v
    common = np.sqrt(max(1 + c, 0.0) / 2) * z[:, None]
    return float(w @ (function(np.sqrt(q) * (common + apart)) * function(np.sqrt(q) * (common - apart))) @ w)
