"""What depth does: batches spread, squares grow, nets scatter, digits go
======================================================================

Batch normalisation makes the theorems' assumption true, at a price: the deeper
the net, the larger its gradient. Where does a batch end that is normalised again
and again? By how much do gradients grow, and how much do they vary from net to
net? And from which depth on is a net in float32 another net than in float64?

Builds on 12. Takes about 55 seconds on one core.
"""

# %%
import copy

import numpy as np

from minishatter import gradients, intervals, nets, plot, stats
from minishatter.report import LEVEL, Report
from minishatter.running import progress, quick

RUNS = 30 if quick() else 200
DEPTHS = (2, 4, 10) if quick() else (2, 4, 10, 24, 50)
WIDTH, SEED = 200, 12
pair = np.array([-1.0, 1.0])
rng = np.random.default_rng(SEED)
report = Report("20_what_depth_does")
plot.use_style()


def bootstrap(samples, statistic):
    return intervals.bootstrap_interval(samples, statistic, rng, LEVEL, resamples=500)


# %% [markdown]
# **A batch of four, by hand.** Normalise each unit over the batch, rectify, multiply by new weights, and do it again.
# The rows of xhat always add up to 0, since each unit has mean 0 over the batch. Behind the rectifier rows that were
# close come apart, and rows that were opposite come closer. Only one set of correlations can stay: all pairs alike, c.
# Since the rows add up to 0, 1 + (B - 1) c = 0.

# %%
B = 4
batch = np.array([[-1.7], [-0.2], [0.4], [1.5]])
pairs = np.triu_indices(B, 1)
by_hand = np.random.default_rng([SEED, 0])
h = batch * by_hand.normal(size=WIDTH) + by_hand.normal(size=WIDTH)
by_layer = []
for _ in range(40):
    xhat = (h - h.mean(axis=0)) / h.std(axis=0)
    by_layer.append(np.corrcoef(xhat)[pairs])
    h = np.maximum(xhat, 0) @ by_hand.normal(0, (2 / WIDTH)**0.5, (WIDTH, WIDTH))
for layer in (1, 2, 10, 40):
    print(f"layer {layer}: correlations of the six pairs {by_layer[layer - 1].round(2)}")

# %% [markdown]
# That is -1/(B-1) for each pair (Yang et al. 2019). In a batch of 4 a pair is then co-active with probability
# k0(-1/3)/2 = 0.20. In a large batch -1/(B-1) is nearly 0 and co-activity a quarter, as Theorem 1 assumes. There
# centering takes the part 1/pi of the second moment away, and division by the spread brings the rest back to 1: the
# squared gradient grows by pi/(pi-1) = 1.467 per layer.

# %%
BN_DEPTH = 12 if quick() else 40


def batch_correlations(seed):
    """The correlations of the B rows behind the last batch normalisation of one net."""
    net = nets.feedforward(BN_DEPTH, WIDTH, norm="batch", rng=np.random.default_rng([SEED, BN_DEPTH, WIDTH, seed]))
    _, cache = net.forward(batch)
    xhat = cache[-3].xhat  # (B, width): the chain ends in BatchNorm, ReLU, Dense
    return (xhat @ xhat.T / WIDTH)[pairs]


correlations = intervals.mean_interval(np.array([batch_correlations(seed) for seed in range(RUNS)]), LEVEL)
print(report.claim(f"batch of {B} behind {BN_DEPTH} layers with BN: correlation of each of the 6 pairs", "-1/(B-1)",
                   np.full(6, -1 / (B - 1)), correlations, in_kind=0.1, beyond=True))

