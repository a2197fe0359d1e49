"""The window: moving a slider changes what is drawn to what the library measures, and a quick redraw is a full one."""

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from minishatter import active_units, explore, gradients, look, plot, regions, stats

X = gradients.grid(look.POINTS)
SMALL = {"depth": 3, "width": 20}


class Canvas(FigureCanvasAgg):
    """Agg as a window has it: it can show a part that was drawn anew."""

    supports_blit = True
    shown = 0

    def blit(self, bbox=None):
        self.shown += 1


@pytest.fixture
def window(monkeypatch):
    before = dict(matplotlib.rcParams)
    monkeypatch.setattr(explore, "SLIDERS", [(name, low, high, SMALL.get(name, first), step)
                                             for name, low, high, first, step in explore.SLIDERS])
    fig = Figure(figsize=(13, 7.2))
    Canvas(fig)
    window = explore.Window(fig)
    fig.canvas.draw()
    yield window
    assert dict(matplotlib.rcParams) == before


def pixels(window):
    return np.asarray(window.fig.canvas.buffer_rgba()).copy()


def agrees(window):
    """All panels show the net of the choice."""
    net, choice = look.build(window.choice), window.choice
    g = gradients.input_gradient(net, X, choice.statistics)
    np.testing.assert_array_equal(window.look.g, g)
    np.testing.assert_array_equal(window.acf.get_ydata(), stats.autocorrelation(g, look.LAGS))
    np.testing.assert_array_equal(window.covariance.get_array(), stats.rank_one_covariance(g))
    np.testing.assert_array_equal(window.raster.get_array(), active_units(net, X[:, None])[-1].T)
    assert window.word.get_text() == window.look.diagnosis.condition
    assert f"{window.look.diagnosis.rms:.3g}" in window.numbers.get_text()
    assert window.line.get_color() == plot.COLOUR[choice.net]
    return True


@pytest.mark.parametrize("slider, value", [("depth", 7), ("width", 30), ("bias", 0.5), ("seed", 5)])
def test_a_slider_draws_another_net(window, slider, value):
    before, picture = window.look.g, pixels(window)
    window.sliders[slider].set_val(value)
    assert getattr(window.choice, slider) == value and agrees(window)
    assert not np.array_equal(window.look.g, before) and not np.array_equal(pixels(window), picture)


@pytest.mark.parametrize("net", look.KINDS)
@pytest.mark.parametrize("norm", look.NORMS)
def test_every_choice_of_buttons_shows_its_net(window, net, norm):
    window.buttons["net"].set_active(look.KINDS.index(net))
    window.buttons["norm"].set_active(look.NORMS.index(norm))
    assert (window.choice.net, window.choice.norm) == (net, norm) and agrees(window)
    window.buttons["statistics"].set_active(1)
    assert window.choice.statistics == "through" and agrees(window)
    np.testing.assert_array_equal(window.line.get_data(), (X, window.look.g))


def test_beta_moves_a_resnet_and_gates_a_highway(window):
    window.buttons["net"].set_active(1)
    window.sliders["beta"].set_val(0.1)
    assert look.build(window.choice).layers[1].weights == (1.0, 0.1) and agrees(window)
    window.buttons["net"].set_active(2)
    assert look.build(window.choice).layers[1].weights[1] == 0.1 and agrees(window)
    assert window.sliders["beta"].label.get_text() == "gamma2"


def test_what_is_drawn_quickly_is_what_is_drawn_slowly(window):
    """The pixels after a few moves are those of the same figure drawn as a whole; nothing old remains."""
    for slider, value in (("depth", 9), ("seed", 3), ("width", 40)):
        window.sliders[slider].set_val(value)
    window.buttons["norm"].set_active(1)
    window.buttons["net"].set_active(2)
    assert window.fig.canvas.shown == 5
    quick = pixels(window)
    window.fig.canvas.draw()
    np.testing.assert_array_equal(quick, pixels(window))


