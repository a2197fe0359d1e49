"""The nets of the paper: feedforward, residual, highway; convnets at the end. The only file that knows concrete layers.

The first three map a scalar to a scalar through `depth` hidden rectifier layers of `width`
units. The first layer has weights N(0, 1) and biases N(0, bias_std^2), so that
its kinks are spread over the grid, and is never centred.

`feedforward(...)` is a Chain. `feedforward.layers(...)` takes the same arguments
and yields the same layers one at a time, each drawn when it is asked for: a net
of any depth can then be passed through once, in the memory of one layer.
"""

import functools

import numpy as np

from . import arguments, init as draw
from .compose import Chain, Sum
from .conv import BatchNorm2d, Conv2d, Flatten
from .layers import BatchNorm, Center, CReLU, Dense, Identity, PReLU, ReLU

NORMS = {None: lambda width: [], "center": lambda width: [Center()], "batch": lambda width: [BatchNorm(width)]}
ACTIVATIONS = {"relu": ReLU, "crelu": CReLU, "prelu": PReLU}
INITS = ("he", "glorot", "orthogonal", "looks_linear")


def builder(generate):
    """Make a generator of layers into a builder of a Chain, and keep the generator as `.layers`."""

    @functools.wraps(generate)
    def build(*args, **kwargs):
        return Chain(*generate(*args, **kwargs))

    build.layers = generate
    return build


