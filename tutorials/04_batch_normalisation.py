"""Batch normalisation and the activity of units
================================================

Why does a plain deep net not shatter, and a normalised one does? Count. Without
batch normalisation a deep unit is always on or always off: every input sees
the same linear map. With it a unit is on for half of the inputs and, for two
inputs, on at both a quarter of the time, like coin flips. Figures 3 and 4 of
the paper.

Builds on 02. Takes about 20 seconds on one core.
"""

# %%
import numpy as np

from minishatter import active_units, gradients, intervals, nets, plot, stats
from minishatter.report import Report
from minishatter.running import progress, quick

RUNS = 6 if quick() else 100
DEPTH = 10 if quick() else 50
WIDTH, SEED = 100, 3
DEPTHS = (2, DEPTH) if quick() else (2, 10, 50)
x = gradients.grid()[:, None]
report = Report("04_batch_normalisation")
plot.use_style()
NETS = {
    "feedforward": lambda depth, rng: nets.feedforward(depth, WIDTH, rng=rng),
    "feedforward with BN": lambda depth, rng: nets.feedforward(depth, WIDTH, norm="batch", rng=rng),
    "resnet with BN": lambda depth, rng: nets.resnet(depth, WIDTH, rng=rng),
}

# %% [markdown]
# **Counting by hand.** Three inputs, two units. A unit is active at an input if z > 0 there, and co-active at a pair of
# inputs if it is active at both. The first unit is on for two of three inputs, and for one of three pairs.

# %%
z = np.array([[0.3, -1.0], [0.8, 0.5], [-0.2, 0.7]])  # (inputs, units)
for unit in (0, 1):
    on = [bool(value > 0) for value in z[:, unit]]
    both = [on[0] and on[1], on[0] and on[2], on[1] and on[2]]
    print(f"unit {unit}: active {sum(on)}/3, co-active {sum(both)}/3")
print("by stats:", stats.activity(z > 0), stats.coactivity(z > 0))

# %% [markdown]
# **Figure 3.** For each layer: the fraction of inputs for which a unit is active, and the
# fraction of pairs of inputs for which it is active at both, averaged over the units of a
# net; then the mean over nets with its 99 % interval.


# %%
def patterns(name, depth, run):
    """Which units are active, (256 inputs, units), for each rectifier layer of one net."""
    return active_units(NETS[name](depth, np.random.default_rng([SEED, depth, WIDTH, run])), x)


layers = np.arange(1, DEPTH + 1)
activity, last_patterns = {}, {}
for name in NETS:
    rows, last_patterns[name] = [], []
    for run in progress(name)(range(RUNS)):
        layer_patterns = patterns(name, DEPTH, run)
        rows.append([[stat(active).mean() for active in layer_patterns] for stat in (stats.activity, stats.coactivity)])
        last_patterns[name].append(layer_patterns[-1])
    activity[name] = intervals.mean_interval(np.array(rows))  # value, low, high, each (2, DEPTH)

# %% [markdown]
# **Figure 4.** One net of each kind at three depths. Raster: one row per unit of the last
# rectifier layer, one column per input, black = active. Beside it two histograms: how
# active the units are, and how long the runs of equal state along a row are (contiguity).

# %%
COLOURS = {"feedforward": plot.COLOUR["plain"], "feedforward with BN": plot.COLOUR["feedforward"],
           "resnet with BN": plot.COLOUR["resnet"]}
fig = plot.page((11, 11))
top, bottom = fig.subfigures(2, 1, height_ratios=[1, 2.2])
axes = top.subplots(1, 3, sharey=True)
for ax, (name, interval) in zip(axes, activity.items()):
    curves = [tuple(part[row] for part in interval) for row in (0, 1)]
    plot.curves(ax, layers, curves, ["active", "co-active"], plot.shades(COLOURS[name], 2)[::-1])
    for level in (0.5, 0.25):
        ax.axhline(level, color="black", linewidth=0.6, linestyle=":")
    ax.set(title=name, xlabel="layer", ylim=(0, 0.8))
    ax.legend()
axes[0].set_ylabel("fraction of inputs, of pairs")

cells = bottom.subplots(len(DEPTHS), 9, gridspec_kw={"width_ratios": [2, 1, 1] * 3}, squeeze=False)
for row, depth in zip(cells, DEPTHS):
    for column, name in enumerate(NETS):
        active = patterns(name, depth, run=0)[-1]
        raster, activation, runs = row[3 * column:3 * column + 3]
        plot.raster(raster, active)
        plot.histogram(activation, stats.activity(active), np.linspace(0, 1, 11), COLOURS[name])
        plot.histogram(runs, stats.contiguity(active), np.geomspace(1, 257, 12), COLOURS[name])
        runs.set_xscale("log")
        for ax in (activation, runs):
            ax.set(ylim=(0, 1), yticks=[])
    row[0].set_ylabel(f"depth {depth}\nunits")
for column, name in enumerate(NETS):
    cells[0, 3 * column].set_title(f"{name}\n")
    for ax, label in zip(cells[-1, 3 * column:], ("inputs", "activation", "contiguity")):
        ax.set_xlabel(label)
plot.save(fig, report.figure)

# %% [markdown]
# **"All units constant".** The paper's raster of the deepest plain net shows one net, whose units are all constant. It
# does not say from which law the biases are drawn, nor what its depth counts: rectifiers, or weight matrices (two more:
# then 48 rectifiers, tutorial 03). So we count constant units for each law behind each of the last three rectifiers.

