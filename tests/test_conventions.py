"""The search behind figure 2: its shortcut for many nets at once against the layers' own rules, one net at a time."""

import itertools

import numpy as np
import pytest

from minishatter import BatchNorm, Chain, Dense, Identity, ReLU, Sum, gradients, nets, stats
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
        np.testing.assert_allclose(found[s, last, place], expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())
