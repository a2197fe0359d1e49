"""The theorems, against nets that satisfy their assumption and nets that do not
=================================================================================

The theorems say how the gradients at two inputs correlate over the draw of
the net. They assume that units are active like coin flips. So we test them
twice: on gated nets, where activity *is* a coin flip, and on real nets. This is
the correlation of Definition 1, between two fixed inputs over many nets; it is
not the autocorrelation of figure 2, along a line in one net.
"""

# %%
from statistics import NormalDist

import numpy as np

from minishatter import Chain, Dense, ReLU, active_units, gradients, intervals, nets, plot, stats, theory, wide
from minishatter.report import LEVEL, Report
from minishatter.running import progress, quick

GATED_RUNS = 2_000 if quick() else 40_000
RUNS = 50 if quick() else 600
GATED_DEPTHS, GATED_WIDTH = (1, 2, 4, 8), 8
DEPTHS = (2, 4, 10) if quick() else (2, 4, 10, 24)
WIDTH, SEED = 100, 5
rng = np.random.default_rng(SEED)
report = Report("05_theorems")
plot.use_style()

# %% [markdown]
# **Gated nets.** The same coin-flip net with different skip and branch weights serves all
# statements. Their moments are exact at any width, so small nets will do.

# %%
ROOT_HALF = 0.5**0.5
STATEMENTS = {  # name: (skip, branch, normalise) at depth L, and the theorem's moments at L
    "Theorem 1": (lambda L: (0.0, 1.0, False), theory.feedforward),
    "Theorem 2": (lambda L: (1.0, 1.0, False), theory.resnet),
    "Theorem 2, alpha = 1/sqrt 2": (lambda L: (ROOT_HALF, ROOT_HALF, False), lambda L: theory.resnet(L, ROOT_HALF)),
    "Theorem 3, beta = 1": (lambda L: (1.0, 1.0, True), lambda L: theory.batchnorm_resnet(L + 1, 1.0)),
    "Theorem 3, beta = 0.1": (lambda L: (1.0, 0.1, True), lambda L: theory.batchnorm_resnet(L + 1, 0.1)),
    "Corollary 1, gamma2 = sqrt(1/L)": (lambda L: ((1 - 1 / L)**0.5, L**-0.5, False),
                                        lambda L: theory.highway(L, L**-0.5)),
}


def gated(name, depth):
    """Samples of (C(i,i), C(i,j), C(j,j)), one row per net."""
    skip, branch, normalise = STATEMENTS[name][0](depth)
    g = theory.gated_gradients(depth, GATED_WIDTH, GATED_RUNS, rng, skip=skip, branch=branch, normalise=normalise)
    return np.stack([g[:, 0]**2, g[:, 0] * g[:, 1], g[:, 1]**2], axis=1)


def correlation(moments):
    return intervals.bootstrap_interval(moments, stats.pair_correlation, rng, LEVEL, resamples=400)


gated_moments = {(name, depth): gated(name, depth) for name in STATEMENTS for depth in GATED_DEPTHS}
gated_correlation = {key: correlation(moments) for key, moments in gated_moments.items()}


# %%
def claim_by_depth(statement, source, depths, predicted, measured, **options):
    """One row for several depths, with an Interval for each."""
    print(report.claim(f"{statement}, L = {', '.join(map(str, depths))}", source, predicted, measured, **options))


for name, (_, moments) in STATEMENTS.items():
    claim_by_depth(f"{name}: correlation, gated nets", name.partition(",")[0], GATED_DEPTHS,
                   [moments(L).correlation for L in GATED_DEPTHS], [gated_correlation[name, L] for L in GATED_DEPTHS])
    # the ratio to the theorem's variance, since the variance itself grows as fast as 2^L
    ratios = [intervals.mean_interval(gated_moments[name, L][:, 0] / moments(L).variance) for L in GATED_DEPTHS]
    claim_by_depth(f"{name}: variance over the theorem's, gated nets", name.partition(",")[0], GATED_DEPTHS,
                   np.ones(len(GATED_DEPTHS)), ratios)

