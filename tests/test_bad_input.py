"""Bad input: every public function refuses it with a ValueError or TypeError that names the argument.

Never an AttributeError from deep inside, a broadcasting error, a silent NaN, a line printed
or a file left behind. A row of the table is `bad(text, function, *args, **kwargs)`; the
first word of the text is the argument that the message must name (a regular expression).
"""

import copy
import inspect
import types
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from matplotlib.figure import Figure

from minishatter import (arguments, check, compose, correlation_maps, explore, files, film, gradients, init,
                         intervals, layers, look, nets, norms, plot, pointwise, probe, regions, report, running,
                         stats, sweep, tangent_kernel, theory, wide)
from minishatter.compose import Chain, Sum
from minishatter.images import checkpoint, clusters, conv, convnets, data, download, filters, fused, schedules, train
from minishatter.intervals import Interval
from minishatter.layers import Affine, BatchNorm, Center, CReLU, Dense, Identity, PReLU, ReLU
from tests import cells

NAN, INF = np.nan, np.inf
RNG, LEGACY = np.random.default_rng(0), np.random.RandomState(0)
ONES, GRID = np.ones((7, 5)), np.linspace(-2, 2, 7)


def place(function):
    """Where a function or method is defined: "nets.feedforward", "layers.Dense.forward"."""
    return f"{function.__module__.rpartition('.')[2]}.{function.__qualname__}"


def bad(text, function, *args, **kwargs):
    return pytest.param(text.split()[0], function, args, kwargs, id=f"{place(function)}: {text}")


def exploding(rng):
    """A net whose gradient is 1e600."""
    return Chain(*(Dense(np.array([[1e200]])) for _ in range(3)))


def ax():
    """Axes that belong to no window."""
    return Figure().subplots()


ARGUMENTS = [
    bad("depth a float", arguments.integer, "depth", 2.0),
    bad("depth a boolean", arguments.integer, "depth", True),
    bad("depth a NumPy boolean", arguments.integer, "depth", np.bool_(True)),
    bad("depth text", arguments.integer, "depth", "2"),
    bad("depth too small", arguments.integer, "depth", 0),
    bad("beta text", arguments.number, "beta", "1.0"),
    bad("beta a boolean", arguments.number, "beta", False),
    bad("beta None", arguments.number, "beta", None),
    bad("beta complex", arguments.number, "beta", 1j),
    bad("beta NaN", arguments.number, "beta", NAN),
    bad("beta infinite", arguments.number, "beta", -INF),
    bad("beta out of range", arguments.number, "beta", 1.5, 0.0, 1.0),
    bad("x text", arguments.array, "x", "abc"),
    bad("x None", arguments.array, "x", None),
    bad("x booleans", arguments.array, "x", [True, False]),
    bad("x complex", arguments.array, "x", [1j]),
    bad("layer a class", arguments.layer, "layer", Identity),
    bad("x ragged", arguments.array, "x", [[1.0], [1.0, 2.0]]),
    bad("x empty", arguments.array, "x", []),
    bad("x NaN", arguments.array, "x", [1.0, NAN]),
    bad("x infinite", arguments.array, "x", [INF]),
    bad("x with too many axes", arguments.array, "x", ONES, 1),
    bad("norm unknown", arguments.one_of, "norm", "layer", ("batch", "center")),
    bad("norm a list", arguments.one_of, "norm", ["batch"], {"batch": 1, "center": 2}),
    bad("rng a seed", arguments.generator, "rng", 0),
    bad("rng None", arguments.generator, "rng", None),
    bad("rng a RandomState", arguments.generator, "rng", LEGACY),
    bad("rng the module", arguments.generator, "rng", np.random),
]

LAYERS = [
    bad("W a vector", Dense, np.ones(5)),
    bad("W NaN", Dense, [[NAN]]),
    bad("W text", Dense, "W"),
    bad("b of the wrong length", Dense, ONES, np.ones(7)),
    bad("b a matrix", Dense, ONES, ONES),
    bad("b infinite", Dense, ONES, np.full(5, INF)),
    bad("x that does not chain", Dense(ONES).forward, ONES),
    bad("x a vector", Dense(ONES).forward, np.ones(7)),
    bad("slope two numbers", PReLU, [0.1, 0.2]),
    bad("slope text", PReLU, "steep"),
    bad("slope None", PReLU, None),
    bad("slope NaN", PReLU, NAN),
    bad("scale a number", Affine, 1.0, np.ones(5)),
    bad("scale infinite", Affine, [INF], [0.0]),
    bad("shift of another length", Affine, np.ones(5), np.ones(3)),
    bad("x of the wrong width", Affine(np.ones(5), np.ones(5)).forward, np.ones((7, 3))),
    bad("x of width 1, which would broadcast", Affine(np.ones(5), np.ones(5)).forward, np.ones((7, 1))),
    bad("units zero", BatchNorm, 0),
    bad("units a float", BatchNorm, 5.0),
    bad("units a boolean", BatchNorm, True),
    bad("eps negative", BatchNorm, 5, -1e-5),
    bad("eps NaN", BatchNorm, 5, NAN),
    bad("x of the wrong width", BatchNorm(5).forward, np.ones((7, 3))),
    bad("x a vector", BatchNorm(5).forward, np.ones(5)),
    bad("x of the wrong width", BatchNorm(5).freeze, np.ones((7, 3))),
    bad("x of width 1, which would broadcast", BatchNorm(5).freeze, np.ones((7, 1))),
    *(bad(text, *call) for norm in (norms.LayerNorm, norms.RMSNorm) for text, *call in (
        ("units zero", norm, 0), ("units a float", norm, 5.0), ("eps negative", norm, 5, -1e-5),
        ("x of the wrong width", norm(5).forward, np.ones((7, 3))), ("x a vector", norm(5).forward, np.ones(5)),
        ("x whose size overflows", norm(5).forward, 1e200 * np.arange(35.0).reshape(7, 5)),
        ("x without a size", norm(5, 0.0).forward, np.zeros((7, 5))))),
]

NARROW = Sum(Identity(), Dense(np.ones((5, 1))))  # its branches are (N, 5) and (N, 1)

COMPOSE = [
    bad("net a number", compose.leaves, 3),
    bad("layer missing", Chain),
    bad("layers a number", Chain, 5),
    bad("layers a list", Chain, [ReLU()]),
    bad("layers a class", Chain, ReLU),
    bad("layers the class of a container", Chain, Chain),
    bad("x that does not chain", Chain(Dense(ONES), CReLU(), Dense(ONES.T)).forward, np.ones((3, 7))),
    bad("layer missing", Sum),
    bad("weights too few", Sum, Identity(), ReLU(), weights=(1.0,)),
    bad("weights NaN", Sum, Identity(), weights=(NAN,)),
    bad("weights a boolean", Sum, Identity(), weights=(True,)),
    bad("weights text", Sum, Identity(), ReLU(), weights="ab"),
    bad("weights a number", Sum, Identity(), weights=1.0),
    bad("branches that do not add", Sum(Identity(), Dense(np.ones((5, 3)))).forward, ONES),
    bad("branches that would broadcast", NARROW.forward, ONES),
    bad("net a number", compose.freeze, 5, ONES),
    bad("over unknown", Center, "rows"),
    bad("x a vector", compose.freeze, Center(), np.ones(5)),
    bad("x NaN", compose.freeze, Center(), NAN * ONES),
    bad("x of the wrong width", compose.freeze, Chain(BatchNorm(3), ReLU()), ONES),
    bad("net a number", compose.active_units, 5, ONES),
    bad("x infinite", compose.active_units, ReLU(), INF * ONES),
    bad("x empty", compose.active_units, ReLU(), np.ones((0, 5))),
    bad("net a number", compose.trace, 5, ONES, ONES),
    bad("x a vector", compose.trace, ReLU(), np.ones(5), ONES),
    bad("x NaN", compose.trace, ReLU(), NAN * ONES, ONES),
    bad("dy of the wrong shape", compose.trace, ReLU(), ONES, ONES.T),
    bad("dy infinite", compose.trace, ReLU(), ONES, INF * ONES),
    bad("branches that would broadcast", compose.trace, NARROW, ONES, ONES),
]

