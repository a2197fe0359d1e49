"""How each task is tried: inputs drawn from a seed, the student's function called on them, and what is looked at.

    draw(rng, kind)   -> {name: array}   inputs, all plain arrays
    call(**inputs)    -> {name: array}   what the student's function gives
    look(outputs)     -> {name: array}   what is compared: the outputs themselves, or for a
                                         random function what does not depend on the order of its draws

Public and hidden cases differ in nothing but the seed. Nothing here calls a
function that another task asks for, and every input is read-only: a rule that
writes into its argument stops at that line.
"""

import hashlib
from typing import Callable, NamedTuple

import numpy as np

from minishatter import gradients, init, stats, theory
from minishatter.compose import Chain, Sum
from minishatter.layers import Affine, BatchNorm, Center, CReLU, Dense, Identity, PReLU, ReLU

EXACT = 1e-9    # relative: another order of summation moves results by 1e-14, a mistake by far more
PUBLIC = "public"


def outputs(arrays):
    """Look at the outputs as they are."""
    return arrays


class Trial(NamedTuple):
    """How one task is tried. `tolerance` is EXACT for all that it does not name."""

    draw: Callable
    call: Callable
    kinds: tuple
    look: Callable = outputs
    tolerance: dict = {}


def generator(seed, number, kind):
    """The random generator of one case; without the text `seed` its inputs cannot be foreseen."""
    digest = hashlib.sha256(repr((seed, number, kind)).encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, np.uint32))


# Layers. Prime shapes, so that a forgotten transpose cannot hide; dy is random, so that no term drops out.

SHAPES = {"one row": (1, 5, 3), "few rows": (7, 5, 3), "more rows": (31, 11, 13)}  # N, units in, units out
RECTIFIED = (*SHAPES, "zeros among the inputs")


def draw_dense(rng, kind):
    N, fan_in, fan_out = SHAPES[kind]
    return {"x": rng.normal(size=(N, fan_in)), "W": rng.normal(size=(fan_in, fan_out)), "b": rng.normal(size=fan_out),
            "dy": rng.normal(size=(N, fan_out))}


def dense_backward(x, W, b, dy):
    layer = Dense(W, b)
    dx, grads = layer.backward(dy, layer.forward(x)[1])
    return {"dx": dx} | {f"d{name}": grad for name, grad in grads.items()}


def draw_rectifier(rng, kind):
    N, units, _ = SHAPES.get(kind, (7, 5, 3))
    x = rng.normal(size=(N, units))
    if kind not in SHAPES:
        x[rng.random((N, units)) < 0.3] = 0.0
    return {"x": x, "dy": rng.normal(size=(N, units))}


def draw_crelu(rng, kind):
    inputs = draw_rectifier(rng, kind)
    return inputs | {"dy": rng.normal(size=(len(inputs["x"]), 2 * inputs["x"].shape[1]))}


def relu_tangent(x, dy):
    return {"J t": ReLU().tangent(dy, ReLU().forward(x)[1])}


def relu_backward(x, dy):
    return backward(ReLU(), x, dy)


def crelu_backward(x, dy):
    return backward(CReLU(), x, dy)


def backward(layer, x, dy):
    dx, grads = layer.backward(dy, layer.forward(x)[1])
    return {"dx": dx} | grads


def draw_batch_norm(rng, kind):
    N, units = {"two rows": (2, 5), "more rows": (31, 11)}.get(kind, (7, 5))
    scale, shift = rng.normal(size=(2, units))
    if kind == "scale 1, shift 0":
        scale, shift = np.ones(units), np.zeros(units)
    x = rng.normal(size=(N, units)) * rng.uniform(0.5, 3, units) + (100 if kind == "a large mean" else 0)
    return {"x": x, "scale": scale, "shift": shift, "dy": rng.normal(size=(N, units))}


def batch_norm_backward(x, scale, shift, dy):
    layer = BatchNorm(scale.size)
    layer.params.update(scale=scale, shift=shift)
    dx, grads = layer.backward(dy, layer.forward(x)[1])
    return {"dx": dx} | {f"d {name}": grad for name, grad in grads.items()}


def draw_sum(rng, kind):
    units = 5
    weights = {"two branches": (1, 1), "weighted": rng.normal(size=2)}.get(kind, rng.normal(size=3))
    return {"x": rng.normal(size=(7, units)), "dy": rng.normal(size=(7, units)), "weights": np.array(weights, float),
            "scale": rng.normal(size=units), "slope": rng.uniform(0.1, 0.9, size=1), "nested": np.array(kind == "nested")}


def sum_backward(x, dy, weights, scale, slope, nested):
    branches = [Identity(), Chain(Affine(scale, -scale), PReLU(slope)), Center()][:weights.size]
    if nested:
        branches[2] = Sum(Identity(), PReLU(slope), weights=(0.5, 2.0))
    layer = Sum(*branches, weights=tuple(map(float, weights)))
    return backward(layer, x, dy)


# Random functions. Three draws: two from one generator, and the first again from its twin. What is compared
# does not depend on the order in which a function draws its numbers.


