"""One layer by hand: forward, tangent, backward
================================================

What is the derivative of a small rectifier net, and in how many ways can we
compute it? We do every step with arrays of five numbers, then let the layers
do the same, then check them. On the way we meet the object that the paper is
about: f'(x) is a staircase.
"""

# %%
import numpy as np

from minishatter import Chain, Dense, ReLU, check, gradients, plot, trace
from minishatter.report import Report, quick

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
# **The staircase.** f is piecewise linear, so f' is piecewise constant. It jumps where a
# unit switches, at x = -b_u / v_u, by w_u |v_u|.

# %%
x = np.linspace(-2.5, 2.5, POINTS)
g = gradients.input_gradient(net, x)
kinks = -b / v
jumps = w * np.abs(v)
inside = np.abs(kinks) < 2.5
order = np.argsort(kinks[inside])
steps = np.diff(g)[np.flatnonzero(np.abs(np.diff(g)) > 1e-12)]

print(report.claim("jumps of f' of a small net, left to right: w_u |v_u|", "derived; f is piecewise linear",
                   jumps[inside][order], steps, (steps, steps), tolerance=1e-12))
both = gradients.input_gradient(net, x, "through")
worst = np.max(np.abs(g - both))
print(report.claim("tangent minus backward, largest over the grid", "derived; both are df/dx",
                   0.0, worst, (worst, worst), tolerance=1e-12))

# %% [markdown]
# Top: f, with a dot at every kink. Bottom: f', with the jump of each unit.

# %%
fig, axes = plot.panels(2, 1, (7, 5), sharex=True)
value, _ = net.forward(x[:, None])
top, bottom = axes[:, 0]
top.plot(x, value, color=plot.COLOUR["feedforward"])
top.plot(kinks[inside], net.forward(kinks[inside][:, None])[0], "o", color="black", markersize=5)
top.set_ylabel("f(x)")
top.set_title("A rectifier net with five units: piecewise linear")
bottom.plot(x, g, color=plot.COLOUR["feedforward"])
for kink, jump in zip(kinks[inside], jumps[inside]):
    bottom.axvline(kink, color="black", linewidth=0.6, linestyle=":")
    bottom.annotate(f"{jump:+.2f}", (kink, 1.0), xycoords=("data", "axes fraction"), ha="center", fontsize=8)
bottom.set_ylabel("f'(x)")
bottom.set_xlabel("x")
plot.save(fig, report.figure)
report.write()

# %% [markdown]
# **Try.** Put a second ReLU layer between: how many steps does the staircase get? Where can
# a kink of a second-layer unit lie? Give two units the same kink and opposite weights.
