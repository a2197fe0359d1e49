"""LayerNorm and RMSNorm: each against other layers, and what the rest of the house says of them."""

import numpy as np
import pytest

from minishatter import gradients, nets, regions
from minishatter.compose import Chain, freeze
from minishatter.layers import BatchNorm, Center, Dense, ReLU
from minishatter.norms import LayerNorm, RMSNorm

X = np.random.default_rng(0).standard_normal((7, 5))


def all_rules(layer, x, seed=1):
    """y, J t and J^T dy for a random t and dy."""
    rng = np.random.default_rng(seed)
    t, dy = rng.standard_normal(x.shape), rng.standard_normal(x.shape)
    y, cache = layer.forward(x)
    return y, layer.tangent(t, cache), layer.backward(dy, cache)[0]


def test_layer_norm_is_centering_over_the_units_and_rms_norm():
    for one, other in zip(all_rules(LayerNorm(5), X), all_rules(Chain(Center("units"), RMSNorm(5)), X)):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-14)


def test_layer_norm_is_batch_norm_of_the_transpose():
    rng = np.random.default_rng(1)
    t, dy = rng.standard_normal((2, 7, 5))
    layer, batch = LayerNorm(5), BatchNorm(7)
    (y, cache), (yT, batch_cache) = layer.forward(X), batch.forward(X.T)
    np.testing.assert_allclose(y, yT.T, rtol=0, atol=1e-14)
    np.testing.assert_allclose(layer.tangent(t, cache), batch.tangent(t.T, batch_cache).T, rtol=0, atol=1e-14)
    np.testing.assert_allclose(layer.backward(dy, cache)[0], batch.backward(dy.T, batch_cache)[0].T, rtol=0,
                               atol=1e-14)


@pytest.mark.parametrize("norm", [LayerNorm, RMSNorm])
def test_the_size_of_an_input_does_not_matter(norm):
    """Without eps y is a function of the direction of x: J x = 0, and J^T dy is orthogonal to x."""
    layer = norm(5, eps=0.0)
    y, cache = layer.forward(X)
    np.testing.assert_allclose(layer.forward(np.linspace(1, 9, 7)[:, None] * X)[0], y, rtol=0, atol=1e-14)
    np.testing.assert_allclose(layer.tangent(X, cache), 0.0, atol=1e-14)
    dx, _ = layer.backward(np.random.default_rng(2).standard_normal(X.shape), cache)
    np.testing.assert_allclose((dx * X).sum(axis=1), 0.0, atol=1e-14)
    np.testing.assert_allclose((y**2).mean(axis=1), 1.0, rtol=1e-14)


@pytest.mark.parametrize("norm", [LayerNorm, RMSNorm])
def test_the_fast_path_is_the_definition(norm):
    rng = np.random.default_rng(3)
    first, relu, second, relu2, last = nets.feedforward(2, 13, hidden_bias_std=0.5, rng=rng).layers
    net = Chain(first, relu, norm(13), second, norm(13), relu2, last)
    x = gradients.grid(31)
    np.testing.assert_allclose(gradients.input_gradient(net, x), gradients.readable_gradient(net, x), rtol=1e-12,
                               atol=1e-13)


@pytest.mark.parametrize("norm", [LayerNorm, RMSNorm])
def test_there_is_no_staircase_and_regions_says_so(norm):
    """f is curved between the flips, so f' has no pieces: refused by name, with the place, frozen or not."""
    rng = np.random.default_rng(4)
    net = Chain(Dense(rng.standard_normal((1, 5)), rng.standard_normal(5)), norm(5), ReLU(), Dense(np.ones((5, 1))))
    x = np.linspace(0.3, 0.3 + 1e-3, 3)
    slopes = gradients.input_gradient(net, x)
    assert np.ptp(slopes) > 1e-6 and np.array_equal(*(net.layers[0].forward(x[[0, -1], None])[0] > 0))
    for candidate in (net, freeze(net, x[:, None])):
        with pytest.raises(TypeError, match=rf"piecewise linear layers.*{norm.__name__}\(5\) at 1"):
            regions.exact_gradient(candidate)


def test_rms_norm_in_every_layer_is_one_division_at_the_end():
    """Rectifiers let a positive factor through: sizes divided out layer by layer are the last layer's, divided once."""
    rng = np.random.default_rng(5)
    dense = [Dense(rng.standard_normal((fan_in, 31))) for fan_in in (3, 31, 31)]
    x = rng.standard_normal((7, 3))
    each, _ = Chain(*(layer for one in dense for layer in (one, RMSNorm(31, eps=0.0), ReLU()))).forward(x)
    once, _ = Chain(dense[0], ReLU(), dense[1], ReLU(), dense[2], RMSNorm(31, eps=0.0), ReLU()).forward(x)
    np.testing.assert_allclose(each, once, rtol=0, atol=1e-14)
