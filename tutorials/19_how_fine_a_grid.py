"""How fine a grid? When white noise is a matter of spacing
========================================================

A shattered gradient looks like white noise on the paper's grid of 256 points. But
it is a staircase, and on a fine enough grid neighbours must be alike. So how does
f' correlate over shorter distances than the grid has? How fine must a grid be to
see it? And how many flips does it take to forget?

Builds on 03 and 11. Takes about 30 seconds on one core.
"""

# %%
import numpy as np

from minishatter import freeze, gradients, intervals, nets, plot, regions, stats
from minishatter.correlation_maps import k0, k1
from minishatter.report import Report
from minishatter.running import progress, quick

WIDTH, DEPTHS = 40 if quick() else 200, (4, 10, 24)
RUNS = 5  # at 24 layers of 200 each has some 100,000 pieces
SEED = 11
x = gradients.grid()
LENGTH = 4.0  # of [-2, 2]
STEP = LENGTH / 255  # of the paper's grid
report = Report("19_how_fine_a_grid")
plot.use_style()


def centred(depth, run):
    """Centred over the paper's grid; the means are then held, so that f is one function of x."""
    rng = np.random.default_rng([SEED, depth, WIDTH, run])
    return freeze(nets.feedforward(depth, WIDTH, norm="center", rng=rng), x[:, None])


# %% [markdown]
# **By hand.** The autocorrelation of a staircase needs no grid: the integral of f'(x) f'(x + s) is a sum over the
# pieces between the places where one of the two makes a step. For a staircase of four steps:

# %%
edges, values = np.array([0.0, 0.2, 0.5, 0.6, 1.0]), np.array([1.0, -1.0, 2.0, -0.5])


def product(s):
    """The integral of g(x) g(x + s) over [0, 1 - s]: between two cuts both are constant."""
    cuts = np.unique(np.concatenate([edges, edges - s, [1 - s]]).clip(0, 1 - s))
    middles = (cuts[1:] + cuts[:-1]) / 2
    at = [values[np.searchsorted(edges, points, side="right") - 1] for points in (middles, middles + s)]
    return np.sum(np.diff(cuts) * at[0] * at[1])


fine = np.linspace(0, 1, 100_001)
g = values[(np.searchsorted(edges, fine, side="right") - 1).clip(max=3)]
on_a_grid = np.mean(g[:-10_000] * g[10_000:]) * 0.9
print(f"integral of g(x) g(x + 0.1): exact {product(0.1):.4f}, on a grid of 100,001 points {on_a_grid:.4f}")

# %% [markdown]
# **The exact autocorrelation** of a net's f' is found like that (`regions.autocorrelation`). What should it be? If f is
# a Gaussian process along x with correlation c(s), f' has the autocorrelation c''(s) / c''(0). A centred layer maps c
# to (k1(c) - 1/pi) / (1 - 1/pi), and k1' = k0: the chain rule, twice, gives c'' after any number of layers. It starts
# in layer 2 with a parabola, whose one constant is the variance of z there (as in lesson 11).

# %%
KEPT = 1 - 1 / np.pi
norms = np.sqrt(1 + x**2)
cosine = np.minimum((1 + np.outer(x, x)) / np.outer(norms, norms), 1.0)
covariance = np.outer(norms, norms) * k1(cosine)  # of z in layer 2, over the weights; E z'^2 = 1
VARIANCE = np.trace(covariance) / x.size - covariance.mean()  # along x, about the mean that is taken away
lags = np.geomspace(1e-4, 0.4, 28)


def predicted_acf(depth):
    c, d, dd = 1 - lags**2 / (2 * VARIANCE), -lags / VARIANCE, -np.ones_like(lags) / VARIANCE  # c, c', c'' in layer 2
    start = dd
    for _ in range(depth - 1):
        dd = (k0(c) * dd + d**2 / np.pi / np.sqrt(1 - c**2)) / KEPT  # k0' = 1 / (pi sqrt(1 - c^2))
        d = k0(c) * d / KEPT
        c = (k1(c) - 1 / np.pi) / KEPT
    return dd / start * KEPT ** (depth - 1)


acf, on_grid, counts = {}, {}, {}
for depth in DEPTHS:
    exact = [regions.exact_gradient(centred(depth, run)) for run in progress(f"{depth} layers, centred")(range(RUNS))]
    acf[depth] = np.array([regions.autocorrelation(gradient, np.append(lags, STEP)) for gradient in exact])
    on_grid[depth] = np.array([stats.autocorrelation(gradient.at(x), 6) for gradient in exact])
    counts[depth] = np.mean([gradient.values.size for gradient in exact])

at = [4, 8, 12]
curve = intervals.mean_interval(acf[24][:, at])
print(report.claim(f"exact ACF at s = {', '.join(f'{lags[k]:.4f}' for k in at)}, 24 layers, centred",
                   "derived; second derivative of the covariance", predicted_acf(24)[at], curve,
                   in_kind=0.1, beyond=True))
