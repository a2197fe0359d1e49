"""Training: a loss, two optimisers, augmentation, and `fit`.

Differentiation is elsewhere (the nets' backward rules); here parameters are updated. `fit` works on a copy of
the net, draws everything from one seed, epoch by epoch, and writes a checkpoint after each epoch: a run that
is killed and started again ends with the same weights, bit for bit.
"""

import copy
import functools
import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import arguments
from ..compose import Chain, freeze, leaves
from . import checkpoint as checkpoints
from .schedules import Schedule


def softmax_cross_entropy(logits, labels):
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

    def __init__(self, rate=0.1, momentum=0.9):
        self.rate = arguments.number("rate", rate, low=0.0)
        self.momentum = arguments.number("momentum", momentum, low=0.0, high=1.0)

    def start(self, params):
        """The state before the first step: {name: array}."""
        return {f"v.{name}": np.zeros_like(p) for name, p in params.items()}

    def step(self, params, grads, state, rate, count):
        """Update params and state in place, with the learning rate `rate`."""
        for name, p in params.items():
            v = state[f"v.{name}"]
            v *= self.momentum
            v += grads[name]
            p -= rate * v


class Adam:
    """m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2;  p <- p - rate m' / (sqrt v' + eps), Kingma & Ba 2015.

    m' = m / (1 - b1^t) and v' = v / (1 - b2^t) at the t-th step make up for starting at 0.
    """

    def __init__(self, rate=1e-3, b1=0.9, b2=0.999, eps=1e-8):
        self.rate, self.eps = arguments.number("rate", rate, low=0.0), arguments.number("eps", eps, low=0.0)
        self.b1, self.b2 = (arguments.number(name, b, low=0.0, high=0.9999999) for name, b in (("b1", b1), ("b2", b2)))

    def start(self, params):
        """The state before the first step: {name: array}."""
        return {f"{moment}.{name}": np.zeros_like(p) for name, p in params.items() for moment in "mv"}

    def step(self, params, grads, state, rate, count):
        """Update params and state in place; count is the number of the step, from 1."""
        scale = np.sqrt(1 - self.b2**count) / (1 - self.b1**count)
        for name, p in params.items():
            g, m, v = grads[name], state[f"m.{name}"], state[f"v.{name}"]
            m += (1 - self.b1) * (g - m)
            v += (1 - self.b2) * (g * g - v)
            p -= rate * scale * m / (np.sqrt(v) + self.eps * np.sqrt(1 - self.b2**count))


def shift_and_flip(images, rng, shift=4):
    """The paper's augmentation of images (N, channels, rows, cols), as a new array.

    Each is shifted by up to `shift` pixels in both directions, zeros coming in, and mirrored left to right
    with probability 1/2.
    """
    images, shift = arguments.array("images", images, ndim=4), arguments.integer("shift", shift, least=0)
    rng, (N, channels, rows, cols) = arguments.generator("rng", rng), images.shape
    padded = np.zeros((N, channels, rows + 2 * shift, cols + 2 * shift), images.dtype)
    padded[:, :, shift:shift + rows, shift:shift + cols] = images
    top, left = rng.integers(2 * shift + 1, size=(2, N))
    flip = rng.random(N) < 0.5
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


