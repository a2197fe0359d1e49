"""Coursework: forty typical mistakes, the points each loses, and the line that its author reads first."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest
from numba import config

from minishatter.coursework import manifest
from minishatter.coursework.points import HIDDEN, points
from minishatter.coursework.trials.trial import PUBLIC

from . import tried

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="answers run without numba: nothing depends on it")
TASKS = {task.number: task for task in manifest.TASKS}


class Mistake(NamedTuple):
    """One row: what is replaced in the reference's body by what, how many points that costs, and what is read."""

    number: str
    name: str
    right: str
    wrong: str
    lost: float
    reads: str


MISTAKES = [
    Mistake("1.1", "factors in the wrong order", "cache.x.T @ dy", "dy.T @ cache.x", 8,
            r"^d W: expected shape \(5, 3\), norm \S+; received shape \(3, 5\)"),
    Mistake("1.1", "W not transposed", 'self.params["W"].T', 'self.params["W"]', 8, "^raised ValueError: matmul"),
    Mistake("1.1", "mean over the batch", "dy.sum(axis=0)", "dy.mean(axis=0)", 5.33,
            "^d b: .*relative error 0.86, first d"),
    Mistake("1.1", "a row for b", "dy.sum(axis=0)", "dy.sum(axis=0, keepdims=True)", 8,
            r"^d b: expected shape \(3,\), norm \S+; received shape \(1, 3\)"),
    Mistake("1.1", "no gradient of b", ', "b": dy.sum(axis=0)}', "}", 8, "^d b is missing"),
    Mistake("1.1", "an upper-case name", '"b":', '"B":', 8, "^d b is missing"),
    Mistake("1.1", "gradients first", 'return dy @ self.params["W"].T, {"W": cache.x.T @ dy, "b": dy.sum(axis=0)}',
            'return {"W": cache.x.T @ dy, "b": dy.sum(axis=0)}, dy @ self.params["W"].T', 8,
            r"^raised TypeError: backward must return dx and a dict of gradients, \(dx, grads\), "
            r"got \(dict, ndarray\)"),
    Mistake("1.1", "three results", '{"W": cache.x.T @ dy, "b": dy.sum(axis=0)}', "cache.x.T @ dy, dy.sum(axis=0)", 8,
            r"^raised TypeError: backward must return .* got \(ndarray, ndarray, ndarray\)"),
    Mistake("1.1", "lists", 'dy @ self.params["W"].T', '(dy @ self.params["W"].T).tolist()', 8,
            "^raised TypeError: dx must be a NumPy array or a number, got list"),
    Mistake("1.1", "float32", 'dy @ self.params["W"].T', '(dy @ self.params["W"].T).astype(np.float32)', 8,
            r"^dx: .*relative error \S+e-08, .*\(dx is float32"),
    Mistake("1.2", "times the value", "cache.active", "cache.y", 4, "^J t: shape .*relative error"),
    Mistake("1.2", "zero counts as active", "cache.active", "(cache.y >= 0)", 4, "^J t: .*relative error"),
    Mistake("1.3", "the caller's dy is changed", "return dy * cache.active, {}", "dy *= cache.active\nreturn dy, {}", 4,
            "^raised ValueError: output array is read-only"),
    Mistake("1.3", "no dict", "dy * cache.active, {}", "dy * cache.active", 4,
            "^raised TypeError: backward must return dx and a dict of gradients"),
    Mistake("1.4", "no minus sign", "d_positive - d_negative", "d_positive + d_negative", 8, "^dx: .*relative error"),
    Mistake("1.4", "not masked", "dy * cache.active", "dy", 8, "^dx: .*relative error"),
    Mistake("1.4", "columns taken in turn", "d_positive, d_negative = np.split(dy * cache.active, 2, axis=1)",
            "d = dy * cache.active\nd_positive, d_negative = d[:, ::2], d[:, 1::2]", 8, "^dx: .*relative error"),
    Mistake("2.1", "statistics taken as constants",
            "dxhat - dxhat.mean(axis=0) - xhat * (xhat * dxhat).mean(axis=0)", "dxhat", 14, "^dx: .*relative error"),
    Mistake("2.1", "the mean forgotten", "dxhat - dxhat.mean(axis=0)", "dxhat", 14, "^dx: .*relative error"),
    Mistake("2.1", "the variance forgotten", " - xhat * (xhat * dxhat).mean(axis=0)", "", 14, "^dx: .*relative error"),
    Mistake("2.1", "scale forgotten", 'self.params["scale"] * dy', "dy", 11.2, "^dx: .*relative error"),
    Mistake("2.1", "dxhat for dy in d scale", '"scale": (dy * xhat)', '"scale": (dxhat * xhat)', 11.2, "^d scale: "),
    Mistake("2.2", "the last branch only", "dx + dx_k", "dx_k", 8, "^dx: .*relative error"),
    Mistake("2.2", "weight forgotten", "_times(weight, dy)", "dy", 6, "^dx: .*relative error"),
    Mistake("2.2", "names without places", "_named(place, branch_grads)", "branch_grads", 8, "^d 1.0.scale is missing"),
    Mistake("3.1", "fan_out for fan_in", "/ fan_in)", "/ fan_out)", 4,
            r"^variance, as a multiple of what it should be: expected about \S+, received \S+"),
    Mistake("3.1", "variance for standard deviation", "np.sqrt(arguments.number(\"gain\", gain, low=0.0) / fan_in)",
            "gain / fan_in", 4, "^variance, as a multiple"),
    Mistake("3.1", "gain forgotten", 'arguments.number("gain", gain, low=0.0)', "2.0", 1.33,
            "^variance, as a multiple"),
    Mistake("3.1", "uniform weights",
            '_normal(fan_in, fan_out, np.sqrt(arguments.number("gain", gain, low=0.0) / fan_in), rng)',
            "rng.uniform(-1, 1, (fan_in, fan_out)) * np.sqrt(3 * gain / fan_in)", 4,
            "^fourth moment, 3 if normal: expected about 3, received 1.8"),
    Mistake("3.2", "not mirrored", "[W, -W]", "[W, W]", 8, "^upper half plus lower half: .*expected norm 0"),
    Mistake("3.2", "not orthogonal", "orthogonal(fan_in // 2, fan_out, rng)",
            "normal(fan_in // 2, fan_out, (fan_in // 2)**-0.5, rng)", 8, "^products of the shorter side's vectors"),
    Mistake("3.2", "orthogonal, but of signs", "orthogonal(fan_in // 2, fan_out, rng)",
            "np.eye(fan_in // 2, fan_out) * np.sign(rng.normal(size=(fan_in // 2, 1)))", 8,
            "^fourth moment of the entries"),
    Mistake("3.2", "side by side", "np.concatenate([W, -W])", "np.concatenate([W, -W], axis=1)", 8,
            "^two draws: expected shape"),
    Mistake("4.1", "no sum", "np.cumsum(white_noise(shape, rng), axis=-1)", "white_noise(shape, rng)", 4,
            "^steps: variance, as a multiple of what it should be: expected about 1, received 2"),
    Mistake("4.1", "summed over the stack too", "axis=-1", "axis=None", 2, "^two draws: expected shape"),
    Mistake("4.1", "a walk that starts at 0", "return np.cumsum(white_noise(shape, rng), axis=-1)",
            "walk = np.cumsum(white_noise(shape, rng), axis=-1)\nreturn walk - walk[..., :1]", 2,
            "^steps: variance|^variance of the first step"),
    Mistake("4.2", "one mean for the whole stack", "c.mean(axis=1, keepdims=True)", "c.mean()", 4.8, "^acf: "),
    Mistake("4.2", "sums rescaled", ".sum(axis=1) for k", ".mean(axis=1) for k", 8, "^acf: "),
    Mistake("4.2", "one lag too few", "range(max_lag + 1)", "range(max_lag)", 8,
            "^raised ValueError: need at least one array"),
    Mistake("4.2", "squares of exploded gradients", "_of_size_one(np.atleast_2d(series))", "np.atleast_2d(series)", 1.6,
            "^acf: |^raised"),
    Mistake("4.3", "an input is its own partner", "k * (k - 1) / (N * (N - 1))", "(k / N)**2", 6, "^coactivity: "),
    Mistake("4.3", "ordered over unordered pairs", "(N * (N - 1))", "(N * (N - 1) / 2)", 6, "^coactivity: "),
    Mistake("5.1", "one gate for both inputs", "rng.random(t.shape)", "rng.random((runs, 1, width))", 12,
            r"^share of gradients that are 0 at both inputs: expected about 0.76\d*, received 0.87"),
    Mistake("5.1", "one gate for all layers", "for l in range(depth):\n        gate = rng.random(t.shape) < 0.5",
            "gate = rng.random(t.shape) < 0.5\n    for l in range(depth):", 8,
            "^share of gradients that are 0 at an input"),
    Mistake("5.1", "He's 2 forgotten", "math.sqrt(2 / width)", "math.sqrt(1 / width)", 10,
            r"^mean of log \|g\|: expected"),
    Mistake("5.1", "weights not shared", "rng.standard_normal((runs, width, width))",
            "rng.standard_normal((runs, 2, width, width))", 12, "^raised ValueError|^mean product"),
    Mistake("5.1", "branch forgotten in the variance", "branch**2 * l + 1", "l + 1", 4,
            r"^mean of log \|g\|: expected"),
    Mistake("5.1", "a global generator", "rng.random(t.shape)", "np.random.default_rng().random(t.shape)", 12,
            "^the same seed gives the same draw: expected yes, received no"),
    Mistake("5.1", "two Gaussians of the right covariance", "return gradients",
            "return rng.multivariate_normal([0, 0], gradients.T @ gradients / runs, size=runs)", 12,
            "^share of gradients that are 0 at an input: expected about 0.87"),
    Mistake("5.2", "statistics not held", "layer.freeze(value)", "layer", 4, r"^f'\(x\): .*relative error"),
    Mistake("5.2", "the fast path", "layer = layer.freeze(value)", "return input_gradient(net, x)", 6,
            "^raised NotImplementedError: Task 5.2: readable_gradient must not call gradients.input_gradient"),
    Mistake("5.3", "singular values not squared", "(s / s[0]) ** 2", "(s / s[0])", 3.56,
            "^rank: expected .*, received .*, relative error"),
    Mistake("5.3", "the number of singular values", "((s / s[0]) ** 2).sum()", "np.sum(s > 1e-9 * s[0])", 3.56,
            "^rank: expected .*, received 19"),
]


