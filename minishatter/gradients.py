"""The object of study: f'(x) of a scalar net on a grid of inputs, for one net and for ensembles.

Batch normalisation and centering make the rows of a batch interact, so "the
gradient at x_i" has two meanings, and every function here says which it takes:

    "held"      batch statistics are constants measured on the grid: entry i is
                the derivative of one fixed function at x_i. Forward mode: t = 1.
    "through"   entry i is the derivative of sum_j f(x_j) with respect to x_i,
                through the statistics. Reverse mode: dy = 1.

Without batch statistics they are the same numbers.
"""

import numpy as np

from . import arguments, kernels
from .compose import Chain, Sum
from .layers import Affine, BatchNorm, Center, CReLU, Dense, Identity, PReLU, ReLU

STATISTICS = ("held", "through")


def grid(n=256, low=-2.0, high=2.0):
    """The inputs of the paper's section 2: n equally spaced points on [low, high], shape (n,)."""
    n = arguments.integer("n", n, least=2)
    low, high = arguments.number("low", low), arguments.number("high", high)
    if not low < high:
        raise ValueError(f"low must be below high, got low={low:g} and high={high:g}")
    return np.linspace(low, high, n)


def input_gradient(net, x, statistics="held"):
    """df/dx at each point: x (n,) -> (n,), for a net that maps (n, 1) to (n, 1).

    net: a layer or Chain, or an iterable of layers that are drawn as they are used
    (`nets.feedforward_layers(...)`); with "held" the memory needed then does not
    grow with the depth. "held" takes the fast path, equal to `readable_gradient` up
    to rounding. Raises ValueError if the gradient overflows.
    """
    x, layers = _checked(net, x, statistics)
    if statistics == "through":
        return _finite(_pull_back(layers, x))
    with np.errstate(over="ignore", invalid="ignore"):
        dual = np.repeat([[0.0, 1.0]], x.size, axis=1)  # one input unit: its values (set below), its tangents 1
        dual[0, :x.size] = x
        for layer in layers:
            dual = _push_dual(layer, dual)
    return _finite(_scalar(dual)[x.size:])


def readable_gradient(net, x, statistics="held"):
    """The definition behind `input_gradient`, by the layers' own rules. Same arguments, same result."""
    x, layers = _checked(net, x, statistics)
    if statistics == "through":
        return _finite(_pull_back(layers, x))
    with np.errstate(over="ignore", invalid="ignore"):
        value, t = x[:, None], np.ones((x.size, 1))
        for layer in layers:
            layer = layer.freeze(value)
            value, cache = layer.forward(value)
            t = layer.tangent(t, cache)
    return _finite(_scalar(t.T))


def ensemble(build, x, runs, seed, statistics="held", progress=None):
    """The input gradients of `runs` independent nets: (runs, n).

    build(rng) makes a net, or yields its layers. Net r draws from
    default_rng([*seed, r]), so a run can be made again alone; seed is an integer or a
    sequence of integers. progress wraps the iteration, such as tqdm.tqdm.
    """
    return np.stack([input_gradient(net, x, statistics) for net in _draws(build, runs, seed, progress)])


def neuron_gradients(net, x):
    """df/dn at each point for every unit n of the net's first layer: x (n,) -> (n, width).

    Statistics are held. This is the gradient that Definition 1 and the theorems are about: unlike
    df/dx it is not the projection on first-layer weights that also made the signal.
    """
    x, layers = _checked(net, x, "held")
    first, *rest = layers
    if not rest:
        raise ValueError(f"net must have a layer behind the first, got {net!r}")
    with np.errstate(over="ignore", invalid="ignore"):
        n, _ = first.forward(x[:, None])
        frozen = Chain(*rest).freeze(n)
        y, cache = frozen.forward(n)
        dn, _ = frozen.backward(np.ones_like(_finite(_scalar(y.T))[:, None]), cache)
    return _finite(dn)


def pair_moments(build, x, pair, runs, seed, progress=None):
    """C(i,i), C(i,j), C(j,j) at the points pair = (i, j) of x, for each net: (runs, 3).

    Products of `neuron_gradients`, averaged over the first layer's units; arguments as for
    `ensemble`. Units of one layer are exchangeable, so the mean over nets is Definition 1, with
    far less noise than one unit would give.
    """
    if np.shape(pair) != (2,) or not max(pair) < np.size(x):
        raise ValueError(f"pair must be two indices into the {np.size(x)} points of x, got {pair!r}")
    i, j = (arguments.integer("pair", point, least=0) for point in pair)
    rows = []
    for net in _draws(build, runs, seed, progress):
        dn = neuron_gradients(net, x)
        rows.append([np.mean(dn[a] * dn[b]) for a, b in ((i, i), (i, j), (j, j))])
    return np.array(rows)


