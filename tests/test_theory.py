"""Every closed form by an independent route: another recursion, a sum over paths, Monte Carlo, or known numbers."""

import itertools
import math

import numpy as np
import pytest

from minishatter import nets, stats, theory
from minishatter.compose import Chain, active_units
from minishatter.gradients import ensemble, input_gradient, pair_moments
from minishatter.layers import Dense, ReLU

SIGMAS = 4  # a true statement fails a test of 4 standard errors once in 16,000 draws, and the seeds are fixed
DEPTHS = pytest.mark.parametrize("depth", [1, 2, 5, 24])


def rng(seed=0):
    return np.random.default_rng(seed)


# The theorems, by recursion. Write S (2, 2) for the second moments E[t_i t_j] of one unit at two inputs. A layer
# t <- skip t + branch W (gate t) / std adds up, over width units, 2 / width times P(both active) times S; skip and
# branch do not mix, because W has mean 0.
BOTH_ACTIVE = np.array([[1 / 2, 1 / 4], [1 / 4, 1 / 2]])


def second_moments(layers):
    """Variance, covariance and correlation behind layers (skip, branch, std)."""
    S = np.ones((2, 2))
    for skip, branch, std in layers:
        S = skip**2 * S + (branch / std)**2 * 2 * BOTH_ACTIVE * S
    return S[0, 0], S[0, 1], S[0, 1] / S[0, 0]


def normalised(depth, beta):
    """The layers of Theorem 3: the signal starts at variance 1 and each branch, normalised before, adds beta^2."""
    variances = itertools.accumulate([1.0] + [beta**2] * (depth - 1))
    return [(1.0, beta, math.sqrt(variance)) for variance in variances][:depth - 1]


@DEPTHS
def test_theorem_1_by_recursion(depth):
    assert theory.feedforward(depth) == pytest.approx(second_moments([(0.0, 1.0, 1.0)] * depth), rel=1e-12)


@DEPTHS
@pytest.mark.parametrize("alpha, beta", [(1.0, 1.0), (math.sqrt(0.5), 1.0), (0.9, 0.3), (1.0, 0.0)])
def test_theorem_2_by_recursion(depth, alpha, beta):
    expected = second_moments([(alpha, alpha * beta, 1.0)] * depth)
    assert theory.resnet(depth, alpha, beta) == pytest.approx(expected, rel=1e-12)


@DEPTHS
def test_theorem_2_by_paths(depth):
    """C(L, k) paths take k branches; the weights' second moment is 1 for each, and both inputs agree in half."""
    paths = [math.comb(depth, k) for k in range(depth + 1)]
    moments = theory.resnet(depth)
    assert moments.variance == sum(paths) == 2.0**depth
    assert moments.covariance == pytest.approx(sum(n * 0.5**k for k, n in enumerate(paths)), rel=1e-13)


@DEPTHS
def test_rescaling_by_alpha_keeps_the_correlation(depth):
    """alpha = 1/sqrt 2 brings the variance from 2^L to 1; R stays (3/4)^L."""
    plain, rescaled = theory.resnet(depth), theory.resnet(depth, alpha=math.sqrt(0.5))
    assert rescaled == pytest.approx((1.0, 0.75**depth, plain.correlation), rel=1e-12)


@DEPTHS
@pytest.mark.parametrize("beta", [1.0, 0.1, 0.0])
def test_theorem_3_by_recursion(depth, beta):
    assert theory.batchnorm_resnet(depth, beta) == pytest.approx(second_moments(normalised(depth, beta)), rel=1e-12)


@pytest.mark.parametrize("beta", [1.0, 0.3, 0.1])
def test_theorem_3_telescopes(beta):
    """1 + beta^2 / v_l = v_{l+1} / v_l, so the product is v_{L-1} / v_0 = beta^2 (L - 1) + 1."""
    depth = 50
    product = math.prod(1 + beta**2 / (beta**2 * l + 1) for l in range(depth - 1))
    assert theory.batchnorm_resnet(depth, beta).variance == pytest.approx(product, rel=1e-12)


# R at L = 2, 4, 10, 24, 50, 100, to three digits.
THEOREM_3 = {1.0: [.750, .547, .352, .229, .159, .113], 0.1: [.995, .985, .958, .902, .820, .709]}


@pytest.mark.parametrize("beta", THEOREM_3)
def test_theorem_3_in_numbers(beta):
    R = [theory.batchnorm_resnet(depth, beta).correlation for depth in (2, 4, 10, 24, 50, 100)]
    np.testing.assert_allclose(R, THEOREM_3[beta], rtol=0, atol=0.0005)  # half of the last digit