# %% [markdown]
# **Real nets without normalisation**, at the inputs -1 and 1, which a first layer with unit weights and
# biases maps to uncorrelated signals. The gradient is df/dn for the units n of the first layer, as in
# Definition 1. **With normalisation** a net needs a batch, and "two inputs" are any two of it:
# we take df/dx on 64 grid points and average R(i, j) over all distinct pairs.

# %%
PLAIN = {
    "plain": lambda L: lambda rng: nets.feedforward_layers(L, WIDTH, rng=rng),
    "resnet without BN": lambda L: lambda rng: nets.resnet_layers(L, WIDTH, norm=None, rng=rng),
    "highway": lambda L: lambda rng: nets.highway_layers(L, WIDTH, gamma2=L**-0.5, rng=rng),
}
NORMALISED = {  # Theorem 3 counts L - 1 residual layers
    "centred": lambda L: lambda rng: nets.feedforward_layers(L, WIDTH, norm="center", rng=rng),
    "with BN": lambda L: lambda rng: nets.feedforward_layers(L, WIDTH, norm="batch", rng=rng),
    "resnet, beta = 1": lambda L: lambda rng: nets.resnet_layers(L - 1, WIDTH, rng=rng),
    "resnet, beta = 0.1": lambda L: lambda rng: nets.resnet_layers(L - 1, WIDTH, beta=0.1, rng=rng),
}
pair, batch = np.array([-1.0, 1.0]), gradients.grid(64)


def mean_correlation(g):
    """R(i, j) of Definition 1, averaged over all distinct pairs of inputs."""
    return stats.correlation(g)[np.triu_indices(g.shape[1], 1)].mean()


real_correlation = {}
for L in DEPTHS:
    for name, build in PLAIN.items():
        moments = gradients.pair_moments(build(L), pair, (0, 1), RUNS, [SEED, L, WIDTH],
                                         progress=progress(f"{name}, {L} layers"))
        real_correlation[name, L] = correlation(moments)
    for name, build in NORMALISED.items():
        g = gradients.ensemble(build(L), batch, RUNS, [SEED, L, WIDTH], progress=progress(f"{name}, {L} layers"))
        real_correlation[name, L] = intervals.bootstrap_interval(g, mean_correlation, rng, LEVEL, resamples=400)

# %% [markdown]
# "In kind": within 0.05 of the prediction. Besides the theorems: what a net of infinite width without
# normalisation does when its activity is its own.

# %%
def wide_resnet(L):
    return wide.neuron_correlation(L, skip=1.0)


PREDICTIONS = [
    ("plain", "Theorem 1", lambda L: theory.feedforward(L).correlation),
    ("plain", "infinite width: k0, k1", wide.neuron_correlation),
    ("centred", "Theorem 1", lambda L: theory.feedforward(L).correlation),
    ("with BN", "Theorem 1", lambda L: theory.feedforward(L).correlation),
    ("resnet without BN", "Theorem 2", lambda L: theory.resnet(L).correlation),
    ("resnet without BN", "infinite width: k0, k1", wide_resnet),
    ("resnet, beta = 1", "Theorem 3", lambda L: theory.batchnorm_resnet(L).correlation),
    ("resnet, beta = 0.1", "Theorem 3", lambda L: theory.batchnorm_resnet(L, 0.1).correlation),
    ("highway", "Corollary 1", lambda L: theory.highway(L, L**-0.5).correlation),
]
for name, source, predict in PREDICTIONS:
    claim_by_depth(f"correlation, real nets, {name}", source, DEPTHS, [predict(L) for L in DEPTHS],
                   [real_correlation[name, L] for L in DEPTHS], in_kind=0.05, beyond=source.startswith("infinite"))

# %% [markdown]
# A warning. For a plain net df/dx itself is another story: the first-layer weights make both the
# signal and its derivative, and far from 0 the net is nearly homogeneous, f(x) = |x| f(sign x). So f'(-1)
# and f'(1) are the slopes of two arms of a V, of opposite sign, whatever the depth.