INIT = [
    bad("cut zero: nothing would be left", init.truncated, 3, 4, RNG, cut=0.0),
    bad("gain negative", init.truncated, 3, 4, RNG, gain=-1.0),
    bad("rng legacy", init.truncated, 3, 4, LEGACY),
    bad("fan_in zero", init.normal, 0, 3, 1.0, RNG),
    bad("fan_out a float", init.normal, 3, 3.0, 1.0, RNG),
    bad("std negative", init.normal, 3, 3, -1.0, RNG),
    bad("std NaN", init.normal, 3, 3, NAN, RNG),
    bad("rng a RandomState", init.normal, 3, 3, 1.0, LEGACY),
    bad("fan_in a boolean", init.he, True, 3, RNG),
    bad("fan_out negative", init.he, 3, -3, RNG),
    bad("gain negative", init.he, 3, 3, RNG, -2.0),
    bad("gain text", init.he, 3, 3, RNG, "relu"),
    bad("rng missing", init.he, 3, 3),
    bad("fan_in a float", init.glorot, 3.0, 3, RNG),
    bad("fan_out zero", init.glorot, 3, 0, RNG),
    bad("rng a seed", init.glorot, 3, 3, 0),
    bad("fan_in zero", init.orthogonal, 0, 3, RNG),
    bad("fan_in text", init.orthogonal, "3", 3, RNG),
    bad("fan_out a float", init.orthogonal, 2, 2.5, RNG),
    bad("gain infinite", init.orthogonal, 3, 3, RNG, INF),
    bad("rng a RandomState", init.orthogonal, 3, 3, LEGACY),
    bad("fan_in odd", init.looks_linear, 3, 3, RNG),
    bad("fan_in a float", init.looks_linear, 4.0, 3, RNG),
    bad("fan_out zero", init.looks_linear, 4, 0, RNG),
    bad("fan_in one: the weight that adds up to 0 is 0", init.standardised, 1, 3, RNG),
    bad("fan_out a float", init.standardised, 3, 3.0, RNG),
    bad("gain negative", init.standardised, 3, 3, RNG, -1.0),
    bad("rng a RandomState", init.standardised, 3, 3, LEGACY),
    bad("units zero", init.biases, 0, 1.0, RNG),
    bad("std negative", init.biases, 3, -1.0, RNG),
    bad("rng None", init.biases, 3, 1.0, None),
    bad("W of an odd length", init.mirrored_parts, np.ones((5, 2))),
    bad("W without the axis", init.mirrored_parts, np.ones((4, 2)), 2),
    bad("axis negative", init.mirrored_parts, np.ones((4, 2)), -1),
]

# What all builders refuse, by the same words.
BUILDERS = [row for build, options in ((nets.feedforward, {}), (nets.resnet, {}), (nets.highway, {"gamma2": 0.5}))
            for row in (bad("depth negative", build, -1, 5, **options, rng=RNG),
                        bad("depth a float", build, 3.0, 5, **options, rng=RNG),
                        bad("depth a boolean", build, True, 5, **options, rng=RNG),
                        bad("depth missing", build, **options, rng=RNG),
                        bad("width zero", build, 3, 0, **options, rng=RNG),
                        bad("width text", build, 3, "wide", **options, rng=RNG),
                        bad("inputs zero", build, 3, 5, **options, inputs=0, rng=RNG),
                        bad("inputs a float", build, 3, 5, **options, inputs=2.0, rng=RNG),
                        bad("rng missing", build, 3, 5, **options),
                        bad("rng a seed", build, 3, 5, **options, rng=0),
                        bad("rng a RandomState", build, 3, 5, **options, rng=LEGACY),
                        bad("bias_std negative", build, 3, 5, **options, bias_std=-1.0, rng=RNG),
                        bad("hidden_bias_std NaN", build, 3, 5, **options, hidden_bias_std=NAN, rng=RNG),
                        bad("hidden_bias_std negative in a net of one layer", build, 1, 5, **options,
                            hidden_bias_std=-1.0, rng=RNG),
                        bad("depth negative, of the layers one at a time", getattr(nets, f"{build.__name__}_layers"),
                            -1, 5, **options, rng=RNG))]

NETS = BUILDERS + [
    bad("depth zero", nets.feedforward, 0, 5, rng=RNG),
    bad("depth zero", nets.highway, 0, 5, gamma2=0.5, rng=RNG),
    bad("norm unknown", nets.feedforward, 3, 5, norm="layer", rng=RNG),
    bad("norm a boolean", nets.feedforward, 3, 5, norm=True, rng=RNG),
    bad("norm a list", nets.feedforward, 3, 5, norm=["batch"], rng=RNG),
    bad("activation unknown", nets.feedforward, 3, 5, activation="tanh", rng=RNG),
    bad("activation a class", nets.feedforward, 3, 5, activation=ReLU, rng=RNG),
    bad("init unknown", nets.feedforward, 3, 5, init="zeros", rng=RNG),
    bad("looks_linear with relu", nets.feedforward, 3, 5, init="looks_linear", rng=RNG),
    bad("norm unknown", nets.resnet, 3, 5, norm="group", rng=RNG),
    bad("alpha NaN", nets.resnet, 3, 5, alpha=NAN, rng=RNG),
    bad("beta text", nets.resnet, 3, 5, beta="0.1", rng=RNG),
    bad("skip None", nets.resnet, 3, 5, skip=None, rng=RNG),
    bad("first_std negative", nets.resnet, 3, 5, first_std=-1.0, rng=RNG),
    bad("alpha zero: nothing to divide by", nets.resnet, 3, 5, alpha=0.0, norm="analytic", rng=RNG),
    bad("norm of resnets only", nets.feedforward, 3, 5, norm="analytic", rng=RNG),
    bad("gamma2 missing", nets.highway, 3, 5, rng=RNG),
    bad("gamma2 above 1", nets.highway, 3, 5, gamma2=1.5, rng=RNG),
    bad("gamma2 below 0", nets.highway, 3, 5, gamma2=-0.1, rng=RNG),
    bad("gamma2 NaN", nets.highway, 3, 5, gamma2=NAN, rng=RNG),
    bad("gamma2 a boolean", nets.highway, 3, 5, gamma2=True, rng=RNG),
]

CHECK = [
    bad("layer a number", check.check_layer, 5, ONES, RNG),
    bad("x NaN", check.check_layer, ReLU(), NAN * ONES, RNG),
    bad("x text", check.check_layer, ReLU(), "x", RNG),
    bad("x empty", check.check_layer, ReLU(), np.ones((0, 5)), RNG),
    bad("x that does not chain", check.check_layer, Dense(ONES), ONES, RNG),
    bad("rng missing", check.check_layer, ReLU(), ONES),
    bad("rng a RandomState", check.check_layer, ReLU(), ONES, LEGACY),
]

SLOPE = Dense([[1.0]])
SMALL = Chain(SLOPE, copy.deepcopy(SLOPE))

