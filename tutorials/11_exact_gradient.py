"""The exact gradient: every piece, and who makes it jump
========================================================

The gradient of a rectifier net is a staircase: constant until a unit flips. A
grid only samples it. Here we follow the units themselves and get every step.
How many are there, do they grow with the number of units or exponentially, and
which unit is to blame for a jump?

Builds on 02 and 05. Takes about 35 seconds on one core.
"""

# %%
from collections import Counter

import numpy as np

from minishatter import Chain, Dense, ReLU, freeze, gradients, intervals, nets, plot, regions
from minishatter.correlation_maps import k1
from minishatter.report import Report
from minishatter.running import progress, quick

DEPTHS = (1, 4, 10, 24) if quick() else (1, 4, 10, 24, 50)
WIDTH, WIDTHS = (40, (10, 20, 40)) if quick() else (200, (50, 100, 200))
RUNS = 5 if quick() else 10
SEED = 11
LOW, HIGH = -2.0, 2.0
LENGTH = HIGH - LOW
x = gradients.grid()
report = Report("11_exact_gradient")
plot.use_style()


def plain(depth, width, run):
    """No normalisation, biases in the first layer only."""
    return nets.feedforward(depth, width, rng=np.random.default_rng([SEED, depth, width, run]))


def centred(depth, width, run):
    """Centred over the paper's grid; the means are then held, so that f is one function of x."""
    rng = np.random.default_rng([SEED, depth, width, run])
    return freeze(nets.feedforward(depth, width, norm="center", rng=rng), x[:, None])


# %% [markdown]
# **One layer by hand.** f(x) = sum over u of w_u relu(v_u x + b_u) has one kink for each unit, at -b_u / v_u, and f'
# jumps there by w_u |v_u|.

# %%
draws = np.random.default_rng(SEED)
v, b, w = draws.normal(size=(3, 4))
order = np.argsort(-b / v)
print("kinks", (-b / v)[order].round(3), "jumps", (w * np.abs(v))[order].round(3))
small = regions.exact_gradient(Chain(Dense(v[None], b), ReLU(), Dense(w[:, None])), -100.0, 100.0)
print("by regions:", small.breakpoints[1:-1].round(3), np.diff(small.values).round(3))

# %% [markdown]
# **One step of the paper's grid.** A centred net of 24 layers: between two neighbouring points of
# the grid f' is not a step but a landscape. `explain` names the unit behind every jump, as
# place[unit], and the jumps add up to the difference of the two gradients.

# %%
net = centred(24, WIDTH, 0)
a, b = x[127:129]
between = regions.exact_gradient(net, a, b)
explanation = regions.explain(net, a, b)
print(explanation)
g_a, g_b = gradients.input_gradient(net, x[127:129])
remainder = sum(row.jump for row in explanation) - (g_b - g_a)
print(report.claim("sum of the jumps between two neighbours of the grid minus f'(b) - f'(a)",
                   "derived; f' is a staircase", 0.0, remainder, tolerance=1e-9, beyond=True))

# %% [markdown]
# Summed by layer, the jumps say where the change comes from. One flip changes about as much in an early layer as in a
# late one, but late layers have far more flips, and so most of the change is theirs.

# %%
layers = np.arange(1, 25)
PLACES = {str(3 * layer - 2): layer for layer in layers}  # Dense, ReLU, then (Dense, Affine, ReLU) 23 times


def by_layer(explanation, value):
    """The sum over the flips of each layer of value(row)."""
    sums = Counter()
    for row in explanation:
        for flip in row.flips:
            sums[PLACES[flip.place]] += value(row) / len(row.flips)
    return np.array([sums[layer] for layer in layers])


jumps = by_layer(explanation, lambda row: row.jump)

# %% [markdown]
# **How many pieces?** Without normalisation, for five depths. A unit of the first layer has its
# kink at -b/v, the ratio of two normals: Cauchy, so (2/pi) arctan 2 = 0.705 of them lie inside.

# %%
pieces, kinks = {}, {}
for depth in DEPTHS:
    exact = [regions.exact_gradient(plain(depth, WIDTH, run)) for run in progress(f"{depth} layers")(range(RUNS))]
    pieces[depth] = np.array([gradient.values.size for gradient in exact])
    kinks[depth] = np.concatenate([gradient.breakpoints[1:-1] for gradient in exact])
