"""Wide nets: what infinite width says, what the theorems say, what is measured
=============================================================================

The theorems assume that half of the units are active, and a quarter co-active,
independently of the weights. In a wide net without normalisation they are not:
its signals are Gaussian, and the arc-cosine functions say what their gradients
do. How far apart are the two, at which depth and at which width?

Builds on 05. Takes about 60 seconds on one core.
"""

# %%
import numpy as np

from minishatter import gradients, intervals, nets, plot, stats, theory, wide
from minishatter.correlation_maps import k0, neuron_correlation
from minishatter.report import LEVEL, Report
from minishatter.running import progress, quick

RUNS, DEEP_RUNS = (30, 10) if quick() else (200, 50)  # beyond 10 layers no row is claimed, and nets are dear
DEPTHS = (2, 4, 10) if quick() else (2, 4, 10, 24, 50)
WIDTHS = (50, 100) if quick() else (50, 100, 200, 400, 800)
WIDTH, FIXED_DEPTH, SEED = 200, 4, 12
pair = np.array([-1.0, 1.0])  # uncorrelated signals in the first layer: c = 0
rng = np.random.default_rng(SEED)
report = Report("12_wide_nets")
plot.use_style()


def bootstrap(samples, statistic):
    return intervals.bootstrap_interval(samples, statistic, rng, LEVEL, resamples=500)


def claim_by(statement, source, keys, predicted, measured, **kwargs):
    """One row for several depths or widths, with an Interval for each."""
    print(report.claim(f"{statement} {', '.join(map(str, keys))}", source, predicted, measured, beyond=True, **kwargs))


# %% [markdown]
# **Co-activity by hand.** Two Gaussian signals of correlation c are positive together with probability k0(c)/2, where
# k0(c) = 1 - arccos(c)/pi, and E[relu(u) relu(v)] is k1(c) times E[relu(u)^2] (no mean is taken away). So the next
# layer has c <- k1(c), and its gradients keep the share k0(c): a quarter of the pairs is co-active at c = 0 only.

# %%
u, noise = np.random.default_rng([SEED, 0]).standard_normal((2, 100_000))
c = 0.0
for layer in (1, 2, 3):
    other = c * u + np.sqrt(1 - c**2) * noise
    print(f"layer {layer}: c = {c:.3f}, co-active {np.mean((u > 0) & (other > 0)):.3f}, k0(c)/2 = {k0(c) / 2:.3f}")
    c = 2 * np.mean(np.maximum(u, 0) * np.maximum(other, 0))  # k1(c), up to the noise of the draw

# %% [markdown]
# **Five kinds of net without normalisation.** For each the options of `wide`, the theorem, and a builder. The gradient
# is df/dn for the units n of the first layer, the correlation is that of Definition 1 at the inputs -1 and 1.

# %%
ROOT_HALF = 0.5**0.5
KINDS = {  # name: (builder, the options of wide.gradient_correlation at depth L, the theorem at depth L, colour)
    "feedforward": (lambda L, width, rng: nets.feedforward_layers(L, width, rng=rng), lambda L: {},
                    lambda L: theory.feedforward(L).correlation, plot.COLOUR["plain"]),
    "resnet": (lambda L, width, rng: nets.resnet_layers(L, width, alpha=ROOT_HALF, norm=None, rng=rng),
               lambda L: {"skip": 1.0}, lambda L: theory.resnet(L).correlation, plot.COLOUR["resnet"]),
    "highway": (lambda L, width, rng: nets.highway_layers(L, width, gamma2=L**-0.5, rng=rng),
                lambda L: {"skip": (1 - 1 / L)**0.5, "branch": L**-0.5},
                lambda L: theory.highway(L, L**-0.5).correlation, plot.COLOUR["highway"]),
    "PReLU 0.25": (lambda L, width, rng: nets.feedforward_layers(L, width, activation="prelu", rng=rng),
                   lambda L: {"slope": 0.25}, None, plot.COLOUR["leaky"]),
    "looks-linear": (
        lambda L, width, rng: nets.feedforward_layers(L, width, activation="crelu", init="looks_linear", rng=rng),
        lambda L: {"slope": 1.0}, lambda L: 1.0, plot.COLOUR["looks-linear"]),
}


