"""The builders: which layers they put where, how they draw them, and what follows for the gradient."""

import inspect
from functools import partial

import numpy as np
import pytest

from minishatter import gradients, nets
from minishatter.compose import Chain, Sum, active_units
from minishatter.intervals import mean_interval
from minishatter.layers import CReLU, Dense, PReLU, ReLU

LEVEL = 0.9999  # of every interval: with fixed seeds, a test that passes once passes always
RECTIFIERS = {"relu": ReLU, "crelu": CReLU, "prelu": PReLU}

BUILDERS = {
    "feedforward": partial(nets.feedforward),
    "feedforward, crelu, looks linear": partial(nets.feedforward, activation="crelu", init="looks_linear"),
    "feedforward, prelu, centered": partial(nets.feedforward, activation="prelu", norm="center"),
    "feedforward, batch norm": partial(nets.feedforward, norm="batch"),
    "resnet": partial(nets.resnet),
    "resnet, plain": partial(nets.resnet, norm=None, alpha=0.7, beta=0.3),
    "highway": partial(nets.highway, gamma2=0.6),
}
every_builder = pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)


@pytest.fixture
def rng():
    return np.random.default_rng(23)


def lazily(build):
    """The builder that yields the layers of one of BUILDERS one at a time, with the same options."""
    return partial(getattr(nets, f"{build.func.__name__}_layers"), **build.keywords)


def kinds(net):
    """The classes of the net's layers, in order; a container as a list."""
    children = net.layers if isinstance(net, Chain) else net.branches
    return [kinds(child) if isinstance(child, (Chain, Sum)) else type(child).__name__ for child in children]


# Structure.


@pytest.mark.parametrize("norm, between", [(None, []), ("center", ["Center"]), ("batch", ["BatchNorm"])])
@pytest.mark.parametrize("activation", RECTIFIERS)
def test_feedforward_has_a_norm_before_each_rectifier_but_the_first(norm, between, activation, rng):
    rectifier = RECTIFIERS[activation].__name__
    expected = ["Dense", rectifier, *2 * ["Dense", *between, rectifier], "Dense"]
    assert kinds(nets.feedforward(3, 5, norm=norm, activation=activation, rng=rng)) == expected


@pytest.mark.parametrize("norm, before", [(None, []), ("center", ["Center"]), ("batch", ["BatchNorm"])])
def test_resnet_is_a_chain_of_skip_connections(norm, before, rng):
    expected = ["Dense", *2 * [["Identity", [*before, "ReLU", "Dense"]]], "Dense"]
    assert kinds(nets.resnet(2, 5, norm=norm, rng=rng)) == expected


def test_highway_is_a_resnet_without_norm(rng):
    assert kinds(nets.highway(2, 5, gamma2=0.6, rng=rng)) == kinds(nets.resnet(2, 5, norm=None, rng=rng))


@every_builder
@pytest.mark.parametrize("depth", [1, 2, 5])
def test_depth_is_the_number_of_rectifiers(build, depth, rng):
    assert len(active_units(build(depth, 5, rng=rng), np.ones((2, 1)))) == depth


@pytest.mark.parametrize("skip, beta", [(0.0, 1.0), (1.0, 1.0), (1.0, 0.1)])
@pytest.mark.parametrize("depth", [2, 4, 10])
def test_figure_2_counts_weight_matrices(skip, beta, depth, rng):
    """resnet(L - 2) has L of them, and L - 2 rectifiers."""
    net = nets.resnet(depth - 2, 5, skip=skip, beta=beta, first_std=2**0.5, rng=rng)
    assert sum(key.endswith("W") for key in net.params) == depth
    assert len(active_units(net, np.ones((2, 1)))) == depth - 2
    assert [layer.weights for layer in net.layers[1:-1]] == [(skip, beta)] * (depth - 2)


def test_without_skip_a_resnet_is_a_feedforward_net(rng):
    """The same values and gradients as the chain of its branches, statistics held and through."""
    net, x = nets.resnet(3, 5, skip=0.0, rng=rng), np.linspace(-2, 2, 16)
    first, *skips, last = net.layers
    chain = Chain(first, *(layer for skip in skips for layer in skip.branches[1].layers), last)
    assert kinds(chain) == ["Dense", *3 * ["BatchNorm", "ReLU", "Dense"], "Dense"]
    np.testing.assert_array_equal(net.forward(x[:, None])[0], chain.forward(x[:, None])[0])
    for statistics in ("held", "through"):
        np.testing.assert_allclose(gradients.input_gradient(net, x, statistics),
                                   gradients.input_gradient(chain, x, statistics), rtol=1e-12, atol=1e-12)


