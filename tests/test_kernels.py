"""Each numba kernel against a NumPy twin of a few lines, and the row passes against the layer that they make fast."""

import numpy as np
import pytest

from minishatter import kernels
from minishatter.layers import Affine, BatchNorm, Center, PReLU, ReLU

SHAPES = [(3, 7), (5, 33), (1, 2), (4, 1), (1, 1)]  # units, points; a row of D holds twice as many numbers
EPS = 1e-5

# Kernel and twin add the same at most 33 numbers of size 1 in different orders: some 33 * 2e-16 apart, and the
# normalisation divides by a standard deviation that is not far below 1, or 1/sqrt(EPS) = 300 times more for 1 point.
ROUNDING = {"rtol": 1e-11, "atol": 1e-11}


def halves(D):
    """Values and tangents."""
    return np.split(D, 2, axis=1)


def twin_normalise(D, scale, shift):
    v, t = halves(D)
    gain = scale / np.sqrt(v.var(axis=1) + EPS)
    return np.concatenate([gain[:, None] * (v - v.mean(axis=1, keepdims=True)) + shift[:, None], gain[:, None] * t], 1)


def twin_center(D, scale, shift):
    v, t = halves(D)
    return np.concatenate([v - v.mean(axis=1, keepdims=True), t], 1)


def twin_rectify(D, slope):
    v, t = halves(D)
    return np.concatenate([np.where(v > 0, v, slope * v), np.where(v > 0, t, slope * t)], 1)


def twin_affine(D, scale, shift):
    v, t = halves(D)
    return np.concatenate([scale[:, None] * v + shift[:, None], scale[:, None] * t], 1)


def batch_norm(scale, shift):
    layer = BatchNorm(scale.size, EPS)
    layer.params["scale"][:], layer.params["shift"][:] = scale, shift
    return layer


# name: the kernel, its twin, its layer; each a function of the same arguments
KERNELS = {
    "normalise": (lambda D, scale, shift: kernels.normalise(D, scale, shift, EPS), twin_normalise, batch_norm),
    "center": (lambda D, scale, shift: kernels.center(D), twin_center, lambda scale, shift: Center()),
    "relu": (lambda D, scale, shift: kernels.rectify(D, 0.0), lambda D, *_: twin_rectify(D, 0.0),
             lambda scale, shift: ReLU()),
    "prelu": (lambda D, scale, shift: kernels.rectify(D, 0.3), lambda D, *_: twin_rectify(D, 0.3),
              lambda scale, shift: PReLU(0.3)),
    "affine": (kernels.affine, twin_affine, Affine),
}


@pytest.fixture(params=KERNELS)
def kernel_twin_layer(request):
    return KERNELS[request.param]


def draw(units, points, seed=1):
    """A random dual array, scale and shift; nothing is at its initial value."""
    rng = np.random.default_rng([seed, units, points])
    return rng.standard_normal((units, 2 * points)), rng.uniform(0.5, 2.0, units), rng.standard_normal(units)


@pytest.mark.parametrize("units, points", SHAPES)
def test_kernel_equals_its_twin(kernel_twin_layer, units, points):
    kernel, twin, _ = kernel_twin_layer
    D, scale, shift = draw(units, points)
    expected = twin(D.copy(), scale, shift)
    kernel(D, scale, shift)
    np.testing.assert_allclose(D, expected, **ROUNDING)


@pytest.mark.parametrize("units, points", SHAPES)
def test_kernel_is_the_frozen_layer(kernel_twin_layer, units, points):
    """Values by forward, tangents by tangent, with the batch statistics held."""
    kernel, _, make_layer = kernel_twin_layer
    D, scale, shift = draw(units, points)
    v, t = (half.T for half in halves(D.copy()))
    frozen = make_layer(scale, shift).freeze(v)
    y, cache = frozen.forward(v)
    kernel(D, scale, shift)
    np.testing.assert_allclose(D, np.concatenate([y, frozen.tangent(t, cache)]).T, **ROUNDING)


