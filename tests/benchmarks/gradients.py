"""How fast is a gradient grid? Run as `python -m tests.benchmarks.gradients`; prints tables, asserts nothing.

Everything is a ratio within one run: the contestants take turns, and the median
over the turns counts, since machines are shared and drift. Peers take part if
they are installed (pip install jax; PyTorch's CPU build); they are no dependency.
"""

import os
import subprocess
import sys
import tempfile
import time

import numpy as np

from minishatter import gradients, nets
from minishatter.layers import BatchNorm, Dense

DEPTH, WIDTH, TURNS = 50, 200, 21
PAUSE = 0.25  # seconds before a turn: the threads of the contestant before (OpenMP, MKL) spin for 0.2 s


def seconds(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def turn(function):
    """Seconds of one call, with the caches warm and everybody else's threads asleep."""
    time.sleep(PAUSE)
    function()
    return seconds(function)


def medians(contestants, turns=TURNS):
    """Median seconds of each of several functions {name: function}, which take turns."""
    times = [[turn(function) for function in contestants.values()] for _ in range(turns)]
    return dict(zip(contestants, np.median(times, axis=0)))


def products(weights, x):
    """The bare matrix products of the fast path: values and tangents of all points together."""
    def run():
        D = np.ones((1, 2 * x.size))
        for W in weights:
            D = W.T @ D
    return run


def torch_gradient(weights, biases, x, eps):
    """f'(x) by PyTorch, statistics held: forward-mode is not faster there, so reverse mode with detached statistics."""
    import torch

    tensors = [(torch.tensor(W), torch.tensor(b)) for W, b in zip(weights, biases)]
    inputs = torch.tensor(x[:, None])

    def run():
        leaf = inputs.clone().requires_grad_()
        h = leaf
        for place, (W, b) in enumerate(tensors):
            h = h @ W + b
            if 0 < place < len(tensors) - 1:
                var, mean = torch.var_mean(h.detach(), dim=0, correction=0)
                h = (h - mean) * torch.rsqrt(var + eps)
            if place < len(tensors) - 1:
                h = torch.relu(h)
        return torch.autograd.grad(h.sum(), leaf)[0][:, 0].numpy()
    return run


def jax_gradient(weights, biases, x, eps):
    """f'(x) by JAX, jit-compiled, statistics held: forward mode, as in the fast path."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    params = [(jnp.asarray(W), jnp.asarray(b)) for W, b in zip(weights, biases)]

    def net(params, inputs):
        h = inputs[:, None]
        for place, (W, b) in enumerate(params):
            h = h @ W + b
            if 0 < place < len(params) - 1:
                mean, var = (jax.lax.stop_gradient(part) for part in (h.mean(axis=0), h.var(axis=0)))
                h = (h - mean) * jax.lax.rsqrt(var + eps)
            if place < len(params) - 1:
                h = jax.nn.relu(h)
        return h[:, 0]

    gradient = jax.jit(lambda params, inputs: jax.jvp(lambda x: net(params, x), (inputs,), (jnp.ones_like(inputs),))[1])
    inputs = jnp.asarray(x)
    return lambda: np.asarray(gradient(params, inputs).block_until_ready())


def one_net():
    """f'(x) at 256 points of a 50 x 200 batch-normalised net, float64, weights given, beside its products and peers."""
    x = gradients.grid()
    net = nets.feedforward(DEPTH, WIDTH, norm="batch", rng=np.random.default_rng(0))
    dense = [layer for layer in net.layers if isinstance(layer, Dense)]
    weights, biases = [d.params["W"] for d in dense], [d.params["b"] for d in dense]
    eps = next(layer.eps for layer in net.layers if isinstance(layer, BatchNorm))
    contestants = {"bare matrix products": products(weights, x),
                   "minishatter": lambda: gradients.input_gradient(net, x),
                   "minishatter, readable path": lambda: gradients.readable_gradient(net, x)}
    for name, build in (("JAX, jit", jax_gradient), ("PyTorch", torch_gradient)):
        try:
            contestants[name] = build(weights, biases, x, eps)
        except ImportError:
            print(f"({name} is not installed)")
    reference = gradients.readable_gradient(net, x)
    times = medians(contestants)
    print(f"\nf'(x) at {x.size} points, {DEPTH} x {WIDTH}, batch normalisation, float64 ({TURNS} turns)")
    print(f"{'':<30}{'ms':>8}{'/ products':>12}{'/ minishatter':>15}{'max error':>11}")
    for name, value in times.items():
        result = contestants[name]()
        error = "" if result is None else f"{np.max(np.abs(result - reference)) / np.max(np.abs(reference)):.0e}"
        print(f"{name:<30}{1e3 * value:>8.1f}{value / times['bare matrix products']:>12.2f}"
              f"{value / times['minishatter']:>15.2f}{error:>11}")


def scaling():
    """Cost against depth, points and runs, weights drawn; the last column is 1 if cost is linear."""
    def cost(depth=24, points=256, runs=4):
        def run():
            gradients.ensemble(lambda rng: nets.feedforward_layers(depth, WIDTH, norm="batch", rng=rng),
                               gradients.grid(points), runs, 0)
        return run

    for name, sizes in (("depth", (12, 24, 48, 96)), ("points", (256, 512, 1024, 2048)), ("runs", (2, 4, 8, 16))):
        times = medians({size: cost(**{name: size}) for size in sizes}, turns=7)
        print(f"\n{name:<10}{'ms':>8}{'growth per doubling / 2':>26}")
        before = None
        for size, value in times.items():
            print(f"{size:<10}{1e3 * value:>8.1f}{'' if before is None else f'{value / before / 2:.2f}':>26}")
            before = value


def figure_2():
    """All of figure 2 with both conventions: 600 gradient curves, weights drawn."""
    x = gradients.grid()
    builders = (lambda L: lambda rng: nets.feedforward_layers(L, WIDTH, norm="batch", rng=rng),
                lambda L: lambda rng: nets.resnet_layers(L, WIDTH, beta=1.0, rng=rng),
                lambda L: lambda rng: nets.resnet_layers(L, WIDTH, beta=0.1, rng=rng))
    total = sum(seconds(lambda: gradients.ensemble(build(L), x, 20, [0, L, WIDTH], statistics))
                for build in builders for L in (2, 4, 10, 24, 50) for statistics in ("held", "through"))
    print(f"\nfigure 2, both conventions, 600 curves, weights drawn: {total:.1f} s")


def start():
    """Importing, and the first gradient of a fresh install with nothing compiled."""
    def python(code, **env):
        return seconds(lambda: subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | env))

    bare = np.median([python("pass") for _ in range(5)])
    warm = np.median([python("import minishatter") for _ in range(5)])
    first = ("import numpy as np; from minishatter import gradients, nets; "
             "net = nets.feedforward(50, norm='batch', rng=np.random.default_rng(0)); "
             "gradients.input_gradient(net, gradients.grid())")
    with tempfile.TemporaryDirectory() as cache:
        cold = python(first, NUMBA_CACHE_DIR=cache)
    print(f"\nimport minishatter: {warm - bare:.2f} s;  first gradient, compilation included: {cold:.1f} s")


if __name__ == "__main__":
    one_net()
    scaling()
    figure_2()
    start()
