"""Trials of random functions. What is compared does not depend on the order in which a function draws its numbers.

Two draws are made from one generator, and one of them again from its twin. Of the two draws
numbers are looked at that a law fixes: moments, shares, correlations. Each has a spread: six standard
deviations of the distance between two honest functions that draw in another order, rounded up,
for the kind where it is largest. Of some 100 such distances for each kind the largest was 0.6 of the spread.
"""

import numpy as np

from minishatter import init, stats, theory

from .trial import Trial, refuses


def _draws(draw, seed, again=None):
    """Two draws one after the other, and whether a twin of the generator makes the first one again."""
    rng, twin = (np.random.default_rng(int(seed)) for _ in range(2))
    first, second = draw(rng), draw(rng)
    again = again or draw
    repeated = first if again is draw else again(np.random.default_rng(int(seed)))
    return {"two draws": np.stack([first, second]), "the same seed gives the same draw": _same(repeated, again(twin))}


def _same(one, other):
    return np.array(np.shape(one) == np.shape(other) and bool(np.all(np.equal(one, other))))


def _exact(arrays):
    """What holds exactly: the shape, and that one seed gives one draw."""
    return {"shape of a draw": np.array(arrays["two draws"].shape[1:]),
            "the same seed gives the same draw": arrays["the same seed gives the same draw"]}


def _normal(draws, unit):
    """What the law of independent N(0, unit^2) numbers fixes; draws: (2, rows, columns) or (2, n)."""
    z = draws / unit
    rows = z.reshape(2, -1, z.shape[-1])
    return {"mean / standard deviation": z.mean(),
            "variance, as a multiple of what it should be": np.mean(z**2),
            "fourth moment, 3 if normal": np.mean(z**4) / (np.mean(z**2)**2 or 1.0),
            "correlation of two draws": np.mean(z[0] * z[1]),
            "correlation along a row": np.mean(rows[..., 1:] * rows[..., :-1]),
            "correlation along a column": np.mean(rows[:, 1:] * rows[:, :-1]) if rows.shape[1] > 1 else np.array(0.0)}


# Weights.


def _draw_he(rng, kind):
    fan_in, fan_out = {"few inputs": (5, 60_000), "many inputs": (601, 503)}.get(kind, (503, 601))
    return {"fan_in": np.array(fan_in), "fan_out": np.array(fan_out), "seed": rng.integers(2**31),
            "gain": np.array(0.5 if kind == "another gain" else 2.0)}


def _he(fan_in, fan_out, gain, seed):
    more = {} if gain == 2 else {"gain": float(gain)}  # 2 is the default
    made = _draws(lambda rng: init.he(int(fan_in), int(fan_out), rng, **more), seed)
    return made | {"std": np.sqrt(gain / fan_in)}


def _look_at_weights(arrays):
    return _exact(arrays) | _normal(arrays["two draws"], arrays["std"])


HE = {"mean / standard deviation": 0.012, "variance, as a multiple of what it should be": 0.017,
      "fourth moment, 3 if normal": 0.06, "correlation of two draws": 0.017, "correlation along a row": 0.012,
      "correlation along a column": 0.013}


def _draw_looks_linear(rng, kind):
    fan_in, fan_out = {"wide": (26, 47), "tall": (94, 13)}.get(kind, (62, 31))
    return {"fan_in": np.array(fan_in), "fan_out": np.array(fan_out), "seed": rng.integers(2**31)}


def _looks_linear(fan_in, fan_out, seed):
    made = _draws(lambda rng: init.looks_linear(int(fan_in), int(fan_out), rng), seed)
    return made | {"refuses an odd fan_in": refuses(lambda: init.looks_linear(7, 5, np.random.default_rng(0)))}


def _look_at_mirrors(arrays):
    half = arrays["two draws"].shape[1] // 2
    W, second = arrays["two draws"][:, :half]
    z = arrays["two draws"][:, :half] * np.sqrt(max(W.shape))  # of variance 1
    return _exact(arrays) | {
        "upper half plus lower half": W + arrays["two draws"][0, half:],
        "products of the shorter side's vectors": W.T @ W if W.shape[0] >= W.shape[1] else W @ W.T,
        "fourth moment of the entries, 3 if of no direction": np.mean(z**4),
        "sum of the entries of a draw": z.mean() * np.sqrt(z.size),
        "correlation of two draws": np.vdot(W, second) / (np.vdot(W, W) or 1.0),
        "refuses an odd fan_in": arrays["refuses an odd fan_in"]}


LOOKS_LINEAR = {"fourth moment of the entries, 3 if of no direction": 1.1, "sum of the entries of a draw": 9.5,
                "correlation of two draws": 0.33}


# Noise.


def _draw_brown(rng, kind):
    return {"shape": np.array((150_001,) if kind == "one series" else (4001, 37)), "seed": rng.integers(2**31)}


