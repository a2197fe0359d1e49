"""Training deep nets: accuracy against depth
=============================================

Does shattering matter for learning? Thin convnets of 6 to 198 layers on CIFAR-10:
with skip connections, with the looks-linear initialisation, with neither. This is
the accuracy figure of the paper, by a shorter protocol: fewer images, few epochs.

Training all of it takes an hour and a quarter on two cores, so the finished runs are kept in
figures/09_accuracy.csv and the figure is drawn from there. `python -m tutorials 09 --train` adds what is
missing (all of it without the table), `--quick` trains shallow nets on synthetic images for some seconds.
"""

# %%
import csv
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numba
import numpy as np

from minishatter import plot
from minishatter.images import convnets, data, schedules, train
from minishatter.report import Report, progress, quick
from minishatter.sweep import sweep

TRAIN = os.environ.get("MINISHATTER_TRAIN", "0") == "1"
TABLE = Path("figures", "09_accuracy.csv")
DEPTHS = (6, 14) if quick() else (6, 14, 30, 54, 102, 198)
RUNS = (0, 1, 2)
IMAGES, EPOCHS = (300, 2) if quick() else (10_000, 4)
MEAN, STD = np.array([125.3, 123.0, 113.9]), np.array([63.0, 62.1, 66.7])  # of CIFAR-10's training set
BETA, RATE, BATCH = 0.1, 1e-3, 128

# %% [markdown]
# **Five kinds of net**: CReLU with mirrored, delta-orthogonal kernels (it looks linear at the start), a resnet with
# batch normalisation and beta = 0.1, and three that have neither: CReLU and ReLU with He weights, and a linear net.

# %%
KINDS = {
    "CReLU, LL": lambda depth, rng: convnets.convnet(depth, activation="crelu", init="looks_linear", rng=rng),
    "resnet": lambda depth, rng: convnets.convresnet(depth, beta=BETA, rng=rng),
    "CReLU": lambda depth, rng: convnets.convnet(depth, activation="crelu", rng=rng),
    "ReLU": lambda depth, rng: convnets.convnet(depth, rng=rng),
    "linear": lambda depth, rng: convnets.convnet(depth, activation="linear", rng=rng),
}


def normalised(images):
    """uint8 images as float32 with mean 0 and standard deviation 1 over the training set, channel by channel."""
    return ((images - MEAN[:, None, None]) / STD[:, None, None]).astype(np.float32)


def real_images():
    training, test = data.load_cifar10(batches=(1,)), data.load_cifar10(batches=("test",))
    return training.images[:IMAGES], training.labels[:IMAGES], test.images, test.labels


def stand_in():
    made = data.synthetic_images(2 * IMAGES, np.random.default_rng(9))
    return made.images[:IMAGES], made.labels[:IMAGES], made.images[IMAGES:], made.labels[IMAGES:]


# %% [markdown]
# **A cell** of the study: train one net from its seed, then classify the test set with the population statistics of
# 1,000 training images.

# %%
def cell(kind, depth, run, images, epochs):
    """Test accuracy, final training loss, and whether training diverged (the accuracy is then that of guessing)."""
    train_images, train_labels, test_images, test_labels = stand_in() if images < 10_000 else real_images()
    x, test_x = normalised(train_images), normalised(test_images)
    net = train.cast(KINDS[kind](depth, np.random.default_rng([depth, run])), np.float32)
    try:
        fitted = train.fit(net, x, train_labels, epochs=epochs, batch=BATCH, optimiser=train.Adam(RATE),
                           schedule=schedules.Plateau(), augment=train.shift_and_flip, seed=run)
    except train.DivergenceError:
        return {"accuracy": 0.1, "loss": float("inf"), "diverged": True}
    accuracy = train.accuracy(fitted.net, test_x, test_labels, x[:1000])
    return {"accuracy": float(accuracy), "loss": float(fitted.losses[-1]), "diverged": False}


POINTS = [(kind, depth, run, IMAGES, EPOCHS) for depth in DEPTHS for run in RUNS for kind in KINDS]


def rows():
    """The finished cells: from the table, after training what is missing if that is wanted."""
    if quick():
        return sweep(cell, POINTS, progress=progress("training"))
    if TRAIN:
        cores = os.cpu_count() or 1
        with ProcessPoolExecutor(cores, initializer=numba.set_num_threads, initargs=(1,)) as executor:
            return sweep(cell, POINTS, executor, TABLE, progress("training"))
    return sweep(cell, finished(), path=TABLE)


def finished():
    """The points whose rows the table holds already, so that nothing is computed."""
    with TABLE.open(newline="", encoding="utf-8") as file:
        held = {(row["kind"], int(row["depth"]), int(row["run"])) for row in csv.DictReader(file)}
    return [point for point in POINTS if point[:3] in held]


# %% [markdown]
# The paper's test accuracies, read off its figure by eye (+-0.004): whole training set, trained until the learning rate
# has dropped, ten repetitions.

