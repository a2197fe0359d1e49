"""The theorems, on the ground they speak of
==========================================

The theorems say how the gradients at two inputs correlate over the draw of the
net. They assume that units are active like coin flips. So we test them three
times: on gated nets, where activity *is* a coin flip; on real nets whose weights
are drawn so that the assumption comes true; and on the nets that everybody
draws. This is the correlation of Definition 1, between two fixed inputs over many
nets; it is not the autocorrelation of figure 2, along a line in one net.

Builds on 04. Takes about 60 seconds on one core.
"""

# %%
import numpy as np

from minishatter import Affine, BatchNorm, Chain, Dense, Identity, ReLU, Sum, gradients, init, intervals, nets, plot
from minishatter import theory
from minishatter.correlation_maps import k0, k1, neuron_correlation
from minishatter.report import LEVEL, Report
from minishatter.running import progress, quick

GATED_RUNS, GATED_WIDTH, GATED_DEPTHS = 2_000 if quick() else 40_000, 8, (1, 2, 4, 8)
RUNS, BATCH_RUNS, DEEP_RUNS = (8, 6, 6) if quick() else (40, 16, 12)
DEPTHS, LONG_DEPTHS = ((2, 4, 10), (2, 10)) if quick() else ((2, 4, 10, 24), (2, 4, 10, 24, 50, 100))
BETAS = (1.0, 0.3, 0.1)
WIDTH, INPUTS, FEW, BATCH, SEED = 200, 200, 32, 256, 5
rng = np.random.default_rng(SEED)
report = Report("05_theorems")
plot.use_style()

# %% [markdown]
# **One layer by hand.** A gradient passes a unit if its gate is open, and is multiplied by w with E w^2 = 2. Two inputs
# throw two coins for the same w. The variance stays 1, and the product of the two gradients is 1/2: both gates must be
# open. With a skip the gradient itself is added: the variance is 2, the product 3/2, and R = 3/4.

# %%
by_hand = np.random.default_rng([SEED, 0])
w, gates = by_hand.normal(0, 2**0.5, 1_000_000), by_hand.random((2, 1_000_000)) < 0.5
for name, (a, b) in (("no skip", w * gates), ("skip", 1 + w * gates)):
    print(f"{name}: variance {np.mean(a**2):.3f}, product {np.mean(a * b):.3f}, R {np.mean(a * b) / np.mean(a**2):.3f}")

# %% [markdown]
# **Gated nets.** The same coin-flip net with different skip and branch weights serves all
# statements. Their moments are exact at any width, so small nets will do.

# %%
ROOT_HALF = 0.5**0.5
STATEMENTS = {  # name: (skip, branch, share) of L layers, and the moments of L layers; Theorem 3 counts one more
    "Theorem 1": (lambda L: (0.0, 1.0, None), theory.feedforward),
    "Theorem 2": (lambda L: (1.0, 1.0, None), theory.resnet),
    "Theorem 2, alpha = 1/sqrt 2": (lambda L: (ROOT_HALF, ROOT_HALF, None), lambda L: theory.resnet(L, ROOT_HALF)),
    "Theorem 3, beta = 1": (lambda L: (1.0, 1.0, 1.0), lambda L: theory.batchnorm_resnet(L + 1)),
    "Theorem 3, beta = 0.1": (lambda L: (1.0, 0.1, 1.0), lambda L: theory.batchnorm_resnet(L + 1, 0.1)),
    "Corollary 1, gamma2 = sqrt(1/L)": (lambda L: ((1 - 1 / L)**0.5, L**-0.5, None),
                                        lambda L: theory.highway(L, L**-0.5)),
    "law under centering, beta = 1": (lambda L: (1.0, 1.0, theory.SPREAD), lambda L: theory.centred_resnet(L + 1)),
}


def intervals_of(moments):
    """Variance and correlation R from C(i,i), C(i,j) of each net, (runs, 2), each with its interval."""
    return intervals.mean_interval(moments[:, 0], LEVEL), intervals.ratio_interval(*moments.T[::-1], LEVEL)


def gated(name, L):
    skip, branch, share = STATEMENTS[name][0](L)
    g = theory.gated_gradients(L, GATED_WIDTH, GATED_RUNS, rng, skip=skip, branch=branch, share=share)
    return intervals_of(np.stack([(g**2).mean(axis=1), g.prod(axis=1)], axis=1))


gated_nets = {(name, L): gated(name, L) for name in STATEMENTS for L in GATED_DEPTHS}

