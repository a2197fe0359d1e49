"""The filters of a convolution at initialisation: weights (outs, channels, size, size)."""

import numpy as np

from .. import arguments
from ..init import looks_linear, orthogonal


def as_filters(W: np.ndarray, size: int) -> np.ndarray:
    """Dense weights W (channels size^2, outs) as filters (outs, channels, size, size): the same law and fan-in."""
    W, size = arguments.array("W", W, ndim=2), arguments.integer("size", size)
    if len(W) % size**2:
        raise ValueError(f"W must have a multiple of size^2 = {size**2} rows, got {len(W)}")
    fan_in, outs = W.shape
    return np.ascontiguousarray(W.T).reshape(outs, fan_in // size**2, size, size)


def delta_orthogonal(channels: int, outs: int, size: int, rng: np.random.Generator,
                     mirrored: bool = False) -> np.ndarray:
    """Filters (outs, channels, size, size) of odd size, zero but for the centre tap, an orthogonal matrix.

    A convolution with them is the same orthogonal map at every pixel (Xiao et al. 2018). mirrored: the looks-linear
    matrix (W, -W) for channels that are the two halves of a CReLU.
    """
    if arguments.integer("size", size) % 2 == 0:
        raise ValueError(f"size must be odd, so that there is a centre tap, got {size}")
    centre = looks_linear(channels, outs, rng) if mirrored else orthogonal(channels, outs, rng)
    W = np.zeros((outs, channels, size, size))
    W[:, :, size // 2, size // 2] = centre.T
    return W
