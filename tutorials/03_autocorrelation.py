"""Autocorrelation: how fast does a gradient forget itself along the line?
===========================================================================

Figure 2 of the paper: the autocorrelation of the gradient along the grid, for
feedforward nets and resnets of five depths. Two things are not stated there,
and both matter: whether the derivative goes through the batch statistics, and
how the autocorrelation is estimated. We show all four combinations, with the
points that can be read off the paper's figure on top, and tune nothing.
"""

# %%
import numpy as np

from minishatter import gradients, intervals, nets, plot, stats
from minishatter.report import Report, progress, quick

RUNS = 5 if quick() else 20
DEPTHS = (2, 4, 10) if quick() else (2, 4, 10, 24, 50)
WIDTH, MAX_LAG, SEED = 200, 14, 17
x = gradients.grid()
report = Report("03_autocorrelation")

# %% [markdown]
# Read off the paper's figure by eye, +-0.02: {true lag: autocorrelation}. (Its printed axis
# starts at 1 where the correlation is 1, so a printed lag k is the true lag k - 1.)

# %%
READING = 0.02
PAPER = {
    ("feedforward", 2): {1: 1.00, 14: 0.95}, ("feedforward", 4): {4: 0.73, 9: 0.44, 14: 0.19},
    ("feedforward", 10): {1: 0.36, 2: 0.08, 4: -0.06, 9: -0.02, 14: 0.0},
    ("feedforward", 24): {1: -0.03, 2: 0.0, 4: 0.0, 9: 0.0, 14: 0.0},
    ("feedforward", 50): {1: -0.03, 2: 0.0, 4: 0.0, 9: 0.0, 14: 0.0},
    ("resnet", 2): {1: 1.00, 14: 0.95}, ("resnet", 4): {4: 0.78, 9: 0.55, 14: 0.36},
    ("resnet", 10): {1: 0.84, 2: 0.68, 4: 0.44, 9: 0.13, 14: -0.01},
    ("resnet", 24): {1: 0.65, 2: 0.44, 4: 0.17, 9: 0.00, 14: -0.01},
    ("resnet", 50): {1: 0.54, 2: 0.30, 4: 0.07, 9: -0.02, 14: -0.06},
    ("resnet 0.1", 2): {1: 1.00, 14: 0.95}, ("resnet 0.1", 4): {4: 0.84, 9: 0.68, 14: 0.50},
    ("resnet 0.1", 10): {4: 0.78, 9: 0.57, 14: 0.38}, ("resnet 0.1", 24): {4: 0.70, 9: 0.48, 14: 0.32},
    ("resnet 0.1", 50): {4: 0.63, 9: 0.39, 14: 0.23},
}
NOISE = {"brown": {14: 0.85}, "white": {1: 0.01, 14: 0.01}}

# %% [markdown]
# All nets are batch-normalised. The defaults of this project are statistics "held", and the
# estimator that subtracts the mean.

# %%
BUILDERS = {
    "feedforward": lambda depth, rng: nets.feedforward_layers(depth, WIDTH, norm="batch", rng=rng),
    "resnet": lambda depth, rng: nets.resnet_layers(depth, WIDTH, beta=1.0, rng=rng),
    "resnet 0.1": lambda depth, rng: nets.resnet_layers(depth, WIDTH, beta=0.1, rng=rng),
}
STATISTICS, ESTIMATORS = ("held", "through"), (True, False)


def measure(name, depth, statistics):
    """The gradients of RUNS nets; the seed does not depend on the statistics, so the nets are the same."""
    return gradients.ensemble(lambda rng: BUILDERS[name](depth, rng), x, RUNS, [SEED, depth, WIDTH], statistics,
                              progress=progress(f"{name}, {depth} layers, {statistics}"))


ensembles = {(name, depth, statistics): measure(name, depth, statistics)
             for name in BUILDERS for depth in DEPTHS for statistics in STATISTICS}
rng = np.random.default_rng(SEED)
noise = {"brown": stats.brown_noise((RUNS, x.size), rng), "white": stats.white_noise((RUNS, x.size), rng)}


def acf(ensemble, subtract_mean):
    """Mean over the nets with its 99 % interval: arrays over the lags 0..MAX_LAG."""
    return intervals.mean_interval(stats.autocorrelation(ensemble, MAX_LAG, subtract_mean))


