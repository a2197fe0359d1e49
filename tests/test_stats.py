"""Every statistic against its definition written as a loop, against known limits, and by simulation."""

import itertools
import math

import numpy as np
import pytest

from minishatter import Chain, Dense, active_units, gradients, nets, stats

WIDTH = 13
SIGMAS = 4  # a true statement fails a test of 4 standard errors once in 16,000 draws, and the seeds are fixed


def rng(seed=0):
    return np.random.default_rng(seed)


def assert_mean(samples, expected):
    """The mean over the first axis is the expected one, up to its standard error."""
    error = samples.std(axis=0, ddof=1) / np.sqrt(len(samples))
    np.testing.assert_array_less(np.abs(samples.mean(axis=0) - expected), SIGMAS * error)


# Noise.


def test_white_noise_is_standard_and_independent():
    noise = stats.white_noise((4000, 3), rng())
    moments = noise[:, :, None] * noise[:, None, :]
    assert_mean(noise, 0.0)
    assert_mean(moments, np.eye(3))


def test_brown_noise_is_the_running_sum_of_white_noise_along_the_last_axis():
    white, brown = stats.white_noise((3, 50), rng()), stats.brown_noise((3, 50), rng())
    np.testing.assert_allclose(np.diff(brown, axis=1), white[:, 1:], rtol=0, atol=1e-14)  # 50 additions of size 1
    np.testing.assert_array_equal(brown[:, 0], white[:, 0])


@pytest.mark.parametrize("noise", [stats.white_noise, stats.brown_noise])
def test_noise_of_one_series(noise):
    assert noise(7, rng()).shape == (7,)
    with pytest.raises(TypeError, match="Generator"):
        noise(7, 0)
    with pytest.raises(ValueError):
        noise((3, 0), rng())


# Along the grid.


def test_rank_one_covariance_is_its_definition():
    g = rng().standard_normal(9)
    c = g - g.mean()
    loops = [[abs(c[i] * c[j]) / g.var() for j in range(9)] for i in range(9)]
    np.testing.assert_allclose(stats.rank_one_covariance(g), loops, rtol=1e-12)  # the mean: 9 terms, 1e-15 of 1


@pytest.mark.parametrize("amplitude", [1e200, 1e-200])
def test_ratios_do_not_see_the_amplitude(amplitude):
    g = rng().standard_normal((6, 4))
    for ratio in (lambda g: stats.rank_one_covariance(g[0]), stats.correlation, stats.effective_rank):
        np.testing.assert_allclose(ratio(amplitude * g), ratio(g), rtol=1e-12)


def test_rank_one_covariance_has_rank_one_and_mean_diagonal_one():
    C = stats.rank_one_covariance(rng().standard_normal(31))
    singular = np.linalg.svd(C, compute_uv=False)
    assert singular[1] < 1e-13 * singular[0]
    np.testing.assert_array_equal(C, C.T)
    assert np.diag(C).mean() == pytest.approx(1.0, rel=1e-12)


def loop_autocorrelation(g, max_lag, subtract_mean):
    c = g - g.mean() if subtract_mean else g
    return [sum(c[i] * c[i + k] for i in range(len(c) - k)) / sum(c * c) for k in range(max_lag + 1)]


@pytest.mark.parametrize("subtract_mean", [True, False])
@pytest.mark.parametrize("n, max_lag", [(31, 15), (31, 30), (2, 1), (5, 0)])
def test_autocorrelation_is_its_definition(n, max_lag, subtract_mean):
    g = 0.5 + rng().standard_normal(n)
    acf = stats.autocorrelation(g, max_lag, subtract_mean)
    assert acf[0] == 1.0
    np.testing.assert_allclose(acf, loop_autocorrelation(g, max_lag, subtract_mean), rtol=0, atol=1e-13)


