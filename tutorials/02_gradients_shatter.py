"""Gradients shatter
====================

What does the gradient of a net at initialisation look like, as the input moves
along a line? For one layer like a random walk, for 24 layers like white noise:
it has shattered. A resnet of 50 layers is in between. This is figure 1 of the
paper, measured.

Builds on 01. Takes about 45 seconds on one core.
"""

# %%
import numpy as np

from minishatter import Chain, Center, Dense, ReLU, gradients, intervals, nets, plot, stats
from minishatter.report import Report
from minishatter.running import quick

RUNS = 20 if quick() else 200
SEED = 1702
x = gradients.grid()
report = Report("02_gradients_shatter")
plot.use_style()

# %% [markdown]
# (a) is the sum f(x) = w . relu(x v - b) with v = (1, ..., 1). The law of b and w is not
# stated in the paper; b ~ N(0, 1) and w ~ N(0, 1/N) look like its figure.
# (b) is centred over the batch, (c) is batch-normalised with beta = 0.1; batch statistics
# are held constant.

# %%
N = 200


def one_layer(rng):
    b, w = rng.normal(size=N), rng.normal(0, N**-0.5, size=N)
    return Chain(Dense(np.ones((1, N)), -b), ReLU(), Dense(w[:, None]))


def feedforward(rng):
    return nets.feedforward_layers(24, norm="center", rng=rng)


def resnet(rng):
    return nets.resnet_layers(50, beta=0.1, rng=rng)


layer_1 = gradients.ensemble(one_layer, x, RUNS, [SEED, 1])
layer_24 = gradients.ensemble(feedforward, x, RUNS, [SEED, 24])
resnet_50 = gradients.ensemble(resnet, x, RUNS, [SEED, 50])
rng = np.random.default_rng(SEED)
brown, white = stats.brown_noise((RUNS, x.size), rng), stats.white_noise((RUNS, x.size), rng)

# %% [markdown]
# **Centering by hand**, for one of the nets (b). Behind each hidden weight matrix the mean over the batch is
# subtracted, so that a unit is on for about half of the inputs. A unit's slope stays: the mean is held constant.

# %%
value, slope = x[:, None], np.ones((x.size, 1))
layers = list(feedforward(np.random.default_rng(SEED)))
for layer in layers:
    if isinstance(layer, Dense):
        value, slope = value @ layer.params["W"] + layer.params["b"], slope @ layer.params["W"]
    elif isinstance(layer, Center):
        value = value - value.mean(axis=0)
    else:
        value, slope = np.maximum(value, 0), slope * (value > 0)
gap = np.abs(slope[:, 0] - gradients.input_gradient(Chain(*layers), x)).max()
print(f"f'(x) of 24 centred layers, by hand and by gradients.input_gradient: at most {gap:.0e} apart")

# %% [markdown]
# One run of each, above its matrix |(g - mean g)(g - mean g)^T| / var g. The matrix of one
# run has rank one: it is a way of *looking* at g, not an estimate of a covariance.

# %%
COLUMNS = [("(a) 1 layer", layer_1, "plain"), ("(b) 24 layers, centred", layer_24, "feedforward"),
           (r"(c) 50-layer resnet, $\beta$ = 0.1", resnet_50, "resnet 0.1"),
           ("(d) brown noise", brown, "brown"), ("(e) white noise", white, "white")]
fig, axes = plot.panels(2, 5, (11, 4.2), height_ratios=[1, 1.1])
for (title, ensemble, colour), top, bottom in zip(COLUMNS, *axes):
    plot.gradient(top, x, ensemble[0], plot.COLOUR[colour])
    top.set_title(title)
    top.set_xlabel("x")
    image = plot.matrix(bottom, stats.rank_one_covariance(ensemble[0]), high=4)
fig.colorbar(image, ax=axes[1, -1], shrink=0.8, extend="max")
axes[0, 0].set_ylabel("gradient of one net")
axes[1, 0].set_ylabel("covariance of one net")
plot.save(fig, report.figure)

# %% [markdown]
# **What you see.** The gradient of one layer is a random walk that moves in the middle, where the kinks are. That of 24
# centred layers forgets itself within 0.63 grid steps, as white noise does: at the next point of the grid it is
# another number. The resnet has 50 layers and stays between the two. In the matrices a walk shows large patches, noise
# shows none. The nets (b) agree with the paper in shape and differ in scale: their spread is 0.99, its figure has 0.05.

