"""A window to play with: sliders for what a net is made of, and what its gradient looks like.

Each change draws the net anew and shows f'(x), its autocorrelation, its covariance of rank one, the
units that are active, and the diagnosis of probe.py. Zoom into f'(x): as soon as few enough
pieces are in view, the line is the exact staircase (regions.py).

A change should be seen within a tenth of a second. So one pass through the net gives everything (look.py),
and the figure is divided into cells: a cell whose state has changed gets back the pixels of what stands
still in it, and what moves is drawn on top ("blitting"). Text is dear: each letter costs some 50 us.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from matplotlib.backend_bases import FigureManagerBase
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Bbox, TransformedBbox
from matplotlib.widgets import RadioButtons, Slider

from . import gradients, plot
from .look import KINDS, LAGS, MOST_PIECES, NORMS, POINTS, Choice, build, curve, look

LOW, HIGH = -2.0, 2.0
# name, smallest, largest, first value, step
SLIDERS = (("depth", 1, 50, 24, 1), ("width", 10, 400, 200, 10), ("beta", 0.0, 2.0, 1.0, 0.05),
           ("bias", 0.0, 3.0, 1.0, 0.1), ("seed", 0, 99, 0, 1))
CHOICES = (("net", KINDS), ("norm", NORMS), ("statistics", gradients.STATISTICS))
UNUSED = {"feedforward": ("beta",), "resnet": (), "highway": ("norm",)}
INK = plot.COLOUR["theory"]
# Left, bottom, width and height, as shares of the figure: f'(x), autocorrelation, covariance, activity.
PANELS = ((0.28, 0.56, 0.70, 0.37), (0.28, 0.09, 0.19, 0.35), (0.515, 0.09, 0.195, 0.35), (0.755, 0.09, 0.225, 0.35))
BUTTONS = ((0.02, 0.52, 0.1, 0.14), (0.13, 0.52, 0.1, 0.14), (0.02, 0.38, 0.1, 0.1))


class Cell(NamedTuple):
    """A part of the figure."""

    place: tuple  # left, bottom, width and height, as shares of the figure
    artists: tuple  # what moves
    state: Callable[[], Any]  # it is drawn again if this has changed


class Window:
    """The panels and controls on a matplotlib figure. Keep a reference to it as long as the figure shows."""

    def __init__(self, fig: Figure):
        if not isinstance(fig, Figure):
            raise TypeError(f"fig must be a matplotlib Figure, got {fig!r}")
        self.fig, self.x = fig, gradients.grid(POINTS, LOW, HIGH)
        with plot.style():
            fig.set_layout_engine("none")
            self.sliders, self.buttons = _sliders(fig), _buttons(fig)
            self._panels()
            self.cells = self._cells()
            self._still: dict = {}  # number of a cell: its pixels without what moves
            self._drawn: dict = {}  # number of a cell: its state when it was drawn last
            self._change()
        for cell in self.cells:
            for artist in cell.artists:
                artist.set_animated(True)
        fig.canvas.mpl_connect("draw_event", self._on_draw)
        for slider in self.sliders.values():
            slider.on_changed(self._change)
        for buttons in self.buttons.values():
            buttons.on_clicked(self._change)
        self.main.callbacks.connect("xlim_changed", self._draw_curve)

    @property
    def choice(self) -> Choice:
        """Where the sliders and buttons stand."""
        numbers: dict[str, Any] = {name: type(step)(self.sliders[name].val) for name, *_, step in SLIDERS}
        return Choice(**numbers, **{name: buttons.value_selected for name, buttons in self.buttons.items()})

    def _panels(self):
        """The four panels and the table, with artists whose data will change."""
        self.main, acf, covariance, raster = (self.fig.add_axes(place) for place in PANELS)
        plot.gradient(self.main, self.x, np.zeros(POINTS), INK)
        self.line, = self.main.lines
        self.dots, = self.main.plot([], [], ".", markersize=5, color=INK)
        self.main.set_xlabel("x")
        self.main.yaxis.set_major_locator(MaxNLocator(4))
        self.main.yaxis.set_major_formatter("{x:.3g}")  # an exponent above the axis would leave the cell
        self.head = self.main.text(0, 1.03, "", transform=self.main.transAxes, fontsize=10)
        for height, style in ((0.0, "-"), (np.exp(-1.0), ":")):
            acf.axhline(height, color=INK, linewidth=0.6, linestyle=style)
        acf.text(LAGS, 0.39, "1/e", ha="right")
        acf.set(title="autocorrelation", xlabel="lag, in steps of the grid", xlim=(0, LAGS), ylim=(-0.7, 1))
        self.acf, = acf.plot(np.arange(LAGS + 1), np.zeros(LAGS + 1))
        self.covariance = plot.matrix(covariance, np.zeros((POINTS, POINTS)), high=4)
        covariance.set_title("covariance of this one gradient")
        plot.raster(raster, np.zeros((POINTS, 1), dtype=bool))
        self.raster, = raster.images
        raster.set(title="active units of the last layer", xlabel="x", ylabel="units")
        self.word = self.fig.text(0.02, 0.31, "", fontsize=15, weight="bold")
        table = {"va": "top", "linespacing": 1.6}
        self.fig.text(0.02, 0.28, "\n".join(_table(None)), **table)
        self.numbers = self.fig.text(0.13, 0.28, "", **table)

    def _cells(self):
        left, bottom, width, height = PANELS[0]
        main = (left - 0.045, bottom - 0.015, width + 0.045, height + 0.02)
        # `object` makes a new state each time: these four are always drawn.
        cells = [Cell(main, (self.line, self.dots, self.main.yaxis), object),
                 *(Cell((a - 0.005, b - 0.005, w + 0.01, h + 0.01), (artist,), object)  # a line is a pixel wide
                   for (a, b, w, h), artist in zip(PANELS[1:], (self.acf, self.covariance, self.raster))),
                 Cell((left, 0.935, width, 0.05), (self.head,), self.head.get_text),
                 Cell((0.0, 0.295, 0.22, 0.07), (self.word,), self.word.get_text),
                 Cell((0.13, 0.0, 0.09, 0.29), (self.numbers,), self.numbers.get_text)]
        for slider in self.sliders.values():
            _, bottom, *_ = slider.ax.get_position().bounds
            cells.append(Cell((0.0, bottom - 0.01, 0.22, 0.05), (slider.ax,),
                              lambda slider=slider: (slider.val, slider.label.get_text(), slider.label.get_alpha())))
        for buttons in self.buttons.values():
            left, bottom, width, height = buttons.ax.get_position().bounds
            cells.append(Cell((left, bottom, width, height + 0.03), (buttons.ax,),  # with its title
                              lambda buttons=buttons: (buttons.value_selected, buttons.labels[0].get_alpha())))
        return cells

    def _change(self, _=None):
        """A slider or button has moved: another net, measured, and its data on the artists."""
        choice = self.choice
        self.net, self.frozen = build(choice), None
        self.look = look(self.net, self.x, choice.statistics)
        for artist in (self.line, self.acf):
            artist.set_color(plot.COLOUR[choice.net])
        self.acf.set_ydata(self.look.acf)
        self.covariance.set_data(self.look.covariance)
        self.raster.set_data(self.look.active.T)
        self.word.set_text(self.look.diagnosis.condition)
        self.numbers.set_text("\n".join(_table(self.look).values()))
        self._mark(choice)
        self._draw_curve()
        self.main.set_ylim(*_span(self.line.get_ydata()))
        self._draw_what_moved()

    def _draw_curve(self, _=None):
        """f' in view: the exact staircase if it has few pieces, else 256 points; of "through" only the grid's.

        When the user has zoomed, the toolbar draws the whole figure afterwards.
        """
        low, high = self.main.get_xlim()
        whole, held = (low, high) == (LOW, HIGH), self.choice.statistics == "held"
        x, g, self.exact = self.x, self.look.g, False
        if held and not (whole and self.look.flips > MOST_PIECES):
            self.frozen = self.frozen or self.net.freeze(self.x[:, None])
            x, g, self.exact = curve(self.frozen, low, high)
        self.line.set_data(x, g)
        near = (low <= self.x) & (self.x <= high)
        self.dots.set_data((self.x[near], self.look.g[near]) if near.sum() < POINTS / 4 else ([], []))
        self.head.set_text("f'(x): " + (f"the exact staircase, {x.size // 2} pieces" if self.exact else
                                        f"{POINTS} points; zoom in for the steps" if held
                                        else "the points of the grid"))

    def _mark(self, choice):
        """Grey is what has no effect on this kind of net."""
        self.sliders["beta"].label.set_text("gamma2" if choice.net == "highway" else "beta")
        labels = {name: [slider.label] for name, slider in self.sliders.items()}
        labels |= {name: buttons.labels for name, buttons in self.buttons.items()}
        for name in labels:
            for label in labels[name]:
                label.set_alpha(0.3 if name in UNUSED[choice.net] else 1.0)

    def _on_draw(self, event):
        """The whole figure has been drawn without what moves: keep its pixels, and draw the rest on top."""
        self._still, canvas = {}, self.fig.canvas
        saving = canvas.is_saving()  # into a file: the axes have drawn all of theirs, and no pixels are kept
        for number, cell in enumerate(self.cells):
            if canvas.supports_blit and not saving:
                self._still[number] = canvas.copy_from_bbox(self._pixels(cell))
            self._drawn[number] = cell.state()
            for artist in cell.artists:
                if not saving or artist in self.fig.get_children():
                    artist.draw(event.renderer)
        self._size = self.fig.bbox.bounds

    def _pixels(self, cell):
        return TransformedBbox(Bbox.from_bounds(*cell.place), self.fig.transFigure)

    def _draw_what_moved(self):
        canvas = self.fig.canvas
        if not self._still or self._size != self.fig.bbox.bounds:
            canvas.draw_idle()
            return
        for number, cell in enumerate(self.cells):
            if (state := cell.state()) != self._drawn[number]:
                self._drawn[number] = state
                canvas.restore_region(self._still[number])
                for artist in cell.artists:
                    self.fig.draw_artist(artist)
        canvas.blit(self.fig.bbox)


def _sliders(fig):
    found = {}
    for row, (name, low, high, first, step) in enumerate(SLIDERS):
        ax = fig.add_axes((0.07, 0.92 - 0.05 * row, 0.12, 0.03))
        found[name] = Slider(ax, name, low, high, valinit=first, valstep=step, initcolor="none")
        found[name].label.set_x(-0.08)
        found[name].valtext.set_x(1.06)
        found[name].drawon = False  # the window draws
    return found


def _buttons(fig):
    found = {}
    for (name, labels), place in zip(CHOICES, BUTTONS):
        ax = fig.add_axes(place)
        ax.set_title(name, loc="left")
        ax.spines[:].set_visible(False)
        found[name] = RadioButtons(ax, labels, useblit=False)
        found[name].drawon = False
    return found


def _span(g):
    """The limits of an axis for g, with a margin; not empty if g does not vary."""
    low, high = float(np.min(g)), float(np.max(g))
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin


def _table(seen):
    """The rows of the table {name: value}; names only if nothing was seen yet."""
    if seen is None:
        return dict.fromkeys(("RMS gradient", "co-activity", "correlation length", "at lag 1", "distinct values",
                              "flips on the grid"))
    found = seen.diagnosis
    return {"RMS gradient": f"{found.rms:.3g}", "co-activity": f"{found.coactive:.2f}",
            "correlation length": f"{found.correlation_length:.2f}", "at lag 1": f"{seen.acf[1]:.2f}",
            "distinct values": f"{found.distinct}", "flips on the grid": f"{seen.flips}"}


def show() -> None:
    """Open the window, and return when it is closed. Raises RuntimeError where matplotlib has no window to open."""
    import matplotlib.pyplot as plt

    try:
        fig = plt.figure("minishatter explore", figsize=(13, 7.2))
    except ImportError as error:
        raise RuntimeError(f"matplotlib cannot open a window: {error}") from error
    if getattr(type(fig.canvas.manager), "show", None) is FigureManagerBase.show:
        plt.close(fig)
        raise RuntimeError("a window needs a display and a toolkit such as Tk or Qt (see matplotlib's backends); "
                           "minishatter explore --html PAGE.html needs none")
    window = Window(fig)
    plt.show()
    del window  # matplotlib keeps only weak references to its callbacks
