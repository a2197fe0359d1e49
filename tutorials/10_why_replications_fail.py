"""Why replications fail
========================

The best-known textbook exercise on this paper draws the gradient of a 24-layer
net, finds that it does not look like figure 1(b), says that it is no
convincing replication, and asks its readers why. Here is the answer: a
controlled study, one change at a time, 20 nets for each set-up.

Builds on 02 and 04. Takes about 75 seconds on one core.
"""

# %%
import numpy as np

from minishatter import (
    BatchNorm, Center, Chain, Dense, ReLU, gradients, init, intervals, look, plot, stats)
from minishatter.report import LEVEL, Report
from minishatter.running import progress, quick

SEEDS, FEWER = (6, 6) if quick() else (20, 10)  # FEWER where depth or width is another
DEPTHS = (4, 24) if quick() else (4, 10, 24, 50)
WIDTHS = (50, 200) if quick() else (50, 100, 200, 400)
DEPTH, WIDTH = 24, 200
x = gradients.grid()
report = Report("10_why_replications_fail")
plot.use_style()

# %% [markdown]
# **A set-up** is five choices. Weights: the variance of a hidden weight times the width; "truncated" is a normal cut at
# two standard deviations and not rescaled. Biases: the standard deviation in the first layer and in the hidden ones
# (1/sqrt N where it says "1/N"). Norm: what is subtracted or divided, and where.

# %%
TRUNCATED = 0.774 * 2.0
GAIN = {"1/N": 1.0, "2/N (He)": 2.0, "truncated He": TRUNCATED}
BIAS = {"0": lambda width: 0.0, "1/N": lambda width: width**-0.5, "1": lambda width: 1.0}
BEFORE = {"centre over the batch": lambda width: [Center()], "centre over the units": lambda width: [Center("units")],
          "BN, held": lambda width: [BatchNorm(width)], "BN, through": lambda width: [BatchNorm(width)]}
AFTER = {"centre over the batch, behind": lambda width: [Center()],
         "centre over the units, behind": lambda width: [Center("units")]}
CHOICES = {"weights": GAIN, "first biases": BIAS, "hidden biases": BIAS, "norm": ("none", *BEFORE, *AFTER)}


def layers(setup, depth, width, rng):
    """The layers of a net of one set-up: a scalar, `depth` rectifier layers, a scalar."""
    def dense(fan_in, fan_out, bias):
        if setup["weights"] == "truncated He":
            W = init.truncated(fan_in, fan_out, rng)
        else:
            W = init.he(fan_in, fan_out, rng, GAIN[setup["weights"]])
        return Dense(W, bias * rng.standard_normal(fan_out))

    yield Dense(rng.standard_normal((1, width)), BIAS[setup["first biases"]](width) * rng.standard_normal(width))
    yield ReLU()
    for _ in range(depth - 1):
        yield dense(width, width, BIAS[setup["hidden biases"]](width))
        yield from BEFORE.get(setup["norm"], lambda width: [])(width)
        yield ReLU()
        yield from AFTER.get(setup["norm"], lambda width: [])(width)
    yield dense(width, 1, 0.0)


# %% [markdown]
# **The wrong axis, by hand.** Rows are inputs, columns are units. The paper subtracts the mean of each column; a
# "mean-centred network" may as well be read as subtracting the mean of each row.

# %%
signals = np.array([[3.0, 1.0, 2.0], [5.0, 1.0, 3.0]])  # 2 inputs, 3 units: all on, for both inputs
print("over the batch:", *(signals - signals.mean(axis=0)).tolist())  # each unit is on for one of the two
print("over the units:", *(signals - signals.mean(axis=1, keepdims=True)).tolist())  # the same unit is on for both

# %% [markdown]
# **What is measured**, for each net: the RMS of the gradient, its autocorrelation at lag 1, the co-activity of the last
# layer, and how many of the 256 gradients are different.

# %%
MEASURES = ("rms", "acf", "coactive", "distinct")


def measure(setup, depth, width, seed):
    net = Chain(*layers(setup, depth, width, np.random.default_rng([seed, depth, width])))
    g, patterns = look.one_pass(net, x, "through" if setup["norm"] == "BN, through" else "held")
    distinct = 1 + np.sum(np.diff(np.sort(g)) > 1e-9 * np.abs(g).max())
    acf = stats.autocorrelation(g, 1)[1] if distinct > 1 else np.nan
    return np.sqrt(np.mean(g**2)), acf, stats.coactivity(patterns[-1]).mean(), distinct


def study(setup, depth=DEPTH, width=WIDTH, seeds=SEEDS):
    """{measure: Interval over seeds}; the RMS as a logarithm, since it spans many orders of magnitude."""
    rows = np.array([measure(setup, depth, width, seed) for seed in range(seeds)], dtype=float)
    rows[:, 0] = np.log10(rows[:, 0])
    varies = ~np.isnan(rows[:, 1])
    rows[~varies, 1] = 1.0  # a constant gradient is as correlated as can be
    means = intervals.mean_interval(rows, LEVEL)
    return {measure: means.at(column) for column, measure in enumerate(MEASURES)}


