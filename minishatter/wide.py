"""Nets of infinite width: between all pairs of inputs, with the derivatives that df/dx needs.

In a wide net with Gaussian weights the signals at two inputs x, y are jointly Gaussian, so one
function, their covariance K(x, y), says everything, and a layer maps K to the next K. With
c = K(x, y) / sqrt(K(x, x) K(y, y)) a He layer of rectifiers gives (Cho & Saul 2009)

    K(x, y) <- sqrt(K(x, x) K(y, y)) k(c),  k the map of correlation_maps.py.

A skip connection x <- g1 x + g2 (W relu(x) + b) gives g1^2 K + g2^2 (that + variance of b).
Two gradients have two correlations. For df/dn, n a unit of the first layer, each rectifier multiplies
by k'(c). For df/dx the covariance is the mixed derivative of K by x and y, because the
first-layer weights make both the signal and its derivative; the chain rule carries it along.
"""

from typing import NamedTuple

import numpy as np

from . import arguments
from .correlation_maps import Map, rectifier_map, skip_map


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
    return _rectifier(K, rectifier_map(slope), slope)


def _rectifier(K: Covariance, each: Map, slope: float) -> Covariance:
    # F(a, b, q) = root k(c), with a = K(x, x), b = K(y, y), q = K(x, y), root = sqrt(a b), c = q / root. By
    # da root = root / 2a and da c = -c / 2a:
    #     F_q = k'                        F_qq = k'' / root            F_qa = -c k'' / 2a
    #     F_a = root (k - c k') / 2a      F_ab = (k - c k' + c^2 k'') / 4 root
    # and the same with b for a. a depends on x, b on y, q on both, so
    #     d^2 F / dx dy = F_q q_xy + q_x (F_qq q_y + F_qb b_y) + a_x (F_qa q_y + F_ab b_y).
    root = np.sqrt(K.xx * K.yy)                   # (n, n), as all that follows
    c = np.clip(K.xy / root, -1, 1)
    k, k_slope = each(c)
    kink = (1 - slope)**2 / (1 + slope**2)        # k'' = kink / (pi sqrt(1 - c^2))
    edge = 1 - c**2 < 1e-12                       # at y = x (or -x) the terms with k'' cancel
    curvature = np.where(edge, 0.0, kink / (np.pi * np.sqrt(np.where(edge, 1.0, 1 - c**2))))
    rest = k - c * k_slope
    F_a, F_b = root * rest / (2 * K.xx), root * rest / (2 * K.yy)
    F_qq, F_qa, F_qb = curvature / root, -curvature * c / (2 * K.xx), -curvature * c / (2 * K.yy)
    F_ab = (rest + c**2 * curvature) / (4 * root)
    mixed = (k_slope * K.xy_dxdy + K.xy_dx * (F_qq * K.xy_dy + F_qb * K.yy_dy)
             + K.xx_dx * (F_qa * K.xy_dy + F_ab * K.yy_dy))
    return Covariance(K.xx, K.yy, root * k, K.xx_dx, K.yy_dy, k_slope * K.xy_dx + F_a * K.xx_dx,
                      k_slope * K.xy_dy + F_b * K.yy_dy, mixed)


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
    depth, each = arguments.integer("depth", depth), rectifier_map(slope)
    layer = skip_map(each, skip, branch)
    arguments.one_of("wrt", wrt, ("input", "neuron"))
    bias = arguments.number("hidden_bias_std", hidden_bias_std, low=0.0)**2
    K, neuron = first_layer(x, bias_std), np.ones((np.size(x), np.size(x)))
    if not K.xx.all():
        raise ValueError("x must not hold 0 if bias_std is 0: no signal, no correlation")
    skip2, branch2 = skip**2, branch**2
    total = skip2 + branch2
    for _ in range(depth):
        neuron = neuron * layer(np.clip(K.xy / np.sqrt(K.xx * K.yy), -1, 1))[1]
        F = _rectifier(K, each, slope)
        F = F._replace(xx=F.xx + bias, yy=F.yy + bias, xy=F.xy + bias)
        K = Covariance(*((skip2 * before + branch2 * after) / total for before, after in zip(K, F)))
        bias = bias / total  # all is kept in units of total^layer, which would overflow
    if wrt == "neuron":
        return neuron
    size = np.sqrt(np.diag(K.xy_dxdy))
    return K.xy_dxdy / np.outer(size, size)
