"""Panels that take arrays and an `ax`: one style, one colour per architecture, darker with depth."""

import io

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import to_rgb

from . import arguments, files

# Okabe & Ito's palette: distinct for all common kinds of colour blindness.
COLOUR = {"feedforward": "#D55E00", "resnet": "#0072B2", "resnet 0.1": "#009E73", "highway": "#CC79A7",
          "brown": "#7A4B1E", "white": "#777777", "theory": "#000000", "paper": "#000000"}

STYLE = {"figure.dpi": 100, "savefig.dpi": 110, "figure.constrained_layout.use": True, "font.size": 9,
         "axes.titlesize": 10, "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.8,
         "lines.linewidth": 1.2, "legend.frameon": False, "legend.fontsize": 8, "image.interpolation": "nearest"}


def panels(rows, columns, size, **kwargs):
    """plt.subplots in the house style: figure and an array (rows, columns) of axes; size in inches."""
    plt.style.use(STYLE)
    return plt.subplots(rows, columns, figsize=size, squeeze=False, **kwargs)


def page(size):
    """An empty figure in the house style, to be divided into subfigures."""
    plt.style.use(STYLE)
    return plt.figure(figsize=size)


def save(fig, path):
    """Write the figure as a PNG, whole or not at all, and close it."""
    if not hasattr(fig, "savefig"):
        raise TypeError(f"fig must be a matplotlib Figure, got {fig!r}")
    image = io.BytesIO()
    try:
        fig.savefig(image, format="png", metadata={"Software": None})
    finally:
        plt.close(fig)
    files.write(path, image.getvalue())


def shades(colour, n):
    """n shades of a colour, from light to full, for growing depth."""
    full = np.array(to_rgb(colour))
    return [tuple(1 - strength * (1 - full)) for strength in np.linspace(0.4, 1.0, arguments.integer("n", n))]


def gradient(ax, x, g, colour):
    """A gradient along the grid."""
    ax.plot(x, arguments.array("g", g, ndim=1), color=colour, linewidth=0.9)
    ax.set_xlim(x[0], x[-1])
    ax.ticklabel_format(axis="y", style="sci", scilimits=(-2, 4))


def matrix(ax, M, high=None):
    """A matrix as an image, dark = large, without ticks."""
    image = ax.imshow(arguments.array("M", M, ndim=2), cmap="magma_r", vmin=0, vmax=high)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    return image


def curves(ax, x, intervals, labels, colours):
    """One line for each (value, low, high), arrays over x, with a band from low to high."""
    if not len(intervals) == len(labels) == len(colours) or any(np.shape(i)[:1] != (3,) for i in intervals):
        raise ValueError(f"intervals, labels and colours must be as many, each interval (value, low, high); "
                         f"got {len(intervals)}, {len(labels)} and {len(colours)}")
    for (value, low, high), label, colour in zip(intervals, labels, colours, strict=True):
        ax.plot(x, value, color=colour, label=label)
        ax.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)


def raster(ax, active):
    """Activation pattern (N inputs, units): a row per unit, a column per input, black = active."""
    active = np.asarray(active)
    if active.ndim != 2:
        raise ValueError(f"active must have 2 axes (N, units), got shape {active.shape}")
    ax.imshow(active.T, cmap="gray_r", vmin=0, vmax=1, aspect="auto")
    ax.set_xticks([])
    ax.set_yticks([])


def histogram(ax, values, bins, colour):
    """The fraction of values in each bin."""
    values = arguments.array("values", values)
    ax.hist(values, bins=bins, weights=np.full(values.size, 1 / values.size), color=colour)
