"""f'(x) on a grid: the fast path, the readable path, finite differences, and the two meanings of "the gradient"."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

from minishatter import nets
from minishatter.compose import Chain, Sum
from minishatter.gradients import (batch_moments, ensemble, grid, input_gradient, neuron_gradients, pair_moments,
                                   readable_gradient)
from minishatter.layers import Affine, BatchNorm, Center, CReLU, Dense, Identity, Layer, PReLU, ReLU

X = grid(12)  # even: 0 is not on the grid, where every unit of a centred first branch has its kink
WIDTH = 7
BOTH = pytest.mark.parametrize("gradient", [input_gradient, readable_gradient])
NORMS = pytest.mark.parametrize("norm", [None, "center", "batch"])

# Sums of some 10 terms in other orders, through a handful of layers: each adds a few 1e-16 of the largest entry.
ROUNDING = 1e-12


def assert_same(gradient, expected, tolerance=ROUNDING):
    """Equal up to `tolerance` of the largest entry (single entries may cancel to almost 0)."""
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def rng(seed=0):
    return np.random.default_rng(seed)


def dense(fan_in, fan_out, seed):
    draw = rng([1, seed])
    return Dense(draw.standard_normal((fan_in, fan_out)) / np.sqrt(fan_in), draw.standard_normal(fan_out))


def perturbed(net, seed=2):
    """The net with every parameter moved: at initialisation a wrong scale or shift would not show."""
    for array in net.params.values():
        array += 0.3 * rng(seed).standard_normal(array.shape)
    return net


# The grid.


def test_grid_is_the_paper_s():
    x = grid()
    assert x.shape == (256,) and x[0] == -2 and x[-1] == 2
    np.testing.assert_allclose(np.diff(x), 4 / 255, rtol=1e-12)  # x is rounded at 2e-16, and the step is 64 times less


@pytest.mark.parametrize("arguments, error", [((1,), ValueError), ((2.5,), TypeError), ((5, 1.0, 1.0), ValueError),
                                              ((5, 2.0, -2.0), ValueError), ((5, np.nan, 1.0), ValueError)])
def test_grid_refuses(arguments, error):
    with pytest.raises(error):
        grid(*arguments)


# Fast and readable.

FEEDFORWARD = [{"norm": norm, "activation": activation, "init": init}
               for norm, activation, init in itertools.product(nets.NORMS, nets.ACTIVATIONS, nets.INITS)
               if (activation, init) != ("relu", "looks_linear")]
RESNET = [{"norm": norm, "alpha": alpha, "beta": beta}
          for norm, (alpha, beta) in itertools.product(nets.NORMS, [(1.0, 1.0), (0.7, 1.0), (1.0, 0.1)])]
BUILDERS = ([(nets.feedforward, setting) for setting in FEEDFORWARD] + [(nets.resnet, setting) for setting in RESNET]
            + [(nets.highway, {"gamma2": 0.5})])


@pytest.mark.parametrize("build, setting", BUILDERS, ids=lambda value: getattr(value, "__name__", None) or
                         "-".join(map(str, value.values())))
@pytest.mark.parametrize("statistics", ["held", "through"])
def test_fast_equals_readable(build, setting, statistics):
    net = perturbed(build(4, WIDTH, hidden_bias_std=0.5, rng=rng(), **setting))
    assert_same(input_gradient(net, X, statistics), readable_gradient(net, X, statistics))


class Sine(Layer):
    """y = sin x, a layer that the library does not know."""

    def forward(self, x):
        return np.sin(x), np.cos(x)

    def tangent(self, t, cache):
        return cache * t

    def backward(self, dy, cache):
        return cache * dy, {}


class SharedCenter(Center):
    """A user's own layer with batch statistics: the mean over all units and points."""

    def freeze(self, x):
        return Affine(np.ones(x.shape[1]), np.full(x.shape[1], -x.mean()))


