"""Which normalisation shatters?
=============================

The paper blames batch normalisation for white gradients, and skip connections
undo it. But normalisation comes in many kinds: over the batch or inside one
input, with the mean or without, before the rectifier or behind it, of signals
or of weights. Eighteen nets, two depths, one rule.

Builds on 04 and 10. Takes about 55 seconds on one core.
"""

# %%
import numpy as np

from minishatter import duals, gradients, init, intervals, nets, plot, stats, wide
from minishatter.correlation_maps import k0, k1, neuron_correlation
from minishatter.compose import Chain, Sum
from minishatter.layers import BatchNorm, Center, Dense, Identity, ReLU
from minishatter.norms import LayerNorm, RMSNorm
from minishatter.report import LEVEL, Report
from minishatter.running import progress, quick

RUNS, PAIR_RUNS = (6, 20) if quick() else (20, 60)
DEPTHS = (24, 50)
WIDTH, SEED = (60, 13) if quick() else (200, 13)
x = gradients.grid()
report = Report("13_which_normalisation")
plot.use_style()

# %% [markdown]
# **What takes the shared mean away?** Let c be the correlation of the signals at two inputs. Rectified signals are
# positive, so they share a mean, 1/pi of their second moment, and c -> k1(c) has slope 1 at c = 1: neighbours never
# part, and far inputs agree in the end. Whatever takes that mean away turns the map into
#
#     c -> (k1(c) - 1/pi) / (1 - 1/pi),
#
# of slope pi/(pi-1) = 1.467 at c = 1. Neighbours part by this factor at each layer: the gradient shatters, and if the
# size of the signals is kept up, its square grows by the same factor. This does not ask for a batch. So:
#
# - *LayerNorm behind the rectifier* takes the mean over the units away: it shatters. *Before* it there is no mean to
#   take (W relu(x) has mean about 0 over the units): it does not.
# - *RMSNorm* never takes a mean away. Rectifiers let positive factors through, so dividing in each layer is the same
#   as dividing once at the end (tests/test_norms.py): it changes nothing.
# - *Weight standardisation* makes each unit's weights add up to 0: the unit cannot read the mean. It shatters.

# %% [markdown]
# **By hand**, on the rectified signals of three inputs and four units. Add 10 to all of them, a mean that all inputs
# share: who does not notice?

# %%
signals = np.array([[3.0, 1.0, 0.0, 2.0], [4.0, 0.0, 1.0, 2.0], [3.0, 1.0, 1.0, 3.0]])  # (inputs, units)
weights = np.random.default_rng(0).normal(size=(4, 2))
READERS = {
    "as it is": lambda h: h,
    "RMSNorm": lambda h: h / np.sqrt(np.mean(h**2, axis=1, keepdims=True)),
    "LayerNorm": lambda h: (h - h.mean(axis=1, keepdims=True)) / h.std(axis=1, keepdims=True),
    "centre over the batch": lambda h: h - h.mean(axis=0),
    "weights that add up to 0": lambda h: h @ (weights - weights.mean(axis=0)),
}
for name, read in READERS.items():
    print(f"{name}: {'does not notice' if np.allclose(read(signals + 10), read(signals)) else 'notices'}")

# %%
PLAIN = {  # name: (layers before the rectifier, layers behind it, weights, does it shatter?)
    "none": ([], [], init.he, False),
    "centre over the batch, before": ([Center()], [], init.he, True),
    "centre over the batch, behind": ([], [Center()], init.he, True),
    "centre over the units, before": ([Center("units")], [], init.he, False),
    "centre over the units, behind": ([], [Center("units")], init.he, True),
    "BN, held": ([BatchNorm(WIDTH)], [], init.he, True),
    "BN, through": ([BatchNorm(WIDTH)], [], init.he, True),
    "LayerNorm, before": ([LayerNorm(WIDTH)], [], init.he, False),
    "LayerNorm, behind": ([], [LayerNorm(WIDTH)], init.he, True),
    "RMSNorm, before": ([RMSNorm(WIDTH)], [], init.he, False),
    "RMSNorm, behind": ([], [RMSNorm(WIDTH)], init.he, False),
    "weight standardisation": ([], [], init.standardised, True),
}
SKIPS = {f"{name}, {place}": (norm, place) for name, norm in (("BN", BatchNorm), ("LayerNorm", LayerNorm),
                                                              ("RMSNorm", RMSNorm)) for place in ("pre", "post")}


