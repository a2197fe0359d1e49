"""The paper's theorems: one function per statement, and independent ways to check them.

All theorems stand on one assumption: at each layer half of the units are active
for an input, and a quarter for both of two inputs, independently of the weights.
`gated_gradients` draws nets that satisfy it exactly. What a real net does
without the assumption is governed by the kernels k0 and k1.

Depth L counts rectifiers. Moments are over the draw of the weights, at two
fixed inputs; the covariance is at two distinct ones (Definition 1).
"""

import itertools
import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from . import arguments


class Moments(NamedTuple):
    """C(i, i), C(i, j) and R(i, j) = C(i, j) / C(i, i) of the gradients at two inputs."""

    variance: float
    covariance: float
    correlation: float


def feedforward(depth):
    """Theorem 1, He weights: variance 1, covariance and correlation 2^-L."""
    return _layers(1.0, 0.5, arguments.integer("depth", depth))


def resnet(depth, alpha=1.0, beta=1.0):
    """Theorem 2, x <- alpha (x + beta W relu(x)).

    Variance (alpha^2 (1 + beta^2))^L, covariance (alpha^2 (1 + beta^2/2))^L. alpha = beta = 1 is
    the theorem: 2^L, (3/2)^L, (3/4)^L. alpha = 1/sqrt 2 brings the variance to 1 and leaves the correlation.
    """
    depth, alpha, beta = arguments.integer("depth", depth), _factor("alpha", alpha), _factor("beta", beta)
    return _layers(alpha**2 * (1 + beta**2), alpha**2 * (1 + beta**2 / 2), depth)


def batchnorm_resnet(depth, beta=1.0):
    """Theorem 3 in exact form. With v_l = beta^2 l + 1 and products over l = 0 .. L - 2:

        variance = prod (1 + beta^2 / v_l) = beta^2 (L - 1) + 1,   covariance = prod (1 + beta^2 / (2 v_l)).

    The theorem counts L - 1 residual layers; v_l is the variance of the signal that
    batch normalisation divides by in the l-th of them.
    """
    depth, beta = arguments.integer("depth", depth), _factor("beta", beta)
    v = beta**2 * np.arange(depth - 1) + 1.0
    variance, covariance = beta**2 * (depth - 1) + 1.0, float(np.prod(1 + beta**2 / (2 * v)))
    return Moments(variance, covariance, covariance / variance)


def batchnorm_resnet_asymptote(depth, beta=1.0):
    """Theorem 3 as stated: R ~ 1 / (beta sqrt L). Only for L >= 1 / beta^2, where it is no more than 1.

    "~" leaves out a constant: R beta sqrt L tends to Gamma(a) / Gamma(a + 1/2) * sqrt a with
    a = 1 / beta^2, which is 1.128 for beta = 1 and tends to 1 as beta tends to 0.
    """
    depth, beta = arguments.integer("depth", depth), arguments.number("beta", beta, low=1e-6)
    if depth * beta**2 < 1 - 1e-12:  # 49 / 7^2 is 1 up to rounding
        raise ValueError(f"depth must be at least 1 / beta^2 = {1 / beta**2:g}, got {depth}: "
                         "below it the asymptote exceeds 1 and is no correlation; use batchnorm_resnet")
    return 1 / (beta * math.sqrt(depth))


def highway(depth, gamma2):
    """Corollary 1, x <- gamma1 x + gamma2 W relu(x), gamma1^2 + gamma2^2 = 1.

    Variance 1, correlation (gamma1^2 + gamma2^2/2)^L. With gamma2 = sqrt(1/L) it tends to 1/sqrt e = 0.6065.
    """
    depth, gamma2 = arguments.integer("depth", depth), arguments.number("gamma2", gamma2, low=0.0, high=1.0)
    return _layers(1.0, 1 - gamma2**2 / 2, depth)


def _factor(name, value):
    """A number whose square, and the product of two of whose squares, does not overflow."""
    return arguments.number(name, value, low=-1e75, high=1e75)


