"""The search behind figure 2: its shortcut for many nets at once against the layers' own rules, one net at a time."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from minishatter import BatchNorm, Chain, Dense, Identity, ReLU, Sum, gradients, nets, stats
from minishatter.sweep import sweep
from tutorials import conventions

TABLE = Path(__file__).parent.parent / "figures" / "03_conventions.csv"

WIDTH, READ_OUTS = 6, [0, 1, 3, 4]
X = np.linspace(-2, 2, 16)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(conventions, "WIDTH", WIDTH)
    monkeypatch.setattr(conventions, "READ_OUTS", READ_OUTS)


def chain(panel, stem, behind, biases, layers, last, run=0):
    """The net of `conventions.draw` as layers of the library."""
    v, b, behind, Ws, w = conventions.draw(panel, run, stem, behind, biases)
    yield Dense(v[None, :], b)
    if behind:
        yield ReLU()
    for W, _ in zip(Ws, range(layers)):
        yield Sum(Identity(), Chain(BatchNorm(WIDTH), ReLU(), Dense(W)), weights=conventions.WEIGHTS[panel])
    if last:
        yield from (BatchNorm(WIDTH), ReLU())
    yield Dense(w[:, None])


@pytest.mark.parametrize("panel", conventions.WEIGHTS)
@pytest.mark.parametrize("stem, behind, biases", list(itertools.product(*list(conventions.CHOICES.values())[:3])))
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


def test_a_row_is_the_mean_distance_to_the_points(monkeypatch):
    """By single nets of the library; at depth 2 over all panels, the others for each panel."""
    curves = {2: {1: 0.9}, 3: {1: 0.5, 2: 0.1}}
    monkeypatch.setattr(conventions, "FIGURE_2", {panel: curves for panel in conventions.WEIGHTS})
    monkeypatch.setattr(conventions, "READ_OUTS", [0, 1, 2, 3])
    monkeypatch.setattr(conventions, "RUNS", 3)
    conventions.panels.cache_clear()
    row = conventions.convention("N(0, 1)", True, "U(-2, 2)", "held", "L - 1", True, "as it is")
    conventions.panels.cache_clear()

    def gaps(panel, L):
        g = np.array([gradients.input_gradient(Chain(*chain(panel, "N(0, 1)", True, "U(-2, 2)", L - 1, True, run)),
                                               gradients.grid()) for run in range(3)])
        mean = stats.autocorrelation(g, 2, subtract_mean=False).mean(axis=0)
        return [abs(mean[lag] - printed) for lag, printed in curves[L].items()]

    assert row["feedforward"] == pytest.approx(np.mean(gaps("feedforward", 3)), abs=1e-5)
    assert row["resnet_01"] == pytest.approx(np.mean(gaps("resnet 0.1", 3)), abs=1e-5)
    assert row["depth_2"] == pytest.approx(np.mean([gaps(panel, 2) for panel in conventions.WEIGHTS]), abs=1e-5)


def test_the_conventions_tried_differ():
    """2 stems x 3 laws, 3 of them without biases, x the choices behind them: all that the CSV must hold."""
    assert len(set(conventions.POINTS)) == len(conventions.POINTS) == (3 + 9) * 2 * 3 * 2 * 5


def test_the_table_holds_every_convention():
    assert conventions.kept(TABLE) == conventions.POINTS


def test_what_tutorial_03_says_of_the_table():
    """The first 21 rows agree on three choices; both judges pass three of all, which differ in the first weights."""
    rows = sweep(conventions.convention, conventions.kept(TABLE), path=TABLE)  # nothing runs
    rows.sort(key=lambda row: row["feedforward"] + row["resnet"])
    agree = [(row["statistics"], row["layers"], row["last"]) == ("through", "L - 2", False) for row in rows]
    assert all(agree[:21]) and not agree[21]
    passed = [(rows.index(row) + 1, *(row[choice] for choice in conventions.CHOICES)) for row in rows
              if row["depth_2"] is not None and row["depth_2"] < 0.02 and row["resnet_01"] < 0.1]
    alike = (False, "none", "through", "L - 2", False, "mean subtracted")
    assert passed == [(1, "N(0, 1)", *alike), (7, "+-1", *alike), (8, "N(0, 2)", *alike)]
    he = rows[7]
    assert he["feedforward"] + he["resnet"] < 2 * he["noise"] and he["resnet_01"] < min(rows[0]["resnet_01"], 0.03)


@pytest.mark.parametrize("panel", conventions.WEIGHTS)
def test_the_convention_is_a_net_of_nets_py(panel):
    """The same kinds of layers with the same skip and branch weights, and as many of each as depth 5 asks for."""
    skip, beta = conventions.WEIGHTS[panel]
    ours = nets.resnet(5 - 2, WIDTH, skip=skip, beta=beta, first_std=2**0.5, rng=np.random.default_rng(0))
    assert repr(ours) == repr(Chain(*chain(panel, "N(0, 2)", False, "none", 5 - 2, False)))


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

