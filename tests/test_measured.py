"""What this project measured before, measured again: such numbers prove nothing about the paper, so no table has them.

The widths are those that the tutorials had fixed for these rows when they were still in the table.
"""

import numpy as np
import pytest
from numba import config

from minishatter import Center, Chain, Dense, ReLU, active_units, freeze, gradients, nets, regions, stats
from minishatter.images.train import cast

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="without the JIT: minutes")

X = gradients.grid()
DEPTH, WIDTH, SEEDS = 24, 200, 8


def rng(*seed):
    return np.random.default_rng([10, *seed])


def textbook(rng):
    """Weights and biases of variance 1 / N everywhere."""
    def dense(fan_in, fan_out):
        return Dense(rng.normal(0, fan_in**-0.5, (fan_in, fan_out)), rng.normal(0, WIDTH**-0.5, fan_out))

    hidden = (layer for _ in range(DEPTH - 1) for layer in (dense(WIDTH, WIDTH), ReLU()))
    return Chain(dense(1, WIDTH), ReLU(), *hidden, dense(WIDTH, 1))


def per_sample(rng):
    """He weights, centred over the units of each input before each rectifier but the first."""
    first, relu, *hidden, last = nets.feedforward(DEPTH, WIDTH, rng=rng).layers
    centred = ([layer, Center("units")] if isinstance(layer, Dense) else [layer] for layer in hidden)
    return Chain(first, relu, *(layer for pair in centred for layer in pair), last)


SETUPS = {  # RMS gradient, autocorrelation at lag 1, co-activity of the last layer, distinct values of 256
    "textbook: variance 1/N": (textbook, (2e-4, 0.92, 0.52, 248)),
    "He, zero biases": (lambda rng: nets.feedforward(DEPTH, WIDTH, bias_std=0.0, rng=rng), (0.55, 0.99, 0.48, 2)),
    "He, first biases N(0, 1)": (lambda rng: nets.feedforward(DEPTH, WIDTH, rng=rng), (0.79, 0.83, 0.48, 255)),
    "He, centred per sample": (per_sample, (0.8, 0.85, 0.46, 256)),
    "He, centred over the batch": (lambda rng: nets.feedforward(DEPTH, WIDTH, norm="center", rng=rng),
                                   (1.29, -0.01, 0.28, 256)),
    "He, BN held": (lambda rng: nets.feedforward(DEPTH, WIDTH, norm="batch", rng=rng), (249, -0.04, 0.25, 256)),
}


@pytest.mark.parametrize("name", SETUPS)
def test_the_set_ups_of_tutorial_10(name):
    """Means over 8 nets: the RMS within a factor of 2, 0.1, 0.05 and 10."""
    build, earlier = SETUPS[name]

    def measure(seed):
        net = build(rng(seed))
        g = gradients.input_gradient(net, X)
        distinct = 1 + np.sum(np.diff(np.sort(g)) > 1e-9 * np.abs(g).max())
        coactive = stats.coactivity(active_units(net, X[:, None])[-1]).mean()
        return np.log10(np.sqrt(np.mean(g**2))), stats.autocorrelation(g, 1)[1], coactive, distinct

    again = np.mean([measure(seed) for seed in range(SEEDS)], axis=0)
    gaps = np.abs(again - [np.log10(earlier[0]), *earlier[1:]])
    assert (gaps < (0.3, 0.1, 0.05, 10)).all(), again


@pytest.mark.parametrize("depth, pieces", [(1, 141), (4, 579), (10, 1455), (24, 4105)])
def test_the_pieces_of_plain_nets(depth, pieces):
    """One net each then, the mean of three now: within a factor of 2."""
    counts = [regions.exact_gradient(nets.feedforward(depth, WIDTH, rng=rng(seed))).values.size for seed in range(3)]
    assert abs(np.log10(np.mean(counts) / pieces)) < 0.3, counts


def test_float32_and_float64_are_different_nets_at_50_layers_with_batch_normalisation():
    """The largest difference was 0.7 of the largest gradient, give or take 0.4; the autocorrelations agree to 0.1."""
    def gradient(net, dtype):
        x = X.astype(dtype)[:, None]
        frozen = freeze(cast(net, dtype), x)
        return frozen.tangent(np.ones_like(x), frozen.forward(x)[1])[:, 0].astype(float)

    def compare(seed):
        net = nets.feedforward(50, WIDTH, norm="batch", rng=rng(seed))
        double, single = gradient(net, np.float64), gradient(net, np.float32)
        lag_1 = [stats.autocorrelation(g, 1)[1] for g in (double, single)]
        return np.max(np.abs(double - single)) / np.max(np.abs(double)), lag_1[0] - lag_1[1]

    worst, drift = np.mean([compare(seed) for seed in range(6)], axis=0)
    assert abs(worst - 0.7) < 0.4, worst
    assert abs(drift) < 0.1, drift
