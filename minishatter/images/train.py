"""Training: a loss, two optimisers, augmentation, and `fit`.

Differentiation is elsewhere (the nets' backward rules); here parameters are updated. `fit` works on a copy of
the net, draws everything from one seed, epoch by epoch, and writes a checkpoint after each epoch: a run that
is killed and started again ends with the same weights: bit for bit on the same kind of processor with the same
versions of NumPy and numba and as many threads of BLAS, and to rounding on another.
"""

import copy
import functools
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import arguments
from ..compose import Chain, freeze, leaves
from ..layers import BatchNorm, Center, Grads, Layer
from .checkpoint import CheckpointError, described, load, save
from .schedules import Schedule

Augment = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def softmax_cross_entropy(logits: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    """The mean over the batch of -log softmax(logits)[label], and its gradient (softmax - one-hot) / N.

    logits (N, classes), labels (N,) integers; returns a float and (N, classes).
    """
    logits, labels = arguments.array("logits", logits, ndim=2, finite=False), np.asarray(labels)
    if labels.shape != logits.shape[:1] or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"labels must be integers of shape {logits.shape[:1]}, got {labels.dtype} {labels.shape}")
    if labels.min() < 0 or labels.max() >= logits.shape[1]:
        raise ValueError(f"labels must lie in 0..{logits.shape[1] - 1}, got {labels.min()}..{labels.max()}")
    rows = np.arange(len(labels))
    with np.errstate(invalid="ignore", over="ignore"):  # a diverged net gives a loss of NaN, which `fit` reports
        shifted = logits - logits.max(axis=1, keepdims=True)
        p = np.exp(shifted)
        total = p.sum(axis=1, keepdims=True)
        loss = np.mean(np.log(total[:, 0]) - shifted[rows, labels])
        p = p / total
    p[rows, labels] -= 1
    return float(loss), p / len(labels)


class SGD:
    """Momentum: v <- momentum v + g;  p <- p - rate v."""

    def __init__(self, rate: float = 0.1, momentum: float = 0.9):
        self.rate = arguments.number("rate", rate, low=0.0)
        self.momentum = arguments.number("momentum", momentum, low=0.0, high=1.0)

    def start(self, params: Grads) -> Grads:
        """The state before the first step: {name: array}."""
        return {f"v.{name}": np.zeros_like(p) for name, p in params.items()}

    def step(self, params: Grads, grads: Grads, state: Grads, rate: float, count: int) -> None:
        """Update params and state in place, with the learning rate `rate`."""
        for name, p in params.items():
            v = state[f"v.{name}"]
            v *= self.momentum
            v += grads[name]
            p -= rate * v


class Adam:
    """m <- m + (1 - b1) (g - m);  v <- v + (1 - b2) (g^2 - v);  p <- p - rate r m / (sqrt v + eps s).

    s = sqrt(1 - b2^t) and r = s / (1 - b1^t) at the t-th step make up for starting at 0. With m' = m / (1 - b1^t)
    and v' = v / s^2 the step is rate m' / (sqrt v' + eps), as in Kingma & Ba 2015, multiplied above and below by s.
    eps must not be 0: a dead unit has m = v = 0.
    """

    def __init__(self, rate: float = 1e-3, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8):
        self.rate, self.eps = arguments.number("rate", rate, low=0.0), arguments.number("eps", eps, low=1e-30)
        self.b1, self.b2 = (arguments.number(name, b, low=0.0, high=0.9999999) for name, b in (("b1", b1), ("b2", b2)))

    def start(self, params: Grads) -> Grads:
        """The state before the first step: {name: array}."""
        return {f"{moment}.{name}": np.zeros_like(p) for name, p in params.items() for moment in "mv"}

    def step(self, params: Grads, grads: Grads, state: Grads, rate: float, count: int) -> None:
        """Update params and state in place; count is the number of the step, from 1."""
        s = np.sqrt(1 - self.b2**count)
        r = s / (1 - self.b1**count)
        for name, p in params.items():
            g, m, v = grads[name], state[f"m.{name}"], state[f"v.{name}"]
            m += (1 - self.b1) * (g - m)
            v += (1 - self.b2) * (g * g - v)
            p -= rate * r * m / (np.sqrt(v) + self.eps * s)


