"""The object of study: f'(x) of a scalar net on a grid of inputs, for one net and for ensembles.

Batch normalisation and centering make the rows of a batch interact, so "the
gradient at x_i" has two meanings, and every function here says which it takes:

    "held"      batch statistics are constants measured on the grid: entry i is
                the derivative of one fixed function at x_i. Forward mode: t = 1.
    "through"   entry i is the derivative of sum_j f(x_j) with respect to x_i,
                through the statistics. Reverse mode: dy = 1.

Without batch statistics they are the same numbers.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from . import arguments, duals
from .compose import Chain
from .layers import Layer

STATISTICS = ("held", "through")
Net = Layer | Iterable[Layer]  # a layer or Chain, or layers that are drawn as they are used


def grid(n: int = 256, low: float = -2.0, high: float = 2.0) -> np.ndarray:
    """The inputs of the paper's section 2: n equally spaced points on [low, high], shape (n,).

    >>> grid(5)
    array([-2., -1.,  0.,  1.,  2.])
    """
    n = arguments.integer("n", n, least=2)
    low, high = arguments.number("low", low), arguments.number("high", high)
    if not low < high:
        raise ValueError(f"low must be below high, got low={low:g} and high={high:g}")
    return np.linspace(low, high, n)


def input_gradient(net: Net, x: np.ndarray, statistics: str = "held") -> np.ndarray:
    """df/dx at each point: x (n,) -> (n,), for a net that maps (n, 1) to (n, 1).

    net: a layer or Chain, or an iterable of layers that are drawn as they are used
    (`nets.feedforward_layers(...)`); with "held" the memory needed then does not
    grow with the depth. "held" takes the fast path, equal to `readable_gradient` up
    to rounding. Raises ValueError if the gradient overflows.

    >>> from minishatter.layers import Dense, ReLU
    >>> net = Chain(Dense([[2.0, 3.0]], [0.0, -3.0]), ReLU(), Dense([[1.0], [1.0]]))  # relu(2 x) + relu(3 x - 3)
    >>> input_gradient(net, np.array([-1.0, 0.5, 4.0]))
    array([0., 2., 5.])
    """
    x, layers = _checked(net, x, statistics)
    if statistics == "through":
        return _pull_back(layers, x)
    with np.errstate(over="ignore", invalid="ignore"):
        dual = np.concatenate([x, np.ones(x.size)])[None, :]  # one input unit: its values, and t = 1
        for layer in layers:
            dual = duals.push(layer, dual)
    return _output(dual.T)[x.size:]


def readable_gradient(net: Net, x: np.ndarray, statistics: str = "held") -> np.ndarray:
    """The definition behind `input_gradient`, by the layers' own rules. Same arguments, same result.

    >>> from minishatter.layers import Affine
    >>> readable_gradient(Affine([3.0], [1.0]), grid(4))
    array([3., 3., 3., 3.])
    """
    x, layers = _checked(net, x, statistics)
    if statistics == "through":
        return _pull_back(layers, x)
    with np.errstate(over="ignore", invalid="ignore"):
        value, t = x[:, None], np.ones((x.size, 1))
        for layer in layers:
            layer = layer.freeze(value)
            value, cache = layer.forward(value)
            t = layer.tangent(t, cache)
    return _output(t)


def ensemble(build: Callable[[np.random.Generator], Net], x: np.ndarray, runs: int, seed: int | tuple[int, ...],
             statistics: str = "held", progress: Callable | None = None) -> np.ndarray:
    """The input gradients of `runs` independent nets: (runs, n).

    build(rng) makes a net, or yields its layers. Net r draws from
    default_rng([*seed, r]), so a run can be made again alone; seed is an integer or a
    sequence of integers. progress wraps the iteration, such as tqdm.tqdm.

    >>> from minishatter import nets
    >>> ensemble(lambda rng: nets.resnet(10, width=20, rng=rng), grid(64), runs=3, seed=0).shape
    (3, 64)
    """
    return np.stack([input_gradient(net, x, statistics) for net in _draws(build, runs, seed, progress)])


def neuron_gradients(net: Net, x: np.ndarray) -> np.ndarray:
    """df/dn at each point for every unit n of the net's first layer: x (n,), or (n, inputs), -> (n, width).

    Statistics are held. This is the gradient that Definition 1 and the theorems are about: unlike
    df/dx it is not the projection on first-layer weights that also made the signal.

    >>> from minishatter.layers import Dense, ReLU
    >>> net = Chain(Dense([[2.0, 3.0]], [0.0, -3.0]), ReLU(), Dense([[1.0], [1.0]]))
    >>> neuron_gradients(net, np.array([0.5, 4.0]))  # the second unit is off at x = 0.5
    array([[1., 0.],
           [1., 1.]])
    """
    x, layers = _checked(net, x, "held", ndim=(1, 2))
    first, *rest = layers
    if not rest:
        raise ValueError(f"net must have a layer behind the first, got {net!r}")
    with np.errstate(over="ignore", invalid="ignore"):
        n, _ = first.forward(x if x.ndim == 2 else x[:, None])
        passed = []
        for layer in rest:
            layer = layer.freeze(n)
            n, cache = layer.forward(n)
            passed.append((layer, cache))
        dn = _ones(n)
        for layer, cache in reversed(passed):
            dn, _ = layer.backward(dn, cache)  # the gradients by the weights are let go at once
    return _finite(dn)


def pair_moments(build: Callable[[np.random.Generator], Net], x: np.ndarray, pair: tuple[int, int], runs: int,
                 seed: int | tuple[int, ...], progress: Callable | None = None) -> np.ndarray:
    """C(i,i), C(i,j), C(j,j) at the points pair = (i, j) of x, for each net: (runs, 3).

    Products of `neuron_gradients`, averaged over the first layer's units; arguments as for
    `ensemble`. Units of one layer are exchangeable, so the mean over nets is Definition 1, with
    far less noise than one unit would give.

    >>> from minishatter import nets
    >>> pair_moments(lambda rng: nets.feedforward(2, rng=rng), grid(3), pair=(0, 2), runs=5, seed=0).shape
    (5, 3)
    """
    if np.shape(pair) != (2,) or not max(pair) < np.size(x):
        raise ValueError(f"pair must be two indices into the {np.size(x)} points of x, got {pair!r}")
    i, j = (arguments.integer("pair", point, least=0) for point in pair)
    rows = []
    for net in _draws(build, runs, seed, progress):
        dn = neuron_gradients(net, x)
        rows.append([np.mean(dn[a] * dn[b]) for a, b in ((i, i), (i, j), (j, j))])
    return np.array(rows)


def batch_moments(build: Callable[[np.random.Generator], Net], points: int, inputs: int, runs: int,
                  seed: int | tuple[int, ...], progress: Callable | None = None) -> np.ndarray:
    """C(i,i) and C(i,j) over a batch of inputs x ~ N(0, I), a new batch for each net: (runs, 2).

    Products of `neuron_gradients`, added over the units, averaged over the points of the batch and over all
    of its distinct pairs. (The sum is the second moment of the gradient along a direction N(0, I) of the
    first layer: what df/dx is on the grid.) build, runs, seed, progress: as for `ensemble`; the generator draws
    the batch (points, inputs) first. Such inputs are nearly orthogonal: the ground on which the theorems stand.

    >>> from minishatter import nets
    >>> batch_moments(lambda rng: nets.resnet(3, inputs=50, rng=rng), points=64, inputs=50, runs=5, seed=0).shape
    (5, 2)
    """
    shape = arguments.integer("points", points, least=2), arguments.integer("inputs", inputs)
    if not callable(build):
        raise TypeError(f"build must be a function of rng that makes a net, got {build!r}")
    rows = []
    for x, net in _draws(lambda rng: (rng.standard_normal(shape), build(rng)), runs, seed, progress):
        dn = neuron_gradients(net, x)                   # (points, width)
        squares = np.sum(dn**2)
        products = np.sum(dn.sum(axis=0)**2) - squares  # over all ordered pairs of distinct points
        rows.append([squares / len(x), products / (len(x) * (len(x) - 1))])
    return np.array(rows)


def _draws(build, runs, seed, progress):
    """The nets build(default_rng([*seed, run])), one at a time."""
    if not callable(build):
        raise TypeError(f"build must be a function of rng that makes a net, got {build!r}")
    runs = range(arguments.integer("runs", runs))
    seeds = [arguments.integer("seed", part, least=0) for part in np.atleast_1d(np.asarray(seed, dtype=object))]
    for run in runs if progress is None else progress(runs):
        yield build(np.random.default_rng([*seeds, run]))


def _checked(net: Net, x: np.ndarray, statistics: str,
             ndim: int | tuple[int, ...] = 1) -> tuple[np.ndarray, Iterable[Layer]]:
    """The points as a float64 array, and an iterable of the net's layers."""
    x = arguments.array("x", x, ndim).astype(np.float64)
    if len(x) < 2:
        raise ValueError(f"x must have at least 2 points, got {len(x)}")
    arguments.one_of("statistics", statistics, STATISTICS)
    if isinstance(net, Chain):
        return x, net.layers
    if isinstance(net, Iterable):
        return x, _one_by_one(net)
    if not hasattr(net, "forward"):
        raise TypeError(f"net must be a layer, a Chain or an iterable of layers, got {net!r}")
    return x, (net,)


