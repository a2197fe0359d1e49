"""Nets: layers in a chain, and sums of branches. A skip connection is Sum(Identity(), branch).

Chain and Sum are layers themselves: same three rules, and they nest. Their
`params` and `grads` are flat dicts whose keys start with the child's place
("3.W", "2.1.0.scale"); their cache is the list of their children's caches.

`freeze` turns a net into one fixed function (batch statistics become constants),
`trace` shows one whole pass, and `active_units` the pattern of the rectifiers.
"""

from typing import NamedTuple

import numpy as np

from . import arguments
from .layers import Layer


def _named(place, arrays):
    """The dict `arrays` with "place." in front of each key."""
    return {f"{place}.{key}": array for key, array in arrays.items()}


class Container(Layer):
    """What Chain and Sum share: children, and their parameters under one roof."""

    def __init__(self, *children):
        if not children:
            raise ValueError(f"{type(self).__name__} needs at least one layer")
        self._children = tuple(arguments.layer(f"layers[{place}]", child) for place, child in enumerate(children))

    @property
    def params(self):
        """The children's arrays themselves, under their places' names."""
        named = (_named(place, child.params) for place, child in enumerate(self._children))
        return {key: array for params in named for key, array in params.items()}

    def __repr__(self):
        lines = (line for child in self._children for line in repr(child).splitlines())
        return "\n  ".join([f"{type(self).__name__}:", *lines])


class Chain(Container):
    """y = layer_n(... layer_2(layer_1(x))): the tangent runs the same way, the gradient back."""

    @property
    def layers(self):
        """The layers, in the order of the forward pass."""
        return self._children

    def forward(self, x):
        cache = []
        for layer in self.layers:
            x, layer_cache = layer.forward(x)
            cache.append(layer_cache)
        return x, cache

    def tangent(self, t, cache):
        for layer, layer_cache in zip(self.layers, cache):
            t = layer.tangent(t, layer_cache)
        return t

    def backward(self, dy, cache):
        grads = {}
        for place in reversed(range(len(self.layers))):
            dy, layer_grads = self.layers[place].backward(dy, cache[place])
            grads = _named(place, layer_grads) | grads
        return dy, grads

    def freeze(self, x):
        frozen = []
        for layer in self.layers:
            frozen.append(layer.freeze(x))
            x, _ = frozen[-1].forward(x)
        return Chain(*frozen)


class Sum(Container):
    """y = sum over k of weights[k] * branch_k(x); the weights are fixed numbers, 1 if not given.

    x is used once by each branch, so the gradients of the branches add:
    dx = sum over k of J_k^T (weights[k] * dy).
    """

    def __init__(self, *branches, weights=None):
        super().__init__(*branches)
        weights = (1.0,) * len(branches) if weights is None else weights
        if np.shape(weights) != (len(branches),):
            raise ValueError(f"weights must have one number for each of the {len(branches)} branches, "
                             f"got {weights!r}")
        self.weights = tuple(arguments.number("weights", weight) for weight in weights)

    @property
    def branches(self):
        """The layers that read the same x."""
        return self._children

    def forward(self, x):
        outputs, cache = zip(*(branch.forward(x) for branch in self.branches))
        return self.add(outputs), list(cache)

    def add(self, outputs):
        """The weighted sum of the branches' outputs, which must agree in shape."""
        shapes = [output.shape for output in outputs]
        if len(set(shapes)) > 1:
            raise ValueError(f"the branches of a Sum must agree in shape, got {' and '.join(map(str, shapes))}")
        return sum(weight * output for weight, output in zip(self.weights, outputs))

    def tangent(self, t, cache):
        out = 0.0
        for weight, branch, branch_cache in zip(self.weights, self.branches, cache):
            out = out + weight * branch.tangent(t, branch_cache)
        return out

    def backward(self, dy, cache):
        dx, grads = 0.0, {}
        for place, (weight, branch) in enumerate(zip(self.weights, self.branches)):
            dx_k, branch_grads = branch.backward(weight * dy, cache[place])
            dx = dx + dx_k
            grads |= _named(place, branch_grads)
        return dx, grads

    def freeze(self, x):
        return Sum(*(branch.freeze(x) for branch in self.branches), weights=self.weights)

    def __repr__(self):
        head, *lines = super().__repr__().splitlines()
        return "\n".join([f"Sum, weights {self.weights}:", *lines])


