"""How much smoothing does a shattered gradient need?
==================================================

SmoothGrad averages gradients over noise, integrated gradients along a path,
evolution strategies take no gradient at all. All three estimate a smoother
derivative. How much of f' they keep, how many samples they need and how they
err follows from one number, the correlation length of f'.

Builds on 11 and 13. Takes about 20 seconds on one core.
"""

# %%
import numpy as np

from minishatter import freeze, gradients, intervals, nets, plot, regions, stats
from minishatter.compose import Chain
from minishatter.layers import Dense, ReLU
from minishatter.pointwise import erf
from minishatter.report import LEVEL, Report
from minishatter.running import progress, quick

RUNS = 5 if quick() else 12
WIDTH, SEED = (40, 15) if quick() else (100, 15)
LOW, HIGH = -3.0, 3.0
report = Report("15_smoothing")
plot.use_style()

# %% [markdown]
# **What noise keeps.** f' is a staircase, and `regions.smooth` convolves it with a Gaussian exactly: each step becomes
# an error function. Smoothing multiplies the spectrum of c = f' - mean by a Gaussian. So of its variance a share
#
#     s(sigma) = integral of ACF(t) N(t; 0, 2 sigma^2) dt
#
# is left, ACF being its autocorrelation: exactly, if c goes on as 0 beyond the interval. If the ACF falls like exp(-t /
# xi), then s = exp(u^2) erfc(u), u = sigma / xi, which tends to 1 / (u sqrt pi). SmoothGrad's mean over n draws has the
# noise (1 - s) / n of the variance of f', so its signal is as large as its noise for n = (1 - s) / s, about sqrt(pi)
# sigma / xi.

# %%
draws = 0.3 * np.random.default_rng(SEED).standard_normal(100_000)
for at in (-0.3, 0.0, 0.6):  # one step, from 0 to 1 at x = 0, under noise of sigma = 0.3: by draws, and exactly
    print(f"x = {at}: mean of the noisy step {np.mean(at + draws > 0):.3f}, error function "
          f"{(1 + erf(at / 0.3 / 2**0.5)) / 2:.3f}")

# %%
KINDS = {  # plain nets: none, and standardised weights (lesson 13), which shatter without a batch
    "He, 16 layers": (16, "he", plot.COLOUR["plain"]),
    "standardised, 4 layers": (4, "standardised", plot.shades(plot.COLOUR["feedforward"], 2)[0]),
    "standardised, 10 layers": (10, "standardised", plot.COLOUR["feedforward"]),
}
U = np.array([0.25, 0.5, 1.0, 2.0, 4.0])  # sigma / xi
AT = ", ".join(f"{u:g}" for u in U)
LAGS = np.concatenate([np.linspace(0, 0.3, 61)[:-1], np.linspace(0.3, HIGH - LOW, 58)])


def exponential(u):
    return np.exp(u**2) * (1 - erf(u))


def staircase(kind, run):
    depth, weights, _ = KINDS[kind]
    net = nets.feedforward(depth, WIDTH, init=weights, rng=np.random.default_rng([SEED, depth, run]))
    return regions.exact_gradient(net, LOW, HIGH)


def length(acf):
    """xi, where the ACF first falls to 1/e, between two lags by a straight line."""
    at = int(np.argmax(acf < np.exp(-1)))
    return np.interp(-np.exp(-1), -acf[at - 1:at + 1], LAGS[at - 1:at + 1])


def kept(acf, sigma):
    """The integral s(sigma) by the midpoint rule; the ACF is even."""
    edges = np.linspace(0, HIGH - LOW, 6001)
    middle = (edges[1:] + edges[:-1]) / 2
    density = np.exp(-middle**2 / (4 * sigma**2)) / np.sqrt(4 * np.pi * sigma**2)
    return 2 * np.sum(np.interp(middle, LAGS, acf) * density) * edges[1]


def centred(gradient):
    """c = f' - mean with 0 beyond the interval, and the integral of c^2."""
    steps = np.diff(gradient.breakpoints)
    c = gradient.values - gradient.values @ steps / (HIGH - LOW)
    edges = np.concatenate([[LOW - 100], gradient.breakpoints, [HIGH + 100]])
    return regions.ExactGradient(edges, np.concatenate([[0.0], c, [0.0]])), c**2 @ steps


