"""The study behind lesson 17: nets trained on a line and on images, and what becomes of their gradients.

    speed       how fast plain SGD, or SGD with momentum, brings the loss down on a line of 33 points
    line        one net on a line, from its start to its end: gradient, error at the points and between them
    photos      one convnet, epoch by epoch: gradients, co-activity, kinks, and accuracy

Each is a cell of a `sweep`: a killed run goes on, and the lesson redraws from the tables.
"""

import os
from concurrent.futures import ProcessPoolExecutor

import numba
import numpy as np

from accuracy_study import KINDS as CONVNETS
from accuracy_study import data_of, held, numbers, range_test, rate_of
from accuracy_study import RANGES as RATE_TABLE

from minishatter import compose, freeze, gradients, nets, probe, regions, stats
from minishatter.images import schedules, train
from minishatter.running import FIGURES, progress, quick
from minishatter.sweep import sweep

TRAIN = bool(os.environ.get("MINISHATTER_TRAIN"))
TABLES = {name: FIGURES / f"17_{name}.csv" for name in ("speed", "line", "photos")}

# A line: y = sin 3x + 0.3 cos 7x on [-2, 2], of mean 0 and mean square 1 on the grid of 256.

WIDTH, RUNS = (20, 5) if quick() else (100, 5)
STEPS = 50 if quick() else 1000
NETS = {
    "He": lambda depth, rng: nets.feedforward(depth, WIDTH, rng=rng),
    "centred": lambda depth, rng: nets.feedforward(depth, WIDTH, norm="center", rng=rng),
    "BN": lambda depth, rng: nets.feedforward(depth, WIDTH, norm="batch", rng=rng),
    "resnet, beta 1": lambda depth, rng: nets.resnet(depth, WIDTH, rng=rng),
    "resnet, beta 0.1": lambda depth, rng: nets.resnet(depth, WIDTH, beta=0.1, rng=rng),
    "looks linear": lambda depth, rng: nets.feedforward(depth, WIDTH, activation="crelu", init="looks_linear", rng=rng),
}
DEEP = 6 if quick() else 24
LINES = [*(("centred", depth) for depth in ((1, 4) if quick() else (1, 4, 10))), *((kind, DEEP) for kind in NETS)]
GRID = gradients.grid()
POINTS, SPEED_POINTS = (9, 17) if quick() else (9, 17, 33, 65), 33
RATES = (1e-3, 1e-2) if quick() else tuple(1e-4 * 2.0**k for k in range(14))  # 1e-4 to 0.82
RECORDED = np.unique(np.round(2.0**np.arange(0, np.log2(STEPS) + 0.01, 0.25)).astype(int))
MOMENTS = (0, 1, 3, 10, 30, *((STEPS,) if quick() else (100, 300, STEPS)))  # the steps before which a net is looked at
MEASURES = ("length", "lag", "rank", "coactive", "pieces")
LAGS = np.geomspace(1e-4, 2, 60)


def target(x):
    raw, grid = (np.sin(3 * z) + 0.3 * np.cos(7 * z) for z in (x, GRID))
    return (raw - grid.mean()) / grid.std()


def descend(net, points, momentum, rate, steps):
    """Train `net` itself, by all points at once: yields the mean square error before each step and after the last.

    It ends when the error is below 1e-3, or when it is no longer finite or above 1e3.
    """
    x = np.linspace(-2, 2, points)[:, None]
    y, optimiser = target(x), train.SGD(rate, momentum)
    params = net.params
    state = optimiser.start(params)
    for step in range(steps + 1):
        error, df, cache = mean_square(net, x, y)
        yield error
        if step == steps or not 1e-3 < error < 1e3:
            return
        with np.errstate(all="ignore"):
            _, grads = net.backward(df, cache)
            optimiser.step(params, grads, state, rate, step + 1)


def mean_square(net, x, y):
    """The mean square of f(x) - y, its gradient by f(x), and the cache of the pass."""
    with np.errstate(all="ignore"):
        try:
            f, cache = net.forward(x)
        except ValueError:  # a normalisation refuses what has overflowed
            return np.inf, None, None
        return float(np.mean((f - y)**2)), 2 * (f - y) / len(x), cache


def speed(kind, depth, momentum, rate, run):
    """The smallest error so far at the steps of RECORDED."""
    losses = list(descend(NETS[kind](depth, np.random.default_rng([depth, run])), SPEED_POINTS, momentum, rate, STEPS))
    losses = np.nan_to_num(losses, nan=np.inf)
    least = np.minimum.accumulate([*losses, *[np.inf] * (STEPS + 1 - len(losses))])
    return {"errors": numbers(least[RECORDED])}


