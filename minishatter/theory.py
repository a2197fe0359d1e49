"""The paper's theorems: one function per statement, and independent ways to check them.

All theorems stand on one assumption: at each layer half of the units are active
for an input, and a quarter for both of two inputs, independently of the weights.
`gated_gradients` draws nets that satisfy it exactly. What a wide net does
without the assumption is in correlation_maps.py and wide.py.

Depth L counts rectifiers. Moments are over the draw of the weights, at two
fixed inputs; the covariance is at two distinct ones (Definition 1).
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from . import arguments


class Moments(NamedTuple):
    """C(i, i), C(i, j) and R(i, j) = C(i, j) / C(i, i) of the gradients at two inputs."""

    variance: float
    covariance: float
    correlation: float


def feedforward(depth: int) -> Moments:
    """Theorem 1, He weights: variance 1, covariance and correlation 2^-L.

    >>> feedforward(3)
    Moments(variance=1.0, covariance=0.125, correlation=0.125)
    """
    return _layers(1.0, 0.5, arguments.integer("depth", depth))


def resnet(depth: int, alpha: float = 1.0, beta: float = 1.0) -> Moments:
    """Theorem 2, x <- alpha (x + beta W relu(x)).

    Variance (alpha^2 (1 + beta^2))^L, covariance (alpha^2 (1 + beta^2/2))^L. alpha = beta = 1 is
    the theorem: 2^L, (3/2)^L, (3/4)^L. alpha = 1/sqrt 2 brings the variance to 1 and leaves the correlation.

    >>> resnet(2)
    Moments(variance=4.0, covariance=2.25, correlation=0.5625)
    """
    depth, alpha, beta = arguments.integer("depth", depth), _factor("alpha", alpha), _factor("beta", beta)
    return _layers(alpha**2 * (1 + beta**2), alpha**2 * (1 + beta**2 / 2), depth)


def batchnorm_resnet(depth: int, beta: float = 1.0) -> Moments:
    """Theorem 3 in exact form. With v_l = beta^2 l + 1 and products over l = 0 .. L - 2:

        variance = prod (1 + beta^2 / v_l) = beta^2 (L - 1) + 1,   covariance = prod (1 + beta^2 / (2 v_l)).

    The theorem counts L - 1 residual layers; v_l is the variance of the signal that
    batch normalisation divides by in the l-th of them.

    >>> batchnorm_resnet(3)  # v = 1, 2: 2 (3/2), and (3/2) (5/4)
    Moments(variance=3.0, covariance=1.875, correlation=0.625)
    """
    return _normalised(depth, beta, share=1.0)


def batchnorm_resnet_asymptote(depth: int, beta: float = 1.0) -> float:
    """Theorem 3 as stated: R ~ 1 / (beta sqrt L). Only for L >= 1 / beta^2, where it is no more than 1.

    "~" leaves out a constant: R beta sqrt L tends to Gamma(a) / Gamma(a + 1/2) * sqrt a with
    a = 1 / beta^2, which is 1.128 for beta = 1 and tends to 1 as beta tends to 0.

    >>> batchnorm_resnet_asymptote(100, beta=0.5)
    0.2
    """
    depth, beta = arguments.integer("depth", depth), arguments.number("beta", beta, low=1e-6)
    if depth * beta**2 < 1 - 1e-12:  # 49 / 7^2 is 1 up to rounding
        raise ValueError(f"depth must be at least 1 / beta^2 = {1 / beta**2:g}, got {depth}: "
                         "below it the asymptote exceeds 1 and is no correlation; use batchnorm_resnet")
    return 1 / (beta * math.sqrt(depth))


SPREAD = 1 - 1 / math.pi  # what is left of E[relu(z)^2], z ~ N(0, 1), around the mean: E[relu(z)]^2 is 1/pi of it


def centred_resnet(depth: int, beta: float = 1.0) -> Moments:
    """Theorem 3 for batch normalisation as it is: it divides by the spread *around the batch mean*.

    A branch sees z ~ N(0, 1), so with He weights it adds beta^2 2 E[relu(z)^2] = beta^2 to the second moment of
    a unit. Of that, beta^2 2 E[relu(z)]^2 = beta^2 / pi is the square of a mean that all inputs share, and the next
    batch normalisation takes it away: v_l = 1 + beta^2 (1 - 1/pi) l. Nothing else changes:

        variance = prod (1 + beta^2 / v_l),   covariance = prod (1 + beta^2 / (2 v_l)),   l = 0 .. L - 2.

    With k = 1 / SPREAD and a = k / beta^2 these factors are (l + a + k) / (l + a) and (l + a + k/2) / (l + a), so
    the variance grows like L^k = L^1.467 and R falls like L^(-k/2) = L^-0.733; Theorem 3 has L and L^-0.5.
    Derived for this project, for infinite width and batch.

    >>> print(f"{centred_resnet(24).correlation:.3f} instead of {batchnorm_resnet(24).correlation:.3f}")
    0.161 instead of 0.229
    """
    return _normalised(depth, beta, share=SPREAD)


def _normalised(depth, beta, share):
    """Moments of depth - 1 residual layers, where the variance that is divided by grows by share beta^2 in each."""
    depth, beta = arguments.integer("depth", depth), _factor("beta", beta)
    v = share * beta**2 * np.arange(depth - 1) + 1.0
    variance, covariance = (float(np.prod(1 + beta**2 / (both * v))) for both in (1, 2))
    return Moments(variance, covariance, covariance / variance)


def highway(depth: int, gamma2: float) -> Moments:
    """Corollary 1, x <- gamma1 x + gamma2 W relu(x), gamma1^2 + gamma2^2 = 1.

    Variance 1, correlation (gamma1^2 + gamma2^2/2)^L. With gamma2 = sqrt(1/L) it tends to 1/sqrt e = 0.6065.

    >>> print(f"{highway(100, 0.1).correlation:.3f}")
    0.606
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


