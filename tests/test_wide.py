"""Nets of infinite width against other routes: closed forms, integrals, finite differences, and wide real nets."""

import math

import numpy as np
import pytest

from minishatter import gradients, intervals, nets, pointwise, stats, theory, wide
from minishatter.gradients import ensemble, pair_moments

SIGMAS = 4  # a true statement fails a test of 4 standard errors once in 16,000 draws, and the seeds are fixed


def rng(seed=0):
    return np.random.default_rng(seed)


def resnet_correlation(depth, beta=1.0, c=0.0):
    return wide.neuron_correlation(depth, c, skip=1.0, branch=beta)


X = np.array([-1.0, 1.0, 0.3, 2.0])  # -1 and 1 have uncorrelated signals if bias_std is 1


@pytest.mark.parametrize("depth", [1, 2, 4, 10, 24])
def test_neuron_gradients_are_products_of_k0(depth):
    R = wide.gradient_correlation(X, depth, wrt="neuron")
    assert R[0, 1] == pytest.approx(wide.neuron_correlation(depth), rel=1e-12)
    R = wide.gradient_correlation(X, depth, skip=0.8, branch=0.6, wrt="neuron")
    assert R[0, 1] == pytest.approx(wide.neuron_correlation(depth, skip=0.8, branch=0.6), rel=1e-12)


def test_input_gradients_of_one_layer_in_closed_form():
    """E[w^2 1(b > w) 1(b > -w)] for independent normal w, b is 1/4 - 1/(2 pi), half of its size at one input."""
    assert wide.gradient_correlation(X, 1)[0, 1] == pytest.approx(0.5 - 1 / np.pi, rel=1e-12)


@pytest.mark.parametrize("slope", [0.0, 0.25, 1.0])
def test_the_derivatives_are_those_of_the_covariance(slope):
    """d/dx and d^2/dx dy of K(x, y), three layers, against central differences; step 1e-4: error 1e-8."""
    def covariance(x, y):
        K = wide.first_layer(np.array([x, y]), 0.7)
        for _ in range(3):
            K = wide.rectifier(K, slope)
        return K

    x, y, h = 0.4, -1.1, 1e-4
    K = covariance(x, y)
    value = lambda i, j: covariance(x + i * h, y + j * h).xy[0, 1]
    assert K.xy_dx[0, 1] == pytest.approx((value(1, 0) - value(-1, 0)) / (2 * h), abs=1e-6)
    mixed = (value(1, 1) - value(1, -1) - value(-1, 1) + value(-1, -1)) / (4 * h**2)
    assert K.xy_dxdy[0, 1] == pytest.approx(mixed, abs=1e-6)


WIDE = {
    "feedforward": (nets.feedforward_layers, dict(hidden_bias_std=0.5), dict(hidden_bias_std=0.5)),
    "prelu": (nets.feedforward_layers, dict(activation="prelu", bias_std=0.5), dict(slope=0.25, bias_std=0.5)),
    "resnet": (nets.resnet_layers, dict(alpha=0.7, beta=0.5, norm=None, hidden_bias_std=1.0),
               dict(skip=0.7, branch=0.35, hidden_bias_std=1.0)),
    "highway": (nets.highway_layers, dict(gamma2=0.6), dict(skip=0.8, branch=0.6)),
}


@pytest.mark.parametrize("builder, build, options", WIDE.values(), ids=WIDE)
def test_a_wide_net_follows_its_covariance(builder, build, options):
    """400 nets of 100 units, 3 layers: R within 4 bootstrap deviations plus 0.05 for the finite width."""
    rng = np.random.default_rng(0)
    g = gradients.ensemble(lambda rng: builder(3, 100, **build, rng=rng), X, 400, 5)
    draws = [stats.correlation(g[rng.integers(400, size=400)]) for _ in range(100)]
    gap = np.abs(stats.correlation(g) - wide.gradient_correlation(X, 3, **options))
    assert (gap < 4 * np.std(draws, axis=0) + 0.05).all()


def test_looks_linear_nets_have_one_gradient():
    np.testing.assert_allclose(wide.gradient_correlation(X, 30, slope=1.0), 1.0, rtol=1e-12)


@pytest.mark.parametrize("wrt", ["input", "neuron"])
def test_it_is_a_correlation_matrix(wrt):
    """Symmetric, ones on the diagonal, positive semidefinite; also where x' = x and x' = -x are on the grid."""
    R = wide.gradient_correlation(gradients.grid(17), 8, skip=0.6, hidden_bias_std=0.1, wrt=wrt)
    np.testing.assert_allclose(R, R.T, atol=1e-13)
    np.testing.assert_allclose(np.diag(R), 1.0, rtol=1e-12)
    assert np.linalg.eigvalsh(R).min() > -1e-10


def test_skips_that_would_overflow_do_not():
    assert np.isfinite(wide.gradient_correlation(X, 3000, skip=1.0, hidden_bias_std=0.3)).all()


# Without the assumption.