def study(kind, run):
    """xi, and for each sigma: s by smoothing, s by the integral, the noise of one draw; (3, len(U))."""
    gradient, rng = staircase(kind, run), np.random.default_rng([SEED, 1, run])
    acf, (c, energy) = regions.autocorrelation(gradient, LAGS), centred(gradient)
    rows = []
    for sigma in U * length(acf):
        x, step = np.linspace(LOW - 6 * sigma, HIGH + 6 * sigma, 801, retstep=True)
        smoothed = regions.smooth(c, x, sigma)
        draws = c.at(x[:, None] + sigma * rng.standard_normal((x.size, 32)))
        rows.append([np.sum(smoothed**2) * step / energy, kept(acf, sigma),
                     np.sum(np.mean((draws - smoothed[:, None])**2, axis=1)) * step / energy])
    return length(acf), np.transpose(rows)


results = {kind: [study(kind, run) for run in progress(kind)(range(RUNS))] for kind in KINDS}
xi = {kind: np.array([length for length, _ in rows]) for kind, rows in results.items()}
shares = {kind: np.array([rows for _, rows in results[kind]]) for kind in KINDS}  # (nets, 3, len(U))
for kind in KINDS:
    gap = intervals.mean_interval(shares[kind][:, 0] - shares[kind][:, 1], LEVEL)
    print(report.claim(f"kept share s, {kind}, sigma / xi = {AT}: smoothed minus the integral over the net's own ACF",
                       "derived: equal", np.zeros(U.size), gap, tolerance=0.005, in_kind=0.02, beyond=True))
    print(report.claim(f"kept share s, {kind}, sigma / xi = {AT}",
                       "exp(u^2) erfc(u): an exponential ACF", exponential(U),
                       intervals.mean_interval(shares[kind][:, 0], LEVEL), in_kind=0.1, beyond=True))

# %% [markdown]
# **SmoothGrad's n**, measured: the variance of one draw around the exact convolution, over the variance of what is
# kept.

# %%
for kind in KINDS:
    needed = intervals.ratio_interval(shares[kind][:, 2], shares[kind][:, 0], LEVEL)
    print(report.claim(f"draws for a signal as large as its noise, {kind}, sigma / xi = {AT}",
                       "(1 - s) / s, exponential ACF", (1 - exponential(U)) / exponential(U), needed, in_kind=2.0,
                       beyond=True))

# %% [markdown]
# **Integrated gradients.** f(b) - f(a) is the integral of f', here over [-2, 2]; m equally spaced points estimate it.
# If they are further apart than xi their values are independent, and the error is that of a mean, m^(-1/2). If they are
# closer than the steps are long, only the cells with a step in them err, each by some share of 1/m: m^(-1).

# %%
POINTS = np.unique(np.round(2**np.arange(2, 14.5, 0.5)).astype(int))


def path_errors(gradient, rng, offsets=16):
    """For each m in POINTS, m equally spaced points with a random offset: RMS error of the mean of f', over its std."""
    edges = np.concatenate([[-2.0], gradient.breakpoints[np.abs(gradient.breakpoints) < 2], [2.0]])
    values, shares = gradient.at((edges[1:] + edges[:-1]) / 2), np.diff(edges) / 4
    exact = values @ shares
    rms = [np.sqrt(np.mean([(gradient.at(-2 + 4 * (np.arange(m) + offset) / m).mean() - exact)**2
                            for offset in rng.random(offsets)])) for m in POINTS]
    return np.array(rms) / np.sqrt((values - exact)**2 @ shares)


offset_rng = np.random.default_rng(SEED)
stairs = {kind: [staircase(kind, run) for run in range(RUNS)] for kind in KINDS}
errors = {kind: np.array([path_errors(g, offset_rng) for g in stairs[kind]]) for kind in KINDS}
pieces = {kind: np.mean([g.values.size for g in stairs[kind]]) for kind in KINDS}


def exponent(kind, wide_apart):
    """Of the RMS error over nets in m, by least squares: for spacings above 2 xi, or below a half of the mean step."""
    spacing = 4 / POINTS
    chosen = spacing > 2 * xi[kind].mean() if wide_apart else spacing < (HIGH - LOW) / pieces[kind] / 2
    if chosen.sum() < 3:
        return None
    slopes = np.polyfit(np.log(POINTS[chosen]), np.log(errors[kind][:, chosen]).T, 1)[0]
    return intervals.mean_interval(slopes, LEVEL)