def line(kind, depth, points, rate, run):
    """One net, trained with momentum 0.9: MEASURES at the steps of MOMENTS, and the errors after the last.

    A net that has learnt the points stays as it is; of one that has diverged nothing is measured.
    """
    net, x = NETS[kind](depth, np.random.default_rng([depth, run])), np.linspace(-2, 2, points)[:, None]
    looks = []
    for step, error in enumerate(descend(net, points, 0.9, rate, STEPS)):
        if step in MOMENTS and error < 1e3:
            looks.append(measured(net, x))
    last, between = dict.fromkeys(MEASURES, np.nan), None
    if error < 1e3:
        last, middle = measured(net, x), (x[1:] + x[:-1]) / 2
        between = float(np.mean((freeze(net, x).forward(middle)[0] - target(middle))**2))
    looks += [last] * (len(MOMENTS) - len(looks))
    return {"steps": step, "error": error, "between": between,
            **{name: numbers([look[name] for look in looks]) for name in MEASURES}}


def measured(net, x):
    """MEASURES of f' on [-2, 2], batch statistics held at those of the points x; a constant has no length: NaN."""
    frozen = freeze(net, x)
    on_grid, exact = probe.diagnose(frozen, GRID), regions.exact_gradient(frozen)
    return {"length": length(LAGS, regions.autocorrelation(exact, LAGS)) if exact.values.size > 1 else np.nan,
            "lag": on_grid.autocorrelation[0], "rank": on_grid.relative_effective_rank,
            "coactive": on_grid.coactive, "pieces": exact.values.size}


def length(lags, acf):
    """The lag at which the autocorrelation first falls below 1/e, between two lags by a straight line."""
    lags, acf = np.append(0.0, lags), np.append(1.0, acf)
    if not (below := np.flatnonzero(acf < np.exp(-1))).size:
        return np.inf
    at = slice(below[0] - 1, below[0] + 1)
    return float(np.interp(-np.exp(-1), -acf[at], lags[at]))


# Images: convnets by the protocol of lesson 09, at half its images.

DEPTH, IMAGES, EPOCHS, LOOKED_AT, WAYS, TEST = (14, 128, 2, 16, 1, 64) if quick() else (30, 5000, 10, 128, 4, 2000)
SHOWN = ("ReLU + BN", "resnet", "CReLU, LL")
SHARES = 2.0**np.arange(-6 if quick() else -14, -1)  # of the way between two images: the distances of gradients
PLACES = np.arange(0.5, 16) / 16 if quick() else np.arange(0.5, 32) / 32  # on that way


