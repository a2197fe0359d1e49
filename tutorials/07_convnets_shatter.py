"""Gradients shatter in convnets
================================

So far the input was a number. Do gradients shatter on real images? For 256
random CIFAR-10 images we take the gradient with respect to the image itself,
and look at how the gradients of different images resemble each other, in
feedforward and residual convnets of 2 to 50 layers. This is the convnet figure
of the paper; its curves could not be read, so its words are checked.

All of it takes some ten minutes, so the finished cells are kept in figures/07_convnets_shatter.csv and
the curves are drawn from there. `python -m tutorials 07 --train` adds what is missing.

Builds on 03 and 04. Takes about 40 seconds on one core.
"""

# %%
import csv
import os
from concurrent.futures import ProcessPoolExecutor

import numba
import numpy as np

from minishatter import freeze, intervals, plot, probe, stats
from minishatter.images import clusters, convnets, data
from minishatter.images.train import batch_last, cast
from minishatter.report import LEVEL, Report
from minishatter.running import FIGURES, progress, quick
from minishatter.sweep import sweep

TRAIN = os.environ.get("MINISHATTER_TRAIN", "0") == "1"
TABLE = FIGURES / "07_convnets_shatter.csv"
DEPTHS = (2, 4) if quick() else (2, 4, 10, 24, 50)
FEW, MINIBATCHES = 5, {"feedforward": 6 if quick() else 12, "resnet": 5}  # the resnet's ranks hardly vary
N = 16 if quick() else 256
FILTERS = 4 if quick() else 8
SEED, CLUSTERS = 7, 10
report = Report("07_convnets_shatter")
plot.use_style()

# %% [markdown]
# **Nets.** Feedforward, and residual with beta = 0.1. Depth L is counted in two ways: L convolutions with a rectifier
# each, as in the theorems; or L weight matrices, as figure 2 fits (tutorial 03): a linear stem, L - 2 convolutions
# behind rectifiers, a linear read-out. By the second count depth 2 is linear, and all images have one gradient.

# %%
NETS = {  # (kind, depth counts): the builder
    ("feedforward", "rectifiers"): lambda L, rng: convnets.flat_convnet(L, FILTERS, rng=rng),
    ("feedforward", "weights"): lambda L, rng: convnets.flat_convnet(L - 2, FILTERS, skip=0.0, beta=1.0, rng=rng),
    ("resnet", "rectifiers"): lambda L, rng: convnets.flat_convnet(L, FILTERS, beta=0.1, rng=rng),
    ("resnet", "weights"): lambda L, rng: convnets.flat_convnet(L - 2, FILTERS, beta=0.1, rng=rng),
}
KINDS, COUNTS = ("feedforward", "resnet"), ("weights", "rectifiers")


def minibatch_of(images, minibatch):
    """N random images, (3, 32, 32, N), with mean 0 and standard deviation 1 over the training set."""
    chosen = np.random.default_rng([SEED, minibatch]).choice(len(images), size=N, replace=False)
    return batch_last(data.normalised(images[chosen]))


def test_images():
    """CIFAR-10's, if MINISHATTER_DATA says where it is, or it is in the cache; else synthetic ones."""
    try:
        return data.load_cifar10(batches=("test",))
    except OSError:
        return data.synthetic_images(2000, np.random.default_rng(SEED))


# %% [markdown]
# **Gradients of images**, D with a column of 3 x 32 x 32 numbers for each image. "Held": batch statistics are
# constants, so that the gradient at one image does not depend on the others. "Through": of the sum over the minibatch,
# through its statistics, as automatic differentiation does by itself and the authors most likely did.


# %%
def image_gradients(net, x, statistics):
    """D (3072, N): the gradient of the net's output with respect to each image of a minibatch."""
    layers, caches = [], []
    for layer in net.layers:
        layers.append(layer.freeze(x) if statistics == "held" else layer)
        x, cache = layers[-1].forward(x)
        caches.append(cache)
    dx = np.ones_like(x)
    for layer, cache in zip(reversed(layers), reversed(caches)):
        dx, _ = layer.backward(dx, cache)
    return dx.reshape(-1, N)


def centred(D):
    """D without the gradient that all images share, their mean."""
    return D - D.mean(axis=1, keepdims=True)


def draw(kind, count, depth, minibatch):
    return cast(NETS[kind, count](depth, np.random.default_rng([SEED, depth, minibatch])), np.float32)


# %% [markdown]
# **Effective rank, by hand.** The sum of the squared singular values of D over the largest one. If all images have one
# gradient it is 1; if they have gradients of one size that are orthogonal, it is the number of images; in between it
# says how many directions share the work.