@builder
def feedforward(depth, width=200, *, norm=None, activation="relu", init="he", bias_std=1.0,
                hidden_bias_std=0.0, rng):
    """Dense(1, width), rectifier, then depth - 1 times (Dense, norm, rectifier), then Dense(., 1).

    norm: None, "center" or "batch", before the rectifier. activation: "relu", "crelu"
    or "prelu". init: "he", "glorot", "orthogonal" or "looks_linear" (crelu: mirrored
    weights; prelu: slope 1). With He weights the gradient has variance 1 over the
    draw of the net at any depth (Theorem 1). Section 2 of the paper.
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
    yield _first(width, bias_std, rng)
    yield rectifier()
    for _ in range(depth - 1):
        yield Dense(weights(fan_in, width, rng), draw.biases(width, hidden_bias_std, rng))
        yield from NORMS[norm](width)
        yield rectifier()
    yield Dense(weights(fan_in, 1, rng))


@builder
def resnet(depth, width=200, *, alpha=1.0, beta=1.0, norm="batch", bias_std=1.0, hidden_bias_std=0.0, rng):
    """Dense(1, width), then `depth` times x <- alpha (x + beta W relu(norm(x))), then Dense(width, 1).

    alpha rescales the whole layer, beta the branch (Eq. 2 and section 3 of the paper). The norm of
    the first branch takes the first layer's biases away: the kinks of that branch lie at the mean of x.
    The last layer reads x itself, no rectifier before it, so its weights are N(0, 1/width).
    Without norm the gradient has variance (alpha^2 (1 + beta^2))^depth (Theorem 2).
    """
    alpha, beta = arguments.number("alpha", alpha), arguments.number("beta", beta)
    arguments.one_of("norm", norm, NORMS)
    branch_norm = NORMS[norm]
    yield from _residual(depth, width, (alpha, alpha * beta), branch_norm, bias_std, hidden_bias_std, rng)


@builder
def highway(depth, width=200, *, gamma2, bias_std=1.0, hidden_bias_std=0.0, rng):
    """Dense(1, width), then `depth` times x <- gamma1 x + gamma2 W relu(x), then Dense(width, 1).

    gamma1 = sqrt(1 - gamma2^2), with gamma2 in [0, 1]: fixed gates, so that the
    gradient keeps variance 1 (Corollary 1 of the paper).
    """
    gamma2 = arguments.number("gamma2", gamma2, low=0.0, high=1.0)
    gates = (float(np.sqrt(1.0 - gamma2**2)), gamma2)
    yield from _residual(depth, width, gates, NORMS[None], bias_std, hidden_bias_std, rng)


def _residual(depth, width, weights, branch_norm, bias_std, hidden_bias_std, rng):
    """The layers of a net of `depth` skip connections x <- weights[0] x + weights[1] W relu(norm(x))."""
    depth, width, bias_std, hidden_bias_std = _sizes(depth, width, bias_std, hidden_bias_std)
    yield _first(width, bias_std, rng)
    for _ in range(depth):
        dense = Dense(draw.he(width, width, rng), draw.biases(width, hidden_bias_std, rng))
        yield Sum(Identity(), Chain(*branch_norm(width), ReLU(), dense), weights=weights)
    yield Dense(draw.he(width, 1, rng, gain=1.0))


def _sizes(depth, width, bias_std, hidden_bias_std):
    """What all builders check, before anything is drawn."""
    return (arguments.integer("depth", depth), arguments.integer("width", width),
            arguments.number("bias_std", bias_std, low=0.0),
            arguments.number("hidden_bias_std", hidden_bias_std, low=0.0))


def _first(width, bias_std, rng):
    """The layer that maps the scalar to `width` units: weights N(0, 1), biases N(0, bias_std^2)."""
    return Dense(draw.normal(1, width, 1.0, rng), draw.biases(width, bias_std, rng))


def _weights_after(activation, init, slope):
    """The draw for the weights behind a rectifier: a function of (fan_in, fan_out, rng).

    The gain makes up for what the rectifier takes away: 2 for a relu, also for a crelu (one half of each pair
    is active, and fan_in counts both), 2 / (1 + slope^2) for a prelu.
    """
    gain = {"relu": 2.0, "crelu": 2.0, "prelu": 2.0 / (1.0 + slope**2)}[activation]
    if init == "looks_linear":
        return draw.looks_linear if activation == "crelu" else draw.orthogonal
    if init == "glorot":
        return draw.glorot
    return functools.partial(getattr(draw, init), gain=gain)


# Convnets, for images (3, 32, 32, N). All kernels are 3 x 3.

IMAGE = (3, 32, 32)


@builder
def convnet(depth, filters=8, *, activation="relu", norm=None, init="he", classes=10, rng):
    """The thin nets of the accuracy figure, depth 8k + 6: stem, four times (2k convolutions, a reduction), Dense.

    A stage has filters, 2, 4, 8 times filters; its reduction has stride 2. activation: "relu", "crelu" (with
    filter numbers divided by sqrt 2, for as many parameters) or "linear". norm: None or "batch". init: "he" or
    "looks_linear" (crelu only): delta-orthogonal, mirrored kernels. Accuracy figure and its section.
    """
    arguments.one_of("activation", activation, ("relu", "crelu", "linear"))
    arguments.one_of("norm", norm, (None, "batch"))
    arguments.one_of("init", init, ("he", "looks_linear"))
    if init == "looks_linear" and activation != "crelu":
        raise ValueError(f'init="looks_linear" needs activation="crelu", got {activation!r}')
    mirror = 2 if activation == "crelu" else 1
    for place, (channels, outs, stride) in enumerate(_plan(depth, filters, 0.5**0.5 if mirror == 2 else 1.0)):
        seen = channels if place == 0 else mirror * channels
        gain = 1.0 if place == 0 or activation == "linear" else 2.0
        yield Conv2d(_kernels(seen, outs, init, gain, place > 0, rng), stride=stride)
        if norm == "batch":
            yield BatchNorm2d(outs)
        if activation != "linear":
            yield ACTIVATIONS[activation]()
    yield Flatten()
    features = mirror * outs * 4  # 2 x 2 pixels are left
    gain = 1.0 if activation == "linear" else 2.0
    mirrored = init == "looks_linear"
    yield Dense(draw.looks_linear(features, classes, rng) if mirrored else draw.he(features, classes, rng, gain))


@builder
def convresnet(depth, filters=8, *, beta=1.0, classes=10, rng):
    """The resnet of the accuracy figure: as `convnet`, with a skip over every two convolutions of a stage.

    x <- x + beta conv(relu(BN(conv(relu(BN(x)))))); the reductions are conv(relu(BN(x))) without a skip, and BN and a
    rectifier stand before the Dense layer.
    """
    beta, plan = arguments.number("beta", beta), list(_plan(depth, filters, 1.0))
    yield Conv2d(_kernels(*plan[0][:2], "he", 1.0, False, rng))
    steps = iter(plan[1:])
    for channels, outs, stride in steps:
        if stride == 1:
            _, outs, _ = next(steps)
            yield _skip(outs, beta, rng)
        else:
            yield from (BatchNorm2d(channels), ReLU())
            yield Conv2d(_kernels(channels, outs, "he", 2.0, False, rng), stride=2)
    yield from (BatchNorm2d(outs), ReLU(), Flatten(), Dense(draw.he(4 * outs, classes, rng)))


@builder
def flat_convnet(depth, filters=8, *, beta=None, outputs=1, rng):
    """The nets of the convnet figure: `depth` convolutions of one width with BN and rectifiers, without reductions.

    beta None: feedforward, depth times (conv, BN, relu). A number: a stem, then depth / 2 skips over two
    convolutions each, as in `convresnet`; depth must be even. A Dense layer reads the image into `outputs` numbers.
    """
    depth, filters = arguments.integer("depth", depth), arguments.integer("filters", filters)
    channels, rows, cols = IMAGE
    if beta is None:
        for place in range(depth):
            seen = channels if place == 0 else filters
            yield Conv2d(_kernels(seen, filters, "he", 1.0 if place == 0 else 2.0, False, rng))
            yield from (BatchNorm2d(filters), ReLU())
    else:
        if depth % 2:
            raise ValueError(f"depth must be even for a skip over every two convolutions, got {depth}")
        beta = arguments.number("beta", beta)
        yield Conv2d(_kernels(channels, filters, "he", 1.0, False, rng))
        for _ in range(depth // 2):
            yield _skip(filters, beta, rng)
    yield Flatten()
    yield Dense(draw.he(filters * rows * cols, outputs, rng, 2.0 if beta is None else 1.0))


def _plan(depth, filters, scale):
    """(channels, outs, stride) of each convolution of a net of depth 8k + 6, filter numbers times `scale`."""
    depth, filters = arguments.integer("depth", depth), arguments.integer("filters", filters)
    if depth < 6 or depth % 8 != 6:
        raise ValueError(f"depth must be 8 k + 6 (6, 14, 22, 30, ...), got {depth}")
    widths = [max(1, round(filters * 2**stage * scale)) for stage in range(4)]
    yield IMAGE[0], widths[0], 1
    for width, after in zip(widths, [*widths[1:], widths[-1]]):
        for _ in range(2 * (depth // 8)):
            yield width, width, 1
        yield width, after, 2


def _kernels(channels, outs, init, gain, mirrored, rng):
    if init == "looks_linear":
        return draw.delta_orthogonal(channels, outs, 3, rng, mirrored)
    return draw.kernels(draw.he(9 * channels, outs, rng, gain), 3)


def _skip(width, beta, rng):
    """x + beta conv(relu(BN(conv(relu(BN(x))))))."""
    branch = [layer for _ in range(2)
              for layer in (BatchNorm2d(width), ReLU(), Conv2d(_kernels(width, width, "he", 2.0, False, rng)))]
    return Sum(Identity(), Chain(*branch), weights=(1.0, beta))
