"""One layer by hand: forward, tangent, backward
================================================

What is the derivative of a small rectifier net, and in how many ways can we
compute it? We do every step with arrays of five numbers, then let the layers
do the same, then check them. Three layers are worth deriving: CReLU, the skip
connection and batch normalisation. On the way we meet the object that the paper is
about: f'(x) is a staircase.

Builds on nothing. Takes about 3 seconds on one core.
"""

# %%
import numpy as np

from minishatter import Chain, Dense, ReLU, check, gradients, plot, trace
from minishatter.report import Report
from minishatter.running import quick

POINTS = 401 if quick() else 4001
rng = np.random.default_rng(1)
report = Report("01_one_layer_by_hand")
plot.use_style()

# %% [markdown]
# The net is f(x) = sum over u of w_u relu(v_u x + b_u), with five units.

# %%
v, b, w = rng.normal(size=5), rng.normal(size=5), rng.normal(size=5)
x = 0.7

# %% [markdown]
# **Forward.** Three lines, every intermediate in a variable.

# %%
z = v * x + b         # (5,) pre-activations
h = np.maximum(z, 0)  # (5,) activations
f = w @ h             # a number

# %% [markdown]
# **Tangent** (forward mode): nudge x by 1 * dx and follow the nudge through the
# same three lines. **Backward** (reverse mode): start from df/df = 1 and walk the
# three lines in reverse. Both end at f'(x).

# %%
t_z = v * 1.0
t_h = t_z * (z > 0)
f_tangent = w @ t_h

d_h = w * 1.0
d_z = d_h * (z > 0)
f_backward = d_z @ v
print(f"f'({x}) = {f_tangent:.12f} by the tangent, {f_backward:.12f} by backward")

# %% [markdown]
# The layers do the same for a whole batch of inputs, shape (N, 1). `trace` shows one
# pass: what went through each layer, and the gradient that came back.

# %%
net = Chain(Dense(v[None, :], b), ReLU(), Dense(w[:, None]))
batch = rng.normal(size=(7, 1))
print(trace(net, batch, np.ones((7, 1))))
for result in check.check_layer(net, batch, rng):
    print(f"{result.rule:<10}{result.left:>16.10f}{result.right:>16.10f}   relative error {result.error:.0e}")

# %% [markdown]
# **Three layers that need a thought.** Backward is the transpose of the tangent: for every nudge t of the input and
# every gradient dy of the output, <dy, J t> = <J^T dy, t>. So write down what the tangent does to t, and read off what
# stands on the other side. `by_differences` is the judge: it moves one number of x at a time.

# %%
def by_differences(layer, x, dy, step=1e-6):
    """The gradient of <dy, layer(x)> with respect to x, by central differences; the layer is a plain function."""
    dx = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        nudge = np.zeros_like(x)
        nudge[place] = step
        dx[place] = np.sum(dy * (layer(x + nudge) - layer(x - nudge))) / (2 * step)
    return dx


def compare(name, by_hand, layer, x, dy):
    gap = np.max(np.abs(by_hand - by_differences(layer, x, dy)))
    print(f"{name:<20} by hand and by differences: {gap:.0e} apart")


rows = rng.normal(size=(6, 3))  # six inputs, three units

# %% [markdown]
# **CReLU** keeps both halves, y = (max(x, 0), max(-x, 0)). A nudge t reaches the first half as t where x > 0, and the
# second as -t elsewhere. One input feeds two outputs, so two gradients come back, one with a minus sign.

# %%
def crelu(x):
    return np.concatenate([np.maximum(x, 0), np.maximum(-x, 0)], axis=1)


dy = rng.normal(size=(6, 6))
d_positive, d_negative = dy[:, :3], dy[:, 3:]
dx = d_positive * (rows > 0) - d_negative * ~(rows > 0)
compare("CReLU", dx, crelu, rows, dy)

# %% [markdown]
# **A skip connection** reads x twice: y = x + relu(x) W. A nudge t arrives along both ways, t + (t where x > 0) W, so
# <dy, J t> = <dy, t> + <dy W^T where x > 0, t>. Where a path forks, gradients add.

# %%
W = rng.normal(size=(3, 3))
dy = rng.normal(size=(6, 3))
dx = dy + (dy @ W.T) * (rows > 0)
compare("skip connection", dx, lambda x: x + np.maximum(x, 0) @ W, rows, dy)