# What the functions of a net and a grid refuse alike.
ON_A_GRID = [row for function in (gradients.input_gradient, gradients.readable_gradient, gradients.neuron_gradients)
             for row in (bad("net a number", function, 5, GRID),
                         bad("net an empty list", function, [], GRID),
                         bad("net a list of numbers", function, [1, 2], GRID),
                         bad("net text", function, "resnet", GRID),
                         bad("net of two outputs", function, Chain(SLOPE, Dense([[1.0, 1.0]])), GRID),
                         bad("x of one point", function, SMALL, [1.0]),
                         bad("x of three axes", function, SMALL, GRID[:, None, None]),
                         bad("x NaN", function, SMALL, [0.0, NAN]),
                         bad("x text", function, SMALL, "grid"),
                         bad("x where the net takes two inputs", function, Chain(Dense([[1.0], [1.0]]), SLOPE), GRID),
                         bad("branches that would broadcast", function,
                             Chain(Dense(np.ones((1, 5))), NARROW, Dense(np.ones((5, 1)))), GRID),
                         bad("gradient overflowed", function, exploding(RNG), GRID))]

GRADIENTS = ON_A_GRID + [
    bad("n of one point", gradients.grid, 1),
    bad("n a float", gradients.grid, 256.0),
    bad("n a boolean", gradients.grid, True),
    bad("low above high", gradients.grid, 5, 2.0, -2.0),
    bad("low equal to high", gradients.grid, 5, 2.0, 2.0),
    bad("low NaN", gradients.grid, 5, NAN),
    bad("high infinite", gradients.grid, 5, 0.0, INF),
    bad("statistics unknown", gradients.input_gradient, SLOPE, GRID, "frozen"),
    bad("statistics a boolean", gradients.readable_gradient, SLOPE, GRID, True),
    bad("net of one layer", gradients.neuron_gradients, SLOPE, GRID),
    bad("net of two outputs, through", gradients.input_gradient, Dense([[1.0, 1.0]]), GRID, "through"),
    bad("net an empty list, through", gradients.input_gradient, [], GRID, "through"),
    bad("gradient overflowed, through", gradients.input_gradient, exploding(RNG), GRID, "through"),
    bad("build a net", gradients.ensemble, SLOPE, GRID, 2, 0),
    bad("build None", gradients.ensemble, None, GRID, 2, 0),
    bad("net None, built", gradients.ensemble, lambda rng: None, GRID, 2, 0),
    bad("gradient overflowed", gradients.ensemble, exploding, GRID, 2, 0),
    bad("x of one point", gradients.ensemble, lambda rng: SLOPE, [1.0], 2, 0),
    bad("runs zero", gradients.ensemble, lambda rng: SLOPE, GRID, 0, 0),
    bad("runs a float", gradients.ensemble, lambda rng: SLOPE, GRID, 2.0, 0),
    bad("seed negative", gradients.ensemble, lambda rng: SLOPE, GRID, 2, -1),
    bad("seed text", gradients.ensemble, lambda rng: SLOPE, GRID, 2, "seed"),
    bad("seed with a float", gradients.ensemble, lambda rng: SLOPE, GRID, 2, [0, 1.5]),
    bad("statistics unknown", gradients.ensemble, lambda rng: SLOPE, GRID, 2, 0, "batch"),
    bad("build a net", gradients.pair_moments, SMALL, GRID, (0, 1), 2, 0),
    bad("net None, built", gradients.pair_moments, lambda rng: None, GRID, (0, 1), 2, 0),
    bad("pair a number", gradients.pair_moments, lambda rng: SMALL, GRID, 1, 2, 0),
    bad("pair of three", gradients.pair_moments, lambda rng: SMALL, GRID, (0, 1, 2), 2, 0),
    bad("pair of floats", gradients.pair_moments, lambda rng: SMALL, GRID, (0.0, 1.0), 2, 0),
    bad("pair outside the grid", gradients.pair_moments, lambda rng: SMALL, GRID, (0, 7), 2, 0),
    bad("runs zero", gradients.pair_moments, lambda rng: SMALL, GRID, (0, 1), 0, 0),
    bad("build a net", gradients.batch_moments, SMALL, 7, 1, 2, 0),
    bad("points one", gradients.batch_moments, lambda rng: SMALL, 1, 1, 2, 0),
    bad("inputs a float", gradients.batch_moments, lambda rng: SMALL, 7, 1.0, 2, 0),
    bad("x that does not chain with a net of one input", gradients.batch_moments, lambda rng: SMALL, 7, 5, 2, 0),
    bad("runs zero", gradients.batch_moments, lambda rng: SMALL, 7, 1, 0, 0),
    bad("seed negative", gradients.batch_moments, lambda rng: SMALL, 7, 1, 2, -1),
]

STATS = [
    bad("x of another length", intervals.slope_interval, np.arange(7.0), np.arange(6.0)),
    bad("x too few", intervals.slope_interval, np.arange(5.0), np.arange(5.0)),
    bad("x constant", intervals.slope_interval, np.ones(7), np.arange(7.0)),
    bad("y NaN", intervals.slope_interval, np.arange(7.0), NAN * np.ones(7)),
    bad("level above 1", intervals.slope_interval, np.arange(7.0), np.arange(7.0), 1.5),
    bad("above too few, of a ratio", intervals.ratio_interval, np.ones(4), np.ones(4)),
    bad("below of another shape", intervals.ratio_interval, np.ones(7), ONES),
    bad("below of mean 0", intervals.ratio_interval, np.ones(7), np.zeros(7)),
    bad("above NaN", intervals.ratio_interval, NAN * np.ones(7), np.ones(7)),
    bad("below text", intervals.ratio_interval, np.ones(7), "below"),
    bad("level in percent", intervals.ratio_interval, ONES, ONES, 99),
    bad("samples too few", intervals.mean_interval, [1.0, 2.0, 3.0, 4.0]),
    bad("samples a number", intervals.mean_interval, 1.0),
    bad("samples NaN", intervals.mean_interval, NAN * ONES),
    bad("level in percent", intervals.mean_interval, ONES, 99),
    bad("level a boolean", intervals.mean_interval, ONES, True),
    bad("samples too few", intervals.bootstrap_interval, [1.0, 2.0], np.mean, RNG),
    bad("statistic no function", intervals.bootstrap_interval, ONES, "mean", RNG),
    bad("rng a RandomState", intervals.bootstrap_interval, ONES, np.mean, LEGACY),
    bad("level too low", intervals.bootstrap_interval, ONES, np.mean, RNG, 0.01),
    bad("resamples too few", intervals.bootstrap_interval, ONES, np.mean, RNG, resamples=10),
    bad("resamples a float", intervals.bootstrap_interval, ONES, np.mean, RNG, resamples=1e3),
    bad("p zero", intervals.student_quantile, 0.0, 5),
    bad("dof too small", intervals.student_quantile, 0.9, 3),
    bad("dof a float", intervals.student_quantile, 0.9, 5.0),
    bad("shape zero", stats.white_noise, 0, RNG),
    bad("shape with a float", stats.white_noise, (2, 3.0), RNG),
    bad("rng missing", stats.white_noise, 5),
    bad("rng a RandomState", stats.white_noise, 5, LEGACY),
    bad("shape empty", stats.brown_noise, (), RNG),
    bad("shape a list", stats.brown_noise, [2, 3], RNG),
    bad("rng a seed", stats.brown_noise, 5, 0),
    bad("g constant", stats.rank_one_covariance, np.ones(5)),
    bad("g NaN", stats.rank_one_covariance, [1.0, NAN]),
    bad("g a stack", stats.rank_one_covariance, ONES),
    bad("g constant", stats.autocorrelation, np.full(5, 0.1), 2),
    bad("g zero", stats.autocorrelation, np.zeros(5), 2, subtract_mean=False),
    bad("g with one constant series", stats.autocorrelation, np.stack([np.arange(5), np.ones(5)]), 2),
    bad("g infinite", stats.autocorrelation, [1.0, INF], 1),
    bad("g a number", stats.autocorrelation, 1.0, 0),
    bad("max_lag as long as g", stats.autocorrelation, GRID, 7),
    bad("max_lag negative", stats.autocorrelation, GRID, -1),
    bad("max_lag a float", stats.autocorrelation, GRID, 2.0),
    bad("acf NaN", stats.correlation_length, [1.0, NAN]),
    bad("acf of three axes", stats.correlation_length, np.ones((2, 2, 2))),
    bad("step negative", stats.correlation_length, [1.0, 0.0], -0.1),
    bad("step infinite", stats.correlation_length, [1.0, 0.0], INF),
    bad("gradients of one net", stats.covariance, GRID),
    bad("gradients NaN", stats.covariance, NAN * ONES),
    bad("gradients whose squares overflow", stats.covariance, 1e200 * ONES),
    bad("gradients zero at one point", stats.correlation, np.array([[1.0, 0.0]])),
    bad("gradients infinite", stats.correlation, INF * ONES),
    bad("moments of two columns", stats.pair_correlation, np.ones((7, 2))),
    bad("moments NaN", stats.pair_correlation, NAN * np.ones((7, 3))),
    bad("moments zero", stats.pair_correlation, np.zeros((7, 3))),
    bad("D zero", stats.effective_rank, 0 * ONES),
    bad("D a vector", stats.effective_rank, np.ones(5)),
    bad("D NaN", stats.effective_rank, NAN * ONES),
    bad("D zero", stats.relative_effective_rank, 0 * ONES, RNG),
    bad("draws zero", stats.relative_effective_rank, ONES, RNG, 0),
    bad("rng None", stats.relative_effective_rank, ONES, None),
] + [row for function in (stats.activity, stats.coactivity, stats.contiguity)
     for row in (bad("active numbers", function, ONES),
                 bad("active of one unit's axis", function, np.ones(5, dtype=bool)),
                 bad("active at a single input", function, np.ones((1, 5), dtype=bool)))]

