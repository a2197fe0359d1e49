"""Intervals against the tables, their coverage, and Brownian motion against what is not."""

import math

import numpy as np
import pytest

from minishatter import Chain, Dense, ReLU, intervals, stats
from minishatter.gradients import input_gradient

SIGMAS = 4  # a true statement fails a test of 4 standard errors once in 16,000 draws, and the seeds are fixed


def rng(seed=0):
    return np.random.default_rng(seed)


# Intervals.

# Of Student's t distribution, as printed in any textbook.
T_TABLE = {(0.900, 4): 1.533, (0.975, 4): 2.776, (0.995, 4): 4.604, (0.975, 7): 2.365, (0.995, 7): 3.499,
           (0.975, 9): 2.262, (0.995, 9): 3.250, (0.975, 19): 2.093, (0.995, 19): 2.861, (0.995, 99): 2.626,
           (0.500, 9): 0.0}


@pytest.mark.parametrize("p, dof", T_TABLE)
def test_student_quantile_is_the_table_s(p, dof):
    expansion = 0.01 if dof == 4 else 0.0005  # where the expansion in 1 / dof is cut off
    rounding = 0.0005                         # the table has three digits
    assert abs(intervals.student_quantile(p, dof) - T_TABLE[p, dof]) < expansion + rounding
    assert intervals.student_quantile(1 - p, dof) == pytest.approx(-intervals.student_quantile(p, dof), abs=1e-12)


