"""The study behind tutorial 09: nets, range tests, training runs, and the tables that keep what is finished.

    range_test    one short epoch at a constant rate
    rate_of       the rule that makes a rate of the range tests
    cell          one training run by the protocol, which the tutorial states
    tables        the rows of both, from the tables, or computed

Both tables are written by `sweep`, row by row; a run that is killed goes on from its last epoch.
"""

import csv
import functools
import inspect
import json
import math
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numba
import numpy as np

from minishatter import init
from minishatter.images import checkpoint, convnets, data, schedules, train
from minishatter.running import FIGURES, progress, quick
from minishatter.sweep import sweep

TRAIN = os.environ.get("MINISHATTER_TRAIN", "")  # "", "1", or "paper"
RANGES, TABLE = FIGURES / "09_ranges.csv", FIGURES / "09_accuracy.csv"
DEPTHS = (6, 14) if quick() else (6, 14, 30, 54, 102, 198)
IMAGES, EPOCHS, RUNS = (300, 2, 3) if quick() else (10_000, 10, 3)
BETA, BATCH = 0.1, 128
LONGER = 40  # epochs: are ten too few for deep nets? The runs, in order, as (kind, run, images, depths):
LONG_RUNS = (
    ("CReLU, LL", 0, IMAGES, (6, 54, 30, 14, 198)), ("CReLU, LL", 0, 2 * IMAGES, (6, 54, 30, 14, 198)),
    ("CReLU, LL", 1, 2 * IMAGES, (6, 198, 30, 54)), ("CReLU, LL", 2, 2 * IMAGES, (6, 198, 30, 54)),
    ("resnet", 0, 2 * IMAGES, (198, 54, 30, 14, 6, 102)), ("resnet", 1, 2 * IMAGES, (6, 30, 54, 198)),
    ("resnet", 2, 2 * IMAGES, (6, 30, 54, 198)), ("CReLU, LL", 0, 2 * IMAGES, (102,)),
    ("CReLU, LL", 0, IMAGES, (102,)), ("CReLU, LL", 1, IMAGES, (6, 198)), ("CReLU, LL", 2, IMAGES, (6, 198)))

ORDER = (6, 54, 198, 14, 102, 30)  # the claims at the ends of the figure first

convnet = convnets.convnet
KINDS = {
    "CReLU, LL": functools.partial(convnet, activation="crelu", init="looks_linear"),
    "resnet": functools.partial(convnets.convresnet, beta=BETA),
    "ReLU + BN": functools.partial(convnet, norm="batch"),
    "ReLU": convnet,
    "CReLU": functools.partial(convnet, activation="crelu"),
    "CReLU + BN": functools.partial(convnet, activation="crelu", norm="batch"),
    "linear": functools.partial(convnet, activation="linear"),
    "linear, orthogonal": functools.partial(convnet, activation="linear", init="delta_orthogonal"),
}
FIRST, LAW, PAPERS = tuple(KINDS)[:3], tuple(KINDS)[:4], ("CReLU, LL", "resnet", "CReLU", "ReLU", "linear")
if quick():
    KINDS = {kind: KINDS[kind] for kind in LAW}


def net_of(kind, depth, run):
    """The net at the start of a run, in single precision."""
    return train.cast(KINDS[kind](depth, rng=np.random.default_rng([depth, run])), np.float32)


@functools.cache
def data_of(images):
    """(training images, labels, test images, labels): float32, mean 0 and standard deviation 1 in each channel."""
    if quick():
        made = data.synthetic_images(2 * images, np.random.default_rng(9))
        training, test = (data.Dataset(*(a[half] for a in made[:2]), made.name)
                          for half in (slice(images), slice(images, None)))
    else:
        batches = (1,) if images <= data.IMAGES else (1, 2) if images <= 2 * data.IMAGES else (1, 2, 3, 4, 5)
        training, test = data.load_cifar10(batches=batches), data.load_cifar10(batches="test")
    x, test_x = (data.normalised(part.images) for part in (training, test))
    return x[:images], training.labels[:images], test_x, test.labels


# Range tests.

RATES = (1e-2, 1e-3, 1e-4) if quick() else (3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6)
RANGE_IMAGES, RANGE_BATCH, RANGE_OTHERS = (128, 32, 100) if quick() else (2048, 32, 512)


