"""Nets: layers in a chain, and sums of branches. A skip connection is Sum(Identity(), branch).

Chain and Sum are layers themselves: same three rules, and they nest. Their `params` and `grads` are flat dicts whose
keys start with the child's place ("3.W", "2.1.0.scale"); their cache is the list of their children's caches.

`freeze` turns a net into one fixed function (batch statistics become constants), `trace` shows one whole pass,
`active_units` the pattern of the rectifiers, and `leaves` goes through a net layer by layer.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from . import arguments
from .layers import Grads, Layer


def join(place: str, name: int | str) -> str:
    """The place of a child: join("2.1", 0) is "2.1.0", and join("", 3) is "3".

    >>> join(join("", 3), "W")
    '3.W'
    """
    return f"{place}.{name}" if place else str(name)


def _named(place: int, arrays: Mapping[str, np.ndarray]) -> Grads:
    """The dict `arrays` with "place." in front of each key."""
    return {join(str(place), key): array for key, array in arrays.items()}


class Container(Layer):
    """What Chain and Sum share: children, and their parameters under one roof."""

    def __init__(self, *children: Layer):
        # Not super().__init__(): `params` is no dict of its own here but what the children have.
        if not children:
            raise ValueError(f"{type(self).__name__} needs at least one layer")
        self._children = tuple(arguments.layer(f"layers[{place}]", child) for place, child in enumerate(children))

    @property
    def children(self) -> tuple[Layer, ...]:
        """The layers inside, in the order of the forward pass; their places are 0, 1, 2, ..."""
        return self._children

    @property
    def params(self) -> Grads:  # type: ignore[override]
        """The children's arrays themselves, under their places' names; ValueError if one array has two names."""
        named = {name: array for place, child in enumerate(self.children)
                 for name, array in _named(place, child.params).items()}
        if len({id(array) for array in named.values()}) < len(named):
            shared = next(name for name, array in named.items() if sum(array is other for other in named.values()) > 1)
            raise ValueError(f"layers must not share parameters: {shared} is in this net twice; use copy.deepcopy")
        return named

    def __repr__(self) -> str:
        lines = (line for child in self.children for line in repr(child).splitlines())
        return "\n  ".join([f"{type(self).__name__}:", *lines])


class Chain(Container):
    """y = layer_n(... layer_2(layer_1(x))): the tangent runs the same way, the gradient back.

    J = J_n ... J_2 J_1, so J^T dy = J_1^T (J_2^T (... J_n^T dy)).

    >>> from minishatter.layers import Affine
    >>> net = Chain(Affine([2.0], [0.0]), Affine([3.0], [1.0]))  # 3 (2 x) + 1
    >>> y, cache = net.forward(np.array([[5.0]]))
    >>> print(y.item(), net.tangent(np.array([[1.0]]), cache).item())
    31.0 6.0
    """

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers, in the order of the forward pass."""
        return self.children

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, list]:
        cache = []
        for layer in self.layers:
            x, layer_cache = layer.forward(x)
            cache.append(layer_cache)
        return x, cache

    def tangent(self, t: np.ndarray, cache: list) -> np.ndarray:
        for layer, layer_cache in zip(self.layers, cache):
            t = layer.tangent(t, layer_cache)
        return t

    def backward(self, dy: np.ndarray, cache: list) -> tuple[np.ndarray, Grads]:
        grads: Grads = {}
        for place in reversed(range(len(self.layers))):
            dy, layer_grads = self.layers[place].backward(dy, cache[place])
            grads = _named(place, layer_grads) | grads
        return dy, grads

    def freeze(self, x: np.ndarray) -> "Chain":
        frozen = []
        for layer in self.layers:
            frozen.append(layer.freeze(x))
            x, _ = frozen[-1].forward(x)
        return Chain(*frozen)


def _times(weight, array):
    """weight * array; where the weight is 1, as at most skips, the array itself."""
    return array if weight == 1 else weight * array


