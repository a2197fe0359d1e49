"""Cells for test_sweep.py, at the top level of a module that worker processes can import."""

import os
import signal
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minishatter import gradients, images, nets, stats, sweep


class Gradient(NamedTuple):
    """Two statistics of one gradient."""

    lag1: float
    rms: float


def gradient_of_a_net(depth, width, seed):
    """Lag-1 autocorrelation and RMS of f'(x) of a small net."""
    net = nets.feedforward(depth, width, norm="center", rng=np.random.default_rng([seed, depth, width]))
    g = gradients.input_gradient(net, gradients.grid(32))
    return Gradient(stats.autocorrelation(g, 1)[1], np.sqrt(np.mean(g**2)))


def convnet(seed):
    """The size of a gradient through a small convnet, whose kernels run in numba's threads."""
    rng = np.random.default_rng(seed)
    net = images.flat_convnet(2, 4, rng=rng)
    y, cache = net.forward(rng.standard_normal((3, 32, 32, 8)))
    dx, _ = net.backward(np.ones_like(y), cache)
    return {"size": float(np.abs(dx).sum())}


def logged(depth, width, seed, log, seconds):
    """The same, slowly; leaves a line in a file for each time it begins."""
    with open(log, "a", encoding="utf-8") as file:
        file.write(f"{depth} {width} {seed}\n")
    time.sleep(seconds)
    return gradient_of_a_net(depth, width, seed)


def echo(value):
    """What came, and of which type."""
    return {"result": value, "type": type(value).__name__}


def fails_until(value, flag):
    """Raises for odd values until the file `flag` exists."""
    if value % 2 and not Path(flag).exists():
        raise ValueError(f"{value} is odd")
    return {"square": value**2}


def dies(value, log):
    """Ends its process if the value is 3."""
    with open(log, "a", encoding="utf-8") as file:
        file.write(f"{value}\n")
    if value == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"square": value**2}


def returns(kind):
    """What a cell must not return, and what it may."""
    return {"dict": {"a": 1}, "number": 1.0, "nothing": None, "empty": {}, "array": {"a": np.ones(2)},
            "complex": {"a": 1j}, "parameter": {"kind": 1}, "cell": {"cell": 1}, "number as name": {1: 1},
            "comma": {"a,b": 1}, "other column": {"b": 1},
            "two columns": {"a": 1, "b": 2}, "the other way round": {"b": 2, "a": 1}}[kind]


def reads(value, path):
    """How many lines a file has."""
    return {"lines": len(Path(path).read_text().splitlines()) if Path(path).exists() else 0}


def by_keyword(*, seed):
    """Takes its argument by keyword only."""


def any_number(*seeds):
    """Takes any number of arguments."""


def named_cell(cell):
    """Takes an argument named as the CSV's first column."""


def without_arguments():
    """Takes no argument."""


def grid(log, seconds):
    """The points of the tests with kills."""
    return [(depth, 5, seed, log, seconds) for depth in (1, 3) for seed in range(15)]


if __name__ == "__main__":
    import sys

    from tests import cells  # this file as a module, so that its cells are not those of __main__

    sweep.sweep(cells.logged, grid(sys.argv[1], 0.02), path=sys.argv[2])
