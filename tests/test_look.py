"""What the window and the film show of a net is what gradients, stats, regions and probe say of it."""

import numpy as np
import pytest

from minishatter import active_units, gradients, look, probe, regions, stats

X = gradients.grid(look.POINTS)
CHOICES = [look.Choice("feedforward", "center", depth=5, width=9), look.Choice("feedforward", "none", depth=3, width=9),
           look.Choice("resnet", "batch", depth=4, width=9, beta=0.3),
           look.Choice("highway", depth=4, width=9, beta=2.0)]

choices = pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: choice.net + choice.norm)


@choices
@pytest.mark.parametrize("statistics", gradients.STATISTICS)
def test_one_pass_gives_the_gradient_and_the_patterns(choice, statistics):
    net = look.build(choice)
    g, active = look.one_pass(net, X, statistics)
    np.testing.assert_array_equal(g, gradients.input_gradient(net, X, statistics))
    expected = active_units(net, X[:, None])
    assert len(active) == len(expected) > 2
    for ours, theirs in zip(active, expected):
        np.testing.assert_array_equal(ours, theirs)


def test_a_gate_of_a_highway_is_at_most_1():
    assert look.build(CHOICES[3]).layers[1].weights == (0.0, 1.0)


@choices
def test_a_look_measures_what_it_says(choice):
    net = look.build(choice)
    seen, g, active = look.look(net, X), gradients.input_gradient(net, X), active_units(net, X[:, None])
    np.testing.assert_allclose(seen.acf, stats.autocorrelation(g, look.LAGS), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(seen.covariance, stats.rank_one_covariance(g), rtol=1e-12)
    np.testing.assert_array_equal(seen.active, active[-1])
    assert seen.flips == sum(np.sum(np.diff(pattern.astype(int), axis=0) != 0) for pattern in active)
    assert repr(seen.diagnosis) == repr(probe.diagnose_gradient(g, active[-1]))


def test_a_gradient_that_does_not_vary_has_no_autocorrelation():
    net = look.build(look.Choice("highway", depth=2, width=9, beta=0.0))  # all skip, so linear
    seen = look.look(net, X)
    assert np.isnan(seen.acf).all() and not seen.covariance.any() and seen.diagnosis.distinct == 1


@choices
def test_a_curve_is_the_exact_staircase_where_it_has_few_pieces(choice):
    frozen = look.build(choice).freeze(X[:, None])
    x, g, exact = look.curve(frozen, 0.1, 0.2)
    staircase = regions.exact_gradient(frozen, 0.1, 0.2)
    assert exact and x.size == g.size == 2 * staircase.values.size
    np.testing.assert_array_equal(x[::2], staircase.breakpoints[:-1])
    np.testing.assert_array_equal(x[1::2], staircase.breakpoints[1:])
    np.testing.assert_array_equal(g[::2], g[1::2])
    middle = (x[::2] + x[1::2]) / 2
    expected = gradients.input_gradient(frozen, np.append(middle, 0.1))[:-1]
    np.testing.assert_allclose(g[::2], expected, rtol=0, atol=1e-12 * np.abs(g).max())


def test_a_curve_of_many_pieces_goes_through_a_grid():
    frozen = look.build(look.Choice("feedforward", "center", depth=24, width=40)).freeze(X[:, None])
    x, g, exact = look.curve(frozen, -2.0, 2.0)
    assert not exact
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(g, gradients.input_gradient(frozen, X))
