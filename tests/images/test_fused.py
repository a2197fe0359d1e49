"""Two layers in one pass, against the two in a row."""

import numpy as np
import pytest

from minishatter.check import check_layer
from minishatter.compose import Chain, active_units
from minishatter.images.conv import BatchNorm2d, Conv2d, CReLU2d, ReLU2d
from minishatter.images.fused import BatchNormReLU2d, CReLUConv2d

# outs, channels, kernel rows, kernel cols, stride, padding, image rows, image cols, batch: outs in whole and broken
# blocks of four and of three, channels of two, rows longer than eight, a batch of one vector and of several
SHAPES = [(4, 2, 3, 3, 1, 1, 7, 5, 3), (7, 3, 3, 3, 1, 1, 5, 7, 37), (6, 1, 3, 3, 2, 1, 7, 6, 3),
          (5, 2, 5, 5, 3, 2, 11, 8, 3), (3, 2, 1, 1, 1, 0, 3, 5, 3), (1, 1, 2, 3, 2, 1, 4, 5, 37),
          (13, 7, 3, 3, 1, 1, 3, 11, 64), (9, 5, 3, 3, 2, 1, 5, 17, 2)]
shapes = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "-".join(map(str, shape)))


def example(shape, dtype=np.float64):
    """The layer, the two in a row, and an x with zeros in it."""
    outs, channels, tap_rows, tap_cols, stride, padding, *rest = shape
    draws = np.random.default_rng(sum(shape))
    W = draws.standard_normal((outs, 2 * channels, tap_rows, tap_cols)).astype(dtype)
    b, x = draws.standard_normal(outs).astype(dtype), draws.standard_normal((channels, *rest)).astype(dtype)
    x[0, 1, ::2] = 0.0
    return CReLUConv2d(W, b, stride, padding), Chain(CReLU2d(), Conv2d(W, b, stride, padding)), x


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@shapes
def test_crelu_and_convolution_are_the_two_layers_in_a_row(shape, dtype):
    """Tangent and gradients to the last bit; forward makes fewer products, and so adds up in another order."""
    layer, row, x = example(shape, dtype)
    (y, cache), (expected, row_cache) = layer.forward(x), row.forward(x)
    terms = layer.params["W"][0].size  # of order one each
    np.testing.assert_allclose(y, expected, rtol=0, atol=4 * terms * np.finfo(dtype).eps)
    dy, t = np.random.default_rng(1).standard_normal(y.shape).astype(dtype), np.cos(x)
    (dx, grads), (row_dx, row_grads) = layer.backward(dy, cache), row.backward(dy, row_cache)
    np.testing.assert_array_equal(layer.tangent(t, cache), row.tangent(t, row_cache))
    np.testing.assert_array_equal(dx, row_dx)
    for name in ("W", "b"):
        np.testing.assert_array_equal(grads[name], row_grads[f"1.{name}"])
    assert {array.dtype for array in (y, dx, *grads.values())} == {np.dtype(dtype)}


@shapes
def test_crelu_and_convolution_obey_their_rules(shape):
    layer, _, x = example(shape)
    check_layer(layer, x + (x == 0), np.random.default_rng(1))  # off the kinks


def test_their_pattern_is_that_of_the_crelu():
    layer, row, x = example(SHAPES[0])
    (mine,), (theirs,) = active_units(layer, x), active_units(row, x)
    np.testing.assert_array_equal(mine, theirs)
    assert mine.mean() == 0.5


def test_they_take_arrays_that_are_not_contiguous_and_keep_no_more_than_their_input():
    layer, _, x = example(SHAPES[1])
    strange = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, -1, 0)), 0, -1)
    (y, cache), (z, strange_cache) = layer.forward(x), layer.forward(strange)
    np.testing.assert_array_equal(y, z)
    np.testing.assert_array_equal(layer.backward(y, cache)[0], layer.backward(y, strange_cache)[0])
    assert len(cache) == 1 and cache.x is x


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@np.errstate(invalid="ignore")  # without the JIT NumPy warns of inf - inf
def test_what_is_not_finite_shows_where_it_is_seen_and_nowhere_else(bad):
    layer, _, x = example((11, 5, 3, 3, 1, 1, 4, 9, 70))
    x[2, 0, 3, 41] = bad
    seen = np.zeros((11, 4, 9, 70), bool)
    seen[:, :2, 2:5, 41] = True
    y, cache = layer.forward(x)
    np.testing.assert_array_equal(np.isfinite(y), ~seen)
    _, grads = layer.backward(np.ones_like(y), cache)
    shown = 2 if bad == np.inf else 5 + 2  # what is not above 0, not a number included, belongs to the second half
    np.testing.assert_array_equal(np.isfinite(grads["W"]).all(axis=(0, 2, 3)), np.arange(10) != shown)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_normalisation_and_relu_are_the_two_layers_in_a_row(dtype):
    """To the last bit, in strange strides and frozen too; a channel in which all is cut off, and one without scale."""
    draws = np.random.default_rng(3)
    x = np.moveaxis(draws.standard_normal((7, 5, 3, 11)).astype(dtype), 0, -1)  # 231 pixels: no whole vectors
    layer, norm = BatchNormReLU2d(5), BatchNorm2d(5)
    norm.params = {"scale": np.array([0.5, -2, 1, 0, 3], dtype), "shift": np.array([0.1, 0.7, -9, 0, 0], dtype)}
    layer.params = norm.params
    row = Chain(norm, ReLU2d())
    (y, cache), (expected, row_cache) = layer.forward(x), row.forward(x)
    dy, t = draws.standard_normal(y.shape).astype(dtype), np.cos(x)
    (dx, grads), (row_dx, row_grads) = layer.backward(dy, cache), row.backward(dy, row_cache)
    pairs = [(y, expected), (layer.tangent(t, cache), row.tangent(t, row_cache)), (dx, row_dx),
             (layer.freeze(x).forward(t)[0], row.freeze(x).forward(t)[0]),
             *zip(active_units(layer, x), active_units(row, x)),
             *((grads[name], row_grads[f"0.{name}"]) for name in ("scale", "shift"))]
    for mine, theirs in pairs:
        np.testing.assert_array_equal(mine, theirs)
    assert {array.dtype for array in (y, dx, *grads.values())} == {np.dtype(dtype)} and len(pairs) == 7
    assert not y[2].any() and not y[3].any() and y[0].any()


def test_normalisation_and_relu_obey_their_rules():
    check_layer(BatchNormReLU2d(3), np.random.default_rng(0).standard_normal((3, 5, 7, 2)), np.random.default_rng(1))


def test_normalisation_and_relu_let_what_is_not_a_number_be_seen():
    x = np.random.default_rng(0).standard_normal((2, 3, 3, 4))
    x[1, 0, 1, 2] = np.nan
    with pytest.raises(ValueError, match="overflowed"):
        BatchNormReLU2d(2).forward(x)
