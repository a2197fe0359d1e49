"""What is measured on gradients and on activation patterns, and with which interval.

    gradients    (runs, n): one row per net, one column per grid point
    active       (N, units) of booleans: is the unit active for the input?
    Interval     value, low, high, from intervals.py

`diagnose` puts them together into a verdict for one net.

Two correlations must not be mixed up. `autocorrelation` (the paper's figure 2)
runs along the grid inside one net: neighbours start almost perfectly
correlated. `correlation` (Definition 1) compares two fixed inputs over random
nets: that is what the theorems are about.
"""

from typing import NamedTuple

import numpy as np

from . import arguments, compose
from . import gradients as grids
from .intervals import Interval, bootstrap_interval, mean_interval, student_quantile

# Noise: the two reference points of figures 1 and 2.


def white_noise(shape, rng):
    """Independent N(0, 1) numbers; shape is an integer or a tuple, the last axis is the grid."""
    return arguments.generator("rng", rng).standard_normal(_shape(shape))


def brown_noise(shape, rng):
    """A random walk along the last axis: the sum of the white noise so far."""
    return np.cumsum(white_noise(shape, rng), axis=-1)


def _shape(shape):
    if shape == ():
        raise ValueError("shape must have at least one axis, got ()")
    return tuple(arguments.integer("shape", n) for n in (shape if isinstance(shape, tuple) else (shape,)))


# Along the grid, inside one net (figures 1 and 2).


def rank_one_covariance(g):
    """|(g - mean g)(g - mean g)^T| / var g for one gradient g (n,): (n, n), of rank one. Figure 1, bottom."""
    centred = arguments.array("g", g, ndim=1) - np.mean(g)
    _varies(centred[None])
    centred = centred / np.abs(centred).max()  # squares of exploded gradients would overflow
    return np.abs(np.outer(centred, centred)) / np.mean(centred**2)


def autocorrelation(g, max_lag, subtract_mean=True):
    """a_k = sum_i c_i c_{i+k} / sum_i c_i^2 for k = 0..max_lag, c = g - mean g (or g itself). Figure 2.

    g: (n,) or a stack (runs, n); returns (max_lag + 1,) or (runs, max_lag + 1). The sum
    over i has n - k terms and is not rescaled (the "biased" estimator). Subtracting the
    mean of a short series pulls a_k down: 256 steps of a random walk give about 0.65
    at lag 14, and 0.81 without. Raises ValueError if a series does not vary.
    """
    series = arguments.array("g", g, ndim=(1, 2))
    n = series.shape[-1]
    if arguments.integer("max_lag", max_lag, least=0) >= n:
        raise ValueError(f"max_lag must be below the number of points, {n}, got {max_lag}")
    c = np.atleast_2d(series)
    c = c - c.mean(axis=1, keepdims=True) if subtract_mean else c
    _varies(c)
    c = c / np.abs(c).max(axis=1, keepdims=True)  # squares of exploded gradients would overflow
    sums = np.stack([(c[:, :n - k] * c[:, k:]).sum(axis=1) for k in range(max_lag + 1)], axis=1)
    acf = sums / sums[:, :1]
    return acf if series.ndim == 2 else acf[0]


def _varies(centred):
    flat = np.flatnonzero(np.ptp(centred, axis=1) <= 1e-12 * np.abs(centred).max(axis=1, initial=1e-300))
    if flat.size:
        raise ValueError(f"g must vary along the grid: series {flat[0]} is constant, its correlation is undefined")


def correlation_length(acf, step=1.0):
    """The lag at which the ACF falls below 1/e, linearly interpolated, times `step` (the grid spacing).

    acf: (lags,) or (runs, lags). Infinite where it does not fall that far within the lags given.
    """
    acf, step = arguments.array("acf", acf, ndim=(1, 2)), arguments.number("step", step, low=0.0)
    lengths = [_first_below(row, np.exp(-1.0)) * step for row in np.atleast_2d(acf)]
    return np.array(lengths) if acf.ndim == 2 else lengths[0]