def plain_layers(name, rng):
    """The hidden layers of a plain net, rectifier by rectifier; the first has kinks of its own and no norm before."""
    before, behind, weights, _ = PLAIN[name]
    yield [*list(nets.feedforward_layers(1, WIDTH, rng=rng))[:2], *behind]
    while True:
        yield [Dense(weights(WIDTH, WIDTH, rng)), *before, ReLU(), *behind]


def skip_layers(name, rng):
    """pre: x + W relu(norm(x)); post: norm(x + W relu(x)). Branch by branch; the first layer comes with the first."""
    norm, place = SKIPS[name]
    first = [next(nets.feedforward_layers(1, WIDTH, rng=rng))]
    while True:
        dense = Dense(init.he(WIDTH, WIDTH, rng))
        before, behind = ([norm(WIDTH)], []) if place == "pre" else ([], [norm(WIDTH)])
        yield [*first, Sum(Identity(), Chain(*before, ReLU(), dense)), *behind]
        first = []


# %% [markdown]
# **What is measured**, on the paper's grid: the autocorrelation of f' at lag 1, the co-activity of the last rectifiers,
# and the mean square of f'. One pass through a net of 50 layers serves both depths: a read-out behind 24 of them makes
# the shallower net. (Through the batch statistics there is no such pass; there each depth is pulled back by itself.)


# %%
def active_at(layer, dual):
    """Which units a rectifier, or the one inside a branch, finds active: (inputs, units)."""
    rectifier = Chain(*layer.branches[1].layers[:-1]) if isinstance(layer, Sum) else layer
    return duals.push(rectifier, dual.copy())[:, :x.size].T > 0


def held(parts, rng):
    """(lag 1, co-activity, mean square) at each depth, from one pass through the deepest net."""
    dual, found = np.concatenate([x, np.ones(x.size)])[None, :], []
    for depth, part in enumerate(parts, start=1):
        for layer in part:
            if depth in DEPTHS and isinstance(layer, (ReLU, Sum)):
                active = active_at(layer, dual)
            dual = duals.push(layer, dual)
        if depth in DEPTHS:
            g = (init.he(WIDTH, 1, rng).T @ dual)[0, x.size:]
            found.append((stats.autocorrelation(g, 1)[1], stats.coactivity(active).mean(), np.mean(g**2)))
        if len(found) == len(DEPTHS):
            return found


def through(parts, rng):
    """The same through the statistics, for parts that end with a rectifier."""
    layers, found = [], []
    for depth, part in enumerate(parts, start=1):
        layers += part
        if depth in DEPTHS:
            net = Chain(*layers, Dense(init.he(WIDTH, 1, rng)))
            g = gradients.input_gradient(net, x, "through")
            values, _ = Chain(*layers).forward(x[:, None])
            found.append((stats.autocorrelation(g, 1)[1], stats.coactivity(values > 0).mean(), np.mean(g**2)))
        if len(found) == len(DEPTHS):
            return found


def study(name):
    """(nets, depths, 3) measurements."""
    def one(run):
        rng = np.random.default_rng([SEED, WIDTH, run])
        parts = plain_layers(name, rng) if name in PLAIN else skip_layers(name, rng)
        return (through if name == "BN, through" else held)(parts, rng)
    return np.array([one(run) for run in range(RUNS)])


samples = {name: study(name) for name in progress("nets")([*PLAIN, *SKIPS])}
means = {name: intervals.mean_interval(rows, LEVEL) for name, rows in samples.items()}
lag1 = {name: [mean.at((depth, 0)) for depth in range(2)] for name, mean in means.items()}
coactive = {name: [mean.at((depth, 1)) for depth in range(2)] for name, mean in means.items()}


