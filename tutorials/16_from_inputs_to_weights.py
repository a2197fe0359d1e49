"""From inputs to weights
======================

The paper looks at the gradient by the inputs. Training moves along the
gradient by the weights. Does a shattered gradient stop a net from training, or
does it train and learn nothing about the points in between? One product joins
the two: signals below times gradients above, layer by layer.

Builds on 13 and 14. Takes about 20 seconds on one core.
"""

# %%
from functools import cache

import numpy as np

from minishatter import init, intervals, nets, plot, wide
from minishatter.correlation_maps import k0, k1, rectifier_map
from minishatter.compose import Chain
from minishatter.layers import Dense, ReLU
from minishatter.report import LEVEL, Report
from minishatter.running import progress, quick
from minishatter.tangent_kernel import layer_kernels, parameter_kernels

RUNS = 5 if quick() else 20
WIDTH, SEED = (40, 16) if quick() else (100, 16)
DEPTHS = (3, 6) if quick() else (10, 50)
x = np.linspace(-2, 2, 33)
train, between = np.arange(0, 33, 2), np.arange(1, 33, 2)  # 17 points to learn, and the 16 midpoints
report = Report("16_from_inputs_to_weights")
plot.use_style()

# %% [markdown]
# **By hand.** f(x) = relu(relu(x w + b) V) u. Its gradient by V is the outer product of what V reads, a = relu(x w +
# b), and of what comes back, d = df/d(aV) = active * u. The product of two such gradients, entry by entry, is the
# product of two numbers: <a, a'> <d, d'>. The first says how alike two inputs look from below, the second is the
# gradient correlation of the paper. The sum of all layers is the *tangent kernel* Theta(x, x'): a small step on x'
# moves f(x) in proportion to it.

# %%
rng = np.random.default_rng(SEED)
w, b, V, u = rng.standard_normal((1, 9)), rng.standard_normal(9), init.he(9, 9, rng), init.he(9, 1, rng)
two = np.array([[-0.5], [1.0]])
a = np.maximum(two @ w + b, 0)                           # (2, 9), what V reads
d = ((a @ V) > 0) * u[:, 0]                              # (2, 9), what arrives behind V
by_V = [np.outer(a[i], d[i]).ravel() for i in range(2)]  # 81 numbers for each input
print(by_V[0] @ by_V[1], "is", (a[0] @ a[1]) * (d[0] @ d[1]))
net = Chain(Dense(w, b), ReLU(), Dense(V), ReLU(), Dense(u))
print("and by the library", parameter_kernels(net, two)["2.W"][0, 1])

# %% [markdown]
# **Eight nets**, and their kernels at 33 inputs. A parameter counts times the mean square of its kind, so that all
# layers take steps of one relative size; scale and shift of a batch norm are left out. Its statistics are held.

# %%
RELU, LINEAR, NO_MEAN = rectifier_map(), rectifier_map(1.0), rectifier_map(mean=False)
KINDS = {  # name: (a net of this depth, the keywords of its closed form, colour)
    "He": (lambda L, rng: nets.feedforward(L, WIDTH, rng=rng), dict(branch_map=RELU), plot.COLOUR["plain"]),
    "BN": (lambda L, rng: nets.feedforward(L, WIDTH, norm="batch", rng=rng), None, plot.COLOUR["feedforward"]),
    "weight-standardised": (lambda L, rng: nets.feedforward(L, WIDTH, init="standardised", rng=rng),
                            dict(branch_map=NO_MEAN, read=lambda c: k1(c) * np.pi / (np.pi - 1)),
                            plot.COLOUR["per sample"]),
    "resnet, beta 1": (lambda L, rng: nets.resnet(L, WIDTH, norm=None, rng=rng),
                       dict(branch_map=RELU, skip=1.0), plot.COLOUR["resnet"]),
    "resnet, beta 0.1": (lambda L, rng: nets.resnet(L, WIDTH, beta=0.1, norm=None, rng=rng),
                         dict(branch_map=RELU, skip=1.0, branch=0.1), plot.COLOUR["resnet 0.1"]),
    "resnet, BN, beta 1": (lambda L, rng: nets.resnet(L, WIDTH, rng=rng), None, plot.COLOUR["resnet 0.3"]),
    "resnet, BN, beta 0.1": (lambda L, rng: nets.resnet(L, WIDTH, beta=0.1, rng=rng), None, plot.COLOUR["highway"]),
    "looks-linear": (lambda L, rng: nets.feedforward(L, WIDTH, activation="crelu", init="looks_linear", rng=rng),
                     dict(branch_map=LINEAR, read=k1), plot.COLOUR["looks-linear"]),
}


def kernel_of(net):
    parts = parameter_kernels(net, x[:, None])
    return sum(np.mean(net.params[name]**2) * part for name, part in parts.items() if name[-1] in "Wb")