NESTED = {
    "unknown layer": Chain(dense(1, 5, 0), Sine(), dense(5, 1, 1)),
    "unknown layer with statistics": Chain(dense(1, 5, 0), SharedCenter(), ReLU(), dense(5, 1, 1)),
    "a sum of sums": Chain(dense(1, 5, 0), Sum(Identity(), Sum(ReLU(), Chain(dense(5, 3, 1), Sine(), dense(3, 5, 2)),
                                                               weights=(0.5, -2.0)), Center()), dense(5, 1, 3)),
    "a chain in a chain": Chain(Chain(dense(1, 5, 0), Chain(BatchNorm(5), CReLU())), Chain(dense(10, 1, 1))),
    "centered over the units": Chain(dense(1, 5, 0), Center("units"), ReLU(), dense(5, 1, 1)),
    "branches of one layer": Chain(dense(1, 5, 0), Sum(PReLU(0.2), ReLU(), Identity(), Center(), BatchNorm(5),
                                                       Affine(np.arange(5.0), np.ones(5))), dense(5, 1, 1)),
}


@pytest.mark.parametrize("net", NESTED.values(), ids=NESTED)
def test_fast_equals_readable_in_nests_and_with_unknown_layers(net):
    assert_same(input_gradient(net, X), readable_gradient(net, X))


@BOTH
def test_a_layer_alone_is_a_net(gradient):
    """d sin / dx = cos."""
    np.testing.assert_allclose(gradient(Sine(), X), np.cos(X), rtol=0, atol=1e-15)  # one rounding


@BOTH
@pytest.mark.parametrize("statistics", ["held", "through"])
def test_layers_drawn_as_they_are_used_make_the_same_net(gradient, statistics):
    setting = {"norm": "batch", "width": WIDTH}
    net, layers = (make(4, rng=rng(), **setting) for make in (nets.feedforward, nets.feedforward_layers))
    np.testing.assert_array_equal(gradient(layers, X, statistics), gradient(net, X, statistics))


@NORMS
@pytest.mark.parametrize("build", [nets.feedforward, nets.resnet])
def test_neuron_gradients_are_the_last_step_before_the_input(build, norm):
    """n = x W + b, so df/dx = df/dn . W."""
    net = perturbed(build(4, WIDTH, norm=norm, rng=rng()))
    dn = neuron_gradients(net, X)
    assert dn.shape == (X.size, WIDTH)
    assert_same(dn @ net.layers[0].params["W"][0], input_gradient(net, X, "held"))


# The two meanings.


def difference(value, x, h):
    """A central difference, of an array if x is one."""
    return (value(x + h) - value(x - h)) / (2 * h)


@NORMS
@pytest.mark.parametrize("build", [nets.feedforward, nets.resnet])
def test_held_is_the_derivative_of_the_frozen_net(build, norm):
    """The frozen net is piecewise linear: a central difference is exact but for rounding, 1e-16 / h = 1e-9."""
    net = perturbed(build(4, WIDTH, norm=norm, rng=rng()))
    frozen = net.freeze(X[:, None])
    slope = difference(lambda x: frozen.forward(x[:, None])[0][:, 0], X, h=1e-7)
    assert_same(input_gradient(net, X, "held"), slope, tolerance=1e-7)


@NORMS
@pytest.mark.parametrize("build", [nets.feedforward, nets.resnet])
def test_through_is_the_derivative_of_the_sum_over_the_batch(build, norm):
    """Move one point, recompute the statistics, look at the sum of all outputs. Errors: h^2 and 1e-16 / h."""
    net = perturbed(build(4, WIDTH, norm=norm, rng=rng()))

    def total(x_i, i):
        return net.forward(np.where(np.arange(X.size) == i, x_i, X)[:, None])[0].sum()

    slopes = [difference(lambda x_i: total(x_i, i), X[i], h=1e-6) for i in range(X.size)]
    assert_same(input_gradient(net, X, "through"), np.array(slopes), tolerance=1e-7)


def test_without_batch_statistics_there_is_one_gradient():
    net = nets.feedforward(4, WIDTH, norm=None, rng=rng())
    assert_same(input_gradient(net, X, "held"), input_gradient(net, X, "through"))