def growth(name):
    """The factor per layer on the square of f': from the log of its mean, net by net, between the two depths."""
    log = np.log(samples[name][:, 1, 2] / samples[name][:, 0, 2]) / (DEPTHS[1] - DEPTHS[0])
    return intervals.Interval(*map(np.exp, intervals.mean_interval(log, LEVEL)))


# %% [markdown]
# **Verdicts.** "Shatters" is the rule of lesson 10: the 99 % interval of the ACF at lag 1 lies within (-0.15, 0.15), at
# both depths.

# %%
def shatters(name):
    return all(-0.15 < interval.low and interval.high < 0.15 for interval in lag1[name])


wrong = [name for name, (*_, expected) in PLAIN.items() if shatters(name) != expected]
print(report.claim(f"plain nets of {DEPTHS[0]} and {DEPTHS[1]} layers: normalisations, of {len(PLAIN)}, that shatter "
                   "or not against expectation", "derived: does it take the mean away?", 0.0, float(len(wrong)),
                   beyond=True), wrong)
EARLIER = {"none": (0.82, 0.76), "centre over the batch, before": (-0.05, -0.05), "LayerNorm, before": (0.80, 0.60),
           "RMSNorm, before": (0.77, 0.57), "weight standardisation": (0.02, -0.02)}
for name, predicted in EARLIER.items():
    print(report.claim(f"ACF at lag 1, {name}, {DEPTHS[0]} and {DEPTHS[1]} layers", "predicted from a few nets",
                       predicted, lag1[name], in_kind=0.1, beyond=True))

# %% [markdown]
# **Co-activity in nets of infinite width.** Start from the covariance K of the first layer at all 256 inputs, and apply
# the map layer by layer; the chance that a unit is active at both of a pair is k0(c) / 2. Centering over the batch is
# a map of the whole K: with H = I - 1/256 (a matrix of ones) it is H K H.

# %%
H = np.eye(x.size) - 1 / x.size


def infinite_coactivity(depth, centre):
    """Of the last of `depth` layers, the mean over distinct pairs. centre: None, "units" or "batch"."""
    K = wide.first_layer(x).xy
    for _ in range(depth - 1):
        size = np.sqrt(np.diag(K))
        root = np.outer(size, size)
        K = root * (k1(np.clip(K / root, -1, 1)) - (1 / np.pi if centre == "units" else 0))
        K = H @ K @ H if centre == "batch" else K
    size = np.sqrt(np.diag(K))
    pairs = k0(np.clip(K / np.outer(size, size), -1, 1)) / 2
    return pairs[~np.eye(x.size, dtype=bool)].mean()


CENTRES = {"none": None, "LayerNorm, before": None, "RMSNorm, before": None, "RMSNorm, behind": None,
           "weight standardisation": "units", "LayerNorm, behind": "units", "centre over the units, behind": "units",
           "centre over the batch, before": "batch"}
for name, centre in CENTRES.items():
    print(report.claim(f"co-activity, {name}, {DEPTHS[0]} and {DEPTHS[1]} layers", "infinite width",
                       [infinite_coactivity(depth, centre) for depth in DEPTHS], coactive[name], in_kind=0.05,
                       beyond=True))

# %% [markdown]
# **The price.** Where the mean goes and the size stays, the square of the gradient grows by pi/(pi-1) per layer. He
# weights without a size kept up lose what the mean took, and their gradient stays: factor 1.

# %%
RATE = np.pi / (np.pi - 1)
GROWS = {"none": 1.0, "centre over the units, behind": 1.0, "LayerNorm, before": 1.0, "RMSNorm, before": 1.0,
         "LayerNorm, behind": RATE, "BN, held": RATE, "weight standardisation": RATE}
for name, factor in GROWS.items():
    print(report.claim(f"growth of the square of f' per layer, {name}, from {DEPTHS[0]} to {DEPTHS[1]} layers",
                       "infinite width", factor, growth(name), in_kind=0.05, beyond=True))

