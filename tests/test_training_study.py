"""The study behind lesson 17: descent by hand, and how a speed-up is read off a table of errors."""

import importlib
from pathlib import Path

import numpy as np
import pytest

from minishatter import Chain, Dense, nets


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
    np.testing.assert_allclose(study.descend(line(), 9, momentum, 0.05, 5), errors, rtol=1e-12)


def test_descent_ends_where_nothing_is_left_to_see(study):
    diverged = study.descend(line(), 9, 0.0, 10.0, 1000)
    assert diverged[-1] > 1e3 >= max(diverged[:-1])
    net = nets.feedforward(4, 100, norm="batch", rng=np.random.default_rng(0))
    learnt = study.descend(net, 9, 0.9, 0.01, 1000)
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


def test_a_speed_up_is_a_ratio_of_steps(study):
    last = study.RECORDED[-1]
    found, level = study.speed_up(rows(study, lambda step: 1 / step, lambda step: 0.4 / step), "net", 2, 0)
    assert level == 0.1 and found == pytest.approx(2.5, rel=4e-3)
    slow = rows(study, lambda step: step**-0.1, lambda step: step**-0.2)  # SGD does not get to 0.1
    found, level = study.speed_up(slow, "net", 2, 0)
    assert level == pytest.approx(last**-0.1, rel=1e-3) and found == pytest.approx(last**0.5, rel=5e-3)
    found, _ = study.speed_up(rows(study, lambda step: 1 / step, lambda step: 1.0), "net", 2, 0)
    assert found == pytest.approx(10 / last, rel=2e-3)  # momentum that never arrives


def test_a_constant_gradient_has_no_length(study):
    net = study.NETS["looks linear"](4, np.random.default_rng(0))
    found = study.measured(net, np.linspace(-2, 2, 9)[:, None])
    assert found["length"] is None and found["pieces"] == 1 and 0 < found["coactive"] < 0.5
