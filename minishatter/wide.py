"""Nets of infinite width: what a real net does, without the theorems' assumption on activity.

In a wide net with Gaussian weights the signals at two inputs are jointly Gaussian, so one function,
their covariance K(x, x'), says everything, and a layer maps K to the next K. With
a, b the variances at x and x', q the covariance and c = q / sqrt(a b), a He layer of rectifiers gives

    F(a, b, q) = sqrt(a b) k1(c).

A skip connection x <- g1 x + g2 (W relu(x) + b) gives g1^2 K + g2^2 (F + variance of b).
Two gradients have two kernels. For df/dn, n a unit of the first layer, each rectifier multiplies
by k0(c). For df/dx the covariance is the mixed derivative of K with respect to x and x', because the
first-layer weights make both the signal and its derivative; the chain rule for F carries it along.
"""

from typing import NamedTuple

import numpy as np

from . import arguments
from .theory import k0, k1


class Kernel(NamedTuple):
    """The covariance of the signal at x (rows) and x' (columns), and its derivatives; arrays that broadcast."""

    a: np.ndarray     # K(x, x), a column
    b: np.ndarray     # K(x', x'), a row
    q: np.ndarray     # K(x, x')
    a_x: np.ndarray   # derivatives: d a / d x
    b_y: np.ndarray   # d b / d x'
    q_x: np.ndarray   # d q / d x
    q_y: np.ndarray   # d q / d x'
    q_xy: np.ndarray  # d^2 q / d x d x': the covariance of df/dx and df/dx'


def first_layer(x, bias_std=1.0):
    """The Kernel of n = w x + b, w ~ N(0, 1), b ~ N(0, bias_std^2), at the points x (n,)."""
    x, variance = arguments.array("x", x, ndim=1), arguments.number("bias_std", bias_std, low=0.0)**2
    row, column = x[None, :], x[:, None]
    both = np.ones((x.size, x.size))
    return Kernel(column**2 + variance, row**2 + variance, column * row + variance,
                  2 * column, 2 * row, row * both, column * both, both)


def rectifier(K, slope=0.0):
    """The Kernel behind He-normalised weights and rectifiers: F and its derivatives by the chain rule.

    slope is a PReLU's: phi(z) = relu(z) - slope relu(-z) has k(c) = k1(c) - m k1(-c), m = 2 slope / (1 + slope^2),
    and k'(c) = k0(c) + m k0(-c). slope = 1 is the linear net: k(c) = c.
    """
    slope = arguments.number("slope", slope, -1e3, 1e3)
    m = 2 * slope / (1 + slope**2)
    root = np.sqrt(K.a * K.b)
    c = np.clip(K.q / root, -1, 1)
    value, first = k1(c) - m * k1(-c), k0(c) + m * k0(-c)
    edge = 1 - c**2 < 1e-12  # at x' = x (or -x) the terms with the second derivative cancel
    second = np.where(edge, 0.0, (1 - m) / (np.pi * np.sqrt(np.where(edge, 1.0, 1 - c**2))))
    rest = value - c * first
    F_a, F_b = root * rest / (2 * K.a), root * rest / (2 * K.b)
    F_qq, F_qa, F_qb = second / root, -second * c / (2 * K.a), -second * c / (2 * K.b)
    F_ab = (rest + c**2 * second) / (4 * root)
    q_xy = first * K.q_xy + K.q_x * (F_qq * K.q_y + F_qb * K.b_y) + K.a_x * (F_qa * K.q_y + F_ab * K.b_y)
    return Kernel(K.a, K.b, root * value, K.a_x, K.b_y, first * K.q_x + F_a * K.a_x, first * K.q_y + F_b * K.b_y, q_xy)


def gradient_correlation(x, depth, *, skip=0.0, branch=1.0, slope=0.0, bias_std=1.0, hidden_bias_std=0.0, wrt="input"):
    """R(x_i, x_j) of the gradients of a net of `depth` rectifier layers of infinite width: x (n,) -> (n, n).

    wrt: "input", df/dx; "neuron", df/dn for units n of the first layer (Definition 1).
    skip, branch: 0, 1 for feedforward nets, alpha and alpha beta for resnets, gamma1 and gamma2 for
    highways, all without normalisation. slope: a PReLU's, 1 for looks-linear nets. For "neuron"
    the product of (skip^2 + branch^2 k'(c)) / (skip^2 + branch^2); paper section 3, derived.
    """
    depth = arguments.integer("depth", depth)
    skip, branch, slope = (arguments.number(name, value, -1e3, 1e3) for name, value in
                           (("skip", skip), ("branch", branch), ("slope", slope)))
    if skip == branch == 0:
        raise ValueError("skip and branch must not both be 0: nothing would pass")
    arguments.one_of("wrt", wrt, ("input", "neuron"))
    bias = arguments.number("hidden_bias_std", hidden_bias_std, low=0.0)**2
    K, neuron, m = first_layer(x, bias_std), 1.0, 2 * slope / (1 + slope**2)
    if not K.a.all():
        raise ValueError("x must not hold 0 if bias_std is 0: no signal, no correlation")
    total = skip**2 + branch**2
    for _ in range(depth):
        c = np.clip(K.q / np.sqrt(K.a * K.b), -1, 1)
        neuron = neuron * (skip**2 + branch**2 * (k0(c) + m * k0(-c))) / total
        F = rectifier(K, slope)
        F = F._replace(a=F.a + bias, b=F.b + bias, q=F.q + bias)
        K = Kernel(*((skip**2 * before + branch**2 * after) / total for before, after in zip(K, F)))
        bias = bias / total  # all is kept in units of total^layer, which would overflow
    if wrt == "neuron":
        return neuron
    size = np.sqrt(np.diag(K.q_xy))
    return K.q_xy / np.outer(size, size)
