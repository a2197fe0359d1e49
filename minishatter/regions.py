"""The exact gradient: f' is constant between the points where a unit flips, so follow those instead of a grid.

In one dimension every unit of a rectifier net is piecewise linear in x. We carry
the interval cut into pieces, and one point for each piece, its midpoint, where
every unit has a value v and a slope t:

    Dense, Affine   act on v and t as at any other point (duals.py)
    a rectifier     cuts the pieces where a unit is zero inside one, then acts on v and t
    Sum             the next branch starts from the pieces into which the last one has cut

Cuts are never taken back, so all units share one set of breakpoints, and at the
end t is f' on every piece. `explain` also keeps who flips at each of them.
"""

from typing import NamedTuple

import numpy as np

from . import arguments, duals, kernels
from .compose import Chain, Sum, join
from .layers import Affine, BatchNorm, Center, CReLU, Dense, Identity, Layer, PReLU, ReLU
from .pointwise import erf

# Relative to the ends of the interval. Rounding moves a zero by some 1e-16 for each layer, while 10^4 breakpoints
# at random lie within 1e-12 of each other once in a thousand nets.
COINCIDE = 1e-12
EQUAL = 1e-12         # relative to the largest |f'|: two slopes that differ by less differ by rounding
MOST_NUMBERS = 10**8  # in one array: 0.8 GB

RECTIFIERS = (ReLU, CReLU, PReLU)
PIECEWISE_LINEAR = (Dense, Identity, Affine, Center, BatchNorm, *RECTIFIERS)


class ExactGradient(NamedTuple):
    """f' on an interval: values[i] between breakpoints[i] and breakpoints[i + 1]; neighbours differ."""

    breakpoints: np.ndarray  # (pieces + 1,), increasing, from low to high
    values: np.ndarray       # (pieces,)

    def at(self, x: np.ndarray) -> np.ndarray:
        """f' at the inputs x, of any shape, in [low, high]; at a breakpoint the value to its right."""
        x = arguments.array("x", x)
        low, high = self.breakpoints[[0, -1]]
        if not ((low <= x) & (x <= high)).all():
            raise ValueError(f"x must lie in [{low:g}, {high:g}], got {x.min():g} to {x.max():g}")
        return self.values[np.searchsorted(self.breakpoints[1:-1], x, side="right")]


def exact_gradient(net: Layer, low: float = -2.0, high: float = 2.0) -> ExactGradient:
    """f' of a net from one input to one output on [low, high], piece by piece: an ExactGradient.

    net: Chain and Sum of Dense, Identity, ReLU, CReLU, PReLU, Affine and Center over the units; batch
    statistics must have been frozen. Breakpoints closer than 1e-12 (relative to the larger end) are one;
    a flip that leaves f' as it was, to rounding, is none. Raises ValueError if the gradient
    overflows or the pieces are too many: behind a normalisation they grow exponentially with depth.

    >>> net = Chain(Dense([[2.0, 3.0]], [0.0, -3.0]), ReLU(), Dense([[1.0], [1.0]]))  # relu(2 x) + relu(3 x - 3)
    >>> breakpoints, values = exact_gradient(net)
    >>> breakpoints, values
    (array([-2.,  0.,  1.,  2.]), array([0., 2., 5.]))
    """
    edges, values, _ = _follow(net, *_interval("low", low, "high", high))
    differ = np.abs(np.diff(values)) > EQUAL * np.abs(values).max()
    return ExactGradient(np.concatenate([edges[:1], edges[1:-1][differ], edges[-1:]]),
                         values[np.flatnonzero(np.append(True, differ))])


def autocorrelation(gradient: ExactGradient, lags: float | np.ndarray, subtract_mean: bool = True) -> np.ndarray:
    """a(s) = int c(x) c(x + s) dx / int c(x)^2 dx, c = f' - mean f' (or f' itself), of an ExactGradient.

    lags: distances s in the units of x, a number or an array, in [0, high - low]; the result has its
    shape. The upper integral runs over [low, high - s] and is not rescaled: this is what
    stats.autocorrelation tends to, at lag s / step, as the step of the grid tends to 0.
    Raises ValueError if f' does not vary.

    >>> step = ExactGradient(np.array([-1.0, 0.0, 1.0]), np.array([0.0, 2.0]))
    >>> autocorrelation(step, [0.0, 0.5, 1.0])  # c = -1, then 1: the halves overlap less and less
    array([ 1.  ,  0.25, -0.5 ])
    """
    lags, (x, values) = arguments.array("lags", lags), _checked(gradient)
    low, high = x[[0, -1]]
    if not ((lags >= 0) & (lags <= high - low)).all():
        raise ValueError(f"lags must lie in [0, {high - low:g}], got {lags.min():g} to {lags.max():g}")
    c = values / (np.abs(values).max() or 1.0)  # squares of exploded gradients would overflow
    if np.ptp(c) <= EQUAL and (subtract_mean or not c.any()):
        raise ValueError("gradient must vary: it is constant up to rounding, its correlation is undefined")
    c = c - c @ np.diff(x) / (high - low) if subtract_mean else c
    integrals = [_overlap(x, c, s) for s in lags.flat]
    return np.reshape(integrals, lags.shape)[()] / _overlap(x, c, 0.0)