# %%
arms = gradients.ensemble(PLAIN["plain"](DEPTHS[-1]), pair, RUNS, [SEED, DEPTHS[-1], WIDTH])
arm_correlation = intervals.bootstrap_interval(arms, mean_correlation, rng, LEVEL)
print(report.claim(f"correlation of df/dx at -1 and 1, real plain nets, L = {DEPTHS[-1]}", "Theorem 1",
                   theory.feedforward(DEPTHS[-1]).correlation, arm_correlation, in_kind=0.05, beyond=True))

# %% [markdown]
# **Paths.** The gradient of a rectifier net is the sum, over all paths whose units are all active, of
# the product of the weights along the path. On a small net we can list them.

# %%
net = nets.feedforward(4, 6, hidden_bias_std=0.5, rng=rng)
x = gradients.grid(64)
weights = [layer.params["W"] for layer in net.layers if isinstance(layer, Dense)]
patterns = active_units(net, x[:, None])
by_paths = np.array([sum(product for _, product in theory.active_paths(weights, [active[i] for active in patterns]))
                     for i in range(x.size)])
_, cache = net.forward(x[:, None])
by_backward = net.backward(np.ones((x.size, 1)), cache)[0][:, 0]
error = np.max(np.abs(by_paths - by_backward)) / np.max(np.abs(by_backward))
print(report.claim("sum over active paths minus backward, largest relative error, 4 layers of 6",
                   "path view of the paper", 0.0, error, tolerance=1e-12))

# %% [markdown]
# **Donsker.** With v = (1, ..., 1) the 1-layer gradient, run in the time t = P(b < x), is a random walk:
# increments are Gaussian, independent, and of variance proportional to dt.

# %%
UNITS = 1000 if quick() else 4000
WALKS = 200 if quick() else 2000
normal = NormalDist()
times = np.array([0.01, 0.03, 0.07, 0.15, 0.31, 0.5, 0.75, 0.99])
kink_free_inputs = np.array([normal.inv_cdf(t) for t in times])


def one_layer(rng):
    b, w = rng.normal(size=UNITS), rng.normal(0, UNITS**-0.5, size=UNITS)
    return Chain(Dense(np.ones((1, UNITS)), -b), ReLU(), Dense(w[:, None]))


walks = gradients.ensemble(one_layer, kink_free_inputs, WALKS, [SEED, UNITS], progress=progress("walks"))
donsker = intervals.brownian_test(walks, times)
z99 = normal.inv_cdf(0.5 + LEVEL / 2)
for statement, p in (("Gaussian (Kolmogorov)", donsker.p_normal), ("independent (chi-square)", donsker.p_independent)):
    z = normal.inv_cdf(1 - min(max(p, 1e-12), 1 - 1e-12))  # the test statistic on the scale of a standard normal
    print(report.claim(f"1-layer increments are {statement}: standardised statistic", "Donsker", 0.0,
                       intervals.Interval(z, z - z99, z + z99)))
slope, half = donsker.variance_slope, z99 * donsker.slope_error
print(report.claim("1-layer increments: slope of log variance against log dt", "Donsker", 1.0,
                   intervals.Interval(slope, slope - half, slope + half)))

# %% [markdown]
# Points: gated nets. Rings: real nets. Lines: the theorem (full), infinite width (dashed) and
# the asymptote of Theorem 3 (dotted, only where it is below 1).


# %%
def points(ax, depths, intervals, colour, label, marker):
    value, low, high = np.transpose(intervals)
    ax.errorbar(depths, value, [value - low, high - value], fmt=marker, color=colour, label=label, markersize=5,
                markerfacecolor="none" if marker == "o" else colour, capsize=2, linestyle="none")


def lines(ax, predict, style, label, colour="black"):
    depths = np.arange(1, max(DEPTHS) + 1)
    ax.plot(depths, [predict(int(L)) for L in depths], style, color=colour, label=label, linewidth=1)


