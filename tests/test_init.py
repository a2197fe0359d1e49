"""Weights at initialisation: their moments, within standard errors, and the exact properties of orthogonal ones."""

import math

import numpy as np
import pytest

from minishatter import init
from minishatter.intervals import mean_interval

LEVEL = 0.9999  # of every interval: with fixed seeds, a test that passes once passes always


@pytest.fixture
def rng():
    return np.random.default_rng(17)


def assert_moments(W, variance):
    """Independent N(0, variance) entries: both moments within four standard errors."""
    assert abs(W.mean()) < 4 * np.sqrt(variance / W.size)
    assert abs(W.var() / variance - 1) < 4 * np.sqrt(2 / W.size)


DRAWS = {
    "normal": (lambda rng: init.normal(401, 103, 0.3, rng), 0.09),
    "he": (lambda rng: init.he(401, 103, rng), 2 / 401),
    "he, gain 1": (lambda rng: init.he(401, 103, rng, gain=1.0), 1 / 401),
    "he, gain 2 / (1 + 0.5^2)": (lambda rng: init.he(401, 103, rng, gain=1.6), 1.6 / 401),
    "glorot": (lambda rng: init.glorot(401, 103, rng), 2 / 504),
    "standardised": (lambda rng: init.standardised(401, 103, rng), 2 / (1 - 1 / np.pi) / 401),
    "standardised, gain 2": (lambda rng: init.standardised(401, 103, rng, gain=2.0), 2 / 401),
    "biases": (lambda rng: init.biases(40009, 0.7, rng), 0.49),
}


@pytest.mark.parametrize("name", DRAWS)
def test_the_variance_is_the_one_stated(name, rng):
    draw, variance = DRAWS[name]
    assert_moments(draw(rng), variance)


@pytest.mark.parametrize("draw", [init.he, init.glorot, init.orthogonal, init.looks_linear, init.standardised])
def test_weights_have_shape_fan_in_fan_out(draw, rng):
    assert draw(14, 11, rng).shape == (14, 11)
    assert draw(14, 17, rng).shape == (14, 17)


