"""Gradients shatter in convnets
================================

So far the input was a number. Do gradients shatter on real images? For 256
random CIFAR-10 images we take the gradient with respect to the image itself,
and look at how the gradients of different images resemble each other, in
feedforward and residual convnets of 2 to 50 layers. This is the convnet figure
of the paper; its curves could not be read, so its words are checked.
"""

# %%
import numpy as np

from minishatter import freeze, intervals, plot, stats
from minishatter.images import clusters, convnets, data
from minishatter.images.train import batch_last
from minishatter.report import LEVEL, Report
from minishatter.running import progress, quick

DEPTHS = (2, 4) if quick() else (2, 4, 10, 24, 50)
MINIBATCHES, N = (5, 16) if quick() else (5, 256)
FILTERS = 4 if quick() else 8
SEED, CLUSTERS = 7, 10
MEAN, STD = np.array([125.3, 123.0, 113.9]), np.array([63.0, 62.1, 66.7])  # of CIFAR-10's training set
report = Report("07_convnets_shatter")
plot.use_style()

# %% [markdown]
# The test images, if the environment variable MINISHATTER_DATA says where CIFAR-10 is, or it is in the cache; else made
# ones.

# %%
try:
    images = data.load_cifar10(batches=("test",))
except OSError:
    images = data.synthetic_images(2000, np.random.default_rng(SEED))
what = f"{N} {images.name.removesuffix(' images')} images"
print(what)

# %% [markdown]
# **Gradients of images.** Batch statistics are held: the net is frozen on the minibatch, so that the gradient at one
# image does not depend on the others. D has one column per image, 3 x 32 x 32 numbers each.

# %%
BETAS = {"feedforward": None, "resnet": 0.1}


def image_gradients(kind, depth, minibatch):
    """D (3072, N): the gradient of the net's output with respect to each image of a minibatch."""
    chosen = np.random.default_rng([SEED, minibatch]).choice(len(images.images), size=N, replace=False)
    x = batch_last((images.images[chosen] - MEAN[:, None, None]) / STD[:, None, None])
    net = convnets.flat_convnet(depth, FILTERS, beta=BETAS[kind], rng=np.random.default_rng([SEED, depth, minibatch]))
    frozen = freeze(net, x)
    _, cache = frozen.forward(x)
    dx, _ = frozen.backward(np.ones((N, 1)), cache)
    return dx.reshape(-1, N)


def centred(D):
    """D without the gradient that all images share, their mean."""
    return D - D.mean(axis=1, keepdims=True)


def similarity(D):
    """|correlation| of the centred gradients of each pair of images, (N, N)."""
    D = centred(D)
    D = D / np.linalg.norm(D, axis=0)
    return np.abs(D.T @ D)


# %% [markdown]
# **Whiteness**: the effective rank of D over that of Gaussian noise of the same shape, with a 99 % interval over
# minibatches (new images, new net). 1 would be white noise. With beta = 0.1 the skips alone give all images nearly one
# gradient, so that D has nearly rank one; what the branches add is seen when the shared gradient is taken away, dashed.

# %%
first, rank, centred_rank = {}, {}, {}
noise_rank = np.mean([stats.effective_rank(stats.white_noise((3072, N), np.random.default_rng(seed)))
                      for seed in range(3)])
for kind in BETAS:
    for depth in DEPTHS:
        ranks = []
        for minibatch in progress(f"{kind}, {depth} layers")(range(MINIBATCHES)):
            D = image_gradients(kind, depth, minibatch)
            ranks.append([stats.effective_rank(part) / noise_rank for part in (D, centred(D))])
            first.setdefault((kind, depth), D)
        whole, rest = zip(*intervals.mean_interval(np.array(ranks), LEVEL))
        rank[kind, depth], centred_rank[kind, depth] = intervals.Interval(*whole), intervals.Interval(*rest)

# %% [markdown]
# The figure: similarities of the first minibatch's gradients, images re-ordered by k-means (k = 10) on the gradients of
# the two-layer net, the same order along a row; on the right the effective rank.

# %%
fig = plot.page((12, 4.8))
left, right = fig.subfigures(1, 2, width_ratios=[2.6, 1])
axes = left.subplots(2, len(DEPTHS), squeeze=False)
for row, kind in zip(axes, BETAS):
    two_layers = centred(first[kind, DEPTHS[0]])
    cluster = clusters.kmeans((two_layers / np.linalg.norm(two_layers, axis=0)).T, min(CLUSTERS, N),
                           np.random.default_rng(SEED))
    order = np.argsort(cluster, kind="stable")
    for ax, depth in zip(row, DEPTHS):
        image = plot.matrix(ax, similarity(first[kind, depth])[np.ix_(order, order)], high=0.5)
        ax.set_title(f"{depth} layers")
    row[0].set_ylabel(kind if BETAS[kind] is None else rf"{kind}, $\beta$ = {BETAS[kind]}")
left.suptitle(f"|correlation| of the centred gradients of {what}", fontsize=10)
left.colorbar(image, ax=axes, shrink=0.6)
ax = right.subplots()
intervals = [[np.array(part) for part in zip(*(rank[kind, depth] for depth in DEPTHS))] for kind in BETAS]
plot.curves(ax, DEPTHS, intervals, list(BETAS), [plot.COLOUR["feedforward"], plot.COLOUR["resnet 0.1"]])
for kind, colour in zip(BETAS, ("feedforward", "resnet 0.1")):
    ax.plot(DEPTHS, [centred_rank[kind, depth].value for depth in DEPTHS], "--", color=plot.COLOUR[colour],
            label=f"{kind}, centred")
ax.set(xscale="log", xlabel="depth", ylabel="effective rank over white noise's", title="Whiteness")
ax.set_xticks(DEPTHS, DEPTHS)
ax.minorticks_off()
ax.legend()
plot.save(fig, report.figure)

# %% [markdown]
# **Claims**, in words: feedforward gradients whiten with depth, those of the resnet keep structure.

# %%
deepest, shallowest = DEPTHS[-1], DEPTHS[0]
for (kind, depth), interval in rank.items():
    print(f"  {kind:<12}{depth:>3} layers: {interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}], "
          f"centred {centred_rank[kind, depth].value:.3f}")
rises = float(rank["feedforward", deepest].low > rank["feedforward", shallowest].high)
print(report.claim(f"feedforward: effective rank at {deepest} layers above that at {shallowest}, intervals apart "
                   f"(1 = yes); {what}", "convnet figure in words: whitens with depth", 1.0, rises))
below = float(rank["resnet", deepest].high < rank["feedforward", deepest].low)
print(report.claim(f"at {deepest} layers: the resnet's effective rank below the feedforward net's, intervals apart "
                   f"(1 = yes); {what}", "convnet figure in words: keeps structure", 1.0, below))
print(report.claim(f"feedforward, {deepest} layers: effective rank over white noise's; {what}",
                   "convnet figure in words: white noise is 1", 1.0, rank["feedforward", deepest], in_kind=0.5))
apart = float(centred_rank["resnet", deepest].high < centred_rank["feedforward", deepest].low)
print(report.claim(f"the same for centred gradients (1 = yes); {what}", "convnet figure in words: keeps structure", 1.0,
                   apart, beyond=True))
report.write(f"Images: {what}; {MINIBATCHES} minibatches, {FILTERS} filters, batch normalisation with statistics held.")

# %% [markdown]
# **Try.** Hold the images and draw only the nets anew: which of the two moves the intervals? What happens without batch
# normalisation? Take the gradient with respect to the first layer's output.