# The assumption, satisfied exactly.


def gated_gradients(depth: int, width: int, runs: int, rng: np.random.Generator, *, skip: float = 0.0,
                    branch: float = 1.0, share: float | None = None) -> np.ndarray:
    """Gradients at two inputs of nets whose units are active by independent coin flips: (runs, 2).

    Forward mode, from t = v with v ~ N(0, I): t <- skip t + branch W (gate t) / std,
    W ~ N(0, 2/width), a new gate for each unit, layer and input; then a read-out N(0, 1/width).
    Both inputs share the weights. std is 1, or with a share the square root of v_l = share branch^2 l + 1:
    1 in Theorem 3, SPREAD under centering. skip, branch: 0, 1 for Theorem 1; alpha,
    alpha beta for 2; gamma1, gamma2 for Corollary 1. The moments are exact at any width.

    >>> g = gated_gradients(2, width=4, runs=20_000, rng=np.random.default_rng(0))
    >>> bool(abs((g[:, 0] * g[:, 1]).mean() - 1 / 4) < 0.05)  # Theorem 1: 2^-2
    True
    """
    depth, width = arguments.integer("depth", depth), arguments.integer("width", width)
    runs, rng = arguments.integer("runs", runs), arguments.generator("rng", rng)
    skip, branch = arguments.number("skip", skip), arguments.number("branch", branch)
    share = None if share is None else arguments.number("share", share, low=0.0)
    t = np.repeat(rng.standard_normal((runs, 1, width)), 2, axis=1)  # (runs, 2, width): both inputs see one v
    with np.errstate(over="ignore", invalid="ignore"):
        for l in range(depth):
            gate = rng.random(t.shape) < 0.5
            W = rng.standard_normal((runs, width, width)) * math.sqrt(2 / width)
            std = 1.0 if share is None else math.sqrt(share * branch**2 * l + 1)
            t = skip * t + branch * ((gate * t / std) @ W)
    readout = rng.standard_normal((runs, width, 1)) / math.sqrt(width)
    gradients = (t @ readout)[:, :, 0]
    if not np.isfinite(gradients).all():
        raise ValueError(f"depth must be smaller, got {depth}: with skip={skip:g} and branch={branch:g} the gradients "
                         "overflowed")
    return gradients


def active_paths(weights: Sequence[np.ndarray], active: Sequence[np.ndarray]) -> Iterator[tuple[list[int], float]]:
    """The paths of a rectifier net whose units are all active: yields (units, product of the weights).

    weights: matrices (1, n_1), (n_1, n_2), ..., (n_L, 1); active: for one input, the
    booleans (n_1,), ..., (n_L,). The products add up to df/dx, exactly: the gradient of
    a rectifier net is a sum over active paths (paper, section 3). There are
    up to n_1 n_2 ... n_L of them.

    >>> weights = [np.array([[2.0, 3.0]]), np.array([[1.0], [10.0]])]
    >>> list(active_paths(weights, [[True, True]]))
    [([0], 2.0), ([1], 30.0)]
    """
    weights = [arguments.array("weights", W, ndim=2) for W in weights]
    layers = [np.asarray(a, dtype=bool) for a in active]
    if [W.shape for W in weights] != list(itertools.pairwise([1, *(a.size for a in layers), 1])):
        raise ValueError("weights and active must chain: (1, n_1), (n_1, n_2), ..., (n_L, 1) with active (n_1,), ..., "
                         f"(n_L,); got {[W.shape for W in weights]} and {[a.shape for a in layers]}")
    for path in itertools.product(*(np.flatnonzero(a) for a in layers)):
        units = [0, *map(int, path), 0]
        yield units[1:-1], math.prod(float(W[i, j]) for W, (i, j) in zip(weights, itertools.pairwise(units)))