@pytest.mark.parametrize("draw", [init.he, init.glorot, init.orthogonal, init.looks_linear, init.standardised])
def test_the_same_seed_gives_the_same_weights(draw):
    once, again, other = (draw(14, 11, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(once, again) and not np.allclose(once, other)


def test_no_biases_draw_nothing(rng):
    before = rng.bit_generator.state
    assert not init.biases(11, 0.0, rng).any()
    assert rng.bit_generator.state == before


# What He weights are for.


def test_he_keeps_the_second_moment_forward(rng):
    """E[(relu(x) W)^2] = E[x^2] for symmetric x, over draws of x and W."""
    squares = []
    for _ in range(2000):
        x = rng.standard_normal(13)
        squares.append(np.mean((np.maximum(x, 0) @ init.he(13, 7, rng))**2))
    squares = mean_interval(np.array(squares), LEVEL)
    assert squares.low < 1 < squares.high


def test_he_keeps_the_second_moment_backward(rng):
    """E[dx^2] = fan_out / fan_in E[dy^2]: kept between layers of one width."""
    squares = []
    for _ in range(2000):
        x, dy = rng.standard_normal(13), rng.standard_normal(7)
        squares.append(np.mean(((x > 0) * (init.he(13, 7, rng) @ dy))**2))
    squares = mean_interval(np.array(squares), LEVEL)
    assert squares.low < 7 / 13 < squares.high


# Weights that add up to 0.


@pytest.mark.parametrize("gain", [2.0, 0.7])
@pytest.mark.parametrize("fan_in, fan_out", [(2, 5), (13, 7), (200, 1)])
def test_the_weights_of_a_standardised_unit_have_mean_0_and_one_size(fan_in, fan_out, gain, rng):
    W = init.standardised(fan_in, fan_out, rng, gain=gain)
    np.testing.assert_allclose(W.sum(axis=0), 0, atol=1e-12)  # rounding of some hundred terms
    np.testing.assert_allclose((W**2).mean(axis=0), gain / fan_in, rtol=1e-12)


def test_standardised_weights_keep_variance_and_uncorrelated_signals(rng):
    """From two orthogonal inputs: k(c) = (k1(c) - 1/pi) / (1 - 1/pi) is 0 at c = 0. He weights bring c to 1/pi."""
    moments = {init.he: [], init.standardised: []}
    for _ in range(400):
        z = rng.standard_normal((2, 200))
        for draw, rows in moments.items():
            y = np.maximum(z, 0) @ draw(200, 200, rng)
            rows.append([np.mean(y[0] * y[1]), np.mean(y**2)])
    for draw, c in ((init.he, 1 / np.pi), (init.standardised, 0.0)):
        interval = mean_interval(np.array(moments[draw]), LEVEL)
        assert (interval.low < [c, 1.0]).all() and (interval.high > [c, 1.0]).all()
        assert (interval.high - interval.low < 1 / np.pi).all()  # precise enough to tell 1/pi from 0


# Orthogonal weights.


@pytest.mark.parametrize("gain", [1.0, 2.5])
@pytest.mark.parametrize("fan_in, fan_out", [(11, 7), (7, 11), (7, 7), (1, 5), (5, 1)])
def test_orthogonal_columns_or_rows(fan_in, fan_out, gain, rng):
    """W^T W = gain I if W is tall, W W^T = gain I if it is wide."""
    W = init.orthogonal(fan_in, fan_out, rng, gain=gain)
    gram = W.T @ W if fan_in >= fan_out else W @ W.T
    np.testing.assert_allclose(gram, gain * np.eye(min(fan_in, fan_out)), atol=1e-14 * gain * 11)  # rounding of sums


def test_orthogonal_is_uniform(rng):
    """The trace of a uniform orthogonal matrix has mean 0 and variance 1; a bare QR has all signs on one side."""
    traces = np.array([np.trace(init.orthogonal(3, 3, rng)) for _ in range(4000)])
    for samples, expected in ((traces, 0), (traces**2, 1)):
        interval = mean_interval(samples, LEVEL)
        assert interval.low < expected < interval.high


@pytest.mark.parametrize("fan_out", [11, 7, 5])
def test_looks_linear_is_mirrored_and_orthogonal(fan_out, rng):
    """(W, -W): behind a CReLU, relu(x) W - relu(-x) W = x W."""
    half, mirror = np.split(init.looks_linear(14, fan_out, rng), 2)
    np.testing.assert_array_equal(mirror, -half)
    gram = half.T @ half if fan_out <= 7 else half @ half.T
    np.testing.assert_allclose(gram, np.eye(min(7, fan_out)), atol=1e-13)  # rounding of some ten terms
    x = rng.standard_normal((5, 7))
    rectified = np.concatenate([np.maximum(x, 0), np.maximum(-x, 0)], axis=1)
    np.testing.assert_allclose(rectified @ np.concatenate([half, mirror]), x @ half, atol=1e-13)


@pytest.mark.parametrize("shape, axis", [((6, 3), 0), ((3, 8, 2, 2), 1)])
def test_mirrored_parts_are_the_linear_part_and_the_part_of_the_modulus(shape, axis, rng):
    """A layer of weights W behind a CReLU is x S + |x| Delta."""
    W = rng.standard_normal(shape)
    S, Delta = init.mirrored_parts(W, axis)
    x = rng.standard_normal(shape[axis] // 2)
    crelu = np.concatenate([np.maximum(x, 0), np.maximum(-x, 0)])
    np.testing.assert_allclose(np.tensordot(crelu, W, (0, axis)),
                               np.tensordot(x, S, (0, axis)) + np.tensordot(abs(x), Delta, (0, axis)), rtol=1e-12)
    assert not init.mirrored_parts(init.looks_linear(14, 5, rng))[1].any()


@pytest.mark.parametrize("cut", [1.0, 2.0])
def test_truncated_weights_have_the_variance_of_a_cut_normal(cut):
    """1 - 2 c phi(c) / (2 Phi(c) - 1), by the textbook; the sample's is within 4 standard errors (kurtosis below 3)."""
    W = init.truncated(300, 400, np.random.default_rng(5), gain=1.0, cut=cut) * 300**0.5
    inside = math.erf(cut / math.sqrt(2))
    expected = 1 - 2 * cut * math.exp(-cut**2 / 2) / math.sqrt(2 * math.pi) / inside
    assert np.abs(W).max() <= cut
    assert abs(W.var() - expected) < 4 * expected * math.sqrt(2 / W.size)
