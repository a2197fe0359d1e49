"""Correlation maps against other routes: closed forms, integrals, differences, random nets, published numbers."""

import math

import numpy as np
import pytest

from minishatter import pointwise, theory
from minishatter.correlation_maps import (activation_map, composed, critical, k0, k1, neuron_correlation,
                                          rectifier_map, shaped, skip_map, tailored_slope)

SIGMAS = 4  # a true statement fails a test of 4 standard errors once in 16,000 draws, and the seeds are fixed


def rng(seed=0):
    return np.random.default_rng(seed)


def resnet_correlation(depth, beta=1.0, c=0.0):
    return neuron_correlation(depth, c, skip=1.0, branch=beta)


def test_arc_cosine_functions_at_known_angles():
    """c = 1, 0, -1, 1/2: angles 0, pi/2, pi, pi/3."""
    c = np.array([1.0, 0.0, -1.0, 0.5])
    np.testing.assert_allclose(k0(c), [1, 1 / 2, 0, 2 / 3], rtol=0, atol=1e-15)
    expected = [1, 1 / math.pi, 0, (math.sqrt(3) / 2 + math.pi / 3) / math.pi]
    np.testing.assert_allclose(k1(c), expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("c", [-0.7, 0.0, 0.2, 0.95])
def test_arc_cosine_functions_are_gaussian_integrals(c):
    """k0 = 2 P(u, v > 0) and k1 = 2 E[relu(u) relu(v)] for u, v ~ N(0, 1) of correlation c."""
    u, w = rng().standard_normal((2, 200_000))
    v = c * u + math.sqrt(1 - c**2) * w
    for function, samples in ((k0, 2.0 * (u > 0) * (v > 0)), (k1, 2 * np.maximum(u, 0) * np.maximum(v, 0))):
        assert abs(samples.mean() - function(c)) < SIGMAS * samples.std() / math.sqrt(samples.size)


def test_k0_is_the_slope_of_k1():
    """The gradient's factor is the derivative of the signal's map: d k1 / dc = k0."""
    c, h = np.linspace(-0.9, 0.9, 7), 1e-5
    slope = (k1(c + h) - k1(c - h)) / (2 * h)
    np.testing.assert_allclose(slope, k0(c), rtol=0, atol=1e-9)  # h^2 times a third derivative, and 1e-16 / h


@pytest.mark.parametrize("c", [1.1, np.nan, [0.0, -2.0]])
def test_arc_cosine_functions_refuse_what_is_no_correlation(c):
    with pytest.raises(ValueError, match="^c must be "):
        k0(c)


FEEDFORWARD = {1: .5, 2: .302, 4: .142, 10: .0337, 24: .00546, 50: 9.1e-4}
RESNET = {1: .75, 4: .375, 10: .140, 24: .0328, 50: .0068}


@pytest.mark.parametrize("correlation, numbers", [(neuron_correlation, FEEDFORWARD),
                                                  (resnet_correlation, RESNET)])
def test_recursions_in_numbers(correlation, numbers):
    """From c = 0, to two or three digits."""
    for depth, R in numbers.items():
        assert correlation(depth) == pytest.approx(R, rel=0.007)  # half of the last digit of 9.1e-4, 6.8e-3


def test_recursions_begin_with_the_theorems_at_orthogonal_inputs():
    """k0(0) = 1/2 is the assumption; behind the first layer inputs are correlated, and R decays more slowly."""
    assert neuron_correlation(1) == pytest.approx(theory.feedforward(1).correlation, rel=1e-15)
    assert resnet_correlation(1, 0.3) == pytest.approx(theory.resnet(1, 1.0, 0.3).correlation, rel=1e-15)
    assert neuron_correlation(9) > 10 * theory.feedforward(9).correlation


def test_equal_inputs_have_equal_gradients():
    assert neuron_correlation(50, 1.0) == resnet_correlation(50, 0.3, 1.0) == 1.0


def recursion(depth, c, skip, branch):
    """The product of (skip^2 + branch^2 k0(c)) / (skip^2 + branch^2), by hand."""
    total, R = skip**2 + branch**2, 1.0
    for _ in range(depth):
        R *= (skip**2 + branch**2 * float(k0(c))) / total
        c = (skip**2 * c + branch**2 * float(k1(c))) / total
    return R


@pytest.mark.parametrize("c", [-0.4, 0.0, 0.7])
def test_the_composed_slope_is_the_recursion(c):
    """For rectifiers, with and without skips: two ways to the same product."""
    for skip, branch in ((0.0, 1.0), (1.0, 1.0), (0.8, 0.6)):
        maps = [skip_map(rectifier_map(), skip, branch)] * 7
        assert composed(maps, c) == pytest.approx(recursion(7, c, skip, branch), rel=1e-12)
        assert neuron_correlation(7, c, skip=skip, branch=branch) == composed(maps, c)


MAPS = {"relu": rectifier_map(), "leaky": rectifier_map(0.3), "standardised": rectifier_map(mean=False),
        "tanh": activation_map(*pointwise.TANH, 0.5, *critical(*pointwise.TANH, 0.5)),
        "gelu": activation_map(*pointwise.GELU, 2.0, *critical(*pointwise.GELU, 2.0)),
        "skip": skip_map(rectifier_map(), 1.0, 0.7)}


@pytest.mark.parametrize("name", MAPS)
def test_a_map_keeps_1_and_its_slope_is_its_derivative(name):
    each, h = MAPS[name], 1e-5
    assert each(1.0)[0] == pytest.approx(1.0, abs=1e-12)
    for c in (-0.6, 0.0, 0.5):
        assert each(c)[1] == pytest.approx((each(c + h)[0] - each(c - h)[0]) / (2 * h), abs=1e-8)


@pytest.mark.parametrize("name", MAPS)
def test_r_is_the_slope_of_the_composed_map(name):
    """dC_L/dc by a difference of five layers at once, over the slope at 1."""
    each, h = MAPS[name], 1e-5

    def compose(c):
        for _ in range(5):
            c = each(c)[0]
        return c

    slope = (compose(0.2 + h) - compose(0.2 - h)) / (2 * h)
    assert composed([each] * 5, 0.2) == pytest.approx(slope / each(1.0)[1]**5, rel=1e-7)


def test_quadrature_against_closed_forms():
    """erf: E[erf(u) erf(v)] = 2 / pi arcsin(2 q c / (1 + 2 q)), Williams 1998. A kink: to 1 / nodes."""
    for q in (0.1, 1.0):
        each = activation_map(*pointwise.ERF, q)
        for c in (-0.5, 0.3, 0.999):
            angle = lambda c: math.asin(2 * q * c / (1 + 2 * q))
            assert each(c)[0] == pytest.approx(angle(c) / angle(1.0), abs=1e-12)
    kink = activation_map(lambda z: np.maximum(z, 0), lambda z: (z > 0) * 1.0, weight=2.0, nodes=200)
    for c in (-0.5, 0.3):
        assert kink(c)[0] == pytest.approx(k1(c), abs=1 / 200)
        assert kink(c)[1] == pytest.approx(k0(c), abs=3 / 200)


def test_standardised_rectifiers_by_monte_carlo():
    """(relu - its mean) has the correlation that the map says, and 1 / (1 - 1/pi) of k0."""
    u, w = rng(3).standard_normal((2, 200_000))
    v = 0.6 * u + 0.8 * w
    r, s = np.maximum(u, 0), np.maximum(v, 0)
    products = (r - 1 / np.sqrt(2 * np.pi)) * (s - 1 / np.sqrt(2 * np.pi)) / ((1 - 1 / np.pi) / 2)
    C, slope = MAPS["standardised"](0.6)
    assert abs(products.mean() - C) < SIGMAS * products.std() / math.sqrt(products.size)
    assert slope == pytest.approx(k0(0.6) * np.pi / (np.pi - 1))


def test_critical_weights_keep_variance_and_gradient():
    """tanh, 400,000 Gaussian signals; GELU's point with equal slopes (Roberts, Yaida & Hanin 2022): .173 and 1.983."""
    weight, bias = critical(*pointwise.TANH, 0.5)
    z = np.sqrt(0.5) * rng(4).standard_normal(400_000)
    squares, slopes = np.tanh(z)**2, (1 - np.tanh(z)**2)**2
    assert abs(weight * squares.mean() + bias - 0.5) < SIGMAS * weight * squares.std() / math.sqrt(z.size)
    assert abs(weight * slopes.mean() - 1) < SIGMAS * weight * slopes.std() / math.sqrt(z.size)
    assert critical(*pointwise.GELU, (3 + 17**0.5) / 2) == pytest.approx((1.983, 0.173), abs=5e-4)


def through(each, depth, c):
    for _ in range(depth):
        c = each(c)[0]
    return c


@pytest.mark.parametrize("depth", [20, 100])
def test_tailored_slopes_take_uncorrelated_signals_to_eta(depth):
    assert through(rectifier_map(tailored_slope(depth, 0.8)), depth, 0.0) == pytest.approx(0.8, abs=1e-9)


def test_few_rectifiers_stay_below_eta():
    assert tailored_slope(3) < 1e-12 and through(rectifier_map(), 3, 0.0) < 0.9


# Deep kernel shaping.

SHAPED = pytest.mark.parametrize("activation, depth", [(pointwise.TANH, 1), (pointwise.TANH, 50),
                                                       (pointwise.SOFTPLUS, 10), (pointwise.SOFTPLUS, 200)])


def gaussian_mean(function):
    """E[function(z)], z ~ N(0, 1), by the trapezoidal rule: to rounding for smooth functions."""
    z = np.linspace(-12, 12, 4001)
    return np.sum(function(z) * np.exp(-z**2 / 2)) * (z[1] - z[0]) / math.sqrt(2 * math.pi)


@SHAPED
def test_shaped_activations_meet_the_four_conditions(activation, depth):
    """By another quadrature, and Q' as the difference of Q."""
    value, slope = shaped(activation, depth)
    assert abs(gaussian_mean(value)) < 1e-10                                               # C(0) = E[phi_hat]^2
    assert gaussian_mean(lambda z: slope(z)**2) == pytest.approx(1.5**(1 / depth), abs=1e-10)  # C'(1)
    variance = lambda q: gaussian_mean(lambda z: value(math.sqrt(q) * z)**2)
    assert variance(1.0) == pytest.approx(1.0, abs=1e-10)
    assert gaussian_mean(lambda z: value(z) * slope(z) * z) == pytest.approx(1.0, abs=1e-10)   # Q'(1)
    assert (variance(1 + 1e-4) - variance(1 - 1e-4)) / 2e-4 == pytest.approx(1.0, abs=1e-7)


@SHAPED
def test_a_shaped_net_has_zeta_at_1_and_more_than_its_bound_at_0(activation, depth):
    each = activation_map(*shaped(activation, depth), nodes=256)
    assert each(1.0)[1]**depth == pytest.approx(1.5, abs=1e-9)
    R, slope_at_0 = composed([each] * depth), each(0.0)[1]**depth
    assert slope_at_0 >= 2 - 1.5 and R >= (2 - 1.5) / 1.5
    assert R == pytest.approx(slope_at_0 / 1.5, rel=1e-9)


@pytest.mark.parametrize("activation, alpha, beta, delta, gamma", [
    (pointwise.TANH, 0.07461073057540868, 0.5566915199964182, -0.5034378768692127, 18.002635964442558),
    (pointwise.SOFTPLUS, 0.18761008168267976, 0.40688063442262007, -0.9213466151411376, 8.878672543665223)])
def test_shaping_finds_the_numbers_of_its_authors(activation, alpha, beta, delta, gamma):
    """Those in the tests of their package (github.com/google-deepmind/dks), for a resnet of 33 blocks and zeta = 1.2.

    A block has three activations on its branch, of weight 0.64, and none on its skip, of weight 0.36, but in the
    first block of each of four groups. They solve for the activation's slope at 1 to about 1e-8.
    """
    def of_the_net(s):
        return s * np.prod([(0.36 * s + 0.64 * s**3) * (0.36 + 0.64 * s**3)**(blocks - 1) for blocks in (3, 4, 23, 3)])

    low, high = 1.0, 1.1
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if of_the_net(middle) < 1.2 else (low, middle)
    hat, u = shaped(activation, 1, low), np.linspace(-2, 2, 9)
    np.testing.assert_allclose(hat.value(u), gamma * (activation.value(alpha * u + beta) + delta), rtol=0, atol=1e-6)


def test_a_layer_of_shaped_units_does_what_its_map_says():
    """400,000 units that read two signals of correlation 0.3: mean squares 1, and the correlation C(0.3)."""
    hat = shaped(pointwise.TANH, 2)
    u, w = rng(5).standard_normal((2, 400_000))
    v = 0.3 * u + math.sqrt(1 - 0.3**2) * w
    C, slope = activation_map(*hat)(0.3)
    for samples, expected in ((hat.value(u)**2, 1.0), (hat.value(u) * hat.value(v), C),
                              (hat.slope(u) * hat.slope(v), slope)):
        assert abs(samples.mean() - expected) < SIGMAS * samples.std() / math.sqrt(samples.size)


def test_what_cannot_be_shaped_is_refused():
    """One layer of softplus does not get to a slope of 1.5, whatever alpha and beta."""
    with pytest.raises(ValueError, match="^activation must be"):
        shaped(pointwise.SOFTPLUS, 1)