for kind in KINDS:
    for wide_apart, words, predicted in ((True, "further apart than 2 xi", -0.5),
                                         (False, "closer than half a step", -1.0)):
        slope = exponent(kind, wide_apart)
        if slope is not None:
            print(report.claim(f"integrated gradients, {kind}: exponent of the error in m, points {words}",
                               "derived", predicted, slope, in_kind=0.2, beyond=True))

# %% [markdown]
# **From the one exponent to the other.** After a first run, in which the first exponent was not 1/2: at a random offset
# the error of points h apart is a sum over the ACF at multiples of h, less its integral. For an exponential ACF
#
#     error^2 = variance * (h coth(h / 2 xi) - 2 xi) / 4,
#
# which is h / 4 far above xi, and h^2 / (24 xi) far below. The passage takes two decades of m.


# %%
def law(kind, m):
    """The mean over nets of error^2 / variance of f'."""
    h = 4 / np.asarray(m, dtype=float)[:, None]
    return np.mean((h / np.tanh(h / (2 * xi[kind])) - 2 * xi[kind]) / 4, axis=1)


SOME = POINTS[[0, 4, 8, 12, 16]]
for kind in KINDS:
    chosen = np.isin(POINTS, SOME)
    squares = intervals.mean_interval(errors[kind][:, chosen]**2, LEVEL)
    ratio = intervals.Interval(*(part / law(kind, SOME) for part in squares))
    print(report.claim(f"integrated gradients, {kind}: mean square error over the law, m = {', '.join(map(str, SOME))}",
                       "exponential ACF, derived after a first run", np.ones(SOME.size), ratio, in_kind=0.5,
                       beyond=True))

# %% [markdown]
# **Evolution strategies** estimate the same smoothed derivative without any gradient: the mean of e f(x + sigma e) /
# sigma. One draw has second moment f^2 / sigma^2, where a gradient's has f'^2. Behind batch normalisation f' grows by
# sqrt(1.467) per layer and f does not; from some depth on the estimate without gradients is the better one. In plain
# nets neither grows.

# %%
SIGMA, DEPTHS = 0.05, (2, 6, 10, 14) if quick() else (2, 4, 6, 8, 10, 12, 14, 16, 20)
grid = gradients.grid()


def moments(norm, depth, run):
    """Log of the second moments of one draw: first order, zeroth order."""
    rng = np.random.default_rng([SEED, 2, depth, run])
    net = freeze(nets.feedforward(depth, WIDTH, norm=norm, rng=rng), grid[:, None])
    noise = rng.standard_normal(grid.size)
    moved = grid + SIGMA * noise
    first = gradients.input_gradient(net, moved)
    zeroth = noise * net.forward(moved[:, None])[0][:, 0] / SIGMA
    return np.log(np.mean(first**2)), np.log(np.mean(zeroth**2))


orders = {norm: np.array([[moments(norm, depth, run) for depth in DEPTHS] for run in range(2 * RUNS)])
          for norm in (None, "batch")}  # (nets, depths, 2)
lead = {norm: intervals.mean_interval(rows[..., 0] - rows[..., 1], LEVEL) for norm, rows in orders.items()}


def crossing(gaps):
    """The depth at which the mean log ratio first passes 0, between two depths by a straight line."""
    behind = np.flatnonzero(gaps > 0)
    if not behind.size:
        return float("inf")
    at = behind[0]
    return float(np.interp(0.0, gaps[at - 1:at + 1], DEPTHS[at - 1:at + 1])) if at else float(DEPTHS[0])


per_net = [crossing(gaps) for gaps in orders["batch"][..., 0] - orders["batch"][..., 1]]
print(f"nets that never cross: {np.sum(np.isinf(per_net))} of {len(per_net)}")
if np.isfinite(per_net).all():
    print(report.claim(f"depth from which zeroth order has the smaller second moment, BN held, sigma = {SIGMA}",
                       "predicted: about 11", 11.0, intervals.mean_interval(np.array(per_net), LEVEL), tolerance=0.5,
                       in_kind=3.0, beyond=True))