MOMENTS = "mean, second moment, share within one rms, correlation of two draws"


def three_draws(draw, seed):
    rng, twin = (np.random.default_rng(int(seed)) for _ in range(2))
    return {"draws": np.stack([draw(rng), draw(rng), draw(twin)])}


def standardised(first, second, unit):
    """Mean, second moment, share within one root mean square, correlation of two draws; in units of `unit`."""
    rms = np.sqrt(np.mean(first**2)) or 1.0
    return np.array([first.mean() / unit, np.mean(first**2) / unit**2, np.mean(np.abs(first) < rms),
                     np.mean(first * second) / unit**2])


def draw_he(rng, kind):
    fan_in, fan_out = {"wide": (151, 211)}.get(kind, (211, 151))
    return {"fan_in": np.array(fan_in), "fan_out": np.array(fan_out), "seed": rng.integers(2**31),
            "gain": np.array(1.0 if kind == "gain 1" else 2.0)}


def he(fan_in, fan_out, gain, seed):
    more = {} if gain == 2 else {"gain": float(gain)}  # 2 is the default
    return three_draws(lambda rng: init.he(int(fan_in), int(fan_out), rng, **more), seed) | {"unit": 1 / np.sqrt(fan_in)}


def same_draws(arrays):
    """What holds exactly: the shape, and that one seed gives one draw."""
    first, _, again = arrays["draws"]
    return {"shape of a draw": np.array(first.shape), "distance between two draws from one seed": np.abs(again - first).max()}


def look_at_draws(arrays):
    first, second, _ = arrays["draws"]
    return same_draws(arrays) | {MOMENTS: standardised(first, second, arrays.get("unit", 1.0))}


# About six standard deviations of the distance between two honest functions that draw in another order: 0.014 at most.
LAW = {MOMENTS: 0.08}


def draw_looks_linear(rng, kind):
    fan_in, fan_out = {"wide": (26, 47), "tall": (94, 13)}.get(kind, (62, 31))
    return {"fan_in": np.array(fan_in), "fan_out": np.array(fan_out), "seed": rng.integers(2**31)}


def looks_linear(fan_in, fan_out, seed):
    made = three_draws(lambda rng: init.looks_linear(int(fan_in), int(fan_out), rng), seed)
    return made | {"refuses an odd fan_in": refuses(lambda: init.looks_linear(7, 5, np.random.default_rng(0)))}


def look_at_mirrors(arrays):
    first, second, _ = arrays["draws"]
    half = len(first) // 2
    W = first[:half]
    return same_draws(arrays) | {
            "upper half plus lower half": W + first[half:],
            "products of the shorter side's vectors": W.T @ W if W.shape[0] >= W.shape[1] else W @ W.T,
            "1, correlation of two draws": np.array([1.0, np.vdot(W, second[:half]) / (np.vdot(W, W) or 1.0)]),
            "refuses an odd fan_in": arrays["refuses an odd fan_in"]}


LINEAR_LAW = {"1, correlation of two draws": 0.4}  # as above: 0.06


def refuses(call):
    """Does the call raise ValueError, as the docstring says?"""
    try:
        call()
    except ValueError:
        return np.array(True)
    return np.array(False)


def draw_brown(rng, kind):
    return {"shape": np.array((70001,) if kind == "one series" else (331, 211)), "seed": rng.integers(2**31)}


def brown_noise(shape, seed):
    shape = tuple(map(int, shape))
    return three_draws(lambda rng: stats.brown_noise(shape if len(shape) > 1 else shape[0], rng), seed)


def look_at_steps(arrays):
    steps = np.diff(arrays["draws"], axis=-1, prepend=0.0)
    first = steps[0]
    return look_at_draws({"draws": steps}) | {
        "1, correlation of neighbouring steps": np.array([1.0, np.mean(first[..., 1:] * first[..., :-1])])}


BROWN_LAW = LAW | {"1, correlation of neighbouring steps": 0.03}  # as above: 0.004


def draw_gated(rng, kind):
    settings = {"one layer": (1, 0, 1, 0), "two layers": (2, 0, 1, 0), "a skip connection": (2, 1, 1.2, 0)}
    depth, skip, branch, normalise = settings.get(kind, (2, 1, 1, 1))
    return {"depth": np.array(depth), "skip": np.array(float(skip)), "branch": np.array(float(branch)),
            "normalise": np.array(bool(normalise)), "seed": rng.integers(2**31)}


def gated_gradients(depth, skip, branch, normalise, seed):
    return three_draws(lambda rng: theory.gated_gradients(int(depth), 7, 50_000, rng, skip=float(skip),
                                                          branch=float(branch), normalise=bool(normalise)), seed)


PAIR_MOMENTS = "C(1,1), C(2,2), C(1,2), C(1,1) between two draws"


def look_at_pairs(arrays):
    first, second, _ = arrays["draws"]
    a, b = first.T
    return same_draws(arrays) | {PAIR_MOMENTS: np.array([a @ a, b @ b, a @ b, a @ second[:, 0]]) / len(a)}