@pytest.mark.parametrize("beta", [2.0, 1.0, 0.5, 0.2])
def test_theorem_3_in_gamma_functions(beta):
    """With a = 1 / beta^2 the product is Gamma(L + a - 1/2) Gamma(a + 1) / (Gamma(L + a) Gamma(a + 1/2))."""
    a, depth, log_gamma = 1 / beta**2, 40, math.lgamma
    R = math.exp(log_gamma(depth + a - 0.5) + log_gamma(a + 1) - log_gamma(depth + a) - log_gamma(a + 0.5))
    assert theory.batchnorm_resnet(depth, beta).correlation == pytest.approx(R, rel=1e-12)


@pytest.mark.parametrize("beta, constant", [(1.0, 1.128), (0.1, 1.001)])
def test_the_asymptote_leaves_out_a_constant(beta, constant):
    """R beta sqrt L tends to 2 / sqrt pi for beta = 1, and the constant is closer to 1 for smaller beta."""
    depth = 10**6  # corrections are of relative order 1 / (beta^2 L) = 1e-4
    ratio = theory.batchnorm_resnet(depth, beta).correlation / theory.batchnorm_resnet_asymptote(depth, beta)
    assert ratio == pytest.approx(constant, abs=0.0005)


@pytest.mark.parametrize("depth, beta", [(99, 0.1), (3, 0.5), (1, 0.9)])
def test_the_asymptote_is_refused_where_it_exceeds_one(depth, beta):
    with pytest.raises(ValueError, match="exceeds 1"):
        theory.batchnorm_resnet_asymptote(depth, beta)
    assert theory.batchnorm_resnet_asymptote(math.ceil(1 / beta**2), beta) <= 1


@pytest.mark.parametrize("n", range(1, 30))
def test_the_asymptote_begins_at_one(n):
    """L = n^2 for beta = 1/n, also where 1/n is rounded."""
    assert theory.batchnorm_resnet_asymptote(n**2, 1 / n) == pytest.approx(1.0)


@DEPTHS
@pytest.mark.parametrize("gamma2", [0.0, 0.3, 1.0])
def test_corollary_1_by_recursion(depth, gamma2):
    expected = second_moments([(math.sqrt(1 - gamma2**2), gamma2, 1.0)] * depth)
    assert theory.highway(depth, gamma2) == pytest.approx(expected, rel=1e-12)


def test_corollary_1_tends_to_one_over_sqrt_e():
    """(1 - 1 / (2 L))^L; the correction is of relative order 1 / (8 L)."""
    depth = 10**6
    assert theory.highway(depth, math.sqrt(1 / depth)).correlation == pytest.approx(math.exp(-0.5), abs=1e-6)


# The theorems, by Monte Carlo: nets whose gates are coin flips.

GATED = {
    "Theorem 1": (theory.feedforward(3), {"depth": 3}),
    "Theorem 2": (theory.resnet(4), {"depth": 4, "skip": 1.0}),
    "Theorem 2, rescaled": (theory.resnet(4, 0.8, 0.5), {"depth": 4, "skip": 0.8, "branch": 0.4}),
    "Theorem 3": (theory.batchnorm_resnet(5), {"depth": 4, "skip": 1.0, "normalise": True}),
    "Theorem 3, beta": (theory.batchnorm_resnet(5, 0.5), {"depth": 4, "skip": 1.0, "branch": 0.5, "normalise": True}),
    "Corollary 1": (theory.highway(4, 0.5), {"depth": 4, "skip": math.sqrt(0.75), "branch": 0.5}),
}


@pytest.mark.parametrize("moments, setting", GATED.values(), ids=GATED)
def test_gated_nets_have_the_moments_of_the_theorem(moments, setting):
    gradients = theory.gated_gradients(width=16, runs=4000, rng=rng(), **setting)
    assert gradients.shape == (4000, 2)
    for product, expected in ((gradients[:, 0]**2, moments.variance), (gradients[:, 1]**2, moments.variance),
                              (gradients[:, 0] * gradients[:, 1], moments.covariance)):
        assert abs(product.mean() - expected) < SIGMAS * product.std() / math.sqrt(product.size)


def test_gated_moments_do_not_need_width():
    product = theory.gated_gradients(2, 1, 40_000, rng()).prod(axis=1)
    assert abs(product.mean() - 1 / 4) < SIGMAS * product.std() / math.sqrt(product.size)