neighbours = intervals.mean_interval(acf[24][:, -1])
print(report.claim("exact ACF at one step of the paper's grid, 24 layers, centred", "figure 1(b): white noise",
                   0.0, neighbours, in_kind=0.1))
difference = intervals.mean_interval(np.concatenate([on_grid[depth][:, 1] - acf[depth][:, -1] for depth in DEPTHS]))
print(report.claim("ACF on the paper's grid at lag 1 minus the exact one, 4, 10, 24 layers", "derived; a sample of f'",
                   0.0, difference, in_kind=0.05, beyond=True))

# %% [markdown]
# **At which spacing does it stop looking white?** A grid of spacing h has n = 4/h points, and white noise has
# |ACF(1)| < 2.58 / sqrt n in 99 of 100 cases. The exact ACF at s = h tells where a net leaves that band.

# %%
band = 2.576 * np.sqrt(lags / LENGTH)


def whitens(acf):
    """The smallest spacing at which the ACF is inside the band, interpolated, in steps of the paper's grid."""
    above = acf - band
    k = np.argmax(above < 0)
    return np.interp(0, [above[k], above[k - 1]], [lags[k], lags[k - 1]]) / STEP


spacing = intervals.mean_interval([whitens(row[:-1]) for row in acf[24]])
print(report.claim("spacing below which 24 centred layers stop looking white, in steps of the paper's grid",
                   "derived; second derivative of the covariance", whitens(predicted_acf(24)), spacing,
                   in_kind=0.5, beyond=True))

# %%
orange, grey = plot.COLOUR["feedforward"], plot.COLOUR["white"]
fig, axes = plot.panels(1, 3, (13, 4))
net = centred(24, 0)
ax = axes[0, 0]
ax.plot(x, gradients.input_gradient(net, x), color=orange, linewidth=0.8)
ax.set(title="24 layers, centred:\nthe paper's 256 points on [-2, 2]", xlabel="x", ylabel="f'(x)")
ax = axes[0, 1]
window = regions.exact_gradient(net, 0.0, STEP)
ax.stairs(window.values, 1000 * window.breakpoints, baseline=None, color=orange, linewidth=0.8)
ax.set(title=f"the same within one step of that grid:\n{window.values.size} pieces, exact", xlabel="1000 x",
       ylabel="f'(x)")
ax = axes[0, 2]
plot.curves(ax, lags, [intervals.mean_interval(acf[depth][:, :-1]) for depth in DEPTHS],
            [f"{depth} layers" for depth in DEPTHS], plot.shades(orange, len(DEPTHS)))
for depth, colour in zip(DEPTHS, plot.shades(orange, len(DEPTHS))):
    ax.plot(STEP * np.arange(1, 7), on_grid[depth].mean(axis=0)[1:], "o", color=colour, markersize=4)
ax.plot(lags, predicted_acf(24), color="black", linestyle="--", label="infinite width, 24")
ax.fill_between(lags, -band, band, color=grey, alpha=0.3, linewidth=0, label="white noise")
ax.set(title="Exact autocorrelation (lines),\non the paper's grid (dots)", xlabel="lag s", ylabel="ACF", xscale="log")
ax.set(xlim=(1e-4, 0.1), ylim=(-0.75, 1.05))
ax.legend(loc="lower left")
plot.save(fig, report.figure)

# %% [markdown]
# **What you see.** On the paper's grid f' is noise (left), within one step of it a walk (middle): neighbours are alike
# if they are near enough. At 24 layers the autocorrelation (right) follows the prediction of infinite width. It is
# inside the band of white noise from half a step of the paper's grid on, and points a hundredth of a step apart
# correlate by about 0.95 (read off the curve). So white noise is a matter of the grid. But the distance over which f'
# forgets shrinks with depth, from 0.26 at 4 layers to 0.0034 at 24, and one flip is not enough to forget: at width 200
# it takes 75 to 94 to bring the autocorrelation to 1/e, at each of the three depths. (With the width the flips grow and
# the length stays, so that it takes half as many at width 100.)

# %%
notes = [f"Centred nets, mean over nets; lengths in the units of x, where the paper's grid has spacing {STEP:.4f}:", "",
         "| layers | pieces | mean length of a piece | exact ACF falls to 1/e at | flips on that length |",
         "| --- | --- | --- | --- | --- |"]
for depth in DEPTHS:
    mean = acf[depth][:, :-1].mean(axis=0)
    length = np.interp(-np.exp(-1), -mean, lags)
    notes.append(f"| {depth} | {counts[depth]:.0f} | {LENGTH / counts[depth]:.2g} | {length:.2g} | "
                 f"{length / LENGTH * counts[depth]:.0f} |")
print("\n".join(notes))
report.write("\n".join(notes), beyond=True)


# %% [markdown]
# **Try.** Take the grid of 256 points on [-0.02, 0.02]: is the 24-layer net shattered there? Which depth looks white on
# a grid of 32 points? Does a resnet with beta = 1 need as fine a grid?