# %% [markdown]
# **Infinite width.** `layer_kernels` has the closed form for nets without a batch. For batch normalisation the maps act
# on the whole matrix K of the 33 inputs: centering takes it to H K H, H = I - 1/33 (a matrix of ones), and the division
# to a mean diagonal of 1. (Each unit divides by its own deviation, so this is an approximation.)

# %%
H = np.eye(x.size) - 1 / x.size


def normalised_kernel(depth):
    """Theta of a BN net, its statistics held: K behind each layer, then gradients from the top down."""
    K, reads, slopes = wide.first_layer(x).xy, [wide.first_layer(x).xy], []
    for layer in range(depth):
        size = np.sqrt(np.outer(np.diag(K), np.diag(K)))
        c = np.clip(K / size, -1, 1)
        reads.append(size * k1(c))
        K = H @ reads[-1] @ H
        scale = np.mean(np.diag(K)) if layer < depth - 1 else 1.0  # no normalisation behind the last weights
        K = K / scale
        slopes.append(k0(c) / scale)
        reads[-1] = reads[-1] / scale
    above = np.cumprod([np.ones_like(K), *reversed(slopes)], axis=0)[::-1]
    return sum(signal * gradient for signal, gradient in zip(reads, above))


@cache
def infinite(name, depth):
    if name == "BN":
        return normalised_kernel(depth)
    return layer_kernels(x, depth=depth, **KINDS[name][1]).sum(axis=0)


# %% [markdown]
# **What is measured.** Of Theta, divided to a diagonal of 1: the mean off the diagonal, and the *effective rank*, the
# trace over the largest eigenvalue: 1 if all inputs pull the same way, 33 for the identity. And of training: with the
# kernel fixed, gradient descent from f = 0 for t steps of rate 1 / (largest eigenvalue) gives, in the eigenvectors of
# Theta on the training points, y (1 - (1 - eigenvalue / largest)^t). We fit y = sin 3x at 17 points, and look at the
# error there and at the 16 midpoints, as shares of the mean square of y.

# %%
STEPS = 1000
y = np.sin(3 * x)


def descend(theta):
    """f at all 33 points after STEPS steps on the training points."""
    size, vectors = np.linalg.eigh(theta[np.ix_(train, train)])
    size = np.maximum(size, 0) / size[-1]
    # (1 - (1 - size)^t) / size is the sum of (1 - size)^s over s < t: no division where size is 0
    powers = np.where(size > 1e-12, (1 - (1 - size)**STEPS) / np.maximum(size, 1e-12), STEPS)
    largest = np.linalg.eigvalsh(theta[np.ix_(train, train)])[-1]
    return theta[:, train] @ (vectors @ (powers * (vectors.T @ y[train]))) / largest


QUANTITIES = ("mean off the diagonal", "effective rank", "error at the training points", "error between them")


def look(theta):
    """The four numbers of a kernel."""
    size = np.sqrt(np.diag(theta))
    R, f = theta / np.outer(size, size), descend(theta)
    errors = [np.mean((f - y)[part]**2) / np.mean(y[part]**2) for part in (train, between)]
    return [R[~np.eye(x.size, dtype=bool)].mean(), x.size / np.linalg.eigvalsh(R)[-1], *errors]


kernels = {(name, depth): [kernel_of(KINDS[name][0](depth, np.random.default_rng([SEED, depth, run])))
                           for run in range(RUNS)] for name in progress("nets")(list(KINDS)) for depth in DEPTHS}
found = {key: intervals.mean_interval(np.array([look(theta) for theta in thetas]), LEVEL)
         for key, thetas in kernels.items()}

# %% [markdown]
# **Closed form against nets.** The prediction is the same number for the kernel of infinite width.

# %%
IN_KIND = 0.1, 3.0, 0.1, 0.25  # fixed before the run: a tenth, a tenth of 33, a tenth, a quarter
AT = " and ".join(map(str, DEPTHS))
for name in [name for name in KINDS if "resnet, BN" not in name]:
    predicted = np.array([look(infinite(name, depth)) for depth in DEPTHS])
    for number, (quantity, in_kind) in enumerate(zip(QUANTITIES, IN_KIND)):
        print(report.claim(f"{quantity}, {name}, {AT} layers", "infinite width", predicted[:, number],
                           [found[name, depth].at(number) for depth in DEPTHS], in_kind=in_kind, beyond=True))

# %% [markdown]
# **What was expected** before any kernel was computed here: that centred signals give the identity, so that a net
# memorises, and that He's nets have rank one, so that they do not train. The theory at hand says otherwise of He: R
# of the gradients from layer l up is (l / L)^3, the signals' correlation tends to 1, and the mean of t^3 over [0, 1] is
# 1/4.

