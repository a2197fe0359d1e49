"""Does it shatter? One look at a net, or at a gradient from anywhere: what is measured, one word, one picture.

The word is the first of these that holds. The thresholds are round numbers between the
set-ups of tutorial 10:

    exploded     the RMS of f'(x) is above 1e3
    vanished     it is below 1e-3
    collapsed    f'(x) has fewer than n / 8 distinct values: few pieces, each linear
    shattered    the autocorrelation, mean subtracted, falls below 1/e within one grid step
    healthy      none of these

"Shattered" depends on the grid: on a fine enough one every piecewise linear net is smooth.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from . import arguments, compose, gradients, intervals, stats
from .layers import Layer

EXPLODED, VANISHED, FEWEST = 1e3, 1e-3, 1 / 8
LAGS = (1, 2, 4, 9, 14)
LEAST = LAGS[-1] + 2  # points that a lag of 14 needs


class Diagnosis(NamedTuple):
    """What was measured, and the word for it; NaN where there is nothing to measure. `print` shows a table."""

    condition: str
    rms: float                      # root mean square of f'(x)
    coactive: float                 # mean co-activity of the last rectifier layer's units
    correlation_length: float       # where the autocorrelation falls below 1/e; less than one step: too short to tell
    autocorrelation: tuple          # at LAGS
    relative_effective_rank: float  # of df/dn, (points, first-layer units); about 1 if white
    distinct: int                   # number of different values of f'(x)
    interval_at_lag_1: tuple | None = None  # of the mean over runs, 99 %; None for fewer than 5 runs

    def plain(self) -> dict:
        """The fields as JSON can have them: the autocorrelation by lag, None for NaN and infinity."""
        by_lag = {str(lag): _or_none(value) for lag, value in zip(LAGS, self.autocorrelation)}
        fields = {name: _or_none(value) for name, value in self._asdict().items()} | {"autocorrelation": by_lag}
        if self.interval_at_lag_1 is None:
            del fields["interval_at_lag_1"]
        return fields

    def __str__(self) -> str:
        plain = self.plain()
        acf = [f"{value:.2f} at lag {lag}" for lag, value in plain["autocorrelation"].items() if value is not None]
        rows = {name.replace("_", " "): value for name, value in plain.items()} | {"autocorrelation": ", ".join(acf)}
        if self.interval_at_lag_1 is not None:
            rows["interval at lag 1"] = "{:.2f} to {:.2f}".format(*self.interval_at_lag_1)
        return "\n".join(f"{name:<24}{value:.4g}" if isinstance(value, float) else f"{name:<24}{value or 'none'}"
                         for name, value in rows.items())


def _or_none(value):
    return None if isinstance(value, float) and not math.isfinite(value) else value


def diagnose(net: Layer, x: np.ndarray, statistics: str = "held") -> Diagnosis:
    """Measure a scalar net on the grid x (n,), n >= 16, statistics "held" or "through": a Diagnosis.

    >>> from minishatter import nets
    >>> diagnose(nets.resnet(3, beta=0.1, rng=np.random.default_rng(0)), gradients.grid()).condition
    'healthy'
    """
    x = arguments.array("x", x, ndim=1)
    if x.size < LEAST:
        raise ValueError(f"x must have at least {LEAST} points, got {x.size}")
    g = gradients.input_gradient(arguments.layer("net", net), x, statistics)
    patterns = compose.active_units(net, x[:, None])
    found = diagnose_gradient(g, patterns[-1] if patterns else None)
    if not found.rms > 0 or len(getattr(net, "layers", ())) < 2:
        return found
    dn = gradients.neuron_gradients(net, x)
    return found._replace(relative_effective_rank=float(stats.relative_effective_rank(dn, np.random.default_rng(0))))


def diagnose_gradient(g: np.ndarray, active: np.ndarray | None = None, step: float = 1.0) -> Diagnosis:
    """The Diagnosis of a gradient from anywhere: g (n,) along a line of n >= 16 inputs, or (runs, n), a row per net.

    active: the pattern (n, units) or (runs, n, units) of a rectifier layer, if known. step: the distance of
    neighbours on the line, the unit of the correlation length. The relative effective rank stays NaN. Of runs,

        rms                 is over all runs and points
        coactive            is the mean over runs
        autocorrelation     is the mean over the runs that vary, the correlation length is of this mean
        distinct            is the median over runs
        interval_at_lag_1   is there for 5 runs or more that vary

    >>> diagnose_gradient(stats.white_noise(256, np.random.default_rng(0))).condition
    'shattered'
    >>> diagnose_gradient(stats.brown_noise(256, np.random.default_rng(0))).condition
    'healthy'
    """
    runs = np.atleast_2d(arguments.array("g", g, ndim=(1, 2)).astype(np.float64))
    n, step = runs.shape[1], _above_zero("step", step)
    if n < LEAST:
        raise ValueError(f"g must have at least {LEAST} points, got {n}")
    counts = np.array([_distinct(row) for row in runs])
    rms, distinct, varying = _root_mean_square(runs), int(np.median(counts)), runs[counts > 1]
    acfs = stats.autocorrelation(varying, n - 1) if len(varying) else np.full((1, n), np.nan)
    acf = acfs.mean(axis=0)
    length = float(stats.correlation_length(acf)) if len(varying) else math.nan
    interval = tuple(map(float, intervals.mean_interval(acfs[:, 1])[1:])) if len(varying) >= 5 else None
    return Diagnosis(_condition(rms, distinct, length, n), rms, _coactivity(active, np.shape(g)), length * step,
                     tuple(float(acf[lag]) for lag in LAGS), math.nan, distinct, interval)


def _coactivity(active, shape):
    """The mean co-activity of a pattern (..., n, units) for gradients of shape (..., n); NaN if it is None."""
    if active is None:
        return math.nan
    active = np.asarray(active)
    if active.shape[:-1] != shape:
        raise ValueError(f"active must have shape {(*shape, 'units')}, got {active.shape}")
    return float(np.mean([stats.coactivity(pattern) for pattern in active.reshape(-1, *active.shape[-2:])]))


class Line(NamedTuple):
    """What `along` finds between two inputs."""

    points: np.ndarray      # (n, d), from a to b, equally spaced
    projection: np.ndarray  # (n,), the directional derivative: the gradient times (b - a) / |b - a|
    diagnosis: Diagnosis    # of the projection; its correlation length is a distance like |b - a|


def along(gradient: Callable[[np.ndarray], np.ndarray], a: np.ndarray, b: np.ndarray, n: int = 256) -> Line:
    """The gradient of any function along the line from a (d,) to b (d,), at n >= 16 points: a Line.

    gradient maps inputs (n, d) to their gradients (n, d): a net of any framework will do. A net with batch
    statistics must hold them constant ("evaluation mode"), or the points on the line take part in each other's
    gradients. All points are asked for in one call.

    >>> line = along(lambda x: np.cos(x), np.zeros(2), np.array([30.0, 40.0]))  # of sin(x_1) + sin(x_2)
    >>> line.points.shape, line.diagnosis.condition
    ((256, 2), 'healthy')
    """
    if not callable(gradient):
        raise TypeError(f"gradient must be a function of inputs (n, d), got {gradient!r}")
    a, b = (arguments.array(name, end, ndim=1).astype(np.float64) for name, end in (("a", a), ("b", b)))
    n = arguments.integer("n", n, least=LEAST)
    if a.shape != b.shape:
        raise ValueError(f"b must have the shape of a, {a.shape}, got {b.shape}")
    with np.errstate(over="ignore"):
        distance = float(np.linalg.norm(b - a))
    if not 0 < distance < math.inf:
        raise ValueError(f"b must lie at a finite distance from a, and not at a itself, got distance {distance:g}")
    points = a + np.linspace(0, 1, n)[:, None] * (b - a)
    found = arguments.array("gradient", gradient(points.copy()), ndim=2)
    if found.shape != points.shape:
        raise ValueError(f"gradient must map inputs {points.shape} to gradients of that shape, got {found.shape}")
    with np.errstate(over="ignore", invalid="ignore"):
        projection = arguments.array("gradient", found.astype(np.float64) @ ((b - a) / distance))
    return Line(points, projection, diagnose_gradient(projection, step=distance / (n - 1)))


def read_gradient(path: str | Path) -> np.ndarray:
    """A gradient (n,) or gradients (runs, n) from a file: .npy (nothing is unpickled), or .csv, without a header.

    In a .csv a row is a run; a single column is a single run too. Raises ValueError if the file holds anything else.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savetxt(Path(folder, "two_runs.csv"), [[1, 2, 3], [4, 5, 6]], delimiter=",")
    ...     read_gradient(Path(folder, "two_runs.csv"))
    array([[1., 2., 3.],
           [4., 5., 6.]])
    """
    if not isinstance(path, (str, Path)):
        raise TypeError(f"path must be the name of a file, got {path!r}")
    path = Path(path)
    if path.suffix not in _READERS:
        raise ValueError(f"path must end in {' or '.join(_READERS)}, got {path}")
    try:
        return arguments.array("g", _READERS[path.suffix](path), ndim=(1, 2))
    except (ValueError, TypeError, EOFError, MemoryError) as error:
        raise ValueError(f"path must hold a gradient (n,) or (runs, n), got {path}: {error}") from error


def _read_npy(path):
    with path.open("rb") as file:
        return np.lib.format.read_array(file, allow_pickle=False)  # np.load would open a .npz under this name, too


def _read_csv(path):
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    if not any(map(str.strip, lines)):
        raise ValueError("it is empty")
    g = np.loadtxt(lines, delimiter=",", ndmin=2, comments=None)
    return g.ravel() if 1 in g.shape else g


_READERS = {".npy": _read_npy, ".csv": _read_csv}


def _above_zero(name, value):
    value = arguments.number(name, value, low=0.0)
    if not value:
        raise ValueError(f"{name} must be above 0, got 0")
    return value


def _condition(rms, distinct, length, n):
    """`length` is counted in steps of the grid."""
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


def picture(x: np.ndarray, g: np.ndarray, title: str, path: str | Path) -> None:
    """Save a picture of the gradient g (n,) along the grid x (n,), and of its covariance of rank one.

    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     picture(gradients.grid(32), gradients.grid(32), "a parabola", pathlib.Path(folder) / "probe.png")
    """
    from . import plot  # here, since it takes matplotlib half a second to load

    x, g = arguments.array("x", x, ndim=1), arguments.array("g", g, ndim=1)
    fig, axes = plot.panels(1, 2, (8, 3.4), width_ratios=[1.6, 1])
    left, right = axes[0]
    plot.gradient(left, x, g, plot.COLOUR["feedforward"])
    left.set(title=f"{title}: gradient along the grid", xlabel="x", ylabel="f'(x)")
    centred = np.abs(g - g.mean())
    centred = centred / (centred.max() or 1.0)
    plot.matrix(right, np.outer(centred, centred))
    right.set_title("covariance of this one gradient")
    plot.save(fig, path)
