"""The study behind lesson 17: descent by hand, and how a speed-up is read off a table of errors."""

import importlib
from pathlib import Path

import numpy as np
import pytest
from numba import config

from minishatter import Chain, Dense, freeze, gradients, nets, regions, stats
from minishatter.images import convnets, train

compiled = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="without the JIT the kernels are Python loops")


@pytest.fixture(scope="module")
def study():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parent.parent / "tutorials")
        yield importlib.import_module("training_study")


def line(slope=0.5, shift=0.1):
    return Chain(Dense([[slope]], [shift]))


def test_the_target_has_mean_0_and_mean_square_1(study):
    y = study.target(study.GRID)
    assert abs(y.mean()) < 1e-14 and np.mean(y**2) == pytest.approx(1, rel=1e-14)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_descent_is_that_of_a_line_by_hand(study, momentum):
    """f = a x + b at 9 points: the errors of five steps, to rounding."""
    x, a, b, va, vb, errors = np.linspace(-2, 2, 9), 0.5, 0.1, 0.0, 0.0, []
    y = study.target(x)
    for _ in range(6):
        r = a * x + b - y
        errors.append(np.mean(r**2))
        va, vb = momentum * va + 2 * np.mean(r * x), momentum * vb + 2 * np.mean(r)
        a, b = a - 0.05 * va, b - 0.05 * vb
    np.testing.assert_allclose(list(study.descend(line(), 9, momentum, 0.05, 5)), errors, rtol=1e-12)


def test_descent_ends_where_nothing_is_left_to_see(study):
    diverged = list(study.descend(line(), 9, 0.0, 10.0, 1000))
    assert diverged[-1] > 1e3 >= max(diverged[:-1])
    net = nets.feedforward(4, 100, norm="batch", rng=np.random.default_rng(0))
    learnt = list(study.descend(net, 9, 0.9, 0.01, 1000))
    assert len(learnt) < 1000 and learnt[-1] <= 1e-3 < learnt[-2]


def text(study, errors):
    """A row's text, of a function of the step."""
    return study.numbers([errors(step) for step in study.RECORDED])


def test_steps_lie_between_the_recorded_ones_by_a_power_law(study):
    """Errors 1 / t: the level 1 / t is reached at t. Four digits of a text, over a slope of 1."""
    for t in (2.0, 3.5, 7.7, 20.0):
        assert study.steps_to(text(study, lambda step: 1 / step), 1 / t) == pytest.approx(t, rel=2e-3)
    assert study.steps_to(text(study, lambda step: 0.5), 0.1) == np.inf
    assert study.steps_to(text(study, lambda step: 0.01), 0.1) == 1.0
    assert study.steps_to(text(study, lambda step: np.inf if step < 5 else 0.01), 0.1) == 5.0


def test_the_best_rate_is_the_first_to_arrive(study):
    errors = {1.0: text(study, lambda step: 1 / step), 2.0: text(study, lambda step: 0.5 / step),
              3.0: text(study, lambda step: 0.2)}
    assert study.best_rate(errors) == 2.0
    assert study.best_rate({1.0: text(study, lambda step: 0.3), 3.0: errors[3.0]}) == 3.0


def rows(study, plain, heavy):
    """Each at two rates; the second does nothing."""
    net = {"kind": "net", "depth": 2, "run": 0}
    return [net | {"momentum": momentum, "rate": rate, "errors": text(study, errors)}
            for momentum, good in ((0.0, plain), (0.9, heavy))
            for rate, errors in ((1.0, good), (2.0, lambda step: 1.0))]


def test_the_steps_of_both_are_those_to_one_level(study):
    last = study.RECORDED[-1]
    slow, fast, level = study.race(rows(study, lambda step: 1 / step, lambda step: 0.4 / step), "net", 2, 0)
    assert level == 0.1 and slow == pytest.approx(10, rel=2e-3) and fast == pytest.approx(4, rel=2e-3)
    sluggish = rows(study, lambda step: step**-0.1, lambda step: step**-0.2)  # SGD does not get to 0.1
    slow, fast, level = study.race(sluggish, "net", 2, 0)
    assert level == pytest.approx(last**-0.1, rel=1e-3) and slow / fast == pytest.approx(last**0.5, rel=5e-3)
    slow, fast, _ = study.race(rows(study, lambda step: 1 / step, lambda step: 1.0), "net", 2, 0)
    assert slow / fast == pytest.approx(10 / last, rel=2e-3)  # momentum that never arrives