def _brown_noise(shape, seed):
    shape = tuple(map(int, shape))
    return _draws(lambda rng: stats.brown_noise(shape if len(shape) > 1 else shape[0], rng), seed)


def _look_at_steps(arrays):
    steps = np.diff(arrays["two draws"], axis=-1, prepend=0.0)
    normal = {f"steps: {name}": value for name, value in _normal(steps, 1.0).items()}
    lags = {f"correlation of steps {lag} apart": np.mean(steps[..., lag:] * steps[..., :-lag]) for lag in range(2, 6)}
    first = np.mean(steps[..., 0]**2) if steps.ndim > 2 else np.array(1.0)
    return _exact(arrays) | normal | lags | {"variance of the first step": first}


BROWN = {"steps: mean / standard deviation": 0.017, "steps: variance, as a multiple of what it should be": 0.025,
         "steps: fourth moment, 3 if normal": 0.095, "steps: correlation of two draws": 0.025,
         "steps: correlation along a row": 0.017, "steps: correlation along a column": 0.017,
         "variance of the first step": 0.15} | {f"correlation of steps {lag} apart": 0.017 for lag in range(2, 6)}


# Nets whose units are active by coin flips.

GATED = {  # depth, width, runs, skip, branch, share; NaN for no share
    "one unit": (3, 1, 40_000, 0, 1, np.nan), "one layer": (1, 7, 20_000, 0, 1, np.nan),
    "four layers": (4, 7, 20_000, 0, 1, np.nan), "a skip connection": (2, 7, 20_000, 1, 1.2, np.nan),
    "normalised": (4, 7, 20_000, 0, 0.3, 1), "normalised by a share, a strong branch": (2, 7, 20_000, 0.3, 10, 0.5)}


def _draw_gated(rng, kind):
    depth, width, runs, skip, branch, share = GATED[kind]
    return {"depth": np.array(depth), "width": np.array(width), "runs": np.array(runs), "skip": np.array(float(skip)),
            "branch": np.array(float(branch)), "share": np.array(float(share)), "seed": rng.integers(2**31)}


def _gated_gradients(depth, width, runs, skip, branch, share, seed):
    def draw(rng, runs=int(runs)):
        return theory.gated_gradients(int(depth), int(width), runs, rng, skip=float(skip), branch=float(branch),
                                      share=None if np.isnan(share) else float(share))
    return _draws(draw, seed, again=lambda rng: draw(rng, 9)) | {"width": width}


def _look_at_pairs(arrays):
    """Of a gradient that is often 0 and has heavy tails: its size by logarithms, its shape by their spread.

    Of a single unit in three layers 1 - 2^-3 are 0, and 1 - 2 * 2^-3 + 4^-3 at both inputs: no Gaussian pair is.
    """
    g = arrays["two draws"]        # (2, runs, 2)
    on, signs = g != 0, np.sign(g)
    looks = _exact(arrays) | {
        "share of gradients that are 0 at an input": 1 - on.mean(),
        "share of gradients that are 0 at both inputs": np.mean(~on.any(axis=2)),
        "mean sign": signs.mean(),
        "mean product of the signs at the two inputs": np.mean(signs[..., 0] * signs[..., 1]),
        "mean product of the signs of two draws": np.mean(signs[0] * signs[1])}
    return looks if arrays["width"] == 1 else looks | _sizes(g, on)


def _sizes(g, on):
    log = np.log(np.abs(g), where=on, out=np.zeros(g.shape))
    mean = log.sum() / max(on.sum(), 1)
    deviation = np.where(on, log - mean, 0.0)
    return {"mean of log |g|": mean,
            "variance of log |g|": np.sum(deviation**2) / max(on.sum(), 1),
            "covariance of log |g| at the two inputs": np.mean(deviation[..., 0] * deviation[..., 1])}


PAIRS = {"share of gradients that are 0 at an input": 0.007, "share of gradients that are 0 at both inputs": 0.011,
         "mean sign": 0.04, "mean product of the signs at the two inputs": 0.045,
         "mean product of the signs of two draws": 0.05, "mean of log |g|": 0.055, "variance of log |g|": 0.17,
         "covariance of log |g| at the two inputs": 0.12}


TRIALS = {
    "3.1": Trial(_draw_he, _he, ("few inputs", "many inputs", "another gain"), _look_at_weights, HE),
    "3.2": Trial(_draw_looks_linear, _looks_linear, ("square", "tall", "wide"), _look_at_mirrors, LOOKS_LINEAR),
    "4.1": Trial(_draw_brown, _brown_noise, ("one series", "a stack"), _look_at_steps, BROWN),
    "5.1": Trial(_draw_gated, _gated_gradients, tuple(GATED), _look_at_pairs, PAIRS),
}
