"""Skip connections: alpha, beta and highway gates
==================================================

A skip connection keeps gradients from shattering, but it also makes them grow.
How do the scalings alpha (of the layer), beta (of the branch) and the gates of
a highway net trade one for the other? We follow the size of the gradient, its
correlation over nets and its correlation length along the line, with depth.
"""

# %%
import numpy as np

from minishatter import gradients, intervals, nets, plot, stats, theory
from minishatter.report import LEVEL, Report
from minishatter.running import progress, quick

RUNS = 10 if quick() else 120
DEPTHS = (2, 4, 10) if quick() else (2, 4, 10, 24, 50)
LONG = 20 if quick() else 100
BETAS = (0.1, 1.0) if quick() else (0.03, 0.1, 0.3, 1.0)
WIDTH, SEED = 100, 6
rng = np.random.default_rng(SEED)
x = gradients.grid()
report = Report("06_skip_connections")
plot.use_style()

# %% [markdown]
# Seven families. As in Theorem 3, a batch-normalised resnet "of depth L" has L - 1 residual layers.

# %%
ROOT_HALF = 0.5**0.5
FAMILIES = {  # name: (builder of depth L, colour, line style)
    "feedforward, centred": (
        lambda L, rng: nets.feedforward_layers(L, WIDTH, norm="center", rng=rng), "feedforward", "-"),
    "feedforward, BN": (lambda L, rng: nets.feedforward_layers(L, WIDTH, norm="batch", rng=rng), "feedforward", "--"),
    "resnet, no BN": (lambda L, rng: nets.resnet_layers(L, WIDTH, norm=None, rng=rng), "resnet", ":"),
    "resnet, no BN, alpha = 0.71": (
        lambda L, rng: nets.resnet_layers(L, WIDTH, alpha=ROOT_HALF, norm=None, rng=rng), "resnet", "-."),
    "resnet, BN, beta = 1": (lambda L, rng: nets.resnet_layers(L - 1, WIDTH, rng=rng), "resnet", "-"),
    "resnet, BN, beta = 0.1": (lambda L, rng: nets.resnet_layers(L - 1, WIDTH, beta=0.1, rng=rng), "resnet 0.1", "-"),
    "highway, gamma2 = sqrt(1/L)": (
        lambda L, rng: nets.highway_layers(L, WIDTH, gamma2=L**-0.5, rng=rng), "highway", "-"),
}


def ensemble(build, depth, x=x, runs=RUNS, label=""):
    return gradients.ensemble(lambda rng: build(depth, rng), x, runs, [SEED, depth, WIDTH],
                              progress=progress(f"{label}, {depth} layers"))


runs = {(name, L): ensemble(FAMILIES[name][0], L, label=name) for name in FAMILIES for L in DEPTHS}

# %% [markdown]
# **Size**: the mean square of the gradient, over the grid and over nets. **Correlation length**: the lag at
# which the autocorrelation along the grid falls below 1/e, as a median over nets.


# %%
def size(name, L, unit=1.0):
    """The mean square in multiples of `unit`, with its interval over nets."""
    return intervals.bootstrap_interval(np.mean(runs[name, L]**2, axis=1) / unit, np.mean, rng, LEVEL)


def length(name, L):
    acf = stats.autocorrelation(runs[name, L], 200)
    return intervals.bootstrap_interval(stats.correlation_length(acf), np.median, rng, LEVEL)


sizes = {key: size(*key) for key in runs}
lengths = {key: length(*key) for key in runs}

# %% [markdown]
# **Claims about the size.** Everything is a ratio to the theorem's variance, so 1 is predicted; "in kind"
# within a half. Theorem 3's linear growth does not survive in real nets: batch normalisation
# divides by the spread over the batch, and a rectifier's output varies less than its second moment.


# %%
def claim_size(name, source, variance):
    ratios = [size(name, L, variance(L)) for L in DEPTHS]
    print(report.claim(f"mean square gradient over the theorem's, {name}, L = {', '.join(map(str, DEPTHS))}", source,
                       np.ones(len(DEPTHS)), ratios, in_kind=0.5))


claim_size("feedforward, centred", "Theorem 1", lambda L: 1.0)
claim_size("resnet, no BN", "Theorem 2", lambda L: theory.resnet(L).variance)
claim_size("resnet, no BN, alpha = 0.71", "Theorem 2 and rescaling", lambda L: theory.resnet(L, ROOT_HALF).variance)
claim_size("resnet, BN, beta = 1", "Theorem 3", lambda L: theory.batchnorm_resnet(L, 1.0).variance)
claim_size("resnet, BN, beta = 0.1", "Theorem 3", lambda L: theory.batchnorm_resnet(L, 0.1).variance)
claim_size("highway, gamma2 = sqrt(1/L)", "Corollary 1", lambda L: 1.0)

# %% [markdown]
# **The text's example**: in a batch-normalised resnet of 100 layers two gradients typically correlate by 0.7 if
# beta = 0.1 and by 0.1 if beta = 1. "Typically": R(i, j) of Definition 1, averaged over all pairs of 64 inputs.

# %%
batch = gradients.grid(64)
above = np.triu_indices(batch.size, 1)