def range_points(kinds, runs):
    """Every rate for every net, deep ones last."""
    return [(kind, depth, run, rate) for run in runs for depth in DEPTHS for kind in kinds for rate in RATES]


def range_test(kind, depth, run, rate):
    """The loss after an epoch at a constant rate, the change in the first step, and the seconds of a step."""
    x, labels, *_ = data_of(IMAGES)
    net, adam = net_of(kind, depth, run), train.Adam(rate)
    with np.errstate(all="ignore"):
        change = first_change(net, x[:BATCH], labels[:BATCH], adam)
        begun = time.process_time()
        try:
            fitted = train.fit(net, x[:RANGE_IMAGES], labels[:RANGE_IMAGES], epochs=1, batch=RANGE_BATCH,
                               optimiser=adam, seed=run)
            seconds = (time.process_time() - begun) * RANGE_BATCH / RANGE_IMAGES
            others = slice(RANGE_IMAGES, RANGE_IMAGES + RANGE_OTHERS)
            logits, _ = fitted.net.forward(train.batch_last(x[others]))
            loss, _ = train.softmax_cross_entropy(logits, labels[others])
        except (train.DivergenceError, ValueError):  # ValueError: a normalisation refuses what has overflowed
            loss, seconds = math.inf, math.nan
    return {"loss": loss if math.isfinite(loss) else math.inf, "change": change, "seconds": seconds}


def first_change(net, x, labels, adam):
    """The relative change of the net's outputs on x in one step on x; infinite if they overflow."""
    before, _ = net.forward(train.batch_last(x))
    try:
        moved = train.fit(net, x, labels, epochs=1, batch=len(x), optimiser=adam).net
        change = np.linalg.norm(moved.forward(train.batch_last(x))[0] - before) / np.linalg.norm(before)
    except (train.DivergenceError, ValueError):
        change = math.inf
    return float(change) if math.isfinite(change) else math.inf


def largest_rate(losses):
    """The largest rate that learns, and the gain of the best rate over guessing; losses {rate: loss}."""
    rates = sorted(losses)
    heights = np.minimum([losses[rate] for rate in rates], math.log(10))
    half = (math.log(10) + heights.min()) / 2
    last = max(np.flatnonzero(heights <= half))
    if last + 1 == len(rates):
        return rates[last], math.log(10) - heights.min()
    share = (half - heights[last]) / (heights[last + 1] - heights[last])
    return rates[last] * (rates[last + 1] / rates[last])**share, math.log(10) - heights.min()


# Training runs.


def rate_of(kind, depth, ranges):
    """The rate of the training runs: a third of the largest that learns in run 0, rounded to two digits."""
    losses = {row["rate"]: row["loss"] for row in ranges
              if (row["kind"], row["depth"], row["run"]) == (kind, depth, 0)}
    return float(f"{largest_rate(losses)[0] / 3:.1e}")


def even_rate(depth, ranges):
    """Of LL nets: the rate with which L x rate is that of 6 layers, rounded to two digits."""
    return float(f"{6 * rate_of('CReLU, LL', 6, ranges) / depth:.1e}")