def shift_and_flip(images: np.ndarray, rng: np.random.Generator, shift: int = 4) -> np.ndarray:
    """The paper's augmentation of images (N, channels, rows, cols), as a new array.

    Each is shifted by up to `shift` pixels in both directions, zeros coming in, and mirrored left to right
    with probability 1/2.
    """
    images, shift = arguments.array("images", images, ndim=4), arguments.integer("shift", shift, least=0)
    rng, (N, channels, rows, cols) = arguments.generator("rng", rng), images.shape
    padded = np.zeros((N, channels, rows + 2 * shift, cols + 2 * shift), images.dtype)
    padded[:, :, shift:shift + rows, shift:shift + cols] = images
    top, left = rng.integers(2 * shift + 1, size=(2, N))
    flip = rng.random((N,)) < 0.5
    r = top[:, None] + np.arange(rows)
    c = np.where(flip[:, None], np.arange(cols)[::-1], np.arange(cols)) + left[:, None]
    return padded[np.arange(N)[:, None, None], :, r[:, :, None], c[:, None, :]].transpose(0, 3, 1, 2)


class DivergenceError(ArithmeticError):
    """The loss became NaN or infinite; the message names the layer in which it first appeared."""


class Fitted(NamedTuple):
    """What `fit` returns: the trained net, and of each epoch its training loss and the rate with which it began."""

    net: Chain
    losses: list
    rates: list
    watched: list  # what `watch` returned after each epoch


