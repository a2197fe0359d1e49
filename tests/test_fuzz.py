"""Fuzz: arrays of odd shapes, types, orders and sizes against one promise for every public function.

A right result, or a ValueError or TypeError that names the argument; nothing else raised, no warning, nothing
changed in the caller's arrays. What is right is known without a second implementation: the same numbers in plain
C order and float64 give the same, and numbers times 2^k give the same times 2^(k degree).
"""

import re
import warnings
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from minishatter import correlation_maps, gradients, init, intervals, nets, probe, stats, wide
from minishatter.images import clusters, data, filters, train

NET = nets.feedforward(2, 6, norm="batch", rng=np.random.default_rng(0))
PLAIN = nets.feedforward(2, 6, rng=np.random.default_rng(0))


def length(value):
    return (*np.shape(value), 7)[0]


def rng():
    return np.random.default_rng(0)


class Case(NamedTuple):
    """A function of one array, the argument's name, its number of axes, and the degree in which it is homogeneous."""

    function: Any
    argument: str
    ndim: int
    degree: int | None = None


FUNCTIONS = {
    "stats.rank_one_covariance": Case(stats.rank_one_covariance, "g", 1, 0),
    "stats.autocorrelation": Case(lambda g: stats.autocorrelation(g, 1), "g|max_lag", 2, 0),
    "stats.covariance": Case(stats.covariance, "gradients", 2, 2),
    "stats.correlation": Case(stats.correlation, "gradients", 2, 0),
    "stats.effective_rank": Case(stats.effective_rank, "D", 2, 0),
    "stats.relative_effective_rank": Case(lambda D: stats.relative_effective_rank(D, rng(), 2), "D", 2, 0),
    "stats.correlation_length": Case(stats.correlation_length, "acf", 1),
    "intervals.mean_interval": Case(intervals.mean_interval, "samples", 2, 1),
    "intervals.slope_interval": Case(lambda y: intervals.slope_interval(np.arange(length(y)), y), "x|y", 1, 1),
    "intervals.ratio_interval": Case(lambda a: intervals.ratio_interval(a, np.arange(1, length(a) + 1)),
                                     "above|below", 1, 1),
    "intervals.bootstrap_interval": Case(
        lambda samples: intervals.bootstrap_interval(samples, lambda s: s.mean(axis=0), rng(), resamples=100),
        "samples|statistic", 2, 1),
    "intervals.brownian_test": Case(
        lambda paths: intervals.brownian_test(paths, np.arange(1, 7 + 1)**2), "paths|times", 2),
    "gradients.input_gradient": Case(lambda x: gradients.input_gradient(NET, x), "x|BatchNorm", 1),
    "gradients.input_gradient, plain": Case(lambda x: gradients.input_gradient(PLAIN, x), "x", 1),
    "gradients.readable_gradient": Case(lambda x: gradients.readable_gradient(NET, x), r"x|BatchNorm\(6\):", 1),
    "gradients.neuron_gradients": Case(lambda x: gradients.neuron_gradients(PLAIN, x), "x", 1),
    "probe.diagnose": Case(lambda x: probe.diagnose(PLAIN, x), "x", 1),
    "probe.diagnose_gradient": Case(probe.diagnose_gradient, "g", 1),
    "correlation_maps.k0": Case(correlation_maps.k0, "c", 1),
    "correlation_maps.k1": Case(correlation_maps.k1, "c", 1),
    "wide.first_layer": Case(wide.first_layer, "x", 1),
    "wide.gradient_correlation": Case(lambda x: wide.gradient_correlation(x, 2), "x", 1),
    "init.mirrored_parts": Case(init.mirrored_parts, "W", 2, 1),
    "clusters.kmeans": Case(lambda points: clusters.kmeans(points, 2, rng()), "points|k", 2, 0),
    "filters.as_filters": Case(lambda W: filters.as_filters(W, 1), "W|size", 2, 1),
    "data.normalised": Case(lambda images: data.normalised(images, np.float64), "images", 4),
    "train.shift_and_flip": Case(lambda images: train.shift_and_flip(images, rng(), 1), "images", 4, 1),
    "train.batch_last": Case(train.batch_last, "images", 4, 1),
    "train.softmax_cross_entropy": Case(
        lambda logits: train.softmax_cross_entropy(logits, np.zeros(length(logits), int)), "logits|labels", 2),
}