def cell(kind, depth, run, images, epochs, schedule, rate):
    """Train one net: test accuracy, losses and departures by epochs, core-seconds of a step in the slowest epoch."""
    x, labels, test_x, test_labels = data_of(images)
    steps = epochs * -(-images // BATCH)
    plan = schedules.Cosine(steps, min(100, steps // 4)) if schedule == "cosine" else schedules.Plateau()
    name = f"{kind} {depth} {run} {images} {epochs} {schedule} {rate}".replace(" ", "_")
    folder = FIGURES / "running"
    if quick():  # which may take place side by side, in a checkout of somebody else's, and is never continued
        folder, name = Path(tempfile.gettempdir()), f"{name}_{os.getpid()}"
    place = folder / f"{name}.npz"
    place.parent.mkdir(parents=True, exist_ok=True)
    settings = dict(batch=BATCH, optimiser=train.Adam(rate), schedule=plan, augment=train.shift_and_flip, seed=run,
                    watch=departure if kind == "CReLU, LL" else None, checkpoint=place)
    fitted, spent = None, [0.0]
    finished = len(checkpoint.progress(place).get("losses", ()))
    try:
        for epoch in range(max(finished - 1, 0), epochs):  # one by one, so that the paper's protocol can stop
            begun = time.process_time()
            fitted = train.fit(net_of(kind, depth, run), x, labels, epochs=epoch + 1, **settings)
            spent.append(time.process_time() - begun)
            if schedule == "plateau" and plan.drops(fitted.losses) == 3:
                break
        accuracy = train.accuracy(fitted.net, test_x, test_labels, x[:1000])
    except train.DivergenceError:
        accuracy = 0.1  # that of guessing
    place.unlink(missing_ok=True)
    losses, watched = (fitted.losses, fitted.watched) if fitted else ([], [])
    return {"accuracy": float(accuracy), "losses": numbers(losses), "departures": numbers(watched),
            "seconds": max(spent) * BATCH / images}


def departure(net):
    """How far an LL net has left the linear net: L times the mean over its layers of ||Delta|| / ||S||.

    A layer behind a CReLU is x S + |x| Delta. The stem, which sees no CReLU, does not count.
    """
    weights = [layer.params["W"] for layer in net.layers if "W" in layer.params]
    parts = [init.mirrored_parts(W, 1 if W.ndim == 4 else 0) for W in weights[1:]]
    return float(len(weights) * np.mean([np.linalg.norm(Delta) / np.linalg.norm(S) for S, Delta in parts]))


def numbers(values):
    """Numbers as one scalar of a table: a text."""
    return " ".join(f"{value:.4g}" for value in values) + " "


# All of it, in order: what the abstract of the paper is about, one run a point; the other runs of LL and the resnet;
# the other kinds, one run a point; their other runs.


def train_all(executor=None):
    """Train what the tables lack; returns the rows of both."""
    ranges, rows = [], []
    rest = [[kind for kind in KINDS if kind not in first] for first in (FIRST, FIRST[:2])]
    stages = [(LAW, (0,), FIRST, (0,)), ((), (), FIRST[:2], (1, 2)), (KINDS, (0,), rest[0], (0,)),
              ((), (), rest[1], (1, 2)), (LAW, () if quick() else (1, 2), (), ())]
    for tested, range_runs, trained, runs in stages:
        done = {(row["kind"], row["depth"], row["run"]) for row in ranges}
        if todo := [point for point in range_points(tested, range_runs) if point[:3] not in done]:
            ranges += sweep(range_test, todo, executor, None if quick() else RANGES, progress("range tests"))
        if runs:
            rows += sweep(cell, [(kind, depth, run, IMAGES, EPOCHS, "cosine", rate_of(kind, depth, ranges))
                                 for run in runs for depth in sorted(DEPTHS, key=ORDER.index)
                                 for kind in trained],
                          executor, None if quick() else TABLE, progress("training"))
    if not quick():
        even = [("CReLU, LL", depth, 0, IMAGES, EPOCHS, "cosine", even_rate(depth, ranges)) for depth in DEPTHS]
        longer = [(kind, depth, run, images, LONGER, "cosine", rate_of(kind, depth, ranges))
                  for kind, run, images, depths in LONG_RUNS for depth in depths]
        rows += sweep(cell, even + longer, executor, TABLE, progress("more of LL and the resnet"))
    return ranges, rows


def train_paper(executor=None):
    """The paper's protocol: all images, ten runs of five kinds, Plateau from 1e-3 until the rate has dropped thrice."""
    points = [(kind, depth, run, 50_000, 1000, "plateau", 1e-3)
              for run in range(10) for depth in DEPTHS for kind in PAPERS]
    return held(range_test, RANGES), sweep(cell, points, executor, TABLE, progress("training"))


def tables():
    """The rows of both tables, after training what is missing if that is wanted."""
    if quick():
        return train_all()
    if TRAIN:
        with ProcessPoolExecutor(os.cpu_count(), initializer=numba.set_num_threads, initargs=(1,)) as executor:
            return (train_paper if TRAIN == "paper" else train_all)(executor)
    return held(range_test, RANGES), held(cell, TABLE)


def held(function, path):
    """The rows that a table holds: a sweep over its own points, which computes nothing."""
    if not path.exists():
        return []
    names = inspect.signature(function).parameters
    with path.open(newline="", encoding="utf-8") as file:
        points = [tuple(row[name] if name in ("kind", "schedule") else json.loads(row[name]) for name in names)
                  for row in csv.DictReader(file)]
    return sweep(function, points, path=path) if points else []