# %% [markdown]
# **The ground.** Definition 1 is about df/dn, n the units of the first layer, at inputs that share nothing. Inputs
# x ~ N(0, I) of 200 numbers are such inputs: any two are nearly orthogonal, |cos| about 0.07. A batch of 256 has 32,640
# pairs; 32 inputs will do where no statistics over the batch are needed. The interval is over nets, each with a batch
# of its own.
#
# **Real nets for which the assumption is true.** Behind a rectifier all signals are positive, so any two inputs
# correlate by 1/pi, and the next layer's units are co-active too often. Let each unit's weights add up to 0: then a
# unit reads x - (mean of x), and uncorrelated signals stay uncorrelated. Nothing else changes, not even He's variance.


# %%
def zero_sum(L, skip, branch, share):
    """Builds L layers x <- skip x + branch W relu(x / sqrt v_l), v_l = share branch^2 l + 1: as the gated nets."""
    def build(rng):
        yield Dense(init.he(INPUTS, WIDTH, rng, gain=1.0))
        for l in range(L):
            v = 1.0 if share is None else share * branch**2 * l + 1
            divide = Affine(np.full(WIDTH, v**-0.5), np.zeros(WIDTH))
            weights = Dense(init.standardised(WIDTH, WIDTH, rng, gain=2.0))
            yield Sum(Identity(), Chain(divide, ReLU(), weights), weights=(skip, branch))
        yield Dense(init.he(WIDTH, 1, rng, gain=1.0))
    return build


def measured(build, L, label, points=FEW, runs=RUNS):
    """Variance and R of real nets at x ~ N(0, I), with intervals over nets."""
    return intervals_of(gradients.batch_moments(build, points, INPUTS, runs, [SEED, L, WIDTH],
                                                progress(f"{label}, {L} layers")))


real_nets = {(name, L): measured(zero_sum(L, *STATEMENTS[name][0](L)), L, name)
             for name in STATEMENTS if "law" not in name and "alpha" not in name for L in DEPTHS}

# %% [markdown]
# **The nets that everybody draws**, with He weights. Without normalisation k0 and k1 say what a wide net
# does when its activity is its own. "analytic" divides each branch's input by the square root of Theorem 3's v_l,
# "standardised" is the feedforward net of weights that add up to 0 with the variance that keeps signals at 1.

# %%
options = {"inputs": INPUTS, "bias_std": 0.0}
DRAWN = {  # name: builder of L rectifiers, points of a batch, runs
    "plain": (lambda L, rng: nets.feedforward_layers(L, WIDTH, **options, rng=rng), FEW, RUNS),
    "standardised": (
        lambda L, rng: nets.feedforward_layers(L, WIDTH, init="standardised", **options, rng=rng), FEW, RUNS),
    "centred": (lambda L, rng: nets.feedforward_layers(L, WIDTH, norm="center", **options, rng=rng), BATCH, BATCH_RUNS),
    "BN": (lambda L, rng: nets.feedforward_layers(L, WIDTH, norm="batch", **options, rng=rng), BATCH, BATCH_RUNS),
    "resnet": (lambda L, rng: nets.resnet_layers(L, WIDTH, norm=None, **options, rng=rng), FEW, RUNS),
    "highway": (lambda L, rng: nets.highway_layers(L, WIDTH, gamma2=L**-0.5, **options, rng=rng), FEW, RUNS),
    "analytic": (lambda L, rng: nets.resnet_layers(L, WIDTH, norm="analytic", **options, rng=rng), FEW, RUNS),
}
for name, (build, points, runs) in DRAWN.items():
    for L in DEPTHS:
        real_nets[name, L] = measured(lambda rng: build(L, rng), L, name, points, runs)

# %% [markdown]
# **Theorem 3 and batch normalisation.** Batch normalisation divides by the spread *around the batch mean*. Of the
# second moment 1 that a branch adds, 1/pi belongs to the mean, which all inputs share, so v_l is not beta^2 l + 1 but
# beta^2 (1 - 1/pi) l + 1: the law under centering (`theory.centred_resnet`). The variance then grows like L^1.467, not
# like L, and R falls like L^-0.733, not like L^-0.5. Depth L has L - 1 residual layers, as in the theorem.

# %%
for beta in BETAS:
    for L in LONG_DEPTHS:
        real_nets[beta, L] = measured(lambda rng: nets.resnet_layers(L - 1, WIDTH, beta=beta, **options, rng=rng), L,
                                      f"beta = {beta}", BATCH, DEEP_RUNS)