STEP = regions.ExactGradient(np.array([0.0, 1.0, 2.0]), np.array([-1.0, 1.0]))
FLAT = regions.ExactGradient(np.array([0.0, 2.0]), np.array([3.0]))


class Square(ReLU):
    """A layer that regions.py does not know, though it is a ReLU by descent."""


# What the functions of a net and an interval refuse alike; the names of the ends differ.
ON_AN_INTERVAL = [
    row for function, low, high in ((regions.exact_gradient, "low", "high"), (regions.explain, "a", "b"))
    for row in (bad("net a number", function, 5, 0.0, 1.0),
                bad("net a list of layers", function, [SLOPE], 0.0, 1.0),
                bad("net not frozen, center", function, Chain(SLOPE, Center()), 0.0, 1.0),
                bad("freeze named where the net is not frozen", function, Chain(SLOPE, BatchNorm(1)), 0.0, 1.0),
                bad("net with an unknown layer", function, Chain(SLOPE, Square()), 0.0, 1.0),
                bad("net of two outputs", function, Dense([[1.0, 1.0]]), 0.0, 1.0),
                bad("x where the net takes two inputs", function, Dense([[1.0], [1.0]]), 0.0, 1.0),
                bad("x that does not chain, at a frozen layer", function, Affine([1.0, 1.0], [0.0, 0.0]), 0.0, 1.0),
                bad("branches that do not add", function, Sum(Identity(), Dense([[1.0, 1.0]])), 0.0, 1.0),
                bad("gradient overflowed", function, exploding(RNG), 0.0, 1.0),
                bad(f"{low} above the other end", function, SLOPE, 1.0, 0.0),
                bad(f"{low} at the other end", function, SLOPE, 1.0, 1.0),
                bad(f"{low} a rounding below the other end", function, SLOPE, 1.0, 1.0 + 1e-15),
                bad(f"{low} NaN", function, SLOPE, NAN, 1.0),
                bad(f"{high} infinite", function, SLOPE, 0.0, INF),
                bad(f"{high} text", function, SLOPE, 0.0, "1"))]

REGIONS = ON_AN_INTERVAL + [
    bad("x outside the interval", STEP.at, [0.5, 2.5]),
    bad("x NaN", STEP.at, NAN),
    bad("x text", STEP.at, "middle"),
    bad("gradient an array", regions.smooth, GRID, GRID, 0.1),
    bad("x NaN", regions.smooth, regions.ExactGradient(GRID[:3], GRID[:2]), [NAN], 0.1),
    bad("sigma negative", regions.smooth, regions.ExactGradient(GRID[:3], GRID[:2]), [0.0], -0.1),
    bad("gradient an array", regions.autocorrelation, GRID, 0.5),
    bad("gradient a pair", regions.autocorrelation, tuple(STEP), 0.5),
    bad("gradient constant", regions.autocorrelation, FLAT, 0.5),
    bad("gradient zero", regions.autocorrelation, FLAT._replace(values=np.zeros(1)), 0.5, subtract_mean=False),
    bad("lags negative", regions.autocorrelation, STEP, [-0.1, 0.5]),
    bad("lags beyond the interval", regions.autocorrelation, STEP, 2.1),
    bad("lags NaN", regions.autocorrelation, STEP, NAN),
    bad("lags none", regions.autocorrelation, STEP, []),
]