# %% [markdown]
# **The set-ups that people try**, and the paper's.

# %%
TEXTBOOK = {"weights": "1/N", "first biases": "1/N", "hidden biases": "1/N", "norm": "none"}
ZERO_BIASES = {"weights": "2/N (He)", "first biases": "0", "hidden biases": "0", "norm": "none"}
SPREAD_BIASES = ZERO_BIASES | {"first biases": "1"}
PER_SAMPLE = SPREAD_BIASES | {"norm": "centre over the units"}
PAPER = SPREAD_BIASES | {"norm": "centre over the batch"}
NORMALISED = SPREAD_BIASES | {"norm": "BN, held"}
SETUPS = {"textbook: variance 1/N": TEXTBOOK, "He, zero biases": ZERO_BIASES, "He, first biases N(0, 1)": SPREAD_BIASES,
          "He, centred per sample": PER_SAMPLE, "He, centred over the batch": PAPER, "He, BN held": NORMALISED}
FAILED = list(SETUPS)[:4]
SHAPES = [(DEPTH, WIDTH), *((depth, WIDTH) for depth in DEPTHS if depth != DEPTH),
          *((DEPTH, width) for width in WIDTHS if width != WIDTH)]
results = {(name, *shape): study(setup, *shape, SEEDS if shape == SHAPES[0] else FEWER)
           for (name, setup) in progress("set-ups")(list(SETUPS.items())) for shape in SHAPES}

# %% [markdown]
# **One change at a time.** From each set-up that fails, change one choice to each of its other values. "Like figure
# 1(b)" is a rule fixed beforehand: the interval of the autocorrelation at lag 1 lies within (-0.15, 0.15), and at least
# 250 of the 256 gradients differ. The scale is another question, below.

# %%
CHANGES = [(choice, value) for choice, values in CHOICES.items() for value in values]


def like_figure_1b(result):
    return bool(-0.15 < result["acf"].low and result["acf"].high < 0.15 and result["distinct"].value >= 250)


changed = {(name, choice, value): study(SETUPS[name] | {choice: value})
           for name in progress("changes")(FAILED) for choice, value in CHANGES if SETUPS[name][choice] != value}

# %% [markdown]
# **Which single changes should help?** Let c be the correlation of the signals at two inputs. A rectifier layer maps it
# to k1(c), whose slope at c = 1 is 1: neighbours never part, and in the end all inputs agree (c = 1). The rectifier's
# outputs are positive: they share a mean. Take that mean away, and the map becomes (k1(c) - 1/pi) / (1 - 1/pi), with
# slope pi / (pi - 1) = 1.47 at c = 1: neighbours part by this factor at each layer, and c tends to 0. The mean can be
# taken over the batch or over the units, behind the rectifier. *Before* it the mean over the batch does the
# same, being the last rectifier's mean times W; but the mean over the units is nearly zero there already, and
# taking it away changes nothing. Weights and biases do not touch the shared mean. So five changes should do it, and no
# others. Two caveats show below. Where hidden biases are not subtracted and the signal shrinks (the textbook's),
# centering behind the rectifier leaves little but the biases. And a net without any biases stays homogeneous when it is
# centred over the units: f' can take two values only.

# %%
CURES = {"centre over the batch", "centre over the batch, behind", "centre over the units, behind", "BN, held",
         "BN, through"}
for name in FAILED:
    cures = {value for (setup, choice, value), result in changed.items() if setup == name and like_figure_1b(result)}
    wrong = float(len(cures ^ CURES))
    print(report.claim(f"single changes whose effect on '{name}' is not as expected", "our answer: five cure it", 0.0,
                       wrong, beyond=True), sorted(cures ^ CURES))
cured = float(sum(like_figure_1b(changed[name, "norm", "centre over the batch"]) for name in FAILED))
print(report.claim("of the four set-ups that fail, turned into figure 1(b) by centering over the batch alone",
                   "our answer: all", 4.0, cured, beyond=True))
scale = study(PAPER | {"weights": "truncated He"})["rms"]
print(report.claim("He truncated at two standard deviations, centred over the batch: log10 of the RMS gradient",
                   "figure 1(b): 0.05, an inference", np.log10(0.05), scale, tolerance=0.1, in_kind=0.3,
                   beyond=True))

# %% [markdown]
# **So why do replications fail?** They leave out one step that the paper mentions in passing: the mean-centering of
# figure 1(b), or they take the mean over the wrong axis in the wrong place. Without it units stop switching along the
# line (co-activity 1/2), all inputs see the same linear map, and nothing is left to shatter; with it the pattern keeps
# changing (co-activity 1/4 at 24 layers; 0.36 at 50, as infinite width says in lesson 13, and the gradient is white all
# the same). The weights' variance and the biases change how large the gradient is and how slowly it freezes, not that
# it does.

