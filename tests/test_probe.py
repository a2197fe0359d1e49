"""One word for a net: each has its net, and what is measured is what stats says."""

import json
import math

import numpy as np
import pytest

from minishatter import Chain, Dense, active_units, gradients, nets, probe, stats

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


def test_a_diagnosis_prints_as_a_table_and_goes_into_json():
    diagnosis = probe.diagnose(DIAGNOSES["vanished"], gradients.grid(64))
    lines = dict(line.split(None, 1) for line in str(diagnosis).splitlines() if line.split()[0] in ("condition", "rms"))
    assert lines == {"condition": "vanished", "rms": "1e-06"} and "autocorrelation" in str(diagnosis)
    plain = json.loads(json.dumps(diagnosis.plain(), allow_nan=False))
    assert plain["coactive"] is None and set(plain["autocorrelation"]) == {str(lag) for lag in probe.LAGS}
