"""Vectors against NumPy, the tables of `reads` against arrays padded by hand, and what the kernels promise.

Convolution itself is checked against its six loops in test_conv.py.
"""

import numba
import numpy as np
import pytest

from minishatter.images.conv import Conv2d
from minishatter.images.kernels import reads
from minishatter.images.vectors import add_product, add_up, fill, lanes, load, store


@numba.njit
def all_of_them(x, y):
    """y[1], ... <- 3 + x[2], ... x[2 + lanes], ...; returns the sum and the lanes."""
    total = add_product(fill(x, 3), load(x, 2), load(x, 2 + lanes(x)))
    store(y, 1, total)
    return add_up(total), lanes(x)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_vectors_do_what_they_say(dtype):
    x = np.random.default_rng(0).standard_normal(300).astype(dtype)
    y = np.full(300, 7, dtype)
    total, size = all_of_them(x, y)
    assert size == lanes(x) and size * x.itemsize in (32, 128)
    expected = 3 + x[2:2 + size] * x[2 + size:2 + 2 * size]
    precision = np.finfo(dtype).eps
    np.testing.assert_allclose(y[1:1 + size], expected, rtol=4 * precision)  # the product may be rounded or not
    assert abs(total - expected.sum()) < size * precision * np.abs(expected).sum()
    assert y[0] == 7 and np.all(y[1 + size:] == 7)


@pytest.mark.parametrize("inputs, taps, stride, padding", [(7, 3, 1, 1), (5, 3, 2, 1), (11, 5, 3, 2), (6, 1, 2, 0),
                                                           (5, 2, 1, 1), (4, 3, 1, 0), (9, 3, 5, 2)])
@pytest.mark.parametrize("spacing", [1, 2, 3])
def test_the_tables_say_what_a_padded_and_spread_array_holds(inputs, taps, stride, padding, spacing):
    numbers = np.full(padding + (inputs - 1) * spacing + 1 + padding + 20, -1)  # -1 for a zero; zeros for ever after
    numbers[padding:padding + inputs * spacing:spacing] = np.arange(inputs)
    outputs = (inputs * spacing + 2 * padding - taps) // stride + 1
    expected = [numbers[i * stride:i * stride + taps] for i in range(outputs)]
    np.testing.assert_array_equal(reads(outputs, inputs, taps, stride, padding, spacing), expected)


def example(dtype=np.float32):
    """A convolution with two whole vectors and a part of one, a whole block of outs and a part of one."""
    rng = np.random.default_rng(1)
    layer = Conv2d(rng.standard_normal((11, 5, 3, 3)).astype(dtype), rng.standard_normal(11).astype(dtype))
    x = rng.standard_normal((5, 4, 9, 70)).astype(dtype)
    return layer, x, rng.standard_normal((11, 4, 9, 70)).astype(dtype)


def test_results_do_not_depend_on_the_number_of_threads():
    layer, x, dy = example()

    def results():
        y, cache = layer.forward(x)
        dx, grads = layer.backward(dy, cache)
        return y, dx, grads["W"], grads["b"]

    threads = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        alone = results()
    finally:
        numba.set_num_threads(threads)
    for one, many in zip(alone, results()):
        np.testing.assert_array_equal(one, many)


@np.errstate(invalid="ignore")  # without the JIT NumPy warns of inf - inf
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_shows_where_it_is_seen_and_nowhere_else(bad):
    layer, x, dy = example()
    x[2, 0, 3, 41] = bad
    seen = np.zeros((11, 4, 9, 70), bool)
    seen[:, :2, 2:5, 41] = True
    y, cache = layer.forward(x)
    np.testing.assert_array_equal(np.isfinite(y), ~seen)
    _, grads = layer.backward(dy, cache)
    np.testing.assert_array_equal(np.isfinite(grads["W"]).all(axis=(0, 2, 3)), np.arange(5) != 2)


def test_images_of_a_batch_do_not_meet():
    """A batch is filled up to whole vectors; each image comes out as it does alone."""
    layer, x, dy = example(np.float64)
    y, cache = layer.forward(x)
    dx, _ = layer.backward(dy, cache)
    for n in (0, 33, 69):
        alone, cache = layer.forward(x[..., n:n + 1])
        np.testing.assert_array_equal(alone, y[..., n:n + 1])
        np.testing.assert_array_equal(layer.backward(dy[..., n:n + 1], cache)[0], dx[..., n:n + 1])


def test_a_gradient_in_double_precision_may_meet_images_in_single():
    layer, x, dy = example()
    _, cache = layer.forward(x)
    dx, grads = layer.backward(dy.astype(np.float64), cache)
    single, single_grads = layer.backward(dy, cache)
    np.testing.assert_array_equal(dx, single)
    np.testing.assert_array_equal(grads["W"], single_grads["W"])