@pytest.mark.parametrize("norm", ["center", "batch"])
def test_with_batch_statistics_there_are_two(norm):
    net = nets.feedforward(4, WIDTH, norm=norm, rng=rng())
    held, through = (input_gradient(net, X, statistics) for statistics in ("held", "through"))
    assert np.abs(held - through).max() > 0.1 * np.abs(held).max()


# Ensembles.


def build(rng):
    return nets.feedforward_layers(3, WIDTH, norm="batch", rng=rng)


@pytest.mark.parametrize("seed, sequence", [(5, [5]), ([5, 24, 200], [5, 24, 200])])
@pytest.mark.parametrize("statistics", ["held", "through"])
def test_each_run_of_an_ensemble_can_be_made_again_alone(seed, sequence, statistics):
    gradients = ensemble(build, X, 4, seed, statistics)
    assert gradients.shape == (4, X.size)
    for run, gradient in enumerate(gradients):
        again = input_gradient(build(np.random.default_rng([*sequence, run])), X, statistics)
        np.testing.assert_array_equal(gradient, again)


def test_the_runs_of_an_ensemble_differ():
    a, b = ensemble(build, X, 2, seed=5)
    assert np.abs(a - b).max() > 0.1


def test_pair_moments_are_means_over_the_units():
    moments = pair_moments(build, X, (2, 9), 3, seed=5)
    assert moments.shape == (3, 3)
    for run, row in enumerate(moments):
        a, b = neuron_gradients(build(np.random.default_rng([5, run])), X)[[2, 9]]
        assert_same(row, np.array([a @ a, a @ b, b @ b]) / WIDTH)


def test_batch_moments_are_sums_over_the_units_and_means_over_all_pairs():
    """By hand: the batch is drawn first, and each net and batch can be made again alone."""
    def vectors(rng):
        return nets.resnet(2, 5, inputs=3, norm="center", rng=rng)

    for run, (variance, covariance) in enumerate(batch_moments(vectors, 7, 3, 3, seed=5)):
        rng = np.random.default_rng([5, run])
        x = rng.standard_normal((7, 3))
        dn = neuron_gradients(vectors(rng), x)
        products = dn @ dn.T
        assert variance == pytest.approx(np.diag(products).mean(), rel=1e-12)
        assert covariance == pytest.approx(products[np.triu_indices(7, 1)].mean(), rel=1e-10, abs=1e-12)


