"""The exact gradient against backward, against grids, and against cases that can be counted by hand."""

import numpy as np
import pytest
from numba import config

from minishatter import gradients, nets, regions, stats
from minishatter.compose import Chain, Sum, freeze
from minishatter.init import he
from minishatter.layers import Affine, Center, CReLU, Dense, Identity, PReLU, ReLU

GRID = gradients.grid(101)

# Slopes are sums over paths, followed through at most 50 layers by two orders of summation: some 50 * 1e-16 of the
# largest in a net that keeps their size, measured 1e-14.
ROUNDING = 1e-12
# Zeros are known to some 1e-14: in a narrower piece rounding may decide on which side of a kink its midpoint is.
WIDE = 1e-9


def middles(edges):
    return (edges[:-1] + edges[1:]) / 2


def backward(net, x):
    """f' at the inputs x (n,), by the definition."""
    y, cache = net.forward(x[:, None])
    return net.backward(np.ones_like(y), cache)[0][:, 0]


def nested(width, rng):
    """Sums in sums, branches with kinks of their own, weights, a CReLU, a PReLU and an Affine layer."""
    dense = lambda fan_in, fan_out: Dense(he(fan_in, fan_out, rng), rng.standard_normal(fan_out))
    affine = Affine(rng.uniform(0.5, 2, width), rng.standard_normal(width))
    inner = Sum(Chain(dense(width, width), PReLU(0.3)), Chain(affine, ReLU(), dense(width, width)), ReLU())
    outer = Sum(inner, Chain(CReLU(), dense(2 * width, width)), Identity(), weights=(0.5, -1.0, 2.0))
    return Chain(dense(1, width), outer, CReLU(), dense(2 * width, 1))


def centred_over_units(width, rng):
    """What it subtracts is a function of the one input, so there is nothing to freeze."""
    net = nets.feedforward(3, width + 1, rng=rng)
    return Chain(*(part for layer in net.layers for part in ([Center("units"), layer] if isinstance(layer, ReLU)
                                                             else [layer])))


def frozen(build):
    return lambda width, rng: freeze(build(width, rng), GRID[:, None])


KINDS = {
    "relu": lambda width, rng: nets.feedforward(4, width, hidden_bias_std=0.3, rng=rng),
    "relu, first biases only": lambda width, rng: nets.feedforward(5, width, rng=rng),
    "crelu": lambda width, rng: nets.feedforward(3, width, activation="crelu", rng=rng),
    "prelu": lambda width, rng: nets.feedforward(4, width, activation="prelu", rng=rng),
    "center": frozen(lambda width, rng: nets.feedforward(4, width, norm="center", rng=rng)),
    "batch": frozen(lambda width, rng: nets.feedforward(4, width, norm="batch", rng=rng)),
    "resnet": frozen(lambda width, rng: nets.resnet(4, width, rng=rng)),
    "resnet, no norm": lambda width, rng: nets.resnet(4, width, norm=None, hidden_bias_std=0.3, rng=rng),
    "highway": lambda width, rng: nets.highway(4, width, gamma2=0.7, rng=rng),
    "centred over the units": centred_over_units,
    "nested": nested,
    "no biases": lambda width, rng: nets.feedforward(4, width, bias_std=0.0, rng=rng),
}
kinds = pytest.mark.parametrize("kind", KINDS)
seeds = pytest.mark.parametrize("width, seed", [(1, 0), (2, 1), (3, 2), (7, 3), (7, 4), (13, 5)])


def draw(kind, width, seed):
    return KINDS[kind](width, np.random.default_rng([11, width, seed]))