def _first_below(row, threshold):
    below = np.flatnonzero(row < threshold)
    if not below.size:
        return np.inf
    k = below[0]
    return k - (threshold - row[k]) / (row[k - 1] - row[k]) if k else 0.0


# Between inputs, over nets (Definition 1 and the theorems).


def covariance(gradients):
    """C(i, j) = mean over nets of g_i g_j: (runs, n) -> (n, n). No mean is subtracted: it is 0. Definition 1."""
    gradients = arguments.array("gradients", gradients, ndim=2)
    with np.errstate(over="ignore"):
        C = gradients.T @ gradients / len(gradients)
    if not np.isfinite(C).all():
        raise ValueError("gradients must not be so large that their squares overflow; divide them by their maximum")
    return C


def correlation(gradients):
    """R(i, j) = C(i, j) / sqrt(C(i, i) C(j, j)): (runs, n) -> (n, n). Definition 1."""
    gradients = arguments.array("gradients", gradients, ndim=2)
    largest = np.abs(gradients).max(axis=0)
    if not largest.all():
        raise ValueError(f"gradients must not be zero in every run: column {np.argmin(largest)} is")
    C = covariance(gradients / largest)  # squares of exploded gradients would overflow
    scale = np.sqrt(np.diag(C))
    return C / np.outer(scale, scale)


def pair_correlation(moments):
    """R(i, j) from samples of C(i,i), C(i,j), C(j,j): (runs, 3) -> a number. See gradients.pair_moments."""
    moments = arguments.array("moments", moments, ndim=2)
    if moments.shape[1] != 3 or not (moments[:, ::2].mean(axis=0) > 0).all():
        raise ValueError(f"moments must be (runs, 3): C(i,i) > 0, C(i,j), C(j,j) > 0; got shape {moments.shape}")
    c_ii, c_ij, c_jj = moments.mean(axis=0)
    return c_ij / np.sqrt(c_ii * c_jj)


# Activation patterns (figures 3 and 4).


def activity(active):
    """The fraction of the inputs for which each unit is active: (N, units) -> (units,)."""
    return _pattern(active).mean(axis=0)


def coactivity(active):
    """The fraction of the distinct pairs of inputs for which each unit is active at both: (N, units) -> (units,)."""
    active = _pattern(active)
    N, k = len(active), active.sum(axis=0)
    return k * (k - 1) / (N * (N - 1))


def contiguity(active):
    """The lengths of the runs of equal state along the inputs, all units together: (number of runs,). Figure 4.

    A unit that never changes gives one run of length N; coin flips give 2 on average.
    """
    active = _pattern(active).T  # (units, N)
    ends = np.ones(active.shape, dtype=bool)
    ends[:, :-1] = active[:, :-1] != active[:, 1:]
    return np.diff(np.flatnonzero(ends.ravel()), prepend=-1)


def _pattern(active):
    active = np.asarray(active)
    if active.dtype != bool or active.ndim != 2 or len(active) < 2:
        raise ValueError("active must be a boolean array (N, units) with at least 2 inputs, "
                         f"got dtype {active.dtype} and shape {active.shape}")
    return active


# Whiteness of a set of gradients (the convnet figure).


def effective_rank(D):
    """r(D) = trace(D^T D) / ||D||_2^2 = sum of s_i^2 / max s_i^2, for the singular values s of D. 1 <= r <= rank."""
    s = np.linalg.svd(arguments.array("D", D, ndim=2), compute_uv=False)
    if not s[0] > 0:
        raise ValueError("D must not be zero: its effective rank is undefined")
    return ((s / s[0]) ** 2).sum()


def relative_effective_rank(D, rng, draws=8):
    """r(D) / r(Y), where Y is white noise of the shape of D (the mean over `draws` of them); about 1 for white D."""
    draws = arguments.integer("draws", draws)
    rank = effective_rank(D)
    return rank / np.mean([effective_rank(white_noise(np.shape(D), rng)) for _ in range(draws)])