# Without the assumption.


def test_kernels_at_known_angles():
    """c = 1, 0, -1, 1/2: angles 0, pi/2, pi, pi/3."""
    c = np.array([1.0, 0.0, -1.0, 0.5])
    np.testing.assert_allclose(theory.k0(c), [1, 1 / 2, 0, 2 / 3], rtol=0, atol=1e-15)
    expected = [1, 1 / math.pi, 0, (math.sqrt(3) / 2 + math.pi / 3) / math.pi]
    np.testing.assert_allclose(theory.k1(c), expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("c", [-0.7, 0.0, 0.2, 0.95])
def test_kernels_are_gaussian_integrals(c):
    """k0 = 2 P(u, v > 0) and k1 = 2 E[relu(u) relu(v)] for u, v ~ N(0, 1) of correlation c."""
    u, w = rng().standard_normal((2, 200_000))
    v = c * u + math.sqrt(1 - c**2) * w
    for kernel, samples in ((theory.k0, 2.0 * (u > 0) * (v > 0)), (theory.k1, 2 * np.maximum(u, 0) * np.maximum(v, 0))):
        assert abs(samples.mean() - kernel(c)) < SIGMAS * samples.std() / math.sqrt(samples.size)


def test_k0_is_the_slope_of_k1():
    """The gradient's factor is the derivative of the signal's map: d k1 / dc = k0."""
    c, h = np.linspace(-0.9, 0.9, 7), 1e-5
    slope = (theory.k1(c + h) - theory.k1(c - h)) / (2 * h)
    np.testing.assert_allclose(slope, theory.k0(c), rtol=0, atol=1e-9)  # h^2 times a third derivative, and 1e-16 / h


@pytest.mark.parametrize("c", [1.1, np.nan, [0.0, -2.0]])
def test_kernels_refuse_what_is_no_correlation(c):
    with pytest.raises(ValueError, match="correlation"):
        theory.k0(c)


FEEDFORWARD_KERNEL = {1: .5, 2: .302, 4: .142, 10: .0337, 24: .00546, 50: 9.1e-4}
RESNET_KERNEL = {1: .75, 4: .375, 10: .140, 24: .0328, 50: .0068}


@pytest.mark.parametrize("kernel, numbers", [(theory.feedforward_kernel, FEEDFORWARD_KERNEL),
                                             (theory.resnet_kernel, RESNET_KERNEL)])
def test_kernel_recursions_in_numbers(kernel, numbers):
    """From c = 0, to two or three digits."""
    for depth, R in numbers.items():
        assert kernel(depth) == pytest.approx(R, rel=0.007)  # half of the last digit of 9.1e-4, 6.8e-3


def test_kernel_recursions_begin_with_the_theorems_at_orthogonal_inputs():
    """k0(0) = 1/2 is the assumption; behind the first layer inputs are correlated, and R decays more slowly."""
    assert theory.feedforward_kernel(1) == pytest.approx(theory.feedforward(1).correlation, rel=1e-15)
    assert theory.resnet_kernel(1, 0.3) == pytest.approx(theory.resnet(1, 1.0, 0.3).correlation, rel=1e-15)
    assert theory.feedforward_kernel(9) > 10 * theory.feedforward(9).correlation


def test_equal_inputs_have_equal_gradients():
    assert theory.feedforward_kernel(50, 1.0) == theory.resnet_kernel(50, 0.3, 1.0) == 1.0


# At x = -1 and 1 the signals of the first layer, w x + b with w, b ~ N(0, 1), have correlation 1 - x^2 = 0.
OPPOSITE = np.array([-1.0, 1.0])


def wide_feedforward(depth, rng):
    return nets.feedforward(depth, 200, rng=rng)


def wide_resnet(depth, rng):
    return nets.resnet(depth, 200, norm=None, rng=rng)


@pytest.mark.parametrize("build, kernel", [(wide_feedforward, theory.feedforward_kernel),
                                           (wide_resnet, theory.resnet_kernel)])
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_real_wide_nets_follow_the_kernels(build, kernel, depth):
    """The gradients df/dn of first-layer units n, over random nets: no assumption on who is active."""
    moments = pair_moments(lambda rng: build(depth, rng), OPPOSITE, (0, 1), runs=200, seed=7)
    interval = stats.bootstrap_interval(moments, stats.pair_correlation, rng(), level=0.6827)
    error = (interval.high - interval.low) / 2  # one standard error
    assert abs(interval.value - kernel(depth)) < SIGMAS * error


@pytest.mark.parametrize("depth, R", [(1, 1 / 2 - 1 / math.pi), (4, -0.2834)])
def test_the_gradient_by_a_scalar_input_is_another_matter(depth, R):
    """df/dx = sum of w df/dn, and the same w made the signal: its R is the mixed derivative of Cov(f(x), f(x')).

    At depth 1 that is 2 E[w^2 (b > |w|)] = 1/2 - 1/pi, not 1/2. The deep net tends to a multiple of
    sqrt(1 + x^2), whose slopes at -1 and 1 are opposite: R tends to -1/2, not to 0.
    """
    g = ensemble(lambda rng: wide_feedforward(depth, rng), OPPOSITE, runs=1000, seed=8)
    product = g[:, 0] * g[:, 1]  # E g^2 = 1
    assert abs(product.mean() - R) < SIGMAS * product.std() / math.sqrt(product.size)
    assert abs(product.mean() - theory.feedforward_kernel(depth)) > SIGMAS * product.std() / math.sqrt(product.size)


def test_where_the_mixed_derivative_comes_from():
    """Cov(f(x), f(x')) = sqrt(q q') k1(c) layer by layer, from x x' + 1; here at depth 4, by a second difference."""

    def covariance(x, y):
        variances, C = (x**2 + 1) * (y**2 + 1), x * y + 1
        for _ in range(4):
            C = math.sqrt(variances) * float(theory.k1(C / math.sqrt(variances)))
        return C

    h = 1e-4  # errors: h^2, and 1e-16 / h^2 = 1e-8
    corners = [(sx * sy, covariance(-1 + sx * h, 1 + sy * h)) for sx in (-1, 1) for sy in (-1, 1)]
    assert sum(sign * value for sign, value in corners) / (4 * h**2) == pytest.approx(-0.2834, abs=0.0001)


# Paths.


def paths_of(net, x):
    """Weights and active units of a feedforward net at one input x, and the list of its active paths."""
    weights = [layer.params["W"] for layer in net.layers if isinstance(layer, Dense)]
    active = [pattern[0] for pattern in active_units(net, np.array([[x]]))]
    return active, list(theory.active_paths(weights, active))


@pytest.mark.parametrize("depth, width", [(1, 7), (2, 5), (3, 4), (4, 3)])
def test_the_gradient_is_the_sum_over_active_paths(depth, width):
    net = nets.feedforward(depth, width, hidden_bias_std=0.5, rng=rng(depth))
    x = np.array([-1.3, 0.4, 1.7])
    gradient = input_gradient(net, x)
    for i in range(3):
        active, paths = paths_of(net, x[i])
        assert len(paths) == math.prod(int(a.sum()) for a in active)
        assert len({tuple(units) for units, _ in paths}) == len(paths)
        assert all(a[u] for units, _ in paths for a, u in zip(active, units, strict=True))
        # some 80 products, in other orders
        assert math.fsum(product for _, product in paths) == pytest.approx(gradient[i], abs=1e-13)


def test_a_path_by_hand():
    weights = [np.array([[2.0, 3.0]]), np.array([[5.0], [7.0]])]
    assert list(theory.active_paths(weights, [[True, True]])) == [([0], 10.0), ([1], 21.0)]
    assert list(theory.active_paths(weights, [[False, True]])) == [([1], 21.0)]


def test_no_active_path_is_no_gradient():
    """One silent layer cuts every path."""
    net = nets.feedforward(3, 4, rng=rng())
    net.layers[2].params["b"][:] = -100.0
    assert paths_of(net, 0.5)[1] == []
    assert input_gradient(net, [0.5, 0.6])[0] == 0.0


def test_paths_refuse_what_does_not_chain():
    with pytest.raises(ValueError, match="must chain"):
        list(theory.active_paths([np.ones((1, 2)), np.ones((3, 1))], [[True, True]]))


# Brownian motion.

TIMES = np.cumsum([0.02, 0.01, 0.05, 0.1, 0.02, 0.2, 0.04, 0.3, 0.01])  # 8 steps of very different length
DT = np.diff(TIMES)


def walk(z):
    """Paths (runs, 9) whose increments over DT are z sqrt(dt): Brownian if z (runs, 8) is white."""
    return np.concatenate([np.zeros((len(z), 1)), np.cumsum(z * np.sqrt(DT), axis=1)], axis=1)


def alternatives(runs, draws):
    """Increments that are not Brownian: z, and the field of Donsker that must say so."""
    z = draws.standard_normal((runs, DT.size))
    correlated = 0.9 * z + math.sqrt(1 - 0.9**2) * np.roll(z, 1, axis=1)  # still N(0, 1) each
    restless = z * np.sqrt(draws.exponential(size=(runs, 1)))             # one volatility for a whole path
    uniform = draws.uniform(-math.sqrt(3), math.sqrt(3), z.shape)         # mean 0, variance 1, not normal
    return {"correlated": (correlated, "p_independent"), "volatility": (restless, "p_independent"),
            "uniform": (uniform, "p_normal"), "too large": (1.2 * z, "p_normal")}


def test_brownian_motion_is_rejected_as_often_as_it_should_be():
    draws, repeats = rng(), 1000
    tests = [theory.donsker_test(walk(draws.standard_normal((60, DT.size))), TIMES) for _ in range(repeats)]
    error = math.sqrt(0.05 * 0.95 / repeats)
    for p in ([test.p_normal for test in tests], [test.p_independent for test in tests]):
        assert abs(np.mean(np.less(p, 0.05)) - 0.05) < SIGMAS * error
        assert abs(np.mean(p) - 0.5) < SIGMAS / math.sqrt(12 * repeats)  # uniform numbers have variance 1/12
    deviation = np.array([(test.variance_slope - 1) / test.slope_error for test in tests])
    assert abs(deviation.mean()) < SIGMAS / math.sqrt(repeats)
    assert abs(deviation.var() - 1) < SIGMAS * math.sqrt(2 / repeats)  # the error is what it says


@pytest.mark.parametrize("name", alternatives(50, rng()))
def test_what_is_not_brownian_is_found(name):
    z, field = alternatives(1000, rng(1))[name]
    assert getattr(theory.donsker_test(walk(z), TIMES), field) < 1e-4


def test_a_wrong_power_of_time_is_found():
    z = rng().standard_normal((1000, DT.size)) * DT**0.15  # variance dt^1.3
    test = theory.donsker_test(walk(z), TIMES)
    assert abs(test.variance_slope - 1.3) < SIGMAS * test.slope_error
    assert test.variance_slope - 1 > 3 * SIGMAS * test.slope_error


def test_the_gradient_of_one_layer_is_brownian():
    """f(x) = sum of w relu(x - b), in the time t = P(b < x)."""
    width, draws, x = 2000, rng(), np.array([-1.8, -1.0, -0.8, -0.3, 0.4, 0.5, 1.3, 2.0])
    paths = []
    for _ in range(200):
        w, b = draws.standard_normal((width, 1)) / math.sqrt(width), draws.standard_normal(width)
        paths.append(input_gradient(Chain(Dense(np.ones((1, width)), -b), ReLU(), Dense(w)), x))
    test = theory.donsker_test(paths, [0.5 * math.erfc(-value / math.sqrt(2)) for value in x])
    assert min(test.p_normal, test.p_independent) > 0.001
    assert abs(test.variance_slope - 1) < SIGMAS * test.slope_error


@pytest.mark.parametrize("paths, times", [
    (np.zeros((60, 5)), np.arange(4.0)),      # a column too many
    (np.zeros((60, 4)), [0.0, 1.0, 1.0, 2.0]),  # time stands still
    (np.zeros((49, 4)), np.arange(4.0)),      # too few runs
    (np.zeros((60, 3)), np.arange(3.0)),      # too few steps
])
def test_donsker_refuses(paths, times):
    with pytest.raises(ValueError, match="increasing times"):
        theory.donsker_test(paths, times)


def test_equal_steps_have_no_slope():
    with pytest.raises(ValueError, match="steps of different lengths"):
        theory.donsker_test(np.cumsum(rng().standard_normal((60, 5)), axis=1), np.arange(5.0))


# What must be refused.


@pytest.mark.parametrize("statement, arguments, error", [
    (theory.feedforward, (0,), ValueError), (theory.feedforward, (2.0,), TypeError),
    (theory.resnet, (5000,), ValueError),  # 2^5000 overflows
    (theory.resnet, (3, np.nan), ValueError), (theory.batchnorm_resnet, (0,), ValueError),
    (theory.highway, (3, 1.5), ValueError), (theory.feedforward_kernel, (3, 1.5), ValueError),
    (theory.gated_gradients, (3, 4, 5, 0), TypeError), (theory.gated_gradients, (3, 0, 5, rng()), ValueError),
])
def test_refuses(statement, arguments, error):
    with pytest.raises(error):
        statement(*arguments)