def test_kernel_works_in_place_and_leaves_its_parameters(kernel_twin_layer):
    kernel = kernel_twin_layer[0]
    D, scale, shift = draw(3, 7)
    before, parameters = D.copy(), (scale.copy(), shift.copy())
    assert kernel(D, scale, shift) is None
    assert not np.array_equal(D, before)
    np.testing.assert_array_equal((scale, shift), parameters)


def test_normalise_gives_each_unit_the_mean_and_deviation_of_its_parameters():
    D, scale, shift = draw(3, 31)
    kernels.normalise(D, scale, shift, 0.0)
    np.testing.assert_allclose(halves(D)[0].mean(axis=1), shift, **ROUNDING)
    np.testing.assert_allclose(halves(D)[0].std(axis=1), scale, **ROUNDING)


def test_normalise_survives_a_large_mean():
    """Two passes: the mean first. E x^2 - (E x)^2 in one pass would lose every digit here."""
    D, scale, shift = draw(3, 31)
    shifted = D.copy()
    shifted[:, :31] += 1e8
    kernels.normalise(D, scale, shift, EPS)
    kernels.normalise(shifted, scale, shift, EPS)
    # adding 1e8 rounds the values to 1e8 * 2^-53 = 1e-8; scale and 1/std make it a few times more
    np.testing.assert_allclose(shifted, D, rtol=0, atol=3e-7)


def test_rectify_takes_zero_as_inactive_like_the_layer():
    D = np.array([[0.0, -0.0, 5.0, 7.0]])
    kernels.rectify(D, 0.0)
    np.testing.assert_array_equal(D, [[0, 0, 0, 0]])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_no_kernel_hides_nan_or_infinity(kernel_twin_layer, bad):
    """A value or tangent that overflowed must still show at the end of the net."""
    kernel = kernel_twin_layer[0]
    D, scale, shift = draw(2, 3)
    D[0, 0], D[0, 3] = abs(D[0, 0]), bad  # an active unit with a bad tangent
    kernel(D, scale, shift)
    assert not np.isfinite(D[0, 3])
    assert np.isfinite(D[1]).all()


# Pieces of an interval: a point for each, its midpoint.


@pytest.mark.parametrize("units, pieces", SHAPES)
def test_zeros_equals_its_twin(units, pieces):
    """Some inside, some outside, some units without a slope, one reach negative."""
    D, _, _ = draw(units, pieces)
    D[0, pieces:] = 0.0
    reach = np.random.default_rng(2).uniform(0.1, 2.0, pieces)
    reach[-1] = -0.1
    v, t = halves(D)
    unit, piece = np.nonzero(np.abs(v) < np.abs(t) * reach)
    found, offset = kernels.zeros(D, reach)
    np.testing.assert_array_equal(found, piece)
    np.testing.assert_array_equal(offset, -v[unit, piece] / t[unit, piece])
    assert (np.abs(offset) < reach[piece]).all()


@pytest.mark.parametrize("units, pieces", SHAPES)
def test_cut_equals_its_twin(units, pieces):
    D, _, _ = draw(units, pieces)
    parent = np.sort(np.random.default_rng(3).integers(pieces, size=2 * pieces + 1))
    shift = np.random.default_rng(4).standard_normal(parent.size)
    v, t = (half[:, parent] for half in halves(D.copy()))
    np.testing.assert_allclose(kernels.cut(D, parent, shift), np.concatenate([v + t * shift, t], axis=1), **ROUNDING)


def test_zeros_and_cut_let_nan_and_infinity_through():
    """No zero is found in them, and they still show in the finer pieces."""
    D = np.array([[np.nan, 0.1, np.inf, 1.0, 1.0, 1.0], [0.1, 0.1, 0.1, np.nan, np.inf, 0.0]])
    piece, offset = kernels.zeros(D, np.ones(3))
    np.testing.assert_array_equal((piece, offset), [[1, 1], [-0.1, 0.0]])
    assert np.isfinite(kernels.cut(D, np.arange(3), np.ones(3))).sum() == 6
