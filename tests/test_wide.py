"""The kernels of wide nets against three other routes: closed forms, finite differences, and wide real nets."""

import numpy as np
import pytest

from minishatter import gradients, nets, stats, theory, wide

X = np.array([-1.0, 1.0, 0.3, 2.0])  # -1 and 1 have uncorrelated signals if bias_std is 1


@pytest.mark.parametrize("depth", [1, 2, 4, 10, 24])
def test_neuron_gradients_are_products_of_k0(depth):
    R = wide.gradient_correlation(X, depth, wrt="neuron")
    assert R[0, 1] == pytest.approx(theory.feedforward_kernel(depth), rel=1e-12)
    R = wide.gradient_correlation(X, depth, skip=0.8, branch=0.6, wrt="neuron")
    assert R[0, 1] == pytest.approx(theory.resnet_kernel(depth, 0.6 / 0.8), rel=1e-12)


def test_input_gradients_of_one_layer_in_closed_form():
    """E[w^2 1(b > w) 1(b > -w)] for independent normal w, b is 1/4 - 1/(2 pi), half of its size at one input."""
    assert wide.gradient_correlation(X, 1)[0, 1] == pytest.approx(0.5 - 1 / np.pi, rel=1e-12)


@pytest.mark.parametrize("slope", [0.0, 0.25, 1.0])
def test_the_derivatives_are_those_of_the_kernel(slope):
    """q_x and q_xy of three layers against central differences of q; step 1e-4: error 1e-8 of order-one curvature."""
    def q(x, y):
        K = wide.first_layer(np.array([x, y]), 0.7)
        for _ in range(3):
            K = wide.rectifier(K, slope)
        return K

    x, y, h = 0.4, -1.1, 1e-4
    K = q(x, y)
    value = lambda i, j: q(x + i * h, y + j * h).q[0, 1]
    assert K.q_x[0, 1] == pytest.approx((value(1, 0) - value(-1, 0)) / (2 * h), abs=1e-6)
    mixed = (value(1, 1) - value(1, -1) - value(-1, 1) + value(-1, -1)) / (4 * h**2)
    assert K.q_xy[0, 1] == pytest.approx(mixed, abs=1e-6)


WIDE = {
    "feedforward": (nets.feedforward_layers, dict(hidden_bias_std=0.5), dict(hidden_bias_std=0.5)),
    "prelu": (nets.feedforward_layers, dict(activation="prelu", bias_std=0.5), dict(slope=0.25, bias_std=0.5)),
    "resnet": (nets.resnet_layers, dict(alpha=0.7, beta=0.5, norm=None, hidden_bias_std=1.0),
               dict(skip=0.7, branch=0.35, hidden_bias_std=1.0)),
    "highway": (nets.highway_layers, dict(gamma2=0.6), dict(skip=0.8, branch=0.6)),
}


@pytest.mark.parametrize("builder, build, kernel", WIDE.values(), ids=WIDE)
def test_a_wide_net_follows_its_kernel(builder, build, kernel):
    """400 nets of 100 units, 3 layers: R within 4 bootstrap deviations plus 0.05 for the finite width."""
    rng = np.random.default_rng(0)
    g = gradients.ensemble(lambda rng: builder(3, 100, **build, rng=rng), X, 400, 5)
    draws = [stats.correlation(g[rng.integers(400, size=400)]) for _ in range(100)]
    gap = np.abs(stats.correlation(g) - wide.gradient_correlation(X, 3, **kernel))
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
