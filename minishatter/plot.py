"""Panels that take arrays and an `ax`: one style, one colour per architecture, darker with depth."""

import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from . import arguments, files

# One colour for one thing, in every figure. The first seven are Okabe & Ito's palette, which all common kinds of colour
# blindness can tell apart. "feedforward" is normalised, "plain" is not; a resnet's number is its beta. "BN" is for a
# feedforward net with batch normalisation beside centred ones.
COLOUR = {"feedforward": "#D55E00", "plain": "#E69F00", "resnet": "#0072B2", "resnet 0.3": "#56B4E9",
          "resnet 0.1": "#009E73", "highway": "#CC79A7", "theory": "#000000", "paper": "#000000",
          "CReLU": "#332288", "looks-linear": "#882255", "leaky": "#44AA99", "smooth": "#117733", "linear": "#999933",
          "per sample": "#6A3D9A", "BN": "#AA4499", "textbook": "#AAAAAA", "brown": "#7A4B1E", "white": "#777777"}

STYLE: Any = {"figure.dpi": 100, "savefig.dpi": 110, "figure.constrained_layout.use": True, "font.size": 9,
         "axes.titlesize": 10, "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.8,
         "lines.linewidth": 1.2, "legend.frameon": False, "legend.fontsize": 8, "image.interpolation": "antialiased",
         "svg.hashsalt": "minishatter"}  # else the names inside an SVG are random

# What each format would say about when and by what it was written. Without, the same figure is the same file.
FORMATS = {".png": {"Software": None}, ".pdf": {"Creator": None, "Producer": None, "CreationDate": None},
           ".svg": {"Creator": None, "Date": None}}


def style() -> Any:
    """The house style as a context or a decorator: outside of it the settings of matplotlib stay the user's."""
    return matplotlib.rc_context(STYLE)


def use_style() -> None:
    """The house style from here on, for a script that draws for itself, as a tutorial does."""
    matplotlib.rcParams.update(STYLE)


@style()
def page(size: tuple[float, float]) -> Figure:
    """An empty figure in the house style, to be divided into subfigures; size in inches.

    In a notebook and at a prompt it is one of pyplot's, so that it shows there. Anywhere else
    nobody looks: no window, no pyplot, and whatever backend the environment asks for.
    """
    if hasattr(sys, "ps1") and matplotlib.get_backend().lower() != "agg":  # a prompt, and a backend that shows
        import matplotlib.pyplot as plt
        return plt.figure(figsize=size)
    fig = Figure(figsize=size)
    FigureCanvasAgg(fig)
    return fig


@style()
def panels(rows: int, columns: int, size: tuple[float, float], **kwargs: Any) -> tuple[Figure, np.ndarray]:
    """A page and its Axes, an array (rows, columns); kwargs are those of plt.subplots, such as sharex."""
    fig = page(size)
    return fig, fig.subplots(rows, columns, squeeze=False, **kwargs)


def suffix(path: str | os.PathLike) -> str:
    """The suffix of `path`, in lower case, if a figure can be written in that format."""
    ending = Path(path).suffix.lower()
    if ending not in FORMATS:
        raise ValueError(f"path of a figure must end in {', '.join(FORMATS)}, got {str(path)!r}")
    return ending


@style()
def save(fig: Figure, path: str | os.PathLike) -> None:
    """Write the figure, whole or not at all, in the format of the suffix. It stays open if it shows somewhere."""
    if not hasattr(fig, "savefig"):
        raise TypeError(f"fig must be a matplotlib Figure, got {fig!r}")
    image, ending = io.BytesIO(), suffix(path)
    fig.savefig(image, format=ending[1:], metadata=FORMATS[ending])
    files.write(path, image.getvalue())


def shades(colour: str, n: int) -> list[tuple]:
    """n shades of a colour, from light to full, for growing depth."""
    full = np.array(to_rgb(colour))
    return [tuple(1 - strength * (1 - full)) for strength in np.linspace(0.4, 1.0, arguments.integer("n", n))]


@style()
def gradient(ax: Axes, x: np.ndarray, g: np.ndarray, colour: str) -> None:
    """A gradient along the grid."""
    ax.plot(x, arguments.array("g", g, ndim=1), color=colour, linewidth=0.9)
    ax.set_xlim(x[0], x[-1])
    ax.ticklabel_format(axis="y", style="sci", scilimits=(-2, 4))


@style()
def matrix(ax: Axes, M: np.ndarray, high: float | None = None) -> AxesImage:
    """A matrix as an image, dark = large, without ticks."""
    image = ax.imshow(arguments.array("M", M, ndim=2), cmap="magma_r", vmin=0, vmax=high)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    return image


@style()
def curves(ax: Axes, x: np.ndarray, intervals: list, labels: list, colours: list) -> None:
    """One line for each (value, low, high), arrays over x, with a band from low to high."""
    if not len(intervals) == len(labels) == len(colours) or any(np.shape(i)[:1] != (3,) for i in intervals):
        raise ValueError(f"intervals, labels and colours must be as many, each interval (value, low, high); "
                         f"got {len(intervals)}, {len(labels)} and {len(colours)}")
    for (value, low, high), label, colour in zip(intervals, labels, colours, strict=True):
        ax.plot(x, value, color=colour, label=label)
        ax.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)


@style()
def points(ax: Axes, x: Sequence, measured: Sequence, colour: str | tuple, label: str | None = None, fmt: str = "o",
           across: bool = False, **look: Any) -> None:
    """A point with its interval at each place of x: measured holds (value, low, high) for each; across: x runs upwards.

    fmt and look are those of matplotlib's errorbar.
    """
    if np.shape(measured) != (len(x), 3):
        raise ValueError(f"measured must hold (value, low, high) for each of the {len(x)} places of x, "
                         f"got shape {np.shape(measured)}")
    value, low, high = np.transpose(measured)
    bars = [value - low, high - value]
    if across:
        ax.errorbar(value, x, xerr=bars, fmt=fmt, color=colour, label=label, capsize=2, **look)
    else:
        ax.errorbar(x, value, yerr=bars, fmt=fmt, color=colour, label=label, capsize=2, **look)


@style()
def log_depths(ax: Axes, depths: Sequence[int]) -> None:
    """A logarithmic x axis with a tick at each depth, and no other."""
    depths = [arguments.integer("depths", depth) for depth in depths]
    ax.set_xscale("log")
    ax.set_xticks(depths, list(map(str, depths)))
    ax.minorticks_off()


@style()
def raster(ax: Axes, active: np.ndarray) -> None:
    """Activation pattern (N inputs, units): a row per unit, a column per input, black = active."""
    active = np.asarray(active)
    if active.ndim != 2:
        raise ValueError(f"active must have 2 axes (N, units), got shape {active.shape}")
    ax.imshow(active.T, cmap="gray_r", vmin=0, vmax=1, aspect="auto")
    ax.set_xticks([])
    ax.set_yticks([])


@style()
def histogram(ax: Axes, values: np.ndarray, bins: int | Sequence[float], colour: str) -> None:
    """The fraction of values in each bin."""
    values = arguments.array("values", values)
    ax.hist(values, bins=bins, weights=np.full(values.size, 1 / values.size), color=colour)
