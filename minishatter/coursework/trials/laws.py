"""Trials of random functions. What is compared does not depend on the order in which a function draws its numbers.

Three draws are made: two from one generator, and the first again from its twin.
Tolerances are about six standard deviations of the distance between two honest
functions that draw in another order; the distance's size is in the comment.
"""

import numpy as np

from minishatter import init, stats, theory

from .trial import Trial, refuses

MOMENTS = "mean, second moment, share within one rms, correlation of two draws"


def _three_draws(draw, seed):
    rng, twin = (np.random.default_rng(int(seed)) for _ in range(2))
    return {"draws": np.stack([draw(rng), draw(rng), draw(twin)])}


def _standardised(first, second, unit):
    """Mean, second moment, share within one root mean square, correlation of two draws; in units of `unit`."""
    rms = np.sqrt(np.mean(first**2)) or 1.0
    return np.array([first.mean() / unit, np.mean(first**2) / unit**2, np.mean(np.abs(first) < rms),
                     np.mean(first * second) / unit**2])


def _draw_he(rng, kind):
    fan_in, fan_out = {"wide": (151, 211)}.get(kind, (211, 151))
    return {"fan_in": np.array(fan_in), "fan_out": np.array(fan_out), "seed": rng.integers(2**31),
            "gain": np.array(1.0 if kind == "gain 1" else 2.0)}


def _he(fan_in, fan_out, gain, seed):
    more = {} if gain == 2 else {"gain": float(gain)}  # 2 is the default
    return _three_draws(lambda rng: init.he(int(fan_in), int(fan_out), rng, **more), seed)


def _same_draws(arrays):
    """What holds exactly: the shape, and that one seed gives one draw."""
    first, _, again = arrays["draws"]
    return {"shape of a draw": np.array(first.shape),
            "distance between two draws from one seed": np.abs(again - first).max()}


def _look_at_weights(arrays):
    first, second, _ = arrays["draws"]
    return _same_draws(arrays) | {MOMENTS: _standardised(first, second, 1 / np.sqrt(len(first)))}


LAW = {MOMENTS: 0.08}  # 0.014


def _draw_looks_linear(rng, kind):
    fan_in, fan_out = {"wide": (26, 47), "tall": (94, 13)}.get(kind, (62, 31))
    return {"fan_in": np.array(fan_in), "fan_out": np.array(fan_out), "seed": rng.integers(2**31)}


def _looks_linear(fan_in, fan_out, seed):
    made = _three_draws(lambda rng: init.looks_linear(int(fan_in), int(fan_out), rng), seed)
    return made | {"refuses an odd fan_in": refuses(lambda: init.looks_linear(7, 5, np.random.default_rng(0)))}


def _look_at_mirrors(arrays):
    first, second, _ = arrays["draws"]
    half = len(first) // 2
    W = first[:half]
    return _same_draws(arrays) | {
        "upper half plus lower half": W + first[half:],
        "products of the shorter side's vectors": W.T @ W if W.shape[0] >= W.shape[1] else W @ W.T,
        "1, correlation of two draws": np.array([1.0, np.vdot(W, second[:half]) / (np.vdot(W, W) or 1.0)]),
        "refuses an odd fan_in": arrays["refuses an odd fan_in"]}


LINEAR_LAW = {"1, correlation of two draws": 0.4}  # 0.06


def _draw_brown(rng, kind):
    return {"shape": np.array((70001,) if kind == "one series" else (331, 211)), "seed": rng.integers(2**31)}


def _brown_noise(shape, seed):
    shape = tuple(map(int, shape))
    return _three_draws(lambda rng: stats.brown_noise(shape if len(shape) > 1 else shape[0], rng), seed)


def _look_at_steps(arrays):
    first, second, _ = np.diff(arrays["draws"], axis=-1, prepend=0.0)
    return _same_draws(arrays) | {
        MOMENTS: _standardised(first, second, 1.0),
        "1, correlation of neighbouring steps": np.array([1.0, np.mean(first[..., 1:] * first[..., :-1])])}


BROWN_LAW = LAW | {"1, correlation of neighbouring steps": 0.03}  # 0.004


def _draw_gated(rng, kind):
    settings = {"one layer": (1, 0, 1, 0), "two layers": (2, 0, 1, 0), "a skip connection": (2, 1, 1.2, 0)}
    depth, skip, branch, normalise = settings.get(kind, (2, 1, 1, 1))
    return {"depth": np.array(depth), "skip": np.array(float(skip)), "branch": np.array(float(branch)),
            "normalise": np.array(bool(normalise)), "seed": rng.integers(2**31)}


def _gated_gradients(depth, skip, branch, normalise, seed):
    share = 1.0 if normalise else None
    return _three_draws(lambda rng: theory.gated_gradients(int(depth), 7, 50_000, rng, skip=float(skip),
                                                           branch=float(branch), share=share), seed)


PAIR_MOMENTS = "C(1,1), C(2,2), C(1,2), C(1,1) between two draws"


def _look_at_pairs(arrays):
    first, second, _ = arrays["draws"]
    a, b = first.T
    return _same_draws(arrays) | {PAIR_MOMENTS: np.array([a @ a, b @ b, a @ b, a @ second[:, 0]]) / len(a)}


GATED_LAW = {PAIR_MOMENTS: 0.15}  # 0.03


TRIALS = {
    "3.1": Trial(_draw_he, _he, ("tall", "wide", "gain 1"), _look_at_weights, LAW),
    "3.2": Trial(_draw_looks_linear, _looks_linear, ("square", "tall", "wide"), _look_at_mirrors, LINEAR_LAW),
    "4.1": Trial(_draw_brown, _brown_noise, ("one series", "a stack"), _look_at_steps, BROWN_LAW),
    "5.1": Trial(_draw_gated, _gated_gradients, ("one layer", "two layers", "a skip connection", "normalised"),
                 _look_at_pairs, GATED_LAW),
}