# %% [markdown]
# The paper's panels show one run each, so its numbers are compared with the spread over
# nets: the interval holds the middle 99 % of nets, the measured value is their median.


# %%
def over_nets(values):
    low, median, high = np.quantile(values, [0.005, 0.5, 0.995])
    return intervals.Interval(median, low, high)


def extent(g):
    return np.ptp(g, axis=1)


FIGURE = "figure 1({}), read by eye; interval over nets"
print(report.claim("1 layer: largest minus smallest gradient", FIGURE.format("a"), 1.9, over_nets(extent(layer_1)),
                   tolerance=0.1, in_kind=1.0))
print(report.claim("50-layer resnet: largest minus smallest gradient", FIGURE.format("c"), 3.9,
                   over_nets(extent(resnet_50)), tolerance=0.2, in_kind=2.0))
print(report.claim("24 layers, He weights: standard deviation along the grid", FIGURE.format("b"), 0.05,
                   over_nets(layer_24.std(axis=1)), tolerance=0.01, in_kind=0.05))
print(report.claim("24 layers: largest |gradient| in units of the standard deviation", FIGURE.format("b"), 0.17 / 0.05,
                   over_nets(np.abs(layer_24).max(axis=1) / layer_24.std(axis=1)), tolerance=0.8, in_kind=2.0))

# %% [markdown]
# The spread of (b) is off by a factor of some 20. A net without hidden biases is positively
# homogeneous in each weight matrix, so weights that are smaller by a factor s shrink the
# gradient by s^24 and leave its shape. A normal truncated at two standard deviations
# and not rescaled has s^2 = 0.774. No source states that the authors used it: an inference.

# %%
truncated = layer_24 * 0.774**12
print(report.claim("24 layers, weights of variance 0.774 * 2/N: standard deviation along the grid",
                   "figure 1(b), our inference", 0.05, over_nets(truncated.std(axis=1)), tolerance=0.01, in_kind=0.05,
                   beyond=True))

# %% [markdown]
# In words: (a) is flat at both ends and moves in the middle; (b) looks like white noise;
# (c) lies between brown and white. As numbers: the share of squared increments in the
# middle half of the grid (kinks with |b| < 1), and the lag at which the autocorrelation
# along the grid falls below 1/e.

# %%
increments = np.diff(layer_1, axis=1)**2
middle = increments[:, 64:191].sum(axis=1) / increments.sum(axis=1)
share = intervals.mean_interval(middle)
print(report.claim("1 layer: share of squared increments at |x| < 1", "figure 1(a) in words; P(|b| < 1) / P(|b| < 2)",
                   0.6827 / 0.9545, share, in_kind=0.1))


def length(ensemble):
    return stats.correlation_length(stats.autocorrelation(ensemble, 200))


lengths = {name: length(ensemble) for name, ensemble, _ in COLUMNS}
for name, values in lengths.items():
    print(f"  correlation length {np.median(values):6.2f} steps  {name}")
whitened = intervals.mean_interval(lengths["(b) 24 layers, centred"])
noise = lengths["(e) white noise"].mean()
print(report.claim("24 layers: correlation length in grid steps, beside white noise's", "figure 1(b, e) in words",
                   noise, whitened, in_kind=0.5))
between = np.sort([np.median(lengths[name]) for name, _, _ in COLUMNS[1:]])
position = float(np.flatnonzero(between == np.median(lengths[COLUMNS[2][0]]))[0] + 1)
print(report.claim("50-layer resnet: rank of its correlation length among white, 24 layers, resnet, brown",
                   "figure 1 in words: between brown and white", 3.0, position))
report.write("""Why a row differs: with He weights the gradient has variance 1 over the draw of the net, so a spread of
0.05 does not come from them. Weights of a normal cut at two standard deviations and not rescaled have it (a row of the
second part). That is our inference; no source states it.""")

# %% [markdown]
# **Try.** Leave out norm="center" in (b): does it still shatter? Set beta to 1 in (c). Draw
# another seed. Why is the picture of (a) smoother at the ends?
