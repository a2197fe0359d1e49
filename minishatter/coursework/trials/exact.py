"""Trials of functions whose outputs are compared as they are: layers, statistics, the gradient grid."""

import numpy as np

from minishatter import gradients, stats
from minishatter.compose import Chain, Sum
from minishatter.layers import Affine, BatchNorm, Center, CReLU, Dense, Identity, PReLU, ReLU

from .trial import Trial, pulled_back, refuses

# Layers. Prime shapes, so that a forgotten transpose cannot hide; dy is random, so that no term drops out.

SHAPES = {"one row": (1, 5, 3), "few rows": (7, 5, 3), "more rows": (31, 11, 13)}  # N, units in, units out
RECTIFIED = (*SHAPES, "zeros among the inputs")


def _draw_dense(rng, kind):
    N, fan_in, fan_out = SHAPES[kind]
    return {"x": rng.normal(size=(N, fan_in)), "W": rng.normal(size=(fan_in, fan_out)), "b": rng.normal(size=fan_out),
            "dy": rng.normal(size=(N, fan_out))}


def _dense_backward(x, W, b, dy):
    return _backward(Dense(W, b), x, dy)


def _draw_rectifier(rng, kind):
    N, units, _ = SHAPES.get(kind, (7, 5, 3))
    x = rng.normal(size=(N, units))
    if kind not in SHAPES:
        x[rng.random((N, units)) < 0.3] = 0.0
    return {"x": x, "dy": rng.normal(size=(N, units))}


def _draw_crelu(rng, kind):
    inputs = _draw_rectifier(rng, kind)
    return inputs | {"dy": rng.normal(size=(len(inputs["x"]), 2 * inputs["x"].shape[1]))}


def _relu_tangent(x, dy):
    return {"J t": ReLU().tangent(dy, ReLU().forward(x)[1])}


def _relu_backward(x, dy):
    return _backward(ReLU(), x, dy)


def _crelu_backward(x, dy):
    return _backward(CReLU(), x, dy)


def _backward(layer, x, dy):
    return pulled_back(layer.backward(dy, layer.forward(x)[1]))


def _draw_batch_norm(rng, kind):
    N, units = {"two rows": (2, 5), "more rows": (31, 11)}.get(kind, (7, 5))
    scale, shift = rng.normal(size=(2, units))
    if kind == "scale 1, shift 0":
        scale, shift = np.ones(units), np.zeros(units)
    x = rng.normal(size=(N, units)) * rng.uniform(0.5, 3, units) + (100 if kind == "a large mean" else 0)
    return {"x": x, "scale": scale, "shift": shift, "dy": rng.normal(size=(N, units))}


def _batch_norm_backward(x, scale, shift, dy):
    layer = BatchNorm(scale.size)
    layer.params.update(scale=scale, shift=shift)
    return _backward(layer, x, dy)


def _draw_sum(rng, kind):
    units = 5
    weights = {"two branches": (1, 1), "weighted": rng.normal(size=2)}.get(kind, rng.normal(size=3))
    return {"x": rng.normal(size=(7, units)), "dy": rng.normal(size=(7, units)), "weights": np.array(weights, float),
            "scale": rng.normal(size=units), "slope": np.array(rng.uniform(0.1, 0.9)),
            "nested": np.array(kind == "nested")}


def _sum_backward(x, dy, weights, scale, slope, nested):
    branches = [Identity(), Chain(Affine(scale, -scale), PReLU(float(slope))), Center()][:weights.size]
    if nested:
        branches[2] = Sum(Identity(), PReLU(float(slope)), weights=(0.5, 2.0))
    layer = Sum(*branches, weights=tuple(map(float, weights)))
    return _backward(layer, x, dy)


# Statistics.


def _draw_series(rng, kind):
    g = rng.normal(size=101 if kind == "one series" else (5, 67)).cumsum(axis=-1) + 3.0
    sizes = np.array([[1.0], [1e200], [1e-200], [1e3], [1e200]]) if kind == "exploded and vanished gradients" else 1.0
    return {"g": g * sizes, "max_lag": np.array(int(rng.integers(5, 30))),
            "subtract_mean": np.array(kind != "mean kept"), "constant": np.array(kind == "refuses a constant series")}