def kmeans(points, k, rng, rounds=100):
    """The cluster 0..k-1 of each of the points (n, d), by Lloyd's algorithm from k random points: (n,).

    Each round assigns a point to the nearest centre and moves each centre to the mean of its points, until
    nothing changes. A centre without points stays where it is.
    """
    points, k = arguments.array("points", points, ndim=2), arguments.integer("k", k)
    if k > len(points):
        raise ValueError(f"k must be at most the number of points, {len(points)}, got {k}")
    centres = points[arguments.generator("rng", rng).choice(len(points), size=k, replace=False)]
    cluster = np.full(len(points), -1)
    for _ in range(arguments.integer("rounds", rounds)):
        squares = (centres**2).sum(axis=1) - 2 * points @ centres.T  # up to |point|^2, the same for all centres
        before, cluster = cluster, squares.argmin(axis=1)
        if np.array_equal(before, cluster):
            break
        centres = np.array([points[cluster == c].mean(axis=0) if (cluster == c).any() else centres[c] for c in range(k)])
    return cluster


# A verdict for one net. The thresholds are round numbers between the set-ups of tutorial 10. "Shattered" depends on the
# grid: on a fine enough one every piecewise linear net is smooth.

EXPLODED, VANISHED, FEWEST = 1e3, 1e-3, 1 / 8
LAGS = (1, 2, 4, 9, 14)


class Diagnosis(NamedTuple):
    """What `diagnose` measures; NaN where a net gives nothing to measure."""

    verdict: str
    rms: float                      # root mean square of f'(x)
    coactive: float                 # mean co-activity of the last rectifier layer's units
    correlation_length: float       # lag at which the autocorrelation falls below 1/e, in grid steps
    autocorrelation: tuple          # at LAGS
    relative_effective_rank: float  # of df/dn, (points, first-layer units); about 1 if white
    distinct: int                   # number of different values of f'(x)


def diagnose(net, x, statistics="held"):
    """Measure a scalar net on the grid x (n,), n >= 16, and give a verdict: a Diagnosis.

    exploded     RMS of f'(x) above 1e3, statistics "held" or "through"
    vanished     RMS below 1e-3
    collapsed    fewer than n / 8 distinct values of f'(x): few pieces, each linear
    shattered    the autocorrelation, mean subtracted, falls below 1/e within one grid step
    healthy      none of these; the first that holds is the verdict
    """
    x = arguments.array("x", x, ndim=1)
    if x.size <= LAGS[-1] + 1:
        raise ValueError(f"x must have at least {LAGS[-1] + 2} points, got {x.size}")
    g = grids.input_gradient(arguments.layer("net", net), x, statistics)
    rms, distinct = _root_mean_square(g), _distinct(g)
    acf = autocorrelation(g, x.size - 1) if distinct > 1 else np.full(x.size, np.nan)
    length = correlation_length(acf) if distinct > 1 else np.nan
    patterns = compose.active_units(net, x[:, None])
    coactive = coactivity(patterns[-1]).mean() if patterns else np.nan
    rank = np.nan
    if rms > 0 and len(getattr(net, "layers", ())) > 1:
        rank = relative_effective_rank(grids.neuron_gradients(net, x), np.random.default_rng(0))
    return Diagnosis(_verdict(rms, distinct, length, x.size), rms, float(coactive), float(length),
                     tuple(float(acf[lag]) for lag in LAGS), float(rank), distinct)


def _verdict(rms, distinct, length, n):
    if rms > EXPLODED:
        return "exploded"
    if rms < VANISHED:
        return "vanished"
    if distinct < FEWEST * n:
        return "collapsed"
    return "shattered" if length < 1 else "healthy"


def _root_mean_square(g):
    largest = np.abs(g).max()
    return float(largest * np.sqrt(np.mean((g / largest)**2))) if largest else 0.0


def _distinct(g):
    """The number of values of g that differ by more than rounding."""
    ordered = np.sort(g)
    return int(1 + np.sum(np.diff(ordered) > 1e-9 * np.abs(g).max(initial=0.0)))
