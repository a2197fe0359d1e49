"""The page that plays depth: it says what is measured, opens from the disk, and its slider moves the picture."""

import base64
import io
import json
import os
import re
import shutil
import subprocess

import numpy as np
import pytest
from matplotlib import image

from minishatter import film, gradients, look, stats
from minishatter.__main__ import main

DEEPEST, WIDTH, SEED = 4, 9, 3
CHROMIUM = shutil.which("chromium")
QUIET = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-extensions",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--virtual-time-budget=5000")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("film") / "page.html"
    film.write(path, DEEPEST, WIDTH, SEED)
    return path


def data(page):
    """The frames inside the page: (picture, text)."""
    line, = re.findall(r"^const frames = (.*);$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return [(base64.b64decode(frame["src"].partition("base64,")[2]), frame["text"]) for frame in json.loads(line)]


def test_there_is_a_frame_for_each_depth_and_it_says_what_is_measured(page):
    """The numbers are made again, net by net."""
    x = gradients.grid()
    for depth, (_, text) in enumerate(data(page), start=1):
        assert text.startswith(f"{depth} layer")
        for number, (title, _, build) in enumerate(film.KINDS):
            net = build(depth, WIDTH, np.random.default_rng([SEED, number]))
            acf = stats.autocorrelation(gradients.input_gradient(net, x), 1)
            assert f"{title}: {acf[1]:.2f}" in text
    assert depth == DEEPEST


def test_the_pictures_are_pictures_of_one_size_and_differ(page):
    pictures = [image.imread(io.BytesIO(picture), format="webp") for picture, _ in data(page)]
    assert {picture.shape[:2] for picture in pictures} == {(660, 1040)}
    for before, after in zip(pictures, pictures[1:]):
        assert np.mean(np.abs(before.astype(float) - after) > 40) > 0.01


def test_a_picture_is_what_the_figure_shows(monkeypatch):
    """The curves of one frame, taken from the lines before they are drawn."""
    strip = film._Strip()
    x = gradients.grid()
    seen = [look.look(build(3, WIDTH, np.random.default_rng(number)), x)
            for number, (*_, build) in enumerate(film.KINDS)]
    strip.frame(3, seen)
    for found, (top, middle, bottom) in zip(seen, strip.axes.T, strict=True):
        np.testing.assert_allclose(top.lines[0].get_ydata() * found.diagnosis.rms, found.g)
        np.testing.assert_array_equal(middle.lines[1].get_ydata(), found.acf)
        np.testing.assert_array_equal(bottom.images[0].get_array(), found.covariance)


def test_nets_of_neighbouring_depths_share_their_first_layers():
    for number, (*_, build) in enumerate(film.KINDS):
        shallow, deep = (build(depth, WIDTH, np.random.default_rng([SEED, number])) for depth in (2, 3))
        name = "0.W"
        np.testing.assert_array_equal(shallow.params[name], deep.params[name])


def test_the_page_asks_no_network(page):
    """No address in it but those of its own pictures, no style or script from elsewhere."""
    text = page.read_text(encoding="utf-8")
    code = re.sub(r"base64,[^\"]*", "", text)
    assert not re.search(r"https?:|//\w|@import|<link|src=\"(?!data:)|url\(|fetch\(|XMLHttp", code)


def test_the_command_writes_the_page(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["explore", "--html", "page.html", "--depth", "2", "--width", "9"]) == 0
    assert capsys.readouterr().out == "page.html: open it in a browser\n"
    assert len(data(tmp_path / "page.html")) == 2 and os.listdir() == ["page.html"]


@pytest.mark.parametrize("options, message", [("--html page.mp4", "must end in .html"), ("--depth 3", "--html only"),
                                              ("--html page.html --depth 0", "deepest must be at least 1")])
def test_an_error_is_one_line(options, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(["explore", *options.split()])
    err = capsys.readouterr().err
    assert stop.value.code == 2 and err.count("\n") == 1 and message in err and os.listdir() == []


# In a browser.

browser = pytest.mark.skipif(not CHROMIUM and os.environ.get("CI") != "true", reason="there is no chromium here")


def chromium(address, folder, *options):
    done = subprocess.run([CHROMIUM, *QUIET, f"--user-data-dir={folder}", *options, address], capture_output=True,
                          text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def shown(page, folder, address="", script=""):
    """What a reader sees: the layers beside the slider, the text, and which picture; after `script` has run."""
    if script:
        changed = page.with_name("changed.html")
        changed.write_text(page.read_text(encoding="utf-8").replace("</html>", f"<script>{script}</script></html>"),
                           encoding="utf-8")
        page = changed
    dom = chromium(f"{page.as_uri()}{address}", folder, "--dump-dom")
    layers, = re.findall(r'<output id="layers">(.*?)</output>', dom)
    text, = re.findall(r'<p id="text">(.*?)</p>', dom)
    picture, = re.findall(r'<img id="picture"[^>]*src="data:image/webp;base64,(.*?)"', dom)
    return layers, text, base64.b64decode(picture)


@browser
def test_it_opens_from_the_disk(page, tmp_path):
    frames = data(page)
    assert shown(page, tmp_path) == ("1 layer", frames[0][1], frames[0][0])
    assert shown(page, tmp_path, "#3") == ("3 layers", frames[2][1], frames[2][0])


@browser
def test_its_slider_moves_the_picture(page, tmp_path):
    """As a hand on the slider does: another value, and the event that says so."""
    move = "slider.value = 4; slider.dispatchEvent(new Event('input'));"
    layers, text, picture = shown(page, tmp_path, script=move)
    assert (layers, text, picture) == ("4 layers", *data(page)[3][::-1])


@browser
def test_its_button_plays_and_stops(page, tmp_path):
    play = "play.click(); setTimeout(() => play.click(), 600);"  # two steps of 250 ms
    assert shown(page, tmp_path, script=play)[0] == "3 layers"


@browser
def test_the_reader_sees_another_picture(page, tmp_path):
    """In pixels: the screens of two depths differ where the picture is."""
    screens = []
    for depth in (1, 4):
        chromium(f"{page.as_uri()}#{depth}", tmp_path, f"--screenshot={tmp_path / f'{depth}.png'}",
                 "--window-size=1100,1000")
        screens.append(image.imread(tmp_path / f"{depth}.png"))
    changed = np.abs(screens[0] - screens[1]).max(axis=2) > 0.2
    assert changed[300:].mean() > 0.01
