"""The layer protocol: every layer and every builder, through all three rules and through freeze.

All shapes are prime, so that a forgotten transpose cannot hide, and all parameters are
shaken away from their initial values: a shift of zero hides a forgotten shift.
"""

import copy
import inspect
from functools import partial

import numpy as np
import pytest

from minishatter import compose, layers, nets, norms, pointwise
from minishatter.check import check_layer
from minishatter.compose import Chain, Sum, freeze
from minishatter.layers import Affine, BatchNorm, Center, CReLU, Dense, Identity, Layer, PReLU, ReLU
from minishatter.norms import LayerNorm, RMSNorm
from minishatter.pointwise import Pointwise

POINTS, UNITS = 7, 5


def dense(fan_in, fan_out, rng):
    return Dense(rng.standard_normal((fan_in, fan_out)), rng.standard_normal(fan_out))


# One example of each layer class, by its name: it reads UNITS units.
LAYERS = {
    "Identity": lambda rng: Identity(),
    "Dense": lambda rng: dense(UNITS, 3, rng),
    "ReLU": lambda rng: ReLU(),
    "CReLU": lambda rng: CReLU(),
    "PReLU": lambda rng: PReLU(),
    "Affine": lambda rng: Affine(np.ones(UNITS), np.zeros(UNITS)),
    "Center": lambda rng: Center(),
    "BatchNorm": lambda rng: BatchNorm(UNITS),
    "LayerNorm": lambda rng: LayerNorm(UNITS),
    "RMSNorm": lambda rng: RMSNorm(UNITS),
    "Pointwise": lambda rng: Pointwise(),
    "Chain": lambda rng: Chain(dense(UNITS, 3, rng), BatchNorm(3), CReLU(), dense(6, 2, rng)),
    "Sum": lambda rng: Sum(dense(UNITS, 3, rng), Chain(Center(), dense(UNITS, 3, rng)), weights=(0.7, -1.3)),
}


def nested(rng):
    """A Sum in a Chain in a Sum in a Chain: three branches, each reading the same x."""
    inner = Sum(Identity(), Chain(BatchNorm(3), ReLU(), dense(3, 3, rng)), weights=(0.6, 1.2))
    centred = Chain(inner, PReLU(), Center(), Center("units"))
    outer = Sum(Identity(), centred, dense(3, 3, rng), weights=(-0.5, 1.5, 0.8))
    return Chain(dense(1, 3, rng), outer, dense(3, 1, rng))


# Nets that map a scalar to a scalar; the first word of a name is the builder's.
NETS = {f"feedforward {norm} {activation} {init}": partial(nets.feedforward, 3, UNITS, norm=norm, hidden_bias_std=0.5,
                                                           activation=activation, init=init)
        for norm in nets.NORMS for activation in nets.ACTIVATIONS for init in nets.INITS
        if (activation, init) != ("relu", "looks_linear")}
NETS |= {f"resnet {norm}": partial(nets.resnet, 3, UNITS, norm=norm, alpha=0.7, beta=1.3) for norm in nets.NORMS}
NETS |= {"highway": partial(nets.highway, 3, UNITS, gamma2=0.6), "nested": lambda rng: nested(rng)}


def shaken(net, rng):
    """The net, its parameters moved away from where they started (in place)."""
    for array in net.params.values():
        array += 0.3 * rng.standard_normal(array.shape)
    return net


def example(name):
    """A shaken net from either table, an input for it and the generator that made them."""
    rng = np.random.default_rng(7)
    build, units = (LAYERS[name], UNITS) if name in LAYERS else (NETS[name], 1)
    return shaken(build(rng=rng), rng), rng.standard_normal((POINTS, units)), rng


every_layer = pytest.mark.parametrize("name", LAYERS)
every_net = pytest.mark.parametrize("name", NETS)
everything = pytest.mark.parametrize("name", [*LAYERS, *NETS])


# Nothing is forgotten: a new class or builder fails here until it has a row above.


def public(module, kind):
    return {name: thing for name, thing in vars(module).items()
            if kind(thing) and thing.__module__ == module.__name__ and not name.startswith("_")}


def test_every_layer_class_is_in_the_table():
    classes = {name: thing for module in (layers, norms, pointwise, compose)
               for name, thing in public(module, inspect.isclass).items()}
    concrete = {name for name, thing in classes.items() if issubclass(thing, Layer) and not inspect.isabstract(thing)}
    assert concrete == set(LAYERS)