def test_autocorrelation_of_a_stack_is_that_of_its_rows():
    g = rng().standard_normal((3, 31)) * [[1.0], [1e-7], [1e9]]
    np.testing.assert_allclose(stats.autocorrelation(g, 8), [stats.autocorrelation(row, 8) for row in g],
                               rtol=0, atol=1e-14)


@pytest.mark.parametrize("amplitude", [-1.0, 1e200, 1e-200])
def test_autocorrelation_does_not_see_the_amplitude(amplitude):
    """An exploded or vanished gradient has squares beyond float64, its autocorrelation does not."""
    g = rng().standard_normal(31)
    np.testing.assert_allclose(stats.autocorrelation(amplitude * g, 8), stats.autocorrelation(g, 8), rtol=0, atol=1e-13)


@pytest.mark.parametrize("subtract_mean", [True, False])
def test_autocorrelation_of_white_noise_is_zero_up_to_the_bias_of_the_mean(subtract_mean):
    """Centred numbers in random order: E sum_{i != j} c_i c_j = -sum c_i^2, shared by n (n - 1) pairs alike."""
    n, lags = 64, np.arange(1, 11)
    acf = stats.autocorrelation(stats.white_noise((3000, n), rng()), lags[-1], subtract_mean)[:, 1:]
    assert_mean(acf, -(n - lags) / (n * (n - 1)) if subtract_mean else 0.0)


@pytest.mark.parametrize("subtract_mean, expected", [(True, 0.65), (False, 0.81)])
def test_autocorrelation_of_a_random_walk_at_lag_14(subtract_mean, expected):
    """The end of the paper's brown curve depends on the estimator."""
    acf = stats.autocorrelation(stats.brown_noise((4000, 256), rng()), 14, subtract_mean)[:, 14]
    rounding = 0.005  # the expected values are given to two digits
    assert abs(acf.mean() - expected) < rounding + SIGMAS * acf.std() / np.sqrt(acf.size)


@pytest.mark.parametrize("g, max_lag, says", [(np.ones(5), 2, "constant"), (np.full((2, 5), 0.1), 2, "series 0"),
                                              (np.arange(5.0), 5, "below the number of points"),
                                              (np.array([1.0, np.nan]), 1, "finite"),
                                              (np.zeros((2, 2, 2)), 1, "axes")])
def test_autocorrelation_refuses(g, max_lag, says):
    with pytest.raises(ValueError, match=says):
        stats.autocorrelation(g, max_lag)


@pytest.mark.parametrize("tau, tolerance", [(3.0, 1e-12), (7.3, 0.02), (20.5, 0.01)])
def test_correlation_length_of_an_exponential(tau, tolerance):
    """exp(-k / tau) crosses 1/e at tau; a chord lies above the curve by up to curvature / 8, so up to 1 / (8 tau)."""
    acf = np.exp(-np.arange(40) / tau)
    assert stats.correlation_length(acf) == pytest.approx(tau, abs=tolerance)
    assert stats.correlation_length(acf, step=0.1) == pytest.approx(0.1 * tau, abs=0.1 * tolerance)


def test_correlation_length_of_a_stack():
    """Half way between 1 and 0 is at 1/2: a chord reaches 1/e at 1 - 1/e. What stays high has no length."""
    acf = np.array([[1.0, 0.0, 0.0], [1.0, 0.9, 0.8]])
    np.testing.assert_allclose(stats.correlation_length(acf), [1 - np.exp(-1), np.inf], rtol=1e-15)


# Between inputs, over nets.


def test_covariance_and_correlation_are_their_definitions():
    g = 1.0 + rng().standard_normal((7, 3))  # with a mean, which is not subtracted
    C = np.array([[sum(run[i] * run[j] for run in g) / 7 for j in range(3)] for i in range(3)])
    R = [[C[i, j] / np.sqrt(C[i, i] * C[j, j]) for j in range(3)] for i in range(3)]
    np.testing.assert_allclose(stats.covariance(g), C, rtol=1e-13)
    np.testing.assert_allclose(stats.correlation(g), R, rtol=1e-13)