never = float(np.sum(lead[None].high > 0))
print(report.claim(f"depths, of {len(DEPTHS)}, at which zeroth order may win in plain nets", "predicted: none", 0.0,
                   never, beyond=True))

# %% [markdown]
# **A net that is not shattered.** A demonstration of smoothing "on shattered gradients" (SmoothDiff, Hill et al. 2025,
# in one dimension; its code is public) draws 15 rectifier layers of 64, weights and biases of variance 1/N, without
# centering, on 1001 points of [-1, 1], sigma = 0.05. It is the set-up of the textbook in lesson 10 over again, and an
# easy one to walk into: the paper mentions its mean-centering only in passing. What the method does is not in question;
# these gradients vanish, and neighbours agree.


# %%
def demonstration(rng):
    """Weights and biases over sqrt(fan_out), the last layer's are N(0, 1)."""
    def dense(fan_in, fan_out):
        std = fan_out**-0.5
        return Dense(std * rng.standard_normal((fan_in, fan_out)), std * rng.standard_normal(fan_out))

    hidden = [layer for _ in range(14) for layer in (dense(64, 64), ReLU())]
    return Chain(dense(1, 64), ReLU(), *hidden, dense(64, 1))


line = gradients.grid(1001, -1.0, 1.0)
DEMONSTRATIONS = 8 if quick() else 20
shown = gradients.ensemble(demonstration, line, DEMONSTRATIONS, [SEED, 3])
acf = intervals.mean_interval(stats.autocorrelation(shown, 25), LEVEL)
size = intervals.mean_interval(np.log10(np.sqrt(np.mean(shown**2, axis=1))), LEVEL)
count = intervals.mean_interval(np.array([
    regions.exact_gradient(demonstration(np.random.default_rng([SEED, 3, run])), -1.0, 1.0).values.size
    for run in range(DEMONSTRATIONS)], dtype=float), LEVEL)
for statement, predicted, measured, tolerance, in_kind in (
        ("ACF at lag 1", 0.99, acf.at(1), 0.005, 0.05), ("ACF at a distance of sigma", 0.77, acf.at(25), 0.005, 0.1),
        ("log10 of the RMS", np.log10(0.003), size, 0.05, 0.5), ("pieces of f'", 92.0, count, 0.5, 20.0)):
    print(report.claim(f"SmoothDiff's one-dimensional net: {statement}", "predicted from 20 nets, elsewhere", predicted,
                       measured, tolerance=tolerance, in_kind=in_kind, beyond=True))

# %%
fig, axes = plot.panels(2, 3, (11, 6.8))
ax = axes[0, 0]
example = stairs["standardised, 10 layers"][0]
fine = np.linspace(-0.5, 0.5, 1001)
middle = xi["standardised, 10 layers"].mean()
ax.plot(fine, example.at(fine), color=plot.COLOUR["feedforward"], linewidth=0.6, label="f'")
for u, colour in zip((1.0, 4.0), plot.shades(plot.COLOUR["theory"], 2)):
    ax.plot(fine, regions.smooth(example, fine, u * middle), color=colour, label=f"sigma = {u:g} xi")
ax.set(title="Standardised weights, 10 layers", xlabel="x", ylabel="f'(x)")
ax.legend()
dense_u = np.linspace(0.05, 5, 100)
for ax, title in ((axes[0, 1], "kept share s"), (axes[0, 2], "draws for signal = noise")):
    curve = exponential(dense_u)
    ax.plot(dense_u, curve if ax is axes[0, 1] else (1 - curve) / curve, color="black", label="exponential ACF")
    for shift, (kind, (_, _, colour)) in zip((0.97, 1.0, 1.03), KINDS.items()):
        drawn = (intervals.mean_interval(shares[kind][:, 0], LEVEL) if ax is axes[0, 1] else
                 intervals.ratio_interval(shares[kind][:, 2], shares[kind][:, 0], LEVEL))
        plot.points(ax, U * shift, np.transpose(drawn), colour, kind, markersize=4)
    ax.set(title=title, xlabel="sigma / xi")