def test_the_errors_of_a_descent_are_the_smallest_so_far(study):
    net = study.NETS["He"](24, np.random.default_rng([24, 0]))
    losses = list(study.descend(net, study.SPEED_POINTS, 0.9, 0.0256, study.STEPS))
    errors = [float(error) for error in study.speed("He", 24, 0.9, 0.0256, 0)["errors"].split()]
    assert len(errors) == len(study.RECORDED) and any(np.diff(losses) > 0)
    for step in (1, 2, 3, 16):  # before any step there is losses[0]
        assert errors[list(study.RECORDED).index(step)] == pytest.approx(min(losses[:step + 1]), rel=5e-4)


def test_a_length_is_where_the_autocorrelation_falls_to_1_over_e(study):
    lags = np.geomspace(1e-3, 4, 200)  # a straight line between lags 4 % apart is off by less than their difference
    assert study.length(lags, np.exp(-lags / 0.3)) == pytest.approx(0.3, rel=1e-3)
    assert study.length(np.array([1.0, 2.0]), np.array([0.0, 1.0])) == pytest.approx(1 - np.exp(-1))  # from 1 at lag 0
    assert study.length(lags, np.exp(-lags / 30)) == np.inf


def test_a_constant_gradient_has_no_length(study):
    net = study.NETS["looks linear"](4, np.random.default_rng(0))
    found = study.measured(net, np.linspace(-2, 2, 9)[:, None])
    assert np.isnan(found["length"]) and found["pieces"] == 1 and 0 < found["coactive"] < 0.5


@compiled
def test_a_length_on_the_line_is_that_of_a_fine_grid(study):
    """Of 8,192 points; those of 256 are 0.016 apart, and would give 0.01. 3 %: the length is six steps of the fine."""
    net, x = study.NETS["centred"](24, np.random.default_rng([24, 0])), np.linspace(-2, 2, 33)[:, None]
    grid = np.linspace(-2, 2, 2**13)
    acf = stats.autocorrelation(regions.exact_gradient(freeze(net, x)).at(grid), 40)
    found = study.measured(net, x)
    assert found["length"] == pytest.approx(stats.correlation_length(acf, grid[1] - grid[0]), rel=0.03)
    assert found["length"] < 0.005
    assert found["lag"] == stats.autocorrelation(gradients.input_gradient(freeze(net, x), study.GRID), 1)[1]


def test_a_net_is_looked_at_on_its_way(study):
    """At the start, before a later step, and when it has ended, and from then on."""
    row = study.line("centred", 4, 9, 0.0256, 0)
    looks, x = [], np.linspace(-2, 2, 9)[:, None]
    for steps in (0, 3, study.STEPS):
        net = study.NETS["centred"](4, np.random.default_rng([4, 0]))
        losses = list(study.descend(net, 9, 0.9, 0.0256, steps))
        looks.append(study.measured(net, x))
    assert row["error"] == losses[-1] < 1e-3 and row["steps"] == len(losses) - 1 < study.MOMENTS[-1]
    for name in study.MEASURES:
        values = [float(value) for value in row[name].split()]
        seen = [values[0], values[study.MOMENTS.index(3)], values[-1]]
        np.testing.assert_allclose(seen, [look[name] for look in looks], rtol=5e-4)
        assert len(values) == len(study.MOMENTS)
        ended = [value for value, moment in zip(values, study.MOMENTS) if moment >= row["steps"]]
        assert set(ended) == {values[-1]}
    assert looks[0]["length"] != looks[1]["length"] != looks[2]["length"]


def test_of_a_net_that_diverges_the_start_is_kept(study):
    row = study.line("He", 24, 9, 0.8192, 0)
    lengths = [float(value) for value in row["length"].split()]
    assert not row["error"] < 1e3 and row["between"] is None and lengths[0] > 0 and np.isnan(lengths[-1])


@pytest.fixture(scope="module")
def way():
    """A frozen convnet with batch normalisation, and two images of noise."""
    rng = np.random.default_rng(0)
    net, noise = convnets.convnet(14, norm="batch", rng=rng), rng.standard_normal((16, 3, 32, 32))
    return freeze(net, train.batch_last(noise)), *noise[:2]


def along(a, b):
    """257 images from a to b."""
    return a + np.linspace(0, 1, 257)[:, None, None, None] * (b - a)