def _autocorrelation(g, max_lag, subtract_mean, constant):
    more = {} if subtract_mean else {"subtract_mean": False}  # True is the default
    given = {"acf": stats.autocorrelation(g, int(max_lag), **more), "acf at lag 0": stats.autocorrelation(g, 0)}
    if constant:
        flat = np.concatenate([g[:2], np.full((1, g.shape[1]), 0.1)])
        given |= {"refuses a constant series": refuses(lambda: stats.autocorrelation(flat[-1], 3)),
                  "refuses a stack with a constant series": refuses(lambda: stats.autocorrelation(flat, 3)),
                  "refuses as many lags as points": refuses(lambda: stats.autocorrelation(g, g.shape[-1]))}
    return given


def _draw_active(rng, kind):
    N, units = (2, 13) if kind == "two inputs" else (53, 17)
    active = rng.random((N, units)) < rng.random(units)
    if kind == "some always on, some never":
        active[:, :7], active[:, 7:12] = True, False
    return {"active": active}


def _coactivity(active):
    return {"coactivity": stats.coactivity(active)}


def _draw_matrix(rng, kind):
    D = rng.normal(size={"wide": (11, 37), "tall": (37, 11)}.get(kind, (23, 19))) * rng.uniform(0.1, 2, size=(1, 1))
    if kind == "nearly one direction":
        D = D * 1e-3 + np.outer(rng.normal(size=23), rng.normal(size=19))
    if kind in ("one direction", "few directions"):  # the other singular values are exactly 0
        D[1 if kind == "one direction" else 4:] = 0.0
    sizes = {"an exploded gradient": 1e200, "a vanished gradient": 1e-200}
    return {"D": D * sizes.get(kind, 1.0), "zero": np.array(kind == "refuses zero")}


def _effective_rank(D, zero):
    given = {"rank": stats.effective_rank(D)}
    return given | {"refuses zero": refuses(lambda: stats.effective_rank(np.zeros((3, 2))))} if zero else given


# The gradient grid. Its nets have no ReLU: the tangent of that is a task.


def _draw_grid(rng, kind):
    width = 1 if kind == "through" else 7
    return {"x": np.sort(rng.uniform(-2, 2, size=41)),
            "first": rng.normal(size=(1, width)), "b": rng.normal(size=width), "W": rng.normal(size=(width, width)),
            "scale": rng.normal(size=width), "last": rng.normal(size=(width, 1)),
            "kind": np.array(("one layer", "batch normalisation", "a skip connection", "through").index(kind))}


def _readable_gradient(x, first, b, W, scale, last, kind):
    norm = BatchNorm(scale.size)
    norm.params.update(scale=scale, shift=b.copy())
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
    "1.1": Trial(_draw_dense, _dense_backward, tuple(SHAPES)),
    "1.2": Trial(_draw_rectifier, _relu_tangent, RECTIFIED),
    "1.3": Trial(_draw_rectifier, _relu_backward, RECTIFIED),
    "1.4": Trial(_draw_crelu, _crelu_backward, RECTIFIED),
    "2.1": Trial(_draw_batch_norm, _batch_norm_backward,
                 ("scale 1, shift 0", "random scale and shift", "two rows", "more rows", "a large mean")),
    "2.2": Trial(_draw_sum, _sum_backward, ("two branches", "weighted", "three branches", "nested")),
    "4.2": Trial(_draw_series, _autocorrelation,
                 ("one series", "a stack", "mean kept", "exploded and vanished gradients",
                  "refuses a constant series")),
    "4.3": Trial(_draw_active, _coactivity, ("coin flips", "some always on, some never", "two inputs")),
    "5.2": Trial(_draw_grid, _readable_gradient, ("one layer", "batch normalisation", "a skip connection", "through")),
    "5.3": Trial(_draw_matrix, _effective_rank,
                 ("square", "wide", "tall", "nearly one direction", "one direction", "few directions",
                  "an exploded gradient", "a vanished gradient", "refuses zero")),
}
