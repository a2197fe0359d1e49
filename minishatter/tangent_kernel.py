"""The gradient that training uses: by the parameters. Its products at pairs of inputs are the tangent kernel.

    Theta(x, y) = <d f(x) / d theta, d f(y) / d theta>:

a small step down the loss moves f(x) by minus Theta(x, y) times the slope of the loss at y, added over the training
inputs y (Jacot, Gabriel & Hongler 2018). The gradient of f by the weights W of a layer is the outer product of what
the layer reads, a, and of the gradient that arrives, delta. So

    Theta(x, y) = sum over layers of <a(x), a(y)> <delta(x), delta(y)>,

signals below times gradients above: the paper is about the second factor. A bias counts as a weight that reads 1.
"""

from collections.abc import Callable
from itertools import count

import numpy as np

from . import arguments, wide
from .compose import Chain, Sum, join
from .correlation_maps import Map, skip_map
from .layers import Dense, Grads, Layer


def layer_kernels(x: np.ndarray, branch_map: Map, depth: int, *, skip: float = 0.0, branch: float = 1.0,
                  read: Callable[[np.ndarray], np.ndarray] | None = None, bias_std: float = 1.0) -> np.ndarray:
    """Each layer's part of Theta at infinite width, for inputs x (n,): (layers, n, n); their sum over axis 0 is Theta.

    The first layer has K(x, y) = x y + bias_std^2 and correlation c; then `depth` times n <- skip n + branch (a layer
    with `branch_map`), weights reading read(c): what branch_map makes of c if not given, k1 for a CReLU and
    mirrored weights, k1 / (1 - 1/pi) for standardised ones (the gradient sees the mean that they do not). So

        part l = sqrt(K(x, x) K(y, y)) s read(c_l) C'(c_(l+1)) ... C'(c_depth),  s = branch^2 / (skip^2 + branch^2),

    C = skip_map(branch_map, skip, branch); with a skip, a linear read-out of part sqrt(..) c_(depth+1) comes last.
    A parameter counts times its variance at the start: width falls out, and hidden biases, which start at 0, stay out.
    In units of (skip^2 + branch^2)^depth. Raises ValueError if it overflows.

    >>> from minishatter.correlation_maps import rectifier_map
    >>> layer_kernels([-1.0, 1.0], rectifier_map(), 1).sum(axis=0).round(3)  # 2 k1(0) = 2 / pi for the pair
    array([[4.   , 0.637],
           [0.637, 4.   ]])
    """
    K, each = wide.first_layer(x, bias_std), skip_map(branch_map, skip, branch)
    depth, size = arguments.integer("depth", depth), np.sqrt(K.xx * K.yy)
    if not size.all():
        raise ValueError("x must not hold 0 if bias_std is 0: no signal, no correlation")
    if read is not None and not callable(read):
        raise TypeError(f"read must be a function of correlations, got {read!r}")
    c, share = np.clip(K.xy / size, -1, 1), branch**2 / (skip**2 + branch**2)
    reads, slopes = [c], []
    for _ in range(depth):
        reads.append(share * (_at_pairs(branch_map, c)[0] if read is None else read(c)))
        after, slope = _at_pairs(each, c)
        c = np.clip(after, -1, 1)
        slopes.append(slope)
    with np.errstate(over="ignore", invalid="ignore"):
        above = list(np.cumprod([np.ones_like(c), *reversed(slopes)], axis=0)[::-1])  # (depth + 1) of (n, n)
        if skip:
            reads, above = [*reads, c], [*above, np.ones_like(c)]
        return _finite(size * np.array(reads) * np.array(above), "depth must be smaller")


def _at_pairs(function: Map, c: np.ndarray) -> np.ndarray:
    """A map's value and slope at each entry of the symmetric matrix c: (2, n, n)."""
    rows, columns = np.triu_indices(len(c))
    result = np.empty((2, *c.shape))
    result[:, rows, columns] = np.transpose([function(float(entry)) for entry in c[rows, columns]])
    result[:, columns, rows] = result[:, rows, columns]
    return result


def parameter_kernels(net: Layer, x: np.ndarray) -> Grads:
    """Each parameter's part of the Theta of a real net: x (n, inputs) -> {name: (n, n)}; their sum is Theta.

    The names are those of net.params. Batch statistics are held at what they are on x (`freeze`), so that f(x_i) is
    a function of x_i alone; scale and shift of a batch norm are those of the frozen layer. A dense layer that reads
    a (n, fan_in) and meets dy (n, fan_out) has a a^T * dy dy^T for its weights, dy dy^T for its biases; of other
    layers the backward rule is asked input by input. The net must have one output unit. ValueError if it overflows.

    >>> net = Chain(Dense([[2.0]]), Dense([[3.0]]))  # f = 2 x 3: gradients 3 x, 3, 2 x and 1
    >>> {name: kernel.tolist() for name, kernel in parameter_kernels(net, np.array([[1.0], [5.0]])).items()}["1.W"]
    [[4.0, 20.0], [20.0, 100.0]]
    """
    net, x = arguments.layer("net", net), arguments.array("x", x, ndim=2)
    with np.errstate(over="ignore", invalid="ignore"):
        frozen = net.freeze(x)
        y, _ = frozen.forward(x)
        if y.shape != (len(x), 1):
            raise ValueError(f"net must have one output unit, got {y.shape} for {len(x)} inputs")
        kernels: Grads = {}
        _pull(frozen, x, np.ones_like(y), "", kernels)
    return {name: _finite(kernels[name], "net must have smaller weights or fewer layers") for name in frozen.params}


def _pull(layer: Layer, x: np.ndarray, dy: np.ndarray, place: str, kernels: Grads) -> np.ndarray:
    """J^T dy for rows that do not interact; the kernel of each parameter of the layer goes to `kernels`."""
    if isinstance(layer, Chain):
        inputs = [x]
        for child in layer.layers[:-1]:
            inputs.append(child.forward(inputs[-1])[0])
        for number, child, below in reversed(list(zip(count(), layer.layers, inputs))):
            dy = _pull(child, below, dy, join(place, number), kernels)
        return dy
    if isinstance(layer, Sum):
        return np.sum([_pull(child, x, weight * dy, join(place, number), kernels)
                       for number, (weight, child) in enumerate(zip(layer.weights, layer.branches))], axis=0)
    if isinstance(layer, Dense):
        arriving = dy @ dy.T
        kernels |= {join(place, "W"): (x @ x.T) * arriving, join(place, "b"): arriving}
    elif layer.params:
        rows = [_row_gradients(layer, x[[i]], dy[[i]]) for i in range(len(x))]
        for name in layer.params:
            flat = np.array([row[name].ravel() for row in rows])
            kernels[join(place, name)] = flat @ flat.T
    _, cache = layer.forward(x)
    return layer.backward(dy, cache)[0]


def _row_gradients(layer, x, dy):
    _, cache = layer.forward(x)
    return layer.backward(dy, cache)[1]


def _finite(kernels, otherwise):
    if not np.isfinite(kernels).all():
        raise ValueError(f"{otherwise}: the kernel overflowed")
    return kernels