def photos(kind, depth, images, epochs, rate, run):
    """`seen` and the accuracy of the test images, before training and after each epoch; the training losses."""
    x, labels, test_x, test_labels = data_of(10_000 if not quick() else images)
    x, labels, test_x, test_labels = x[:images], labels[:images], test_x[:TEST], test_labels[:TEST]
    net = train.cast(CONVNETS[kind](depth, rng=np.random.default_rng([depth, run])), np.float32)
    steps = epochs * -(-images // 128)

    def watch(net):
        frozen = freeze(net, train.batch_last(x[:500]))
        return [*seen(frozen, test_x[:LOOKED_AT], test_labels[:LOOKED_AT]).values(),
                train.accuracy(net, test_x, test_labels, x[:500])]

    fitted = train.fit(net, x, labels, epochs=epochs, optimiser=train.Adam(rate), seed=run, watch=watch,
                       augment=train.shift_and_flip, schedule=schedules.Cosine(steps, min(100, steps // 4)))
    columns = np.transpose([watch(net), *fitted.watched])
    return {**dict(zip(("rank", "coactive", "length", "kinks", "accuracy"), map(numbers, columns))),
            "loss": numbers(fitted.losses)}


def seen(frozen, images, labels):
    """Of a frozen net and images (N, 3, rows, cols): a dictionary.

        rank        the effective rank of the images' gradients, over white noise's
        coactive    the co-activity of the last rectifier
        length      where the derivative along the way between two images has an autocorrelation of 1/e, as a share
                    of that way; infinite if not within a quarter, NaN if it is constant on any of the WAYS
        kinks       how many units of all rectifiers switch on a way, one that switches back counting twice

    The mean over a way is subtracted, so that lengths above some 0.1 come out too short: a straight line has 0.21.
    """
    g, patterns = margin_gradient(frozen, images, labels)
    exact = train.cast(frozen, np.float64)  # a constant gradient must be constant to be seen as one
    acfs, kinks = zip(*(between(exact, *images[first:first + 2].astype(np.float64), labels[first])
                        for first in range(0, 2 * WAYS, 2)))
    acf = np.mean(acfs, axis=0)
    last = patterns[-1].reshape(-1, len(images)).T
    return {"rank": stats.relative_effective_rank(g.T, np.random.default_rng(0), 2),
            "coactive": stats.coactivity(last).mean(),
            "length": length(SHARES, acf) if np.isfinite(acf).all() else np.nan, "kinks": np.mean(kinks)}


def margin_gradient(frozen, images, classes):
    """Of the logit of each image's class less the mean of all logits: gradients (N, pixels), rectifiers' patterns."""
    logits, cache = frozen.forward(train.batch_last(images))
    dlogits = np.full_like(logits, -1 / logits.shape[1])
    dlogits[np.arange(len(classes)), classes] += 1
    dx, _ = frozen.backward(dlogits, cache)
    return np.moveaxis(dx, -1, 0).reshape(len(images), -1), list(compose.patterns(cache))


def between(exact, a, b, label):
    """The autocorrelation at SHARES of the derivative along the way from image a to image b, and the kinks on it.

    We look ahead from those PLACES that lie on the first half of the way, and back from the others. The kinks are
    counted within the smallest of SHARES, and multiplied up; a unit that switches twice within it is missed.
    """
    def look(places):
        g, patterns = margin_gradient(exact, a + places[:, None, None, None] * (b - a), np.full(len(places), label))
        return g @ (b - a).ravel(), patterns

    here, active = look(PLACES)
    there = [look(np.where(PLACES < 0.5, PLACES + share, PLACES - share)) for share in SHARES]
    switched = sum(np.count_nonzero(was != now) for was, now in zip(active, there[0][1]))
    if probe.diagnose_gradient(here).distinct < 2:
        acf = np.full(len(SHARES), np.nan)
    else:
        c = here - here.mean()
        acf = np.array([np.mean(c * (g - here.mean())) for g, _ in there]) / np.mean(c**2)
    return acf, switched / len(PLACES) / SHARES[0]


# The tables.


def steps_to(errors, level):
    """The step at which an error of `level` is reached, between those of RECORDED by a power law; inf if it is not."""
    errors = np.array([float(error) for error in errors.split()])
    if not errors[-1] <= level:
        return np.inf
    last = int(np.argmax(errors <= level))
    if last == 0 or not np.isfinite(errors[last - 1]):
        return float(RECORDED[last])
    share = np.log(errors[last - 1] / level) / np.log(errors[last - 1] / errors[last])
    return float(RECORDED[last - 1] * (RECORDED[last] / RECORDED[last - 1])**share)


def descents(rows, kind, depth, momentum, run):
    """{rate: errors} of a net's descents."""
    wanted = (kind, depth, momentum, run)
    return {row["rate"]: row["errors"] for row in rows
            if (row["kind"], row["depth"], row["momentum"], row["run"]) == wanted}


def least_error(errors):
    return float(errors.split()[-1])


LEVEL = 0.1


def best_rate(found):
    """Of {rate: errors} the rate that reaches LEVEL first; if none does, the one with the least error."""
    return min(found, key=lambda rate: (steps_to(found[rate], LEVEL), least_error(found[rate])))


def race(rows, kind, depth, run):
    """(steps of SGD, steps of momentum 0.9, level), each at its best rate: to LEVEL, or as far as SGD comes.

    SGD comes as far as the last of RECORDED; momentum that does not get there counts as if it did in that step.
    """
    plain, heavy = (descents(rows, kind, depth, momentum, run) for momentum in (0.0, 0.9))
    level = max(LEVEL, min(map(least_error, plain.values())))
    slow, fast = (min(float(RECORDED[-1]), *(steps_to(errors, level) for errors in found.values()))
                  for found in (plain, heavy))
    return slow, fast, level


def study(executor=None):
    """Compute what the tables lack, line by line; returns the rows of all three."""
    paths = dict.fromkeys(TABLES) if quick() else TABLES
    rows = sweep(speed, [(kind, depth, momentum, rate, run) for run in range(RUNS) for kind, depth in LINES
                         for momentum in (0.0, 0.9) for rate in RATES], executor, paths["speed"], progress("speed"))
    best = {line: best_rate(descents(rows, *line, 0.9, 0)) for line in LINES}
    lines = [(kind, depth, points, best[kind, depth] / 2, run)
             for kind, depth in LINES for points in POINTS for run in range(RUNS)]
    lines = sweep(line, lines, executor, paths["line"], progress("lines"))
    ranges = [] if quick() else held(range_test, RATE_TABLE)
    images = [(kind, DEPTH, IMAGES, EPOCHS, rate_of(kind, DEPTH, ranges) if ranges else 1e-3, run)
              for run in range(RUNS) for kind in SHOWN]
    return rows, lines, sweep(photos, images, executor, paths["photos"], progress("photos"))


def tables():
    """The rows of the three tables, after computing what is missing if that is wanted."""
    if quick():
        return study()
    if TRAIN:
        with ProcessPoolExecutor(os.cpu_count(), initializer=numba.set_num_threads, initargs=(1,)) as executor:
            return study(executor)
    return tuple(held(cell, TABLES[cell.__name__]) for cell in (speed, line, photos))
