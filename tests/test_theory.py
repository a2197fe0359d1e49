"""Every closed form by an independent route: another recursion, a sum over paths, Monte Carlo, or known numbers."""

import itertools
import math

import numpy as np
import pytest

from minishatter import init, nets, theory
from minishatter.compose import Chain, Sum, active_units
from minishatter.gradients import batch_moments, input_gradient
from minishatter.intervals import mean_interval, ratio_interval
from minishatter.layers import Affine, Dense, Identity, ReLU
from minishatter.correlation_maps import k0, k1

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


# The law under centering.


@DEPTHS
@pytest.mark.parametrize("beta", [1.0, 0.1, 0.0])
def test_the_law_under_centering_by_recursion(depth, beta):
    """As Theorem 3, but each branch adds beta^2 (1 - 1/pi) to what is divided by."""
    variances = itertools.accumulate([1.0] + [beta**2 * (1 - 1 / math.pi)] * (depth - 1))
    layers = [(1.0, beta, math.sqrt(variance)) for variance in variances][:depth - 1]
    assert theory.centred_resnet(depth, beta) == pytest.approx(second_moments(layers), rel=1e-12)


def test_the_spread_of_a_rectified_normal():
    """Var relu(z) / E[relu(z)^2], by the trapezoid rule."""
    z, dz = np.linspace(0, 12, 100_001, retstep=True)
    density = np.exp(-z**2 / 2) / math.sqrt(2 * math.pi) * dz
    mean, square = np.sum(z * density), np.sum(z**2 * density)
    assert theory.SPREAD == pytest.approx(1 - mean**2 / square, abs=1e-8)


@pytest.mark.parametrize("beta", [1.0, 0.5, 0.2])
def test_the_law_under_centering_in_gamma_functions(beta):
    k = math.pi / (math.pi - 1)
    n, a, log_gamma = 39, k / beta**2, math.lgamma
    ratio = {shift: log_gamma(n + a + shift) - log_gamma(n + a) - log_gamma(a + shift) + log_gamma(a)
             for shift in (k, k / 2)}
    expected = math.exp(ratio[k]), math.exp(ratio[k / 2]), math.exp(ratio[k / 2] - ratio[k])
    assert theory.centred_resnet(n + 1, beta) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("law, exponents", [(theory.centred_resnet, (1.467, -0.733)),
                                            (theory.batchnorm_resnet, (1.0, -0.5))])
def test_the_exponents_of_the_law_and_of_theorem_3(law, exponents):
    """Slopes of log variance and log R against log L at great depth; corrections are of order 1 / L."""
    (v, _, R), (v2, _, R2) = law(10_000), law(20_000)
    assert (math.log2(v2 / v), math.log2(R2 / R)) == pytest.approx(exponents, abs=0.0006)


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
    "Theorem 3": (theory.batchnorm_resnet(5), {"depth": 4, "skip": 1.0, "share": 1.0}),
    "Theorem 3, beta": (theory.batchnorm_resnet(5, 0.5), {"depth": 4, "skip": 1.0, "branch": 0.5, "share": 1.0}),
    "under centering": (theory.centred_resnet(7), {"depth": 6, "skip": 1.0, "share": theory.SPREAD}),
    "under centering, beta": (theory.centred_resnet(7, 0.5), {"depth": 6, "skip": 1.0, "branch": 0.5,
                                                              "share": theory.SPREAD}),
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


# Real nets, at the inputs the theorems speak of: x ~ N(0, I_200), nearly orthogonal, in batches.


def measured(build, runs, points=256):
    """Variance and correlation of df/dn, each with a standard error."""
    moments = batch_moments(build, points, 200, runs, seed=3)
    both = [mean_interval(moments[:, 0], level=0.6827), ratio_interval(moments[:, 1], moments[:, 0], level=0.6827)]
    return [(value, (high - low) / 2) for value, low, high in both]


def close(interval, expected, more=0.0):
    """Within four standard errors and `more`."""
    return abs(interval[0] - expected) < SIGMAS * interval[1] + more


@pytest.mark.parametrize("beta, depth", [(1.0, 11), (0.5, 11)])
def test_a_batch_normalised_resnet_follows_the_law_and_not_theorem_3(beta, depth):
    """1 / spread is 2 to 3 % more on average than 1 / v with 256 inputs and 200 units, and that in each branch."""
    law, theorem = theory.centred_resnet(depth, beta), theory.batchnorm_resnet(depth, beta)
    variance, R = measured(lambda rng: nets.resnet(depth - 1, inputs=200, beta=beta, rng=rng), 24)
    excess = law.variance * 0.03 * math.log(law.variance)
    assert close(variance, law.variance, more=excess) and not close(variance, theorem.variance)
    assert close(R, law.correlation, more=0.01) and not close(R, theorem.correlation)


