"""The numbers on the page tutorials/NOT_TO_BE_CONFUSED.md are measured here, and compared with what the page says."""

import copy
import functools
import re
from pathlib import Path

import numpy as np
import pytest

from minishatter import Chain, Dense, freeze, gradients, init, intervals, nets, probe, stats

PAGE = (Path(__file__).parent.parent / "tutorials" / "NOT_TO_BE_CONFUSED.md").read_text(encoding="utf-8")
RUNS, WIDTH, SEED = 10, 100, 11
x = gradients.grid()


# The nets of the page.


def one_layer(rng):
    return nets.feedforward(1, WIDTH, rng=rng)


def deep(rng):
    return nets.feedforward(24, WIDTH, norm="batch", rng=rng)


def centred(rng):
    return nets.feedforward(24, WIDTH, norm="center", rng=rng)


def small_weights(rng):
    return nets.feedforward(24, WIDTH, init="glorot", rng=rng)


def resnet(rng):
    return nets.resnet(24, WIDTH, beta=0.1, rng=rng)


def of_pictures(depth, blur):
    """A net of pictures, 256 pixels in a row, and two pictures: between them the first layer moves as on the grid."""
    def build(rng):
        far, pixels = rng.standard_normal(256), np.arange(256)
        B = np.exp(-(np.subtract.outer(pixels, pixels) / 4)**2) if blur else np.eye(256)
        B *= 2 / np.linalg.norm(B.T @ far)  # at both ends, W^T B^T x is N(0, 2^2)
        first, *rest = nets.feedforward_layers(depth, WIDTH, norm="batch", rng=rng)
        return Chain(Dense(B @ init.normal(256, WIDTH, 1.0, rng), first.params["b"]), *rest), -far, far
    return build


# The numbers of the page: each is a function of one net.


def lag_1(net):
    return stats.autocorrelation(gradients.readable_gradient(net, x), 1)[1]


def rms(net):
    return np.sqrt(np.mean(gradients.readable_gradient(net, x)**2))


def disagreement(net, preprocess=lambda x: x, h=1e-7):
    """The median of |finite difference - gradient| over the grid, in units of the RMS gradient."""
    frozen = freeze(net, x[:, None])
    right, left = (frozen.forward(preprocess(x + side)[:, None])[0][:, 0] for side in (h, -h))
    g = gradients.readable_gradient(frozen, preprocess(x))
    return np.median(np.abs((right - left) / (2 * h) - g)) / np.sqrt(np.mean(g**2))


def disagreement_rounded(net):
    """The same behind a rounding of x to multiples of 1/8, of which the backward pass knows nothing."""
    return disagreement(net, lambda x: np.round(8 * x) / 8)


def turn(net, share=0.01):
    """The cosine of the parameter gradients before and after a step downhill that should lower the loss by a share."""
    before, loss = loss_gradient(net)
    moved, size = copy.deepcopy(net), sum(np.sum(g**2) for g in before.values())
    for name, p in moved.params.items():
        p -= share * loss / size * before[name]
    after, _ = loss_gradient(moved)
    return sum(np.sum(before[k] * after[k]) for k in before) / np.sqrt(size * sum(np.sum(g**2) for g in after.values()))


def loss_gradient(net):
    """The gradient of the mean of (f(x) - sin pi x)^2 / 2 on the grid with respect to all parameters, and the mean."""
    y, cache = net.forward(x[:, None])
    error = y - np.sin(np.pi * x)[:, None]
    return net.backward(error / x.size, cache)[1], np.mean(error**2) / 2


def between_pictures(case):
    net, a, b = case
    return probe.along(gradient_of(net, a, b), a, b).diagnosis.autocorrelation[0]


def across_pixels(case):
    net, a, b = case
    picture = a + 0.3 * (b - a)
    return stats.autocorrelation(gradient_of(net, a, b)(picture[None])[0], 1)[1]


def gradient_of(net, a, b):
    """The gradient as a function of pictures, batch statistics held on the line from a to b."""
    frozen = freeze(net, a + np.linspace(0, 1, 256)[:, None] * (b - a))

    def gradient(pictures):
        y, cache = frozen.forward(pictures)
        return frozen.backward(np.ones_like(y), cache)[0]
    return gradient


# The page.

NOISY, SMOOTH = of_pictures(1, blur=False), of_pictures(24, blur=True)

# A row of the table: (what is measured, on which nets) for four cells.
TABLE = {
    "shattered": [(lag_1, one_layer), (lag_1, one_layer), (lag_1, deep), (lag_1, deep)],
    "vanishing": [(rms, small_weights), (lag_1, small_weights), (rms, deep), (lag_1, deep)],
    "obfuscated": [(disagreement_rounded, resnet), (lag_1, resnet), (disagreement, deep), (lag_1, deep)],
    "rough loss surface": [(turn, small_weights), (lag_1, small_weights), (turn, deep), (lag_1, deep)],
    "noisy heatmap": [(across_pixels, NOISY), (between_pictures, NOISY), (across_pixels, SMOOTH),
                      (between_pictures, SMOOTH)],
}


@functools.cache
def measure(function, build):
    """The mean over nets, and its interval."""
    samples = [function(build(np.random.default_rng([SEED, run]))) for run in range(RUNS)]
    return intervals.mean_interval(np.array(samples))


NUMBER = re.compile(r"-?\d+\.?\d*(?:e-?\d+)?")


def last_digit(number):
    """One unit in the last place of a number as it is printed: 0.01 for "0.98", 1e-5 for "2.6e-4"."""
    mantissa, _, exponent = number.partition("e")
    return 10.0**(int(exponent or 0) - len(mantissa.partition(".")[2]))


def agree(cell, measured):
    """Is the cell "value [low, high]" what was measured, to one unit of its last digit? "< 1e-6" bounds all three."""
    printed = NUMBER.findall(cell)
    if cell.startswith("<"):
        return max(measured) < float(printed[0])
    return len(printed) == 3 and all(abs(float(p) - m) <= last_digit(p) for p, m in zip(printed, measured))


@pytest.mark.parametrize("cell, right", [
    ("0.98 [0.95, 1.01]", True), ("0.99 [0.95, 1.01]", True), ("1.00 [0.95, 1.01]", False), ("0.98", False),
    ("9.8e-1 [0.95, 1.01]", True), ("< 2", True), ("< 1", False)])
def test_a_wrong_number_would_be_seen(cell, right):
    assert agree(cell, (0.981, 0.953, 1.008)) is right


@pytest.mark.parametrize("name", TABLE)
def test_the_page_says_what_is_measured(name):
    line, = (line for line in PAGE.splitlines() if line.startswith(f"| **{name}**"))
    cells = [cell.strip() for cell in line.strip("|").split("|")][2:]
    measured = [measure(*task) for task in TABLE[name]]
    assert [agree(cell, m) for cell, m in zip(cells, measured, strict=True)] == [True] * 4, (cells, measured)


def test_the_page_says_how_far_the_gradient_of_the_centred_net_turns():
    cell, = re.findall(r"centred net instead.*?the cosine is (\d.*?\])", PAGE, re.DOTALL)
    assert agree(cell, measure(turn, centred))


@pytest.mark.parametrize("name", TABLE)
def test_each_is_told_apart_by_its_number(name):
    """In each row the left net is not shattered and the right one is, at the threshold of probe.py, 1/e."""
    assert measure(*TABLE[name][1]).low > np.exp(-1) > measure(*TABLE[name][3]).high
    left, right = measure(*TABLE[name][0]), measure(*TABLE[name][2])
    assert left.high < right.low or right.high < left.low