def outcome(mistake):
    """Points lost, and the first line of feedback."""
    task = TASKS[mistake.number]
    body = "\n".join(line.removeprefix(" " * 4 * (1 + task.object.count("."))) for line in tried.reference_body(task))
    assert mistake.right in body
    failed = tried.tried(task, {task.file: tried.solved(task, body.replace(mistake.right, mistake.wrong, 1))})
    passed = {(label, kind): not why for kind, why in failed.items() for label in (PUBLIC, HIDDEN)}
    return round(task.points - points(task.points, passed), 2), next(filter(None, failed.values()), "")


def test_the_table_has_forty_rows_and_every_task():
    assert len(MISTAKES) >= 40 and {mistake.number for mistake in MISTAKES} == set(TASKS)


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: f"{mistake.number} {mistake.name}")
def test_a_mistake_loses_points_and_is_explained_in_one_line(mistake):
    lost, line = outcome(mistake)
    assert lost == mistake.lost > 0, line
    assert re.search(mistake.reads, line) and "\n" not in line, line


def test_the_instructors_page_has_the_table():
    page = (Path(__file__).parent.parent / "tutorials" / "TEACHING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d\.\d) \| (.*?) \| ([\d.]+) of (\d+) \| `(.*)` \|$", page, re.MULTILINE)
    assert len(rows) == len(MISTAKES)
    for mistake, (number, name, lost, full, line) in zip(MISTAKES, rows):
        assert (number, name, float(lost)) == (mistake.number, mistake.name, mistake.lost)
        assert int(full) == TASKS[number].points and re.search(mistake.reads, line.replace("\\|", "|")), line
    tasks = manifest.TASKS
    assert f"All {len(tasks)} tasks ({sum(task.minutes for task in tasks)} minutes" in page