def test_every_builder_is_in_the_table():
    builders = {name for name in public(nets, inspect.isfunction) if not name.endswith("_layers")}
    assert builders == {name.split()[0] for name in NETS} - {"nested"}


# The three rules.


@everything
def test_the_rules_agree_with_each_other_and_with_differences(name):
    """check_layer raises if they do not; it returns one check for each rule."""
    net, x, rng = example(name)
    checks = check_layer(net, x, rng)
    assert [check.rule for check in checks] == ["tangent", "backward", "adjoint", *(f"d {key}" for key in net.params)]


@everything
def test_gradients_have_the_keys_and_shapes_of_params(name):
    net, x, rng = example(name)
    y, cache = net.forward(x)
    _, grads = net.backward(rng.standard_normal(y.shape), cache)
    assert {key: g.shape for key, g in grads.items()} == {key: p.shape for key, p in net.params.items()}


def jacobian_by_columns(net, x):
    """dy/dx, both raveled: column i is the tangent in the direction of entry i of x."""
    _, cache = net.forward(x)
    return np.stack([net.tangent(unit.reshape(x.shape), cache).ravel() for unit in np.eye(x.size)], axis=1)


def jacobian_by_rows(net, x):
    """dy/dx, both raveled: row j is the gradient of entry j of y."""
    y, cache = net.forward(x)
    return np.stack([net.backward(unit.reshape(y.shape), cache)[0].ravel() for unit in np.eye(y.size)])


@everything
def test_the_jacobian_by_columns_is_the_one_by_rows(name):
    """Entry by entry, between all points of the batch: no random direction, nothing averaged out."""
    net, x, _ = example(name)
    forward = jacobian_by_columns(net, x)
    # Two orders of summing some tens of terms: 1e-16 each, relative to the largest.
    np.testing.assert_allclose(jacobian_by_rows(net, x), forward, rtol=0, atol=1e-13 * np.abs(forward).max())


@everything
def test_the_jacobian_is_the_one_of_central_differences(name):
    net, x, _ = example(name)
    h = 1e-6
    differences = np.stack([(net.forward(x + h * unit)[0] - net.forward(x - h * unit)[0]).ravel() / (2 * h)
                            for unit in np.eye(x.size).reshape(-1, *x.shape)], axis=1)
    # Rounding, 1e-16 / h, and curvature behind a normalisation, h^2, both some hundred times over.
    np.testing.assert_allclose(differences, jacobian_by_columns(net, x), rtol=0, atol=1e-7 * np.abs(differences).max())


@everything
def test_parameter_gradients_are_those_of_central_differences(name):
    """Entry by entry, on a copy of the net."""
    net, x, rng = example(name)
    y, cache = net.forward(x)
    dy, h = rng.standard_normal(y.shape), 1e-6
    moved = copy.deepcopy(net)
    for key, gradient in net.backward(dy, cache)[1].items():
        for index in np.ndindex(gradient.shape):
            values = []
            for step in (h, -h):
                moved.params[key][index] = net.params[key][index] + step
                values.append(np.sum(dy * moved.forward(x)[0]))
            moved.params[key][index] = net.params[key][index]
            # As above; dy and y are of order 1 to 10, so the sum rounds at 1e-14.
            assert gradient[index] == pytest.approx((values[0] - values[1]) / (2 * h), rel=1e-6, abs=1e-6), (key, index)


# The rules are pure.


def state(thing):
    """A copy of all numbers reachable from a layer, a cache, a dict or a list, as one flat list."""
    if isinstance(thing, Layer):
        return state(vars(thing))
    if isinstance(thing, dict):
        return [*thing, *state(list(thing.values()))]
    if isinstance(thing, (list, tuple)):
        return [part for item in thing for part in state(item)]
    return [np.copy(thing)]


def same(one, other):
    return len(one) == len(other) and all(np.array_equal(a, b) for a, b in zip(one, other))