def _draws(build, runs, seed, progress):
    """The nets build(default_rng([*seed, run])), one at a time."""
    if not callable(build):
        raise TypeError(f"build must be a function of rng that makes a net, got {build!r}")
    runs = range(arguments.integer("runs", runs))
    seeds = [arguments.integer("seed", part, least=0) for part in np.atleast_1d(np.asarray(seed, dtype=object))]
    for run in runs if progress is None else progress(runs):
        yield build(np.random.default_rng([*seeds, run]))


def _checked(net, x, statistics):
    """The grid as a float64 array, and an iterable of the net's layers."""
    x = arguments.array("x", x, ndim=1).astype(np.float64)
    if x.size < 2:
        raise ValueError(f"x must have at least 2 points, got {x.size}")
    arguments.one_of("statistics", statistics, STATISTICS)
    if isinstance(net, Chain):
        return x, net.layers
    if hasattr(net, "forward"):
        return x, (net,)
    if not hasattr(net, "__iter__"):
        raise TypeError(f"net must be a layer, a Chain or an iterable of layers, got {net!r}")
    return x, _one_by_one(net)


def _one_by_one(net):
    """The layers of an iterable, each checked when it is drawn."""
    layer = None
    for layer in net:
        yield arguments.layer("net", layer)
    if layer is None:
        raise ValueError("net must have at least one layer")


def _pull_back(layers, x):
    net = Chain(*layers)
    with np.errstate(over="ignore", invalid="ignore"):
        y, cache = net.forward(x[:, None])
        dx, _ = net.backward(np.ones_like(_finite(_scalar(y.T))[:, None]), cache)
    return dx[:, 0]


def _scalar(rows):
    if rows.shape[0] != 1:
        raise ValueError(f"net must have one output unit, got {rows.shape[0]}")
    return rows[0]


def _finite(gradient):
    if not np.isfinite(gradient).all():
        raise ValueError("the gradient overflowed: batch normalisation multiplies its square by about "
                         "1.47 in each layer of a feedforward net, and alpha and beta by "
                         "alpha^2 (1 + beta^2) in each layer of a resnet; take fewer layers or smaller weights")
    return gradient


# The fast path. Values and tangents of all points travel together as a dual array
# (units, 2 n), see kernels.py: one matrix product per layer serves both. A rule may
# write into the array it is given.


def _push_dual(layer, dual):
    return _RULES.get(type(layer), _push_by_layer)(layer, dual)


def _fits(layer, units, dual):
    """A kernel does not look where it reads: a wrong number of units must stop here."""
    if units != dual.shape[0]:
        layer.forward(dual[:, :dual.shape[1] // 2].T)  # raises, and says why


def _push_dense(layer, dual):
    W, b = layer.params["W"], layer.params["b"]
    _fits(layer, W.shape[0], dual)
    out = W.T @ dual
    if b.any():
        out[:, :dual.shape[1] // 2] += b[:, None]
    return out


def _push_batch_norm(layer, dual):
    _fits(layer, layer.params["scale"].size, dual)
    kernels.normalise(dual, layer.params["scale"], layer.params["shift"], layer.eps)
    return dual


def _push_affine(layer, dual):
    _fits(layer, layer.params["scale"].size, dual)
    kernels.affine(dual, layer.params["scale"], layer.params["shift"])
    return dual


def _push_center(layer, dual):
    if layer.over == "units":
        return dual - dual.mean(axis=0)
    kernels.center(dual)
    return dual


def _push_relu(layer, dual):
    kernels.rectify(dual, 0.0)
    return dual


def _push_prelu(layer, dual):
    kernels.rectify(dual, layer.params["slope"][0])
    return dual


def _push_chain(chain, dual):
    for layer in chain.layers:
        dual = _push_dual(layer, dual)
    return dual


def _push_sum(layer, dual):
    return layer.add([_push_dual(branch, dual.copy()) for branch in layer.branches])


def _push_by_layer(layer, dual):
    """Any other layer, by its own rules."""
    n = dual.shape[1] // 2
    value, t = dual[:, :n].T, dual[:, n:].T
    layer = layer.freeze(value)
    y, cache = layer.forward(value)
    return np.concatenate([y, layer.tangent(t, cache)]).T.copy()


_RULES = {Identity: lambda layer, dual: dual, Dense: _push_dense, BatchNorm: _push_batch_norm, Affine: _push_affine,
          Center: _push_center, ReLU: _push_relu, PReLU: _push_prelu, Chain: _push_chain, Sum: _push_sum}