# %% [markdown]
# The figure: one row for each convention, one column for each kind of net; bands are 99 %
# intervals of the mean over nets, crosses are the paper's.

# %%
fig, axes = plot.panels(4, 4, (11, 11), sharex=True, sharey=True)
lags = np.arange(MAX_LAG + 1)
TITLES = {"feedforward": "feedforward", "resnet": r"resnet, $\beta$ = 1", "resnet 0.1": r"resnet, $\beta$ = 0.1"}


def draw(ax, intervals, labels, colours, points):
    plot.curves(ax, lags, intervals, labels, colours)
    for colour, read in zip(colours, points):
        ax.plot(list(read), list(read.values()), "x", color=colour, markersize=6, markeredgewidth=1.6)
    ax.axhline(0, color="black", linewidth=0.5)


ROWS = [(statistics, subtract_mean) for subtract_mean in ESTIMATORS for statistics in STATISTICS]
for row, (statistics, subtract_mean) in zip(axes, ROWS):
    for ax, name in zip(row, BUILDERS):
        shades = plot.shades(plot.COLOUR[name], len(DEPTHS))
        draw(ax, [acf(ensembles[name, depth, statistics], subtract_mean) for depth in DEPTHS],
             DEPTHS, shades, [PAPER[name, depth] for depth in DEPTHS])
    draw(row[3], [acf(noise[name], subtract_mean) for name in noise], list(noise),
         [plot.COLOUR[name] for name in noise], NOISE.values())
    row[0].set_ylabel(f"ACF, statistics {statistics},\nmean {'subtracted' if subtract_mean else 'not subtracted'}")
for ax, title in zip(axes[0], [*TITLES.values(), "noise"]):
    ax.set_title(title)
for ax, title in zip(axes[-1], ["layers"] * 3 + [None]):
    ax.set_xlabel("lag (grid steps)")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=5, title=title, handlelength=1, columnspacing=1)
axes[0, 0].set_ylim(-0.3, 1.05)
plot.save(fig, report.figure)


# %% [markdown]
# **Verdicts**, one for each curve, at the lags that can be read off. "In kind": within 0.2 of
# the paper at each of them.

# %%
def compare(statement, source, read, interval):
    at = list(read)
    print(report.claim(f"{statement}, lags {', '.join(map(str, at))}", source, list(read.values()), interval.at(at),
                       tolerance=READING, in_kind=0.2))


for statistics in STATISTICS:
    for name in BUILDERS:
        for depth in DEPTHS:
            compare(f"ACF, {TITLES[name].replace('$', '').replace(chr(92), '')}, {depth} layers, {statistics}",
                    "figure 2, read by eye", PAPER[name, depth], acf(ensembles[name, depth, statistics], True))
for name in noise:
    for subtract_mean in ESTIMATORS:
        compare(f"ACF, {name} noise, mean {'subtracted' if subtract_mean else 'not subtracted'}",
                "figure 2, read by eye", NOISE[name], acf(noise[name], subtract_mean))

# %% [markdown]
# **How far from the paper?** The mean distance over all points read off, for each combination.


# %%
def distance(name, statistics, subtract_mean):
    gaps = [np.abs(acf(ensembles[name, depth, statistics], subtract_mean).value[list(PAPER[name, depth])]
                   - list(PAPER[name, depth].values())) for depth in DEPTHS]
    return np.concatenate(gaps)


notes = ["Mean (largest) distance to the points read off the paper's figure 2, over all depths:", "",
         "| statistics | mean | " + " | ".join(BUILDERS) + " |", "| --- | --- |" + " --- |" * len(BUILDERS)]
for statistics, subtract_mean in ROWS:
    cells = [distance(name, statistics, subtract_mean) for name in BUILDERS]
    notes.append(f"| {statistics} | {'subtracted' if subtract_mean else 'not subtracted'} | "
                 + " | ".join(f"{gaps.mean():.2f} ({gaps.max():.2f})" for gaps in cells) + " |")
print("\n".join(notes))
report.write("\n".join(notes))

# %% [markdown]
# **Try.** Which single change brings the depth-4 curves closer to the crosses: more units, a
# finer grid, larger first-layer biases? Why does subtracting the mean pull a smooth curve down?