def fit(net, images, labels, *, epochs, batch=128, optimiser=None, schedule=None, augment=None, seed=0,
        checkpoint=None, watch=None, progress=None):
    """Train a copy of `net` by minibatches on images (n, channels, rows, cols) and labels (n,): a Fitted.

    optimiser: Adam() if None. schedule: one of schedules.py that lasts for all epochs, or None for a constant rate.
    augment: a function of (images, rng) such as shift_and_flip, or None. Epoch e shuffles and augments with
    default_rng([seed, e]). checkpoint: a path, written after each epoch and continued from if it is there.
    watch: a function of the net, to a plain value that is kept after each epoch. progress wraps the epochs.
    Raises DivergenceError when the loss is not finite, CheckpointError on a checkpoint of something else.
    """
    net, optimiser = copy.deepcopy(arguments.layer("net", net)), Adam() if optimiser is None else optimiser
    images, labels = _checked(images, labels)
    epochs, batch = arguments.integer("epochs", epochs), arguments.integer("batch", batch)
    seed = arguments.integer("seed", seed, least=0)
    state = optimiser.start(net.params)
    run = {"losses": [], "rates": [], "watched": [], "steps": 0}
    _rate(optimiser, schedule, epochs * -(-len(images) // batch) - 1, [])  # one that ends too early is refused here
    arrays = {f"p.{name}": array for name, array in net.params.items()} | state
    identity = {"net": repr(net), "images": _digest(images, labels), "batch": batch, "seed": seed,
                "optimiser": repr((type(optimiser).__name__, vars(optimiser))), "schedule": repr(schedule),
                "augment": getattr(augment, "__name__", repr(augment))}
    if checkpoint is not None and Path(checkpoint).exists():
        run |= checkpoints.load(checkpoint, identity, arrays)
    todo = range(len(run["losses"]), epochs)
    for epoch in todo if progress is None else progress(todo):
        rate = functools.partial(_rate, optimiser, schedule, losses=tuple(run["losses"]))
        run["rates"].append(rate(run["steps"]))
        loss, run["steps"] = _epoch(net, images, labels, batch, optimiser, state, rate, augment, (seed, epoch),
                                    run["steps"])
        run["losses"].append(loss)
        if watch is not None:
            run["watched"].append(watch(net))
        if checkpoint is not None:
            checkpoints.save(checkpoint, identity, arrays, run)
    return Fitted(net, run["losses"], run["rates"], run["watched"])


def _rate(optimiser, schedule, step, losses):
    """The learning rate of a step, from 0, after epochs with these losses."""
    if schedule is None:
        return optimiser.rate
    if not isinstance(schedule, Schedule):
        raise TypeError(f"schedule must be one of minishatter.images.schedules, or None, got {schedule!r}")
    return schedule.rate(optimiser.rate, step, losses)


def _epoch(net, images, labels, batch, optimiser, state, rate, augment, seed, steps):
    """One pass over the images, updating net and state in place; returns the mean loss and the steps so far.

    rate: a function of the number of the step.
    """
    rng, total, params = np.random.default_rng(seed), 0.0, net.params
    order = rng.permutation(len(images))
    for start in range(0, len(images), batch):
        chosen = order[start:start + batch]
        x = images[chosen] if augment is None else augment(images[chosen], rng)
        try:
            loss, grads = loss_gradient(net, x, labels[chosen])
        except ValueError:  # a normalisation refuses a variance that overflowed
            if _culprit(net, x) is None:
                raise
            loss = np.nan
        if not np.isfinite(loss):
            raise DivergenceError(f"the loss is {loss} in epoch {seed[1]}, step {start // batch}: {_culprit(net, x)}")
        optimiser.step(params, grads, state, rate(steps), steps + 1)
        steps += 1
        total += loss * len(chosen)
    return total / len(images), steps


def _checked(images, labels):
    images, labels = arguments.array("images", images, ndim=4), np.asarray(labels)
    if labels.shape != images.shape[:1]:
        raise ValueError(f"labels must have shape {images.shape[:1]}, one for each image, got {labels.shape}")
    return images, labels


def _digest(images, labels):
    """A fingerprint of the training data."""
    return hashlib.sha256(np.ascontiguousarray(images).tobytes() + labels.astype(np.int64).tobytes()).hexdigest()


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


def loss_gradient(net, images, labels):
    """The loss of a batch of images (N, channels, rows, cols), and its gradient with respect to every parameter."""
    logits, cache = net.forward(batch_last(images))
    loss, dlogits = softmax_cross_entropy(logits, labels)
    _, grads = net.backward(dlogits, cache)
    return loss, grads


def batch_last(images):
    """Images as they are stored, (N, channels, rows, cols), as layers take them, (channels, rows, cols, N)."""
    return np.ascontiguousarray(np.moveaxis(arguments.array("images", images, ndim=4, finite=False), 0, -1))


def accuracy(net, images, labels, statistics_from, batch=500):
    """The fraction of images classified correctly, with the population statistics of the images `statistics_from`.

    The net is frozen on those (some hundred training images): evaluation does not depend on its batch.
    """
    images, labels = _checked(images, labels)
    frozen = freeze(net, batch_last(arguments.array("statistics_from", statistics_from, ndim=4)))
    right = 0
    for start in range(0, len(images), arguments.integer("batch", batch)):
        logits, _ = frozen.forward(batch_last(images[start:start + batch]))
        right += int(np.sum(logits.argmax(axis=1) == labels[start:start + batch]))
    return right / len(labels)


def cast(net, dtype):
    """A copy of the net with its parameters as float32 or float64."""
    if not np.issubdtype(dtype, np.floating):
        raise ValueError(f"dtype must be a floating type, got {dtype}")
    net = copy.deepcopy(arguments.layer("net", net))
    for _, layer in leaves(net):
        layer.params = {name: array.astype(dtype) for name, array in layer.params.items()}
    return net