def check_every_piece(net, gradient):
    """The union of the pieces is the interval, neighbours differ, and every value is backward's at the midpoint."""
    x, values = gradient
    assert x.dtype == values.dtype == np.float64 and x.size == values.size + 1
    assert (np.diff(x) > 0).all()
    size = max(np.abs(values).max(), 1e-300)
    assert (np.abs(np.diff(values)) > ROUNDING * size).all()
    wide = np.diff(x) > WIDE
    assert wide.mean() > 0.99
    for part in np.array_split(np.flatnonzero(wide), 1 + values.size // 4000):
        assert np.abs(backward(net, middles(x)[part]) - values[part]).max(initial=0) <= ROUNDING * size


@kinds
@seeds
def test_every_value_is_backward_at_the_midpoint(kind, width, seed):
    net = draw(kind, width, seed)
    gradient = regions.exact_gradient(net, -1.5, 2.0)
    assert gradient.breakpoints[0] == -1.5 and gradient.breakpoints[-1] == 2.0
    check_every_piece(net, gradient)


@kinds
def test_it_agrees_with_the_gradient_on_a_grid_away_from_breakpoints(kind):
    net = draw(kind, 11, 6)
    gradient = regions.exact_gradient(net)
    x = np.linspace(-1.99, 1.99, 997)
    x = x[np.abs(x[:, None] - gradient.breakpoints).min(axis=1) > WIDE]
    np.testing.assert_allclose(gradient.at(x), gradients.input_gradient(net, x), rtol=0,
                               atol=ROUNDING * np.abs(gradient.values).max())


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="without the JIT the kernels are Python loops: minutes")
@pytest.mark.parametrize("norm", [None, "center"])
def test_a_large_net(norm):
    """50 layers of 200 units without normalisation; 10 with, where the pieces are as many."""
    net = nets.feedforward(10 if norm else 50, 200, norm=norm, rng=np.random.default_rng([11, 200]))
    net = freeze(net, GRID[:, None])
    gradient = regions.exact_gradient(net)
    assert 3000 < gradient.values.size < 20_000
    check_every_piece(net, gradient)


# Cases that can be counted.