# %% [markdown]
# **Where to put it in a resnet.** *Post*, norm(x + W relu(x)), halves stream and branch alike: c -> (c + k1(c)) / 2,
# and R of df/dn is multiplied by (1 + k0(c)) / 2, as if there was no norm. *Pre*, x + W relu(norm(x)), lets the stream
# grow by 1 with each branch, from x^2 + 1, so that a branch counts less than the last: (v + k0(c)) / (v + 1). Measured
# at the inputs -1 and 1, whose first signals are uncorrelated and have v = 2.


# %%
def infinite_pre(depth):
    R, c = 1.0, 0.0
    for branch in range(depth):
        v = 2.0 + branch
        R, c = R * (v + float(k0(c))) / (v + 1), (v * c + float(k1(c))) / (v + 1)
    return R


def pair_net(name, depth, rng):
    parts = skip_layers(name, rng)
    hidden = [layer for _ in range(depth) for layer in next(parts)]
    return Chain(*hidden, Dense(init.he(WIDTH, 1, rng, gain=1.0)))


R_DEPTHS = (2, 4) if quick() else (4, 10, 24)
bootstrap_rng = np.random.default_rng(SEED)
R = {}
for name in ("LayerNorm, pre", "LayerNorm, post"):
    R[name] = [intervals.bootstrap_interval(
        gradients.pair_moments(lambda rng: pair_net(name, depth, rng), np.array([-1.0, 1.0]), (0, 1), PAIR_RUNS,
                               [SEED, depth]), stats.pair_correlation, bootstrap_rng, LEVEL) for depth in R_DEPTHS]
    predicted = [infinite_pre(depth) if name.endswith("pre") else neuron_correlation(depth, skip=1.0)
                 for depth in R_DEPTHS]
    print(report.claim(f"correlation of df/dn, resnet, {name}, L = {', '.join(map(str, R_DEPTHS))}", "infinite width",
                       predicted, R[name], in_kind=0.05, beyond=True))

# %%
fig = plot.page((11, 8.5))
top, bottom = fig.subfigures(2, 1, height_ratios=[1, 2.6])
EXAMPLES = {"none": plot.COLOUR["plain"], "LayerNorm, before": plot.COLOUR["per sample"],
            "weight standardisation": plot.COLOUR["feedforward"], "LayerNorm, pre": plot.COLOUR["resnet"]}
for ax, (name, colour) in zip(top.subplots(1, 4), EXAMPLES.items()):
    rng = np.random.default_rng([SEED, WIDTH, 0])
    parts = plain_layers(name, rng) if name in PLAIN else skip_layers(name, rng)
    hidden = [layer for _ in range(DEPTHS[0]) for layer in next(parts)]
    plot.gradient(ax, x, gradients.input_gradient(Chain(*hidden, Dense(init.he(WIDTH, 1, rng))), x), colour)
    ax.set(title=f"{'resnet, ' * (name in SKIPS)}{name}", xlabel="x", ylabel=f"f'(x), {DEPTHS[0]} layers")
names = [*PLAIN, *SKIPS]
labels = [*PLAIN, *(f"resnet, {name}" for name in SKIPS)]
panels = {"ACF at lag 1": lag1, "co-activity, last rectifiers": coactive}
axes = bottom.subplots(1, 3, sharey=True)
for ax, (title, found) in zip(axes, panels.items()):
    for number, (depth, colour, marker) in enumerate(zip(DEPTHS, plot.shades(plot.COLOUR["theory"], 2), "os")):
        plot.points(ax, np.arange(len(names)) + 0.15 * (2 * number - 1), [found[name][number] for name in names],
                    colour, f"{depth} layers", marker, across=True, markersize=4)
    ax.set(xlabel=title)
