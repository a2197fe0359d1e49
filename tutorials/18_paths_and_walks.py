"""Paths and walks: two pictures of one gradient
==============================================

The paper looks at the gradient of a rectifier net in two ways. It is a sum over
paths: each path from the input to the output gives the product of its weights,
if all its units are active. And along the line of inputs it is a walk: at each
kink it makes a random step. Are these pictures exact? And when is the walk a
Brownian motion, which the paper calls brown noise?

Builds on 01 and 05. Takes about 3 seconds on one core.
"""

# %%
from statistics import NormalDist

import numpy as np

from minishatter import Chain, Dense, ReLU, active_units, gradients, intervals, nets, plot, theory
from minishatter.report import LEVEL, Report
from minishatter.running import progress, quick

SEED = 5
rng = np.random.default_rng(SEED)
report = Report("18_paths_and_walks")
plot.use_style()

# %% [markdown]
# **Paths by hand.** Two layers of two units, one input, one output: x -> v -> rectifier -> W -> rectifier -> u. There
# are four paths. A path through unit i of the first layer and unit j of the second has the product v_i W_ij u_j, and
# counts if both units are on.

# %%
v, W, u = rng.normal(size=2), rng.normal(size=(2, 2)), rng.normal(size=2)
x = -0.7
first = v * x + 0.1
second = np.maximum(first, 0) @ W + 0.1
total = sum(v[i] * W[i, j] * u[j] for i in range(2) for j in range(2) if first[i] > 0 and second[j] > 0)
small = Chain(Dense(v[None], [0.1] * 2), ReLU(), Dense(W, [0.1] * 2), ReLU(), Dense(u[:, None]))
_, cache = small.forward(np.array([[x]]))
print(f"sum over active paths {total:.6f}, backward {small.backward(np.ones((1, 1)), cache)[0][0, 0]:.6f}")

# %% [markdown]
# The same for 4 layers of 6 units, which have 6^4 = 1,296 paths: `theory.active_paths` lists those that are active.

# %%
net = nets.feedforward(4, 6, hidden_bias_std=0.5, rng=rng)
x = gradients.grid(64)
weights = [layer.params["W"] for layer in net.layers if isinstance(layer, Dense)]
patterns = active_units(net, x[:, None])
paths = [list(theory.active_paths(weights, [active[i] for active in patterns])) for i in range(x.size)]
by_paths = np.array([sum(product for _, product in at_x) for at_x in paths])
_, cache = net.forward(x[:, None])
by_backward = net.backward(np.ones((x.size, 1)), cache)[0][:, 0]
error = np.max(np.abs(by_paths - by_backward)) / np.max(np.abs(by_backward))
counts = np.array([len(at_x) for at_x in paths])
print(f"active paths: {counts.min()} to {counts.max()}, on average {counts.mean():.0f} of 1296; 1296 / 2^4 = 81")

# %% [markdown]
# **A walk by hand.** One layer, f(x) = sum over u of w_u relu(x - b_u), as in lesson 01 with v = (1, ..., 1). Unit u is
# on where x > b_u. So f'(x) is the sum of the w_u whose kinks have been passed: sort the kinks, and add up.

# %%
UNITS, WALKS = (1000, 200) if quick() else (4000, 2000)
b, w = rng.normal(size=UNITS), rng.normal(0, UNITS**-0.5, size=UNITS)
order = np.argsort(b)
kinks, walk = b[order], np.cumsum(w[order])

# %% [markdown]
# The steps are independent, of mean 0 and variance 1/UNITS each. In the time t = P(b < x), about the share of kinks
# that have been passed, that is a random walk, and Donsker's theorem says what it tends to when the units are many: a
# Brownian motion. Its increments are Gaussian, independent, and of variance dt. Here are 2,000 nets, at eight times:

# %%
normal = NormalDist()
times = np.array([0.01, 0.03, 0.07, 0.15, 0.31, 0.5, 0.75, 0.99])
inputs = np.array([normal.inv_cdf(t) for t in times])


def of_kinks(b, w):
    return Chain(Dense(np.ones((1, b.size)), -b), ReLU(), Dense(w[:, None]))


def one_layer(rng):
    return of_kinks(rng.normal(size=UNITS), rng.normal(0, UNITS**-0.5, size=UNITS))