@compiled
def test_the_autocorrelation_between_images_is_that_of_an_even_grid(study, way, monkeypatch):
    """Of 257 points. 0.1: a few hundred pairs, which are the same on the first half of the way only."""
    exact, a, b = way
    monkeypatch.setattr(study, "PLACES", np.arange(256) / 256)
    monkeypatch.setattr(study, "SHARES", np.array([1, 4, 16]) / 256)
    acf, _ = study.between(exact, a, b, 3)
    g = study.margin_gradient(exact, along(a, b), np.full(257, 3))[0] @ (b - a).ravel()
    c = g - g.mean()
    even = [np.mean(c[:-lag] * c[lag:]) / np.mean(c**2) for lag in (1, 4, 16)]
    np.testing.assert_allclose(acf, even, atol=0.1)
    assert even[0] > 0.6 > 0.2 > even[-1]


class Straight:
    """A net whose derivative along the way from a to b is the place on it, u."""

    def __init__(self, a, b):
        self.a, self.way = a.ravel(), (b - a).ravel()

    def forward(self, x):
        rows = x.reshape(self.way.size, -1).T
        return np.zeros((len(rows), 10)), rows

    def backward(self, dlogits, rows):
        u = (rows - self.a) @ self.way / (self.way @ self.way)
        dx = np.outer(u, self.way / (self.way @ self.way))
        return dx.T.reshape(3, 32, 32, -1), {}


def test_the_longest_length_between_images_is_that_of_a_straight_line(study):
    """By hand: places u on [0, 1], partners at u + s and u - s. With v = u - 1/2, uniform on half of the way each,
    E v (v + s sign(-v)) = 1/12 - s/4, so that a(s) = 1 - 3 s; at 32 places the variance is less by a factor of
    1 - 1/32^2. 1/e is reached at (1 - 1/e) / 3 = 0.2107; 1 % for the places."""
    a, b = np.random.default_rng(0).standard_normal((2, 3, 32, 32))
    acf, kinks = study.between(Straight(a, b), a, b, 3)
    np.testing.assert_allclose(acf, 1 - 3 * study.SHARES, atol=1e-3)
    assert study.length(study.SHARES, acf) == pytest.approx((1 - np.exp(-1)) / 3, rel=0.01) and kinks == 0


@compiled
def test_the_kinks_between_images_are_counted(study, way, monkeypatch):
    """From windows over half of the way, against every switch from point to point of it; 5 % for the other half."""
    exact, a, b = way
    monkeypatch.setattr(study, "SHARES", np.array([1 / 256]))
    monkeypatch.setattr(study, "PLACES", np.arange(0, 256, 2) / 256)
    _, kinks = study.between(exact, a, b, 3)
    patterns = study.margin_gradient(exact, along(a, b), np.full(257, 3))[1]
    switched = sum(np.count_nonzero(active[..., 1:] != active[..., :-1]) for active in patterns)
    assert kinks == pytest.approx(switched, rel=0.05)


@compiled
def test_gradients_of_a_margin_are_finite_differences(study, way):
    exact, a, _ = way
    rng = np.random.default_rng(1)
    direction = rng.standard_normal(a.shape)

    def margin(image):
        logits = exact.forward(train.batch_last(image[None]))[0][0]
        return logits[3] - logits.mean()

    slope = (margin(a + 1e-6 * direction) - margin(a - 1e-6 * direction)) / 2e-6
    [g], _ = study.margin_gradient(exact, a[None], np.array([3]))
    assert g @ direction.ravel() == pytest.approx(slope, rel=1e-5)


@compiled
def test_of_images_a_constant_gradient_has_no_length(study):
    net = convnets.convnet(14, activation="crelu", init="looks_linear", rng=np.random.default_rng(0))
    noise = np.random.default_rng(1).standard_normal((study.LOOKED_AT, 3, 32, 32)).astype(np.float32)
    found = study.seen(freeze(train.cast(net, np.float32), train.batch_last(noise)), noise,
                       np.arange(study.LOOKED_AT) % 10)
    assert np.isnan(found["length"]) and 0 < found["coactive"] < 0.5
    ends = noise[:2].astype(np.float64)
    _, patterns = study.margin_gradient(freeze(net, ends.transpose(1, 2, 3, 0)), ends, np.zeros(2, int))
    differ = sum(np.count_nonzero(active[..., 0] != active[..., 1]) for active in patterns)
    assert found["kinks"] > 0.8 * differ  # what differs at the ends of a way has switched; 20 % for other ways