def test_pair_correlation_is_the_correlation_of_samples_of_one_unit():
    g = rng().standard_normal((7, 2))
    moments = np.stack([g[:, 0]**2, g[:, 0] * g[:, 1], g[:, 1]**2], axis=1)
    assert stats.pair_correlation(moments) == pytest.approx(stats.correlation(g)[0, 1], rel=1e-13)


def test_correlation_of_a_zero_gradient_is_refused():
    with pytest.raises(ValueError, match="column 1"):
        stats.correlation(np.array([[1.0, 0.0], [2.0, 0.0]]))


# Activation patterns.

PATTERN = rng(3).random((13, 5)) < [0.1, 0.3, 0.5, 0.9, 1.1]  # (inputs, units); the last unit is always active


def test_activity_and_coactivity_are_their_definitions():
    pairs = list(itertools.combinations(range(13), 2))
    for u, unit in enumerate(PATTERN.T):
        assert stats.activity(PATTERN)[u] == pytest.approx(sum(unit) / 13, rel=1e-15)
        both = sum(unit[i] and unit[j] for i, j in pairs)
        assert stats.coactivity(PATTERN)[u] == pytest.approx(both / len(pairs), rel=1e-15)


def test_contiguity_is_its_definition():
    runs = [len(list(run)) for unit in PATTERN.T for _, run in itertools.groupby(unit)]
    np.testing.assert_array_equal(stats.contiguity(PATTERN), runs)


def test_a_constant_unit_is_one_run():
    np.testing.assert_array_equal(stats.contiguity(np.ones((13, 2), dtype=bool)), [13, 13])


def test_coin_flips_are_a_half_active_and_a_quarter_coactive():
    flips = rng().random((16, 4000)) < 0.5
    assert_mean(stats.activity(flips), 1 / 2)
    assert_mean(stats.coactivity(flips), 1 / 4)


def test_coin_flips_change_state_every_second_time():
    """N flips have 1 + (N - 1) / 2 runs on average, so the mean length is 2 N / (N + 1)."""
    N, units = 16, 4000
    runs = stats.contiguity(rng().random((N, units)) < 0.5).size / units
    error = np.sqrt((N - 1) / 4 / units)  # changes are N - 1 independent coin flips
    assert abs(runs - (N + 1) / 2) < SIGMAS * error


@pytest.mark.parametrize("statistic", [stats.activity, stats.coactivity, stats.contiguity])
@pytest.mark.parametrize("bad", [np.zeros((3, 2)), np.zeros(3, dtype=bool), np.zeros((1, 2), dtype=bool)])
def test_patterns_are_boolean_matrices_of_two_inputs_or_more(statistic, bad):
    with pytest.raises(ValueError, match="boolean array"):
        statistic(bad)


# Whiteness.


def test_effective_rank_is_its_definition():
    D = rng().standard_normal((7, 5))
    assert stats.effective_rank(D) == pytest.approx(np.trace(D.T @ D) / np.linalg.norm(D, 2)**2, rel=1e-13)


@pytest.mark.parametrize("D, rank", [(np.outer(np.arange(1.0, 8), np.arange(1.0, 6)), 1), (np.eye(7)[:, :5], 5),
                                     (3e4 * np.eye(5), 5), (np.diag([2.0, 1.0, 1.0]), 1.5)])
def test_effective_rank_of_known_matrices(D, rank):
    assert stats.effective_rank(D) == pytest.approx(rank, rel=1e-13)


def test_white_noise_has_relative_effective_rank_one():
    draws = rng()
    relative = [stats.relative_effective_rank(stats.white_noise((20, 30), draws), draws, draws=50) for _ in range(60)]
    assert_mean(np.array(relative), 1.0)


def test_a_rank_one_matrix_is_far_from_white():
    assert stats.relative_effective_rank(np.ones((20, 30)), rng()) < 0.2


