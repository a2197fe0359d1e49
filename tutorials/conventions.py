"""The search behind figure 2: what might the paper have done, and which of it gives the curves that it printed?

A *convention* is seven choices that the paper leaves open (CHOICES). The nets are

    stem    x = v t + b  for the input t,  or relu(v t + b) with "behind"
    layers  x <- skip x + beta W relu(BN(x)),  as many as "layers" says for the depth L that is printed
    output  w x,  or w relu(BN(x)) with "last"

with He weights, and skip = 0 for the feedforward panel. `convention` is one convention: how far the mean over RUNS
nets is from the points read off the figure. Nets of all depths have their layers in common: a net of 50 layers is
drawn once, and read out wherever some convention calls a layer the last.
"""

import csv
import itertools
from functools import lru_cache

import numpy as np

from minishatter import BatchNorm, ReLU, gradients

RUNS, WIDTH, SEED = 20, 200, 2017
CHOICES = {
    "stem": ("N(0, 2)", "N(0, 1)", "+-1"),
    "behind": (False, True),
    "biases": ("none", "N(0, 1)", "U(-2, 2)"),
    "statistics": ("through", "held"),
    "layers": ("L - 2", "L - 1", "L"),
    "last": (False, True),
    "estimator": ("mean subtracted", "mean subtracted, rescaled", "as it is", "as it is, rescaled", "Pearson"),
}
# Each BN takes away what is the same for all inputs: a bias, unless a rectifier comes before it.
POINTS = [point for point in itertools.product(*CHOICES.values()) if point[1] or point[2] == "none"]

# Read off the paper's figure by eye, +-0.02: {panel: {depth: {true lag: autocorrelation}}}. The printed axis starts at
# 1 where the correlation is 1, so a printed lag k is the true lag k - 1.
READING = 0.02
SMOOTH, WHITE = {1: 1.00, 14: 0.95}, {1: -0.03, 2: 0.0, 4: 0.0, 9: 0.0, 14: 0.0}
FIGURE_2 = {
    "feedforward": {2: SMOOTH, 4: {4: 0.73, 9: 0.44, 14: 0.19}, 10: {1: 0.36, 2: 0.08, 4: -0.06, 9: -0.02, 14: 0.0},
                    24: WHITE, 50: WHITE},
    "resnet": {2: SMOOTH, 4: {4: 0.78, 9: 0.55, 14: 0.36}, 10: {1: 0.84, 2: 0.68, 4: 0.44, 9: 0.13, 14: -0.01},
               24: {1: 0.65, 2: 0.44, 4: 0.17, 9: 0.00, 14: -0.01},
               50: {1: 0.54, 2: 0.30, 4: 0.07, 9: -0.02, 14: -0.06}},
    "resnet 0.1": {2: SMOOTH, 4: {4: 0.84, 9: 0.68, 14: 0.50}, 10: {4: 0.78, 9: 0.57, 14: 0.38},
                   24: {4: 0.70, 9: 0.48, 14: 0.32}, 50: {4: 0.63, 9: 0.39, 14: 0.23}},
}
WEIGHTS = {"feedforward": (0.0, 1.0), "resnet": (1.0, 1.0), "resnet 0.1": (1.0, 0.1)}  # skip, beta
DEPTHS = (2, 4, 10, 24, 50)
LAYERS = {"L - 2": -2, "L - 1": -1, "L": 0}
READ_OUTS = sorted({L + less for L in DEPTHS for less in LAYERS.values()})


def autocorrelation(g, lag, estimator="mean subtracted"):
    """The autocorrelation of each row of g (runs, n) at one lag: (runs,). A row that the estimator makes 0/0 gives NaN.

    It checks nothing, so that it can be shown what becomes of a constant; `stats.autocorrelation` refuses one.
    """
    n = g.shape[1]
    left, right = g[:, :n - lag], g[:, lag:]
    with np.errstate(invalid="ignore"):
        if estimator == "Pearson":  # the correlation of two series of n - k points, each about its own mean
            left, right = (half - half.mean(axis=1, keepdims=True) for half in (left, right))
            return (left * right).sum(axis=1) / np.sqrt((left**2).sum(axis=1) * (right**2).sum(axis=1))
        c = g - g.mean(axis=1, keepdims=True) if estimator.startswith("mean subtracted") else g
        a = (c[:, :n - lag] * c[:, lag:]).sum(axis=1) / (c**2).sum(axis=1)
    return a * n / (n - lag) if estimator.endswith("rescaled") else a