THEORY = [
    bad("depth zero", theory.feedforward, 0),
    bad("depth a float", theory.feedforward, 2.0),
    bad("depth a boolean", theory.feedforward, True),
    bad("depth zero", theory.resnet, 0),
    bad("depth too large: the variance overflows", theory.resnet, 5000),
    bad("alpha NaN", theory.resnet, 3, NAN),
    bad("beta text", theory.resnet, 3, 1.0, "0.1"),
    bad("alpha too large: its square overflows", theory.resnet, 3, 1e200),
    bad("(alpha|beta|depth) too large: the product overflows", theory.resnet, 3, 1e100, 1e100),
    bad("depth zero", theory.batchnorm_resnet, 0),
    bad("beta infinite", theory.batchnorm_resnet, 3, INF),
    bad("beta too large: its square overflows", theory.batchnorm_resnet, 3, 1e200),
    bad("depth zero", theory.centred_resnet, 0),
    bad("beta text", theory.centred_resnet, 3, "1"),
    bad("beta too large: its square overflows", theory.centred_resnet, 3, 1e200),
    bad("depth below 1 / beta^2", theory.batchnorm_resnet_asymptote, 50, 0.1),
    bad("beta zero", theory.batchnorm_resnet_asymptote, 50, 0.0),
    bad("depth a float", theory.highway, 3.0, 0.5),
    bad("gamma2 above 1", theory.highway, 3, 1.01),
    bad("gamma2 negative", theory.highway, 3, -0.5),
    bad("c above 1", correlation_maps.k0, 1.5),
    bad("c NaN", correlation_maps.k0, NAN),
    bad("c text", correlation_maps.k0, "c"),
    bad("c below -1", correlation_maps.k1, [0.0, -1.5]),
    bad("depth zero", correlation_maps.neuron_correlation, 0),
    bad("c above 1", correlation_maps.neuron_correlation, 3, 2.0),
    bad("c an array", correlation_maps.neuron_correlation, 3, [0.1, 0.2]),
    bad("depth a boolean", correlation_maps.neuron_correlation, True),
    bad("branch NaN", correlation_maps.neuron_correlation, 3, branch=NAN),
    bad("branch too large: its square overflows", correlation_maps.neuron_correlation, 3, branch=1e200),
    bad("skip and branch both 0", correlation_maps.neuron_correlation, 3, branch=0.0),
    bad("c below -1", correlation_maps.neuron_correlation, 3, -2.0),
    bad("depth zero", theory.gated_gradients, 0, 5, 7, RNG),
    bad("width a float", theory.gated_gradients, 3, 5.0, 7, RNG),
    bad("runs zero", theory.gated_gradients, 3, 5, 0, RNG),
    bad("rng a RandomState", theory.gated_gradients, 3, 5, 7, LEGACY),
    bad("skip infinite", theory.gated_gradients, 3, 5, 7, RNG, skip=INF),
    bad("share negative", theory.gated_gradients, 3, 5, 7, RNG, share=-1.0),
    bad("share a boolean", theory.gated_gradients, 3, 5, 7, RNG, share=True),
    bad("(depth|skip|branch) too large: the gradients overflow", theory.gated_gradients, 40, 11, 2, RNG, branch=1e10),
    bad("weights that do not chain", theory.active_paths, [np.ones((1, 3)), np.ones((2, 1))], [np.ones(3)]),
    bad("weights NaN", theory.active_paths, [NAN * np.ones((1, 3)), np.ones((3, 1))], [np.ones(3)]),
    bad("active for too few units", theory.active_paths, [np.ones((1, 3)), np.ones((3, 1))], [np.ones(2)]),
    bad("paths too few", intervals.brownian_test, np.ones((7, 5)), np.arange(5)),
    bad("paths NaN", intervals.brownian_test, NAN * np.ones((60, 5)), np.arange(5)),
    bad("paths constant", intervals.brownian_test, np.ones((60, 5)), np.arange(5) ** 2),
    bad("times equally spaced", intervals.brownian_test, np.ones((60, 5)), np.arange(5)),
    bad("times decreasing", intervals.brownian_test, np.ones((60, 5)), -np.arange(5)),
    bad("times of another length", intervals.brownian_test, np.ones((60, 5)), np.arange(4)),
]

SWEEP = [
    bad("value an array", arguments.scalar, "value", np.ones(1)),
    bad("value complex", arguments.scalar, "value", np.complex128(1)),
    bad("cell a lambda", sweep.sweep, lambda seed: {"a": seed}, [(1,)]),
    bad("cell a method", sweep.sweep, RNG.normal, [(1,)]),
    bad("cell None", sweep.sweep, None, [(1,)]),
    bad("cell without arguments", sweep.sweep, cells.without_arguments, [()]),
    bad("cell with a keyword only", sweep.sweep, cells.by_keyword, [(1,)]),
    bad("cell with any number of arguments", sweep.sweep, cells.any_number, [(1,)]),
    bad("cell with an argument named cell", sweep.sweep, cells.named_cell, [(1,)]),
    bad("cell that returns a number", sweep.sweep, cells.returns, [("number",)], path="sweep.csv"),
    bad("cell that returns an array", sweep.sweep, cells.returns, [("array",)], path="sweep.csv"),
    bad("points a number", sweep.sweep, cells.echo, 1),
    bad("points None", sweep.sweep, cells.echo, None),
    bad("points numbers", sweep.sweep, cells.echo, [1, 2]),
    bad("points text", sweep.sweep, cells.echo, "a"),
    bad("points too short", sweep.sweep, cells.gradient_of_a_net, [(1, 2)]),
    bad("points too long", sweep.sweep, cells.echo, [(1, 2)]),
    bad("points none", sweep.sweep, cells.echo, iter([])),
    bad("points with an array", sweep.sweep, cells.echo, [(ONES,)]),
    bad("points with a tuple", sweep.sweep, cells.echo, [((1, 2),)]),
    bad("points twice", sweep.sweep, cells.echo, [(1,), (2,), (1,)]),
    bad("points NaN twice", sweep.sweep, cells.echo, [(NAN,), (float("nan"),)]),
    bad("executor a number", sweep.sweep, cells.echo, [(1,)], 2),
    bad("executor a class", sweep.sweep, cells.echo, [(1,)], ThreadPoolExecutor),
    bad("path a number", sweep.sweep, cells.echo, [(1,)], path=7),
    bad("path no CSV of a sweep", sweep.sweep, cells.echo, [(1,)], path=__file__),
]

CLAIM = report.Report("01_test").claim

REPORT = [
    bad("name without digits", report.Report, "gradients"),
    bad("name of one digit", report.Report, "7"),
    bad("name None", report.Report, None),
    bad("predicted NaN", CLAIM, "s", "p", NAN, Interval(1.0, 0.0, 2.0)),
    bad("predicted text", CLAIM, "s", "p", "one", Interval(1.0, 0.0, 2.0)),
    bad("measured infinite", CLAIM, "s", "p", 1.0, Interval(INF, 0.0, INF)),
    bad("measured of another shape", CLAIM, "s", "p", 1.0, np.ones(2)),
    bad("measured an Interval of several shapes", CLAIM, "s", "p", 1.0, Interval(np.ones(2), 0.0, 2.0)),
    bad("measured beside its interval", CLAIM, "s", "p", 1.0, Interval(1.0, 2.0, 3.0)),
    bad("measured in an interval the wrong way round", CLAIM, "s", "p", 1.0, Interval(1.0, 2.0, 0.0)),
    bad("measured in an interval with NaN", CLAIM, "s", "p", 1.0, Interval(1.0, NAN, 2.0)),
    bad("measured a number and an Interval", CLAIM, "s", "p", [1.0, 1.0], [1.0, Interval(1.0, 0.0, 2.0)]),
    bad("measured None", CLAIM, "s", "p", 1.0, None),
    bad("tolerance negative", CLAIM, "s", "p", 1.0, Interval(1.0, 0.0, 2.0), tolerance=-0.1),
    bad("tolerance of another shape", CLAIM, "s", "p", 1.0, Interval(1.0, 0.0, 2.0), tolerance=[0.1, 0.1]),
    bad("in_kind NaN", CLAIM, "s", "p", 1.0, Interval(1.0, 0.0, 2.0), in_kind=NAN),
    bad("in_kind a text", CLAIM, "s", "p", 1.0, Interval(1.0, 0.0, 2.0), in_kind="a half"),
    bad("predicted NaN", report.verdict, NAN, Interval(1.0, 0.0, 2.0)),
    bad("measured NaN", report.verdict, 1.0, NAN),
    bad("measured in an interval the wrong way round", report.verdict, 1.0, Interval(1.0, 2.0, 0.0)),
    bad("samples of one net", report.figure_tolerance, [0.5], 0.02, 20),
    bad("samples NaN", report.figure_tolerance, [0.5, NAN], 0.02, 20),
    bad("reading negative", report.figure_tolerance, [0.5, 0.6], -0.02, 20),
    bad("runs zero", report.figure_tolerance, [0.5, 0.6], 0.02, 0),
]