def follows(interval, theorem, law):
    """Which of the two values an interval holds."""
    held = [name for name, value in (("theorem", theorem), ("law", law)) if interval.low <= value <= interval.high]
    nearer = "theorem" if abs(interval.value - theorem) < abs(interval.value - law) else "law"
    return " and ".join(held) or f"neither, nearer to the {nearer}"


# %% [markdown]
# **A warning: the scalar grid.** With one input number a unit of the first layer is v x, and the batch normalisation
# behind it divides by |v| std(x). For v ~ N(0, 1) the mean of 1/v^2 is infinite: a second moment of df/dn has nothing
# to converge to, and says nothing about the theorem. (With d inputs |v|^2 has d terms, and the mean of d/|v|^2 is
# d/(d - 2).) Here is the running mean over nets of one residual layer; the theorem's variance is 2. Batch
# normalisation's eps = 1e-5 makes the mean finite, at a number that is eps' own: pi phi(0) / (sqrt(eps) std(x)) = 322.

# %%
WALK = 300 if quick() else 1000


def one_branch(inputs, eps):
    def build(rng):
        branch = Chain(BatchNorm(WIDTH, eps), ReLU(), Dense(init.he(WIDTH, WIDTH, rng)))
        return Chain(Dense(init.he(inputs, WIDTH, rng, gain=1.0)), Sum(Identity(), branch),
                     Dense(init.he(WIDTH, 1, rng, gain=1.0)))
    return build


def on_the_grid(eps):
    """The mean square of df/dn over the grid of 16 points, for each of WALK nets."""
    builds = (one_branch(1, eps)(np.random.default_rng([SEED, run])) for run in progress(f"eps = {eps}")(range(WALK)))
    return np.array([np.sum(gradients.neuron_gradients(net, gradients.grid(16))**2) / 16 for net in builds])


