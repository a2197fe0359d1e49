"""Weights at initialisation. Every draw returns an array of shape (fan_in, fan_out), or of kernels.

`gain` is the variance gain of what comes before the weights: He's 2 makes up
for a rectifier that lets half of the second moment through.
"""

import numpy as np

from . import arguments


def normal(fan_in, fan_out, std, rng):
    """Independent N(0, std^2) weights."""
    fan_in, fan_out = arguments.integer("fan_in", fan_in), arguments.integer("fan_out", fan_out)
    std = arguments.number("std", std, low=0.0)
    W = arguments.generator("rng", rng).standard_normal((fan_in, fan_out))
    W *= std
    return W


def he(fan_in, fan_out, rng, gain=2.0):
    """N(0, gain / fan_in). With gain 2 a rectifier layer keeps the second moment of its input.

    He et al. 2015; used throughout the paper (section 2). gain = 1 before a linear layer, 2 / (1 + slope^2) after
    a PReLU; 2 after a CReLU too, whose fan_in counts both halves of each pair, one of which is active.
    """
    fan_in = arguments.integer("fan_in", fan_in)
    return normal(fan_in, fan_out, np.sqrt(arguments.number("gain", gain, low=0.0) / fan_in), rng)


def glorot(fan_in, fan_out, rng):
    """N(0, 2 / (fan_in + fan_out)), Glorot & Bengio 2010: half way between forward and backward."""
    fan_in, fan_out = arguments.integer("fan_in", fan_in), arguments.integer("fan_out", fan_out)
    return normal(fan_in, fan_out, np.sqrt(2.0 / (fan_in + fan_out)), rng)


def orthogonal(fan_in, fan_out, rng, gain=1.0):
    """sqrt(gain) times a uniformly random (semi-)orthogonal matrix.

    W^T W = gain I if fan_in >= fan_out, else W W^T = gain I. Q of a QR
    decomposition is uniform once the signs of R's diagonal are moved into it.
    """
    fan_in, fan_out = arguments.integer("fan_in", fan_in), arguments.integer("fan_out", fan_out)
    square = normal(max(fan_in, fan_out), min(fan_in, fan_out), 1.0, rng)
    Q, R = np.linalg.qr(square)
    Q = Q * np.sign(np.diag(R))
    return np.sqrt(arguments.number("gain", gain, low=0.0)) * (Q if fan_in >= fan_out else Q.T)


def looks_linear(fan_in, fan_out, rng):
    """Mirrored orthogonal weights (W, -W) for a CReLU: relu(x) W - relu(-x) W = x W.

    fan_in counts both halves of the CReLU and must be even. At initialisation the
    net is linear, so its gradient cannot shatter (paper, section on looks-linear).
    """
    if arguments.integer("fan_in", fan_in) % 2:
        raise ValueError(f"fan_in must be even, the two halves of a CReLU, got {fan_in}")
    W = orthogonal(fan_in // 2, fan_out, rng)
    return np.concatenate([W, -W])


def mirrored_parts(W: np.ndarray, axis: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """S and Delta of weights W = (S + Delta, Delta - S), the two halves along `axis`, which read the halves of a CReLU.

    S = half the difference, Delta = half the sum, so that the layer is x S + |x| Delta: its linear part, and
    what it has gained by leaving it. Looks-linear weights have Delta = 0.
    """
    W, axis = arguments.array("W", W), arguments.integer("axis", axis, least=0)
    if axis >= W.ndim or W.shape[axis] % 2:
        raise ValueError(f"W must have two halves along axis {axis}, got shape {W.shape}")
    positive, negative = np.split(W, 2, axis=axis)
    return (positive - negative) / 2, (positive + negative) / 2


def biases(units, std, rng):
    """N(0, std^2) biases, shape (units,); std = 0 gives zeros and draws nothing."""
    units, std = arguments.integer("units", units), arguments.number("std", std, low=0.0)
    return std * arguments.generator("rng", rng).standard_normal(units) if std else np.zeros(units)
