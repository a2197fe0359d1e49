"""The study behind lesson 09: how a rate is read off range tests, and the paper's own protocol, on a few images."""

import importlib
import math
from pathlib import Path

import numpy as np
import pytest
from numba import config

from minishatter.images import convnets, data, schedules, train


@pytest.fixture
def study(tmp_path, monkeypatch):
    """The module, on 64 synthetic images; its tables and checkpoints go to a folder of their own."""
    monkeypatch.syspath_prepend(Path(__file__).parent.parent / "tutorials")
    study = importlib.import_module("accuracy_study")
    made = data.synthetic_images(128, np.random.default_rng(0))
    x = data.normalised(made.images)
    monkeypatch.setattr(study, "data_of", lambda images: (x[:64], made.labels[:64], x[64:], made.labels[64:]))
    for name, path in (("FIGURES", "."), ("TABLE", "accuracy.csv"), ("RANGES", "ranges.csv")):
        monkeypatch.setattr(study, name, tmp_path / path)
    return study


def test_the_largest_rate_that_learns_is_where_half_of_the_gain_is_lost(study):
    """Between two rates by a power law; guessing costs log 10, and what is worse counts as that."""
    guess = math.log(10)
    rate, gain = study.largest_rate({1e-4: guess - 0.5, 1e-3: guess - 1, 1e-2: guess, 1e-1: math.inf})
    assert gain == pytest.approx(1) and rate == pytest.approx(10**-2.5)
    rate, _ = study.largest_rate({1e-4: guess - 0.5, 1e-3: guess - 1, 1e-2: guess - 0.25})
    assert rate == pytest.approx(10 ** (-3 + 2 / 3))
    rate, _ = study.largest_rate({1e-4: guess - 0.5, 1e-3: guess - 1})  # the largest that was tried
    assert rate == 1e-3


def test_the_rule_takes_a_third_of_run_0(study):
    rows = [{"kind": "ReLU", "depth": 6, "run": run, "rate": rate, "loss": loss} for run, losses in
            enumerate(((2.0, 1.0), (1.0, 2.0))) for rate, loss in zip((1e-4, 1e-3), losses)]
    assert study.rate_of("ReLU", 6, rows) == 3.3e-4
    rows = [row | {"kind": "CReLU, LL"} for row in rows]
    assert (study.even_rate(6, rows), study.even_rate(198, rows)) == (3.3e-4, 1e-5)  # 6 x 3.3e-4 / 198


def test_a_departure_is_that_of_mirrored_weights(study):
    """0 at the start, and L / 10 of a net whose kernels have parts of these sizes; the stem does not count."""
    net = convnets.convnet(6, activation="crelu", init="looks_linear", rng=np.random.default_rng(0))
    assert study.departure(net) == pytest.approx(0, abs=1e-12)
    layers = [layer for layer in net.layers if "W" in layer.params]
    for layer in layers[1:]:
        W, axis = layer.params["W"], 1 if layer.params["W"].ndim == 4 else 0
        half = W.shape[axis] // 2
        S = np.take(W, range(half), axis)
        W[...] = np.concatenate([1.1 * S, -0.9 * S], axis)  # S + Delta, -(S - Delta), with Delta = S / 10
    assert study.departure(net) == pytest.approx(len(layers) / 10)


def unchanged(x, rng):
    return x


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="without the JIT the kernels are Python loops")
def test_the_papers_protocol_ends_when_the_rate_has_dropped_thrice(study, monkeypatch):
    """Run by `sweep`, which keeps each row. Nothing is learnt, nor drawn, so that it takes the fewest epochs, 25."""
    assert study.PAPERS == ("CReLU, LL", "resnet", "CReLU", "ReLU", "linear")
    rates = []
    step = train.Adam.step

    def slowed(self, params, grads, state, rate, count):
        rates.append(rate)
        step(self, params, grads, state, rate * 1e-6, count)

    monkeypatch.setattr(train.Adam, "step", slowed)
    monkeypatch.setattr(train, "shift_and_flip", unchanged)
    monkeypatch.setattr(study, "DEPTHS", (6,))
    monkeypatch.setattr(study, "PAPERS", ("ReLU",))
    _, rows = study.train_paper()
    assert [(row["kind"], row["depth"], row["run"], row["images"], row["schedule"], row["rate"]) for row in rows] == [
        ("ReLU", 6, run, 50_000, "plateau", 1e-3) for run in range(10)]
    assert study.held(study.cell, study.TABLE) == rows
    for row in rows:
        losses = [float(loss) for loss in row["losses"].split()]
        assert schedules.Plateau().drops(losses) == 3 > schedules.Plateau().drops(losses[:-1])
        assert len(losses) == 25 and 0 <= row["accuracy"] < 0.35  # guessing: 6 of 64, or 18 with five deviations
    assert set(np.round(rates, 12)) == {1e-3, 1e-4, 1e-5}
    assert list((study.FIGURES / "running").iterdir()) == []  # a checkpoint ends with its run


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="without the JIT the kernels are Python loops")
@pytest.mark.parametrize("schedule", ["cosine", "plateau"])
@pytest.mark.parametrize("finished", [1, 3, 5])
def test_a_run_that_is_killed_goes_on_from_its_last_epoch(study, monkeypatch, schedule, finished):
    """Between two epochs, or before its accuracy is known: its row is that of an undisturbed run."""
    point = ("CReLU, LL", 6, 0, 64, 5, schedule, 1e-3)
    undisturbed = study.cell(*point)
    fit, asked = train.fit, []

    def watched(*arguments, epochs, **settings):
        asked.append(epochs)
        return fit(*arguments, epochs=epochs, **settings)

    def killed(*arguments, **settings):
        if len(asked) == finished:
            raise KeyboardInterrupt
        return watched(*arguments, **settings)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(train, "fit", killed)
        patch.setattr(train, "accuracy", killed)
        study.cell(*point)
    monkeypatch.setattr(train, "fit", watched)
    row = study.cell(*point)
    assert asked == [*range(1, finished + 1), finished, *range(finished + 1, 6)]
    assert row | {"seconds": 0} == undisturbed | {"seconds": 0}


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="without the JIT the kernels are Python loops")
def test_a_run_that_diverges_guesses(study):
    row = study.cell("ReLU", 6, 0, 64, 2, "cosine", 1e30)
    assert row["accuracy"] == 0.1 and list((study.FIGURES / "running").iterdir()) == []