# %%
same, apart = np.ones((4, 3)), np.eye(4)[:, :3]  # three images of four pixels
for name, D in (("one gradient", same), ("orthogonal", apart), ("something of both", same + 3 * apart)):
    squares = np.linalg.eigvalsh(D.T @ D)  # of the singular values
    print(f"{name}: squared singular values {squares[::-1].round(2)}, effective rank {stats.effective_rank(D):.2f}")

# %% [markdown]
# **A cell** of the study: one net, one minibatch, the effective rank of D over that of Gaussian noise of its shape.
# 1 is white noise, 1/N of it one gradient for all images. With beta = 0.1 the skips alone give all images nearly one
# gradient; what the branches add is seen when the shared gradient is taken away ("centred").

# %%
NOISE = np.mean([stats.effective_rank(stats.white_noise((3072, N), np.random.default_rng(seed))) for seed in range(3)])


def cell(kind, count, depth, minibatch, statistics, filters, images):
    """The relative effective rank of one net's gradients, and of the centred ones; None where these are all 0."""
    source = data.load_cifar10(batches=("test",)) if images == 256 else test_images()  # the table holds no made ones
    x = minibatch_of(source.images, minibatch)
    D = image_gradients(draw(kind, count, depth, minibatch), x, statistics)
    rest = centred(D)
    linear = np.abs(rest).max() < 1e-4 * np.abs(D).max()  # rounding, and nothing else
    return {"rank": float(stats.effective_rank(D) / NOISE),
            "centred": None if linear else float(stats.effective_rank(rest) / NOISE)}


POINTS = [(kind, count, depth, minibatch, statistics, FILTERS, N)
          for minibatch in range(max(MINIBATCHES.values())) for statistics in ("through", "held")
          for kind, count in NETS for depth in DEPTHS
          if minibatch < (MINIBATCHES[kind] if statistics == "through" else FEW)]


def finished():
    """The points whose rows the table holds already, so that nothing is computed."""
    with TABLE.open(newline="", encoding="utf-8") as file:
        held = {(row["kind"], row["count"], int(row["depth"]), int(row["minibatch"]), row["statistics"])
                for row in csv.DictReader(file)}
    return [point for point in POINTS if point[:5] in held]


def rows():
    """The finished cells: from the table, after computing what is missing if that is wanted."""
    if quick():
        return sweep(cell, POINTS, progress=progress("minibatches"))
    if TRAIN:
        cores = os.cpu_count() or 1
        with ProcessPoolExecutor(cores, initializer=numba.set_num_threads, initargs=(1,)) as executor:
            return sweep(cell, POINTS, executor, TABLE, progress("minibatches"))
    return sweep(cell, finished(), path=TABLE)


table = rows()

# %% [markdown]
# **Means over minibatches**, with 99 % intervals: a new net and new images for each. Held and through share both, so
# their difference is taken within each minibatch and hardly varies: five of them tell "held" as well as twelve would,
# as the mean of "through" less that difference (the half-widths of both added up).


# %%
def ranks(kind, count, depth, statistics, name="rank"):
    """The finished cells of one net, in the order of the minibatches."""
    cells = {int(row["minibatch"]): row[name] for row in table
             if (row["kind"], row["count"], row["statistics"]) == (kind, count, statistics) and row["depth"] == depth}
    return np.array([cells[minibatch] for minibatch in sorted(cells)], dtype=float)  # NaN for None


def mean_rank(*point, **kwargs):
    return intervals.mean_interval(ranks(*point, **kwargs), LEVEL)


def difference(kind, count, depth):
    """Through minus held, of the minibatches that have both."""
    held = ranks(kind, count, depth, "held")
    return intervals.mean_interval(ranks(kind, count, depth, "through")[:held.size] - held, LEVEL)


def held_rank(kind, count, depth):
    through, less = mean_rank(kind, count, depth, "through"), difference(kind, count, depth)
    return intervals.Interval(through.value - less.value, through.low - less.high, through.high - less.low)


# %% [markdown]
# The figure: similarities of the first minibatch's gradients (through, depth counts weights), images re-ordered by
# k-means (k = 10) on the gradients of the four-layer net (by this count two layers are linear), the same order along a
# row; on the right the effective rank. Rings: statistics held. Whitened is not the same as equally large: the deepest
# feedforward gradient is also compared with noise that is as large for each image and at each pixel as it is.