DIAGNOSE = [
    bad("points a vector", clusters.kmeans, GRID, 2, RNG),
    bad("k too large", clusters.kmeans, ONES, 8, RNG),
    bad("rng legacy", clusters.kmeans, ONES, 2, LEGACY),
    bad("net a number", probe.diagnose, 3, np.linspace(-2, 2, 32)),
    bad("x too short", probe.diagnose, nets.feedforward(2, 3, rng=RNG), GRID),
    bad("x NaN", probe.diagnose, nets.feedforward(2, 3, rng=RNG), np.full(32, NAN)),
    bad("g too short", probe.diagnose_gradient, GRID),
    bad("g a stack of matrices", probe.diagnose_gradient, np.ones((2, 3, 32))),
    bad("g of runs too short", probe.diagnose_gradient, ONES),
    bad("active of floats", probe.diagnose_gradient, np.linspace(0, 1, 32), np.ones((32, 3))),
    bad("active of other inputs", probe.diagnose_gradient, np.linspace(0, 1, 32), np.ones((31, 3), bool)),
    bad("active of one run for two", probe.diagnose_gradient, np.ones((2, 32)), np.ones((32, 3), bool)),
    bad("step zero", probe.diagnose_gradient, np.linspace(0, 1, 32), step=0),
    bad("step NaN", probe.diagnose_gradient, np.linspace(0, 1, 32), step=NAN),
    bad("gradient an array", probe.along, ONES, GRID, 2 * GRID),
    bad("gradient returns a vector", probe.along, lambda x: x[:, 0], GRID, 2 * GRID),
    bad("gradient of other inputs", probe.along, lambda x: x[1:], GRID, 2 * GRID),
    bad("gradient returns NaN", probe.along, lambda x: NAN * x, GRID, 2 * GRID),
    bad("gradient overflows", probe.along, lambda x: 1e308 * np.ones_like(x), GRID, GRID + 1),
    bad("a infinite", probe.along, np.cos, INF * np.ones(7), GRID),
    bad("a an image", probe.along, np.cos, ONES, ONES + 1),
    bad("b of another length", probe.along, np.cos, GRID, np.ones(5)),
    bad("b at a", probe.along, np.cos, GRID, GRID),
    bad("b too far", probe.along, np.cos, GRID, np.full(7, 1e308)),
    bad("n too small", probe.along, np.cos, GRID, 2 * GRID, 15),
    bad("path of another kind", probe.read_gradient, "gradient.txt"),
    bad("path a number", probe.read_gradient, 3),
    bad("path to no array", probe.read_gradient, __file__),
    bad("statistics unknown", probe.diagnose, nets.feedforward(2, 3, rng=RNG), np.linspace(-2, 2, 32), "kept"),
]

LINEAR = pointwise.Activation(lambda u: u, np.ones_like)

WIDE = [
    bad("x infinite", wide.first_layer, [0.0, INF]),
    bad("bias_std negative", wide.first_layer, GRID, -1.0),
    bad("slope NaN", wide.rectifier, wide.first_layer(GRID), NAN),
    bad("depth zero", wide.gradient_correlation, GRID, 0),
    bad("x a matrix", wide.gradient_correlation, ONES, 3),
    bad("x holds 0, where there is no signal without biases", wide.gradient_correlation, [0.0, 1.0], 3, bias_std=0.0),
    bad("skip and branch both 0", wide.gradient_correlation, GRID, 3, branch=0.0),
    bad("slope too large", wide.gradient_correlation, GRID, 3, slope=1e9),
    bad("hidden_bias_std negative", wide.gradient_correlation, GRID, 3, hidden_bias_std=-1.0),
    bad("wrt unknown", wide.gradient_correlation, GRID, 3, wrt="weights"),
    bad("c above 1", correlation_maps.composed, [], 1.5),
    bad("maps of numbers", correlation_maps.composed, [0.5]),
    bad("slope NaN", correlation_maps.rectifier_map, NAN),
    bad("q zero", correlation_maps.activation_map, np.tanh, np.tanh, 0.0),
    bad("bias negative", correlation_maps.activation_map, np.tanh, np.tanh, bias=-1.0),
    bad("nodes one", correlation_maps.activation_map, np.tanh, np.tanh, nodes=1),
    bad("q without a critical point", correlation_maps.critical, lambda z: 2 + np.tanh(z), pointwise.TANH.slope, 0.5),
    bad("nodes one", correlation_maps.critical, *pointwise.TANH, 0.5, 1),
    bad("depth zero", correlation_maps.tailored_slope, 0),
    bad("eta above 1", correlation_maps.tailored_slope, 10, 1.5),
    bad("activation a function", correlation_maps.shaped, np.tanh, 10),
    bad("activation linear, which no alpha makes curved", correlation_maps.shaped, LINEAR, 10),
    bad("depth zero", correlation_maps.shaped, pointwise.TANH, 0),
    bad("zeta one, for which alpha would be 0", correlation_maps.shaped, pointwise.TANH, 10, 1.0),
    bad("branch_map a number", correlation_maps.skip_map, 0.5),
    bad("skip and branch both 0", correlation_maps.skip_map, correlation_maps.rectifier_map(), 0.0, 0.0),
    bad("x a matrix", tangent_kernel.layer_kernels, ONES, correlation_maps.rectifier_map(), 3),
    bad("x holds 0, where there is no signal", tangent_kernel.layer_kernels, [0.0], correlation_maps.rectifier_map(), 3,
        bias_std=0),
    bad("branch_map a number", tangent_kernel.layer_kernels, GRID, 0.5, 3),
    bad("depth zero", tangent_kernel.layer_kernels, GRID, correlation_maps.rectifier_map(), 0),
    bad("depth too large", tangent_kernel.layer_kernels, [1.0], correlation_maps.rectifier_map(mean=False), 2000),
    bad("skip and branch both 0", tangent_kernel.layer_kernels, GRID, correlation_maps.rectifier_map(), 3, branch=0.0),
    bad("read a number", tangent_kernel.layer_kernels, GRID, correlation_maps.rectifier_map(), 3, read=0.5),
    bad("bias_std negative", tangent_kernel.layer_kernels, GRID, correlation_maps.rectifier_map(), 3, bias_std=-1.0),
    bad("net a list", tangent_kernel.parameter_kernels, [Identity()], ONES),
    bad("net of two outputs", tangent_kernel.parameter_kernels, Dense(np.ones((5, 2))), ONES),
    bad("net too large", tangent_kernel.parameter_kernels, exploding(RNG), np.ones((2, 1))),
    bad("x a vector", tangent_kernel.parameter_kernels, Dense(np.ones((5, 1))), GRID),
    bad("x NaN", tangent_kernel.parameter_kernels, Dense(np.ones((5, 1))), np.full((2, 5), NAN)),
    bad("x text", pointwise.erf, "abc"),
    bad("activation a function", pointwise.Pointwise, np.tanh),
]

FILES = [
    bad("path no table", report.merge, __file__),
    bad("data a string", files.write, "table.md", "text"),
    bad("path a folder", files.write, ".", b"bytes"),
    bad("path a folder", files.held, "."),
    bad("path a number", files.held, 3),
    bad("folder that is none", files.alone, "nowhere"),
    bad("folder a file", files.alone, __file__),
]

MD5 = "d41d8cd98f00b204e9800998ecf8427e"

