"""Every statistic against its definition written as a loop, against known limits, and by simulation."""

import itertools

import numpy as np
import pytest

from minishatter import stats

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


def rounded_constant(dtype):
    """0.7, and every third entry one last digit more: what rounding makes of a constant gradient."""
    g = np.full(256, 0.7, dtype)
    g[::3] = np.nextafter(g[0], dtype(1))
    return g


@pytest.mark.parametrize("amplitude", [1.0, 1e30, 1e-30])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_rounding_is_no_variation(dtype, amplitude):
    g = rounded_constant(dtype) * dtype(amplitude)
    for statistic in (lambda: stats.autocorrelation(g, 3), lambda: stats.rank_one_covariance(g)):
        with pytest.raises(ValueError, match="constant up to rounding"):
            statistic()


@pytest.mark.parametrize("amplitude", [1.0, 1e200, 1e-200])
def test_a_small_variation_of_a_large_number_is_measured(amplitude):
    noise = stats.brown_noise(256, rng())
    g = amplitude * (1 + 1e-6 * noise / np.abs(noise).max())
    np.testing.assert_allclose(stats.autocorrelation(g, 9), stats.autocorrelation(noise, 9), rtol=0, atol=1e-8)
    np.testing.assert_allclose(stats.rank_one_covariance(g), stats.rank_one_covariance(noise), rtol=0, atol=1e-7)


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