# %%
deep = DEPTHS[-1]
for name, share in (("BN", 0.0), ("weight-standardised", 0.0), ("He", 1.0)):
    print(report.claim(f"mean off the diagonal, {name}, {deep} layers", "expected: identity or rank one", share,
                       found[name, deep].at(0), in_kind=0.1, beyond=True))
for name in ("BN", "weight-standardised"):
    print(report.claim(f"error between the training points, {name}, {deep} layers", "expected: memorises", 1.0,
                       found[name, deep].at(3), in_kind=0.25, beyond=True))
print(report.claim(f"error at the training points, He, {deep} layers", "expected: does not train", 1.0,
                   found["He", deep].at(2), in_kind=0.25, beyond=True))
FAR = 300 if quick() else 3000
far_pair = layer_kernels(np.array([-1.0, 1.0]), RELU, FAR).sum(axis=0)
print(report.claim(f"correlation in the kernel at -1 and 1, He, {FAR} layers, infinite width", "derived: 1/4", 0.25,
                   far_pair[0, 1] / far_pair[0, 0], tolerance=0.01, in_kind=0.05, beyond=True))

# %% [markdown]
# **Width.** In the first run the error between the points was not 1 in nets that "memorise", but 2.6 and 3.6, and their
# effective rank a third of the predicted 33. Two things are left at finite width: correlations of mean 0 and some size,
# and a diagonal that differs between inputs, since the gradient of a deep net is large here and small there. New seeds,
# and four times the width: the size should halve, and the error should come down to 1.

# %%
WIDE_RUNS = 5 if quick() else 8


def standardised_kernels(width):
    generators = [np.random.default_rng([SEED, 2, width, run]) for run in range(WIDE_RUNS)]
    return [kernel_of(nets.feedforward(deep, width, init="standardised", rng=rng)) for rng in generators]


def rms_off_diagonal(theta):
    size = np.sqrt(np.diag(theta))
    return np.sqrt(np.mean((theta / np.outer(size, size))[~np.eye(x.size, dtype=bool)]**2))


by_width = {width: standardised_kernels(width) for width in (WIDTH, 4 * WIDTH)}
rms = [np.array([rms_off_diagonal(theta) for theta in thetas]) for thetas in by_width.values()]
print("RMS off the diagonal", *(sizes.mean().round(3) for sizes in rms), "largest over smallest on the diagonal",
      *(f"{np.median([np.ptp(np.log(np.diag(theta))) for theta in thetas]):.2f} (log)" for thetas in by_width.values()))
print(report.claim(f"RMS off the diagonal, weight-standardised, {deep} layers, width {WIDTH} over width {4 * WIDTH}",
                   "derived: 1 / sqrt(width)", 2.0, intervals.ratio_interval(*rms, LEVEL), in_kind=0.5, beyond=True))
for width, thetas in by_width.items():
    print(report.claim(f"error between the training points, weight-standardised, {deep} layers, new seeds, "
                       f"width {width}", "infinite width", look(infinite("weight-standardised", deep))[3],
                       intervals.mean_interval(np.array([look(theta)[3] for theta in thetas]), LEVEL), in_kind=0.25,
                       beyond=True))
shallow = [kernel_of(nets.feedforward(DEPTHS[0], 4 * WIDTH, norm="batch", rng=np.random.default_rng([SEED, 3, run])))
           for run in range(WIDE_RUNS)]
print(report.claim(f"mean off the diagonal, BN, {DEPTHS[0]} layers, new seeds, width {4 * WIDTH}",
                   "infinite width, one deviation for all units", look(infinite("BN", DEPTHS[0]))[0],
                   intervals.mean_interval(np.array([look(theta)[0] for theta in shallow]), LEVEL), in_kind=0.02,
                   beyond=True))

# %%
SHOWN = ("He", "weight-standardised", "resnet, beta 0.1", "looks-linear")
fig = plot.page((11, 9))
top, middle, bottom = fig.subfigures(3, 1, height_ratios=[1, 1, 1.15])
for ax, name in zip(top.subplots(1, 4), SHOWN):
    size = np.sqrt(np.diag(kernels[name, deep][0]))
    image = plot.matrix(ax, kernels[name, deep][0] / np.outer(size, size), 1.0)
    ax.set(title=f"{name}, {deep} layers", xlabel="x'", ylabel="x")
top.colorbar(image, ax=top.axes, label="correlation of weight gradients\n(negative: as 0)", shrink=0.8)
middle.suptitle(f"what {STEPS} steps of training make of 17 points of sin 3x, three nets each", fontsize=10)
for ax, name in zip(middle.subplots(1, 4, sharey=True), SHOWN):
    for theta in kernels[name, deep][:3]:
        ax.plot(x, descend(theta), color=KINDS[name][2], linewidth=0.9)
    ax.plot(x, y, ":", color="black", linewidth=0.8)
    ax.plot(x[train], y[train], "o", color="black", markersize=3)
    ax.set(title=name, xlabel="x", ylim=(-1.6, 1.6))