def draw(panel, run, stem, behind, biases):
    """One net: its stem's v and b, rectified or not, 50 W, w. A choice of the stem changes no other draw."""
    rng = np.random.default_rng([SEED, list(WEIGHTS).index(panel), run])
    v, b, uniform, w = *rng.standard_normal((2, WIDTH)), rng.uniform(-2, 2, WIDTH), rng.standard_normal(WIDTH)
    v = {"N(0, 2)": 2**0.5 * v, "N(0, 1)": v, "+-1": np.sign(v)}[stem]
    b = {"none": np.zeros(WIDTH), "N(0, 1)": b, "U(-2, 2)": uniform}[biases]
    Ws = (rng.standard_normal((WIDTH, WIDTH)) * (2 / WIDTH)**0.5 for _ in range(max(READ_OUTS)))
    return v, b, behind, Ws, w * WIDTH**-0.5


def net_gradients(net, x, skip, beta):
    """f'(x) of one net for each statistics, with `last` or not, and for each number of layers: (2, 2, READ_OUTS, n)."""
    v, b, behind, Ws, w = net
    z, norm, relu = x[:, None] * v + b, BatchNorm(WIDTH), ReLU()
    stem = z > 0 if behind else np.ones(z.shape, dtype=bool)  # the derivative of what is behind the stem
    z, t, passed, found = z * stem, v * stem, [], []
    for layer, W in enumerate(itertools.chain(Ws, [None])):
        normal, cache = norm.forward(z)
        y, pattern = relu.forward(normal)
        slope = pattern.active / cache.std  # of the rectifier, and what it is divided by; held, that is all
        if layer in READ_OUTS:
            held = t @ w, (t * slope) @ w
            at_w = np.broadcast_to(w, z.shape)
            through = at_w, project(at_w * slope, normal)
            found.append([held, [(pull_back(d, passed, skip, beta) * stem) @ v for d in through]])
        if W is not None:
            passed.append([array.astype(np.float32) for array in (normal, slope, W)])
            z, t = skip * z + beta * y @ W, skip * t + beta * (t * slope) @ W
    return np.moveaxis(np.array(found), 0, 2)


def project(d, normal):
    """What the batch statistics take from a gradient; see layers.BatchNorm. `normal` is the normalised signal."""
    return d - d.mean(axis=0) - normal * (np.einsum("nu,nu->u", normal, d) / len(d))


def pull_back(d, passed, skip, beta):
    """The gradient d at the last of the layers that were passed, pulled back to the stem, through the statistics.

    It is linear in d and flips no unit, so single precision will do: an error of some 1e-6, and half of the time.
    """
    d = d.astype(np.float32) if passed else d
    for normal, slope, W in reversed(passed):
        d = skip * d + beta * project(d @ W.T * slope, normal)
    return d


@lru_cache(maxsize=1)
def panels(stem, behind, biases):
    """{panel: the gradients of RUNS nets, (RUNS, 2, 2, READ_OUTS, n)}: conventions that differ elsewhere share them."""
    x = gradients.grid()
    return {panel: np.array([net_gradients(draw(panel, run, stem, behind, biases), x, *weights) for run in range(RUNS)])
            for panel, weights in WEIGHTS.items()}


def convention(stem, behind, biases, statistics, layers, last, estimator):
    """The mean distance to the points of each panel from depth 4 on, and to the points at depth 2 of all three.

    noise: the mean distance to expect on the first two panels if the paper did the same with RUNS nets of its own:
    the mean of |N(0, s^2)| is s sqrt(2 / pi), s^2 that of the reading's error, of our mean and of theirs.
    """
    gaps, noise, flat = {panel: [] for panel in FIGURE_2}, [], []
    for panel, curves in FIGURE_2.items():
        for L, read in curves.items():
            read_out = READ_OUTS.index(L + LAYERS[layers])
            g = panels(stem, behind, biases)[panel][:, int(statistics == "through"), int(last), read_out]
            for lag, printed in read.items():
                a = autocorrelation(g, lag, estimator)
                if L == 2:
                    flat.append(np.nanmean(a) - printed if np.isfinite(a).any() else np.nan)
                    continue
                gaps[panel].append(a.mean() - printed)
                if panel != "resnet 0.1":
                    noise.append(np.sqrt((2 * a.var(ddof=1) / RUNS + READING**2) * 2 / np.pi))
    away = {panel.replace(" 0.1", "_01"): float(np.mean(np.abs(gap))) for panel, gap in gaps.items()}
    depth_2 = float(np.mean(np.abs(flat)))
    row = away | {"depth_2": depth_2 if np.isfinite(depth_2) else None, "noise": float(np.mean(noise))}
    return {name: value if value is None else round(value, 5) for name, value in row.items()}


def kept(path):
    """The conventions whose rows the CSV of the search holds already."""
    with open(path, newline="", encoding="utf-8") as file:
        held = {tuple(row[choice].replace("true", "True").replace("false", "False") for choice in CHOICES)
                for row in csv.DictReader(file)}
    return [point for point in POINTS if tuple(map(str, point)) in held]