def infinite(name, L, wrt="neuron"):
    return wide.gradient_correlation(pair, L, wrt=wrt, **KINDS[name][1](L))[0, 1]


def measure(name, L, width):
    build = KINDS[name][0]
    runs = RUNS * WIDTH // max(width, WIDTH) if L <= 10 else DEEP_RUNS  # |df/dn|^2 varies like 1/width, see 20
    runs = min(runs, 10) if name == "looks-linear" else runs  # its correlation is 1 in each single net
    moments = gradients.pair_moments(lambda rng: build(L, width, rng), pair, (0, 1), runs, [SEED, L, width],
                                     progress=progress(f"{name}, {L} layers of {width}"))
    return bootstrap(moments, stats.pair_correlation)


by_depth = {(name, L): measure(name, L, WIDTH) for name in KINDS for L in DEPTHS}
by_width = {(name, width): measure(name, FIXED_DEPTH, width) for name in KINDS for width in WIDTHS}
for name in KINDS:
    shallow = [L for L in DEPTHS if L <= 10]
    claim_by(f"correlation, {name}, width {WIDTH}, L =", "infinite width", shallow,
             [infinite(name, L) for L in shallow], [by_depth[name, L] for L in shallow], tolerance=1e-9, in_kind=0.05)
    claim_by(f"correlation, {name}, {FIXED_DEPTH} layers, width =", "infinite width", WIDTHS,
             np.full(len(WIDTHS), infinite(name, FIXED_DEPTH)), [by_width[name, width] for width in WIDTHS],
             tolerance=1e-9, in_kind=0.05)

# %% [markdown]
# The law behind the numbers: on the way to c = 1 the correlation of gradients falls like L^-3, not like 2^-L.

# %%
far = (1000, 2000)
slope = np.log(neuron_correlation(far[1]) / neuron_correlation(far[0])) / np.log(far[1] / far[0])
print(report.claim(f"plain net: slope of log R against log L, infinite width, L = {far[0]} to {far[1]}",
                   "derived: L^-3", -3.0, slope, tolerance=0.05, beyond=True))

# %% [markdown]
# **Two gradients.** df/dx has a covariance of its own, the mixed derivative of the signal's: it turns negative. With
# depth f(x) and f(-x) come to agree, and the slopes at x and -x have opposite signs.

# %%
x = gradients.grid(33)
along = gradients.ensemble(lambda rng: nets.feedforward_layers(FIXED_DEPTH, WIDTH, rng=rng), x, 5 * RUNS, [SEED, 1])
middle = int(np.flatnonzero(x == 1.0)[0])
row = bootstrap(along, lambda g: stats.correlation(g)[middle])
predicted_row = wide.gradient_correlation(x, FIXED_DEPTH)[middle]
at = [int(np.flatnonzero(x == point)[0]) for point in (-2.0, -1.0, 0.0, 0.5, 2.0)]
print(report.claim(f"df/dx, plain nets of {FIXED_DEPTH} layers: correlation of x = 1 with x = -2, -1, 0, 0.5, 2",
                   "covariance of df/dx", predicted_row[at], row.at(at), in_kind=0.1, beyond=True))

# %% [markdown]
# **When can a theorem be trusted?** The first depth from which theorem and infinite width stay within 0.02 of each
# other (for plain nets and resnets both tend to 0, so in the end they agree in that sense; for highways they do not),
# and the factor between them at depth 50.

# %%
notes = ["What the theorem says, what infinite width says, what is measured: correlation at the inputs -1 and 1, "
         f"width {WIDTH}, {RUNS} nets up to 10 layers and {DEEP_RUNS} beyond; looks-linear 10.", "",
         "| net | L | theorem | infinite width | measured | 99% interval |", "| --- | --- | --- | --- | --- | --- |"]
for name, (_, _, theorem, _) in KINDS.items():
    for L in DEPTHS:
        value, low, high = by_depth[name, L]
        says = "none" if theorem is None else f"{theorem(L):.3g}"
        notes.append(f"| {name} | {L} | {says} | {infinite(name, L):.3g} | {value:.3g} | [{low:.3g}, {high:.3g}] |")
notes += ["", "| net | theorem within 0.02 of infinite width from depth | infinite width over theorem at depth 50 |",
          "| --- | --- | --- |"]
