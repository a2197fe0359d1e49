"""One look at one net: all that the window and the film show of it, from as few passes as will do.

`build` makes the net of a Choice, `one_pass` goes through it once for f'(x) and for who is active where, `look`
measures both, and `curve` is f' over any interval: the exact staircase if it has few pieces.
"""

from typing import Any, NamedTuple

import numpy as np

from . import arguments, duals, gradients, nets, probe, regions, stats
from .compose import Chain, Sum, patterns
from .layers import Layer

POINTS, LAGS = 256, 100
MOST_PIECES = 500  # of a staircase: those of a net of 24 x 200 take some 30 ms
KINDS, NORMS = ("feedforward", "resnet", "highway"), ("none", "center", "batch")


class Choice(NamedTuple):
    """Where the sliders and buttons stand."""

    net: str = "feedforward"
    norm: str = "none"
    statistics: str = "held"
    depth: int = 24
    width: int = 200
    beta: float = 1.0  # of a resnet; the gate gamma2 of a highway, at most 1
    bias: float = 1.0  # standard deviation of the first layer's
    seed: int = 0


def build(choice: Choice) -> Chain:
    """The net of a Choice, as nets.py builds it.

    >>> build(Choice(depth=1, width=3))
    Chain:
      Dense(1, 3)
      ReLU()
      Dense(3, 1)
    """
    size: dict[str, Any] = {"depth": choice.depth, "width": choice.width, "bias_std": choice.bias}
    rng = np.random.default_rng(arguments.integer("seed", choice.seed, least=0))
    norm = None if arguments.one_of("norm", choice.norm, NORMS) == "none" else choice.norm
    if arguments.one_of("net", choice.net, KINDS) == "feedforward":
        return nets.feedforward(**size, norm=norm, rng=rng)
    if choice.net == "resnet":
        return nets.resnet(**size, beta=choice.beta, norm=norm, rng=rng)
    return nets.highway(**size, gamma2=min(choice.beta, 1.0), rng=rng)


def one_pass(net: Chain, x: np.ndarray, statistics: str = "held") -> tuple[np.ndarray, list[np.ndarray]]:
    """gradients.input_gradient (n,) and compose.active_units, a list of (n, units), together.

    >>> from minishatter.layers import Dense, ReLU
    >>> net = Chain(Dense([[2.0, 3.0]], [0.0, -3.0]), ReLU(), Dense([[1.0], [1.0]]))
    >>> g, (active,) = one_pass(net, np.array([0.5, 4.0]))
    >>> g, active.tolist()
    (array([2., 5.]), [[True, False], [True, True]])
    """
    net, x = arguments.layer("net", net), arguments.array("x", x, ndim=1)
    if arguments.one_of("statistics", statistics, gradients.STATISTICS) == "through":
        y, cache = net.forward(x[:, None])
        return net.backward(np.ones_like(y), cache)[0][:, 0], list(patterns(cache))
    seen: list[np.ndarray] = []
    dual = _watch(net, np.concatenate([x, np.ones(x.size)])[None, :], seen)
    if len(dual) != 1:
        raise ValueError(f"net must have one output unit, got {len(dual)}")
    return dual[0, x.size:], [active.T for active in seen]


def _watch(layer: Layer, dual: np.ndarray, seen: list[np.ndarray]) -> np.ndarray:
    """duals.push, and on the way each rectifier's pattern (units, n) goes to `seen`."""
    if type(layer) is Chain:
        for child in layer.layers:
            dual = _watch(child, dual, seen)
        return dual
    if type(layer) is Sum:
        return layer.add([_watch(branch, dual.copy(), seen) for branch in layer.branches])
    if isinstance(layer, regions.RECTIFIERS):
        seen.append(dual[:, :dual.shape[1] // 2] > 0)
    return duals.push(layer, dual)


class Look(NamedTuple):
    """What is measured on the grid."""

    g: np.ndarray           # (n,)
    acf: np.ndarray         # (LAGS + 1,), NaN if g does not vary
    covariance: np.ndarray  # (n, n), 0 if g does not vary
    active: np.ndarray      # (n, units of the last rectifier layer)
    flips: int              # of all units, counted from grid point to grid point
    diagnosis: probe.Diagnosis


def look(net: Chain, x: np.ndarray, statistics: str = "held") -> Look:
    """Measure a net on a grid x (n,), n > 100: a Look.

    >>> found = look(build(Choice(net="resnet", norm="batch", beta=0.1)), gradients.grid(POINTS))
    >>> found.active.shape, found.diagnosis.condition
    ((256, 200), 'healthy')
    """
    g, active = one_pass(net, x, statistics)
    if not active:
        raise ValueError(f"net must have a rectifier, got {net!r}")
    diagnosis = probe.diagnose_gradient(g, active[-1])
    varies = diagnosis.distinct > 1
    return Look(g, stats.autocorrelation(g, LAGS) if varies else np.full(LAGS + 1, np.nan),
                stats.rank_one_covariance(g) if varies else np.zeros((x.size, x.size)),
                active[-1], _flips(active), diagnosis)


def _flips(active):
    return sum(int(np.count_nonzero(pattern[1:] != pattern[:-1])) for pattern in active)


def curve(frozen: Chain, low: float, high: float) -> tuple[np.ndarray, np.ndarray, bool]:
    """f' of a frozen net between low and high, to be drawn: x and y of a line, and whether this is the exact staircase.

    It is one if the units flip at most MOST_PIECES times from point to point of a grid over the interval, which has
    a meaning only for a function of one input; otherwise the line goes through the points of the grid.

    >>> from minishatter.layers import Dense, ReLU
    >>> net = Chain(Dense([[2.0, 3.0]], [0.0, -3.0]), ReLU(), Dense([[1.0], [1.0]]))  # kinks at x = 0 and x = 1
    >>> curve(net, -1.0, 2.0)
    (array([-1.,  0.,  0.,  1.,  1.,  2.]), array([0., 0., 2., 2., 5., 5.]), True)
    """
    x = gradients.grid(POINTS, low, high)
    g, active = one_pass(frozen, x)
    if _flips(active) > MOST_PIECES:
        return x, g, False
    return *steps(regions.exact_gradient(frozen, low, high)), True


def steps(exact: regions.ExactGradient) -> tuple[np.ndarray, np.ndarray]:
    """The corners of the staircase, x and y.

    >>> steps(regions.ExactGradient(np.array([0.0, 1.0, 3.0]), np.array([5.0, 7.0])))
    (array([0., 1., 1., 3.]), array([5., 5., 7., 7.]))
    """
    if not isinstance(exact, regions.ExactGradient):
        raise TypeError(f"exact must be an ExactGradient, as made by regions.exact_gradient, got {exact!r}")
    return np.repeat(exact.breakpoints, 2)[1:-1], np.repeat(exact.values, 2)