def test_only_the_cells_that_changed_are_drawn(window):
    drawn = []
    window.fig.draw_artist = drawn.append
    window.sliders["seed"].set_val(4)
    assert window.line in drawn and window.sliders["seed"].ax in drawn
    assert window.sliders["depth"].ax not in drawn and window.buttons["net"].ax not in drawn


def test_cells_do_not_overlap(window):
    """Else giving one its pixels back would wipe out what another shows."""
    boxes = [(left, bottom, left + width, bottom + height) for (left, bottom, width, height), *_ in window.cells]
    assert [(a, b) for i, a in enumerate(boxes) for b in boxes[:i]
            if a[0] < b[2] - 1e-9 and b[0] < a[2] - 1e-9 and a[1] < b[3] - 1e-9 and b[1] < a[3] - 1e-9] == []


def test_zooming_in_shows_the_exact_staircase(window):
    window.sliders["depth"].set_val(24)
    window.sliders["width"].set_val(100)
    window.buttons["norm"].set_active(1)
    assert not window.exact and "zoom in" in window.head.get_text()
    window.main.set_xlim(0.1, 0.11)
    frozen = look.build(window.choice).freeze(X[:, None])
    staircase = regions.exact_gradient(frozen, 0.1, 0.11)
    assert window.exact and f"{staircase.values.size} pieces" in window.head.get_text()
    np.testing.assert_array_equal(window.line.get_ydata()[::2], staircase.values)
    grid = X[(0.1 <= X) & (X <= 0.11)]
    np.testing.assert_array_equal(window.dots.get_xdata(), grid)
    np.testing.assert_allclose(window.dots.get_ydata(), staircase.at(grid), rtol=1e-9)
    window.buttons["statistics"].set_active(1)  # through the statistics it is no function of one input
    assert not window.exact and "grid" in window.head.get_text()


def test_a_change_while_zoomed_keeps_the_view(window):
    window.main.set_xlim(0.1, 0.3)
    window.sliders["seed"].set_val(3)
    assert window.main.get_xlim() == (0.1, 0.3) and window.exact
    low, high = window.main.get_ylim()
    assert low < window.line.get_ydata().min() and window.line.get_ydata().max() < high


def test_a_shallow_net_is_a_staircase_at_once(window):
    window.sliders["depth"].set_val(1)
    assert window.exact and window.line.get_xdata()[[0, -1]].tolist() == [-2.0, 2.0]


def test_a_saved_figure_shows_what_moves(window, tmp_path):
    """The toolbar's button: the file has the lines and sliders, which a full draw leaves to the window."""
    window.fig.savefig(tmp_path / "a.png", dpi=100)
    window.sliders["seed"].set_val(7)
    window.fig.savefig(tmp_path / "b.png", dpi=100)
    window.sliders["seed"].set_val(8)  # afterwards the window is whole again
    after = pixels(window)
    window.fig.canvas.draw()
    np.testing.assert_array_equal(after, pixels(window))
    a, b = (np.asarray(matplotlib.image.imread(tmp_path / name)) for name in ("a.png", "b.png"))
    height, width, _ = a.shape
    changed = np.abs(a - b).max(axis=2) > 0.1
    left, bottom, w, h = explore.PANELS[0]
    assert changed[:int(height * (1 - bottom)), int(width * left):].sum() > 500  # the line
    assert changed[:int(0.35 * height), :int(0.22 * width)].sum() > 20           # the slider


def test_a_figure_of_another_size_is_drawn_as_a_whole(window):
    window.fig.set_size_inches(9, 5)
    window.sliders["seed"].set_val(6)
    assert window.fig.canvas.shown == 0 and agrees(window)


def test_without_a_display_it_says_so(monkeypatch):
    import matplotlib.pyplot as plt

    plt.switch_backend("Agg")
    with pytest.raises(RuntimeError, match="explore --html"):
        explore.show()
    assert plt.get_fignums() == []