# %%
LAWS = {  # name: first biases, hidden biases
    "none": (lambda rng: np.zeros(WIDTH), 0.0),
    "first N(0, 1)": (lambda rng: rng.standard_normal(WIDTH), 0.0),
    "first uniform on [-2, 2]": (lambda rng: rng.uniform(-2, 2, WIDTH), 0.0),
    "all N(0, 1)": (lambda rng: rng.standard_normal(WIDTH), 1.0),
}


def constant(active):
    """The fraction of units that are always on or always off."""
    return np.mean(active.all(axis=0) | ~active.any(axis=0))


def constant_units(law, run):
    """The fraction of constant units behind each of the last three rectifiers of one plain net."""
    rng, (first, hidden_std) = np.random.default_rng([SEED, WIDTH, run]), LAWS[law]
    net = nets.feedforward(DEPTH, WIDTH, hidden_bias_std=hidden_std, rng=rng)
    net.layers[0].params["b"] = first(rng)
    return [constant(active) for active in active_units(net, x)[-3:]]


shares = {law: np.array([constant_units(law, run) for run in progress(law)(range(RUNS))]) for law in LAWS}

# %% [markdown]
# **What you see.** With batch normalisation a unit is active for 0.50 of the inputs and for 0.25 of the pairs, at
# all depths; without it co-activity climbs from 0.36 to 0.49. Behind 50 plain layers 0.88 of the units are constant
# if the first biases are N(0, 1), 0.95 if all biases are, 0.96 if there are none; then one net in nine has constant
# units only, as in the paper's raster. Two rectifiers more or less change nothing: how depth is counted does not
# decide here. No law that we tried makes all units constant on average; the nearest is no biases at all.

# %% [markdown]
# **Claims.** At the last layer, then the pattern of figure 4 over all nets.


# %%
def last_layer(statement, source, predicted, name, row, in_kind):
    interval = [part[row, -1] for part in activity[name]]
    print(report.claim(f"{statement}, layer {DEPTH}", source, predicted, intervals.Interval(*interval),
                       in_kind=in_kind))


last_layer("with BN: active", "figure 3", 0.5, "feedforward with BN", 0, 0.05)
last_layer("with BN: co-active", "figure 3", 0.25, "feedforward with BN", 1, 0.05)
last_layer("without BN: active", "figure 3", 0.5, "feedforward", 0, 0.05)
last_layer("without BN: co-active, climbs towards 1/2", "figure 3", 0.5, "feedforward", 1, 0.1)
last_layer("resnet with BN: active", "assumption of Theorem 3", 0.5, "resnet with BN", 0, 0.05)
last_layer("resnet with BN: co-active", "assumption of Theorem 3", 0.25, "resnet with BN", 1, 0.05)


def over_nets(name, statistic):
    """The interval of a statistic of the last layer's pattern over nets."""
    return intervals.mean_interval(np.array([statistic(active) for active in last_patterns[name]]))


def typical_run(active):
    """The length of the run that a random input lies in: long runs count by their length."""
    lengths = stats.contiguity(active)
    return np.sum(lengths**2) / np.sum(lengths)


def single(active):
    return np.mean(stats.contiguity(active) == 1)


for law in ("none", "first N(0, 1)"):
    value, low, high = intervals.mean_interval(shares[law][:, -1])
    print(report.claim(f"without BN: fraction of constant units, biases {law}, {DEPTH} rectifiers",
                       "figure 4: all units", 1.0, intervals.Interval(value, low, high), in_kind=0.1))
salt = over_nets("feedforward with BN", single)
print(report.claim(f"with BN: fraction of runs of length 1, depth {DEPTH}",
                   "figure 4: salt and pepper; coin flips give 1/2", 0.5, salt, in_kind=0.1))
lengths = {name: over_nets(name, typical_run) for name in NETS}
for name, interval in lengths.items():
    print(f"  typical run {interval.value:7.2f} [{interval.low:.2f}, {interval.high:.2f}]  {name}")
means = [lengths[name].value for name in ("feedforward with BN", "resnet with BN", "feedforward")]
rank = float(np.argsort(np.argsort(means))[1] + 1)
print(report.claim(f"resnet: rank of its typical run between feedforward with and without BN, depth {DEPTH}",
                   "figure 4: in between", 2.0, rank))
rows = []
for law, share in shares.items():
    cells = [f"{value:.3f} [{low:.3f}, {high:.3f}]" for value, low, high in zip(*intervals.mean_interval(share))]
    rows.append(f"| {law} | {' | '.join(cells)} | {np.mean(share[:, -1] == 1):.2f} |")
    print(rows[-1])
counts = " | ".join(f"{DEPTH - less} rectifiers" for less in (2, 1, 0))
report.write("\n".join([
    "Why a row differs: no law of biases that we tried makes all units constant on average. Without biases one net in "
    "nine has constant units only, as the paper's raster shows.", "",
    f"Constant units of plain nets, {WIDTH} units, {RUNS} nets. A depth of {DEPTH} that counts weight matrices is "
    f"{DEPTH - 2} rectifiers:", "", f"| biases | {counts} | nets with all units constant |",
    "| --- | --- | --- | --- | --- |", *rows]))

# %% [markdown]
# **Try.** Which layer of the plain net is the first with a constant unit? Draw figure 4 for a net
# that is centred (norm="center"). Give the plain net hidden biases.
