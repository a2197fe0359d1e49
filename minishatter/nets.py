"""The nets of the paper: feedforward, residual, highway. The only core file that puts concrete layers together.

Each maps a scalar to a scalar through `depth` hidden rectifier layers of `width` units: the
depth of figure 1 and of the theorems. Figure 2 fits if its depth counts weight matrices, two
more than rectifiers: see `resnet`. The first layer has weights N(0, 1) and biases
N(0, bias_std^2), so that its kinks are spread over the grid, and is never centred.

`feedforward(...)` is a Chain. `feedforward_layers(...)` takes the same arguments
and yields the same layers one at a time, each drawn when it is asked for: a net
of any depth can then be passed through once, in the memory of one layer.
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from . import arguments
from .compose import Chain, Sum
from .init import biases, glorot, he, looks_linear, normal, orthogonal
from .layers import BatchNorm, Center, CReLU, Dense, Identity, Layer, PReLU, ReLU

NORMS: dict[str | None, Callable[[int], list[Layer]]] = {
    None: lambda width: [], "center": lambda width: [Center()], "batch": lambda width: [BatchNorm(width)]}
ACTIVATIONS = {"relu": ReLU, "crelu": CReLU, "prelu": PReLU}
INITS = ("he", "glorot", "orthogonal", "looks_linear")


def feedforward(depth: int, width: int = 200, *, norm: str | None = None, activation: str = "relu", init: str = "he",
                bias_std: float = 1.0, hidden_bias_std: float = 0.0, rng: np.random.Generator) -> Chain:
    """Dense(1, width), rectifier, then depth - 1 times (Dense, norm, rectifier), then Dense(., 1).

    norm: None, "center" or "batch", before the rectifier. activation: "relu", "crelu"
    or "prelu". init: "he", "glorot", "orthogonal" or "looks_linear" (crelu: mirrored
    weights; prelu: slope 1). With He weights the gradient has variance 1 over the
    draw of the net at any depth (Theorem 1). Section 2 of the paper.
    """
    return Chain(*feedforward_layers(depth, width, norm=norm, activation=activation, init=init, bias_std=bias_std,
                                     hidden_bias_std=hidden_bias_std, rng=rng))


def feedforward_layers(depth: int, width: int = 200, *, norm: str | None = None, activation: str = "relu",
                       init: str = "he", bias_std: float = 1.0, hidden_bias_std: float = 0.0,
                       rng: np.random.Generator) -> Iterator[Layer]:
    """The layers of `feedforward`, one at a time."""
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
    yield _first(width, 1.0, bias_std, rng)
    yield rectifier()
    for _ in range(depth - 1):
        yield Dense(weights(fan_in, width, rng), biases(width, hidden_bias_std, rng))
        yield from NORMS[norm](width)
        yield rectifier()
    yield Dense(weights(fan_in, 1, rng))


def resnet(depth: int, width: int = 200, *, skip: float = 1.0, alpha: float = 1.0, beta: float = 1.0,
           norm: str | None = "batch", first_std: float = 1.0, bias_std: float = 1.0, hidden_bias_std: float = 0.0,
           rng: np.random.Generator) -> Chain:
    """Dense(1, width), then `depth` times x <- alpha (skip x + beta W relu(norm(x))), then Dense(width, 1).

    alpha rescales the whole layer, beta the branch (Eq. 2 and section 3 of the paper). The norm of
    the first branch takes the first layer's biases away: the kinks of that branch lie at the mean of x.
    The last layer reads x itself, no rectifier before it, so its weights are N(0, 1/width).
    Without norm the gradient has variance first_std^2 (alpha^2 (skip^2 + beta^2))^depth (Theorem 2 if skip = 1).
    Figure 2's nets "of depth L" are resnet(L - 2, first_std=sqrt(2)): L weight matrices, all of variance
    2 / fan_in but the last, whose scale no autocorrelation sees. skip = 0 gives its feedforward nets, and depth 0,
    its L = 2, a linear net. No source states this count; tutorial 03 shows how it was found.
    """
    return Chain(*resnet_layers(depth, width, skip=skip, alpha=alpha, beta=beta, norm=norm, first_std=first_std,
                                bias_std=bias_std, hidden_bias_std=hidden_bias_std, rng=rng))


def resnet_layers(depth: int, width: int = 200, *, skip: float = 1.0, alpha: float = 1.0, beta: float = 1.0,
                  norm: str | None = "batch", first_std: float = 1.0, bias_std: float = 1.0,
                  hidden_bias_std: float = 0.0, rng: np.random.Generator) -> Iterator[Layer]:
    """The layers of `resnet`, one at a time."""
    skip, alpha, beta = (arguments.number(*pair) for pair in (("skip", skip), ("alpha", alpha), ("beta", beta)))
    arguments.one_of("norm", norm, NORMS)
    first_std = arguments.number("first_std", first_std, low=0.0)
    yield from _skips(depth, width, (alpha * skip, alpha * beta), norm, first_std, bias_std, hidden_bias_std, rng)


def highway(depth: int, width: int = 200, *, gamma2: float, bias_std: float = 1.0, hidden_bias_std: float = 0.0,
            rng: np.random.Generator) -> Chain:
    """Dense(1, width), then `depth` times x <- gamma1 x + gamma2 W relu(x), then Dense(width, 1).

    gamma1 = sqrt(1 - gamma2^2), with gamma2 in [0, 1]: fixed gates, so that the
    gradient keeps variance 1 (Corollary 1 of the paper).
    """
    return Chain(*highway_layers(depth, width, gamma2=gamma2, bias_std=bias_std, hidden_bias_std=hidden_bias_std,
                                 rng=rng))


def highway_layers(depth: int, width: int = 200, *, gamma2: float, bias_std: float = 1.0,
                   hidden_bias_std: float = 0.0, rng: np.random.Generator) -> Iterator[Layer]:
    """The layers of `highway`, one at a time."""
    depth, gamma2 = arguments.integer("depth", depth), arguments.number("gamma2", gamma2, low=0.0, high=1.0)
    gates = (float(np.sqrt(1.0 - gamma2**2)), gamma2)
    yield from _skips(depth, width, gates, None, 1.0, bias_std, hidden_bias_std, rng)


def _skips(depth, width, weights, norm, first_std, bias_std, hidden_bias_std, rng):
    """The layers of a net of `depth` skip connections x <- weights[0] x + weights[1] W relu(norm(x))."""
    depth, width, bias_std, hidden_bias_std = _sizes(depth, width, bias_std, hidden_bias_std, least=0)
    yield _first(width, first_std, bias_std, rng)
    for _ in range(depth):
        dense = Dense(he(width, width, rng), biases(width, hidden_bias_std, rng))
        yield Sum(Identity(), Chain(*NORMS[norm](width), ReLU(), dense), weights=weights)
    yield Dense(he(width, 1, rng, gain=1.0))


def _sizes(depth, width, bias_std, hidden_bias_std, least=1):
    """What all builders check, before anything is drawn."""
    return (arguments.integer("depth", depth, least), arguments.integer("width", width),
            arguments.number("bias_std", bias_std, low=0.0),
            arguments.number("hidden_bias_std", hidden_bias_std, low=0.0))


def _first(width, std, bias_std, rng):
    """The layer that maps the scalar to `width` units: weights N(0, std^2), biases N(0, bias_std^2)."""
    return Dense(normal(1, width, std, rng), biases(width, bias_std, rng))


def _weights_after(activation, init, slope):
    """The draw for the weights behind a rectifier: a function of (fan_in, fan_out, rng).

    The gain makes up for what the rectifier takes away: 2 for a relu, also for a crelu (one half of each pair
    is active, and fan_in counts both), 2 / (1 + slope^2) for a prelu.
    """
    gain = {"relu": 2.0, "crelu": 2.0, "prelu": 2.0 / (1.0 + slope**2)}[activation]
    if init == "looks_linear":
        return looks_linear if activation == "crelu" else orthogonal
    return {"he": partial(he, gain=gain), "glorot": glorot, "orthogonal": partial(orthogonal, gain=gain)}[init]
