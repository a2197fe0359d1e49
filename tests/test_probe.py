"""One word for a net: each has its net, and what is measured is what stats says."""

import json
import math

import numpy as np
import pytest

from minishatter import Chain, Dense, active_units, gradients, intervals, nets, probe, stats

WIDTH = 13


def rng(seed=0):
    return np.random.default_rng(seed)


DIAGNOSES = {
    "healthy": nets.resnet(3, WIDTH, beta=0.1, rng=rng()),
    "shattered": nets.feedforward(24, WIDTH, norm="center", rng=rng()),
    "collapsed": nets.feedforward(6, WIDTH, bias_std=0.0, rng=rng()),
    "vanished": Chain(Dense(np.full((1, 1), 1e-3)), Dense(np.full((1, 1), 1e-3))),
    "exploded": Chain(Dense(np.full((1, 1), 1e3)), Dense(np.full((1, 1), 1e3))),
}


@pytest.mark.parametrize("condition", DIAGNOSES)
def test_each_condition_has_its_net(condition):
    diagnosis = probe.diagnose(DIAGNOSES[condition], gradients.grid(64))
    assert diagnosis.condition == condition


def test_a_diagnosis_measures_what_it_says():
    x, net = gradients.grid(64), DIAGNOSES["shattered"]
    g, diagnosis = gradients.input_gradient(net, x), probe.diagnose(net, x)
    acf = stats.autocorrelation(g, 14)
    assert diagnosis.rms == pytest.approx(np.sqrt(np.mean(g**2)), rel=1e-12)
    assert diagnosis.autocorrelation == pytest.approx(acf[list(probe.LAGS)], rel=1e-9)
    assert diagnosis.coactive == stats.coactivity(active_units(net, x[:, None])[-1]).mean()
    assert diagnosis.distinct == len(np.unique(g))


def test_a_linear_net_has_one_gradient_and_no_correlation():
    diagnosis = probe.diagnose(DIAGNOSES["vanished"], gradients.grid(64))
    assert diagnosis.distinct == 1 and math.isnan(diagnosis.correlation_length) and math.isnan(diagnosis.coactive)


def test_a_gradient_alone_has_the_same_diagnosis_but_for_the_rank():
    x, net = gradients.grid(64), DIAGNOSES["shattered"]
    alone = probe.diagnose_gradient(gradients.input_gradient(net, x), active_units(net, x[:, None])[-1])
    whole = probe.diagnose(net, x)
    assert math.isnan(alone.relative_effective_rank) and not math.isnan(whole.relative_effective_rank)
    assert alone._replace(relative_effective_rank=0.0) == whole._replace(relative_effective_rank=0.0)


def test_of_runs_the_mean_autocorrelation_decides():
    """Each field by its own definition; one run that does not vary has no autocorrelation and takes no part."""
    x = gradients.grid(64)
    runs = gradients.ensemble(lambda r: nets.feedforward(24, WIDTH, norm="center", rng=r), x, 9, 0)
    acfs = stats.autocorrelation(runs, 63)
    found = probe.diagnose_gradient(np.concatenate([runs, np.ones((1, 64))]), step=0.5)
    assert found.autocorrelation == pytest.approx(acfs.mean(axis=0)[list(probe.LAGS)], rel=1e-12)
    assert found.correlation_length == pytest.approx(0.5 * stats.correlation_length(acfs.mean(axis=0)), rel=1e-12)
    assert found.rms == pytest.approx(np.sqrt((np.sum(runs**2) + 64) / 640), rel=1e-12)
    assert found.interval_at_lag_1 == pytest.approx(intervals.mean_interval(acfs[:, 1])[1:], rel=1e-12)
    assert found.distinct == np.median([len(np.unique(run)) for run in runs] + [1])
    assert "interval at lag 1" in str(found) and "interval_at_lag_1" in found.plain()


def test_the_patterns_of_runs_are_averaged_over_runs():
    patterns = rng().random((3, 64, 5)) < 0.5
    found = probe.diagnose_gradient(stats.white_noise((3, 64), rng(1)), patterns)
    assert found.coactive == pytest.approx(np.mean([stats.coactivity(pattern).mean() for pattern in patterns]))
    assert found.interval_at_lag_1 is None and "interval" not in str(found)  # three runs are too few for one


def test_the_step_is_a_unit_and_does_not_decide():
    g = stats.brown_noise(64, rng())
    one, tenth = probe.diagnose_gradient(g), probe.diagnose_gradient(g, step=0.1)
    assert tenth.correlation_length == pytest.approx(0.1 * one.correlation_length)
    assert tenth._replace(correlation_length=one.correlation_length) == one and one.condition == "healthy"
    assert probe.diagnose_gradient(stats.white_noise(64, rng()), step=100.0).condition == "shattered"


def test_along_a_line_the_gradient_is_the_derivative_of_the_function_on_it():
    """f(x) = sin(k . x): the projection is the derivative in the distance from a, here also by finite differences."""
    k, a, b = np.array([1.0, -2.0, 0.5]), np.array([0.1, 0.2, 0.3]), np.array([1.0, -2.0, 4.0])
    line = probe.along(lambda x: np.cos(x @ k)[:, None] * k, a, b, n=2001)
    distance = np.linalg.norm(line.points - a, axis=1)
    np.testing.assert_allclose(line.points[[0, -1]], [a, b])
    np.testing.assert_allclose(distance, np.linspace(0, np.linalg.norm(b - a), 2001), atol=1e-12)
    finite = np.gradient(np.sin(line.points @ k), distance)
    np.testing.assert_allclose(line.projection[1:-1], finite[1:-1], atol=1e-5)
    acf = stats.autocorrelation(line.projection, 2000)
    assert line.diagnosis.correlation_length == pytest.approx(stats.correlation_length(acf, distance[1]))


def test_along_the_axis_of_a_scalar_net_is_its_input_gradient():
    net, x = DIAGNOSES["shattered"], gradients.grid(64)
    line = probe.along(lambda points: gradients.input_gradient(net, points[:, 0])[:, None], x[:1], x[-1:], n=64)
    np.testing.assert_allclose(line.projection, gradients.input_gradient(net, x), rtol=1e-9, atol=1e-9)
    assert line.diagnosis.condition == "shattered"


def test_a_gradient_function_that_spoils_its_input_spoils_nothing():
    def gradient(x):
        x *= 0
        return np.ones_like(x)

    a = np.zeros(2)
    line = probe.along(gradient, a, np.array([3.0, 4.0]))
    assert (a == 0).all() and line.points[-1].tolist() == [3.0, 4.0]
    np.testing.assert_allclose(line.projection, 1.4)  # (1, 1) . (0.6, 0.8)


def test_a_diagnosis_prints_as_a_table_and_goes_into_json():
    diagnosis = probe.diagnose(DIAGNOSES["vanished"], gradients.grid(64))
    lines = dict(line.split(None, 1) for line in str(diagnosis).splitlines() if line.split()[0] in ("condition", "rms"))
    assert lines == {"condition": "vanished", "rms": "1e-06"} and "autocorrelation" in str(diagnosis)
    plain = json.loads(json.dumps(diagnosis.plain(), allow_nan=False))
    assert plain["coactive"] is None and set(plain["autocorrelation"]) == {str(lag) for lag in probe.LAGS}