DATA = [
    bad("images a vector", data.normalised, GRID),
    bad("images of one channel", data.normalised, np.ones((2, 1, 4, 4))),
    bad("batches none", data.load_cifar10, "home", ()),
    bad("batches with an unknown number", data.load_cifar10, "home", (1, 6)),
    bad("batches zero", data.load_cifar10, "home", 0),
    bad("batches unknown", data.load_cifar10, "home", "train"),
    bad("batches twice", data.load_cifar10, "home", (1, 2, 1)),
    bad("batches a float", data.load_cifar10, "home", (1.0,)),
    bad("batches a boolean", data.load_cifar10, "home", True),
    bad("batches None", data.load_cifar10, "home", None),
    bad("batches with a list", data.load_cifar10, "home", [[1, 2]]),
    bad("data_home a number", data.load_cifar10, 5),
    bad("data_home bytes", data.load_cifar10, b"home"),
    bad("data_home a list", data.fetch_cifar10, ["home"]),
    bad("url None", data.fetch_cifar10, "home", None),
    bad("url of a file", data.fetch_cifar10, "home", "file:archive.tar.gz"),
    bad("progress a boolean", data.fetch_cifar10, "home", "http://127.0.0.1:9/", True),
    bad("n zero", data.synthetic_images, 0, RNG),
    bad("n a float", data.synthetic_images, 10.0, RNG),
    bad("n missing", data.synthetic_images, rng=RNG),
    bad("rng missing", data.synthetic_images, 10),
    bad("rng a RandomState", data.synthetic_images, 10, LEGACY),
    bad("url of a file", download.check_source, "file:///etc/hostname", None),
    bad("progress a boolean", download.check_source, "https://a.b/c", True),
    bad("url without a scheme", download.fetch, "127.0.0.1:9", "file", 5, MD5),
    bad("url bytes", download.fetch, b"http://127.0.0.1:9/", "file", 5, MD5),
    bad("path a number", download.fetch, "http://127.0.0.1:9/", 5, 5, MD5),
    bad("size zero", download.fetch, "http://127.0.0.1:9/", "file", 0, MD5),
    bad("size a float", download.fetch, "http://127.0.0.1:9/", "file", 5e6, MD5),
    bad("md5 None", download.fetch, "http://127.0.0.1:9/", "file", 5, None),
    bad("md5 too short", download.fetch, "http://127.0.0.1:9/", "file", 5, MD5[1:]),
    bad("md5 in capitals", download.fetch, "http://127.0.0.1:9/", "file", 5, MD5.upper()),
    bad("progress text", download.fetch, "http://127.0.0.1:9/", "file", 5, MD5, "bar"),
]

PLOT = [
    bad("rows zero", plot.panels, 0, 1, (4, 3)),
    bad("columns zero", plot.panels, 1, 0, (4, 3)),
    bad("size NaN", plot.page, (NAN, 3)),
    bad("fig None", plot.save, None, "figure.png"),
    bad("path without a suffix", plot.save, Figure(), "figure"),
    bad("path of an unknown format", plot.suffix, "figure.bmp"),
    bad("colou?r unknown", plot.shades, "no colour", 3),
    bad("n zero", plot.shades, "red", 0),
    bad("n a float", plot.shades, "red", 2.5),
    bad("x of another length", plot.gradient, ax(), GRID, np.ones(5), "red"),
    bad("g NaN", plot.gradient, ax(), GRID, NAN * GRID, "red"),
    bad("M a vector", plot.matrix, ax(), GRID),
    bad("labels too few", plot.curves, ax(), GRID, [(GRID, GRID, GRID)] * 2, ["one"], ["red", "blue"]),
    bad("intervals without bands", plot.curves, ax(), GRID, [GRID], ["one"], ["red"]),
    bad("measured without bars", plot.points, ax(), [1, 2], [0.5, 0.7], "red"),
    bad("depths zero", plot.log_depths, ax(), [0, 2]),
    bad("measured too few", plot.points, ax(), [1, 2], [(0.5, 0.4, 0.6)], "red"),
    bad("active a vector", plot.raster, ax(), np.ones(5, dtype=bool)),
    bad("values none", plot.histogram, ax(), [], 5, "red"),
    bad("g NaN", probe.picture, GRID, NAN * GRID, "healthy", "probe.png"),
]

PLAY = [
    bad("net unknown", look.build, look.Choice(net="transformer")),
    bad("norm unknown", look.build, look.Choice(norm="layer")),
    bad("seed negative", look.build, look.Choice(seed=-1)),
    bad("depth a float", look.build, look.Choice(depth=2.5)),
    bad("net a number", look.one_pass, 3, GRID),
    bad("x a matrix", look.one_pass, nets.feedforward(2, 3, rng=RNG), ONES),
    bad("statistics unknown", look.one_pass, nets.feedforward(2, 3, rng=RNG), GRID, "kept"),
    bad("net of two outputs", look.one_pass, Dense(np.ones((1, 2))), GRID),
    bad("net without a rectifier", look.look, Dense(np.ones((1, 1))), np.linspace(-2, 2, 256)),
    bad("max_lag beyond the points of x", look.look, nets.feedforward(2, 3, rng=RNG), np.linspace(-2, 2, 32)),
    bad("low above high", look.curve, nets.feedforward(2, 3, rng=RNG), 1.0, 0.0),
    bad("exact an array", look.steps, GRID),
    bad("fig None", explore.Window, None),
    bad("deepest zero", film.frames, 0),
    bad("width a float", film.frames, 1, 2.5),
    bad("seed negative", film.frames, 1, 9, -1),
    bad("path of another kind", film.write, "film.mp4"),
    bad("deepest zero", film.write, "film.html", 0),
    bad("shown empty", film.page, []),
    bad("shown of pictures only", film.page, [b"picture"]),
]

IMAGES = np.ones((7, 3, 5, 4))
LABELS = np.zeros(7, dtype=int)
SMALL = Chain(conv.Conv2d(np.ones((2, 3, 3, 3))), conv.Flatten(), Dense(np.ones((40, 2))))

CONV = [
    bad("W a matrix", conv.Conv2d, ONES),
    bad("b of another length", conv.Conv2d, np.ones((2, 3, 3, 3)), np.ones(3)),
    bad("stride zero", conv.Conv2d, np.ones((2, 3, 3, 3)), stride=0),
    bad("padding as large as the kernel", conv.Conv2d, np.ones((2, 3, 3, 3)), padding=3),
    bad("padding missing for an even kernel", conv.Conv2d, np.ones((2, 3, 2, 2))),
    bad("x of other channels", conv.Conv2d(np.ones((2, 3, 3, 3))).forward, np.ones((2, 5, 5, 1))),
    bad("x of bytes", conv.Conv2d(np.ones((2, 3, 3, 3))).forward, np.ones((3, 5, 5, 1), np.uint8)),
    bad("W of an odd number of channels", fused.CReLUConv2d, np.ones((2, 3, 3, 3))),
    bad("x of other channels", fused.CReLUConv2d(np.ones((2, 4, 3, 3))).forward, np.ones((4, 5, 5, 1))),
    bad("x of other channels", conv.BatchNorm2d(3).forward, np.ones((2, 5, 5, 1))),
    bad("units zero", conv.BatchNorm2d, 0),
    bad("x of other channels", fused.BatchNormReLU2d(3).forward, np.ones((2, 5, 5, 1))),
    bad("layer a class", conv.PerPixel, ReLU),
    bad("images a batch of units", conv.PerPixel(CReLU()).forward, ONES),
    bad("images a batch of units", conv.ReLU2d().forward, ONES),
    bad("images a batch of units", conv.CReLU2d().forward, ONES),
    bad("images smaller than the kernel", conv.Conv2d(np.ones((2, 3, 3, 3)), padding=0).forward, np.ones((3, 2, 5, 1))),
    bad("size zero", conv.AveragePool, 0),
    bad("images smaller than a window", conv.AveragePool(6).forward, np.ones((3, 5, 7, 1))),
    bad("size even", filters.delta_orthogonal, 3, 4, 2, RNG),
    bad("fan_in odd, so not two halves", filters.delta_orthogonal, 3, 4, 3, RNG, True),
    bad("W not a multiple of the window", filters.as_filters, ONES, 3),
    bad("depth not 8 k", convnets.convnet, 12, rng=RNG),
    bad("filters zero", convnets.convnet, 14, 0, rng=RNG),
    bad("activation unknown", convnets.convnet, 14, activation="prelu", rng=RNG),
    bad("norm unknown", convnets.convnet, 14, norm="center", rng=RNG),
    bad("init without its activation", convnets.convnet, 14, init="looks_linear", rng=RNG),
    bad("init without its activation", convnets.convnet, 14, activation="crelu", init="delta_orthogonal", rng=RNG),
    bad("depth not 8 k", convnets.convresnet, 8, rng=RNG),
    bad("beta NaN", convnets.convresnet, 14, beta=NAN, rng=RNG),
    bad("depth odd with skips", convnets.flat_convnet, 3, beta=0.1, rng=RNG),
    bad("depth zero", convnets.flat_convnet, 0, rng=RNG),
    bad("depth negative", convnets.flat_convnet, -2, beta=0.1, rng=RNG),
    bad("skip NaN", convnets.flat_convnet, 2, beta=0.1, skip=NAN, rng=RNG),
    bad("rng legacy", convnets.flat_convnet, 2, rng=LEGACY),
]