# %% [markdown]
# **Batch normalisation**, xhat = (x - mean) / std for each unit, makes the rows of a batch interact. Nudge x by t:
#
# - the mean moves by mean t, so x - mean moves by t - mean t;
# - the variance, the mean of (x - mean)^2, moves by 2 mean((x - mean) t) = 2 std mean(xhat t), so std moves by
#   mean(xhat t);
# - by the rule for quotients xhat moves by (t - mean t - xhat mean(xhat t)) / std.
#
# Call this P t / std. P takes two averages away, and an average may be moved to the other side of a product:
# <u, mean t> = <mean u, t>, and likewise <u, xhat mean(xhat t)> = <xhat mean(xhat u), t>. So P is its own transpose,
# and backward is the same formula with dy for t.

# %%
def normalise(x):
    return (x - x.mean(axis=0)) / x.std(axis=0)


xhat, std = normalise(rows), rows.std(axis=0)
dx = (dy - dy.mean(axis=0) - xhat * (xhat * dy).mean(axis=0)) / std
compare("batch normalisation", dx, normalise, rows, dy)

# %% [markdown]
# Two things can be read off. The gradients of a batch add up to zero, for a common shift of all rows changes nothing.
# They are orthogonal to xhat, for stretching all rows changes nothing either. With the statistics *held* (constants)
# the middle terms are missing: dx = dy / std. With the derivative *through* them they are there. These are the two
# meanings of "the gradient" in a net with batch normalisation, and every later tutorial says which of the two it takes.

# %%
print(f"sum of dx over the batch: {np.abs(dx.sum(axis=0)).max():.0e}")
print(f"sum of dx times xhat:     {np.abs((dx * xhat).sum(axis=0)).max():.0e}")

# %% [markdown]
# **The staircase.** f is piecewise linear, so f' is piecewise constant. It jumps where a
# unit switches, at x = -b_u / v_u, by w_u |v_u|.
#
# **Claims.** Here and in all later tutorials `report.claim` compares a measured number with a predicted one. It
# *agrees* if the predicted number lies in the measured interval, widened by the tolerance: here what rounding can do,
# elsewhere the error with which a printed figure can be read. It *agrees in kind* if the measured number is within the
# distance `in_kind`. Else it *differs*. The widths are set before looking.

# %%
x = np.linspace(-2.5, 2.5, POINTS)
g = gradients.input_gradient(net, x)
kinks = -b / v
jumps = w * np.abs(v)
inside = np.abs(kinks) < 2.5
order = np.argsort(kinks[inside])
steps = np.diff(g)[np.flatnonzero(np.abs(np.diff(g)) > 1e-12)]

print(report.claim("jumps of f' of a small net, left to right: w_u |v_u|", "derived; f is piecewise linear",
                   jumps[inside][order], steps, tolerance=1e-12, beyond=True))
both = gradients.input_gradient(net, x, "through")
worst = np.max(np.abs(g - both))
print(report.claim("tangent minus backward, largest over the grid", "derived; both are df/dx",
                   0.0, worst, tolerance=1e-12, beyond=True))

# %% [markdown]
# Top: f, with a dot at every kink. Bottom: f', with the jump of each unit.

# %%
fig, axes = plot.panels(2, 1, (7, 5), sharex=True)
value, _ = net.forward(x[:, None])
top, bottom = axes[:, 0]
top.plot(x, value, color=plot.COLOUR["plain"])
top.plot(kinks[inside], net.forward(kinks[inside][:, None])[0], "o", color="black", markersize=5)
top.set_ylabel("f(x)")
top.set_title("A rectifier net with five units: piecewise linear")
bottom.plot(x, g, color=plot.COLOUR["plain"])
for kink, jump in zip(kinks[inside], jumps[inside]):
    bottom.axvline(kink, color="black", linewidth=0.6, linestyle=":")
    bottom.annotate(f"{jump:+.2f}", (kink, 1.0), xycoords=("data", "axes fraction"), ha="center", fontsize=8)
bottom.set_ylabel("f'(x)")
bottom.set_xlabel("x")
plot.save(fig, report.figure)
report.write()

# %% [markdown]
# **Try.** Put a second ReLU layer between: how many steps does the staircase get? Where can a kink of a second-layer
# unit lie? Give two units the same kink and opposite output weights.