def typical_correlation(beta):
    def build(L, rng):
        return nets.resnet_layers(L - 1, WIDTH, beta=beta, rng=rng)

    g = ensemble(build, LONG, batch, 2 * RUNS, f"beta = {beta}")
    return intervals.bootstrap_interval(g, lambda g: stats.correlation(g)[above].mean(), rng, LEVEL, resamples=400)


typical = {beta: typical_correlation(beta) for beta in BETAS}
for beta, paper in ((0.1, 0.7), (1.0, 0.1)):
    exact = theory.batchnorm_resnet(LONG, beta).correlation
    print(report.claim(f"Theorem 3's product, {LONG} layers, beta = {beta}", "text: typical correlation", paper, exact,
                       tolerance=0.05))
    print(report.claim(f"typical correlation, real nets, {LONG} layers, beta = {beta}", "text: typical correlation",
                       paper, typical[beta], tolerance=0.05, in_kind=0.2))

# %% [markdown]
# **Highway.** With gamma2 = sqrt(1/L) the correlation tends to 1/sqrt e, for df/dn at the inputs -1 and 1.

# %%
deepest = DEPTHS[-1]
moments = gradients.pair_moments(lambda rng: FAMILIES["highway, gamma2 = sqrt(1/L)"][0](deepest, rng),
                                 np.array([-1.0, 1.0]), (0, 1), 2 * RUNS, [SEED, deepest, WIDTH])
gates = intervals.bootstrap_interval(moments, stats.pair_correlation, rng, LEVEL)
print(report.claim(f"correlation, real highway nets, {deepest} layers, gamma2 = sqrt(1/L)", "Corollary 1: 1/sqrt e",
                   np.exp(-0.5), gates, in_kind=0.05))

# %% [markdown]
# **Shattering.** At the largest depth the resnets' gradients are correlated over more of the grid than the
# feedforward net's, and more so for the smaller beta: the order of correlation lengths, shortest first.

# %%
ORDER = ("feedforward, centred", "resnet, BN, beta = 1", "resnet, BN, beta = 0.1")
medians = [lengths[name, deepest].value for name in ORDER]
rank = np.argsort(np.argsort(medians)) + 1.0
print(report.claim(f"order of correlation lengths, feedforward < resnet beta 1 < resnet beta 0.1, {deepest} layers",
                   "figures 1 and 2 in words", np.array([1.0, 2.0, 3.0]), rank))
for (name, L), interval in lengths.items():
    if L == deepest:
        print(f"  correlation length {interval.value:6.2f} [{interval.low:.2f}, {interval.high:.2f}] steps  {name}")

# %%
fig, axes = plot.panels(2, 2, (11, 8))
top_left, top_right, bottom_left, bottom_right = axes.flat


def by_depth(ax, values, style=None):
    for name, (_, colour, line) in FAMILIES.items():
        value, low, high = np.transpose([values[name, L] for L in DEPTHS])
        ax.plot(DEPTHS, value, line, color=plot.COLOUR[colour], label=name, marker="o", markersize=3)
        ax.fill_between(DEPTHS, low, high, color=plot.COLOUR[colour], alpha=0.15, linewidth=0)


by_depth(top_left, sizes)
fine = np.arange(DEPTHS[0], deepest + 1)
top_left.plot(fine, fine, color="black", linewidth=0.8, label="Theorem 3, beta = 1: L")
top_left.set(xscale="log", yscale="log", title="Size", xlabel="depth L", ylabel="mean square gradient", ylim=(0.2, 1e8))
by_depth(top_right, lengths)
top_right.set(xscale="log", yscale="log", title="Shattering", xlabel="depth L",
              ylabel="correlation length (grid steps)")
for ax in (top_left, top_right):
    ax.set_xticks(DEPTHS, DEPTHS)
    ax.minorticks_off()
value, low, high = np.transpose(list(typical.values()))
bottom_left.errorbar(BETAS, value, [value - low, high - value], fmt="o", color=plot.COLOUR["resnet"], capsize=2,
                     markerfacecolor="none", label="real nets")
fine = np.geomspace(BETAS[0], BETAS[-1], 100)
predicted = [theory.batchnorm_resnet(LONG, beta).correlation for beta in fine]
bottom_left.plot(fine, predicted, color="black", label="Theorem 3")
bottom_left.plot([0.1, 1.0], [0.7, 0.1], "x", color="black", markersize=7, markeredgewidth=1.8, label="paper's text")
bottom_left.set(xscale="log", title=f"Typical correlation, {LONG}-layer resnets with BN", xlabel=r"$\beta$",
                ylabel="correlation R", ylim=(-0.05, 1.05))
for name in ("feedforward, centred", "resnet, BN, beta = 1", "resnet, BN, beta = 0.1", "highway, gamma2 = sqrt(1/L)"):
    g = runs[name, deepest][0]
    bottom_right.plot(x, g / np.sqrt(np.mean(g**2)), color=plot.COLOUR[FAMILIES[name][1]], linewidth=0.9, label=name)
bottom_right.set(title=f"One net of each, {deepest} layers", xlabel="x", ylabel="gradient / rms", xlim=(-2, 2))
for ax in axes.flat:
    ax.legend(fontsize=7)
plot.save(fig, report.figure)
report.write()

# %% [markdown]
# **Try.** Which beta keeps the gradient of a 50-layer resnet as smooth as that of a 4-layer one? Give the
# highway gamma2 = 0.5 at every depth. Does alpha change the correlation length?
