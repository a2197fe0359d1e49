"""Panels draw what they are given, and a figure is saved whole or not at all."""

import os

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from minishatter import plot


@pytest.fixture
def ax():
    with matplotlib.rc_context():
        fig, axes = plot.panels(1, 1, (3, 2))
        yield axes[0, 0]
        plt.close(fig)


def test_panels_are_always_a_matrix(ax):
    fig, axes = plot.panels(2, 3, (6, 4), sharex=True)
    assert axes.shape == (2, 3)
    np.testing.assert_allclose(fig.get_size_inches(), (6, 4))
    plt.close(fig)


def test_a_page_is_an_empty_figure_in_the_same_style(ax):
    fig = plot.page((5, 4))
    np.testing.assert_allclose(fig.get_size_inches(), (5, 4))
    assert fig.axes == [] and fig.get_constrained_layout()
    plt.close(fig)


def test_save_writes_a_png_and_closes_the_figure(ax, tmp_path):
    ax.plot([0, 1])
    path = tmp_path / "new" / "folder" / "figure.png"
    plot.save(ax.figure, path)
    height, width, _ = plt.imread(path).shape
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert (width, height) == (330, 220)  # 3 x 2 inches at 110 dots
    assert os.listdir(path.parent) == ["figure.png"]
    assert not plt.fignum_exists(ax.figure.number)


def test_the_same_figure_is_the_same_file(ax, tmp_path):
    """No date and no version of matplotlib inside, so that git sees a change only if the picture changes."""
    ax.plot([0, 1])
    for name in ("a.png", "b.png"):
        plot.save(ax.figure, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert b"matplotlib" not in (tmp_path / "a.png").read_bytes()


def failing_savefig(fig, file, **kwargs):
    file.write(b"half a picture")
    raise OSError("disk full")


def failing_replace(*args):
    raise OSError("disk full")


@pytest.mark.parametrize("owner, name, failing", [(matplotlib.figure.Figure, "savefig", failing_savefig),
                                                  (os, "replace", failing_replace)])
def test_a_failing_save_leaves_the_old_picture_and_nothing_else(ax, tmp_path, monkeypatch, owner, name, failing):
    path = tmp_path / "figure.png"
    path.write_bytes(b"the old picture")
    monkeypatch.setattr(owner, name, failing)
    with pytest.raises(OSError, match="disk full"):
        plot.save(ax.figure, path)
    assert path.read_bytes() == b"the old picture"
    assert os.listdir(tmp_path) == ["figure.png"]
    assert not plt.fignum_exists(ax.figure.number)


def test_gradient_is_drawn_over_the_grid(ax):
    x, g = np.linspace(-2, 2, 9), np.arange(9.0)
    plot.gradient(ax, x, g, "red")
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), np.stack([x, g], axis=1))
    assert ax.get_xlim() == (-2, 2)


def test_matrix_starts_at_zero(ax):
    M = np.array([[1.0, 2.0], [3.0, 4.0]])
    image = plot.matrix(ax, M, high=10.0)
    np.testing.assert_array_equal(image.get_array(), M)
    assert image.get_clim() == (0, 10)


def test_curves_have_bands_and_labels(ax):
    x, value = np.arange(4.0), np.array([1.0, 2.0, 0.0, 5.0])
    plot.curves(ax, x, [(value, value - 1, value + 2), (-value, -value - 1, -value)], ["one", "two"], ["red", "blue"])
    assert [line.get_label() for line in ax.lines] == ["one", "two"]
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), -value)
    corners = ax.collections[0].get_paths()[0].vertices
    assert {(0.0, 0.0), (0.0, 3.0), (3.0, 4.0), (3.0, 7.0)} <= set(map(tuple, corners))


def test_curves_need_a_label_and_a_colour_each(ax):
    with pytest.raises(ValueError):
        plot.curves(ax, np.arange(2.0), [np.zeros((3, 2))], ["one", "two"], ["red", "blue"])


def test_raster_has_a_row_per_unit_and_active_is_black(ax):
    active = np.array([[True, False], [False, False], [True, False]])  # (inputs, units)
    plot.raster(ax, active)
    image = ax.images[0]
    assert image.get_array().shape == (2, 3)
    np.testing.assert_array_equal(image.to_rgba(image.get_array())[0, :, 0], [0, 1, 0])


def test_histogram_shows_fractions(ax):
    plot.histogram(ax, [0.5, 1.5, 1.5, 9.5], bins=[0, 1, 2, 10], colour="red")
    np.testing.assert_allclose([bar.get_height() for bar in ax.patches], [0.25, 0.5, 0.25])


@pytest.mark.parametrize("colour", plot.COLOUR.values())
def test_shades_grow_to_the_full_colour(colour):
    shades = plot.shades(colour, 5)
    assert shades[-1] == pytest.approx(to_rgb(colour))
    lightness = [sum(shade) for shade in shades]
    assert lightness == sorted(lightness, reverse=True) and lightness[0] > lightness[-1]


def test_architectures_can_be_told_apart():
    """No two of their colours are close."""
    drawn = [to_rgb(plot.COLOUR[name]) for name in ("feedforward", "resnet", "resnet 0.1", "highway", "brown", "white")]
    distances = [np.linalg.norm(np.subtract(a, b)) for i, a in enumerate(drawn) for b in drawn[:i]]
    assert min(distances) > 0.3  # in the unit cube of red, green, blue