for name in ("feedforward", "resnet", "highway"):
    theorem = KINDS[name][2]
    gaps = np.array([abs(theorem(L) - neuron_correlation(L, **KINDS[name][1](L))) for L in range(1, 201)])
    apart = np.flatnonzero(gaps > 0.02)
    since = "1" if not apart.size else f"{apart[-1] + 2}" if apart[-1] < 199 else "never up to 200"
    notes.append(f"| {name} | {since} | {infinite(name, 50) / theorem(50):.3g} |")
print("\n".join(notes))

# %%
fig, axes = plot.panels(2, 2, (9, 7.5))
fine = np.arange(1, DEPTHS[-1] + 1)
RINGS = {"markersize": 4, "markerfacecolor": "none"}
ax = axes[0, 0]
for name, (_, _, theorem, colour) in KINDS.items():
    ax.plot(fine, [infinite(name, int(L)) for L in fine], color=colour, label=name)
    if theorem is not None:
        ax.plot(fine, [theorem(int(L)) for L in fine], ":", color=colour)
    plot.points(ax, DEPTHS, [by_depth[name, L] for L in DEPTHS], colour, **RINGS)
ax.set(title="Wide (full), theorems (dotted)", xlabel="depth L", ylabel="correlation of df/dn", ylim=(-0.05, 1.3))
ax.legend(ncols=2)
ax = axes[0, 1]
for name, (_, _, _, colour) in KINDS.items():
    ax.axhline(infinite(name, FIXED_DEPTH), color=colour, linewidth=0.8)
    plot.points(ax, WIDTHS, [by_width[name, width] for width in WIDTHS], colour, **RINGS)
ax.set(title=f"{FIXED_DEPTH} layers: width", xlabel="width N", ylabel="correlation of df/dn", ylim=(-0.05, 1.05))
plot.log_depths(ax, WIDTHS)
ax = axes[1, 0]
smooth = np.linspace(-2, 2, 401)
full = wide.gradient_correlation(np.append(smooth, 1.0), FIXED_DEPTH)[-1, :-1]
ax.plot(smooth, full, color=plot.COLOUR["plain"], label="covariance of df/dx")
plot.points(ax, x[::2], np.transpose(row)[::2], "black", f"nets of width {WIDTH}", **RINGS)
ax.axhline(0, color="black", linewidth=0.5)
ax.set(title=f"df/dx at 1 and at x, plain, {FIXED_DEPTH} layers", xlabel="x", ylabel="correlation R(1, x)")
ax.legend()
ax = axes[1, 1]
log_depths = np.unique(np.geomspace(1, 1000, 40).astype(int))
ax.loglog(log_depths, [neuron_correlation(int(L)) for L in log_depths], color=plot.COLOUR["plain"],
          label="infinite width")
ax.loglog(log_depths, 0.5**log_depths.astype(float), ":", color="black", label=r"$2^{-L}$")
law = neuron_correlation(1000) * (1000 / log_depths[10:])**3
ax.loglog(log_depths[10:], law, "--", color="black", linewidth=0.8, label=r"$\propto L^{-3}$")
ax.set(title="Plain nets: a power law", xlabel="depth L", ylabel="correlation of df/dn", ylim=(1e-8, 2))
ax.legend()
plot.save(fig, report.figure)
report.write("\n".join(notes), beyond=True)

# %% [markdown]
# **What you see.** Nets of width 200 are much nearer to infinite width (full lines) than to the theorems (dotted): at
# 10 layers a plain net keeps R = 0.052 (0.037 to 0.067), infinite width says 0.034, Theorem 1 says 0.001. At 4 layers
# widths from 50 to 800 differ by no more than their intervals. In infinite width the fall is a power of the depth,
# L^-3, not 2^-L, so that at 50 layers the two are a factor of 10^12 apart; nets of 50 layers show only that R is below
# 0.012. Resnets are nearer to infinite width than to Theorem 2 up to 24 layers; at 50 the interval holds both. For a
# highway the two agree to 4 %: its branches take c from 0 to 0.26 only, so that co-activity stays between 0.25 and
# 0.29. And df/dx has another covariance than df/dn: the slopes at -1 and 1 correlate by -0.30 (infinite width: -0.28).

# %% [markdown]
# **Try.** Does a PReLU of slope 0.9 shatter? Which hidden bias doubles the R of a plain net of 10 layers?