def test_a_resnet_of_depth_0_is_linear(rng):
    """Figure 2's L = 2: all its gradients are one number, the sum of v_u w_u."""
    net = nets.resnet(0, 7, rng=rng)
    slope = (net.layers[0].params["W"] @ net.layers[1].params["W"])[0, 0]
    assert kinds(net) == ["Dense", "Dense"]
    np.testing.assert_allclose(gradients.input_gradient(net, np.linspace(-2, 2, 16), "through"), slope, rtol=1e-12)


@every_builder
def test_a_scalar_goes_in_and_out_through_layers_of_width(build, rng):
    net, x = build(3, 5, rng=rng), rng.standard_normal((7, 1))
    assert net.forward(x)[0].shape == (7, 1)
    assert all(pattern.shape in ((7, 5), (7, 10)) for pattern in active_units(net, x))


def test_the_width_of_the_paper_is_the_default(rng):
    assert {inspect.signature(build).parameters["width"].default
            for build in (nets.feedforward, nets.resnet, nets.highway)} == {200}


def test_the_weights_of_a_residual_layer(rng):
    """x <- alpha (x + beta W ...): alpha for the skip, alpha beta for the branch."""
    net = nets.resnet(2, 5, alpha=0.5, beta=0.3, rng=rng)
    assert [layer.weights for layer in net.layers[1:-1]] == [pytest.approx((0.5, 0.15))] * 2


@pytest.mark.parametrize("gamma2", [0.0, 0.6, 1.0])
def test_the_gates_of_a_highway_layer(gamma2, rng):
    """Their squares add up to 1."""
    gamma1, branch = nets.highway(1, 5, gamma2=gamma2, rng=rng).layers[1].weights
    assert branch == gamma2 and gamma1 >= 0 and gamma1**2 + gamma2**2 == pytest.approx(1)


@pytest.mark.parametrize("init, slope", [("looks_linear", 1.0), ("he", 0.25), ("orthogonal", 0.25)])
def test_the_slope_of_a_prelu(init, slope, rng):
    """1 is the second kind of looks-linear net."""
    net = nets.feedforward(2, 5, activation="prelu", init=init, rng=rng)
    assert [net.layers[i].params["slope"][0] for i in (1, 3)] == [slope, slope]


# Weights and biases.


def hidden_denses(net):
    """The Dense layers between the first and the last."""
    if isinstance(net.layers[1], Sum):
        return [layer.branches[1].layers[-1] for layer in net.layers[1:-1]]
    return [layer for layer in net.layers[1:-1] if isinstance(layer, Dense)]


def assert_variance(samples, variance):
    """Independent N(0, variance) numbers: their second moment within four standard errors."""
    assert abs(np.mean(samples**2) / variance - 1) < 4 * np.sqrt(2 / samples.size)


@every_builder
def test_hidden_biases_are_zero_by_default(build, rng):
    net = build(4, 5, rng=rng)
    assert not any(dense.params["b"].any() for dense in [*hidden_denses(net), net.layers[-1]])


@every_builder
def test_hidden_bias_std_sets_the_hidden_biases_alone(build, rng):
    """Neither the first layer's nor the output's."""
    net = build(40, 20, hidden_bias_std=0.3, bias_std=0.0, rng=rng)
    assert_variance(np.concatenate([dense.params["b"] for dense in hidden_denses(net)]), 0.09)
    assert not net.layers[0].params["b"].any() and not net.layers[-1].params["b"].any()


@every_builder
@pytest.mark.parametrize("options, std", [({}, 1.0), ({"bias_std": 0.3}, 0.3)])
def test_the_first_layer_is_normal(build, options, std, rng):
    """Weights N(0, 1), biases N(0, bias_std^2), with bias_std = 1 by default."""
    first = next(lazily(build)(1, 2003, **options, rng=rng))
    assert first.params["W"].shape == (1, 2003)
    assert_variance(first.params["W"], 1.0)
    assert_variance(first.params["b"], std**2)


def test_first_std_sets_the_first_weights_alone(rng):
    net = nets.resnet(1, 2003, first_std=2**0.5, rng=rng)
    assert_variance(net.layers[0].params["W"], 2.0)
    assert_variance(net.layers[0].params["b"], 1.0)
    assert_variance(net.layers[-1].params["W"], 1 / 2003)