squares = {"1 input, eps = 0": on_the_grid(0.0), "1 input, eps = 1e-5": on_the_grid(1e-5)}
squares["200 inputs, eps = 0"] = gradients.batch_moments(one_branch(INPUTS, 0.0), FEW, INPUTS, WALK // 10, SEED)[:, 0]

# %% [markdown]
# **The figure.** Squares: gated nets. Dots: real nets whose weights add up to 0. Rings: nets as everybody draws them.
# Lines: the theorem (full), infinite width (dotted), the law under centering (dashed).

# %%
orange, plain, blue, pink = (plot.COLOUR[name] for name in ("feedforward", "plain", "resnet", "highway"))
STYLES = {"s": 5, "o": 8, ".": 8}


def points(ax, depths, measurements, part, colour, label, marker, hollow=False):
    """The variances (part 0) or correlations (part 1) of a family with their intervals."""
    plot.points(ax, depths, [measurement[part] for measurement in measurements], colour, label, marker,
                markersize=STYLES[marker], markerfacecolor="none" if hollow else colour)


def line(ax, depths, predict, style, label, colour="black"):
    ax.plot(depths, [predict(int(L)) for L in depths], style, color=colour, label=label, linewidth=1)


def panel(ax, title, name, label, colour, drawn, infinite):
    line(ax, fine, lambda L: STATEMENTS[name][1](L).correlation, "-", label, colour)
    line(ax, fine, infinite, ":", "infinite width")
    points(ax, GATED_DEPTHS, [gated_nets[name, L] for L in GATED_DEPTHS], 1, colour, "gated", "s")
    points(ax, DEPTHS, [real_nets[name, L] for L in DEPTHS], 1, "black", "weights add up to 0", ".")
    for family, ring in drawn.items():
        points(ax, DEPTHS, [real_nets[family, L] for L in DEPTHS], 1, ring, family, "o", hollow=True)
    ax.set(title=title, xlabel="layers L", ylabel="correlation R", ylim=(-0.06, 1.06))
    ax.legend(fontsize=7)


fig, axes = plot.panels(2, 3, (11, 6.6))
fine = np.arange(1, DEPTHS[-1] + 1)
panel(axes[0, 0], "Theorem 1: feedforward", "Theorem 1", r"$2^{-L}$", orange,
      {"plain": plain, "BN": plot.COLOUR["BN"], "centred": orange}, neuron_correlation)
panel(axes[0, 1], "Theorem 2: resnet without BN", "Theorem 2", r"$(3/4)^L$", blue, {"resnet": blue},
      lambda L: neuron_correlation(L, skip=1.0))
panel(axes[0, 2], "Corollary 1: highway", "Corollary 1, gamma2 = sqrt(1/L)", r"$(1 - 1/2L)^L$", pink,
      {"highway": pink}, lambda L: neuron_correlation(L, skip=(1 - 1 / L)**0.5, branch=L**-0.5))
axes[0, 2].axhline(np.exp(-0.5), color="black", linewidth=0.6)
fine = np.arange(2, LONG_DEPTHS[-1] + 1)
for ax, part, ylabel in ((axes[1, 0], 1, "correlation R"), (axes[1, 1], 0, "variance C(i, i)")):
    for beta, colour in zip(BETAS, (plot.COLOUR[name] for name in ("resnet", "resnet 0.3", "resnet 0.1"))):
        measurements = [real_nets[beta, L] for L in LONG_DEPTHS]
        points(ax, LONG_DEPTHS, measurements, part, colour, rf"$\beta$ = {beta:g}", "o", hollow=True)
        for law, style in ((theory.batchnorm_resnet, "-"), (theory.centred_resnet, "--")):
            line(ax, fine, lambda L: law(L, beta)[2 * part], style, None, colour)
    ax.set(title="BN resnets: Theorem 3 full, law dashed", xlabel="depth L", ylabel=ylabel)
    plot.log_depths(ax, LONG_DEPTHS)
    ax.legend()
axes[1, 1].set_yscale("log")
ax = axes[1, 2]
for (name, samples), colour in zip(squares.items(), plot.shades(blue, 3)):
    steps = np.arange(1, samples.size + 1)
    ax.loglog(steps, np.cumsum(samples) / steps, color=colour, label=name)
ax.axhline(2, color="black", linewidth=0.8, label="Theorem 3")
ax.set(title="A mean that does not settle", xlabel="nets so far", ylabel="running mean of |df/dn|²")
ax.legend(fontsize=7)
plot.save(fig, report.figure)

# %% [markdown]
# **What you see.** Draw weights that add up to 0, and the correlations of real rectifier nets are those of all four
# statements, to 0.006: R = 0.25, 0.065, 0.002 at 2, 4, 10 layers, where Theorem 1 has 0.25, 0.0625, 0.001. (Their
# variances are too, but for Theorem 1 at 24 layers, 0.85 of it.) Centred and batch-normalised feedforward nets have
# these correlations with He weights as they are; BN's variance grows by 1.467 per layer. Without normalisation He
# weights come close to k0 and k1 (dotted): 0.31, 0.14, 0.045, where these say 0.30, 0.14, 0.034. Resnets with batch
# normalisation follow the law under centering at every beta and depth, and Theorem 3 where the two are too close to be
# told apart: at beta = 1 and 50 layers R is 0.092 [0.076, 0.108], the law 0.095, the theorem 0.159; at beta = 0.1 and
# 100 layers 0.683 [0.664, 0.703], the law 0.686, the theorem 0.709, the paper's text 0.7. On the scalar grid a few nets
# make most of the sum: without eps its running mean does not settle, and with eps = 1e-5 it settles at a number that
# eps sets.

# %% [markdown]
# **Claims.** Variances are given over the predicted one, since they grow by powers. "In kind", for real nets: within
# 0.05 of a correlation, within a quarter of a variance.


# %%
NOT_THE_PAPERS = ("derived", "infinite width")


def claim_correlation(statement, source, table, name, depths, predict, in_kind=0.05):
    print(report.claim(f"{statement}: correlation, L = {', '.join(map(str, depths))}", source,
                       [predict(L) for L in depths], [table[name, L][1] for L in depths], in_kind=in_kind,
                       beyond=source.startswith(NOT_THE_PAPERS)))


def claim_variance(statement, source, table, name, depths, predict, in_kind=0.25):
    value, low, high = np.transpose([np.divide(table[name, L][0], predict(L)) for L in depths])
    print(report.claim(f"{statement}: variance over the predicted, L = {', '.join(map(str, depths))}", source,
                       np.ones(len(depths)), intervals.Interval(value, low, high), in_kind=in_kind,
                       beyond=source.startswith(NOT_THE_PAPERS)))


def claim_both(statement, source, table, name, depths, law, **in_kind):
    claim_correlation(statement, source, table, name, depths, lambda L: law(L).correlation, **in_kind)
    claim_variance(statement, source, table, name, depths, lambda L: law(L).variance, **in_kind)


OURS = "derived: law under centering"
for name, (_, law) in STATEMENTS.items():
    source = OURS if "law" in name else name.partition(",")[0]
    claim_both(f"{name}, gated nets", source, gated_nets, name, GATED_DEPTHS, law, in_kind=0.0)
    if (name, DEPTHS[0]) in real_nets:
        claim_both(f"{name}, real nets, weights add up to 0", source, real_nets, name, DEPTHS, law)

# %% [markdown]
# Nets with He weights. "BN" and "standardised" nets grow by pi/(pi - 1) = 1.467 in each layer that is normalised:
# that, not 1, is predicted for their variance, and it is ours, not the paper's.


# %%
def analytic_infinite(L):
    """R of a resnet whose branches are divided by sqrt(v_l), v_l = l + 1, in infinite width."""
    v, c, R = 1.0, 0.0, 1.0
    for _ in range(L):
        R *= (v + float(k0(c))) / (v + 1)
        v, c = v + 1, (v * c + float(k1(c))) / (v + 1)
    return R


for name, source, law in (("plain", "Theorem 1", theory.feedforward), ("centred", "Theorem 1", theory.feedforward),
                          ("resnet", "Theorem 2", theory.resnet),
                          ("highway", "Corollary 1", lambda L: theory.highway(L, L**-0.5)),
                          ("analytic", "Theorem 3", lambda L: theory.batchnorm_resnet(L + 1))):
    claim_both(f"real nets, {name}", source, real_nets, name, DEPTHS, law)
for name, layers in (("BN", lambda L: L - 1), ("standardised", lambda L: L)):  # of which the variance grows
    claim_correlation(f"real nets, {name}", "Theorem 1", real_nets, name, DEPTHS, lambda L: 0.5**L)
    claim_variance(f"real nets, {name}", "derived: pi/(pi-1) per layer", real_nets, name, DEPTHS,
                   lambda L: theory.SPREAD**-layers(L))
for name, infinite in (("plain", neuron_correlation), ("resnet", lambda L: neuron_correlation(L, skip=1.0)),
                     ("highway", lambda L: neuron_correlation(L, skip=(1 - 1 / L)**0.5, branch=L**-0.5)),
                     ("analytic", analytic_infinite)):
    claim_correlation(f"real nets, {name}", "infinite width: k0, k1", real_nets, name, DEPTHS, infinite)
for beta in BETAS:
    for source, law in (("Theorem 3", theory.batchnorm_resnet), (OURS, theory.centred_resnet)):
        claim_both(f"resnet with BN, beta = {beta:g}", source, real_nets, beta, LONG_DEPTHS, lambda L: law(L, beta))

# %% [markdown]
# The notes below the table: a row for each beta and depth, and why some rows differ.


# %%
def shown(interval):
    return f"{interval.value:.3g} [{interval.low:.3g}, {interval.high:.3g}]"


rows = []
for beta in BETAS:
    for L in LONG_DEPTHS:
        theorem, law = theory.batchnorm_resnet(L, beta), theory.centred_resnet(L, beta)
        variance, R = real_nets[beta, L]
        rows.append(f"| {beta:g} | {L} | {theorem.variance:.3g} | {law.variance:.3g} | {shown(variance)} "
                    f"| {follows(variance, theorem.variance, law.variance)} | {theorem.correlation:.3f} "
                    f"| {law.correlation:.3f} | {shown(R)} | {follows(R, theorem.correlation, law.correlation)} |")
        print(rows[-1])
for name, samples in squares.items():
    print(f"  {name:<22} mean |df/dn|^2 of {samples.size} nets: {samples.mean():.4g}; the largest net has "
          f"{samples.max() / samples.sum():.0%} of the sum")
WHY = """Why rows differ:

- *He weights without normalisation (plain, resnet, highway)*: behind a rectifier all signals are positive, any two
  inputs share that mean, and units are co-active in more than a quarter of the cases; k0 and k1 say by how much.
- *Resnet with the analytic variance, correlation*: the same; its v_l is Theorem 3's, which holds the shared mean, while
  the theorem's quarter leaves it out, so that with He weights its variance and its correlation cannot both hold.
- *Resnets with BN, beta = 1 and 0.3*: BN takes the shared mean away, so signals have a smaller spread than Theorem 3's
  v_l, and branches count for more: the law under centering."""
report.write("\n".join([
    WHY, "",
    f"Resnets with batch normalisation at x ~ N(0, I_{INPUTS}), batches of {BATCH}, {WIDTH} units, {DEEP_RUNS} nets "
    "each. Depth L has L - 1 residual layers:", "",
    "| beta | L | variance: Theorem 3 | law | measured | follows | R: Theorem 3 | law | measured | follows |",
    "| " + " | ".join(["---"] * 10) + " |", *rows]))

# %% [markdown]
# **Try.** Which pair of inputs makes a plain net start from c = 1/2? With how many inputs does the running mean begin
# to settle: 2, 3, 5? Give the gated net a gate with p = 1/3.
