"""Nets of infinite width against other routes: closed forms, integrals, finite differences, and wide real nets."""

import math

import numpy as np
import pytest

from minishatter import gradients, intervals, nets, stats, wide
from minishatter.correlation_maps import k1, neuron_correlation
from minishatter.gradients import ensemble, pair_moments

SIGMAS = 4  # a true statement fails a test of 4 standard errors once in 16,000 draws, and the seeds are fixed


def rng(seed=0):
    return np.random.default_rng(seed)


def resnet_correlation(depth, beta=1.0, c=0.0):
    return neuron_correlation(depth, c, skip=1.0, branch=beta)


X = np.array([-1.0, 1.0, 0.3, 2.0])  # -1 and 1 have uncorrelated signals if bias_std is 1


@pytest.mark.parametrize("depth", [1, 2, 4, 10, 24])
def test_neuron_gradients_are_products_of_k0(depth):
    R = wide.gradient_correlation(X, depth, wrt="neuron")
    assert R[0, 1] == pytest.approx(neuron_correlation(depth), rel=1e-12)
    R = wide.gradient_correlation(X, depth, skip=0.8, branch=0.6, wrt="neuron")
    assert R[0, 1] == pytest.approx(neuron_correlation(depth, skip=0.8, branch=0.6), rel=1e-12)


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

# At x = -1 and 1 the signals of the first layer, w x + b with w, b ~ N(0, 1), have correlation 1 - x^2 = 0.
OPPOSITE = np.array([-1.0, 1.0])


def wide_feedforward(depth, rng):
    return nets.feedforward(depth, 200, rng=rng)


def wide_resnet(depth, rng):
    return nets.resnet(depth, 200, norm=None, rng=rng)


@pytest.mark.parametrize("build, correlation", [(wide_feedforward, neuron_correlation),
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
    assert abs(product.mean() - neuron_correlation(depth)) > SIGMAS * product.std() / math.sqrt(product.size)


def test_where_the_mixed_derivative_comes_from():
    """Cov(f(x), f(x')) = sqrt(q q') k1(c) layer by layer, from x x' + 1; here at depth 4, by a second difference."""

    def covariance(x, y):
        variances, C = (x**2 + 1) * (y**2 + 1), x * y + 1
        for _ in range(4):
            C = math.sqrt(variances) * float(k1(C / math.sqrt(variances)))
        return C

    h = 1e-4  # errors: h^2, and 1e-16 / h^2 = 1e-8
    corners = [(sx * sy, covariance(-1 + sx * h, 1 + sy * h)) for sx in (-1, 1) for sy in (-1, 1)]
    assert sum(sign * value for sign, value in corners) / (4 * h**2) == pytest.approx(-0.2834, abs=0.0001)