TRAIN = [
    bad("logits a vector", train.softmax_cross_entropy, GRID, LABELS),
    bad("labels as floats", train.softmax_cross_entropy, ONES, np.zeros(7)),
    bad("labels beyond the classes", train.softmax_cross_entropy, ONES, LABELS + 5),
    bad("labels of another length", train.softmax_cross_entropy, ONES, LABELS[:3]),
    bad("rate negative", train.SGD, -0.1),
    bad("momentum above 1", train.SGD, 0.1, 1.5),
    bad("rate NaN", train.Adam, NAN),
    bad("b2 one", train.Adam, 1e-3, 0.9, 1.0),
    bad("eps negative", train.Adam, 1e-3, eps=-1.0),
    bad("net a number", train.fit, 3, IMAGES, LABELS, epochs=1),
    bad("images NaN", train.fit, SMALL, NAN * IMAGES, LABELS, epochs=1),
    bad("images with three axes", train.fit, SMALL, IMAGES[0], LABELS, epochs=1),
    bad("labels of another length", train.fit, SMALL, IMAGES, LABELS[:3], epochs=1),
    bad("labels beyond the classes", train.fit, SMALL, IMAGES, LABELS + 2, epochs=1),
    bad("epochs zero", train.fit, SMALL, IMAGES, LABELS, epochs=0),
    bad("batch zero", train.fit, SMALL, IMAGES, LABELS, epochs=1, batch=0),
    bad("seed negative", train.fit, SMALL, IMAGES, LABELS, epochs=1, seed=-1),
    bad("schedule unknown", train.fit, SMALL, IMAGES, LABELS, epochs=1, schedule="cosine"),
    bad("schedule a class", train.fit, SMALL, IMAGES, LABELS, epochs=1, schedule=schedules.Plateau),
    bad("step behind the schedule's end", train.fit, SMALL, IMAGES, LABELS, epochs=3, schedule=schedules.Cosine(2, 0)),
    bad("window zero", schedules.Plateau, 0),
    bad("threshold NaN", schedules.Plateau, threshold=NAN),
    bad("patience a float", schedules.Plateau, patience=2.0),
    bad("factor below 1", schedules.Plateau, factor=0.1),
    bad("steps zero", schedules.Cosine, 0),
    bad("warmup as long as the schedule", schedules.Cosine, 100, 100),
    bad("warmup negative", schedules.Cosine, 100, -1),
    bad("step behind the end", schedules.Cosine(10, 2).rate, 1.0, 10, []),
    bad("images with three axes", train.shift_and_flip, IMAGES[0], RNG),
    bad("shift negative", train.shift_and_flip, IMAGES, RNG, -1),
    bad("rng legacy", train.shift_and_flip, IMAGES, LEGACY),
    bad("images with three axes", train.loss_gradient, SMALL, IMAGES[0], LABELS),
    bad("images with three axes", train.batch_last, IMAGES[0]),
    bad("statistics_from with three axes", train.accuracy, SMALL, IMAGES, LABELS, IMAGES[0]),
    bad("batch zero", train.accuracy, SMALL, IMAGES, LABELS, IMAGES, 0),
    bad("labels of another length", train.accuracy, SMALL, IMAGES, LABELS[:3], IMAGES),
    bad("net None", train.cast, None, np.float32),
    bad("dtype of integers", train.cast, SMALL, int),
    bad("path a folder", checkpoint.save, ".", {}, {}, {}),
    bad("augment", checkpoint.described, "augment", lambda images, rng: images),
    bad("damaged", checkpoint.load, __file__, {}, {}),
    bad("damaged", checkpoint.progress, __file__),
]

TABLE = (ARGUMENTS + LAYERS + COMPOSE + INIT + NETS + CHECK + GRADIENTS + STATS + REGIONS + THEORY + DIAGNOSE + WIDE
         + CONV + TRAIN + REPORT + SWEEP + FILES + DATA + PLOT + PLAY)


@pytest.fixture
def empty_folder(tmp_path, monkeypatch):
    """The current folder for the test."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("argument, function, args, kwargs", TABLE)
def test_bad_input_is_refused_by_name(argument, function, args, kwargs, empty_folder, capsys):
    with pytest.raises((ValueError, TypeError), match=rf"\b{argument}\b"):
        result = function(*args, **kwargs)
        if isinstance(result, types.GeneratorType):
            list(result)  # what is lazy refuses when it is asked
    assert capsys.readouterr() == ("", "")
    assert list(empty_folder.iterdir()) == []


def test_a_refused_claim_is_not_kept():
    log = report.Report("01_test")
    with pytest.raises(ValueError):
        log.claim("s", "p", NAN, 1.0)
    assert log.claims == []


# Nothing is forgotten.

# They take no arguments, or any: a label is only printed, a cache is what a forward pass has made.
ANYTHING_GOES = {"layers.Layer", "compose.join", "layers.Identity", "layers.ReLU", "layers.CReLU",
                 "compose.Container", "compose.Trace", "compose.patterns", "explore.show", "regions.Explanation",
                 "conv.Flatten", "schedules.Schedule", "running.quick", "running.folder", "running.progress",
                 "plot.style", "plot.use_style"}


def public():
    """The functions and classes that a module defines itself, other than errors and NamedTuples."""
    for module in (arguments, layers, norms, pointwise, compose, init, nets, check, gradients, intervals, stats, probe,
                   regions, theory, correlation_maps, wide, tangent_kernel, look, explore, film, sweep, files, running,
                   report, plot, conv, fused, filters, convnets, schedules, train, checkpoint, clusters, data,
                   download):
        for name, thing in vars(module).items():
            mine = getattr(thing, "__module__", None) == module.__name__ and not name.startswith("_")
            plain = inspect.isclass(thing) and (issubclass(thing, Exception) or hasattr(thing, "_fields"))
            if mine and callable(thing) and not plain:
                yield place(thing)


def test_every_public_function_is_in_the_table():
    tried = {place(function) for _, function, *_ in (row.values for row in TABLE)}
    tried |= {name.rpartition(".")[0] for name in tried}  # a method speaks for its class
    assert set(public()) - ANYTHING_GOES - tried == set()