middle.axes[0].set(ylabel="f(x)")
names, height = list(KINDS), np.arange(len(KINDS))
axes = bottom.subplots(1, 4, sharey=True)
for ax, number in zip(axes, range(4)):
    for shift, depth, colour in zip((-0.15, 0.15), DEPTHS, plot.shades(plot.COLOUR["theory"], 2)):
        plot.points(ax, height + shift, [found[name, depth].at(number) for name in names], colour, f"{depth} layers",
                    across=True, markersize=4)
        known = [place for place, name in enumerate(names) if "resnet, BN" not in name]
        ax.plot([look(infinite(names[place], depth))[number] for place in known], height[known] + shift, "|",
                color=plot.COLOUR["feedforward"], markersize=10, label="infinite width" if shift < 0 else None)
    ax.set(xlabel=QUANTITIES[number])
axes[0].set_yticks(height, names)
axes[0].invert_yaxis()
bottom.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
plot.save(fig, report.figure)


# %%
def cell(interval):
    return f"{interval.value:.2g} [{interval.low:.2g}, {interval.high:.2g}]"


def word(mean):
    """By the interval of the mean off the diagonal."""
    return "identity" if -0.1 < mean.low and mean.high < 0.1 else "rank one" if mean.low > 0.9 else "between"


notes = [f"{RUNS} nets of width {WIDTH} each, means with {LEVEL:.0%} intervals; {STEPS} steps.", "",
         "| net | layers | " + " | ".join(QUANTITIES) + " | nearest |",
         "| --- |" + " --- |" * (len(QUANTITIES) + 2)]
for (name, depth), interval in found.items():
    cells = [cell(interval.at(number)) for number in range(len(QUANTITIES))]
    notes.append(f"| {name} | {depth} | " + " | ".join([*cells, word(interval.at(0))]) + " |")
print("\n".join(notes))
why = ("Why rows differ: in He nets signals become alike, but the gradients above the first layers do not, so that "
       "far entries of the kernel tend to 1/4 and not to 1. "
       f"At width {WIDTH} the products off the diagonal have a mean of 0 and an RMS of {rms[0].mean():.2f}: what is "
       "learnt at one point disturbs those between. "
       "The closed form for BN has one deviation for all units, which real nets do not have.")
report.write("\n".join([*notes, "", why]), beyond=True)

# %% [markdown]
# **What you see.** *Memorising*: at 50 layers the kernels of BN and of standardised weights have a mean of 0 off the
# diagonal. Both nets train (error 0.03 and 0.01 after 1000 steps), and between the training points they are worse than
# f = 0: 3.6 and 2.6 where infinite width says 1. That is width, not luck: the entries off the diagonal have an RMS of
# 0.138, and 0.074 at four times the width, where the error is 1.16 (at width 100 its interval is so wide that it says
# little). At 10 layers standardised weights leave a common part, 0.12, and the error between is 0.16.
#
# *Rank one*: no net is that, and "He's nets do not train" does not come out. Their signals become alike, but the
# gradients above the first layers do not: the kernel's far entries tend to 1/4, not to 1, and the training error is
# 0.0005. What gets worse with depth, also here, is the error between: 0.04 at 10 layers, 0.33 at 50. The gradients by
# the inputs are smooth, but the gradients by the weights of He's nets slowly part, too (mean 0.53, then 0.42).
#
# *Between*: a resnet of beta 0.1 keeps its kernel from 10 layers to 50 (0.52, 0.54), and is the best at 50: 0.03
# between the points. The looks-linear net has the smoothest kernel, near the one of one layer at any depth. It is the
# slowest here: 0.23 after 1000 steps, and no worse between the points than at them. So a kernel may be too smooth for
# its target, and depth can help: the resnet's training error falls from 0.20 to 0.02. Batch normalisation in a resnet
# makes the mean small (0.04 at beta 1: "identity" by our rule), though its effective rank is 3.8: a mean of 0 can hide
# entries of both signs.
#
# *Where the closed form misses.* For BN it divides all units by one deviation, and at 10 layers it says 0.045 for the
# mean off the diagonal where nets have 0.010, and 0.011 at four times the width: it is not the width.
#
# What this leaves out: the kernel is the one at the start, and statistics are held, while training goes through them.

# %% [markdown]
# **Try.** Leave the first layer and the read-out out of the sum: of which net does the mean off the diagonal change
# most, and of which the error between the points? Fit y = x instead of sin 3x: which net now does best between the
# points? Take 10 steps and 10^6 steps: which errors between the points change, and which do not?