def test_the_spread_of_the_signal_in_a_batch_normalised_resnet():
    """v_l itself: mean over the units of the variance over the batch, before each branch."""
    spreads = []
    for run in range(20):
        x = rng(run).standard_normal((256, 200))
        net = nets.resnet(10, inputs=200, bias_std=0.0, rng=rng(100 + run))
        spreads.append([])
        for layer in net.layers[:-1]:
            x, _ = layer.forward(x)
            spreads[-1].append(x.var(axis=0).mean())
    _, low, high = mean_interval(np.array(spreads), level=0.9999)
    l = np.arange(11)
    assert (low < 1 + (1 - 1 / math.pi) * l).all() and (1 + (1 - 1 / math.pi) * l < high).all()
    assert (high[1:] < 1 + l[1:]).all()  # Theorem 3's v_l


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_standardised_weights_satisfy_the_assumption_of_theorem_1(depth):
    """R = 2^-L without normalisation of signals; the gain makes the variance (pi / (pi - 1))^L in a wide net.

    Units whose weights add up to 0 depend on each other: at width n a layer takes about 1 / n away from the variance
    (measured at 8 layers: 0.927, 0.966, 0.986 of it at n = 100, 200, 400).
    """
    wide = (math.pi / (math.pi - 1))**depth
    variance, R = measured(lambda rng: nets.feedforward(depth, inputs=200, init="standardised", bias_std=0.0, rng=rng),
                           100, points=32)
    assert close(variance, wide, more=wide * depth / 200) and close(R, 2.0**-depth)
    assert R[1] < 0.01


def skips(depth, skip, branch, share=None):
    """Builds x <- skip x + branch W relu(x / sqrt(v_l)) of 200 units, W of He's variance and adding up to 0."""
    def build(rng):
        v = [1.0 if share is None else share * branch**2 * l + 1 for l in range(depth)]
        branches = [Chain(Affine(np.full(200, v_l**-0.5), np.zeros(200)), ReLU(),
                          Dense(init.standardised(200, 200, rng, gain=2.0))) for v_l in v]
        return Chain(Dense(init.he(200, 200, rng, gain=1.0)),
                     *(Sum(Identity(), layer, weights=(skip, branch)) for layer in branches),
                     Dense(init.he(200, 1, rng, gain=1.0)))
    return build


@pytest.mark.parametrize("name", [name for name in GATED if "centering" not in name])
def test_with_weights_that_add_up_to_0_real_nets_obey_all_four_statements(name):
    """The same skip, branch and v_l as the gated nets, but real rectifiers: no coin is flipped."""
    moments, setting = GATED[name]
    variance, R = measured(skips(**{"skip": 0.0, "branch": 1.0, **setting}), 100, points=32)
    assert close(variance, moments.variance) and close(R, moments.correlation)
    assert variance[1] < 0.1 * moments.variance and R[1] < 0.02


def test_the_analytic_variance_gives_theorem_3_s_variance_and_more_than_its_correlation():
    """Without centering signals share their means, so units are co-active more often than in a quarter of cases."""
    theorem = theory.batchnorm_resnet(11)
    variance, R = measured(lambda rng: nets.resnet(10, inputs=200, norm="analytic", bias_std=0.0, rng=rng), 100, 32)
    assert close(variance, theorem.variance)
    v, c, kernel = 1.0, 0.0, 1.0
    for _ in range(10):
        kernel, c, v = kernel * (v + float(k0(c))) / (v + 1), (v * c + float(k1(c))) / (v + 1), v + 1
    assert close(R, kernel) and kernel > theorem.correlation + SIGMAS * R[1]


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


# What must be refused.


@pytest.mark.parametrize("statement, arguments, error", [
    (theory.feedforward, (0,), ValueError), (theory.feedforward, (2.0,), TypeError),
    (theory.resnet, (5000,), ValueError),  # 2^5000 overflows
    (theory.resnet, (3, np.nan), ValueError), (theory.batchnorm_resnet, (0,), ValueError),
    (theory.highway, (3, 1.5), ValueError),
    (theory.gated_gradients, (3, 4, 5, 0), TypeError), (theory.gated_gradients, (3, 0, 5, rng()), ValueError),
])
def test_refuses(statement, arguments, error):
    with pytest.raises(error):
        statement(*arguments)