def panel(ax, title, theorem, label, colour):
    lines(ax, lambda L: STATEMENTS[theorem][1](L).correlation, "-", label, colour=colour)
    points(ax, GATED_DEPTHS, [gated_correlation[theorem, L] for L in GATED_DEPTHS], colour, "gated nets", "s")
    ax.set(title=title, xlabel="depth L", ylabel="correlation R")


fig, axes = plot.panels(2, 3, (11, 6.6))
orange, blue, green, pink = (plot.COLOUR[name] for name in ("feedforward", "resnet", "resnet 0.1", "highway"))
ax = axes[0, 0]
panel(ax, "Theorem 1: feedforward", "Theorem 1", r"$2^{-L}$", orange)
lines(ax, wide.neuron_correlation, "--", "infinite width, no BN")
points(ax, DEPTHS, [real_correlation["plain", L] for L in DEPTHS], "black", "real, no BN", "o")
points(ax, DEPTHS, [real_correlation["with BN", L] for L in DEPTHS], orange, "real, BN", "o")
ax = axes[0, 1]
panel(ax, "Theorem 2: resnet without BN", "Theorem 2", r"$(3/4)^L$", blue)
lines(ax, wide_resnet, "--", "infinite width")
points(ax, DEPTHS, [real_correlation["resnet without BN", L] for L in DEPTHS], blue, "real", "o")
ax = axes[0, 2]
for beta, colour in ((1.0, blue), (0.1, green)):
    lines(ax, lambda L, beta=beta: theory.batchnorm_resnet(L, beta).correlation, "-", rf"product, $\beta$ = {beta:g}",
          colour=colour)
    intervals = [gated_correlation[f"Theorem 3, beta = {beta:g}", L] for L in GATED_DEPTHS]
    points(ax, [L + 1 for L in GATED_DEPTHS], intervals, colour, None, "s")
    points(ax, DEPTHS, [real_correlation[f"resnet, beta = {beta:g}", L] for L in DEPTHS], colour, None, "o")
lines(ax, lambda L: theory.batchnorm_resnet_asymptote(L, 1.0), ":", r"$1/(\beta\sqrt{L})$, $\beta$ = 1")
ax.set(title="Theorem 3: resnet with BN", xlabel="depth L", ylabel="correlation R")
ax = axes[1, 0]
panel(ax, "Corollary 1: highway", "Corollary 1, gamma2 = sqrt(1/L)", r"$(1 - 1/2L)^L$", pink)
ax.axhline(np.exp(-0.5), color="black", linewidth=0.8, linestyle=":", label=r"$1/\sqrt{e}$")
points(ax, DEPTHS, [real_correlation["highway", L] for L in DEPTHS], pink, "real", "o")
ax = axes[1, 1]
ax.plot(by_backward, by_paths, "o", color=orange, markersize=4)
ax.axline((0, 0), slope=1, color="black", linewidth=0.6)
ax.set(title="Paths: 4 layers of 6 units", xlabel="gradient by backward", ylabel="sum over active paths")
ax = axes[1, 2]
dt = np.diff(times)
ax.loglog(dt, np.diff(walks, axis=1).var(axis=0), "o", color=plot.COLOUR["brown"], label="1-layer nets")
ax.loglog(dt, dt, color="black", linewidth=0.8, label="variance = dt")
ax.set(title="Donsker: increments of f'", xlabel="dt, with t = P(b < x)", ylabel="variance")
ax.minorticks_off()
ax.set_xticks([0.02, 0.05, 0.1, 0.2], [0.02, 0.05, 0.1, 0.2])
ax.set_yticks([0.02, 0.05, 0.1, 0.2], [0.02, 0.05, 0.1, 0.2])
for ax in axes.flat[:4]:
    ax.set_ylim(-0.06, 1.06)
for ax in [*axes.flat[:4], axes[1, 2]]:
    ax.legend()
plot.save(fig, report.figure)
report.write()

# %% [markdown]
# **Try.** Which pair of inputs makes a plain net start from c = 1/2? At which width does
# the measured correlation leave that of infinite width? Give the gated net a gate with p = 1/3.