def test_one_layer_has_a_piece_more_than_kinks_inside():
    """f'(x) = sum of w_u v_u over the active units; the kinks lie at -b_u / v_u."""
    rng = np.random.default_rng(7)
    v, b, w = rng.standard_normal((3, 23))
    gradient = regions.exact_gradient(Chain(Dense(v[None], b), ReLU(), Dense(w[:, None])), -1.0, 1.0)
    kinks = np.sort(-b / v)
    kinks = kinks[np.abs(kinks) < 1]
    np.testing.assert_allclose(gradient.breakpoints[1:-1], kinks, rtol=0, atol=ROUNDING)
    x = middles(gradient.breakpoints)
    np.testing.assert_allclose(gradient.values, (np.outer(x, v) + b > 0) @ (w * v), rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("depth", [1, 2, 3, 7])
def test_the_sawtooth_has_2_to_the_depth_pieces(depth):
    """Telgarsky 2016: h(y) = 2 relu(y) - 4 relu(y - 1/2) folds [0, 1] in two; composed, f' = +-2^L on 2^L pieces."""
    fold = [Dense([[1.0, 1.0]], [0.0, -0.5]), ReLU(), Dense([[2.0], [-4.0]])]
    gradient = regions.exact_gradient(Chain(*fold * depth), 0.0, 1.0)
    np.testing.assert_array_equal(gradient.breakpoints, np.arange(2**depth + 1) / 2**depth)
    np.testing.assert_array_equal(gradient.values, 2.0**depth * (-1.0) ** np.arange(2**depth))


def test_a_linear_net_has_one_piece_though_its_units_flip():
    """Looks-linear: f' is one number, and every flip has jump 0."""
    net = nets.feedforward(5, 8, activation="crelu", init="looks_linear", rng=np.random.default_rng(3))
    gradient = regions.exact_gradient(net)
    assert gradient.values.size == 1 and gradient.breakpoints.tolist() == [-2.0, 2.0]
    explanation = regions.explain(net, -2.0, 2.0)
    assert len(explanation) > 5
    assert max(abs(row.jump) for row in explanation) <= ROUNDING * abs(gradient.values[0])


def test_a_net_without_biases_has_its_only_kink_at_zero():
    gradient = regions.exact_gradient(nets.feedforward(6, 17, bias_std=0.0, rng=np.random.default_rng(1)))
    np.testing.assert_allclose(gradient.breakpoints, [-2, 0, 2], rtol=0, atol=ROUNDING)


def test_units_with_one_kink_make_one_breakpoint():
    """Opposite jumps cancel: then it is no breakpoint of f', although two units flip."""
    twins = [Dense([[1.0, 2.0]], [-0.3, -0.6]), ReLU()]
    assert regions.exact_gradient(Chain(*twins, Dense([[1.0], [1.0]]))).values.tolist() == [0.0, 3.0]
    net = Chain(*twins, Dense([[2.0], [-1.0]]))
    assert regions.exact_gradient(net).values.tolist() == [0.0]
    (row,) = regions.explain(net, -1.0, 1.0)
    assert row.jump == 0 and [flip.unit for flip in row.flips] == [0, 1]


@pytest.mark.parametrize("layers", [[], [ReLU()], [CReLU(), Dense([[1.0], [-2.0]])], [PReLU(0.5)]])
def test_a_unit_that_is_zero_everywhere_is_inactive(layers):
    """No slope, no zero to find, and no division by it."""
    net = Chain(Dense([[0.0]]), *layers)
    assert regions.exact_gradient(net).values.tolist() == [0.0]


def test_a_kink_at_an_end_of_the_interval_is_no_breakpoint():
    net = Chain(Dense([[1.0]], [-1.0]), ReLU())
    assert regions.exact_gradient(net, 1.0, 2.0).values.tolist() == [1.0]
    assert regions.exact_gradient(net, 0.0, 1.0).values.tolist() == [0.0]


def test_parts_of_the_interval_give_the_parts_of_the_whole():
    net = draw("resnet", 13, 8)
    whole, parts = regions.exact_gradient(net), [regions.exact_gradient(net, a, a + 1) for a in (-2, -1, 0, 1)]
    inner = np.concatenate([part.breakpoints[1:-1] for part in parts])
    expected = [x for x in whole.breakpoints[1:-1] if abs(x - round(x)) > WIDE]  # this net has a kink at 0
    np.testing.assert_allclose(inner, expected, rtol=0, atol=ROUNDING)


def test_float32_parameters_are_followed_in_float64():
    W, b = np.random.default_rng(2).standard_normal((2, 5, 5)).astype(np.float32)

    def net(kind):
        parts = [a.astype(kind) for a in (W[:1], b[0], W, b[1], b[2], W[:, :1])]
        return Chain(Dense(*parts[:2]), PReLU(kind(0.25)), Dense(*parts[2:4]), Affine(parts[4], parts[4]), ReLU(),
                     Dense(parts[5]))

    for single, double in zip(regions.exact_gradient(net(np.float32)), regions.exact_gradient(net(np.float64))):
        assert single.dtype == np.float64
        np.testing.assert_array_equal(single, double)


def test_nothing_is_written_to_the_net():
    net = draw("nested", 7, 9)
    before = {name: array.copy() for name, array in net.params.items()}
    first, second = regions.exact_gradient(net), regions.exact_gradient(net)
    np.testing.assert_array_equal(first.values, second.values)
    for name, array in net.params.items():
        np.testing.assert_array_equal(array, before[name])


def test_too_many_pieces_are_refused_before_memory_runs_out(monkeypatch):
    monkeypatch.setattr(regions, "MOST_NUMBERS", 1000)
    with pytest.raises(ValueError, match="pieces of 13 units"):
        regions.exact_gradient(draw("center", 13, 5))


def test_at_takes_the_piece_to_the_right():
    gradient = regions.ExactGradient(np.array([0.0, 1.0, 3.0]), np.array([5.0, 7.0]))
    np.testing.assert_array_equal(gradient.at([[0.0, 0.5, 1.0], [1.5, 3.0, 0.999]]), [[5, 5, 7], [7, 7, 5]])
    assert gradient.at(2.0) == 7


# The autocorrelation.

estimators = pytest.mark.parametrize("subtract_mean", [True, False])


@estimators
def test_the_autocorrelation_of_a_step_by_hand(subtract_mean):
    """f' = -1, then 1, of equal lengths 1: on [0, 2 - s] the product is 1 but for a stretch s where it is -1."""
    step = regions.ExactGradient(np.array([0.0, 1.0, 2.0]), np.array([-1.0, 1.0]))
    lags = np.array([0.0, 0.25, 1.0, 1.5, 2.0])
    stretch = np.minimum(lags, 2 - lags)
    np.testing.assert_allclose(regions.autocorrelation(step, lags, subtract_mean), (2 - lags - 2 * stretch) / 2,
                               rtol=0, atol=1e-15)
    assert np.shape(regions.autocorrelation(step, 0.5)) == ()


@estimators
@pytest.mark.parametrize("kind", ["relu", "center", "resnet"])
def test_it_is_the_limit_of_the_autocorrelation_on_ever_finer_grids(kind, subtract_mean):
    """A grid misses each jump by up to a step, so the distance is at most of the order of the step."""
    gradient = regions.exact_gradient(draw(kind, 13, 2))
    lags = np.array([0.1, 0.5, 1.3])
    exact = regions.autocorrelation(gradient, lags, subtract_mean)
    pieces = gradient.values.size
    for n in (4_000, 40_000, 400_000):
        step = 4 / n
        g = gradient.at(np.arange(n) * step + step / 2 - 2)  # the midpoints of n cells
        rows = np.rint(lags / step).astype(int)
        c = g - g.mean() if subtract_mean else g
        by_lag = np.array([c[:n - k] @ c[k:] for k in rows]) / (c @ c)
        if n == 4_000:  # the same as stats.autocorrelation, which takes all lags in between
            np.testing.assert_allclose(by_lag, stats.autocorrelation(g, rows.max(), subtract_mean)[rows], rtol=1e-9)
        size = np.abs(c).max() ** 2 / np.mean(c**2)
        # 2 pieces jumps, each missed by step / 2 with either sign: in random directions sqrt(2 pieces) / 2 of them add
        assert np.abs(by_lag - exact).max() < size * np.sqrt(2 * pieces) * step


def test_the_autocorrelation_is_1_at_lag_0_0_at_the_whole_length_and_never_above_1():
    for kind in KINDS:
        gradient = regions.exact_gradient(draw(kind, 13, 3))
        acf = regions.autocorrelation(gradient, np.linspace(0, 4, 57))
        assert acf[0] == 1 and acf[-1] == 0 and np.abs(acf).max() <= 1 + ROUNDING


def test_exploded_gradients_do_not_overflow_in_the_autocorrelation():
    step = regions.ExactGradient(np.array([0.0, 1.0, 2.0]), np.array([-1e200, 1e200]))
    assert regions.autocorrelation(step, 1.0) == -0.5


# Why did the gradient jump here?


@kinds
@seeds
def test_the_jumps_add_up_to_the_change_of_the_gradient(kind, width, seed):
    net = draw(kind, width, seed)
    a, b = -0.731, 0.912
    at_a, at_b = backward(net, np.array([a, b]))
    explanation = regions.explain(net, a, b)
    size = np.abs(regions.exact_gradient(net, a, b).values).max()
    assert abs(sum(row.jump for row in explanation) - (at_b - at_a)) <= ROUNDING * size
    assert all(row.flips for row in explanation)
    xs = [row.x for row in explanation]
    assert xs == sorted(xs) and all(a < x < b for x in xs)
    assert all(left.after == right.before for left, right in zip(explanation, explanation[1:]))


def rectifiers(net, cache, place=""):
    """{place: active pattern} from the cache of a forward pass: another way through the net than `explain` takes."""
    if not isinstance(cache, list):
        if not hasattr(cache, "active"):
            return {}
        halves = 2 if isinstance(net, CReLU) else 1  # a CReLU's second half follows its first
        return {place[:-1]: cache.active[:, :cache.active.shape[1] // halves]}
    children = net.layers if isinstance(net, Chain) else net.branches
    return {name: active for number, (child, child_cache) in enumerate(zip(children, cache))
            for name, active in rectifiers(child, child_cache, f"{place}{number}.").items()}


@kinds
def test_the_flips_are_those_of_the_activation_patterns_on_both_sides(kind):
    """Exactly the units whose state differs between the midpoints of the two neighbouring pieces."""
    net = draw(kind, 7, 3)
    explanation = regions.explain(net, -1.0, 1.0)
    edges = np.array([-1.0, *(row.x for row in explanation), 1.0])
    assert np.diff(edges).min() > WIDE
    patterns = rectifiers(net, net.forward(middles(edges)[:, None])[1])
    for k, row in enumerate(explanation):
        flips = {(place, int(unit), bool(active[k + 1, unit])) for place, active in patterns.items()
                 for unit in np.flatnonzero(active[k] != active[k + 1])}
        assert flips == {tuple(flip) for flip in row.flips}


def test_the_jump_of_a_first_layer_unit_by_hand():
    """w_u |v_u| at -b_u / v_u, off -> on where v_u > 0."""
    v, b, w = np.array([2.0, -4.0]), np.array([-1.0, -1.0]), np.array([3.0, 5.0])
    rows = regions.explain(Chain(Dense(v[None], b), ReLU(), Dense(w[:, None])), -1.0, 1.0)
    by_hand = [(-0.25, 20.0, ("1", 1, False)), (0.5, 6.0, ("1", 0, True))]
    assert [(row.x, row.jump, *row.flips) for row in rows] == by_hand


def test_a_unit_that_flips_twice_has_two_rows():
    """z = 1 - |x| is positive between -1 and 1."""
    hat = Chain(Dense([[1.0, -1.0]]), ReLU(), Dense([[-1.0], [-1.0]], [1.0]), ReLU())
    rows = regions.explain(hat, -2.0, 2.0)
    assert [(row.x, row.flips) for row in rows if row.flips[0].place == "3"] == [(-1.0, (("3", 0, True),)),
                                                                               (1.0, (("3", 0, False),))]
    assert [(row.before, row.after) for row in rows] == [(0, 1), (1, -1), (-1, 0)]


def test_units_that_flip_at_one_point_share_its_jump():
    """Without biases all of them flip at 0, in every layer."""
    net = draw("no biases", 7, 1)
    (row,) = regions.explain(net, -1.0, 1.0)
    right, left = regions.exact_gradient(net, 0.5, 1.0).values, regions.exact_gradient(net, -1.0, -0.5).values
    assert row.jump == pytest.approx(right[0] - left[0], abs=ROUNDING)
    assert {flip.unit for flip in row.flips if flip.place == "1"} == set(range(7))


def test_an_explanation_prints_as_a_table():
    net = Chain(Dense([[1.0, 1.0]], [0.0, -0.5]), ReLU(), Dense([[2.0], [-4.0]]))
    assert str(regions.explain(net, 0.25, 1.0)).splitlines() == [
        "             x      before       after        jump  flips",
        "           0.5           2          -2          -4  1[1] off->on",
        "        in all           2          -2          -4"]
    assert str(regions.explain(net, 0.125, 0.25)) == "no unit flips: f' does not change"
    many = str(regions.explain(nets.feedforward(2, 100, rng=np.random.default_rng(0)), -2.0, 2.0)).splitlines()
    assert len(many) == 22 and "smaller jumps not shown" in many[-1]
    at_zero = str(regions.explain(draw("no biases", 7, 1), -1.0, 1.0))
    assert "1[0] off->on" in at_zero or "1[0] on->off" in at_zero
    assert "more" in at_zero


# Smoothing.


def wide_gradient(kind="relu"):
    return regions.exact_gradient(draw(kind, 13, 5), -4, 4)


def test_smoothing_is_the_mean_over_noise():
    """20,000 draws at each of five inputs, within 4 standard errors."""
    gradient, rng = wide_gradient(), np.random.default_rng(0)
    for x in (-1.3, -0.2, 0.0, 0.4, 1.1):
        sample = gradient.at(np.clip(x + 0.3 * rng.standard_normal(20_000), -4, 4))
        error = sample.std() / np.sqrt(sample.size)
        assert abs(regions.smooth(gradient, [x], 0.3)[0] - sample.mean()) < 4 * error + 1e-12


@pytest.mark.parametrize("sigma", [0.02, 0.3, 2.0])
def test_smoothing_is_the_integral_against_the_density(sigma):
    """Midpoint rule with 200,001 points; a step inside one cell errs by its height times the cell's weight."""
    gradient, x = wide_gradient("batch"), np.array([-0.7, 0.1, 0.9])
    z = np.linspace(-8, 8, 200_001)
    weights = np.exp(-z**2 / 2)
    points = np.clip(x[:, None] + sigma * z, -4, 4)
    integral = gradient.at(points) @ weights / weights.sum()
    bound = np.abs(np.diff(gradient.values)).sum() * 16 / 200_000
    np.testing.assert_allclose(regions.smooth(gradient, x, sigma), integral, rtol=0, atol=bound)


def test_smoothing_by_nothing_changes_nothing_and_a_line_stays_a_line():
    gradient, x = wide_gradient(), np.linspace(-2, 2, 11)
    np.testing.assert_array_equal(regions.smooth(gradient, x, 0.0), gradient.at(x))
    np.testing.assert_allclose(regions.smooth(gradient, x, 1e-13), gradient.at(x), rtol=0, atol=1e-12)
    constant = regions.ExactGradient(np.array([-1.0, 1.0]), np.array([3.0]))
    np.testing.assert_array_equal(regions.smooth(constant, x, 0.7), np.full(11, 3.0))