def freeze(net, x):
    """The net whose batch statistics are the constants measured on x, shape (N, units).

    Center and BatchNorm become Affine layers; all else is shared with `net`, not
    copied. The frozen net has the values of `net` on x, but its rows no longer
    interact: it is one fixed function, the one whose derivative is taken when
    the statistics are "held".
    """
    return arguments.layer("net", net).freeze(arguments.array("x", x, ndim=(2, 4)))


def active_units(net, x):
    """Which units each rectifier of the net finds active on x: a list of (N, units) booleans.

    Rectifiers come in the order in which the forward pass meets them.
    """
    _, cache = arguments.layer("net", net).forward(arguments.array("x", x, ndim=(2, 4)))
    patterns = []

    def visit(cache):
        if isinstance(cache, list):
            for child in cache:
                visit(child)
        elif hasattr(cache, "active"):
            patterns.append(cache.active)

    visit(cache)
    return patterns


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

    def __str__(self):
        head = f"{'layer':<28}{'in':>12}{'out':>12}{'mean':>10}{'std':>10}{'active':>8}{'rms dy':>10}"
        rows = [f"{r.name:<28}{_shape(r.shape_in):>12}{_shape(r.shape_out):>12}{r.mean:>10.3g}{r.std:>10.3g}"
                f"{'' if np.isnan(r.active) else f'{r.active:.2f}':>8}{r.dy_rms:>10.3g}" for r in self]
        return "\n".join([head, *rows])


def _shape(shape):
    return " x ".join(map(str, shape))


def trace(net, x, dy):
    """One forward and one backward pass, recorded layer by layer in the order of the forward pass.

    x: (N, units in); dy: (N, units out), the gradient arriving at the output.
    Returns a Trace of Records. Layers inside Chain and Sum are named by their
    places, as in `params`.
    """
    net, x, dy = arguments.layer("net", net), arguments.array("x", x, ndim=(2, 4)), arguments.array("dy", dy, ndim=2)
    records = Trace()
    y, pull_back = _visit(net, x, "", records)
    if dy.shape != y.shape:
        raise ValueError(f"dy must have the shape of the net's output, {y.shape}, got {dy.shape}")
    pull_back(dy)
    return records


def _visit(layer, x, name, records):
    """Forward through `layer`; returns y and the function that pulls dy back and completes the records."""
    if isinstance(layer, Chain):
        steps = []
        for place, child in enumerate(layer.layers):
            x, step = _visit(child, x, f"{name}{place}.", records)
            steps.append(step)
        return x, lambda dy: _pull_back_chain(steps, dy)
    if isinstance(layer, Sum):
        visits = [_visit(child, x, f"{name}{place}.", records) for place, child in enumerate(layer.branches)]
        y = layer.add([y_k for y_k, _ in visits])
        return y, lambda dy: sum(step(weight * dy) for weight, (_, step) in zip(layer.weights, visits))
    y, cache = layer.forward(x)
    active = np.mean(cache.active) if hasattr(cache, "active") else np.nan
    index = len(records)
    records.append(Record(f"{name[:-1]} {layer!r}".strip(), x.shape, y.shape, y.mean(), y.std(), active, np.nan))

    def pull_back(dy):
        records[index] = records[index]._replace(dy_rms=np.sqrt(np.mean(dy**2)))
        return layer.backward(dy, cache)[0]

    return y, pull_back


def _pull_back_chain(steps, dy):
    for step in reversed(steps):
        dy = step(dy)
    return dy