# %%
def noise_of_the_same_sizes(D):
    """Gaussian noise with the row sizes, then the column sizes, of D."""
    noise = stats.white_noise(D.shape, np.random.default_rng(SEED)) * np.sqrt((D**2).mean(axis=1, keepdims=True))
    return noise * np.linalg.norm(D, axis=0) / np.linalg.norm(noise, axis=0)


def similarity(D):
    """|correlation| of the centred gradients of each pair of images, (N, N)."""
    D = centred(D)
    D = D / np.linalg.norm(D, axis=0)
    return np.abs(D.T @ D)


images = test_images()
drawn = f"{N} {images.name.removesuffix(' images')} images"
what = drawn if quick() else f"{N} CIFAR-10 images"  # of which the table is
x, SHOWN = minibatch_of(images.images, 0), DEPTHS[1:]
fig = plot.page((12, 5.2))
left, right = fig.subfigures(1, 2, width_ratios=[2, 1])
axes = left.subplots(2, len(SHOWN), squeeze=False)
for row, kind in zip(axes, KINDS):
    first = {depth: image_gradients(draw(kind, "weights", depth, 0), x, "through") for depth in SHOWN}
    if kind == "feedforward":
        deepest_ranks = [stats.effective_rank(D) / NOISE
                         for D in (first[DEPTHS[-1]], noise_of_the_same_sizes(first[DEPTHS[-1]]))]
    shallow = centred(first[SHOWN[0]])
    cluster = clusters.kmeans((shallow / np.linalg.norm(shallow, axis=0)).T, min(CLUSTERS, N),
                              np.random.default_rng(SEED))
    order = np.argsort(cluster, kind="stable")
    for ax, depth in zip(row, SHOWN):
        image = plot.matrix(ax, similarity(first[depth])[np.ix_(order, order)], high=0.5)
        ax.set_title(f"{depth} layers")
    row[0].set_ylabel(kind if kind == "feedforward" else rf"{kind}, $\beta$ = 0.1")
left.suptitle(f"|correlation| of the centred gradients of {drawn}", fontsize=10)
left.colorbar(image, ax=axes, shrink=0.6)
ax = right.subplots()
for kind, colour in zip(KINDS, (plot.COLOUR["feedforward"], plot.COLOUR["resnet 0.1"])):
    for count, style in zip(COUNTS, ("-", ":")):
        value, low, high = np.transpose([mean_rank(kind, count, depth, "through") for depth in DEPTHS])
        ax.plot(DEPTHS, value, style, color=colour, label=f"{kind}, depth counts {count}")
        ax.fill_between(DEPTHS, low, high, color=colour, alpha=0.15, linewidth=0)
        ax.plot(DEPTHS, [held_rank(kind, count, depth).value for depth in DEPTHS], "o", color=colour,
                markerfacecolor="none", markersize=5)
    rest = [ranks(kind, "weights", depth, "through", "centred").mean() for depth in SHOWN]
    ax.plot(SHOWN, rest, "--", color=colour, label=f"{kind}, centred")
ax.set(yscale="log", xlabel="depth", ylabel="effective rank over white noise's", title="Whiteness",
       ylim=(0.005, 6))
plot.log_depths(ax, DEPTHS)
ax.legend(fontsize=7, loc="upper left")
plot.save(fig, report.figure)

# %% [markdown]
# **What you see.** Gradients of feedforward convnets whiten with depth: their effective rank climbs from 0.006 (one
# gradient for all images: rank 1 where noise has 157) over 0.02 and 0.39 to 0.59 [0.51, 0.67] at 24 layers. At 50 it
# is 0.49 [0.43, 0.56]: what is missing to 1 is size, not direction. The resnet keeps 0.011 at 50 layers, and 0.11
# without the gradient that all images share. Through or held makes no difference here, 0.007 at most: a statistic is
# a mean over 256 images times 1,024 pixels, so one image hardly moves it. Counting depth the other way shifts the
# shallow end only (0.58 instead of 0.39 at 10).

# %% [markdown]
# **Claims**, in words: feedforward gradients whiten with depth, those of the resnet keep structure. Both counts of
# depth, statistics through; "intervals apart" means that the 99 % intervals do not overlap.

# %%
deepest, shallowest = DEPTHS[-1], DEPTHS[0]


def claim_yes(statement, source, yes, beyond=False):
    print(report.claim(f"{statement} (1 = yes); {what}", source, 1.0, float(yes), beyond=beyond))