axes[0, 2].plot(dense_u, np.sqrt(np.pi) * dense_u, ":", color="black", label=r"$\sqrt{\pi}\,\sigma/\xi$")
axes[0, 1].legend()
axes[0, 2].legend()
ax = axes[1, 0]
for kind, (_, _, colour) in KINDS.items():
    rms = np.sqrt(np.mean(errors[kind]**2, axis=0))
    ax.loglog(POINTS, rms, color=colour, label=kind)
    ax.loglog(POINTS, np.sqrt(law(kind, POINTS)), ":", color=colour)
ax.loglog(POINTS, POINTS**-0.5, "--", color="black", linewidth=0.8, label=r"$m^{-1/2}$")
ax.set(title="Integrated gradients (dotted: the law)", xlabel="points m", ylabel="error / std of f'")
ax.legend()
ax = axes[1, 1]
for norm, label, colour in ((None, "plain", plot.COLOUR["plain"]), ("batch", "BN, held", plot.COLOUR["BN"])):
    plot.curves(ax, np.array(DEPTHS), [tuple(part / np.log(10) for part in lead[norm])], [label], [colour])
ax.axhline(0, color="black", linewidth=0.6)
ax.set(title=f"First over zeroth order, sigma = {SIGMA}", xlabel="depth", ylabel="log10 of the second moments' ratio")
ax.legend()
ax = axes[1, 2]
for run in range(3):
    ax.plot(line, 1e3 * shown[run], linewidth=0.9, color=plot.shades(plot.COLOUR["plain"], 3)[run])
ax.set(title="SmoothDiff's net, three draws", xlabel="x", ylabel="1000 f'(x)")
plot.save(fig, report.figure)

# %%
notes = ["What a net of correlation length xi asks for (exponential ACF): the share of f' that noise of sigma keeps, "
         "and the draws that make SmoothGrad's signal as large as its noise, or ten times its variance.", "",
         "| sigma / xi | kept share s | draws, signal = noise | draws, noise a tenth |", "| --- | --- | --- | --- |"]
for u in U:
    s = float(exponential(u))
    notes.append(f"| {u:g} | {s:.3f} | {(1 - s) / s:.2f} | {10 * (1 - s) / s:.1f} |")
notes += ["", f"{RUNS} nets of width {WIDTH} each:", "",
          "| net | xi | pieces on [-3, 3] | " + " | ".join(f"s at {u:g} xi" for u in U) + " |",
          "| --- | --- | --- |" + " --- |" * U.size]
for kind in KINDS:
    found = intervals.mean_interval(shares[kind][:, 0], LEVEL)
    cells = [f"{value:.3f} [{low:.3f}, {high:.3f}]" for value, low, high in zip(*found)]
    notes.append(f"| {kind} | {xi[kind].mean():.3f} | {pieces[kind]:.0f} | " + " | ".join(cells) + " |")
notes += ["", "The exponent 1/2 of integrated gradients needs points much further apart than xi; with those of this "
          "table, from 2 xi on, it is already on its way to 1, as the law derived after the first run says."]
print("\n".join(notes))
report.write("\n".join(notes), beyond=True)

# %% [markdown]
# **What you see.** Noise of a quarter of xi leaves 0.77 of the variance. Beyond, the share that is kept falls about as
# the curve of an exponential autocorrelation says, at 4 xi in two kinds of net below it (above, middle), and the draws
# grow a little faster than sigma / xi (above, right). The error of integrated gradients falls as m^-1 where the points
# are nearer than a step is long; where they are more than 2 xi apart the exponent is -0.75, on the way from the -1/2
# that the law has for points much further apart. Without gradients the estimate has the smaller second moment from some
# eleven layers on if batch statistics are held, and at none of nine depths in plain nets. SmoothDiff's net (last panel)
# is not shattered: neighbours correlate by 0.99.
#
# **A recipe.** `probe` gives xi. Noise of xi keeps 0.43 of the variance, and of 4 xi 0.14. There six draws by the curve
# (7 to 13 measured, with wide intervals) make the signal as large as the noise, and ten times as many bring the noise
# down to a tenth of the signal's variance.

# %% [markdown]
# **Try.** Draw ten SmoothGrad curves at sigma = 4 xi with n = 6. How does xi move with depth? Subtract f(x) in the
# estimate without gradients: where is the crossing then?
