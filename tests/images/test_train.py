"""Training: each formula by a second route, determinism, checkpoints that survive being killed, and divergence."""

import functools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from minishatter.compose import Chain
from minishatter.images import checkpoint, convnets, schedules, train
from minishatter.images.checkpoint import CheckpointError
from minishatter.images.conv import BatchNorm2d, Conv2d, Flatten
from minishatter.init import mirrored_parts
from minishatter.layers import Dense, ReLU

ROOT = Path(__file__).resolve().parents[2]


def rng(seed=0):
    return np.random.default_rng(seed)


def data(n=24, seed=1):
    """Small images whose label is the brightest channel: easy, so that a loss can fall."""
    labels = rng(seed).integers(3, size=n)
    images = rng(seed + 1).standard_normal((n, 3, 5, 7))
    images[np.arange(n), labels] += 1.5
    return images, labels


def small_net(seed=0, filters=4):
    draws = rng(seed)
    return Chain(Conv2d(0.3 * draws.standard_normal((filters, 3, 3, 3))), BatchNorm2d(filters), ReLU(), Flatten(),
                 Dense(0.1 * draws.standard_normal((filters * 35, 3))))


def same(net, other):
    return all(np.array_equal(net.params[name], other.params[name]) for name in net.params)


# The loss.


def test_the_loss_is_its_definition_and_its_gradient_a_difference():
    logits, labels = 3 * rng().standard_normal((5, 4)), np.array([0, 3, 1, 1, 2])
    loss, gradient = train.softmax_cross_entropy(logits, labels)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert loss == pytest.approx(-np.mean(np.log(p[np.arange(5), labels])), rel=1e-12)
    direction, h = rng(1).standard_normal(logits.shape), 1e-6
    slope = (train.softmax_cross_entropy(logits + h * direction, labels)[0]
             - train.softmax_cross_entropy(logits - h * direction, labels)[0]) / (2 * h)
    assert np.vdot(gradient, direction) == pytest.approx(slope, rel=1e-6)


def test_large_logits_do_not_overflow():
    loss, gradient = train.softmax_cross_entropy(np.array([[1e4, 0.0]]), np.array([1]))
    assert loss == pytest.approx(1e4) and np.isfinite(gradient).all()


# The optimisers.


def test_adam_is_its_definition():
    """Three steps against the paper's unrearranged formulas."""
    optimiser, params = train.Adam(rate=0.1, b1=0.8, b2=0.95, eps=1e-3), {"W": np.array([1.0, -2.0])}
    state, p, m, v = optimiser.start(params), np.array([1.0, -2.0]), 0.0, 0.0
    for t in (1, 2, 3):
        g = np.array([0.3, -0.1]) * t
        optimiser.step(params, {"W": g}, state, 0.1, t)
        m, v = 0.8 * m + 0.2 * g, 0.95 * v + 0.05 * g**2
        p = p - 0.1 * (m / (1 - 0.8**t)) / (np.sqrt(v / (1 - 0.95**t)) + 1e-3)
    np.testing.assert_allclose(params["W"], p, rtol=1e-12)


def test_momentum_is_its_definition():
    optimiser, params = train.SGD(momentum=0.5), {"W": np.array([1.0])}
    state = optimiser.start(params)
    for t in (1, 2):
        optimiser.step(params, {"W": np.array([1.0])}, state, 0.1, t)
    assert params["W"] == pytest.approx(1.0 - 0.1 * 1.0 - 0.1 * 1.5)


# The schedules.


def test_plateau_drops_when_the_loss_has_stopped_falling():
    schedule = schedules.Plateau(window=2, threshold=0.1, patience=3, factor=10)
    assert schedule.drops([5.0, 4.0, 3.0, 2.0, 1.0, 0.0]) == 0  # falls by 1 per epoch
    assert [schedule.drops([1.0] * epochs) for epochs in (4, 5, 7, 8)] == [0, 1, 1, 2]
    assert schedule.drops([1, 1, 1, 1, 0, -1, -1, -1]) == 0     # never three times in a row
    assert [schedule.rate(0.5, 99, [1.0] * epochs) for epochs in (4, 5, 8)] == [0.5, 0.05, 0.005]