def test_arc_cosine_functions_at_known_angles():
    """c = 1, 0, -1, 1/2: angles 0, pi/2, pi, pi/3."""
    c = np.array([1.0, 0.0, -1.0, 0.5])
    np.testing.assert_allclose(wide.k0(c), [1, 1 / 2, 0, 2 / 3], rtol=0, atol=1e-15)
    expected = [1, 1 / math.pi, 0, (math.sqrt(3) / 2 + math.pi / 3) / math.pi]
    np.testing.assert_allclose(wide.k1(c), expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("c", [-0.7, 0.0, 0.2, 0.95])
def test_arc_cosine_functions_are_gaussian_integrals(c):
    """k0 = 2 P(u, v > 0) and k1 = 2 E[relu(u) relu(v)] for u, v ~ N(0, 1) of correlation c."""
    u, w = rng().standard_normal((2, 200_000))
    v = c * u + math.sqrt(1 - c**2) * w
    for function, samples in ((wide.k0, 2.0 * (u > 0) * (v > 0)), (wide.k1, 2 * np.maximum(u, 0) * np.maximum(v, 0))):
        assert abs(samples.mean() - function(c)) < SIGMAS * samples.std() / math.sqrt(samples.size)


def test_k0_is_the_slope_of_k1():
    """The gradient's factor is the derivative of the signal's map: d k1 / dc = k0."""
    c, h = np.linspace(-0.9, 0.9, 7), 1e-5
    slope = (wide.k1(c + h) - wide.k1(c - h)) / (2 * h)
    np.testing.assert_allclose(slope, wide.k0(c), rtol=0, atol=1e-9)  # h^2 times a third derivative, and 1e-16 / h


@pytest.mark.parametrize("c", [1.1, np.nan, [0.0, -2.0]])
def test_arc_cosine_functions_refuse_what_is_no_correlation(c):
    with pytest.raises(ValueError, match="^c must be "):
        wide.k0(c)


FEEDFORWARD = {1: .5, 2: .302, 4: .142, 10: .0337, 24: .00546, 50: 9.1e-4}
RESNET = {1: .75, 4: .375, 10: .140, 24: .0328, 50: .0068}


@pytest.mark.parametrize("correlation, numbers", [(wide.neuron_correlation, FEEDFORWARD),
                                             (resnet_correlation, RESNET)])
def test_recursions_in_numbers(correlation, numbers):
    """From c = 0, to two or three digits."""
    for depth, R in numbers.items():
        assert correlation(depth) == pytest.approx(R, rel=0.007)  # half of the last digit of 9.1e-4, 6.8e-3


def test_recursions_begin_with_the_theorems_at_orthogonal_inputs():
    """k0(0) = 1/2 is the assumption; behind the first layer inputs are correlated, and R decays more slowly."""
    assert wide.neuron_correlation(1) == pytest.approx(theory.feedforward(1).correlation, rel=1e-15)
    assert resnet_correlation(1, 0.3) == pytest.approx(theory.resnet(1, 1.0, 0.3).correlation, rel=1e-15)
    assert wide.neuron_correlation(9) > 10 * theory.feedforward(9).correlation


def test_equal_inputs_have_equal_gradients():
    assert wide.neuron_correlation(50, 1.0) == resnet_correlation(50, 0.3, 1.0) == 1.0


# At x = -1 and 1 the signals of the first layer, w x + b with w, b ~ N(0, 1), have correlation 1 - x^2 = 0.
OPPOSITE = np.array([-1.0, 1.0])


def wide_feedforward(depth, rng):
    return nets.feedforward(depth, 200, rng=rng)


def wide_resnet(depth, rng):
    return nets.resnet(depth, 200, norm=None, rng=rng)


@pytest.mark.parametrize("build, correlation", [(wide_feedforward, wide.neuron_correlation),
                                           (wide_resnet, resnet_correlation)])
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_real_wide_nets_follow_the_recursion(build, correlation, depth):
    """The gradients df/dn of first-layer units n, over random nets: no assumption on who is active."""
    moments = pair_moments(lambda rng: build(depth, rng), OPPOSITE, (0, 1), runs=200, seed=7)
    interval = intervals.bootstrap_interval(moments, stats.pair_correlation, rng(), level=0.6827)
    error = (interval.high - interval.low) / 2  # one standard error
    assert abs(interval.value - correlation(depth)) < SIGMAS * error


@pytest.mark.parametrize("depth, R", [(1, 1 / 2 - 1 / math.pi), (4, -0.2834)])
def test_the_gradient_by_a_scalar_input_is_another_matter(depth, R):
    """df/dx = sum of w df/dn, and the same w made the signal: its R is the mixed derivative of Cov(f(x), f(x')).

    At depth 1 that is 2 E[w^2 (b > |w|)] = 1/2 - 1/pi, not 1/2. The deep net tends to a multiple of
    sqrt(1 + x^2), whose slopes at -1 and 1 are opposite: R tends to -1/2, not to 0.
    """
    g = ensemble(lambda rng: wide_feedforward(depth, rng), OPPOSITE, runs=1000, seed=8)
    product = g[:, 0] * g[:, 1]  # E g^2 = 1
    assert abs(product.mean() - R) < SIGMAS * product.std() / math.sqrt(product.size)
    assert abs(product.mean() - wide.neuron_correlation(depth)) > SIGMAS * product.std() / math.sqrt(product.size)


def test_where_the_mixed_derivative_comes_from():
    """Cov(f(x), f(x')) = sqrt(q q') k1(c) layer by layer, from x x' + 1; here at depth 4, by a second difference."""

    def covariance(x, y):
        variances, C = (x**2 + 1) * (y**2 + 1), x * y + 1
        for _ in range(4):
            C = math.sqrt(variances) * float(wide.k1(C / math.sqrt(variances)))
        return C

    h = 1e-4  # errors: h^2, and 1e-16 / h^2 = 1e-8
    corners = [(sx * sy, covariance(-1 + sx * h, 1 + sy * h)) for sx in (-1, 1) for sy in (-1, 1)]
    assert sum(sign * value for sign, value in corners) / (4 * h**2) == pytest.approx(-0.2834, abs=0.0001)


# Correlation maps.


@pytest.mark.parametrize("c", [-0.4, 0.0, 0.7])
def test_the_composed_slope_is_the_recursion(c):
    """For rectifiers, with and without skips: two ways to the same product."""
    for skip, branch in ((0.0, 1.0), (1.0, 1.0), (0.8, 0.6)):
        maps = [wide.skip_map(wide.rectifier_map(), skip, branch)] * 7
        assert wide.composed(maps, c) == pytest.approx(wide.neuron_correlation(7, c, skip=skip, branch=branch),
                                                       rel=1e-12)


MAPS = {"relu": wide.rectifier_map(), "leaky": wide.rectifier_map(0.3), "standardised": wide.rectifier_map(mean=False),
        "tanh": wide.activation_map(*pointwise.TANH, 0.5, *wide.critical(*pointwise.TANH, 0.5)),
        "gelu": wide.activation_map(*pointwise.GELU, 2.0, *wide.critical(*pointwise.GELU, 2.0)),
        "skip": wide.skip_map(wide.rectifier_map(), 1.0, 0.7)}


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
    assert wide.composed([each] * 5, 0.2) == pytest.approx(slope / each(1.0)[1]**5, rel=1e-7)


def test_quadrature_against_closed_forms():
    """erf: E[erf(u) erf(v)] = 2 / pi arcsin(2 q c / (1 + 2 q)), Williams 1998. A kink: to 1 / nodes."""
    for q in (0.1, 1.0):
        each = wide.activation_map(*pointwise.ERF, q)
        for c in (-0.5, 0.3, 0.999):
            angle = lambda c: math.asin(2 * q * c / (1 + 2 * q))
            assert each(c)[0] == pytest.approx(angle(c) / angle(1.0), abs=1e-12)
    kink = wide.activation_map(lambda z: np.maximum(z, 0), lambda z: (z > 0) * 1.0, weight=2.0, nodes=200)
    for c in (-0.5, 0.3):
        assert kink(c)[0] == pytest.approx(wide.k1(c), abs=1 / 200)
        assert kink(c)[1] == pytest.approx(wide.k0(c), abs=3 / 200)


def test_standardised_rectifiers_by_monte_carlo():
    """(relu - its mean) has the correlation that the map says, and 1 / (1 - 1/pi) of k0."""
    u, w = rng(3).standard_normal((2, 200_000))
    v = 0.6 * u + 0.8 * w
    r, s = np.maximum(u, 0), np.maximum(v, 0)
    products = (r - 1 / np.sqrt(2 * np.pi)) * (s - 1 / np.sqrt(2 * np.pi)) / ((1 - 1 / np.pi) / 2)
    C, slope = MAPS["standardised"](0.6)
    assert abs(products.mean() - C) < SIGMAS * products.std() / math.sqrt(products.size)
    assert slope == pytest.approx(wide.k0(0.6) * np.pi / (np.pi - 1))


def test_critical_weights_keep_variance_and_gradient():
    """tanh, 400,000 Gaussian signals; GELU's point with equal slopes (Roberts, Yaida & Hanin 2022): .173 and 1.983."""
    weight, bias = wide.critical(*pointwise.TANH, 0.5)
    z = np.sqrt(0.5) * rng(4).standard_normal(400_000)
    squares, slopes = np.tanh(z)**2, (1 - np.tanh(z)**2)**2
    assert abs(weight * squares.mean() + bias - 0.5) < SIGMAS * weight * squares.std() / math.sqrt(z.size)
    assert abs(weight * slopes.mean() - 1) < SIGMAS * weight * slopes.std() / math.sqrt(z.size)
    assert wide.critical(*pointwise.GELU, (3 + 17**0.5) / 2) == pytest.approx((1.983, 0.173), abs=5e-4)