@every_builder
def test_the_first_layer_of_many_inputs_keeps_their_mean_square(build, rng):
    """Weights N(0, 1 / inputs)."""
    W = next(lazily(build)(1, 503, inputs=11, rng=rng)).params["W"]
    assert W.shape == (11, 503)
    assert_variance(W, 1 / 11)


@pytest.mark.parametrize("activation, init, variance", [
    ("relu", "he", 2 / 40), ("crelu", "he", 2 / 80), ("prelu", "he", 2 / (1 + 0.25**2) / 40),
    ("relu", "standardised", 2 / (1 - 1 / np.pi) / 40), ("crelu", "standardised", 2 / (1 - 1 / np.pi) / 80),
    ("prelu", "standardised", 1 / ((1 + 0.25**2) / 2 - 0.75**2 / (2 * np.pi)) / 40),
    ("relu", "glorot", 2 / 80), ("relu", "orthogonal", 2 / 40),
    ("crelu", "looks_linear", 1 / 40), ("prelu", "looks_linear", 1 / 40)])
def test_the_hidden_weights_make_up_for_the_rectifier(activation, init, variance, rng):
    """Gain 2 behind a relu, 2 / (1 + slope^2) behind a prelu; a crelu has twice the inputs, half of them active."""
    net = nets.feedforward(11, 40, activation=activation, init=init, rng=rng)
    weights = np.concatenate([dense.params["W"] for dense in hidden_denses(net)])
    assert weights.shape == (10 * (80 if activation == "crelu" else 40), 40)
    assert_variance(weights, variance)


@pytest.mark.parametrize("activation", RECTIFIERS)
def test_standardised_weights_keep_the_variance_of_the_signal(activation, rng):
    """Behind every rectifier, over nets: N(0, 1) goes in, and mean square 1 comes out of each Dense."""
    squares = []
    for _ in range(300):
        value = rng.standard_normal((1, 40))
        for layer in nets.feedforward(4, 40, inputs=40, activation=activation, init="standardised", bias_std=0.0,
                                      rng=rng).layers[:-1]:
            value, _ = layer.forward(value)
            squares += [np.mean(value**2)] if isinstance(layer, Dense) else []
    interval = mean_interval(np.array(squares).reshape(300, 4), LEVEL)
    assert (interval.low < 1).all() and (interval.high > 1).all()


@pytest.mark.parametrize("alpha, beta, bias_std, hidden_bias_std", [(1, 1, 0, 0), (0.8, 0.5, 1, 0.5)])
def test_the_analytic_norm_divides_by_the_mean_square(alpha, beta, bias_std, hidden_bias_std, rng):
    """What reaches each rectifier has mean square 1 over nets, for an input of mean square 1."""
    x, squares = np.ones((1, 7)), []
    for _ in range(1000):
        net = nets.resnet(5, 20, inputs=7, alpha=alpha, beta=beta, norm="analytic", bias_std=bias_std,
                          hidden_bias_std=hidden_bias_std, rng=rng)
        _, cache = net.forward(x)
        squares.append([np.mean(branch_cache[1][0].x**2) * net.layers[place].branches[1].layers[0].params["scale"][0]**2
                        for place, branch_cache in enumerate(cache[1:-1], start=1)])
    interval = mean_interval(np.array(squares), LEVEL)
    assert (interval.low < 1).all() and (interval.high > 1).all()
    assert (interval.high - interval.low < 0.5).all()


def test_the_analytic_norm_by_hand(rng):
    """v_l = beta^2 l + 1 without biases: Theorem 3."""
    net = nets.resnet(4, 3, beta=0.5, norm="analytic", bias_std=0.0, rng=rng)
    scales = [layer.branches[1].layers[0].params["scale"] for layer in net.layers[1:-1]]
    np.testing.assert_allclose(scales, [3 * [(0.25 * l + 1)**-0.5] for l in range(4)], rtol=1e-14)


# Lazily, layer by layer.


@every_builder
def test_layers_yields_the_layers_of_the_net(build):
    """The same numbers for the same seed."""
    net = build(3, 5, hidden_bias_std=0.1, rng=np.random.default_rng(1))
    again = Chain(*lazily(build)(3, 5, hidden_bias_std=0.1, rng=np.random.default_rng(1)))
    assert repr(again) == repr(net)
    for key, array in net.params.items():
        np.testing.assert_array_equal(again.params[key], array)