for count in COUNTS:
    deep, shallow = (mean_rank("feedforward", count, depth, "through") for depth in (deepest, shallowest))
    resnet = mean_rank("resnet", count, deepest, "through")
    at = f"depth counts {count}"
    claim_yes(f"feedforward: effective rank at {deepest} layers above that at {shallowest}, intervals apart, {at}",
              "convnet figure in words: whitens with depth", deep.low > shallow.high)
    claim_yes(f"at {deepest} layers: the resnet's effective rank below the feedforward net's, intervals apart, {at}",
              "convnet figure in words: keeps structure", resnet.high < deep.low)
    claim_yes(f"the same for centred gradients, {at}", "convnet figure in words: keeps structure",
              mean_rank("resnet", count, deepest, "through", name="centred").high
              < mean_rank("feedforward", count, deepest, "through", name="centred").low, beyond=True)
    print(report.claim(f"feedforward, {deepest} layers: effective rank over white noise's, {at}; {what}",
                       "convnet figure in words: white noise is 1", 1.0, deep, in_kind=0.5))
differences = [difference(kind, "weights", depth) for kind in KINDS for depth in DEPTHS]
print(report.claim(f"effective rank, through minus held, both kinds, {', '.join(map(str, DEPTHS))} layers; {what}",
                   "derived: each statistic is a mean over images and pixels", np.zeros(len(differences)),
                   differences, tolerance=1e-3, beyond=True))

# %% [markdown]
# **Between two images.** Effective rank compares images that have nothing to do with each other. How soon does a
# gradient forget itself on the way from one image to another? `probe.along` walks there in 256 points, all batch
# statistics held at those of a minibatch. In nets of 24 layers the feedforward gradient has forgotten itself at the
# next point, within 0.003 of the way; the resnet's lasts for 0.12 [0.03, 0.21] of it.

# %%
WALK, PAIRS = (16, 5) if quick() else (256, 8)


def length_between(kind, depth, pair):
    """The correlation length between two images of a minibatch, as a share of their distance."""
    x = minibatch_of(images.images, pair)
    net = freeze(draw(kind, "weights", depth, pair), x)

    def gradient(points):
        y, cache = net.forward(batch_last(points.reshape(-1, 3, 32, 32).astype(np.float32)))
        dx, _ = net.backward(np.ones_like(y), cache)
        return np.moveaxis(dx, -1, 0).reshape(points.shape)

    a, b = (x[..., image].reshape(-1) for image in (0, 1))
    return probe.along(gradient, a, b, WALK).diagnosis.correlation_length / np.linalg.norm(b - a)


BETWEEN = 4 if quick() else 24
lengths = {kind: [length_between(kind, BETWEEN, pair) for pair in range(PAIRS)] for kind in KINDS}
lengths = {kind: intervals.mean_interval(np.array(shares), LEVEL) for kind, shares in lengths.items()}
walks = [f"| {kind}, {BETWEEN} layers | {share.value:.3f} [{share.low:.3f}, {share.high:.3f}] |"
         for kind, share in lengths.items()]
print("\n".join(walks))
claim_yes(f"{BETWEEN} layers: correlation length between two images, feedforward below resnet, intervals apart",
          "derived: shattering, between images", lengths["feedforward"].high < lengths["resnet"].low, beyond=True)

# %% [markdown]
# The notes below the table: every depth.


# %%
def shown(interval):
    return f"{interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


lines = [f"| {kind} | {count} | {depth} | {shown(mean_rank(kind, count, depth, 'through'))} "
         f"| {shown(held_rank(kind, count, depth))} | {difference(kind, count, depth).value:.4f} |"
         for kind in KINDS for count in COUNTS for depth in DEPTHS]
print("\n".join(lines))
why = (f"Why rows differ: the gradients of {deepest} layers whiten in direction, not in size. On the minibatch of the "
       f"figure their effective rank is {deepest_ranks[0]:.2f}, and that of noise as large for each image and at each "
       f"pixel {deepest_ranks[1]:.2f}.")
print(why)
head = "| net | depth counts | depth | through | held | through - held |"
report.write("\n".join([
    why, "", f"Images: {what}, {FILTERS} filters; {MINIBATCHES['feedforward']} minibatches of the feedforward nets "
    f"through, {FEW} of all others. Effective rank over white noise's:", "", head,
    "| --- | --- | --- | --- | --- | --- |", *lines, "",
    f"The way between two images, {PAIRS} pairs of a net and a way:", "",
    "| net | the gradient forgets itself within this share |", "| --- | --- |", *walks]))

# %% [markdown]
# **Try.** Hold the images and draw only the nets anew: which of the two moves the intervals? What happens without batch
# normalisation? Take the gradient with respect to the first layer's output.