def fit(net: Chain, images: np.ndarray, labels: np.ndarray, *, epochs: int, batch: int = 128,
        optimiser: SGD | Adam | None = None, schedule: Schedule | None = None, augment: Augment | None = None,
        seed: int = 0, checkpoint: str | os.PathLike | None = None, watch: Callable[[Chain], Any] | None = None,
        progress: Callable[[Iterable], Iterable] | None = None) -> Fitted:
    """Train a copy of `net` by minibatches on images (n, channels, rows, cols) and labels (n,): a Fitted.

    optimiser: Adam() if None. schedule: one of schedules.py that lasts for all epochs, or None for a constant rate.
    augment: a function of (images, rng) such as shift_and_flip, or None. Epoch e shuffles and augments with
    default_rng([seed, e]). checkpoint: a path, written after each epoch and continued from if it is of this run.
    watch: a function of the net, to a plain value that is kept after each epoch. progress wraps the epochs.
    Raises DivergenceError when the loss is not finite, CheckpointError on a checkpoint of something else.
    """
    net, optimiser = copy.deepcopy(arguments.layer("net", net)), Adam() if optimiser is None else optimiser
    images, labels = _checked(images, labels)
    epochs, batch = arguments.integer("epochs", epochs), arguments.integer("batch", batch)
    seed, steps = arguments.integer("seed", seed, least=0), -(-len(images) // batch)  # steps in an epoch
    _check_last_batch(net, len(images), batch)
    _rate(optimiser, schedule, epochs * steps - 1, [])  # one that ends too early is refused here
    params, state = net.params, optimiser.start(net.params)
    run: dict[str, list] = {"losses": [], "rates": [], "watched": []}
    arrays = {f"p.{name}": array for name, array in params.items()} | state
    if checkpoint is not None:
        shapes = {"net": net, "images": images, "labels": labels, "batch": batch, "seed": seed, "optimiser": optimiser,
                  "schedule": schedule, "augment": augment}
        identity = {name: described(name, value) for name, value in shapes.items()}
        run |= _finished(checkpoint, identity, arrays, epochs)
    todo = range(len(run["losses"]), epochs)
    for epoch in todo if progress is None else progress(todo):
        rate = functools.partial(_rate, optimiser, schedule, losses=tuple(run["losses"]))
        run["rates"].append(rate(epoch * steps))
        total = 0.0
        for step, (x, y) in enumerate(_batches(images, labels, batch, augment, np.random.default_rng((seed, epoch)))):
            loss, grads = _finite_loss_gradient(net, x, y, f"epoch {epoch}, step {step}")
            count = epoch * steps + step
            optimiser.step(params, grads, state, rate(count), count + 1)
            total += loss * len(x)
        run["losses"].append(total / len(images))
        if watch is not None:
            run["watched"].append(watch(net))
        if checkpoint is not None:
            save(checkpoint, identity, arrays, run)
    return Fitted(net, run["losses"], run["rates"], run["watched"])


def _finished(path, identity, arrays, epochs):
    """What a checkpoint knows of the epochs that are finished; the arrays are filled from it. {} if there is none."""
    if not Path(path).exists():
        return {}
    run = load(path, identity, arrays)
    if len(run["losses"]) > epochs:
        raise CheckpointError(f"{path} holds {len(run['losses'])} epochs, more than the {epochs} that are "
                                          "asked for; take another path or delete it")
    return run


def _check_last_batch(net, images, batch):
    """One image alone has no batch statistics: behind them is nothing to learn from."""
    if images % batch == 1 and any(isinstance(getattr(layer, "layer", layer), (BatchNorm, Center))
                                   for _, layer in leaves(net)):
        raise ValueError(f"batch must not leave one image alone in front of a batch normalisation: {images} images in "
                         f"batches of {batch} do; take another size")


def _rate(optimiser, schedule, step, losses):
    """The learning rate of a step, from 0, after epochs with these losses."""
    if schedule is None:
        return optimiser.rate
    if not isinstance(schedule, Schedule):
        raise TypeError(f"schedule must be one of minishatter.images.schedules, or None, got {schedule!r}")
    return schedule.rate(optimiser.rate, step, losses)


def _batches(images, labels, batch, augment, rng):
    """The minibatches of one epoch: all images once, in an order drawn from rng, which augments too."""
    order = rng.permutation(len(images))
    for start in range(0, len(images), batch):
        chosen = order[start:start + batch]
        yield images[chosen] if augment is None else augment(images[chosen], rng), labels[chosen]


def _finite_loss_gradient(net, images, labels, where):
    """loss_gradient; raises DivergenceError if the loss is not finite."""
    try:
        loss, grads = loss_gradient(net, images, labels)
    except ValueError:  # a normalisation refuses a variance that overflowed
        if _culprit(net, images) is None:
            raise
        loss, grads = np.nan, {}
    if not np.isfinite(loss):
        raise DivergenceError(f"the loss is {loss} in {where}: {_culprit(net, images)}")
    return loss, grads


def _checked(images, labels):
    images, labels = arguments.array("images", images, ndim=4), np.asarray(labels)
    if labels.shape != images.shape[:1]:
        raise ValueError(f"labels must have shape {images.shape[:1]}, one for each image, got {labels.shape}")
    return images, labels


def _culprit(net, images):
    """Where a pass over the images first meets something that is not finite; None if nowhere."""
    x = batch_last(images)
    for name, layer in leaves(net):
        for key, array in layer.params.items():
            if not np.isfinite(array).all():
                return f"parameter {key} of layer {name} {layer!r} is not finite"
    for place, layer in enumerate(net.layers):
        shown = " ".join(repr(layer).split())
        try:
            with np.errstate(all="ignore"):
                x, _ = layer.forward(x)
        except ValueError as error:
            return f"layer {place} {shown} refuses its input, {error}" if np.abs(x).max() > 1e15 else None
        if not np.isfinite(x).all():
            return f"first not finite behind layer {place} {shown}"
    return None


def loss_gradient(net: Layer, images: np.ndarray, labels: np.ndarray) -> tuple[float, Grads]:
    """The loss of a batch of images (N, channels, rows, cols), and its gradient with respect to every parameter."""
    logits, cache = net.forward(batch_last(images))
    loss, dlogits = softmax_cross_entropy(logits, labels)
    _, grads = net.backward(dlogits, cache)
    return loss, grads


def batch_last(images: np.ndarray) -> np.ndarray:
    """Images as they are stored, (N, channels, rows, cols), as layers take them, (channels, rows, cols, N)."""
    return np.ascontiguousarray(np.moveaxis(arguments.array("images", images, ndim=4, finite=False), 0, -1))


def accuracy(net: Layer, images: np.ndarray, labels: np.ndarray, statistics_from: np.ndarray,
             batch: int = 500) -> float:
    """The fraction of images classified correctly, with the batch statistics of the images `statistics_from`.

    The net is frozen on those, all at once (some hundred training images): the result does not depend on `batch`.
    """
    images, labels = _checked(images, labels)
    frozen = freeze(net, batch_last(arguments.array("statistics_from", statistics_from, ndim=4)))
    right = 0
    for start in range(0, len(images), arguments.integer("batch", batch)):
        logits, _ = frozen.forward(batch_last(images[start:start + batch]))
        right += int(np.sum(logits.argmax(axis=1) == labels[start:start + batch]))
    return right / len(labels)


def cast(net: Layer, dtype: type) -> Any:
    """A copy of the net with its parameters as float32 or float64."""
    if not np.issubdtype(dtype, np.floating):
        raise ValueError(f"dtype must be a floating type, got {dtype}")
    net = copy.deepcopy(arguments.layer("net", net))
    for _, layer in leaves(net):
        layer.params = {name: array.astype(dtype) for name, array in layer.params.items()}
    return net