grid = gradients.grid()
GROWTH_DEPTHS = (6, 10, 14) if quick() else (10, 20, 30, 40)
squares = np.array([np.mean(gradients.ensemble(
    lambda rng: nets.feedforward_layers(L, WIDTH, norm="batch", rng=rng), grid, max(RUNS // 4, 10), [SEED, L, WIDTH],
    progress=progress(f"BN, {L} layers"))**2, axis=1) for L in GROWTH_DEPTHS]).T  # (nets, depths)


def growth(squares):
    """The factor per layer: the slope of the log of the mean square against the depth."""
    return np.exp(np.polyfit(GROWTH_DEPTHS, np.log(squares.mean(axis=0)), 1)[0])


factor = bootstrap(squares, growth)
print(report.claim(f"growth of the mean square gradient per layer, BN, L = {GROWTH_DEPTHS[0]} to {GROWTH_DEPTHS[-1]}",
                   "pi/(pi-1), infinite width and batch", np.pi / (np.pi - 1), factor, in_kind=0.1,
                   beyond=True))

# %% [markdown]
# **Nets scatter.** The gradient of a net is a product over its layers, and each factor is random. So the logarithm of
# |df/dn|^2 varies from net to net by a sum over the layers. One layer multiplies |df/dn|^2 by 2/N times a sum of N
# terms, each z^2 with z ~ N(0, 1) if its unit is on and 0 if it is off: a term has the variance 3/2 - 1/4, and the
# layer 5/N. So L layers have about 5 L / N.

# %%
SHAPES = ((10, 50), (20, 100)) if quick() else ((24, 200), (50, 200), (24, 100), (12, 50))


def log_size(L, width):
    def one(seed):
        net = nets.feedforward_layers(L, width, rng=np.random.default_rng([SEED, L, width, seed]))
        return np.log(np.sum(gradients.neuron_gradients(net, pair)[0]**2))
    return np.array([one(seed) for seed in range(2 * RUNS)])


sizes = {shape: log_size(*shape) for shape in SHAPES}
print(report.claim(f"variance of log |df/dn|^2, plain nets, L x N = {', '.join(f'{L} x {N}' for L, N in SHAPES)}",
                   "5 L / N", np.array([5 * L / N for L, N in SHAPES]),
                   [bootstrap(sizes[shape], np.var) for shape in SHAPES], in_kind=0.5, beyond=True))

# %% [markdown]
# **Digits go.** The same nets in float32. Rounding moves a pre-activation by one part in 10^7. Layers with batch
# normalisation amplify the error by sqrt(1.467) = 1.21 each, 14,000 times in 50 layers, and where a unit flips the
# gradient jumps. Single points stop agreeing. The statistics do not care, because the perturbed net is as good a draw
# as the other.


# %%
def in_float32(net):
    """A copy of a chain without containers inside, its parameters in single precision."""
    net = copy.deepcopy(net)
    for layer in net.layers:
        layer.params = {name: array.astype(np.float32) for name, array in layer.params.items()}
    return net


def gradient_in(net, dtype):
    """f'(x) on the grid, statistics held, in the precision `dtype`: the readable path."""
    value, t = grid.astype(dtype)[:, None], np.ones((grid.size, 1), dtype)
    for layer in net.layers:
        layer = layer.freeze(value)
        value, cache = layer.forward(value)
        t = layer.tangent(t, cache)
    return t[:, 0].astype(float)


def precision(L, seed):
    """Largest difference over the largest gradient; the ACF at lag 1 in float64; and in float32."""
    net = nets.feedforward(L, WIDTH, norm="batch", rng=np.random.default_rng([SEED, L, WIDTH, seed]))
    double, single = gradient_in(net, np.float64), gradient_in(in_float32(net), np.float32)
    acfs = [stats.autocorrelation(g, 1)[1] for g in (double, single)]
    return np.max(np.abs(double - single)) / np.max(np.abs(double)), *acfs


PRECISION_RUNS = 5 if quick() else 20
rounding = {L: np.array([precision(L, seed) for seed in range(PRECISION_RUNS)]) for L in DEPTHS}
deepest = DEPTHS[-1]
worst = intervals.mean_interval(rounding[deepest][:, 0], LEVEL)
print(f"float32 against float64, {deepest} layers with BN: largest difference over the largest gradient "
      f"{worst.value:.2f} [{worst.low:.2f}, {worst.high:.2f}]")
drift = intervals.mean_interval(rounding[deepest][:, 1] - rounding[deepest][:, 2], LEVEL)
print(report.claim(f"float32 against float64, {deepest} layers with BN: difference of the ACF at lag 1",
                   "statistics agree", 0.0, drift, in_kind=0.05, beyond=True))

# %%
fig, axes = plot.panels(2, 2, (9, 7.5))
orange, plain = plot.COLOUR["feedforward"], plot.COLOUR["plain"]
ax = axes[0, 0]
ax.plot(np.arange(1, 41), by_layer, color=orange, linewidth=0.9)
ax.axhline(-1 / (B - 1), color="black", linewidth=0.8, linestyle="--", label="-1/(B-1)")
ax.set(title="The six pairs of a batch of 4, by hand", xlabel="layer", ylabel="correlation", ylim=(-1.05, 1.05))
ax.legend()
ax = axes[0, 1]
ax.semilogy(GROWTH_DEPTHS, squares.mean(axis=0), "o", color=orange, label="nets with BN")
growing = squares.mean(axis=0)[0] * (np.pi / (np.pi - 1))**(np.array(GROWTH_DEPTHS) - GROWTH_DEPTHS[0])
ax.semilogy(GROWTH_DEPTHS, growing, color="black", linewidth=0.8, label=r"$\propto (\pi/(\pi-1))^L$")
ax.set(title="The price of batch normalisation", xlabel="depth L", ylabel="mean square gradient")
ax.legend()
ax = axes[1, 0]
drawn = ax.violinplot(list(sizes.values()), showmedians=True, showextrema=False)
for body in drawn["bodies"]:
    body.set(facecolor=plain, alpha=0.5)
drawn["cmedians"].set(color="black", linewidth=0.8)
for place, (L, N) in enumerate(SHAPES, 1):
    middle, spread = np.median(sizes[L, N]), (5 * L / N)**0.5
    ax.plot([place, place], [middle - spread, middle + spread], color="black", linewidth=0.8,
            label=r"median $\pm \sqrt{5 L / N}$" if place == 1 else None)
ax.set_xticks(range(1, len(SHAPES) + 1), [f"{L} x {N}" for L, N in SHAPES])
ax.set(title="Plain nets scatter", xlabel="layers x width", ylabel="log |df/dn|²")
ax.legend(loc="lower left")
ax = axes[1, 1]
for L in DEPTHS:
    ax.semilogy(np.full(PRECISION_RUNS, L), rounding[L][:, 0], "o", color=orange, markersize=3)
ax.semilogy(DEPTHS, [np.median(rounding[L][:, 0]) for L in DEPTHS], color=orange, label="median")
ax.set(title="float32 against float64, with BN", xlabel="depth L", ylabel="largest relative difference")
ax.legend()
plot.save(fig, report.figure)

# %% [markdown]
# **What you see.** After ten layers or so the four inputs of the batch are as far apart as they can be: each pair has a
# correlation of about -1/3. The squared gradient grows by 1.47 to 1.48 per layer, from 250 at 10 layers to 3 x 10^7 at
# 40. Sizes scatter: in plain nets of 50 layers of 200 the logarithm of |df/dn|^2 has a variance of 1.24 (5 L / N says
# 1.25), so that one net in six has three times the median's |df/dn|^2, or more. In float32 the gradient of 10 layers
# with BN is right to some 10^-6 of its largest value, unless a unit flips (in about half of the nets one does): then it
# is wrong there by 0.2 to 11 percent. So at 10 layers single points begin to differ; at 24 layers every net has some
# that do, by 2 to 17 percent; at 50 layers the largest difference is 0.42 of the largest value, while the
# autocorrelation is the same to 0.003.

# %%
notes = [f"float32 against float64, nets with BN, {PRECISION_RUNS} each: largest difference over the largest gradient, "
         "and the ACF at lag 1.", "", "| layers | difference | ACF in float64 | ACF in float32 |",
         "| --- | --- | --- | --- |"]
for L in DEPTHS:
    cells = (intervals.mean_interval(column, LEVEL) for column in rounding[L].T)
    notes.append(f"| {L} | " + " | ".join(f"{value:.2g} [{low:.2g}, {high:.2g}]" for value, low, high in cells) + " |")
print("\n".join(notes))
report.write("\n".join(notes), beyond=True)

# %% [markdown]
# **Try.** Where does a batch of B = 2 end? At which depth do float64 and extended precision (np.longdouble) part ways?
# By how much does |df/dn|^2 scatter in a resnet?