def test_neuron_gradients_at_vectors_are_the_last_step_before_the_input():
    """dx = dn W^T, and a column of numbers is the same as the numbers."""
    net = nets.feedforward(3, 5, inputs=4, rng=np.random.default_rng(0))
    x = np.random.default_rng(1).standard_normal((7, 4))
    scalar = nets.feedforward(3, 5, norm="batch", rng=np.random.default_rng(2))
    _, cache = net.forward(x)
    dx, _ = net.backward(np.ones((7, 1)), cache)
    np.testing.assert_allclose(neuron_gradients(net, x) @ net.layers[0].params["W"].T, dx, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(neuron_gradients(scalar, X[:, None]), neuron_gradients(scalar, X))


def test_ensemble_reports_progress():
    """progress wraps the runs: it can count them, and sees each go by."""
    seen = []

    def progress(runs):
        for run in runs:
            seen.append(f"{run + 1}/{len(runs)}")
            yield run

    assert len(ensemble(build, X, 3, seed=5, progress=progress)) == 3
    assert seen == ["1/3", "2/3", "3/3"]


# What must not happen.


@BOTH
@pytest.mark.parametrize("statistics", ["held", "through"])
def test_nothing_is_written_to(gradient, statistics):
    x, net = X.copy(), NESTED["branches of one layer"]
    before = {name: array.copy() for name, array in net.params.items()}
    first = gradient(net, x, statistics)
    np.testing.assert_array_equal(x, X)
    np.testing.assert_equal(net.params, before)
    np.testing.assert_array_equal(gradient(net, x, statistics), first)


@BOTH
@pytest.mark.parametrize("statistics", ["held", "through"])
def test_overflow_by_large_weights_is_an_error(gradient, statistics):
    net = nets.feedforward(10, WIDTH, rng=rng())
    for layer in net.layers:
        for array in layer.params.values():
            array *= 1e40
    with pytest.raises(ValueError, match="overflowed"):
        gradient(net, X, statistics)


@BOTH
@pytest.mark.parametrize("statistics", ["held", "through"])
def test_overflow_of_a_variance_is_an_error(gradient, statistics):
    """Normalising by an infinite deviation would give 0, and no one would know."""
    net = nets.feedforward(3, WIDTH, norm="batch", rng=rng())
    net.layers[2].params["W"][:] *= 1e200
    with pytest.raises(ValueError, match="overflowed"):
        gradient(net, X, statistics)


@BOTH
@pytest.mark.parametrize("statistics", ["held", "through"])
def test_a_constant_unit_cannot_be_normalised_without_eps(gradient, statistics):
    with pytest.raises(ValueError, match="eps = 0"):
        gradient(Chain(Dense(np.zeros((1, 3))), BatchNorm(3, eps=0.0), ReLU(), dense(3, 1, 0)), X, statistics)


@BOTH
@pytest.mark.parametrize("layer", [BatchNorm(1), BatchNorm(5), BatchNorm(9), Affine([1.0], [0.0])])
def test_a_wrong_number_of_units_is_an_error(gradient, layer):
    with pytest.raises(ValueError, match="expects x of shape"):
        gradient(Chain(dense(1, 7, 0), layer, ReLU(), dense(7, 1, 1)), X)


@BOTH
def test_overflow_of_a_deep_net_is_an_error(gradient):
    """Each layer multiplies the square of the gradient by about 1.47, and 1.47^(depth/2) passes 1e308 at 3700."""
    with pytest.raises(ValueError, match="overflowed"):
        gradient(nets.feedforward_layers(6000, 16, norm="batch", rng=rng()), X)



@BOTH
@pytest.mark.parametrize("net, x, statistics, error, says", [
    (Identity(), [0.0], "held", ValueError, "at least 2 points"),
    (Identity(), [[0.0, 1.0]], "held", ValueError, "axes"),
    (Identity(), [0.0, np.nan], "held", ValueError, "finite"),
    (Identity(), [0.0, 1.0], "frozen", ValueError, "'held', 'through'"),
    (3, [0.0, 1.0], "held", TypeError, "iterable of layers"),
    (dense(1, 2, 0), [0.0, 1.0], "held", ValueError, "one output unit, got 2"),
    (dense(1, 2, 0), [0.0, 1.0], "through", ValueError, "one output unit, got 2"),
    (Chain(dense(1, 2, 0), CReLU(), dense(2, 1, 0)), [0.0, 1.0], "held", ValueError, "do the layers chain"),
])
def test_refuses(gradient, net, x, statistics, error, says):
    with pytest.raises(error, match=says):
        gradient(net, x, statistics)


@pytest.mark.parametrize("change, error", [({"runs": 0}, ValueError), ({"build": 3}, TypeError),
                                           ({"seed": 0.5}, TypeError), ({"seed": -1}, ValueError)])
def test_ensemble_refuses(change, error):
    with pytest.raises(error):
        ensemble(**{"build": build, "x": X, "runs": 2, "seed": 0, **change})


DEEP = """
import tracemalloc
import numpy as np
from minishatter import nets
from minishatter.gradients import grid, input_gradient
input_gradient(nets.feedforward(2, 3, rng=np.random.default_rng(0)), grid(8))  # compiles
tracemalloc.start()
input_gradient(nets.feedforward_layers({depth}, 200, rng=np.random.default_rng(0)), grid(8))
print(tracemalloc.get_traced_memory()[1])
"""


def test_memory_does_not_grow_with_depth():
    """Drawn as they are used: 10,000 layers of 200 x 200 would take 3.2 GB together, one takes 0.32 MB."""
    script = DEEP.format(depth=500 if numba.config.DISABLE_JIT else 10_000)
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}  # products this small only wait for each other's threads
    child = subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[1], env=one_thread,
                           capture_output=True, text=True, check=True)
    assert int(child.stdout) < 2e6  # bytes: two weight matrices, their products, and what Python needs
