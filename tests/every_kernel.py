"""Run every kernel on small arrays and print a sum of the bytes of each result: `python -m tests.every_kernel`.

test_same_bytes.py runs it in processes that compile, and in others that find the kernels in the cache.
"""

import hashlib
import json
import sys

import numpy as np

from minishatter import kernels
from minishatter.images import channel_kernels, conv, fused
from minishatter.images import kernels as image_kernels

SHAPES = [(4, 5, 7, 8), (3, 4, 4, 33), (2, 3, 5, 128)]  # channels, rows, cols, N


def row_passes():
    """The name of each row pass, and what it makes of a dual array with many points and with few."""
    for points in (3, 37, 1000):
        rng = np.random.default_rng(points)
        D, scale, shift = rng.standard_normal((5, 2 * points)), rng.uniform(0.5, 2.0, 5), rng.standard_normal(5)
        parent, reach = rng.integers(points, size=2 * points), rng.uniform(0.1, 2.0, points)
        for name, arguments in {"normalise": (scale, shift, 1e-5), "center": (), "rectify": (0.3,),
                                "affine": (scale, shift)}.items():
            rows = D.copy()
            getattr(kernels, name)(rows, *arguments)
            yield f"{name} {points}", [rows]
        yield f"zeros {points}", kernels.zeros(D, reach)
        yield f"cut {points}", [kernels.cut(D, parent, rng.standard_normal(2 * points))]


def layers(channels, dtype, rng):
    """The layers whose rules are kernels, with random parameters: what they are to see, and the layer."""
    W = rng.standard_normal((2 * channels + 1, channels, 3, 3)).astype(dtype)
    norm, rectified = conv.BatchNorm2d(channels), fused.BatchNormReLU2d(channels)
    norm.params = {"scale": rng.uniform(0.5, 2.0, channels).astype(dtype),
                   "shift": rng.standard_normal(channels).astype(dtype)}
    rectified.params = norm.params
    return {"convolution": conv.Conv2d(W, rng.standard_normal(len(W)).astype(dtype)), "ReLU": conv.ReLU2d(),
            "strides": conv.Conv2d(W, stride=2), "CReLU": conv.CReLU2d(), "BatchNorm": norm,
            "BatchNorm, ReLU": rectified,
            "CReLU, convolution": fused.CReLUConv2d(np.concatenate([W, -W[:, ::-1]], axis=1))}


def image_passes():
    """The name of each layer of images that runs on kernels, and its value and gradients."""
    for shape in SHAPES:
        for dtype in (np.float32, np.float64):
            rng = np.random.default_rng(shape)
            x = (3 + rng.standard_normal(shape)).astype(dtype)
            for name, layer in layers(shape[0], dtype, rng).items():
                y, cache = layer.forward(x)
                dx, grads = layer.backward(rng.standard_normal(y.shape).astype(dtype), cache)
                yield f"{name} {shape} {np.dtype(dtype)}", [y, dx, *grads.values()]


def compiled():
    """All compiled functions of the modules of kernels; a parallel one stands behind the function that calls it."""
    own = [value for module in (kernels, image_kernels, channel_kernels) for value in vars(module).values()
           if getattr(value, "__module__", None) == module.__name__]
    behind = [next((cell.cell_contents for cell in getattr(value, "__closure__", None) or ()
                    if hasattr(cell.cell_contents, "py_func")), value) for value in own]
    return [value for value in behind if hasattr(value, "py_func")]


def main():
    sums = {name: hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()
            for passes in (row_passes, image_passes) for name, arrays in passes()}
    json.dump({"sums": sums, "never called": [each.__name__ for each in compiled() if not each.signatures]}, sys.stdout)


if __name__ == "__main__":
    main()