class Sum(Container):
    """y = sum over k of w_k branch_k(x); the weights w_k are fixed numbers, 1 if not given.

    x is used once by each branch, so a change t of x reaches y along all of them, and for every dy

        <dy, J t> = sum over k of w_k <dy, J_k t> = sum over k of <J_k^T (w_k dy), t>.

    J^T dy is what stands on the left of t: dx = sum over k of J_k^T (w_k dy). Where a path forks, gradients add.

    >>> from minishatter.layers import Affine, Identity
    >>> net = Sum(Identity(), Affine([3.0], [0.0]), weights=(1.0, 0.5))  # x + 0.5 (3 x)
    >>> y, cache = net.forward(np.array([[2.0]]))
    >>> print(y.item(), net.backward(np.array([[1.0]]), cache)[0].item())
    5.0 2.5
    """

    def __init__(self, *branches: Layer, weights: tuple[float, ...] | None = None):
        super().__init__(*branches)
        weights = (1.0,) * len(branches) if weights is None else weights
        if np.shape(weights) != (len(branches),):
            raise ValueError(f"weights must have one number for each of the {len(branches)} branches, got {weights!r}")
        self.weights = tuple(arguments.number("weights", weight) for weight in weights)

    @property
    def branches(self) -> tuple[Layer, ...]:
        """The layers that read the same x."""
        return self.children

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, list]:
        outputs, cache = zip(*(branch.forward(x) for branch in self.branches))
        return self.add(outputs), list(cache)

    def add(self, outputs: Sequence[np.ndarray]) -> np.ndarray:
        """The weighted sum of the branches' outputs, which must agree in shape."""
        shapes = [output.shape for output in outputs]
        if len(set(shapes)) > 1:
            raise ValueError(f"the branches of a Sum must agree in shape, got {' and '.join(map(str, shapes))}")
        return functools.reduce(np.add, map(_times, self.weights, outputs))

    def tangent(self, t: np.ndarray, cache: list) -> np.ndarray:
        return self.add([branch.tangent(t, branch_cache) for branch, branch_cache in zip(self.branches, cache)])

    def backward(self, dy: np.ndarray, cache: list) -> tuple[np.ndarray, Grads]:
        dx: Any = None
        grads: Grads = {}
        for place, (weight, branch) in enumerate(zip(self.weights, self.branches)):
            dx_k, branch_grads = branch.backward(_times(weight, dy), cache[place])
            dx = dx_k if place == 0 else dx + dx_k
            grads |= _named(place, branch_grads)
        return dx, grads

    def freeze(self, x: np.ndarray) -> "Sum":
        return Sum(*(branch.freeze(x) for branch in self.branches), weights=self.weights)

    def __repr__(self) -> str:
        head, *lines = super().__repr__().splitlines()
        return "\n".join([f"Sum, weights {self.weights}:", *lines])


def leaves(net: Layer, place: str = "") -> Iterator[tuple[str, Layer]]:
    """(place, layer) for every layer of a net that holds no others, in the order of the forward pass.

    >>> from minishatter.layers import Identity, ReLU
    >>> [place for place, _ in leaves(Chain(ReLU(), Sum(Identity(), Chain(ReLU(), ReLU()))))]
    ['0', '1.0', '1.1.0', '1.1.1']
    """
    if not isinstance(net, Container):
        yield place, arguments.layer("net", net)
        return
    for number, child in enumerate(net.children):
        yield from leaves(child, join(place, number))


def freeze(net: Layer, x: np.ndarray) -> Layer:
    """The net whose batch statistics are the constants measured on x, shape (N, units).

    Center and BatchNorm become Affine layers; all else is shared with `net`, not copied. The frozen net has the
    values of `net` on x, but its rows no longer interact: it is one fixed function, the one whose derivative is
    taken when the statistics are "held".

    >>> from minishatter.layers import Center
    >>> freeze(Center(), np.array([[1.0], [3.0]])).forward(np.array([[1.0]]))[0]  # the mean is held: 1 - 2
    array([[-1.]])
    """
    return arguments.layer("net", net).freeze(arguments.array("x", x, ndim=(2, 4)))


def active_units(net: Layer, x: np.ndarray) -> list[np.ndarray]:
    """Which units each rectifier finds active on x, in the order of the forward pass: a list of (N, units) booleans.

    >>> from minishatter.layers import ReLU
    >>> active_units(ReLU(), np.array([[1.0, -1.0]]))
    [array([[ True, False]])]
    """
    _, cache = arguments.layer("net", net).forward(arguments.array("x", x, ndim=(2, 4)))
    return list(patterns(cache))


