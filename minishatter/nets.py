"""The nets of the paper: feedforward, residual, highway. The only core file that puts concrete layers together.

Each maps `inputs` numbers (one, on the grid) to a scalar through `depth` hidden rectifier layers of
`width` units: the depth of figure 1 and of the theorems. Figure 2 fits if its depth counts weight
matrices, two more than rectifiers: see `resnet`. The first layer has weights N(0, 1 / inputs) and biases
N(0, bias_std^2), so that on the grid its kinks are spread, and is never centred. The theorems speak of
inputs x ~ N(0, I), inputs large.

`feedforward(...)` is a Chain. `feedforward_layers(...)` takes the same arguments
and yields the same layers one at a time, each drawn when it is asked for: a net
of any depth can then be passed through once, in the memory of one layer.
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from . import arguments
from .compose import Chain, Sum
from .init import biases, glorot, he, looks_linear, normal, orthogonal, standardised
from .layers import Affine, BatchNorm, Center, CReLU, Dense, Identity, Layer, PReLU, ReLU

NORMS: dict[str | None, Callable[[int], list[Layer]]] = {
    None: lambda width: [], "center": lambda width: [Center()], "batch": lambda width: [BatchNorm(width)]}
ACTIVATIONS = {"relu": ReLU, "crelu": CReLU, "prelu": PReLU}
INITS = ("he", "glorot", "orthogonal", "looks_linear", "standardised")


def feedforward(depth: int, width: int = 200, *, inputs: int = 1, norm: str | None = None, activation: str = "relu",
                init: str = "he", bias_std: float = 1.0, hidden_bias_std: float = 0.0,
                rng: np.random.Generator) -> Chain:
    """Dense(inputs, width), rectifier, then depth - 1 times (Dense, norm, rectifier), then Dense(., 1).

    norm: None, "center" or "batch", before the rectifier. activation: "relu", "crelu"
    or "prelu". init: "he", "glorot", "orthogonal", "looks_linear" (crelu: mirrored
    weights; prelu: slope 1) or "standardised" (each unit's weights add up to 0). With He weights
    the gradient has variance 1 over the draw of the net at any depth (Theorem 1). Section 2 of the paper.

    >>> feedforward(2, width=3, rng=np.random.default_rng(0))
    Chain:
      Dense(1, 3)
      ReLU()
      Dense(3, 3)
      ReLU()
      Dense(3, 1)
    """
    return Chain(*feedforward_layers(depth, width, inputs=inputs, norm=norm, activation=activation, init=init,
                                     bias_std=bias_std, hidden_bias_std=hidden_bias_std, rng=rng))


def feedforward_layers(depth: int, width: int = 200, *, inputs: int = 1, norm: str | None = None,
                       activation: str = "relu", init: str = "he", bias_std: float = 1.0,
                       hidden_bias_std: float = 0.0, rng: np.random.Generator) -> Iterator[Layer]:
    """The layers of `feedforward`, one at a time.

    >>> next(feedforward_layers(10**9, width=5, rng=np.random.default_rng(0)))  # a net of any depth
    Dense(1, 5)
    """
    depth, width, bias_std, hidden_bias_std = _sizes(depth, width, bias_std, hidden_bias_std)
    arguments.one_of("norm", norm, NORMS)
    arguments.one_of("activation", activation, ACTIVATIONS)
    arguments.one_of("init", init, INITS)
    if init == "looks_linear" and activation == "relu":
        raise ValueError('init="looks_linear" needs activation="crelu" or "prelu": '
                         "a relu cannot look linear, it drops half of its input")
    slope = 1.0 if init == "looks_linear" else 0.25
    rectifier = (lambda: PReLU(slope)) if activation == "prelu" else ACTIVATIONS[activation]
    weights = _weights_after(activation, init, slope)
    fan_in = 2 * width if activation == "crelu" else width
    yield _first(inputs, width, 1.0, bias_std, rng)
    yield rectifier()
    for _ in range(depth - 1):
        yield Dense(weights(fan_in, width, rng), biases(width, hidden_bias_std, rng))
        yield from NORMS[norm](width)
        yield rectifier()
    yield Dense(weights(fan_in, 1, rng))


def resnet(depth: int, width: int = 200, *, inputs: int = 1, skip: float = 1.0, alpha: float = 1.0, beta: float = 1.0,
           norm: str | None = "batch", first_std: float = 1.0, bias_std: float = 1.0, hidden_bias_std: float = 0.0,
           rng: np.random.Generator) -> Chain:
    """Dense(inputs, width), then `depth` times x <- alpha (skip x + beta W relu(norm(x))), then Dense(width, 1).

    alpha rescales the whole layer, beta the branch (Eq. 2 and section 3 of the paper). norm: None, "center", "batch",
    or "analytic", which divides by sqrt(v), v the mean square of x over the draw of the net for inputs of mean
    square 1, as in the proof of Theorem 3. A batch norm in the first branch takes the first biases away: the kinks of
    that branch lie at the mean of x. The last layer reads x itself, no rectifier before it: weights N(0, 1/width).
    Without norm the gradient has variance first_std^2 (alpha^2 (skip^2 + beta^2))^depth (Theorem 2 if skip = 1).
    Figure 2's nets "of depth L" are resnet(L - 2, first_std=sqrt(2)): L weight matrices, all of variance
    2 / fan_in but the last, whose scale no autocorrelation sees. skip = 0 gives its feedforward nets, and depth 0,
    its L = 2, a linear net. No source states this count; tutorial 03 shows how it was found.

    >>> print(resnet(1, width=5, beta=0.1, rng=np.random.default_rng(0)).layers[1])
    Sum, weights (1.0, 0.1):
      Identity()
      Chain:
        BatchNorm(5)
        ReLU()
        Dense(5, 5)
    """
    return Chain(*resnet_layers(depth, width, inputs=inputs, skip=skip, alpha=alpha, beta=beta, norm=norm,
                                first_std=first_std, bias_std=bias_std, hidden_bias_std=hidden_bias_std, rng=rng))


def resnet_layers(depth: int, width: int = 200, *, inputs: int = 1, skip: float = 1.0, alpha: float = 1.0,
                  beta: float = 1.0, norm: str | None = "batch", first_std: float = 1.0, bias_std: float = 1.0,
                  hidden_bias_std: float = 0.0, rng: np.random.Generator) -> Iterator[Layer]:
    """The layers of `resnet`, one at a time.

    >>> [type(layer).__name__ for layer in resnet_layers(2, width=5, rng=np.random.default_rng(0))]
    ['Dense', 'Sum', 'Sum', 'Dense']
    """
    skip, alpha, beta = (arguments.number(*pair) for pair in (("skip", skip), ("alpha", alpha), ("beta", beta)))
    arguments.one_of("norm", norm, (*NORMS, "analytic"))
    first_std = arguments.number("first_std", first_std, low=0.0)
    yield from _skips(depth, width, inputs, (alpha * skip, alpha * beta), norm, first_std, bias_std, hidden_bias_std,
                      rng)


def highway(depth: int, width: int = 200, *, gamma2: float, inputs: int = 1, bias_std: float = 1.0,
            hidden_bias_std: float = 0.0, rng: np.random.Generator) -> Chain:
    """Dense(inputs, width), then `depth` times x <- gamma1 x + gamma2 W relu(x), then Dense(width, 1).

    gamma1 = sqrt(1 - gamma2^2), with gamma2 in [0, 1]: fixed gates, so that the
    gradient keeps variance 1 (Corollary 1 of the paper).

    >>> highway(3, width=5, gamma2=0.6, rng=np.random.default_rng(0)).layers[1].weights
    (0.8, 0.6)
    """
    return Chain(*highway_layers(depth, width, gamma2=gamma2, inputs=inputs, bias_std=bias_std,
                                 hidden_bias_std=hidden_bias_std, rng=rng))


def highway_layers(depth: int, width: int = 200, *, gamma2: float, inputs: int = 1, bias_std: float = 1.0,
                   hidden_bias_std: float = 0.0, rng: np.random.Generator) -> Iterator[Layer]:
    """The layers of `highway`, one at a time.

    >>> [type(layer).__name__ for layer in highway_layers(1, width=5, gamma2=0.5, rng=np.random.default_rng(0))]
    ['Dense', 'Sum', 'Dense']
    """
    depth, gamma2 = arguments.integer("depth", depth), arguments.number("gamma2", gamma2, low=0.0, high=1.0)
    gates = (float(np.sqrt(1.0 - gamma2**2)), gamma2)
    yield from _skips(depth, width, inputs, gates, None, 1.0, bias_std, hidden_bias_std, rng)


def _skips(depth, width, inputs, weights, norm, first_std, bias_std, hidden_bias_std, rng):
    """The layers of a net of `depth` skip connections x <- weights[0] x + weights[1] W relu(norm(x))."""
    depth, width, bias_std, hidden_bias_std = _sizes(depth, width, bias_std, hidden_bias_std, least=0)
    yield _first(inputs, width, first_std, bias_std, rng)
    v = first_std**2 + bias_std**2  # mean square of a signal; a rectifier halves it, and He weights double that
    for _ in range(depth):
        before = [_divide(width, v)] if norm == "analytic" else NORMS[norm](width)
        dense = Dense(he(width, width, rng), biases(width, hidden_bias_std, rng))
        yield Sum(Identity(), Chain(*before, ReLU(), dense), weights=weights)
        v = weights[0]**2 * v + weights[1]**2 * (1 + hidden_bias_std**2)
    yield Dense(he(width, 1, rng, gain=1.0))


def _sizes(depth, width, bias_std, hidden_bias_std, least=1):
    """What all builders check, before anything is drawn."""
    return (arguments.integer("depth", depth, least), arguments.integer("width", width),
            arguments.number("bias_std", bias_std, low=0.0),
            arguments.number("hidden_bias_std", hidden_bias_std, low=0.0))


def _first(inputs, width, std, bias_std, rng):
    """The layer that maps the input to `width` units: weights N(0, std^2 / inputs), biases N(0, bias_std^2)."""
    inputs = arguments.integer("inputs", inputs)
    return Dense(normal(inputs, width, std * inputs**-0.5, rng), biases(width, bias_std, rng))


def _divide(width, v):
    """x / sqrt(v), for a mean square v that is known."""
    if not 0 < v < np.inf:
        raise ValueError('alpha and beta must leave a signal for norm="analytic" to divide by; '
                         f"its mean square is {v:g}")
    return Affine(np.full(width, v**-0.5), np.zeros(width))


def _weights_after(activation, init, slope):
    """The draw for the weights behind a rectifier: a function of (fan_in, fan_out, rng).

    The gain makes up for what the rectifier takes away from a signal of variance 1. A PReLU's output has mean square
    (1 + slope^2) / 2 and mean (1 - slope) / sqrt(2 pi); a relu's slope is 0. A crelu has a relu's moments over both
    halves, which fan_in counts.
    """
    slope = slope if activation == "prelu" else 0.0
    square, mean = (1.0 + slope**2) / 2, (1.0 - slope) / np.sqrt(2 * np.pi)
    if init == "looks_linear":
        return looks_linear if activation == "crelu" else orthogonal
    return {"he": partial(he, gain=1 / square), "glorot": glorot, "orthogonal": partial(orthogonal, gain=1 / square),
            "standardised": partial(standardised, gain=1 / (square - mean**2))}[init]
