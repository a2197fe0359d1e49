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
from pathlib import Path
from typing import NamedTuple

import numpy as np

from . import arguments, compose, gradients, stats
from .layers import Layer

EXPLODED, VANISHED, FEWEST = 1e3, 1e-3, 1 / 8
LAGS = (1, 2, 4, 9, 14)
LEAST = LAGS[-1] + 2  # points that a lag of 14 needs


class Diagnosis(NamedTuple):
    """What was measured, and the word for it; NaN where there is nothing to measure. `print` shows a table."""

    condition: str
    rms: float                      # root mean square of f'(x)
    coactive: float                 # mean co-activity of the last rectifier layer's units
    correlation_length: float       # lag at which the autocorrelation falls below 1/e, in grid steps
    autocorrelation: tuple          # at LAGS
    relative_effective_rank: float  # of df/dn, (points, first-layer units); about 1 if white
    distinct: int                   # number of different values of f'(x)

    def plain(self) -> dict:
        """The fields as JSON can have them: the autocorrelation by lag, None for NaN and infinity."""
        by_lag = {str(lag): _or_none(value) for lag, value in zip(LAGS, self.autocorrelation)}
        return {name: _or_none(value) for name, value in self._asdict().items()} | {"autocorrelation": by_lag}

    def __str__(self) -> str:
        plain = self.plain()
        acf = [f"{value:.2f} at lag {lag}" for lag, value in plain["autocorrelation"].items() if value is not None]
        rows = {name.replace("_", " "): value for name, value in plain.items()} | {"autocorrelation": ", ".join(acf)}
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


def diagnose_gradient(g: np.ndarray, active: np.ndarray | None = None) -> Diagnosis:
    """The Diagnosis of a gradient from anywhere, g (n,) along a line of n >= 16 inputs.

    active: the pattern (n, units) of a rectifier layer, if known. The relative effective rank stays NaN.

    >>> diagnose_gradient(stats.white_noise(256, np.random.default_rng(0))).condition
    'shattered'
    >>> diagnose_gradient(stats.brown_noise(256, np.random.default_rng(0))).condition
    'healthy'
    """
    g = arguments.array("g", g, ndim=1).astype(np.float64)
    if g.size < LEAST:
        raise ValueError(f"g must have at least {LEAST} points, got {g.size}")
    rms, distinct = _root_mean_square(g), _distinct(g)
    acf = stats.autocorrelation(g, g.size - 1) if distinct > 1 else np.full(g.size, np.nan)
    length = float(stats.correlation_length(acf)) if distinct > 1 else math.nan
    coactive = math.nan if active is None else float(stats.coactivity(active).mean())
    return Diagnosis(_condition(rms, distinct, length, g.size), rms, coactive, length,
                     tuple(float(acf[lag]) for lag in LAGS), math.nan, distinct)


def _condition(rms, distinct, length, n):
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