def patterns(cache: Any) -> Iterator[np.ndarray]:
    """The same from the cache of a forward pass that was made already.

    >>> from minishatter.layers import ReLU
    >>> list(patterns(ReLU().forward(np.array([[1.0, -1.0]]))[1]))
    [array([[ True, False]])]
    """
    if isinstance(cache, list):
        for child in cache:
            yield from patterns(child)
    elif hasattr(cache, "active"):
        yield cache.active


class Record(NamedTuple):
    """One layer in one pass: values are those of its output y, dy is the gradient arriving at y."""

    name: str
    shape_in: tuple
    shape_out: tuple
    mean: float
    std: float
    active: float  # fraction of active units; NaN if the layer is no rectifier
    dy_rms: float  # root mean square of dy


class Trace(list):
    """The records of one pass; `print` shows them as a table."""

    def __str__(self) -> str:
        head = f"{'layer':<28}{'in':>12}{'out':>12}{'mean':>10}{'std':>10}{'active':>8}{'rms dy':>10}"
        rows = [f"{r.name:<28}{_shape(r.shape_in):>12}{_shape(r.shape_out):>12}{r.mean:>10.3g}{r.std:>10.3g}"
                f"{'' if np.isnan(r.active) else f'{r.active:.2f}':>8}{r.dy_rms:>10.3g}" for r in self]
        return "\n".join([head, *rows])


def _shape(shape: tuple) -> str:
    return " x ".join(map(str, shape))


def trace(net: Layer, x: np.ndarray, dy: np.ndarray) -> Trace:
    """One forward and one backward pass, recorded layer by layer in the order of the forward pass.

    x: (N, units in); dy: (N, units out), the gradient arriving at the output.
    Returns a Trace of Records. Layers inside Chain and Sum are named by their places, as in `params`.

    >>> from minishatter.layers import Affine, ReLU
    >>> records = trace(Chain(Affine([2.0], [0.0]), ReLU()), np.array([[1.0], [-1.0]]), np.ones((2, 1)))
    >>> [(record.name, record.mean) for record in records] == [("0 Affine(1)", 0.0), ("1 ReLU()", 1.0)]
    True
    """
    net, x, dy = arguments.layer("net", net), arguments.array("x", x, ndim=(2, 4)), arguments.array("dy", dy, ndim=2)
    records = Trace()
    y, cache = _trace_forward(net, x, "", records)
    if dy.shape != y.shape:
        raise ValueError(f"dy must have the shape of the net's output, {y.shape}, got {dy.shape}")
    sizes: list[float] = []
    _trace_backward(net, dy, cache, sizes)
    return Trace(record._replace(dy_rms=rms) for record, rms in zip(records, reversed(sizes)))


def _trace_forward(layer: Layer, x: np.ndarray, place: str, records: Trace) -> tuple[np.ndarray, Any]:
    """The layer's value and cache; a Record of each leaf, its dy still unknown, goes to `records`."""
    if isinstance(layer, Chain):
        cache = []
        for number, child in enumerate(layer.layers):
            x, child_cache = _trace_forward(child, x, join(place, number), records)
            cache.append(child_cache)
        return x, cache
    if isinstance(layer, Sum):
        outputs, caches = zip(*(_trace_forward(branch, x, join(place, number), records)
                                for number, branch in enumerate(layer.branches)))
        return layer.add(outputs), list(caches)
    y, leaf_cache = layer.forward(x)
    active = np.mean(leaf_cache.active) if hasattr(leaf_cache, "active") else np.nan
    records.append(Record(f"{place} {layer!r}".strip(), x.shape, y.shape, y.mean(), y.std(), active, np.nan))
    return y, leaf_cache


def _trace_backward(layer: Layer, dy: np.ndarray, cache: Any, sizes: list[float]) -> np.ndarray:
    """The gradient at the layer's input; the RMS of dy at each leaf goes to `sizes`, the last leaf first."""
    if isinstance(layer, Chain):
        for child, child_cache in zip(reversed(layer.layers), reversed(cache)):
            dy = _trace_backward(child, dy, child_cache, sizes)
        return dy
    if isinstance(layer, Sum):
        backwards = reversed(list(zip(layer.weights, layer.branches, cache)))
        return functools.reduce(np.add, [_trace_backward(branch, weight * dy, branch_cache, sizes)
                                         for weight, branch, branch_cache in backwards])
    sizes.append(float(np.sqrt(np.mean(dy**2))))
    return layer.backward(dy, cache)[0]