GATED_LAW = {PAIR_MOMENTS: 0.15}  # as above: 0.03


# Statistics.


def draw_series(rng, kind):
    g = rng.normal(size=101 if kind == "one series" else (5, 67)).cumsum(axis=-1) + 3.0
    return {"g": g * (1e200 if kind == "an exploded gradient" else 1), "max_lag": np.array(int(rng.integers(5, 30))),
            "subtract_mean": np.array(kind != "mean kept"), "constant": np.array(kind == "refuses a constant series")}


def autocorrelation(g, max_lag, subtract_mean, constant):
    more = {} if subtract_mean else {"subtract_mean": False}  # True is the default
    given = {"acf": stats.autocorrelation(g, int(max_lag), **more)}
    return given | {"refused": refuses(lambda: stats.autocorrelation(np.ones(9), 3))} if constant else given


def draw_active(rng, kind):
    N, units = (2, 13) if kind == "two inputs" else (53, 17)
    active = rng.random((N, units)) < rng.random(units)
    if kind == "some always on, some never":
        active[:, :7], active[:, 7:12] = True, False
    return {"active": active}


def coactivity(active):
    return {"coactivity": stats.coactivity(active)}


def draw_matrix(rng, kind):
    D = rng.normal(size={"wide": (11, 37), "tall": (37, 11)}.get(kind, (23, 19))) * rng.uniform(0.1, 2, size=(1, 1))
    if kind == "nearly one direction":
        D = D * 1e-3 + np.outer(rng.normal(size=23), rng.normal(size=19))
    return {"D": D * (1e200 if kind == "an exploded gradient" else 1), "zero": np.array(kind == "refuses zero")}


def effective_rank(D, zero):
    given = {"rank": stats.effective_rank(D)}
    return given | {"refused": refuses(lambda: stats.effective_rank(np.zeros((3, 2))))} if zero else given


# The gradient grid. Its nets have no ReLU: the tangent of that is a task.


def draw_grid(rng, kind):
    width = 1 if kind == "through" else 7
    return {"x": np.sort(rng.uniform(-2, 2, size=41)), "first": rng.normal(size=(1, width)), "b": rng.normal(size=width),
            "W": rng.normal(size=(width, width)), "scale": rng.normal(size=width), "last": rng.normal(size=(width, 1)),
            "kind": np.array(("one layer", "batch normalisation", "a skip connection", "through").index(kind))}


def readable_gradient(x, first, b, W, scale, last, kind):
    norm = BatchNorm(scale.size)
    norm.params.update(scale=scale, shift=b)
    dense = [Dense(first, b), PReLU(0.1)]
    if kind == 0:
        net = Chain(*dense, Dense(last))
    elif kind == 1:
        net = Chain(*dense, Dense(W), norm, PReLU(0.2), Center(), Dense(last))
    elif kind == 2:
        net = Chain(*dense, Sum(Identity(), Chain(norm, PReLU(0.0), Dense(W)), weights=(0.8, 0.6)), Dense(last))
    else:  # rows interact, one unit: nothing here needs the backward of a task
        net = Chain(Affine(scale, b), PReLU(0.1), Center(), PReLU(0.3))
    return {"f'(x)": gradients.readable_gradient(net, x, *(["through"] if kind == 3 else []))}


TRIALS = {
    "1.1": Trial(draw_dense, dense_backward, tuple(SHAPES)),
    "1.2": Trial(draw_rectifier, relu_tangent, RECTIFIED),
    "1.3": Trial(draw_rectifier, relu_backward, RECTIFIED),
    "1.4": Trial(draw_crelu, crelu_backward, RECTIFIED),
    "2.1": Trial(draw_batch_norm, batch_norm_backward,
                 ("scale 1, shift 0", "random scale and shift", "two rows", "more rows", "a large mean")),
    "2.2": Trial(draw_sum, sum_backward, ("two branches", "weighted", "three branches", "nested")),
    "3.1": Trial(draw_he, he, ("tall", "wide", "gain 1"), look_at_draws, LAW),
    "3.2": Trial(draw_looks_linear, looks_linear, ("square", "tall", "wide"), look_at_mirrors, LINEAR_LAW),
    "4.1": Trial(draw_brown, brown_noise, ("one series", "a stack"), look_at_steps, BROWN_LAW),
    "4.2": Trial(draw_series, autocorrelation,
                 ("one series", "a stack", "mean kept", "an exploded gradient", "refuses a constant series")),
    "4.3": Trial(draw_active, coactivity, ("coin flips", "some always on, some never", "two inputs")),
    "5.1": Trial(draw_gated, gated_gradients, ("one layer", "two layers", "a skip connection", "normalised"),
                 look_at_pairs, GATED_LAW),
    "5.2": Trial(draw_grid, readable_gradient, ("one layer", "batch normalisation", "a skip connection", "through")),
    "5.3": Trial(draw_matrix, effective_rank,
                 ("square", "wide", "tall", "nearly one direction", "an exploded gradient", "refuses zero")),
}
