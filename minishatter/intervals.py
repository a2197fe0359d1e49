"""An average over nets comes with an interval, and a law with a test.

`mean_interval` and `ratio_interval` are right for a dozen samples or more, `slope_interval` for a straight line;
`bootstrap_interval` serves any statistic, and needs some hundred. `brownian_test` asks whether random functions
are Brownian motion.
"""

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np

from . import arguments


class Interval(NamedTuple):
    """An estimate and the interval around it; arrays if the estimate is one."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def at(self, index: Any) -> "Interval":
        """The Interval of some of the entries: each array at this index.

        >>> Interval(np.arange(3), np.arange(3) - 1, np.arange(3) + 1).at([0, 2]).low
        array([-1,  1])
        """
        return Interval(*(part[index] for part in self))


def mean_interval(samples: np.ndarray, level: float = 0.99) -> Interval:
    """Mean over the first axis, plus and minus t * standard error (Student's t, n - 1 degrees of freedom).

    samples: (n, ...) independent samples, n >= 5. Returns an Interval of shape (...).

    >>> value, low, high = mean_interval(np.arange(9.0))
    >>> print(f"{value:.2f} in [{low:.2f}, {high:.2f}]")
    4.00 in [0.94, 7.06]
    """
    samples = arguments.array("samples", samples)
    n = len(np.atleast_1d(samples))
    if n < 5:
        raise ValueError(f"samples must have at least 5 entries along the first axis, got {n}")
    samples, size = _sized(samples)
    mean = samples.mean(axis=0)
    half = student_quantile(0.5 + _level(level) / 2, n - 1) * samples.std(axis=0, ddof=1) / np.sqrt(n)
    return _interval("samples", mean, half, size)


def _sized(samples):
    """Samples divided by 2^size, size (...), to numbers of at most 1, whose squares neither overflow nor vanish."""
    size = np.frexp(np.abs(samples).max(axis=0))[1]
    return np.ldexp(samples, -size), size


def _interval(name, value, half, size):
    """The Interval value +- half, times 2^size."""
    with np.errstate(over="ignore"):
        interval = Interval(*(np.ldexp(end, size) for end in (value, value - half, value + half)))
    if not np.isfinite(interval).all():
        raise ValueError(f"{name} must be smaller: an end of the interval overflows")
    return interval


def slope_interval(x: np.ndarray, y: np.ndarray, level: float = 0.99) -> Interval:
    """The least-squares slope of y over x, plus and minus t * standard error (Student's t, n - 2 degrees of freedom).

    x, y: (n,), n >= 6. Of logarithms it is the exponent of a power law; what does not lie on the line widens it.

    >>> L = np.array([2.0, 4.0, 8.0, 16.0, 32.0, 64.0])
    >>> print(round(slope_interval(np.log(L), np.log(5 * L**1.5)).value, 6))
    1.5
    """
    x, y = arguments.array("x", x, ndim=1), arguments.array("y", y, ndim=1)
    if x.shape != y.shape or len(x) < 6:
        raise ValueError(f"x and y must have one length of at least 6, got {len(x)} and {len(y)}")
    (x, x_size), (y, y_size) = _sized(x), _sized(y)
    apart = x - x.mean()
    if not apart.any():
        raise ValueError("x must vary, got one number alone")
    slope = apart @ y / (apart @ apart)
    rest = y - y.mean() - slope * apart
    error = np.sqrt(rest @ rest / (len(x) - 2) / (apart @ apart))
    half = student_quantile(0.5 + _level(level) / 2, len(x) - 2) * error
    return _interval("y", slope, half, y_size - x_size)


def ratio_interval(above: np.ndarray, below: np.ndarray, level: float = 0.99) -> Interval:
    """mean(above) / mean(below) over the first axis, with the interval of its linear part (the delta method).

    above, below: (n, ...) samples that come in pairs, n >= 5, below with positive means. With R the ratio,
    it moves by (above - R below) / mean(below) from sample to sample; `mean_interval` of that, around R.
    Skew samples cover a little too rarely (16 of log-normal size exp(0.8 z): 0.976 instead of 0.99).

    >>> below = np.arange(1.0, 10.0)
    >>> value, low, high = ratio_interval(2 * below + [-1, 1, 0, 0, 0, 0, 0, 1, -1], below)
    >>> print(f"{value:.2f} in [{low:.2f}, {high:.2f}]")
    2.00 in [1.84, 2.16]
    """
    above, below = arguments.array("above", above), arguments.array("below", below)
    if above.shape != below.shape or not (below.mean(axis=0) > 0).all():
        raise ValueError("below must have the shape of above, and positive means; "
                         f"got shapes {above.shape} and {below.shape}")
    if len(np.atleast_1d(above)) < 5:
        raise ValueError(f"above must have at least 5 entries along the first axis, got shape {above.shape}")
    mean = below.mean(axis=0)
    ratio = above.mean(axis=0) / mean
    _, low, high = mean_interval((above - ratio * below) / mean, level)
    half = (high - low) / 2
    return Interval(ratio, ratio - half, ratio + half)


def bootstrap_interval(samples: np.ndarray, statistic: Callable[[np.ndarray], Any], rng: np.random.Generator,
                       level: float = 0.99, resamples: int = 1000) -> Interval:
    """statistic(samples), with the percentile interval over resamples of the first axis (Efron 1979).

    statistic: a function of an array like samples (n, ...), n >= 5. Returns an Interval with the
    statistic's shape. It covers too rarely if n is small (n = 20: 0.976 instead of 0.99; n = 100:
    0.987): take `mean_interval` where a mean will do.

    >>> rng = np.random.default_rng(0)
    >>> value, low, high = bootstrap_interval(rng.standard_normal(100), np.median, rng)
    >>> bool(low < 0 < high)  # the median of N(0, 1) is 0
    True
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


def student_quantile(p: float, dof: int) -> float:
    """The p-quantile of Student's t, by the expansion in 1/dof around the normal's (dof >= 4).

    Abramowitz & Stegun 26.7.5. At dof = 4 it is 0.2 % low for p = 0.995 and 4 % for p = 0.99995.

    >>> round(student_quantile(0.975, 10), 3)  # 2.228 in the tables
    2.228
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


# Is a random function Brownian motion? The gradient of a net of one layer should be (Donsker's theorem).


class BrownianTest(NamedTuple):
    """Each p is the chance of a deviation at least this large if the paths are Brownian motion."""

    p_normal: float        # increments / sqrt(dt) against N(0, 1): Kolmogorov's distance
    p_independent: float   # correlations between increments, and between their sizes: chi-square
    variance_slope: float  # slope of log variance against log dt; 1 if the variance is proportional to dt
    slope_error: float     # its standard error


def brownian_test(paths: np.ndarray, times: np.ndarray) -> BrownianTest:
    """Test the increments of paths (runs, K + 1) at increasing times (K + 1,), runs >= 50, K >= 3: a BrownianTest.

    For f(x) = sum of w_u relu(x - b_u), w ~ N(0, 1/N), the gradient in the time
    t = P(b < x) tends to Brownian motion as N grows: given the biases, an increment
    is a sum of the w_u whose kink lies in between.

    >>> times = np.array([0.0, 1.0, 3.0, 4.0])
    >>> steps = np.random.default_rng(0).standard_normal((100, 3)) * np.sqrt(np.diff(times))
    >>> walks = np.cumsum(np.concatenate([np.zeros((100, 1)), steps], axis=1), axis=1)
    >>> bool(brownian_test(walks, times).p_normal > 0.01)
    True
    """
    paths, times = arguments.array("paths", paths, ndim=2), arguments.array("times", times, ndim=1)
    runs, dt = len(paths), np.diff(times)
    if paths.shape[1] != times.size or times.size < 4 or runs < 50 or not (dt > 0).all():
        raise ValueError("paths must be (runs, K + 1) at K + 1 increasing times, with runs >= 50 and K >= 3; "
                         f"got shape {paths.shape} and {times.size} times")
    if np.allclose(dt, dt[0], rtol=1e-6, atol=0):
        raise ValueError("times must have steps of different lengths, or there is no slope; all are equal here")
    paths = paths.astype(np.float64)
    if np.abs(paths).max() > 1e70:
        raise ValueError(f"paths must lie in [-1e70, 1e70], got {np.abs(paths).max()}: sums of squares would overflow")
    z = np.diff(paths, axis=1) / np.sqrt(dt)  # (runs, K), independent N(0, 1) for Brownian motion
    if not (np.ptp(z, axis=0) > 1e-70).all():
        raise ValueError("paths must have increments that differ from run to run, by more than 1e-70")
    return BrownianTest(_kolmogorov_p(z.ravel()), _independence_p(z), *_variance_slope(z, dt))


def _independence_p(z: np.ndarray) -> float:
    """Are the columns of z (runs, K) independent? Their correlations r have E r^2 = 1 / (runs - 1), exactly."""
    runs, K = z.shape
    chi_square = 0.0
    for sizes in (z, np.abs(z)):  # of the increments and of their sizes; z^2 has tails too heavy for chi-square
        r = np.corrcoef(sizes, rowvar=False)
        chi_square += (runs - 1) * np.sum(np.tril(r, -1)**2)  # K (K - 1) / 2 pairs
    return _chi_square_p(chi_square, K * (K - 1))


def _variance_slope(z: np.ndarray, dt: np.ndarray) -> tuple[float, float]:
    """The least-squares slope of log variance of the increments against log dt, and its standard error."""
    centred = np.log(dt) - np.log(dt).mean()
    slope_of_z = centred @ np.log((z**2).mean(axis=0)) / (centred @ centred)
    # the log of a variance estimated from `runs` normal numbers has variance 2 / runs
    return float(1 + slope_of_z), math.sqrt(2 / len(z) / (centred @ centred))


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
