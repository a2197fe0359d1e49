"""The convnets of the paper, for images (3, 32, 32, N). All filters are 3 x 3.

    convnet         thin nets without skips, of the accuracy figure
    convresnet      the same with a skip over every two convolutions
    flat_convnet    nets of one width without reductions, of the convnet figure
"""

from typing import NamedTuple

import numpy as np

from .. import arguments
from ..compose import Chain, Sum
from ..init import he, looks_linear, orthogonal
from ..layers import Dense, Identity, Layer
from .conv import BatchNorm2d, Conv2d, CReLU2d, Flatten, ReLU2d
from .filters import as_filters, delta_orthogonal
from .fused import BatchNormReLU2d, CReLUConv2d

IMAGE = (3, 32, 32)
ACTIVATIONS = ("relu", "crelu", "linear")


def convnet(depth: int, filters: int = 8, *, activation: str = "relu", norm: str | None = None, init: str = "he",
            classes: int = 10, rng: np.random.Generator) -> Chain:
    """The thin nets of the accuracy figure, depth 8k + 6: stem, four times (2k convolutions, a reduction), Dense.

    A stage has filters, 2, 4, 8 times filters; its reduction has stride 2. activation: "relu", "crelu" (with
    filter numbers divided by sqrt 2, for as many parameters) or "linear". norm: None or "batch". init: "he";
    "looks_linear" (crelu only): delta-orthogonal, mirrored filters; "delta_orthogonal" (linear only): the same
    without mirrors. Accuracy figure and its section.
    """
    arguments.one_of("activation", activation, ACTIVATIONS)
    arguments.one_of("norm", norm, (None, "batch"))
    needed = {"he": activation, "looks_linear": "crelu", "delta_orthogonal": "linear"}
    if needed[arguments.one_of("init", init, needed)] != activation:
        raise ValueError(f'init="{init}" needs activation="{needed[init]}", got {activation!r}')
    halves = 2 if activation == "crelu" else 1  # of which a channel is one
    gain = 1.0 if activation == "linear" else 2.0
    layers: list[Layer] = []
    for place, conv in enumerate(_plan(depth, filters, 0.5**0.5 if activation == "crelu" else 1.0)):
        channels = conv.channels if place == 0 else halves * conv.channels
        if init == "he":
            W = _he(channels, conv.outs, rng, 1.0 if place == 0 else gain)
        else:
            W = delta_orthogonal(channels, conv.outs, 3, rng, mirrored=halves == 2 and place > 0)
        layers.append((Conv2d if channels == conv.channels else CReLUConv2d)(W, stride=conv.stride))
        if activation == "relu":
            layers.append(BatchNormReLU2d(conv.outs) if norm else ReLU2d())
        elif norm:
            layers.append(BatchNorm2d(conv.outs))
    if activation == "crelu":
        layers.append(CReLU2d())  # the others are in the convolutions behind them
    features = halves * conv.outs * 4  # 2 x 2 pixels are left
    if init == "he":
        W = he(features, classes, rng, gain)
    else:
        W = looks_linear(features, classes, rng) if halves == 2 else orthogonal(features, classes, rng)
    return Chain(*layers, Flatten(), Dense(W))


def convresnet(depth: int, filters: int = 8, *, beta: float = 1.0, classes: int = 10,
               rng: np.random.Generator) -> Chain:
    """The resnet of the accuracy figure: as `convnet`, with a skip over every two convolutions of a stage.

    x <- x + beta conv(relu(BN(conv(relu(BN(x)))))); the reductions are conv(relu(BN(x))) without a skip, and BN and a
    rectifier stand before the Dense layer.
    """
    beta = arguments.number("beta", beta)
    stem, *plan = _plan(depth, filters, 1.0)
    layers: list[Layer] = [Conv2d(_he(stem.channels, stem.outs, rng, 1.0))]
    for conv in plan:
        if conv.stride == 2:
            layers += [BatchNormReLU2d(conv.channels), Conv2d(_he(conv.channels, conv.outs, rng, 2.0), stride=2)]
        elif conv.place % 2 == 0:  # the first of a pair, and the skip over both
            layers.append(_skip(conv.outs, beta, rng))
    outs = plan[-1].outs
    return Chain(*layers, BatchNormReLU2d(outs), Flatten(), Dense(he(4 * outs, classes, rng)))


def flat_convnet(depth: int, filters: int = 8, *, skip: float = 1.0, beta: float | None = None, outputs: int = 1,
                 rng: np.random.Generator) -> Chain:
    """The nets of the convnet figure: `depth` convolutions of one width with BN and rectifiers, without reductions.

    beta None: feedforward, depth times (conv, BN, relu). A number: a linear stem, then depth / 2 times x <- skip x +
    beta (two convolutions), as in `convresnet`; depth must be even. A Dense layer reads the image into `outputs`
    numbers. Depth counted in weight matrices, as figure 2 fits, is flat_convnet(L - 2, beta=...), with skip = 0 for
    feedforward nets; L = 2 is linear.
    """
    depth, filters = arguments.integer("depth", depth, int(beta is None)), arguments.integer("filters", filters)
    skip = arguments.number("skip", skip)
    channels, rows, cols = IMAGE
    if beta is None:
        layers: list[Layer] = []
        for place in range(depth):
            W = _he(filters if place else channels, filters, rng, 2.0 if place else 1.0)
            layers += [Conv2d(W), BatchNormReLU2d(filters)]
    else:
        if depth % 2:
            raise ValueError(f"depth must be even for a skip over every two convolutions, got {depth}")
        beta = arguments.number("beta", beta)
        layers = [Conv2d(_he(channels, filters, rng, 1.0))]
        layers += [_skip(filters, beta, rng, skip) for _ in range(depth // 2)]
    read_out = he(filters * rows * cols, outputs, rng, 2.0 if beta is None else 1.0)
    return Chain(*layers, Flatten(), Dense(read_out))


class _Convolution(NamedTuple):
    """One convolution of a thin net."""

    channels: int
    outs: int
    stride: int
    place: int  # in its stage


def _plan(depth: int, filters: int, scale: float) -> list[_Convolution]:
    """The convolutions of a net of depth 8k + 6, in order; filter numbers times `scale`."""
    depth, filters = arguments.integer("depth", depth), arguments.integer("filters", filters)
    if depth < 6 or depth % 8 != 6:
        raise ValueError(f"depth must be 8 k + 6 (6, 14, 22, 30, ...), got {depth}")
    widths = [max(1, round(filters * 2**stage * scale)) for stage in range(4)]
    plan, pairs = [_Convolution(IMAGE[0], widths[0], 1, 0)], depth // 8
    for width, after in zip(widths, [*widths[1:], widths[-1]]):
        plan += [_Convolution(width, width, 1, place) for place in range(2 * pairs)]
        plan.append(_Convolution(width, after, 2, 2 * pairs))
    return plan


def _he(channels, outs, rng, gain):
    return as_filters(he(9 * channels, outs, rng, gain), 3)


def _skip(width, beta, rng, skip=1.0):
    """skip x + beta conv(relu(BN(conv(relu(BN(x))))))."""
    branch = [layer for _ in range(2)
              for layer in (BatchNormReLU2d(width), Conv2d(_he(width, width, rng, 2.0)))]
    return Sum(Identity(), Chain(*branch), weights=(skip, beta))