# %%
PAPER = {
    "CReLU, LL": {6: 0.771, 14: 0.824, 30: 0.840, 54: 0.848, 102: 0.852, 198: 0.858},
    "resnet": {6: 0.754, 14: 0.795, 30: 0.815, 54: 0.827, 102: 0.842, 198: 0.848},
    "CReLU": {6: 0.772, 14: 0.820, 30: 0.819, 54: 0.804, 102: 0.750, 198: 0.564},
    "ReLU": {6: 0.752, 14: 0.775, 30: 0.714, 54: 0.661, 102: 0.572, 198: 0.339},
    "linear": {6: 0.40, 198: 0.40},
}
COLOURS = {"CReLU, LL": "#CC79A7", "resnet": plot.COLOUR["resnet 0.1"], "CReLU": "#E69F00",
           "ReLU": plot.COLOUR["feedforward"], "linear": "#777777"}


def draw(by_cell, what):
    fig, axes = plot.panels(1, 2, (11, 4.6), sharey=True)
    for kind in KINDS:
        depths = [depth for depth in DEPTHS if (kind, depth) in by_cell]
        runs = [by_cell[kind, depth] for depth in depths]
        axes[0, 0].plot(depths, [np.mean(values) for values in runs], color=COLOURS[kind], label=kind)
        for depth, values in zip(depths, runs):
            axes[0, 0].plot([depth] * len(values), values, "o", color=COLOURS[kind], markersize=4)
        axes[0, 1].plot(list(PAPER[kind]), list(PAPER[kind].values()), "x-", color=COLOURS[kind], label=kind)
    axes[0, 0].set(title=f"Measured: {what}\nAdam at {RATE}, batch {BATCH}, shifts and flips", ylabel="test accuracy")
    axes[0, 1].set(title="The paper: 50,000 CIFAR-10 images, 10 runs\nAdam, the rate dropped until the loss stopped falling")
    for ax in axes[0]:
        ax.set(xscale="log", xlabel="depth", ylim=(0, 0.9))
        ax.set_xticks(DEPTHS, DEPTHS)
        ax.minorticks_off()
        ax.axhline(0.1, color="black", linewidth=0.6, linestyle=":")
    axes[0, 0].legend()
    return fig


# %% [markdown]
# **Claims.** The protocols differ, so the levels cannot agree: "in kind" is a distance of 0.15 from the paper. What
# should carry over is the ordering, deep nets without skips and without LL fall behind, and the trend: does a kind of
# net gain or lose by depth? (The trends were added when two of the runs had been seen.)

# %%
def claims(report, by_cell, what):
    for kind in KINDS:
        depths = [depth for depth in PAPER[kind] if (kind, depth) in by_cell]
        if depths:
            values = np.array([by_cell[kind, depth] for depth in depths])  # (depths, runs)
            low, high = values.min(axis=1), values.max(axis=1)
            mean = np.clip(values.mean(axis=1), low, high)  # the mean of equal numbers may round away from them
            print(report.claim(f"test accuracy, {kind}, depth {', '.join(map(str, depths))} ({what}; range of runs)",
                               "accuracy figure, read by eye; 50,000 images, trained to the end",
                               [PAPER[kind][depth] for depth in depths], mean, (low, high),
                               tolerance=0.004, in_kind=0.15))
        if len(depths) == len(DEPTHS):  # the paper gives them all
            first, last = depths[0], depths[-1]
            rises = float(mean[-1] > mean[0])
            print(report.claim(f"test accuracy, {kind}: more at depth {last} than at {first} (1 = yes)",
                               "accuracy figure, read by eye", float(PAPER[kind][last] > PAPER[kind][first]),
                               rises, (rises, rises)))
    deepest = max((depth for _, depth in by_cell), default=0)
    best = {kind: np.mean(by_cell[kind, deepest]) for kind in KINDS if (kind, deepest) in by_cell}
    if len(best) == len(KINDS):
        behind = float(min(best["CReLU, LL"], best["resnet"]) - max(best["CReLU"], best["ReLU"]))
        wanted = float(behind > 0)
        print(report.claim(f"LL and resnet both ahead of CReLU and of ReLU at depth {deepest} (1 = yes)",
                           "accuracy figure in words", 1.0, wanted, (wanted, wanted)))


# %%
def main():
    report = Report("09_accuracy")
    what = f"{IMAGES:,} {'synthetic' if quick() else 'CIFAR-10'} images, {EPOCHS} epochs, {len(RUNS)} runs"
    by_cell = {}
    for row in rows():
        by_cell.setdefault((row["kind"], row["depth"]), []).append(row["accuracy"])
    by_cell = {key: values for key, values in by_cell.items() if len(values) == len(RUNS)}
    fig = draw(by_cell, what)
    plot.save(fig, report.figure)
    claims(report, by_cell, what)
    missing = len(KINDS) * len(DEPTHS) - len(by_cell)
    report.write(f"Protocol: {what}, batch {BATCH}, Adam at {RATE}, shifts and flips, resnet beta = {BETA}."
                 + (f" Points not trained yet: {missing}." if missing else ""))


if __name__ == "__main__":
    main()

# %% [markdown]
# **Try.** Train the resnet with beta = 1. Give the ReLU nets batch normalisation. Which learning rate does the
# looks-linear net of 198 layers bear?