@every_builder
def test_layers_draws_nothing_before_it_is_asked(build, rng):
    """The generator is where it was, then has drawn one layer: `width` weights and `width` biases."""
    untouched = np.random.default_rng(23)
    layers = lazily(build)(3, 5, rng=rng)
    assert rng.bit_generator.state == untouched.bit_generator.state
    next(layers)
    untouched.standard_normal(5 + 5)
    assert rng.bit_generator.state == untouched.bit_generator.state


def test_a_builder_keeps_its_docstring_and_signature():
    assert "rectifier" in nets.feedforward.__doc__
    assert list(inspect.signature(nets.highway).parameters)[:3] == ["depth", "width", "gamma2"]


# What follows for the gradient.


def gradient(net, x):
    """df/dx at each x (N,); for nets whose rows do not interact."""
    _, cache = net.forward(x[:, None])
    return net.tangent(np.ones((x.size, 1)), cache)[:, 0]


MONTE_CARLO = {
    "relu": (partial(nets.feedforward, activation="relu"), 1.0),
    "crelu": (partial(nets.feedforward, activation="crelu"), 1.0),
    "prelu": (partial(nets.feedforward, activation="prelu"), 1.0),
    "hidden biases": (partial(nets.feedforward, hidden_bias_std=0.5), 1.0),
    "resnet": (partial(nets.resnet, norm=None), 2.0**3),
    "resnet, alpha and beta": (partial(nets.resnet, norm=None, alpha=0.8, beta=0.5), (0.64 * 1.25)**3),
    "resnet, skip and first_std": (partial(nets.resnet, norm=None, skip=0.5, first_std=1.2), 1.44 * 1.25**3),
    "highway": (partial(nets.highway, gamma2=0.6), 1.0),
    "analytic": (partial(nets.resnet, norm="analytic", bias_std=0.0), 4.0),
}


@pytest.mark.parametrize("name", MONTE_CARLO)
def test_the_variance_of_the_gradient_over_nets(name, rng):
    """As the docstrings state it, at any width: changing all signs into a unit flips its state and no square."""
    build, variance = MONTE_CARLO[name]
    squares = np.array([gradient(build(3, 10, rng=rng), np.array([0.7]))[0]**2 for _ in range(3000)])
    interval = mean_interval(squares, LEVEL)
    assert interval.low < variance < interval.high
    assert interval.high - interval.low < variance  # precise enough to tell 1 from 2 or 1/2


LOOKS_LINEAR = [partial(nets.feedforward, 7, 11, init="looks_linear", hidden_bias_std=0.5, activation=activation)
                for activation in ("crelu", "prelu")]
every_looks_linear_net = pytest.mark.parametrize("build", LOOKS_LINEAR, ids=["crelu", "prelu"])


@every_looks_linear_net
def test_a_looks_linear_net_has_one_gradient(build, rng):
    g = gradient(build(rng=rng), np.linspace(-2, 2, 31))
    np.testing.assert_allclose(g, g[0], rtol=1e-12)  # rounding: some hundred operations
    assert abs(g[0]) > 1e-3


@every_looks_linear_net
def test_a_looks_linear_net_is_affine(build, rng):
    """f(a x + (1 - a) z) = a f(x) + (1 - a) f(z)."""
    net, (x, z, a) = build(rng=rng), rng.standard_normal((3, 31, 1))
    at_x, at_z, between = (net.forward(points)[0] for points in (x, z, a * x + (1 - a) * z))
    np.testing.assert_allclose(between, a * at_x + (1 - a) * at_z, rtol=1e-12, atol=1e-12)  # rounding, as above


@pytest.mark.parametrize("activation", ["crelu", "prelu"])
def test_other_weights_do_not_look_linear(activation, rng):
    """Without the mirror the same net has many gradients."""
    g = gradient(nets.feedforward(7, 11, activation=activation, rng=rng), np.linspace(-2, 2, 31))
    assert len(np.unique(g.round(10))) > 10


def test_the_mirror_is_in_the_weights_not_in_the_layer(rng):
    """Once the two halves differ, the net is linear no longer."""
    net = LOOKS_LINEAR[0](rng=rng)
    net.layers[2].params["W"][0] *= 1.1
    assert np.ptp(gradient(net, np.linspace(-2, 2, 31))) > 1e-3
