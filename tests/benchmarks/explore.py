"""How long after a slider has moved is the picture there? Run as `python -m tests.benchmarks.explore`; asserts nothing.

Prints where the time goes for 24 x 200, beside the bare matrix products of the net on the same machine: set
OPENBLAS_NUM_THREADS=1 for one core. Seconds are those of this thread, so that others on the machine count
little (they still share its caches); contestants take turns, and medians and minima are shown.
"""

import time

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from minishatter import explore, look, stats

DEPTH, WIDTH, TURNS = 24, 200, 15


class Canvas(FigureCanvasAgg):
    supports_blit = True

    def blit(self, bbox=None):
        """A window would copy the pixels to the screen here."""


def seconds(function):
    start = time.thread_time()
    function()
    return time.thread_time() - start


def products():
    """The matrix products of a net, values and tangents of all points together."""
    weights, dual = np.ones((WIDTH, WIDTH)), np.ones((WIDTH, 2 * look.POINTS))
    return lambda: [weights @ dual for _ in range(DEPTH - 1)]


def parts(window):
    """What a change consists of, by name."""
    choice, seed = window.choice, iter(range(10**6))
    net, x = window.net, window.x
    g, active = look.one_pass(net, x, choice.statistics)

    def move():
        window.sliders["seed"].set_val(next(seed) % 100)
    return {"bare matrix products": products(), "build the net": lambda: look.build(choice),
            "one pass": lambda: look.one_pass(net, x, choice.statistics),
            "the rest of look": lambda: (stats.autocorrelation(g, look.LAGS), stats.rank_one_covariance(g)),
            "draw what moved": window._draw_what_moved, "all: a slider moves": move,
            "(the whole figure)": window.fig.canvas.draw}


def main():
    fig = Figure(figsize=(13, 7.2))
    Canvas(fig)
    window = explore.Window(fig)
    fig.canvas.draw()
    for net, norm, statistics in ((0, 0, 0), (0, 1, 0), (0, 2, 0), (1, 2, 0), (0, 2, 1)):
        for buttons, place in zip(window.buttons.values(), (net, norm, statistics)):
            buttons.set_active(place)
        contestants = parts(window)
        times = np.array([[seconds(function) for function in contestants.values()] for _ in range(TURNS + 1)])[1:]
        print(f"\n{window.choice.net}, norm {window.choice.norm}, {window.choice.statistics}, {DEPTH} x {WIDTH}")
        print(f"{'':<24}{'median ms':>10}{'least ms':>10}{'/ products':>12}")
        middle, least = 1e3 * np.median(times, axis=0), 1e3 * times.min(axis=0)
        for name, ms, fewest in zip(contestants, middle, least):
            print(f"{name:<24}{ms:>10.1f}{fewest:>10.1f}{ms / middle[0]:>12.2f}")


if __name__ == "__main__":
    main()