def test_effective_rank_of_zero_is_refused():
    with pytest.raises(ValueError, match="zero"):
        stats.effective_rank(np.zeros((3, 2)))


# Intervals.

# Of Student's t distribution, as printed in any textbook.
T_TABLE = {(0.900, 4): 1.533, (0.975, 4): 2.776, (0.995, 4): 4.604, (0.975, 7): 2.365, (0.995, 7): 3.499,
           (0.975, 9): 2.262, (0.995, 9): 3.250, (0.975, 19): 2.093, (0.995, 19): 2.861, (0.995, 99): 2.626,
           (0.500, 9): 0.0}


@pytest.mark.parametrize("p, dof", T_TABLE)
def test_student_quantile_is_the_table_s(p, dof):
    expansion = 0.01 if dof == 4 else 0.0005  # where the expansion in 1 / dof is cut off
    rounding = 0.0005                         # the table has three digits
    assert abs(stats.student_quantile(p, dof) - T_TABLE[p, dof]) < expansion + rounding
    assert stats.student_quantile(1 - p, dof) == pytest.approx(-stats.student_quantile(p, dof), abs=1e-12)


def student_cdf(t, dof):
    """P(T <= t) for an even number of degrees of freedom, in closed form (Abramowitz & Stegun 26.7.4)."""
    h = np.arctan(t / np.sqrt(dof))
    j = np.arange(1, dof // 2)
    return 0.5 + 0.5 * np.sin(h) * (1 + np.cumprod((2 * j - 1) / (2 * j) * np.cos(h)**2).sum())


@pytest.mark.parametrize("p", [0.6, 0.9, 0.975, 0.995])
@pytest.mark.parametrize("dof, tolerance", [(4, 5e-5), (20, 5e-8), (200, 6e-13)])  # falls like dof^-5
def test_student_quantile_inverts_the_distribution(p, dof, tolerance):
    assert student_cdf(stats.student_quantile(p, dof), dof) == pytest.approx(p, abs=tolerance)


def coverage(interval, truth):
    """The fraction of intervals that hold the truth; each column of the samples is an experiment."""
    return np.mean((interval.low <= truth) & (truth <= interval.high))


def binomial_error(p, n):
    return SIGMAS * np.sqrt(p * (1 - p) / n)


@pytest.mark.parametrize("level", [0.95, 0.99])
@pytest.mark.parametrize("n", [5, 8, 20])
def test_mean_interval_covers_as_often_as_it_says(n, level):
    experiments = 20_000
    samples = 3.0 + 2.0 * rng([n, int(100 * level)]).standard_normal((n, experiments))
    assert abs(coverage(stats.mean_interval(samples, level), 3.0) - level) < binomial_error(level, experiments)


@pytest.mark.parametrize("n, level, expected", [(8, 0.95, 0.886), (8, 0.99, 0.945), (20, 0.95, 0.924),
                                                (20, 0.99, 0.976), (100, 0.99, 0.987)])
def test_bootstrap_interval_covers_less_often_than_it_says(n, level, expected):
    """The percentile bootstrap of few samples is too narrow: n values are all it knows. Measured once, at length."""
    experiments = 4000
    draws = rng([n, int(100 * level)])
    interval = stats.bootstrap_interval(draws.standard_normal((n, experiments)), lambda s: s.mean(axis=0), draws,
                                        level, resamples=500)
    # `expected` itself was measured to 0.002, and with 1000 resamples
    assert abs(coverage(interval, 0.0) - expected) < binomial_error(expected, experiments) + 0.004


def test_mean_interval_is_the_mean_and_works_entry_by_entry():
    samples = rng().standard_normal((6, 2, 3))
    whole, part = stats.mean_interval(samples), stats.mean_interval(samples[:, 1, 2])
    np.testing.assert_allclose(whole.value, samples.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose([end[1, 2] for end in whole], part, rtol=1e-13)
    assert part.low < part.value < part.high


def test_bootstrap_interval_holds_the_statistic_and_can_be_made_again():
    samples = rng().standard_normal((30, 2))
    first, again = (stats.bootstrap_interval(samples, stats.correlation, rng(1), resamples=200) for _ in range(2))
    np.testing.assert_array_equal(first.value, stats.correlation(samples))
    np.testing.assert_array_equal(first, again)
    assert first.low[0, 1] < first.value[0, 1] < first.high[0, 1]


def bootstrap_of_the_mean(samples, **kwargs):
    return stats.bootstrap_interval(samples, np.mean, rng(), **kwargs)


@pytest.mark.parametrize("interval", [stats.mean_interval, bootstrap_of_the_mean])
@pytest.mark.parametrize("samples, kwargs, says", [(np.arange(4.0), {}, "at least 5"), (3.0, {}, "at least 5"),
                                                   (np.arange(9.0), {"level": 1.0}, "level"),
                                                   (np.arange(9.0), {"level": 95}, "level"),
                                                   (np.full(9, np.nan), {}, "finite")])
def test_intervals_refuse(interval, samples, kwargs, says):
    with pytest.raises(ValueError, match=says):
        interval(samples, **kwargs)


# A verdict for one net.

DIAGNOSES = {
    "healthy": nets.resnet(3, WIDTH, beta=0.1, rng=rng()),
    "shattered": nets.feedforward(24, WIDTH, norm="center", rng=rng()),
    "collapsed": nets.feedforward(6, WIDTH, bias_std=0.0, rng=rng()),
    "vanished": Chain(Dense(np.full((1, 1), 1e-3)), Dense(np.full((1, 1), 1e-3))),
    "exploded": Chain(Dense(np.full((1, 1), 1e3)), Dense(np.full((1, 1), 1e3))),
}


@pytest.mark.parametrize("verdict", DIAGNOSES)
def test_each_verdict_has_its_net(verdict):
    diagnosis = stats.diagnose(DIAGNOSES[verdict], gradients.grid(64))
    assert diagnosis.verdict == verdict


def test_a_diagnosis_measures_what_it_says():
    x, net = gradients.grid(64), DIAGNOSES["shattered"]
    g, diagnosis = gradients.input_gradient(net, x), stats.diagnose(net, x)
    acf = stats.autocorrelation(g, 14)
    assert diagnosis.rms == pytest.approx(np.sqrt(np.mean(g**2)), rel=1e-12)
    assert diagnosis.autocorrelation == pytest.approx(acf[list(stats.LAGS)], rel=1e-9)
    assert diagnosis.coactive == stats.coactivity(active_units(net, x[:, None])[-1]).mean()
    assert diagnosis.distinct == len(np.unique(g))


def test_a_linear_net_has_one_gradient_and_no_correlation():
    diagnosis = stats.diagnose(DIAGNOSES["vanished"], gradients.grid(64))
    assert diagnosis.distinct == 1 and math.isnan(diagnosis.correlation_length) and math.isnan(diagnosis.coactive)


def test_kmeans_finds_what_is_apart():
    """Three clouds far apart: one cluster each, from most starts; and the result is a fixed point."""
    clouds = np.concatenate([rng(seed).standard_normal((20, 5)) + 50 * seed for seed in range(3)])
    found = [stats.kmeans(clouds, 3, rng(seed)) for seed in range(10)]
    right = [all(len(set(cluster[20 * c:20 * c + 20])) == 1 for c in range(3)) and len(set(cluster)) == 3
             for cluster in found]
    assert sum(right) >= 3  # a start with two centres in one cloud can get stuck
    best = found[right.index(True)]
    centres = np.array([clouds[best == c].mean(axis=0) for c in range(3)])
    nearest = ((clouds[:, None] - centres)**2).sum(axis=2).argmin(axis=1)
    np.testing.assert_array_equal(nearest, best)