first = intervals.mean_interval(pieces[1])
print(report.claim("pieces of a layer: 1 + (2/pi) arctan 2 x units", "derived; kinks are Cauchy",
                   1 + WIDTH * 2 / np.pi * np.arctan(2), first, beyond=True))

# %% [markdown]
# The definition is still `backward`: here it is, at the midpoint of every piece of one net.

# %%
net = plain(10, WIDTH, 0)
exact = regions.exact_gradient(net)
middles = (exact.breakpoints[1:] + exact.breakpoints[:-1]) / 2
worst = np.max(np.abs(exact.values - gradients.input_gradient(net, middles, "through"))) / np.max(np.abs(exact.values))
print(report.claim("exact gradient minus backward at the midpoint of every piece, largest, relative",
                   "derived; both are df/dx", 0.0, worst, tolerance=1e-9, beyond=True))

# %% [markdown]
# Hanin & Rolnick (2019): at initialisation the number of pieces along a line grows like the number
# of units, not exponentially with depth, for nets whose gradients do not explode. On a double
# logarithmic scale that is a slope of 1, along the depth and along the width.

# %%
by_width = {width: [regions.exact_gradient(plain(10, width, run)).values.size for run in range(RUNS)]
            for width in WIDTHS}


def exponents(units, counts):
    """The slope of log pieces against log units: one number for each run. counts: (len(units), runs)."""
    return np.polyfit(np.log(units), np.log(counts), 1)[0]


deeper = intervals.mean_interval(exponents([depth * WIDTH for depth in DEPTHS], list(pieces.values())))
wider = intervals.mean_interval(exponents(WIDTHS, list(by_width.values())))
LINEAR = "Hanin & Rolnick 2019: linear"
print(report.claim(f"exponent of pieces against units, 1 to {DEPTHS[-1]} layers, no normalisation", LINEAR,
                   1.0, deeper, in_kind=0.2, beyond=True))
print(report.claim("exponent of pieces against units, by width, 10 layers, no normalisation", LINEAR,
                   1.0, wider, in_kind=0.2, beyond=True))

# %% [markdown]
# **With normalisation it is another story.** Centering keeps the size of the slope z' of a unit, but
# takes away a part 1/pi of the variance of z in every layer. By Rice's formula a
# Gaussian z crosses zero sqrt(E z'^2 / var z) / pi times per unit of length, so the flips grow
# by sqrt(pi / (pi - 1)) = 1.211 per layer: exponentially with depth. The one constant is
# the variance of z in layer 2, which the arc-cosine function k1 gives exactly.

# %%
KEPT = 1 - 1 / np.pi
norms = np.sqrt(1 + x**2)
cosine = np.minimum((1 + np.outer(x, x)) / np.outer(norms, norms), 1.0)
covariance = np.outer(norms, norms) * k1(cosine)   # of z in layer 2, over the weights; E z'^2 = 1
VARIANCE = np.trace(covariance) / x.size - covariance.mean()  # along x, about the mean that is taken away
rice = LENGTH / np.pi / np.sqrt(VARIANCE * KEPT ** np.arange(23.0))  # flips per unit, layers 2..24

flips = np.array([by_layer(regions.explain(centred(24, WIDTHS[1], run), LOW, HIGH), lambda row: 1.0) / WIDTHS[1]
                  for run in progress("flips by layer")(range(RUNS))])
counted = intervals.mean_interval(flips)
ratio = intervals.mean_interval(flips[:, [1, 4, 9, 16, 23]] / rice[[0, 3, 8, 15, 22]])
print(report.claim("flips per unit over Rice's formula, centred, layers 2, 5, 10, 17, 24", "derived; Rice and k1",
                   np.ones(5), ratio, in_kind=0.25, beyond=True))
growth = intervals.mean_interval((flips[:, 23] / flips[:, 9]) ** (1 / 14))
print(report.claim("growth of the flips per layer, centred, layers 10 to 24", "derived; sqrt(pi / (pi - 1))",
                   KEPT ** -0.5, growth, in_kind=0.05, beyond=True))
