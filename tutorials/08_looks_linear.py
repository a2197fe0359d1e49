"""Looking linear: a net that starts without shattering
=======================================================

A skip connection is one way to keep gradients from shattering. Here is another:
start linear. A concatenated rectifier keeps both halves of its input, and mirrored
weights (W, -W) put them together again: W relu(x) - W relu(-x) = W x. The net is
linear at the start, however deep, and stops being so as the halves drift apart.

Builds on 02. Takes about 20 seconds on one core.
"""

# %%
import numpy as np

from minishatter import Dense, PReLU, gradients, intervals, nets, plot
from minishatter.images import Conv2d, convnets
from minishatter.report import LEVEL, Report
from minishatter.running import quick

DEPTH, WIDTH = (6, 20) if quick() else (24, 200)
CONV_DEPTHS = (6, 14) if quick() else (6, 14, 30, 54, 102, 198)
RUNS, SEED = (5, 8) if quick() else (10, 8)
x = gradients.grid()
report = Report("08_looks_linear")
plot.use_style()


def rng(*key):
    return np.random.default_rng([SEED, *key])


# %% [markdown]
# **By hand.** Three numbers into two, by a random W. A rectifier of each sign loses nothing, and mirrored weights put
# the halves together.

# %%
W, u = rng(4).standard_normal((3, 2)), rng(5).standard_normal((4, 3))
halves = np.concatenate([np.maximum(u, 0), np.maximum(-u, 0)], axis=1)  # CReLU: (4, 6)
mirrored = np.concatenate([W, -W])                                      # (6, 2)
print(f"CReLU(u) (W, -W) and u W are at most {np.abs(halves @ mirrored - u @ W).max():.0e} apart")

# %% [markdown]
# **On the line.** The gradient of a He-initialised CReLU net, of a looks-linear one, and of the second kind: a PReLU
# whose slope starts at 1, on orthogonal weights. The last two are constant: one piece.

# %%
KINDS = {
    "CReLU, He": dict(activation="crelu"),
    "CReLU, looks-linear": dict(activation="crelu", init="looks_linear"),
    "PReLU, slope 1": dict(activation="prelu", init="looks_linear"),
}
lines = {name: gradients.input_gradient(nets.feedforward(DEPTH, WIDTH, **kind, rng=rng(0)), x)
         for name, kind in KINDS.items()}
for name in list(KINDS)[1:]:
    spread = float(np.ptp(lines[name]) / np.abs(lines[name]).max())
    print(report.claim(f"{name}, {DEPTH} layers: spread of the gradient along the grid, relative",
                       "looks-linear: the net is linear at initialisation", 0.0, spread, tolerance=1e-10))

# %% [markdown]
# **On images.** A looks-linear convnet has delta-orthogonal filters: zero but for the centre tap, an orthogonal matrix,
# mirrored. We check superposition, f(2 x - 3 z) = 2 f(x) - 3 f(z), that all images have one gradient, and that each
# layer's matrix is orthogonal.

