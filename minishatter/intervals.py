"""An average over nets comes with an interval.

`mean_interval` is right for a mean of a dozen samples or more, `slope_interval` for a straight line;
`bootstrap_interval` serves any statistic, and needs some hundred.
"""

from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from . import arguments


class Interval(NamedTuple):
    """An estimate and the interval around it; arrays if the estimate is one."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


def mean_interval(samples, level=0.99):
    """Mean over the first axis, plus and minus t * standard error (Student's t, n - 1 degrees of freedom).

    samples: (n, ...) independent samples, n >= 5. Returns an Interval of shape (...).
    """
    samples = arguments.array("samples", samples)
    n = len(np.atleast_1d(samples))
    if n < 5:
        raise ValueError(f"samples must have at least 5 entries along the first axis, got {n}")
    mean = samples.mean(axis=0)
    half = student_quantile(0.5 + _level(level) / 2, n - 1) * samples.std(axis=0, ddof=1) / np.sqrt(n)
    return Interval(mean, mean - half, mean + half)


def slope_interval(x: np.ndarray, y: np.ndarray, level: float = 0.99) -> Interval:
    """The least-squares slope of y over x, plus and minus t * standard error (Student's t, n - 2 degrees of freedom).

    x, y: (n,), n >= 6. Of logarithms it is the exponent of a power law; what does not lie on the line widens it.
    """
    x, y = arguments.array("x", x, ndim=1), arguments.array("y", y, ndim=1)
    if x.shape != y.shape or len(x) < 6:
        raise ValueError(f"x and y must have one length of at least 6, got {len(x)} and {len(y)}")
    apart = x - x.mean()
    if not apart.any():
        raise ValueError(f"x must vary, got {x[0]} alone")
    slope = apart @ y / (apart @ apart)
    rest = y - y.mean() - slope * apart
    error = np.sqrt(rest @ rest / (len(x) - 2) / (apart @ apart))
    half = student_quantile(0.5 + _level(level) / 2, len(x) - 2) * error
    return Interval(slope, slope - half, slope + half)


def bootstrap_interval(samples, statistic, rng, level=0.99, resamples=1000):
    """statistic(samples), with the percentile interval over resamples of the first axis (Efron 1979).

    statistic: a function of an array like samples (n, ...), n >= 5. Returns an Interval with the
    statistic's shape. It covers too rarely if n is small (n = 20: 0.976 instead of 0.99; n = 100:
    0.987): take `mean_interval` where a mean will do.
    """
    samples, rng = arguments.array("samples", samples), arguments.generator("rng", rng)
    resamples, n = arguments.integer("resamples", resamples, least=100), len(np.atleast_1d(samples))
    if n < 5:
        raise ValueError(f"samples must have at least 5 entries along the first axis, got {n}")
    if not callable(statistic):
        raise TypeError(f"statistic must be a function of an array like samples, got {statistic!r}")
    draws = [statistic(samples[rng.integers(n, size=n)]) for _ in range(resamples)]
    tail = (1 - _level(level)) / 2
    low, high = np.quantile(draws, [tail, 1 - tail], axis=0)
    return Interval(statistic(samples), low, high)


def student_quantile(p, dof):
    """The p-quantile of Student's t, by the expansion in 1/dof around the normal's (dof >= 4).

    Abramowitz & Stegun 26.7.5. At dof = 4 it is 0.2 % low for p = 0.995 and 4 % for p = 0.99995.
    """
    p, v = arguments.number("p", p, low=1e-6, high=1 - 1e-6), arguments.integer("dof", dof, least=4)
    z = NormalDist().inv_cdf(p)
    g1 = (z**3 + z) / 4
    g2 = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    g3 = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    g4 = (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160
    return z + g1 / v + g2 / v**2 + g3 / v**3 + g4 / v**4


def _level(level):
    return arguments.number("level", level, low=0.5, high=0.9999)