def _layers(variance_factor, covariance_factor, depth):
    """Moments that gain one factor per layer."""
    try:
        variance, covariance = variance_factor**depth, covariance_factor**depth
    except OverflowError:
        raise ValueError(f"depth must be smaller, got {depth}: the variance, {variance_factor:g}^depth, "
                         "overflowed") from None
    return Moments(variance, covariance, (covariance_factor / variance_factor)**depth if variance_factor else 0.0)


# Without the assumption: two inputs whose signals have correlation c (Cho & Saul 2009, He-normalised). What follows
# is about df/dn, or df/dx along a direction independent of the signal. It does not hold for df/dx of a net with
# scalar input, where the first-layer weights make both the signal and its derivative.


def k0(c):
    """The factor that a rectifier layer puts on the correlation of gradients: 1 - arccos(c) / pi. k0(0) = 1/2."""
    return 1 - np.arccos(_cosine(c)) / np.pi


def k1(c):
    """The correlation of signals behind a rectifier layer: (sin h + (pi - h) cos h) / pi, h = arccos c."""
    h = np.arccos(_cosine(c))
    return (np.sin(h) + (np.pi - h) * np.cos(h)) / np.pi


def _cosine(c):
    c = np.asarray(c, dtype=float)
    if not (np.abs(c) <= 1).all():
        raise ValueError(f"c must be a correlation in [-1, 1], got {c}")
    return c


def feedforward_kernel(depth, c=0.0):
    """R of a wide plain He net: the product of k0(c_l), with c_{l+1} = k1(c_l), for inputs of correlation c."""
    c, correlation = arguments.number("c", c), 1.0
    for _ in range(arguments.integer("depth", depth)):
        correlation, c = correlation * float(k0(c)), float(k1(c))
    return correlation


def resnet_kernel(depth, beta=1.0, c=0.0):
    """R of a wide resnet without BN, b = beta^2: prod of (1 + b k0(c_l)) / (1 + b); c <- (c + b k1(c)) / (1 + b)."""
    b, c, correlation = _factor("beta", beta)**2, arguments.number("c", c), 1.0
    for _ in range(arguments.integer("depth", depth)):
        correlation, c = correlation * float(1 + b * k0(c)) / (1 + b), float(c + b * k1(c)) / (1 + b)
    return correlation


# The assumption, satisfied exactly.


def gated_gradients(depth, width, runs, rng, *, skip=0.0, branch=1.0, normalise=False):
    """Gradients at two inputs of nets whose units are active by independent coin flips: (runs, 2).

    Forward mode, from t = v with v ~ N(0, I): t <- skip t + branch W (gate t) / std,
    W ~ N(0, 2/width), a new gate for each unit, layer and input; then a read-out N(0, 1/width).
    Both inputs share the weights. std is 1, or with normalise the square root of
    v_l = branch^2 l + 1, as in Theorem 3. skip, branch: 0, 1 for Theorem 1; alpha,
    alpha beta for 2; gamma1, gamma2 for Corollary 1. The moments are exact at any width.
    """
    depth, width = arguments.integer("depth", depth), arguments.integer("width", width)
    runs, rng = arguments.integer("runs", runs), arguments.generator("rng", rng)
    skip, branch = arguments.number("skip", skip), arguments.number("branch", branch)
    t = np.repeat(rng.standard_normal((runs, 1, width)), 2, axis=1)  # (runs, 2, width): both inputs see one v
    with np.errstate(over="ignore", invalid="ignore"):
        for l in range(depth):
            gate = rng.random(t.shape) < 0.5
            W = rng.standard_normal((runs, width, width)) * math.sqrt(2 / width)
            std = math.sqrt(branch**2 * l + 1) if normalise else 1.0
            t = skip * t + branch * ((gate * t / std) @ W)
    readout = rng.standard_normal((runs, width, 1)) / math.sqrt(width)
    gradients = (t @ readout)[:, :, 0]
    if not np.isfinite(gradients).all():
        raise ValueError(f"depth must be smaller, got {depth}: with skip={skip:g} and branch={branch:g} the gradients "
                         "overflowed")
    return gradients


