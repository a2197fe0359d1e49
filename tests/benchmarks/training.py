"""How fast is a training step? Run as `python -m tests.benchmarks.training`; prints tables, asserts nothing.

One Adam step on a batch of 128 images, float32, of thin convnets: with batch normalisation and ReLU, and looks-linear
(CReLU, no normalisation). Beside PyTorch's CPU build if it is installed (both memory formats; it is no dependency).
Every contestant runs in a process of its own, so that its peak memory is its own and no thread pool disturbs
another; they take turns, and medians count.
"""

import json
import resource
import subprocess
import sys
import time

import numpy as np

BATCH, DEPTHS, TURNS = 128, (38, 198), 3
STEPS = {38: 9, 198: 4}
CONTESTANTS = ("minishatter", "PyTorch", "PyTorch, channels last")
LAYERS = ((8, 32), (16, 16), (32, 8), (64, 4))  # channels, and rows = cols, of the four stages


def data():
    rng = np.random.default_rng(0)
    return rng.standard_normal((BATCH, 3, 32, 32)).astype(np.float32), rng.integers(10, size=BATCH)


NETS = {"ReLU + BN": dict(norm="batch"), "LL": dict(activation="crelu", init="looks_linear")}


def our_step(kind, depth):
    """A function that makes one step."""
    from minishatter.images import convnets, train

    net = train.cast(convnets.convnet(depth, **NETS[kind], rng=np.random.default_rng(0)), np.float32)
    (images, labels), optimiser = data(), train.Adam()
    params, counter = net.params, iter(range(1, 10**6))
    state = optimiser.start(params)

    def step():
        _, grads = train.loss_gradient(net, images, labels)
        optimiser.step(params, grads, state, 1e-3, next(counter))
    return step


def torch_step(kind, depth, channels_last):
    """The same net and step in PyTorch (the weights differ: they cost the same)."""
    import torch
    from torch import nn

    from minishatter.images import convnets

    class CReLU(nn.Module):
        def forward(self, x):
            return torch.cat([x, -x], 1).relu_()

    layers, halves = [], 2 if kind == "LL" else 1
    for place, (channels, outs, stride, _) in enumerate(convnets._plan(depth, 8, halves**-0.5)):
        layers += [nn.Conv2d(halves * channels if place else channels, outs, 3, stride, 1)]
        layers += [CReLU()] if kind == "LL" else [nn.BatchNorm2d(outs), nn.ReLU(inplace=True)]
    net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(4 * halves * outs, 10))
    images, labels = (torch.from_numpy(array) for array in data())
    if channels_last:
        net, images = net.to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(net.parameters(), 1e-3)

    def step():
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(images), labels).backward()
        optimiser.step()
    return step


def our_layer(channels, size):
    """Functions for the forward and the backward pass of one convolution."""
    from minishatter.images.conv import Conv2d

    rng = np.random.default_rng(0)
    layer = Conv2d(rng.standard_normal((channels, channels, 3, 3)).astype(np.float32))
    x = rng.standard_normal((channels, size, size, BATCH)).astype(np.float32)
    y, cache = layer.forward(x)
    return lambda: layer.forward(x), lambda: layer.backward(y, cache)


def torch_layer(channels, size, channels_last):
    """The same in PyTorch."""
    import torch

    form = torch.channels_last if channels_last else torch.contiguous_format
    layer = torch.nn.Conv2d(channels, channels, 3, 1, 1).to(memory_format=form)
    x = torch.randn(BATCH, channels, size, size).to(memory_format=form).requires_grad_()
    y = layer(x)
    dy = torch.randn_like(y)
    leaves = [x, *layer.parameters()]
    return lambda: layer(x), lambda: torch.autograd.grad(y, leaves, dy, retain_graph=True)


def seconds(function, repeats):
    """Median seconds of a call, after a warm-up."""
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def measure(contestant, task):
    """What one process measures: seconds of a step and peak memory, or seconds forward and backward for each layer."""
    last = contestant.endswith("last")
    if task == "layers":
        pairs = [our_layer(*shape) if contestant == "minishatter" else torch_layer(*shape, last) for shape in LAYERS]
        return [[seconds(forward, 30), seconds(backward, 30)] for forward, backward in pairs]
    kind, depth = task.rsplit(" ", 1)[0], int(task.rsplit(" ", 1)[1])
    step = our_step(kind, depth) if contestant == "minishatter" else torch_step(kind, depth, last)
    time_of_step = seconds(step, STEPS[depth])
    return [time_of_step, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]


def in_a_process(contestant, task):
    """The result of `measure` in a new process, None if the contestant is not installed."""
    done = subprocess.run([sys.executable, "-m", "tests.benchmarks.training", contestant, task],
                          capture_output=True, text=True)
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1]
        print(f"({contestant} is left out: {reason})")
        return None
    return np.array(json.loads(done.stdout.splitlines()[-1]))


def main():
    for task in (*(f"{kind} {depth}" for kind in NETS for depth in DEPTHS), "layers"):
        turns = [{name: in_a_process(name, task) for name in CONTESTANTS} for _ in range(TURNS)]
        medians = {name: np.median([turn[name] for turn in turns], axis=0) for name in CONTESTANTS
                   if turns[0][name] is not None}
        peers = [value for name, value in medians.items() if name != "minishatter"]
        if task == "layers":
            print(f"\none convolution, 3 x 3, batch {BATCH}: GF/s forward, backward; time over PyTorch's better format")
            for row, (channels, size) in enumerate(LAYERS):
                flops = 2 * 9 * channels**2 * size**2 * BATCH / 1e9
                cells = "   ".join(f"{name} {flops / value[row][0]:.0f}, {2 * flops / value[row][1]:.0f}"
                                   for name, value in medians.items())
                best = min((peer[row].sum() for peer in peers), default=np.nan)
                print(f"  {channels:>3} channels, {size:>2} x {size:<3}{cells}   "
                      f"ratio {medians['minishatter'][row].sum() / best:.2f}")
            continue
        print(f"\none Adam step, {task} layers, batch {BATCH}, float32 (median of {TURNS} processes)")
        best_time, best_memory = (min((peer[k] for peer in peers), default=np.nan) for k in (0, 1))
        for name, (step, memory) in medians.items():
            print(f"  {name:<26}{1e3 * step:>8.0f} ms ({step / best_time:.2f} of PyTorch's better)"
                  f"{memory:>8.0f} MB ({memory / best_memory:.2f})")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps(measure(*sys.argv[1:])))
    else:
        main()