counts = {depth: regions.exact_gradient(centred(depth, WIDTHS[1], 0)).values.size for depth in (4, 10, 24)}
print("pieces of a centred net of", WIDTHS[1], "units a layer, by depth:", counts)

# %% [markdown]
# The figure. Dots in the first panel are two neighbours on the paper's grid.

# %%
fig, axes = plot.panels(2, 3, (11, 6.6))
orange, plain_colour = (plot.COLOUR[name] for name in ("feedforward", "plain"))
ax = axes[0, 0]
ax.stairs(between.values, 1000 * between.breakpoints, baseline=None, color=orange, linewidth=1.0)
ax.plot([1000 * a, 1000 * b], [g_a, g_b], "o", color="black", markersize=6, clip_on=False)
ax.set(title=f"Between two points of the grid:\n{len(explanation)} flips (24 layers, centred)",
       xlabel="1000 x", ylabel="f'(x), exact")

ax = axes[0, 1]
ax.bar(layers, jumps, color=orange)
ax.axhline(0, color="black", linewidth=0.5)
ax.set(title=f"... and which layers they are in:\nadds up to {g_b - g_a:+.2f}", xlabel="layer",
       ylabel="sum of its jumps")

ax = axes[0, 2]
bins = np.linspace(LOW, HIGH, 33)
for depth, colour in zip((1, 24), plot.shades(plain_colour, 2)):
    ax.hist(kinks[depth], bins, density=True, histtype="step", linewidth=1.4, color=colour,
            label="1 layer" if depth == 1 else f"{depth} layers")
cauchy = 1 / (1 + bins**2) / (2 * np.arctan(2))
ax.plot(bins, cauchy, color="black", linestyle="--", label="Cauchy")
ax.set(title="Where the kinks are\n(no normalisation)", xlabel="x", ylabel="density")
ax.legend()

ax = axes[1, 0]
for depth in DEPTHS:
    ax.loglog(np.full(RUNS, depth * WIDTH), pieces[depth], ".", color=plain_colour,
              label="no normalisation" if depth == 1 else None)
for width in WIDTHS[:-1]:
    ax.loglog(np.full(RUNS, 10 * width), by_width[width], ".", color=plain_colour)
ax.loglog([depth * WIDTHS[1] for depth in counts], list(counts.values()), "s", color=orange, label="centred")
units = np.array([1, DEPTHS[-1]]) * WIDTH
ax.loglog(units, 0.705 * units, color="black", linestyle="--", label="0.705 per unit")
ax.set(title="Pieces: linear in the units,\nunless normalised", xlabel="units", ylabel="pieces")
ax.legend()

ax = axes[1, 1]
plot.curves(ax, layers, [counted], ["counted"], [orange])
ax.plot(layers[1:], rice, color="black", linestyle="--", label="Rice: 1.21 per layer")
ax.set_yscale("log")
ax.set(title="Flips by layer\n(24 layers, centred)", xlabel="layer", ylabel="flips per unit")
ax.legend()

ax = axes[1, 2]
whole = regions.exact_gradient(plain(24, WIDTH, 0))
ax.stairs(whole.values, whole.breakpoints, baseline=None, color=plain_colour, linewidth=1.0)
ax.set(title=f"All {whole.values.size} pieces of a net\nof 24 layers, no normalisation", xlabel="x",
       ylabel="f'(x), exact")
plot.save(fig, report.figure)
report.write(beyond=True)

# %% [markdown]
# **What you see.** Between two neighbours on the paper's grid a centred net of 24 layers has 538 steps. Nearly all
# layers have flips there, but the last ten make most of the change (above, middle). Without normalisation there are
# about as many pieces per unit in 50 layers as in one, and such nets hardly shatter. Centering keeps the units busy:
# the flips grow by a fifth per layer, exponentially with depth. In the middle layers the count is up to 1.24 times
# Rice's. The correlation length shrinks at about the rate of the flips (lesson 19: from 0.053 at 10 layers to 0.0034 at
# 24, by 1.22 per layer).

# %% [markdown]
# **Try.** Count the pieces of a resnet: does beta = 0.1 or beta = 1 come closer to the line? Give the
# hidden layers biases. Explain the largest jump of a net of your own, and undo it by
# changing the bias of that one unit. Why has a looks-linear net one piece, whatever its units do?