@everything
def test_the_rules_write_to_nothing(name):
    """Not to self, nor to x, t, dy or the cache."""
    net, x, rng = example(name)
    before = state([net, x])
    y, cache = net.forward(x)
    t, dy = rng.standard_normal(x.shape), rng.standard_normal(y.shape)
    assert same(state([net, x]), before)
    before = state([net, x, t, dy, cache])
    net.tangent(t, cache)
    net.backward(dy, cache)
    net.freeze(x)
    assert same(state([net, x, t, dy, cache]), before)


@everything
def test_interleaved_passes_do_not_disturb_each_other(name):
    net, x, rng = example(name)
    t, dy = rng.standard_normal(x.shape), rng.standard_normal(net.forward(x)[0].shape)

    def one_pass(between):
        y, cache = net.forward(x)
        between()
        Jt = net.tangent(t, cache)
        between()
        return state([y, Jt, net.backward(dy, cache)])

    def another_pass():
        _, cache = net.forward(2 - x)
        net.tangent(-t, cache)
        net.backward(-dy, cache)

    assert same(one_pass(another_pass), one_pass(lambda: None))


@everything
def test_dy_may_alias(name):
    """dy may be a view whose entries are all one number in memory, or the net's own output."""
    net, x, _ = example(name)
    y, cache = net.forward(x)
    for dy in (np.broadcast_to(0.5, y.shape), y):
        dx, grads = net.backward(dy, cache)
        dx_alone, grads_alone = net.backward(np.array(dy), cache)
        for gradient, alone in zip([dx, *grads.values()], [dx_alone, *grads_alone.values()], strict=True):
            np.testing.assert_allclose(gradient, alone, rtol=1e-12, atol=1e-12)  # strides change the order of sums


# freeze: one fixed function.


@everything
def test_a_frozen_net_has_the_same_values(name):
    net, x, _ = example(name)
    # scale * (x - mean) / std and (scale / std) * x - ... round differently.
    np.testing.assert_allclose(freeze(net, x).forward(x)[0], net.forward(x)[0], rtol=1e-12, atol=1e-12)


@everything
def test_the_rows_of_a_frozen_net_do_not_interact(name):
    """Moving one input changes no output but its own."""
    net, x, _ = example(name)
    frozen = freeze(net, x)
    moved = x.copy()
    moved[2] += 1.0
    others = np.arange(POINTS) != 2
    np.testing.assert_array_equal(frozen.forward(moved)[0][others], frozen.forward(x)[0][others])


@pytest.mark.parametrize("name", ["Center", "BatchNorm", "feedforward batch relu he", "resnet center", "nested"])
def test_the_rows_of_a_net_with_statistics_do_interact(name):
    """Without this, the test above could not fail."""
    net, x, _ = example(name)
    moved = x.copy()
    moved[2] += 1.0
    others = np.arange(POINTS) != 2
    assert np.abs(net.forward(moved)[0] - net.forward(x)[0])[others].min() > 1e-9  # far above rounding


@every_net
def test_the_tangent_of_a_frozen_net_is_its_derivative(name):
    """With t = 1, entry i is the derivative at x_i: all of them in one pass."""
    net, x, _ = example(name)
    frozen, h = freeze(net, x), 1e-6
    _, cache = frozen.forward(x)
    slopes = frozen.tangent(np.ones_like(x), cache)
    differences = (frozen.forward(x + h)[0] - frozen.forward(x - h)[0]) / (2 * h)
    # Piecewise linear: rounding only, 1e-16 / h times values of order 1 to 10.
    np.testing.assert_allclose(differences, slopes, rtol=0, atol=1e-8 * np.abs(slopes).max())


def leaves(net):
    """The layers of a net that are not containers."""
    if isinstance(net, (Chain, Sum)):
        return [leaf for child in getattr(net, "layers", None) or net.branches for leaf in leaves(child)]
    return [net]


@everything
def test_freezing_turns_statistics_into_affine_maps_and_shares_the_rest(name):
    net, x, _ = example(name)
    for leaf, frozen in zip(leaves(net), leaves(freeze(net, x)), strict=True):
        statistics = isinstance(leaf, BatchNorm) or (isinstance(leaf, Center) and leaf.over == "batch")
        assert type(frozen) is Affine if statistics else frozen is leaf


@everything
def test_freezing_twice_is_freezing_once(name):
    net, x, rng = example(name)
    frozen = freeze(net, x)
    assert same(state(freeze(frozen, rng.standard_normal(x.shape))), state(frozen))
