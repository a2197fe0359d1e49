"""Panels draw what they are given, in the house style and in no other's way; a figure is saved whole or not at all."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import is_color_like, to_rgb

from minishatter import plot
from tests import STRICT


ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def settings():
    """Whatever is drawn, the settings of matplotlib are afterwards what they were."""
    before = dict(matplotlib.rcParams)
    yield before
    assert dict(matplotlib.rcParams) == before


@pytest.fixture
def ax():
    fig, axes = plot.panels(1, 1, (3, 2))
    return axes[0, 0]


def test_panels_are_always_a_matrix():
    fig, axes = plot.panels(2, 3, (6, 4), sharex=True)
    assert axes.shape == (2, 3)
    np.testing.assert_allclose(fig.get_size_inches(), (6, 4))


def test_a_page_is_an_empty_figure_in_the_same_style():
    fig = plot.page((5, 4))
    np.testing.assert_allclose(fig.get_size_inches(), (5, 4))
    assert fig.axes == [] and fig.get_constrained_layout()


@pytest.mark.parametrize("across", [False, True])
def test_points_stand_at_their_values_with_their_intervals(ax, across):
    plot.points(ax, [1, 2], [(0.5, 0.4, 0.8), (3.0, 1.0, 4.0)], "red", "two", across=across)
    bars, = ax.containers
    marks, caps, (lines,) = bars
    x, y = marks.get_data()
    assert (list(y), list(x)) == ([1, 2], [0.5, 3.0]) if across else (list(x), list(y)) == ([1, 2], [0.5, 3.0])
    ends = np.array(lines.get_segments())[:, :, 0 if across else 1]
    np.testing.assert_allclose(ends, [[0.4, 0.8], [1.0, 4.0]])
    assert bars.get_label() == "two" and marks.get_linestyle() == "None"


def test_an_axis_of_depths_has_a_tick_at_each_and_no_other(ax):
    ax.plot([2, 50], [0, 1])
    plot.log_depths(ax, (2, 10, 50))
    assert ax.get_xscale() == "log" and list(ax.get_xticks()) == [2, 10, 50] and not list(ax.get_xticks(minor=True))
    assert [text.get_text() for text in ax.get_xticklabels()] == ["2", "10", "50"]


def test_what_is_drawn_is_in_the_house_style_whatever_the_users(settings):
    with matplotlib.rc_context({"lines.linewidth": 7, "font.size": 20, "axes.spines.top": True}):
        _, axes = plot.panels(1, 1, (3, 2))
        plot.curves(axes[0, 0], np.arange(2.0), [np.zeros((3, 2))], ["one"], ["red"])
    assert axes[0, 0].lines[0].get_linewidth() == plot.STYLE["lines.linewidth"]
    assert axes[0, 0].xaxis.label.get_fontsize() == plot.STYLE["font.size"]
    assert not axes[0, 0].spines["top"].get_visible()


def test_a_script_of_its_own_may_draw_all_in_the_house_style():
    with matplotlib.rc_context():
        plot.use_style()
        assert {name: matplotlib.rcParams[name] for name in plot.STYLE} == plot.STYLE


def test_save_writes_a_png_into_a_new_folder(ax, tmp_path):
    ax.plot([0, 1])
    path = tmp_path / "new" / "folder" / "figure.png"
    plot.save(ax.figure, path)
    height, width, _ = plt.imread(path).shape
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert (width, height) == (330, 220)  # 3 x 2 inches at 110 dots
    assert os.listdir(path.parent) == ["figure.png"]


@pytest.mark.parametrize("suffix, begins", [(".png", b"\x89PNG"), (".PNG", b"\x89PNG"), (".pdf", b"%PDF-"),
                                            (".svg", b"<?xml")])
def test_the_format_is_that_of_the_suffix(ax, tmp_path, suffix, begins):
    plot.save(ax.figure, tmp_path / f"figure{suffix}")
    assert (tmp_path / f"figure{suffix}").read_bytes().startswith(begins)


# Where it shows: nobody looks at a script's figures; a notebook or a prompt shows those of pyplot.


ELSEWHERE = """
import sys
from minishatter import plot
fig, axes = plot.panels(1, 2, (4, 2))
plot.gradient(axes[0, 0], [0.0, 1.0], [1.0, 2.0], "red")
plot.save(fig, sys.argv[1])
sys.exit("matplotlib.pyplot" in sys.modules)
"""


@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline", "module://no.such.backend", "TkAgg"])
def test_a_script_needs_no_backend(tmp_path, backend):
    """Such as the one that a notebook hands down to the commands it starts, which works nowhere else."""
    env = os.environ | {"MPLBACKEND": backend}
    done = subprocess.run([sys.executable, *STRICT, "-c", ELSEWHERE, tmp_path / "figure.png"], cwd=ROOT, env=env,
                          capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "figure.png").stat().st_size > 1000


@pytest.fixture
def at_a_prompt(monkeypatch):
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    yield
    plt.close("all")


def test_at_a_prompt_a_figure_shows_and_stays_open_when_saved(at_a_prompt, tmp_path, monkeypatch):
    monkeypatch.setattr(matplotlib, "get_backend", lambda: "module://matplotlib_inline.backend_inline")
    fig, _ = plot.panels(1, 1, (3, 2))
    plot.save(fig, tmp_path / "figure.png")
    assert plt.fignum_exists(fig.number) and fig.get_constrained_layout()


def test_at_a_prompt_without_a_screen_figures_do_not_pile_up(at_a_prompt, tmp_path):
    fig, _ = plot.panels(1, 1, (3, 2))  # the backend is Agg
    plot.save(fig, tmp_path / "figure.png")
    assert plt.get_fignums() == []


@pytest.mark.parametrize("suffix", plot.FORMATS)
def test_the_same_figure_is_the_same_file(tmp_path, suffix, monkeypatch):
    """No date and no version of matplotlib inside, so that git sees a change only if the picture changes."""
    for name, epoch in (("a", "0"), ("b", "1000000000")):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
        fig, axes = plot.panels(1, 1, (3, 2))
        plot.curves(axes[0, 0], np.arange(2.0), [np.zeros((3, 2))], ["one"], ["red"])
        plot.save(fig, tmp_path / (name + suffix))
    written = (tmp_path / f"a{suffix}").read_bytes()
    assert written == (tmp_path / f"b{suffix}").read_bytes()
    assert matplotlib.__version__.encode() not in written


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


# One colour for one thing.

COLOUR_ARGUMENTS = {"color", "c", "colour", "facecolor", "edgecolor", "markerfacecolor", "markeredgecolor", "ecolor"}


def colours_of_its_own(tree):
    """Colours that a source does not take from plot.COLOUR; black and none are no one's."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch(r"#[\da-fA-F]{6}|C\d",
                                                                                           node.value):
            yield node.value
        if isinstance(node, ast.keyword) and node.arg in COLOUR_ARGUMENTS and isinstance(node.value, ast.Constant):
            if node.value.value not in ("black", "none", None) and is_color_like(node.value.value):
                yield node.value.value


SOURCES = [path for folder in ("minishatter", "tutorials") for path in sorted((ROOT / folder).rglob("*.py"))
           if path.name != "plot.py"]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_colours_come_from_the_table(path):
    assert list(colours_of_its_own(ast.parse(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize("text", ["ax.plot(x, color='#D55E00')", "COLOURS = ['#d55e00']", "ax.plot(x, c='red')",
                                  "ax.bar(x, color='C1')", "ax.text(0, 0, '', color='tab:blue')"])
def test_a_colour_of_its_own_is_found(text):
    assert list(colours_of_its_own(ast.parse(text)))


def test_no_two_kinds_of_net_share_a_colour():
    nets = {name: colour for name, colour in plot.COLOUR.items() if name not in ("theory", "paper")}
    assert len(set(nets.values())) == len(nets)