walks = gradients.ensemble(one_layer, inputs, WALKS, [SEED, UNITS], progress=progress("walks"))
donsker = intervals.brownian_test(walks, times)
by_net = gradients.input_gradient(of_kinks(b, w), inputs)
by_hand = walk[np.searchsorted(kinks, inputs) - 1]  # at the last kink that has been passed
print(f"f' by hand and by the net, largest difference: {np.max(np.abs(by_hand - by_net)):.2g}")

# %%
fig, axes = plot.panels(2, 2, (9, 7))
plain, brown = plot.COLOUR["plain"], plot.COLOUR["brown"]
ax = axes[0, 0]
ax.plot(by_backward, by_paths, "o", color=plain, markersize=4)
ax.axline((0, 0), slope=1, color="black", linewidth=0.6)
ax.set(title="4 layers of 6 units, at 64 inputs", xlabel="gradient by backward", ylabel="sum over active paths")
ax = axes[0, 1]
ax.step(x, counts, where="mid", color=plain)
ax.axhline(1296 / 2**4, color="black", linewidth=0.8, linestyle="--", label=r"$6^4 / 2^4$")
ax.set(title="How many paths are active", xlabel="x", ylabel="of 1,296 paths", ylim=(0, None))
ax.legend()
ax = axes[1, 0]
passed = np.arange(1, UNITS + 1) / UNITS
ax.plot(passed, walk, color=brown, linewidth=0.9, label=f"f' of a net of {UNITS} units")
for sign, label in ((1, r"$\pm\sqrt{t}$"), (-1, None)):
    ax.plot(passed, sign * np.sqrt(passed), "--", color="black", linewidth=0.8, label=label)
ax.set(title="One layer: f' is a walk", xlabel="t, the share of kinks passed", ylabel="f'")
ax.legend()
ax, dt = axes[1, 1], np.diff(times)
ax.loglog(dt, np.diff(walks, axis=1).var(axis=0), "o", color=brown, label=f"{WALKS} nets")
ax.loglog(dt, dt, color="black", linewidth=0.8, label="variance = dt")
ax.set(title="Donsker: increments of f'", xlabel="dt, with t = P(b < x)", ylabel="variance")
ax.minorticks_off()
ax.set_xticks([0.02, 0.05, 0.1, 0.2], [0.02, 0.05, 0.1, 0.2])
ax.set_yticks([0.02, 0.05, 0.1, 0.2], [0.02, 0.05, 0.1, 0.2])
ax.legend()
plot.save(fig, report.figure)

# %% [markdown]
# **What you see.** Both pictures are exact. The sum over active paths is the gradient, to rounding. (f' is a staircase,
# so that many of the 64 inputs share a value.) Between 0 and 128 of the 1,296 paths are active, 49 on average; with
# half of the units on in each layer there would be 81. Where the number of active paths changes a unit has flipped, and
# the gradient makes a step: all paths through that unit come or go at once. Two inputs far apart share few active
# paths: if units were independent coins, 1 in 2^L of those that are active at the first input would be active at the
# second. That is Theorem 1's R, and normalised nets come close to such coins. And the gradient of one layer is a random
# walk. Its increments have the variance dt, from 0.02 to 0.25, and neither of two tests tells them, at 4,000 units and
# 2,000 nets, from those of a Brownian motion. That is what the paper calls brown noise.

# %% [markdown]
# **Claims.** The two tests are written as standardised statistics, so that they have an interval.

# %%
print(report.claim("sum over active paths minus backward, largest relative error, 4 layers of 6",
                   "path view of the paper", 0.0, error, tolerance=1e-12))
z99 = normal.inv_cdf(0.5 + LEVEL / 2)
for statement, p in (("Gaussian (Kolmogorov)", donsker.p_normal), ("independent (chi-square)", donsker.p_independent)):
    z = normal.inv_cdf(1 - min(max(p, 1e-12), 1 - 1e-12))  # the test statistic on the scale of a standard normal
    print(report.claim(f"1-layer increments are {statement}: standardised statistic", "Donsker", 0.0,
                       intervals.Interval(z, z - z99, z + z99)))
slope, half = donsker.variance_slope, z99 * donsker.slope_error
print(report.claim("1-layer increments: slope of log variance against log dt", "Donsker", 1.0,
                   intervals.Interval(slope, slope - half, slope + half)))
report.write()

# %% [markdown]
# **Try.** How many of the paths that are active at x = -2 are active at x = 2 too? Give the one-layer net v ~ N(0, 1):
# in which time is f' a walk now? From how many units on do the tests take the walk for a Brownian motion?