def active_paths(weights, active):
    """The paths of a rectifier net whose units are all active: yields (units, product of the weights).

    weights: matrices (1, n_1), (n_1, n_2), ..., (n_L, 1); active: for one input, the
    booleans (n_1,), ..., (n_L,). The products add up to df/dx, exactly: the gradient of
    a rectifier net is a sum over active paths (paper, section 3). There are
    up to n_1 n_2 ... n_L of them.
    """
    weights = [arguments.array("weights", W, ndim=2) for W in weights]
    layers = [np.asarray(a, dtype=bool) for a in active]
    if [W.shape for W in weights] != list(itertools.pairwise([1, *(a.size for a in layers), 1])):
        raise ValueError("weights and active must chain: (1, n_1), (n_1, n_2), ..., (n_L, 1) with active (n_1,), ..., "
                         f"(n_L,); got {[W.shape for W in weights]} and {[a.shape for a in layers]}")
    for path in itertools.product(*(np.flatnonzero(a) for a in layers)):
        units = [0, *map(int, path), 0]
        yield units[1:-1], math.prod(float(W[i, j]) for W, (i, j) in zip(weights, itertools.pairwise(units)))


# The 1-layer gradient is a random walk.


class Donsker(NamedTuple):
    """Is a random function Brownian motion? Each p is the chance of a deviation this large if it is."""

    p_normal: float       # increments / sqrt(dt) against N(0, 1): Kolmogorov's distance
    p_independent: float  # correlations between increments, and between their sizes: chi-square
    variance_slope: float  # slope of log variance against log dt; 1 if the variance is proportional to dt
    slope_error: float     # its standard error


def donsker_test(paths, times):
    """Test the increments of paths (runs, K + 1) at increasing times (K + 1,) against Brownian motion.

    For f(x) = sum of w_u relu(x - b_u), w ~ N(0, 1/N), the gradient in the time
    t = P(b < x) tends to Brownian motion as N grows: given the biases, an increment
    is a sum of the w_u whose kink lies in between.
    """
    paths, times = arguments.array("paths", paths, ndim=2), arguments.array("times", times, ndim=1)
    runs, dt = len(paths), np.diff(times)
    if paths.shape[1] != times.size or times.size < 4 or runs < 50 or not (dt > 0).all():
        raise ValueError("paths must be (runs, K + 1) at K + 1 increasing times, with runs >= 50 and K >= 3; "
                         f"got shape {paths.shape} and {times.size} times")
    if np.allclose(dt, dt[0], rtol=1e-6, atol=0):
        raise ValueError("times must have steps of different lengths, or there is no slope; all are equal here")
    z = np.diff(paths, axis=1) / np.sqrt(dt)  # (runs, K), N(0, 1) for Brownian motion
    if not (np.ptp(z, axis=0) > 0).all():
        raise ValueError("paths must have increments that differ from run to run")
    pairs = dt.size * (dt.size - 1)           # K (K - 1) / 2 pairs, for z and again for |z|
    # E r^2 = 1 / (runs - 1) exactly; |z|, because the tails of z^2 would make r^2 larger than chi-square's
    chi_square = sum((runs - 1) * (np.tril(np.corrcoef(a, rowvar=False), -1)**2).sum() for a in (z, np.abs(z)))
    log_dt = np.log(dt) - np.log(dt).mean()
    slope = 1 + log_dt @ np.log((z**2).mean(axis=0)) / (log_dt @ log_dt)
    return Donsker(_kolmogorov_p(z.ravel()), _chi_square_p(chi_square, pairs),
                   float(slope), math.sqrt(2 / runs / (log_dt @ log_dt)))


def _kolmogorov_p(sample):
    """P(sup |F_n - F| at least as large as here) if the sample is N(0, 1); Kolmogorov's limit law."""
    n = sample.size
    cdf = np.array([NormalDist().cdf(value) for value in np.sort(sample)])
    distance = max((np.arange(1, n + 1) / n - cdf).max(), (cdf - np.arange(n) / n).max())
    k = np.arange(1, 101)
    return float(np.clip(2 * np.sum((-1.0)**(k - 1) * np.exp(-2 * k**2 * n * distance**2)), 0, 1))


def _chi_square_p(value, dof):
    """P(chi-square with dof degrees of freedom >= value), by Wilson & Hilferty's cube root."""
    z = ((value / dof)**(1 / 3) - (1 - 2 / (9 * dof))) / math.sqrt(2 / (9 * dof))
    return 1 - NormalDist().cdf(z)