# %%
fig = plot.page((11, 7.4))
top, bottom = fig.subfigures(2, 1, height_ratios=[1, 0.8])
axes = top.subplots(1, 3)
COLOURS = dict(zip(SETUPS, (plot.COLOUR["textbook"], *plot.shades(plot.COLOUR["plain"], 2), plot.COLOUR["per sample"],
                            plot.COLOUR["feedforward"], plot.COLOUR["BN"])))
NORMS = [(choice, value) for choice, value in CHANGES if choice == "norm"]
for ax, (measure_name, label) in zip(axes, (("acf", "ACF at lag 1"), ("coactive", "co-activity, last layer"),
                                            ("rms", "log10 RMS gradient"))):
    for name in SETUPS:
        plot.points(ax, DEPTHS, [results[name, depth, WIDTH][measure_name] for depth in DEPTHS], COLOURS[name], name,
                    "o-", markersize=3)
    ax.set(xlabel="depth", ylabel=label)
    plot.log_depths(ax, DEPTHS)
top.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=6)

ax = bottom.subplots()
cells = np.array([[changed.get((name, *change), results[name, DEPTH, WIDTH])["acf"].value for change in NORMS]
                  for name in FAILED])
ax.imshow(cells, cmap="RdBu_r", vmin=-1.2, vmax=1.2, aspect="auto")
for row, name in enumerate(FAILED):
    for column, change in enumerate(NORMS):
        result = changed.get((name, *change))
        shown = result or results[name, DEPTH, WIDTH]
        text = "as it is: " * (result is None) + f"{shown['acf'].value:.2f}, 1e{round(shown['rms'].value)}"
        good = result is not None and like_figure_1b(result)
        ax.text(column, row, text, ha="center", va="center", fontsize=9, weight="bold" if good else "normal",
                color="white" if abs(cells[row, column]) > 0.8 else "black",
                bbox={"facecolor": "none", "edgecolor": "black", "boxstyle": "round"} if good else None)
ax.set_yticks(range(len(FAILED)), FAILED)
ax.set_xticks(range(len(NORMS)), [value.replace(", ", ",\n").replace(" over", "\nover") for _, value in NORMS])
ax.set_title("Another norm for each set-up that fails, 24 x 200: ACF at lag 1, order of magnitude of the gradient; "
             "framed: like figure 1(b)", fontsize=9)
plot.save(fig, report.figure)


# %% [markdown]
# **What you see.** At 24 layers four of the six set-ups have neighbours that correlate by 0.85 or more (above), and
# most units are on for all inputs or for none: co-activity 0.46 to 0.50. The textbook's gradient is smaller by 10^3.7
# as well. Centering over the batch brings each of the four to a correlation between -0.07 and -0.03. Below, the framed
# changes do it alone. All of them take the shared mean away, but three that should do so fail: in the textbook's net
# centering behind the rectifier, over the batch (0.87) and over the units (0.85), where little but the biases is left,
# and without biases centering over the units (0.99). No other variance of the weights and no other bias that was tried
# does it.

# %% [markdown]
# **The one-page answer**, as it stands in the table.

# %%
def cell(interval, digits=2):
    return f"{interval.value:.{digits}f} [{interval.low:.{digits}f}, {interval.high:.{digits}f}]"


notes = [f"{DEPTH} layers of {WIDTH}, {SEEDS} nets each, means with {LEVEL:.0%} intervals:", "",
         "| set-up | log10 RMS gradient | ACF at lag 1 | co-active | distinct of 256 | like figure 1(b) | "
         "ACF at lag 1 once centred over the batch |", "| --- | --- | --- | --- | --- | --- | --- |"]
for name in SETUPS:
    result = results[name, DEPTH, WIDTH]
    centred = cell(changed[name, "norm", "centre over the batch"]["acf"]) if name in FAILED else ""
    notes.append(f"| {name} | {cell(result['rms'])} | {cell(result['acf'])} | {cell(result['coactive'])} "
                 f"| {result['distinct'].value:.0f} | {'yes' if like_figure_1b(result) else 'no'} | {centred} |")
notes += ["", f"The width has no effect that is seen: ACF at lag 1, {SEEDS} nets of {WIDTH}, {FEWER} of others", "",
          "| set-up | " + " | ".join(f"width {width}" for width in WIDTHS) + " |", "| --- |" + " --- |" * len(WIDTHS)]
for name in SETUPS:
    notes.append(f"| {name} | " + " | ".join(cell(results[name, DEPTH, width]["acf"]) for width in WIDTHS) + " |")
print("\n".join(notes))
why = ("Why rows differ: where hidden biases are not subtracted and the signal shrinks (the textbook's), centering"
       " behind the rectifier leaves the biases in charge. A net without any biases that is centred over the units"
       " stays homogeneous, and f' has two values only.")
report.write("\n".join([*notes, "", why]), beyond=True)

# %% [markdown]
# **Try.** Is there a bias scale at which a plain He net shatters? Does layer normalisation, before the rectifier or
# behind it, help more than subtracting the mean over the units? Behind which layer of the textbook's set-up does no
# unit flip any more?