# %%
def orthogonality(layer):
    """Largest entry of |W W^T - I| (on the smaller side) for the unmirrored half of a layer's matrix."""
    W = layer.params["W"]
    W = W[:, :, 1, 1] if W.ndim == 4 else W.T  # (outs, channels)
    half = W[:, :W.shape[1] // 2] if np.array_equal(W[:, :W.shape[1] // 2], -W[:, W.shape[1] // 2:]) else W
    gram = half @ half.T if half.shape[0] <= half.shape[1] else half.T @ half
    return np.abs(gram - np.eye(len(gram))).max()


def linearity(depth):
    """Relative error of superposition, relative spread of the gradient over images, worst orthogonality."""
    net = convnets.convnet(depth, activation="crelu", init="looks_linear", rng=rng(depth))
    a, b = rng(1).standard_normal((2, 3, 32, 32, 4))
    f_a, cache = net.forward(a)
    f_b, _ = net.forward(b)
    both, _ = net.forward(2 * a - 3 * b)
    dx, _ = net.backward(np.ones_like(f_a), cache)
    spread = np.abs(dx - dx[..., :1]).max() / np.abs(dx).max()
    worst = max(orthogonality(layer) for layer in net.layers if isinstance(layer, (Conv2d, Dense)))
    return np.abs(both - (2 * f_a - 3 * f_b)).max() / np.abs(both).max(), spread, worst


exact = {depth: linearity(depth) for depth in CONV_DEPTHS}
deepest = CONV_DEPTHS[-1]
for statement, value in zip(("error of superposition, relative", "spread of the gradient over images, relative",
                             "|W W^T - I|, largest over all layers"), exact[deepest]):
    print(report.claim(f"looks-linear convnet, {deepest} layers: {statement}", "looks-linear: linear, orthogonal", 0.0,
                       value, tolerance=1e-10))

# %% [markdown]
# **How it stops being linear.** Training moves the two halves apart. Add independent noise of relative size e to every
# weight of the dense net: the mirror breaks, units begin to switch, and the gradient roughens, long before it shatters.
# The PReLU kind likewise, as its slope leaves 1.

# %%
NOISES = (1e-3, 1e-2, 0.1, 0.3, 1.0)
SLOPES = (0.999, 0.99, 0.9, 0.7, 0.25)


def roughness(g):
    """The variation of the gradient between neighbours: its total variation over the largest gradient."""
    return np.abs(np.diff(g)).sum() / np.abs(g).max()


def broken_mirror(noise, run):
    net = nets.feedforward(DEPTH, WIDTH, activation="crelu", init="looks_linear", rng=rng(2, run))
    draws = rng(3, run)
    for layer in net.layers[1:]:
        if isinstance(layer, Dense):
            W = layer.params["W"]
            W += noise * W.std() * draws.standard_normal(W.shape)
    return gradients.input_gradient(net, x)


def bent_slope(slope, run):
    net = nets.feedforward(DEPTH, WIDTH, activation="prelu", init="looks_linear", rng=rng(2, run))
    for layer in net.layers:
        if isinstance(layer, PReLU):
            layer.params["slope"][:] = slope
    return gradients.input_gradient(net, x)


def over_runs(net_gradient, key):
    return intervals.mean_interval(np.array([roughness(net_gradient(key, run)) for run in range(RUNS)]), LEVEL)


rough = {("mirror", noise): over_runs(broken_mirror, noise) for noise in NOISES}
rough |= {("slope", slope): over_runs(bent_slope, slope) for slope in SLOPES}
he = roughness(lines["CReLU, He"])
small = rough["mirror", NOISES[0]]
print(report.claim(f"{DEPTH} layers, mirror broken by {NOISES[0]:g} of the weights: total variation of the gradient",
                   "looks-linear: stays smooth near the start", 0.0, small, in_kind=0.5, beyond=True))

# %%
fig, axes = plot.panels(1, 2, (11, 3.9))
COLOURS = [plot.COLOUR[name] for name in ("CReLU", "looks-linear", "leaky")]
for (name, g), colour, width in zip(lines.items(), COLOURS, (1.0, 3.0, 1.4)):
    axes[0, 0].plot(x, g, color=colour, label=name, linewidth=width)
axes[0, 0].set(title=f"At initialisation, {DEPTH} layers", xlabel="x", ylabel="f'(x)")
axes[0, 0].legend()
for kind, keys, colour, label in (("mirror", NOISES, COLOURS[1], "CReLU, noise e on the weights"),
                                  ("slope", SLOPES, COLOURS[2], "PReLU, slope 1 - e")):
    distance = [key if kind == "mirror" else 1 - key for key in keys]
    plot.points(axes[0, 1], distance, [rough[kind, key] for key in keys], colour, label, "o-", markersize=4)
axes[0, 1].axhline(he, color=COLOURS[0], linewidth=1, label="CReLU, He")
axes[0, 1].set(title="Leaving the linear net", xlabel="distance e from looking linear", xscale="log", yscale="log",
               ylabel="total variation of f'")
axes[0, 1].legend()
plot.save(fig, report.figure)
report.write()

# %% [markdown]
# **What you see.** Left: 24 layers with mirrored weights have a constant gradient, and so has the PReLU net of slope 1,
# to 5e-14 of its size; with He weights the same CReLU net is ragged. A looks-linear convnet of 198 layers is linear to
# 3e-15. Right: the further the halves drift apart, the rougher the gradient. Noise of a tenth of the weights makes
# it a third as rough as the He net's, and so does a PReLU whose slope has gone from 1 to 0.9.

# %% [markdown]
# **Try.** Which e makes the looks-linear net as rough as a 4-layer He net? Train one (tutorial 09) and measure how far
# its halves have moved. Why must the first layer not be mirrored?