def student_cdf(t, dof):
    """P(T <= t) for an even number of degrees of freedom, in closed form (Abramowitz & Stegun 26.7.4)."""
    h = np.arctan(t / np.sqrt(dof))
    j = np.arange(1, dof // 2)
    return 0.5 + 0.5 * np.sin(h) * (1 + np.cumprod((2 * j - 1) / (2 * j) * np.cos(h)**2).sum())


@pytest.mark.parametrize("p", [0.6, 0.9, 0.975, 0.995])
@pytest.mark.parametrize("dof, tolerance", [(4, 5e-5), (20, 5e-8), (200, 6e-13)])  # falls like dof^-5
def test_student_quantile_inverts_the_distribution(p, dof, tolerance):
    assert student_cdf(intervals.student_quantile(p, dof), dof) == pytest.approx(p, abs=tolerance)


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
    assert abs(coverage(intervals.mean_interval(samples, level), 3.0) - level) < binomial_error(level, experiments)


@pytest.mark.parametrize("n, spread, expected", [(12, 0.3, 0.988), (16, 0.8, 0.976), (100, 0.8, 0.987)])
def test_ratio_interval_covers_nearly_as_often_as_it_says(n, spread, expected):
    """mean(above) / mean(below) = 1/2, of log-normal sizes: skew, so a little too rarely. Measured once, at length."""
    experiments, draws = 20_000, rng(n)
    below = np.exp(spread * draws.standard_normal((n, experiments)))
    above = below * (0.5 + 0.2 * draws.standard_normal((n, experiments)))
    # `expected` itself was measured to 0.001
    covered = coverage(intervals.ratio_interval(above, below), 0.5)
    assert abs(covered - expected) < binomial_error(0.98, experiments) + 0.001


def test_ratio_interval_of_a_constant_denominator_is_mean_interval():
    samples = rng().standard_normal((6, 2, 3))
    ratio, mean = intervals.ratio_interval(samples, np.full((6, 2, 3), 2.0)), intervals.mean_interval(samples / 2)
    for ours, theirs in zip(ratio, mean):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


@pytest.mark.parametrize("n, level, expected", [(8, 0.95, 0.886), (8, 0.99, 0.945), (20, 0.95, 0.924),
                                                (20, 0.99, 0.976), (100, 0.99, 0.987)])
def test_bootstrap_interval_covers_less_often_than_it_says(n, level, expected):
    """The percentile bootstrap of few samples is too narrow: n values are all it knows. Measured once, at length."""
    experiments = 4000
    draws = rng([n, int(100 * level)])
    interval = intervals.bootstrap_interval(draws.standard_normal((n, experiments)), lambda s: s.mean(axis=0), draws,
                                        level, resamples=500)
    # `expected` itself was measured to 0.002, and with 1000 resamples
    assert abs(coverage(interval, 0.0) - expected) < binomial_error(expected, experiments) + 0.004


def test_mean_interval_is_the_mean_and_works_entry_by_entry():
    samples = rng().standard_normal((6, 2, 3))
    whole, part = intervals.mean_interval(samples), intervals.mean_interval(samples[:, 1, 2])
    np.testing.assert_allclose(whole.value, samples.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose([end[1, 2] for end in whole], part, rtol=1e-13)
    assert part.low < part.value < part.high


def test_bootstrap_interval_holds_the_statistic_and_can_be_made_again():
    samples = rng().standard_normal((30, 2))
    first, again = (intervals.bootstrap_interval(samples, stats.correlation, rng(1), resamples=200) for _ in range(2))
    np.testing.assert_array_equal(first.value, stats.correlation(samples))
    np.testing.assert_array_equal(first, again)
    assert first.low[0, 1] < first.value[0, 1] < first.high[0, 1]


def bootstrap_of_the_mean(samples, **kwargs):
    return intervals.bootstrap_interval(samples, np.mean, rng(), **kwargs)


@pytest.mark.parametrize("interval", [intervals.mean_interval, bootstrap_of_the_mean])
@pytest.mark.parametrize("samples, kwargs, says", [(np.arange(4.0), {}, "at least 5"), (3.0, {}, "at least 5"),
                                                   (np.arange(9.0), {"level": 1.0}, "level"),
                                                   (np.arange(9.0), {"level": 95}, "level"),
                                                   (np.full(9, np.nan), {}, "finite")])
def test_intervals_refuse(interval, samples, kwargs, says):
    with pytest.raises(ValueError, match=says):
        interval(samples, **kwargs)
# Brownian motion.

TIMES = np.cumsum([0.02, 0.01, 0.05, 0.1, 0.02, 0.2, 0.04, 0.3, 0.01])  # 8 steps of very different length
DT = np.diff(TIMES)


def walk(z):
    """Paths (runs, 9) whose increments over DT are z sqrt(dt): Brownian if z (runs, 8) is white."""
    return np.concatenate([np.zeros((len(z), 1)), np.cumsum(z * np.sqrt(DT), axis=1)], axis=1)


def alternatives(runs, draws):
    """Increments that are not Brownian: z, and the field of BrownianTest that must say so."""
    z = draws.standard_normal((runs, DT.size))
    correlated = 0.9 * z + math.sqrt(1 - 0.9**2) * np.roll(z, 1, axis=1)  # still N(0, 1) each
    restless = z * np.sqrt(draws.exponential(size=(runs, 1)))             # one volatility for a whole path
    uniform = draws.uniform(-math.sqrt(3), math.sqrt(3), z.shape)         # mean 0, variance 1, not normal
    return {"correlated": (correlated, "p_independent"), "volatility": (restless, "p_independent"),
            "uniform": (uniform, "p_normal"), "too large": (1.2 * z, "p_normal")}


def test_brownian_motion_is_rejected_as_often_as_it_should_be():
    draws, repeats = rng(), 1000
    tests = [intervals.brownian_test(walk(draws.standard_normal((60, DT.size))), TIMES) for _ in range(repeats)]
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
    assert getattr(intervals.brownian_test(walk(z), TIMES), field) < 1e-4


def test_a_wrong_power_of_time_is_found():
    z = rng().standard_normal((1000, DT.size)) * DT**0.15  # variance dt^1.3
    test = intervals.brownian_test(walk(z), TIMES)
    assert abs(test.variance_slope - 1.3) < SIGMAS * test.slope_error
    assert test.variance_slope - 1 > 3 * SIGMAS * test.slope_error


def test_the_gradient_of_one_layer_is_brownian():
    """f(x) = sum of w relu(x - b), in the time t = P(b < x)."""
    width, draws, x = 2000, rng(), np.array([-1.8, -1.0, -0.8, -0.3, 0.4, 0.5, 1.3, 2.0])
    paths = []
    for _ in range(200):
        w, b = draws.standard_normal((width, 1)) / math.sqrt(width), draws.standard_normal(width)
        paths.append(input_gradient(Chain(Dense(np.ones((1, width)), -b), ReLU(), Dense(w)), x))
    test = intervals.brownian_test(paths, [0.5 * math.erfc(-value / math.sqrt(2)) for value in x])
    assert min(test.p_normal, test.p_independent) > 0.001
    assert abs(test.variance_slope - 1) < SIGMAS * test.slope_error


@pytest.mark.parametrize("paths, times", [
    (np.zeros((60, 5)), np.arange(4.0)),      # a column too many
    (np.zeros((60, 4)), [0.0, 1.0, 1.0, 2.0]),  # time stands still
    (np.zeros((49, 4)), np.arange(4.0)),      # too few runs
    (np.zeros((60, 3)), np.arange(3.0)),      # too few steps
])
def test_brownian_test_refuses(paths, times):
    with pytest.raises(ValueError, match="increasing times"):
        intervals.brownian_test(paths, times)


def test_equal_steps_have_no_slope():
    with pytest.raises(ValueError, match="steps of different lengths"):
        intervals.brownian_test(np.cumsum(rng().standard_normal((60, 5)), axis=1), np.arange(5.0))