plot.points(axes[2], np.arange(len(names)), [growth(name) for name in names], "black", across=True, markersize=4)
axes[2].axvline(RATE, color="black", linestyle=":", label=r"$\pi/(\pi-1)$")
axes[2].axvline(1, color="black", linewidth=0.6)
axes[2].set(xlabel="growth of the square of f' per layer")
axes[0].axvspan(-0.15, 0.15, color=plot.COLOUR["white"], alpha=0.2, linewidth=0, label="the rule")
axes[0].set_yticks(range(len(names)), labels)
axes[0].invert_yaxis()
bottom.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
axes[1].axvline(0.25, color="black", linewidth=0.6)
axes[1].axvline(0.5, color="black", linewidth=0.6)
axes[2].legend(loc="lower center")
plot.save(fig, report.figure)


# %% [markdown]
# **What you see.** At 24 layers the plain nets fall into two groups, with nothing between them: neighbours correlate by
# about 0, or by 0.79 and more (at 50 layers by 0.54 to 0.77). What takes the mean away that all inputs share is in the
# first group, whether it reads the batch, the units behind the rectifier, or no signal at all (weight standardisation).
# What keeps that mean is in the second: no norm, RMSNorm, and LayerNorm or centering over the units before the
# rectifier, where they find no mean to take. In resnets of 50 layers each norm keeps neighbours alike inside the branch
# (0.68 and more). Behind the sum batch normalisation does not (0.15 at 24 layers, -0.02 at 50; by the rule, which asks
# for both depths, it does not shatter), LayerNorm and RMSNorm do (0.77).

# %% [markdown]
# **What do skips solve that batch normalisation does not?** The answer in four sentences, with the numbers of this run.

# %%
def cell(interval):
    return f"{interval.value:.2f} [{interval.low:.2f}, {interval.high:.2f}]"


def size(name, depth):
    """log10 of the RMS of f', the mean over nets."""
    return np.mean(np.log10(samples[name][:, depth, 2])) / 2


parts_of_the_answer = (
    "Without normalisation all inputs come to share their active units (co-activity "
    f"{coactive['none'][1].value:.2f} at {DEPTHS[1]} layers, where 1/2 means that no unit ever switches), and the "
    "gradient freezes.",
    f"Batch normalisation brings co-activity down to {coactive['BN, held'][1].value:.2f}, so that units switch, and "
    f"pays twice: neighbouring gradients are unrelated (ACF at lag 1: {lag1['BN, held'][1].value:.2f}), and their "
    f"square grows by {growth('BN, held').value:.2f} per layer, to an RMS of 1e{size('BN, held', 1):.1f}.",
    "The same layers with skips around them (BN, pre) keep a co-activity of "
    f"{coactive['BN, pre'][1].value:.2f}, while neighbours correlate by {lag1['BN, pre'][1].value:.2f} and the square "
    f"grows by {growth('BN, pre').value:.2f} per layer.",
    "So skips solve what normalisation causes, and not only that of the batch: without them weight standardisation "
    f"alone gives {lag1['weight standardisation'][1].value:.2f} at lag 1, and LayerNorm behind the rectifier "
    f"{lag1['LayerNorm, behind'][1].value:.2f}.")
answer = " ".join(parts_of_the_answer)
notes = [answer, "", f"{RUNS} nets of width {WIDTH} each, means with {LEVEL:.0%} intervals:", "",
         f"| net | normalisation | ACF at lag 1, {DEPTHS[0]} layers | {DEPTHS[1]} layers "
         f"| co-active, {DEPTHS[0]} layers | {DEPTHS[1]} layers "
         f"| growth of the square per layer | log10 RMS, {DEPTHS[1]} layers | shatters |",
         "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"]
for name in names:
    cells = [*map(cell, lag1[name]), *map(cell, coactive[name]), cell(growth(name)), f"{size(name, 1):.2f}"]
    kind = "plain" if name in PLAIN else "resnet"
    notes.append(f"| {kind} | {name} | {' | '.join(cells)} | {'yes' if shatters(name) else 'no'} |")
print("\n".join(notes))
report.write("\n".join(notes), beyond=True)

# %% [markdown]
# **Try.** Give the layers of a LayerNorm net a hidden bias: does it still not shatter? Divide a standardised unit's
# weights by sqrt(1.467): what happens to the gradient, and what to its autocorrelation? Put a LayerNorm both before and
# behind.
