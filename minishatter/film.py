"""A film of depth: one page of HTML that plays four kinds of net, side by side, from 1 layer to 50.

The page holds everything, pictures and script: it opens from the disk and asks no network for anything. Each
picture shows, for one depth, f'(x) in units of its root mean square (RMS), its autocorrelation, and its covariance of
rank one (figures 1 and 2 of the paper). The nets of one kind share their seed, so that those of neighbouring
depths have the same first layers.
"""

import base64
import html
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from . import arguments, files, gradients, nets, plot
from .look import LAGS, POINTS, Look, look

# What is played: the title, its colour in plot.COLOUR, and the builder of depth L.
KINDS: tuple[tuple[str, str, Callable], ...] = (
    ("feedforward, BN", "feedforward", lambda L, width, rng: nets.feedforward(L, width, norm="batch", rng=rng)),
    ("resnet, BN, beta = 1", "resnet", lambda L, width, rng: nets.resnet(L, width, beta=1.0, rng=rng)),
    ("resnet, BN, beta = 0.1", "resnet 0.1", lambda L, width, rng: nets.resnet(L, width, beta=0.1, rng=rng)),
    ("highway, gamma2² = 1/L", "highway", lambda L, width, rng: nets.highway(L, width, gamma2=L**-0.5, rng=rng)),
)
SPAN = 4.0  # of f' / RMS that is shown


class Frame(NamedTuple):
    """One picture of the film."""

    image: bytes  # WebP
    text: str     # what it shows, as words and numbers


def frames(deepest: int = 50, width: int = 200, seed: int = 0) -> Iterator[Frame]:
    """The frames for depth 1, 2, ..., deepest, one at a time; nets of `width` units, drawn from `seed`."""
    x, strip = gradients.grid(POINTS), _Strip()
    deepest, width = arguments.integer("deepest", deepest), arguments.integer("width", width)
    seed = arguments.integer("seed", seed, least=0)
    for depth in range(1, deepest + 1):
        yield strip.frame(depth, [look(build(depth, width, np.random.default_rng([seed, number])), x)
                                  for number, (_, _, build) in enumerate(KINDS)])


class _Strip:
    """The figure of all frames: only the data of its lines and images change."""

    def __init__(self) -> None:
        self.fig, axes = plot.panels(3, len(KINDS), (10.4, 6.6), height_ratios=[1, 1, 1.5])
        x = gradients.grid(POINTS)
        for (title, name, _), top, middle, bottom in zip(KINDS, *axes):
            plot.gradient(top, x, np.zeros(POINTS), plot.COLOUR[name])
            top.set(ylim=(-SPAN, SPAN), xlabel="x")
            middle.axhline(0.0, color=plot.COLOUR["theory"], linewidth=0.6)
            middle.plot(np.arange(LAGS + 1), np.zeros(LAGS + 1), color=plot.COLOUR[name])
            middle.set(xlim=(0, LAGS), ylim=(-0.7, 1), xlabel="lag")
            plot.matrix(bottom, np.zeros((POINTS, POINTS)), high=4)
            top.set_title(f"{title}\n")
        for ax, label in zip(axes[:, 0], ("f'(x) / RMS", "autocorrelation", "covariance of one net")):
            ax.set_ylabel(label)
        self.fig.canvas.draw()
        self.fig.set_layout_engine("none")  # the panels stay where they are now, in all frames
        self.axes = axes

    def frame(self, depth: int, seen: list[Look]) -> Frame:
        """The picture of what was seen of each kind of net at one depth."""
        lag_1 = []
        for (title, _, _), found, (top, middle, bottom) in zip(KINDS, seen, self.axes.T):
            rms = found.diagnosis.rms
            top.set_title(f"{title}\nRMS {rms:.3g}, {found.diagnosis.condition}")
            top.lines[0].set_ydata(found.g / (rms or 1.0))
            middle.lines[1].set_ydata(found.acf)
            bottom.images[0].set_data(found.covariance)
            lag_1.append(f"{title}: {found.acf[1]:.2f}")
        image = io.BytesIO()
        options: Any = {"quality": 80}
        self.fig.savefig(image, format="webp", dpi=100, pil_kwargs=options)
        return Frame(image.getvalue(), f"{depth} layers. Autocorrelation at lag 1: {'; '.join(lag_1)}.")


def write(path: str | Path, deepest: int = 50, width: int = 200, seed: int = 0,
          progress: Callable | None = None) -> None:
    """Write the page, whole or not at all, to `path`, which must end in .html. progress wraps the list of depths."""
    if Path(path).suffix.lower() != ".html":
        raise ValueError(f"path must end in .html, got {str(path)!r}")
    depths = range(arguments.integer("deepest", deepest))
    film = frames(deepest, width, seed)
    shown = [next(film) for _ in (depths if progress is None else progress(depths))]
    files.write(path, page(shown).encode("utf-8"))


def page(shown: list[Frame]) -> str:
    """The text of the page that plays these frames."""
    if not shown or not all(isinstance(frame, Frame) for frame in shown):
        raise TypeError(f"shown must be a list of at least one Frame, got {shown!r:.80}")
    data = [{"src": f"data:image/webp;base64,{base64.b64encode(frame.image).decode('ascii')}",
             "text": html.escape(frame.text)} for frame in shown]
    return PAGE.replace("LAST", str(len(shown))).replace("FRAMES", json.dumps(data))


PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Gradients shatter with depth</title>
<style>
body { font-family: sans-serif; max-width: 1060px; margin: 1em auto; padding: 0 1em }
img { width: 100% }
input { width: 60%; vertical-align: middle }
</style>
<h1>Gradients shatter with depth</h1>
<p>Four kinds of net at initialisation. The input x moves along a line; the gradient f'(x) is what a small step of x
changes. Where the gradients of neighbouring inputs have nothing to do with each other, it has shattered: the
autocorrelation falls to 0 within one step. (Balduzzi et al., <i>The Shattered Gradients Problem</i>, 2017.)</p>
<p><button id="play">Play</button>
<input id="depth" type="range" min="1" max="LAST" value="1" aria-label="depth">
<output id="layers"></output></p>
<img id="picture" alt="">
<p id="text"></p>
<script>
"use strict";
const frames = FRAMES;
const [slider, picture, text, layers, play] =
  ["depth", "picture", "text", "layers", "play"].map(name => document.getElementById(name));
let timer = null;
function show() {
  const frame = frames[slider.value - 1];
  picture.src = frame.src;
  text.innerHTML = picture.alt = frame.text;
  layers.textContent = slider.value + (slider.value === "1" ? " layer" : " layers");
}
function stop() {
  clearInterval(timer);
  timer = null;
  play.textContent = "Play";
}
function step() {
  slider.value = slider.value === slider.max ? 1 : Number(slider.value) + 1;
  show();
}
play.onclick = () => {
  if (timer !== null) { stop(); return; }
  timer = setInterval(step, 250);
  play.textContent = "Stop";
};
slider.oninput = () => { stop(); show(); };
slider.value = Number(location.hash.slice(1)) || 1;  // page.html#30 opens at 30 layers
show();
</script>
</html>
"""