def _one_by_one(net: Iterable[Layer]) -> Iterator[Layer]:
    """The layers of an iterable, each checked when it is drawn."""
    layer = None
    for layer in net:
        yield arguments.layer("net", layer)
    if layer is None:
        raise ValueError("net must have at least one layer")


def _pull_back(layers: Iterable[Layer], x: np.ndarray) -> np.ndarray:
    """Reverse mode with dy = 1 at each point: (n,)."""
    net = Chain(*layers)
    with np.errstate(over="ignore", invalid="ignore"):
        y, cache = net.forward(x[:, None])
        dx, _ = net.backward(_ones(y), cache)
    return _finite(dx[:, 0])


def _ones(y: np.ndarray) -> np.ndarray:
    """dy = 1 for the output y, which must have one unit and be finite."""
    _output(y)
    return np.ones_like(y)


def _output(y: np.ndarray) -> np.ndarray:
    """The one output unit's numbers, y (n, 1) -> (n,)."""
    if y.shape[1] != 1:
        raise ValueError(f"net must have one output unit, got {y.shape[1]}")
    return _finite(y[:, 0])


def _finite(gradient: np.ndarray) -> np.ndarray:
    if not np.isfinite(gradient).all():
        raise ValueError("the gradient overflowed: batch normalisation multiplies its square by about "
                         "1.47 in each layer of a feedforward net, and alpha and beta by "
                         "alpha^2 (1 + beta^2) in each layer of a resnet; take fewer layers or smaller weights")
    return gradient
