"""What is measured on gradients and on activation patterns: functions of arrays.

    gradients    (runs, n): one row per net, one column per grid point
    active       (N, units) of booleans: is the unit active for the input?

Two correlations must not be mixed up. `autocorrelation` (the paper's figure 2)
runs along the grid inside one net: neighbours start almost perfectly
correlated. `correlation` (Definition 1) compares two fixed inputs over random
nets: that is what the theorems are about.
"""

import numpy as np

from . import arguments

# Noise: the two reference points of figures 1 and 2.


def white_noise(shape: int | tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Independent N(0, 1) numbers; shape is an integer or a tuple, the last axis is the grid.

    >>> white_noise((2, 256), np.random.default_rng(0)).shape
    (2, 256)
    """
    return arguments.generator("rng", rng).standard_normal(_shape(shape))


def brown_noise(shape: int | tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """A random walk along the last axis: the sum of the white noise so far.

    >>> steps = white_noise(4, np.random.default_rng(0))
    >>> bool(np.all(brown_noise(4, np.random.default_rng(0)) == np.cumsum(steps)))
    True
    """
    return np.cumsum(white_noise(shape, rng), axis=-1)


def _shape(shape):
    if shape == ():
        raise ValueError("shape must have at least one axis, got ()")
    return tuple(arguments.integer("shape", n) for n in (shape if isinstance(shape, tuple) else (shape,)))


# Along the grid, inside one net (figures 1 and 2).


def rank_one_covariance(g: np.ndarray) -> np.ndarray:
    """|(g - mean g)(g - mean g)^T| / var g for one gradient g (n,): (n, n), of rank one. Figure 1, bottom.

    >>> rank_one_covariance(np.array([-1.0, 1.0, 3.0]))
    array([[1.5, 0. , 1.5],
           [0. , 0. , 0. ],
           [1.5, 0. , 1.5]])
    """
    g = _of_size_one(arguments.array("g", g, ndim=1))
    _varies(g[None, :])
    centred = g - g.mean()
    centred = centred / np.abs(centred).max()  # and of size one again, for what varies little
    return np.abs(np.outer(centred, centred)) / np.mean(centred**2)


def autocorrelation(g: np.ndarray, max_lag: int, subtract_mean: bool = True) -> np.ndarray:
    """a_k = sum_i c_i c_{i+k} / sum_i c_i^2 for k = 0..max_lag, c = g - mean g (or g itself). Figure 2.

    g: (n,) or a stack (runs, n); returns (max_lag + 1,) or (runs, max_lag + 1). The sum
    over i has n - k terms and is not rescaled (the "biased" estimator). Subtracting the
    mean of a short series pulls a_k down: 256 steps of a random walk give about 0.65
    at lag 14, and 0.81 without. Raises ValueError if a series does not vary, or if max_lag >= n.

    >>> autocorrelation(np.array([1.0, 1.0, -1.0, -1.0]), max_lag=2)  # (1 - 1 + 1) / 4, (-1 - 1) / 4
    array([ 1.  ,  0.25, -0.5 ])
    """
    series = arguments.array("g", g, ndim=(1, 2))
    n = series.shape[-1]
    if arguments.integer("max_lag", max_lag, least=0) >= n:
        raise ValueError(f"max_lag must be below the number of points, {n}, got {max_lag}")
    c = _of_size_one(np.atleast_2d(series))
    _varies(c)
    c = _of_size_one(c - c.mean(axis=1, keepdims=True)) if subtract_mean else c
    sums = np.stack([(c[:, :n - k] * c[:, k:]).sum(axis=1) for k in range(max_lag + 1)], axis=1)
    acf = sums / sums[:, :1]
    return acf if series.ndim == 2 else acf[0]


def _of_size_one(series):
    """Each series over its largest absolute value: squares of exploded gradients overflow, of tiny ones vanish."""
    largest = np.abs(series).max(axis=-1, keepdims=True)
    return series / np.where(largest > 0, largest, 1.0)


def _varies(series):
    """Raise ValueError unless each series, of size one, varies by more than rounding does."""
    rounding = max(1e-12, 4 * np.finfo(series.dtype).eps)  # a deep net in float64; a few last digits in float32
    flat = np.flatnonzero(np.ptp(series, axis=1) <= rounding)
    if flat.size:
        raise ValueError(f"g must vary along the grid: series {flat[0]} is constant up to rounding, "
                         "its correlation is undefined")


def correlation_length(acf: np.ndarray, step: float = 1.0) -> float | np.ndarray:
    """The lag at which the ACF falls below 1/e, linearly interpolated, times `step` (the grid spacing).

    acf: (lags,) or (runs, lags). Infinite where it does not fall that far within the lags given.

    >>> print(f"{correlation_length(np.array([1.0, 0.5, 0.3, 0.1])):.2f}")  # 1/e = 0.368 lies between lags 1 and 2
    1.66
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


def covariance(gradients: np.ndarray) -> np.ndarray:
    """C(i, j) = mean over nets of g_i g_j: (runs, n) -> (n, n). No mean is subtracted: it is 0. Definition 1.

    >>> covariance(np.array([[1.0, 2.0], [1.0, -2.0]]))
    array([[1., 0.],
           [0., 4.]])
    """
    gradients = arguments.array("gradients", gradients, ndim=2)
    with np.errstate(over="ignore", invalid="ignore"):
        C = gradients.T @ gradients / len(gradients)
    if not np.isfinite(C).all():
        raise ValueError("gradients must not be so large that their squares overflow; divide them by their maximum")
    return C


def correlation(gradients: np.ndarray) -> np.ndarray:
    """R(i, j) = C(i, j) / sqrt(C(i, i) C(j, j)): (runs, n) -> (n, n). Definition 1.

    >>> correlation(np.array([[1.0, 3.0], [1.0, 4.0]])).round(2)
    array([[1.  , 0.99],
           [0.99, 1.  ]])
    """
    gradients = arguments.array("gradients", gradients, ndim=2)
    largest = np.abs(gradients).max(axis=0)
    if not largest.all():
        raise ValueError(f"gradients must not be zero in every run: column {np.argmin(largest)} is")
    C = covariance(gradients / largest)  # squares of exploded gradients would overflow
    scale = np.sqrt(np.diag(C))
    return C / np.outer(scale, scale)


def pair_correlation(moments: np.ndarray) -> float:
    """R(i, j) from samples of C(i,i), C(i,j), C(j,j): (runs, 3) -> a number. See gradients.pair_moments.

    >>> print(pair_correlation(np.array([[1.0, 0.5, 1.0], [3.0, 1.5, 3.0]])))
    0.5
    """
    moments = arguments.array("moments", moments, ndim=2)
    if moments.shape[1] != 3 or not (moments[:, ::2].mean(axis=0) > 0).all():
        raise ValueError(f"moments must be (runs, 3): C(i,i) > 0, C(i,j), C(j,j) > 0; got shape {moments.shape}")
    c_ii, c_ij, c_jj = moments.mean(axis=0)
    return c_ij / np.sqrt(c_ii * c_jj)


# Activation patterns (figures 3 and 4).


def activity(active: np.ndarray) -> np.ndarray:
    """The fraction of the inputs for which each unit is active: (N, units) -> (units,).

    >>> activity(np.array([[True, False], [True, True]]))
    array([1. , 0.5])
    """
    return _pattern(active).mean(axis=0)


def coactivity(active: np.ndarray) -> np.ndarray:
    """The fraction of the distinct pairs of inputs for which each unit is active at both: (N, units) -> (units,).

    >>> coactivity(np.array([[True, False], [True, True], [False, True]]))  # of the three pairs, one
    array([0.33333333, 0.33333333])
    """
    active = _pattern(active)
    N, k = len(active), active.sum(axis=0)
    return k * (k - 1) / (N * (N - 1))


def contiguity(active: np.ndarray) -> np.ndarray:
    """The lengths of the runs of equal state along the inputs, all units together: (number of runs,). Figure 4.

    A unit that never changes gives one run of length N; coin flips give 2 on average.

    >>> contiguity(np.array([[True, False], [True, True], [False, True]]))  # on on, off; off, on on
    array([2, 1, 1, 2])
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


def effective_rank(D: np.ndarray) -> float:
    """r(D) = trace(D^T D) / ||D||_2^2 = sum of s_i^2 / max s_i^2, for the singular values s of D. 1 <= r <= rank.

    Raises ValueError if D is zero.

    >>> print(effective_rank(np.diag([2.0, 1.0, 1.0])))
    1.5
    """
    s = np.linalg.svd(arguments.array("D", D, ndim=2).astype(np.float64), compute_uv=False)
    if not s[0] > 0:
        raise ValueError("D must not be zero: its effective rank is undefined")
    return ((s / s[0]) ** 2).sum()


def relative_effective_rank(D: np.ndarray, rng: np.random.Generator, draws: int = 8) -> float:
    """r(D) / r(Y), where Y is white noise of the shape of D (the mean over `draws` of them); about 1 for white D.

    >>> rng = np.random.default_rng(0)
    >>> bool(0.9 < relative_effective_rank(white_noise((100, 100), rng), rng) < 1.1)
    True
    """
    draws, rank, rng = arguments.integer("draws", draws), effective_rank(D), arguments.generator("rng", rng)
    return rank / float(np.mean([effective_rank(rng.standard_normal(np.shape(D))) for _ in range(draws)]))