def _overlap(x, c, lag):
    """int c(y) c(y + lag) dy: both factors are constant between the breakpoints of the one and the other."""
    inner = x[1:-1]
    ends = np.sort(np.concatenate([x[:1], inner, inner - lag, x[-1:] - lag]), kind="stable")  # merges sorted runs
    ends = np.clip(ends, x[0], x[-1] - lag)
    middle = _middles(ends)
    return (c[np.searchsorted(inner, middle)] * c[np.searchsorted(inner, middle + lag)]) @ np.diff(ends)


def smooth(gradient: ExactGradient, x: np.ndarray, sigma: float) -> np.ndarray:
    """E[f'(x + sigma z)], z ~ N(0, 1), at the inputs x (n,): f' convolved with a Gaussian, exactly.

    A step of height h at b becomes h P(x + sigma z > b) = h (1 + erf((x - b) / (sigma sqrt 2))) / 2, so a staircase
    becomes its first value and the sum of its steps. Beyond the interval f' is taken to go on with its
    first and last value: where that matters, take an interval that is some sigma longer. sigma = 0 gives f'.

    >>> smooth(ExactGradient(np.array([-1.0, 0.0, 1.0]), np.array([0.0, 2.0])), [0.0, 0.5], 0.5).round(3)
    array([1.   , 1.683])
    """
    (edges, values), x = _checked(gradient), arguments.array("x", x, ndim=1)
    sigma = arguments.number("sigma", sigma, low=0.0)
    if sigma == 0:
        return gradient.at(x)
    steps, inner = np.diff(values), edges[1:-1]
    first, last = np.searchsorted(inner, x - 9 * sigma), np.searchsorted(inner, x + 9 * sigma)  # beyond, erf is +-1
    near = [steps[i:j] @ (1 + erf((at - inner[i:j]) / (sigma * 2**0.5))) / 2 if j > i else 0.0
            for at, i, j in zip(x, first, last)]
    return values[first] + np.array(near)


def _checked(gradient):
    if not isinstance(gradient, ExactGradient):
        raise TypeError(f"gradient must be an ExactGradient, as made by exact_gradient, got {gradient!r}")
    return gradient


# Why did the gradient jump here?


class Flip(NamedTuple):
    """A unit of a rectifier that changes its state where x grows past a breakpoint."""

    place: str  # of the rectifier in the net, such as "2.1.0"
    unit: int
    on: bool    # off -> on, or on -> off

    def __str__(self):
        return f"{self.place}[{self.unit}] {'off->on' if self.on else 'on->off'}"


class Jump(NamedTuple):
    """A breakpoint: f' to the left and to the right of it, and the units whose flip it is (nearly always one)."""

    x: float
    before: float
    after: float
    flips: tuple

    @property
    def jump(self) -> float:
        """How much the flip changes f'."""
        return self.after - self.before


class Explanation(list):
    """The Jumps between two inputs, from left to right; `print` shows the 20 largest as a table."""

    def __str__(self):
        if not self:
            return "no unit flips: f' does not change"
        least = sorted((abs(row.jump) for row in self), reverse=True)[:20][-1]
        shown = [row for row in self if abs(row.jump) >= least]
        lines = [f"{'x':>14}{'before':>12}{'after':>12}{'jump':>12}  flips"]
        lines += [f"{row.x:>14.9g}{row.before:>12.4g}{row.after:>12.4g}{row.jump:>+12.4g}  {_listed(row.flips)}"
                  for row in shown]
        before, after = self[0].before, self[-1].after
        hidden = f"  ({len(self) - len(shown)} smaller jumps not shown)" if len(shown) < len(self) else ""
        return "\n".join([*lines, f"{'in all':>14}{before:>12.4g}{after:>12.4g}{after - before:>+12.4g}{hidden}"])


def _listed(flips):
    more = f" and {len(flips) - 3} more" if len(flips) > 3 else ""
    return ", ".join(map(str, flips[:3])) + more


def explain(net: Layer, a: float, b: float) -> Explanation:
    """Which units flip between the inputs a < b, and how much each flip changes f': an Explanation.

    The jumps add up to f'(b) - f'(a). A breakpoint belongs to the unit that is zero there, even if f'
    does not notice (jump 0); a unit that flips twice has two. Units that flip at one
    point share its jump: how to divide it would depend on the order of flipping them.
    net as for `exact_gradient`. If a or b is itself a breakpoint, its flip is left out.

    >>> net = Chain(Dense([[2.0, 3.0]], [0.0, -3.0]), ReLU(), Dense([[1.0], [1.0]]))
    >>> print(explain(net, -2, 2))
                 x      before       after        jump  flips
                 0           0           2          +2  1[0] off->on
                 1           2           5          +3  1[1] off->on
            in all           0           5          +5
    """
    edges, values, flips = _follow(net, *_interval("a", a, "b", b))
    rows: list[list[Flip]] = [[] for _ in edges]
    for place, unit, edge_x, on in flips:
        for row, *flip in zip(np.searchsorted(edges, edge_x).tolist(), unit.tolist(), on.tolist()):
            rows[row].append(Flip(place, *flip))
    inner = zip(edges[1:-1].tolist(), values.tolist(), values[1:].tolist(), map(tuple, rows[1:-1]))
    return Explanation(Jump(*row) for row in inner)