KINDS = {
    "plain": lambda x: x,
    "Fortran order": np.asfortranarray,
    "backwards": lambda x: x[::-1],
    "every second": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "read-only": lambda x: _frozen(x),
    "float32": lambda x: x.astype(np.float32),
    "float16": lambda x: x.astype(np.float16),
    "long double": lambda x: x.astype(np.longdouble),
    "other byte order": lambda x: x.astype(">f8"),
    "integers": lambda x: (3 * x).astype(int),
    "bytes": lambda x: np.abs(40 * x).astype(np.uint8),
    "booleans": lambda x: x > 0,
    "complex": lambda x: x + 1j,
    "objects": lambda x: x.astype(object),
    "text": lambda x: x.astype(str),
    "a list": lambda x: x.tolist(),
    "NaN": lambda x: _with(x, np.nan),
    "infinite": lambda x: _with(x, -np.inf),
    "constant": lambda x: np.full_like(x, 0.7),
    "zero": np.zeros_like,
    "an offset": lambda x: x + 1e8,
    "empty": lambda x: x[:0],
    "no axes": lambda x: x.reshape(-1)[0],
    "an axis more": lambda x: x[None],
    "None": lambda x: None,
    **{f"times 2^{k}": lambda x, k=k: np.ldexp(x, k) for k in (-1040, -800, -500, -100, 100, 400, 600, 1018)},
}


def _frozen(x):
    x = x.copy()
    x.flags.writeable = False
    return x


def _with(x, value):
    x = x.copy()
    x.reshape(-1)[x.size // 2] = value
    return x


def drawn(case, size, seed):
    """A random array of some shape, with 3 channels where it holds images."""
    shape = np.random.default_rng([seed, 1]).integers(1, size + 1, case.ndim)
    shape[0] *= 1 + seed % 2 + (size == 9)
    if case.ndim == 4:
        shape[1] = 3
    if case.function in (FUNCTIONS["probe.diagnose"].function, probe.diagnose_gradient):
        shape *= 4
    if case.argument.startswith(("paths", "samples|statistic")) and size > 4:
        shape[:] = 60, 7
    return np.random.default_rng(seed).standard_normal(shape)


def outcome(case, value):
    """The numbers of the result, flat; or None, where it was refused as promised."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return flat(case.function(value))
        except (ValueError, TypeError) as error:
            assert re.match(rf"({case.argument})(?!\w)", str(error)), f"{error!r} does not begin with {case.argument}"
            return None


def flat(result):
    if isinstance(result, tuple | list):
        return np.concatenate([flat(part) for part in result if part is not None and not isinstance(part, str)])
    return np.atleast_1d(np.asarray(result, float)).reshape(-1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_right_result_or_an_error_that_names_the_argument(name, kind):
    case = FUNCTIONS[name]

    @settings(max_examples=2, derandomize=True, database=None, deadline=None,
              suppress_health_check=list(HealthCheck))
    @given(size=st.integers(1, 9), seed=st.integers(0, 2**16))
    @example(size=9, seed=0)
    def check(size, seed):
        x = drawn(case, size, seed)
        value = KINDS[kind](x)
        before = np.array(value, copy=True)
        result = outcome(case, value)
        assert before.tobytes() == np.array(value, copy=True).tobytes(), "the caller's array was changed"
        if result is not None:
            judge(case, kind, x, value, result)

    check()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_table_asks_for_results_and_not_for_refusals_alone(name):
    case = FUNCTIONS[name]
    results = [outcome(case, drawn(case, 9, seed) / 4) for seed in range(12)]
    assert any(result is not None for result in results)


def judge(case, kind, x, value, result):
    """Is a result right, as far as symmetry tells?"""
    if kind == "NaN" or kind == "infinite":
        assert case.function is train.batch_last or not np.isfinite(result).all() or case.argument == "logits|labels"
        return
    plain = outcome(case, np.array(value, np.float64, order="C"))
    exact = kind not in ("float32", "float16", "long double")
    assert plain is not None and plain.shape == result.shape
    size = np.abs(plain[np.isfinite(plain)]).max(initial=0.0)  # a Diagnosis has a NaN for what was not asked
    tolerance = 1e-9 if exact else 0.1
    np.testing.assert_allclose(result, plain, rtol=tolerance, atol=tolerance * size)
    if kind.startswith("times") and case.degree is not None:
        k = int(kind.rpartition("^")[2])
        if k < -1000:  # numbers lose digits there
            return
        np.testing.assert_allclose(result, np.ldexp(outcome(case, x), k * case.degree), rtol=1e-6)