def test_cosine_warms_up_and_falls_to_zero():
    """Two steps of warm-up and six of the cosine, at angles of 0, 30, ... 150 degrees."""
    schedule, root = schedules.Cosine(steps=8, warmup=2), 3**0.5
    cosines = [1, root / 2, 1 / 2, 0, -1 / 2, -root / 2]
    expected = [0.04, 0.08] + [0.08 * (1 + c) / 2 for c in cosines]
    np.testing.assert_allclose([schedule.rate(0.08, step, []) for step in range(8)], expected, rtol=1e-12)
    assert [schedules.Cosine(4, 0).rate(1.0, step, []) for step in (0, 2)] == [1.0, pytest.approx(0.5)]


@pytest.mark.parametrize("schedule, expected", [
    (schedules.Plateau(1, 1e9, 2), [0.08, 0.08, 0.08, 0.008, 0.008, 0.0008]),
    (schedules.Cosine(18, 6), [0.08 / 6, 0.08 * 4 / 6, 0.08, 0.04 * (1 + 2**-0.5), 0.04, 0.04 * (1 - 2**-0.5)])])
def test_fit_takes_the_rates_of_its_schedule(schedule, expected):
    """24 images in batches of 8: three steps an epoch. By hand the same weights as with `fit`."""
    (images, labels), sgd = data(), train.SGD(0.08)
    fitted = train.fit(small_net(), images, labels, epochs=6, batch=8, optimiser=sgd, schedule=schedule, seed=5)
    np.testing.assert_allclose(fitted.rates, expected, rtol=1e-12)
    net = train.cast(small_net(), np.float64)
    state = sgd.start(net.params)
    for step in range(18):
        chosen = rng([5, step // 3]).permutation(24)[step % 3 * 8:step % 3 * 8 + 8]
        grads = train.loss_gradient(net, images[chosen], labels[chosen])[1]
        sgd.step(net.params, grads, state, schedule.rate(0.08, step, fitted.losses[:step // 3]), step + 1)
    assert same(fitted.net, net)


# Augmentation.


def test_shift_and_flip_moves_whole_images():
    """Each result is one of the 2 x 9 x 9 shifts and reflections of its image, and nearly all occur."""
    image = rng().standard_normal((1, 2, 6, 7))
    padded = np.pad(image[0], ((0, 0), (4, 4), (4, 4)))
    possible = {padded[:, r:r + 6, c:c + 7][:, :, ::flip].tobytes(): (r, c, flip)
                for r in range(9) for c in range(9) for flip in (1, -1)}
    before = image.copy()
    results = train.shift_and_flip(np.repeat(image, 3000, axis=0), rng(1))
    seen = {possible[np.ascontiguousarray(result).tobytes()] for result in results}  # KeyError if it is none of them
    assert len(seen) > 150 and np.array_equal(image, before)


# Fitting.


def test_training_learns_and_leaves_the_net_alone():
    net = small_net()
    before = {name: array.copy() for name, array in net.params.items()}
    fitted = train.fit(net, *data(), epochs=15, batch=8, optimiser=train.Adam(0.01))
    assert fitted.losses[-1] < 0.3 * fitted.losses[0]
    assert all(np.array_equal(net.params[name], before[name]) for name in before)
    images, labels = data(60, seed=7)
    assert train.accuracy(fitted.net, images, labels, data()[0]) > 0.7


def test_training_is_a_function_of_its_seed():
    runs = [train.fit(small_net(), *data(), epochs=2, batch=8, seed=seed, augment=train.shift_and_flip).net
            for seed in (3, 3, 4)]
    assert same(runs[0], runs[1]) and not same(runs[0], runs[2])


def test_fitting_is_the_loop_written_out():
    """Three epochs of two steps by hand: the same batches, and Adam's count runs through all six steps."""
    (images, labels), adam, count = data(16), train.Adam(0.01), 0
    net = train.cast(small_net(), np.float64)
    state = adam.start(net.params)
    for epoch in range(3):
        order = rng([5, epoch]).permutation(16)
        for chosen in (order[:8], order[8:]):
            count += 1
            adam.step(net.params, train.loss_gradient(net, images[chosen], labels[chosen])[1], state, 0.01, count)
    assert same(train.fit(small_net(), images, labels, epochs=3, batch=8, optimiser=adam, seed=5).net, net)


def test_accuracy_does_not_depend_on_the_batch():
    net, (images, labels) = small_net(), data(30)
    accuracies = {train.accuracy(net, images, labels, images[:10], batch) for batch in (1, 7, 30)}
    assert len(accuracies) == 1


def test_loss_gradient_is_the_slope_of_the_loss():
    net, (images, labels) = small_net(), data()
    loss, grads = train.loss_gradient(net, images, labels)
    name, h = "0.W", 1e-6
    direction = rng(5).standard_normal(grads[name].shape)
    slopes = []
    for sign in (1, -1):
        other = train.cast(net, np.float64)
        other.params[name][...] += sign * h * direction
        slopes.append(train.loss_gradient(other, images, labels)[0])
    assert np.vdot(grads[name], direction) == pytest.approx((slopes[0] - slopes[1]) / (2 * h), rel=1e-5)


def test_cast_makes_a_copy_in_the_precision():
    net = convnets.convresnet(14, 2, rng=rng())
    single = train.cast(net, np.float32)
    assert {p.dtype for p in single.params.values()} == {np.dtype(np.float32)}
    assert {p.dtype for p in net.params.values()} == {np.dtype(np.float64)}


# Divergence.


def test_divergence_names_the_layer():
    net = small_net()
    net.layers[0].params["W"][:] *= 1e200
    net = Chain(net.layers[0], ReLU(), Conv2d(1e200 * np.ones((4, 4, 3, 3))), *net.layers[3:])
    where = r"epoch 0, step 0.*layer 2 Conv2d\(4, 4"
    with np.errstate(all="ignore"), pytest.raises(train.DivergenceError, match=where):
        train.fit(net, *data(), epochs=1)


def test_a_normalisation_that_overflows_is_named():
    with np.errstate(all="ignore"), pytest.raises(train.DivergenceError, match=r"layer 1 BatchNorm2d\(4\)"):
        train.fit(small_net(), *data(), epochs=9, optimiser=train.SGD(1e300))


def test_a_parameter_that_is_not_finite_is_named():
    net = Chain(*(layer for layer in small_net().layers if not isinstance(layer, BatchNorm2d)))
    net.layers[-1].params["b"][1] = np.nan
    with pytest.raises(train.DivergenceError, match=r"parameter b of layer 3 Dense"):
        train.fit(net, *data(), epochs=1)


# Looks-linear nets in training.


def steps_without_biases(net, x, slope, steps=20):
    """Adam steps on all weights but the biases, whose gradient is kept from them: slope(y) = d loss / d y."""
    adam, weights = train.Adam(1e-3), {name: p for name, p in net.params.items() if name.endswith("W")}
    state = adam.start(weights)
    for count in range(1, steps + 1):
        y, cache = net.forward(x)
        adam.step(weights, net.backward(slope(y), cache)[1], state, 1e-3, count)


@pytest.mark.parametrize("closed", [True, False], ids=["closed under negation", "not closed"])
def test_a_looks_linear_net_without_biases_stays_linear_on_a_batch_closed_under_negation(closed):
    """Odd targets then give x and -x opposite gradients dy, and a pair of mirrored weights opposite gradients:
    dW+ = dy relu(x)^T - dy relu(-x)^T = -dW-. Delta, half their sum, stays 0 to rounding; otherwise it does not."""
    net = convnets.convnet(14, 2, activation="crelu", init="looks_linear", rng=rng())
    x, targets = rng(1).standard_normal((3, 32, 32, 4)), rng(2).standard_normal((4, 10))
    if closed:
        x, targets = np.concatenate([x, -x], axis=-1), np.concatenate([targets, -targets])
    start = {name: p.copy() for name, p in net.params.items()}
    steps_without_biases(net, x, lambda y: (y - targets) / len(y))
    for place, layer in list(enumerate(net.layers))[1:]:
        if "W" in layer.params:
            W, axis = layer.params["W"], 1 if layer.params["W"].ndim == 4 else 0
            S, Delta = mirrored_parts(W, axis)
            assert np.abs(W - start[f"{place}.W"]).max() > 5e-3  # it has moved
            assert (np.abs(Delta).max() < 1e-10) == closed


# Checkpoints.

SETTINGS = dict(batch=8, seed=3, augment=train.shift_and_flip)


SCHEDULES = pytest.mark.parametrize("schedule", [
    None, schedules.Plateau(1, 1e9, 2), schedules.Cosine(450, 5)],
    ids=["constant", "plateau", "cosine"])  # a warm-up of five steps, in the second epoch


@SCHEDULES
def test_a_run_continued_is_the_run_undisturbed(schedule, tmp_path):
    path = tmp_path / "run.npz"
    settings = dict(SETTINGS, schedule=schedule, watch=lambda net: float(net.params["0.W"][0, 0, 0, 0]))
    for epochs in (1, 3, 5):  # the first stop is in the middle of the warm-up
        continued = train.fit(small_net(), *data(), epochs=epochs, checkpoint=path, **settings)
    undisturbed = train.fit(small_net(), *data(), epochs=5, **settings)
    assert same(continued.net, undisturbed.net) and continued[1:] == undisturbed[1:]
    assert continued.watched[-1] == continued.net.params["0.W"][0, 0, 0, 0] and len(set(continued.watched)) == 5


def other_weights():
    """The net of the run, but for the last digit of one weight."""
    net = small_net()
    W = net.params["0.W"]
    W.flat[0] = np.nextafter(W.flat[0], 9)
    return net


def other_eps():
    net = small_net()
    next(layer for layer in net.layers if hasattr(layer, "layer")).layer.eps = 0.01
    return net


@pytest.mark.parametrize("change, message", [
    (dict(seed=4), "its seed is 3"), (dict(batch=9), "its batch is 8"), (dict(augment=None), "its augment"),
    (dict(optimiser=train.SGD()), "its optimiser"), (dict(schedule=schedules.Plateau()), "its schedule"),
    (dict(net=small_net(filters=5)), "its net"), (dict(images=data(24, 9)[0]), "its images"),
    (dict(labels=(data()[1] + 1) % 10), "its labels"),
    (dict(net=other_weights()), r"its net\._children\[0\]\.params\.W\.sha256"),
    (dict(net=other_eps()), r"its net.*\.eps is 1e-05, here it is 0\.01"),
    (dict(augment=functools.partial(train.shift_and_flip, shift=2)), "its augment"),
    (dict(optimiser=train.Adam(b1=0.8)), r"its optimiser\.b1 is 0\.9, here it is 0\.8")])
def test_a_checkpoint_of_another_run_is_refused(change, message, tmp_path):
    path = tmp_path / "run.npz"
    train.fit(small_net(), *data(), epochs=1, checkpoint=path, **SETTINGS)
    written = path.read_bytes()
    settings = dict(net=small_net(), images=data()[0], labels=data()[1], epochs=2) | SETTINGS | change
    with pytest.raises(CheckpointError, match=message):
        train.fit(**settings, checkpoint=path)
    assert path.read_bytes() == written


def test_fewer_epochs_than_there_are_is_refused(tmp_path):
    path = tmp_path / "run.npz"
    train.fit(small_net(), *data(), epochs=3, checkpoint=path, **SETTINGS)
    with pytest.raises(CheckpointError, match="holds 3 epochs, more than the 2"):
        train.fit(small_net(), *data(), epochs=2, checkpoint=path, **SETTINGS)


PARTIAL = """
import functools, sys
import numpy as np
from minishatter.images import train
from tests.images.test_train import data, small_net

augment = functools.partial(train.shift_and_flip, shift=2)
fitted = train.fit(small_net(), *data(), epochs=int(sys.argv[2]), batch=8, seed=3, augment=augment,
                   checkpoint=sys.argv[1])
print(len(fitted.losses))
"""


def test_another_process_goes_on_with_a_partial(tmp_path):
    """A partial's repr holds an address; its function and arguments are what counts."""
    for epochs in ("1", "2"):
        done = subprocess.run([sys.executable, "-c", PARTIAL, tmp_path / "run.npz", epochs], cwd=ROOT,
                              capture_output=True, text=True, timeout=120)
        assert (done.stdout, done.returncode) == (f"{epochs}\n", 0), done.stderr


@pytest.mark.parametrize("augment", [lambda images, rng: images, functools.partial(lambda images, rng: images)])
def test_what_nobody_could_recognise_is_refused_when_the_run_begins(augment, tmp_path):
    path = tmp_path / "run.npz"
    with pytest.raises(TypeError, match="augment must be known by name"):
        train.fit(small_net(), *data(), epochs=1, checkpoint=path, **SETTINGS | {"augment": augment})
    assert not path.exists()
    train.fit(small_net(), *data(), epochs=1, **SETTINGS | {"augment": augment})  # without a checkpoint it may be


def test_a_last_batch_of_one_image_is_refused():
    with pytest.raises(ValueError, match="batch must not leave one image alone.*25 images in batches of 8"):
        train.fit(small_net(), *data(25), epochs=1, batch=8)


def test_a_dead_unit_leaves_adam_finite():
    params, adam = {"W": np.zeros(3)}, train.Adam(1.0, eps=1e-8)
    adam.step(params, {"W": np.zeros(3)}, adam.start(params), 1.0, 1)
    np.testing.assert_array_equal(params["W"], 0.0)
    with pytest.raises(ValueError, match="eps"):
        train.Adam(eps=0.0)


def test_a_checkpoint_of_another_version_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "run.npz"
    monkeypatch.setattr(checkpoint, "VERSION", 7)
    train.fit(small_net(), *data(), epochs=1, checkpoint=path, **SETTINGS)
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="version 7"):
        train.fit(small_net(), *data(), epochs=2, checkpoint=path, **SETTINGS)
    with pytest.raises(CheckpointError, match="version 7"):
        checkpoint.progress(path)


def test_a_damaged_checkpoint_is_refused(tmp_path):
    """Cut at any length or with any bit turned it is refused, or, where the byte means nothing, continued right."""
    path = tmp_path / "run.npz"
    arrays = {"p.W": rng().standard_normal((3, 4)), "m.W": np.zeros(3)}
    checkpoint.save(path, {"net": "n"}, arrays, {"steps": 5})
    whole, draws, refused = path.read_bytes(), rng(1), 0
    for trial in range(300):
        bad = bytearray(whole)
        if trial % 3 == 0:
            bad = bad[:draws.integers(len(bad))]
        else:
            bad[draws.integers(len(bad))] ^= 1 << draws.integers(8)
        path.write_bytes(bytes(bad))
        filled = {name: np.full_like(array, 7.0) for name, array in arrays.items()}
        try:
            checkpoint.load(path, {"net": "n"}, filled)
        except CheckpointError as error:
            refused += 1
            assert str(path) in str(error)
            assert all((array == 7.0).all() for array in filled.values())
        else:
            assert all(np.array_equal(filled[name], arrays[name]) for name in arrays)
    assert refused > 200  # all that are cut, and most of the turned bits


CHILD = """
import sys, time
from tests.images.test_train import SETTINGS, data, small_net
from minishatter.images import train
from minishatter.images.schedules import Cosine, Plateau

def say(epochs):
    for epoch in epochs:
        print(epoch, flush=True)  # all epochs before this one are saved
        time.sleep(0.01)          # so that 20 runs of at most 0.06 s cannot end it
        yield epoch

train.fit(small_net(), *data(16), epochs={epochs}, checkpoint=sys.argv[1], progress=say,
          schedule={schedule!r}, **SETTINGS)
print("done", flush=True)
"""


@SCHEDULES
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_run_killed_at_random_moments_ends_as_if_undisturbed(schedule, tmp_path):
    """SIGKILL 20 times: never a half-written checkpoint, never more than an epoch lost, the same weights in the end."""
    path, epochs, kills, draws = tmp_path / "run.npz", 150, 0, rng(9)
    command = [sys.executable, "-c", CHILD.format(epochs=epochs, schedule=schedule), str(path)]
    finished = 0
    while True:
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            first = process.stdout.readline()  # it is at work
            if kills < 20:
                time.sleep(draws.uniform(0, 0.06))
                process.send_signal(signal.SIGKILL)
                kills += 1
            said = [first, *process.stdout.readlines()]
        done = saved_epochs(path)
        announced = [int(line) for line in said if line.strip().isdigit()]
        assert done >= max([finished, *announced])  # whatever it said was saved is there
        finished = done
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL
    undisturbed = tmp_path / "undisturbed.npz"
    subprocess.run([*command[:-1], str(undisturbed)], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    assert kills == 20 and path.read_bytes() == undisturbed.read_bytes()


def saved_epochs(path):
    """The number of epochs in a checkpoint, which must be whole; 0 if there is none."""
    if not path.exists():
        return 0
    with np.load(path, allow_pickle=False) as archive:
        return len(json.loads(archive["meta"].tobytes().decode())["progress"]["losses"])