# How it is done.


class Pieces(NamedTuple):
    """An interval cut into pieces, and all units at the midpoints: values, then slopes (a dual array, kernels.py)."""

    edges: np.ndarray  # (pieces + 1,), increasing
    dual: np.ndarray   # (units, 2 pieces)


def _middles(edges):
    return (edges[:-1] + edges[1:]) / 2


def _interval(low_name, low, high_name, high):
    low, high = arguments.number(low_name, low), arguments.number(high_name, high)
    if not high - low > 4 * COINCIDE * max(abs(low), abs(high)):
        raise ValueError(f"{low_name} must be below {high_name}, and not by rounding only, got {low!r} and {high!r}")
    return low, high


def _follow(net, low, high):
    """The edges of all pieces, f' on them, and the flips: a list of (place, units, edges, states after)."""
    flips, start = [], np.array([low, high])
    whole = Pieces(start, np.array([[start.mean(), 1.0]]))  # the input itself: its value in the middle, slope 1
    with np.errstate(over="ignore", invalid="ignore"):
        edges, dual = _push(arguments.layer("net", net), whole, "", flips)
    if len(dual) != 1:
        raise ValueError(f"net must have one output unit, got {len(dual)}")
    values = dual[0, edges.size - 1:]
    if not np.isfinite(dual).all():
        raise ValueError("the gradient overflowed; take fewer layers or smaller weights")
    return edges, values, flips


def _push(layer: Layer, pieces: Pieces, place: str, flips: list) -> Pieces:
    """The pieces behind a layer. Only what cuts, or must follow cuts, differs from duals.push."""
    if type(layer) is Chain:
        for number, child in enumerate(layer.layers):
            pieces = _push(child, pieces, join(place, number), flips)
        return pieces
    if type(layer) is Sum:
        return _push_sum(layer, pieces, place, flips)
    if type(layer) not in PIECEWISE_LINEAR:
        raise TypeError("net must be made of Chain, Sum and the piecewise linear layers of layers.py, "
                        f"got {layer!r} at {place or 'the top'}")
    if isinstance(layer, BatchNorm) or isinstance(layer, Center) and layer.over != "units":
        raise ValueError(f"net must be frozen, got {layer!r} at {place or 'the top'}: with the statistics of a "
                         "batch it is no function of one x; use freeze(net, x)")
    if isinstance(layer, RECTIFIERS):
        pieces = _cut_at_zeros(pieces)
        flips.append((place, *_changes(pieces)))
    return Pieces(pieces.edges, duals.push(layer, pieces.dual))


def _push_sum(layer: Sum, pieces: Pieces, place: str, flips: list) -> Pieces:
    outputs, edges = [], pieces.edges
    for number, branch in enumerate(layer.branches):
        outputs.append(_push(branch, _cut(pieces, edges), join(place, number), flips))
        edges = outputs[-1].edges
    return Pieces(edges, layer.add([_cut(output, edges).dual for output in outputs]))


def _changes(pieces: Pieces) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Who changes sign from one piece to the next: the units, the edges, and whether each is active after."""
    edges, dual = pieces
    active = dual[:, :edges.size - 1] > 0
    unit, edge = np.nonzero(active[:, :-1] != active[:, 1:])
    return unit, edges[edge + 1], active[unit, edge + 1]


def _cut_at_zeros(pieces):
    """Cut where a unit is zero inside a piece. A zero that coincides with an end of it is that end."""
    edges, dual = pieces
    apart = COINCIDE * max(abs(edges[0]), abs(edges[-1]))
    piece, offset = kernels.zeros(dual, np.diff(edges) / 2 - apart)
    kinks = np.sort(_middles(edges)[piece] + offset)
    kinks = kinks[np.diff(kinks, prepend=-np.inf) > apart]
    return _cut(pieces, np.sort(np.concatenate([edges, kinks])))


def _cut(pieces, edges):
    """The same units on finer pieces; always a copy."""
    if 2 * len(pieces.dual) * edges.size > MOST_NUMBERS:
        raise ValueError(f"the interval must be shorter or the net smaller, got {edges.size - 1} pieces of "
                         f"{len(pieces.dual)} units, which do not fit into memory; take its parts one by one")
    old, new = _middles(pieces.edges), _middles(edges)
    parent = np.searchsorted(pieces.edges, new) - 1
    return Pieces(edges, kernels.cut(pieces.dual, parent, new - old[parent]))
