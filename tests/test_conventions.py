"""The search behind figure 2: its shortcut for many nets at once against the layers' own rules, one net at a time."""

import itertools

import numpy as np
import pytest

from minishatter import BatchNorm, Chain, Dense, Identity, ReLU, Sum, gradients, stats
from tutorials import conventions

WIDTH, READ_OUTS = 6, [0, 1, 3]
X = np.linspace(-2, 2, 16)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(conventions, "WIDTH", WIDTH)
    monkeypatch.setattr(conventions, "READ_OUTS", READ_OUTS)


def chain(panel, stem, behind, biases, layers, last):
    """The net of `conventions.draw` as layers of the library."""
    v, b, behind, Ws, w = conventions.draw(panel, 0, stem, behind, biases)
    yield Dense(v[None, :], b)
    if behind:
        yield ReLU()
    for W, _ in zip(Ws, range(layers)):
        yield Sum(Identity(), Chain(BatchNorm(WIDTH), ReLU(), Dense(W)), weights=conventions.WEIGHTS[panel])
    if last:
        yield from (BatchNorm(WIDTH), ReLU())
    yield Dense(w[:, None])


@pytest.mark.parametrize("panel", conventions.WEIGHTS)
@pytest.mark.parametrize("stem, behind, biases", itertools.product(*list(conventions.CHOICES.values())[:3]))
def test_a_net_read_out_at_many_depths_is_many_nets(panel, stem, behind, biases):
    net, weights = conventions.draw(panel, 0, stem, behind, biases), conventions.WEIGHTS[panel]
    found = conventions.net_gradients(net, X, *weights)
    for s, last, place in np.ndindex(found.shape[:3]):
        layers = chain(panel, stem, behind, biases, READ_OUTS[place], bool(last))
        expected = gradients.input_gradient(Chain(*layers), X, ("held", "through")[s])
        np.testing.assert_allclose(found[s, last, place], expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("panel", conventions.WEIGHTS)
def test_a_linear_stem_needs_no_biases(panel):
    """Batch normalisation takes away what is the same for all inputs, so one law of the biases stands for all."""
    laws = [conventions.net_gradients(conventions.draw(panel, 0, "N(0, 2)", False, biases), X,
                                      *conventions.WEIGHTS[panel]) for biases in conventions.CHOICES["biases"]]
    for law in laws[1:]:
        np.testing.assert_allclose(law, laws[0], rtol=0, atol=1e-5 * np.abs(laws[0]).max())


def test_the_conventions_tried_differ():
    """2 stems x 3 laws, 3 of them without biases, x the choices behind them: all that the CSV must hold."""
    assert len(set(conventions.POINTS)) == len(conventions.POINTS) == (3 + 9) * 2 * 3 * 2 * 5


@pytest.mark.parametrize("estimator, expected", [
    ("mean subtracted", lambda g, k: stats.autocorrelation(g, k)[:, k]),
    ("mean subtracted, rescaled", lambda g, k: stats.autocorrelation(g, k)[:, k] * 16 / (16 - k)),
    ("as it is", lambda g, k: stats.autocorrelation(g, k, subtract_mean=False)[:, k]),
    ("as it is, rescaled", lambda g, k: stats.autocorrelation(g, k, subtract_mean=False)[:, k] * 16 / (16 - k)),
    ("Pearson", lambda g, k: [np.corrcoef(row[:16 - k], row[k:])[0, 1] for row in g])])
@pytest.mark.parametrize("lag", [1, 3, 9])
def test_the_estimators(estimator, expected, lag):
    g = np.cumsum(np.random.default_rng(4).standard_normal((5, 16)), axis=1)
    np.testing.assert_allclose(conventions.autocorrelation(g, lag, estimator), expected(g, lag), rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_constant_minus_its_rounded_mean_has_the_autocorrelation_of_a_constant(dtype):
    """(n - k) / n, or 0/0 where the mean is exact; both happen, and nothing else does."""
    g = np.repeat(np.random.default_rng(5).standard_normal((400, 1)), 256, axis=1).astype(dtype)
    for lag in (1, 14):
        a = conventions.autocorrelation(g, lag)
        exact = np.isnan(a)
        assert 0 < exact.sum() < 400
        np.testing.assert_allclose(a[~exact], (256 - lag) / 256, rtol=1e-6)

