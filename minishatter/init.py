"""Weights at initialisation. Every draw returns an array of shape (fan_in, fan_out), or of kernels.

`gain` is the variance gain of what comes before the weights: He's 2 makes up
for a rectifier that lets half of the second moment through.
"""

import numpy as np

from . import arguments


def normal(fan_in: int, fan_out: int, std: float, rng: np.random.Generator) -> np.ndarray:
    """Independent N(0, std^2) weights.

    >>> normal(3, 2, 0.1, np.random.default_rng(0)).shape
    (3, 2)
    """
    fan_in, fan_out, rng = _checked(fan_in, fan_out, rng)
    return _normal(fan_in, fan_out, arguments.number("std", std, low=0.0), rng)


def _checked(fan_in, fan_out, rng, least=1):
    """What every draw of weights is given."""
    return (arguments.integer("fan_in", fan_in, least), arguments.integer("fan_out", fan_out),
            arguments.generator("rng", rng))


def _normal(fan_in, fan_out, std, rng):
    W = rng.standard_normal((fan_in, fan_out))  # rng.normal draws the same numbers, more slowly
    W *= std
    return W


def he(fan_in: int, fan_out: int, rng: np.random.Generator, gain: float = 2.0) -> np.ndarray:
    """N(0, gain / fan_in). With gain 2 a rectifier layer keeps the second moment of its input.

    He et al. 2015; used throughout the paper (section 2). gain = 1 before a linear layer, 2 / (1 + slope^2) after
    a PReLU; 2 after a CReLU too, whose fan_in counts both halves of each pair, one of which is active.

    >>> W = he(1000, 500, np.random.default_rng(0))
    >>> print(f"{W.var() * 1000:.2f}")  # 2 / fan_in
    2.00
    """
    fan_in, fan_out, rng = _checked(fan_in, fan_out, rng)
    return _normal(fan_in, fan_out, np.sqrt(arguments.number("gain", gain, low=0.0) / fan_in), rng)


def truncated(fan_in: int, fan_out: int, rng: np.random.Generator, gain: float = 2.0, cut: float = 2.0) -> np.ndarray:
    """N(0, gain / fan_in), drawn again where it exceeds `cut` standard deviations, and not rescaled.

    At cut = 2 the variance is 0.774 gain / fan_in: many libraries make up for it, some did not.

    >>> W = truncated(1000, 500, np.random.default_rng(0), gain=1.0)
    >>> print(f"{W.var() * 1000:.2f}, {np.abs(W).max() * 1000**0.5:.2f}")
    0.77, 2.00
    """
    fan_in, fan_out, rng = _checked(fan_in, fan_out, rng)
    gain, cut = arguments.number("gain", gain, low=0.0), arguments.number("cut", cut, low=0.1)
    draws = rng.standard_normal((fan_in, fan_out))
    while (outside := np.abs(draws) > cut).any():
        draws[outside] = rng.standard_normal(outside.sum())
    return np.sqrt(gain / fan_in) * draws


def glorot(fan_in: int, fan_out: int, rng: np.random.Generator) -> np.ndarray:
    """N(0, 2 / (fan_in + fan_out)), Glorot & Bengio 2010: half way between forward and backward.

    >>> W = glorot(1000, 500, np.random.default_rng(0))
    >>> print(f"{W.var() * 1500:.2f}")
    2.00
    """
    fan_in, fan_out, rng = _checked(fan_in, fan_out, rng)
    return _normal(fan_in, fan_out, np.sqrt(2.0 / (fan_in + fan_out)), rng)


def orthogonal(fan_in: int, fan_out: int, rng: np.random.Generator, gain: float = 1.0) -> np.ndarray:
    """sqrt(gain) times a uniformly random (semi-)orthogonal matrix.

    W^T W = gain I if fan_in >= fan_out, else W W^T = gain I. Q of a QR
    decomposition is uniform once the signs of R's diagonal are moved into it.

    >>> W = orthogonal(5, 3, np.random.default_rng(0))
    >>> bool(np.allclose(W.T @ W, np.eye(3)))
    True
    """
    fan_in, fan_out, rng = _checked(fan_in, fan_out, rng)
    Q, R = np.linalg.qr(rng.standard_normal((max(fan_in, fan_out), min(fan_in, fan_out))))
    Q = Q * np.sign(np.diag(R))
    return np.sqrt(arguments.number("gain", gain, low=0.0)) * (Q if fan_in >= fan_out else Q.T)


def looks_linear(fan_in: int, fan_out: int, rng: np.random.Generator) -> np.ndarray:
    """Mirrored orthogonal weights (W, -W) for a CReLU: relu(x) W - relu(-x) W = x W.

    fan_in counts both halves of the CReLU and must be even. At initialisation the
    net is linear, so its gradient cannot shatter (paper, section on looks-linear).

    >>> W = looks_linear(6, 3, np.random.default_rng(0))
    >>> bool(np.all(W[:3] == -W[3:]))
    True
    """
    if arguments.integer("fan_in", fan_in) % 2:
        raise ValueError(f"fan_in must be even, the two halves of a CReLU, got {fan_in}")
    W = orthogonal(fan_in // 2, fan_out, rng)
    return np.concatenate([W, -W])


def mirrored_parts(W: np.ndarray, axis: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """S and Delta of weights W = (S + Delta, Delta - S), the two halves along `axis`, which read the halves of a CReLU.

    S = half the difference, Delta = half the sum, so that the layer is x S + |x| Delta: its linear part, and
    what it has gained by leaving it. Looks-linear weights have Delta = 0.

    >>> mirrored_parts(np.array([[3.0], [-1.0]]))  # x S + |x| Delta = 3 x for x > 0, else x
    (array([[2.]]), array([[1.]]))
    """
    W, axis = arguments.array("W", W), arguments.integer("axis", axis, least=0)
    if axis >= W.ndim or W.shape[axis] % 2:
        raise ValueError(f"W must have two halves along axis {axis}, got shape {W.shape}")
    positive, negative = np.split(W, 2, axis=axis)
    return (positive - negative) / 2, (positive + negative) / 2


def standardised(fan_in: int, fan_out: int, rng: np.random.Generator,
                 gain: float = 2 / (1 - 1 / np.pi)) -> np.ndarray:
    """He weights that add up to 0: each unit's have mean 0 and mean square gain / fan_in, exactly.

    Behind rectifiers such a unit reads x - mean of x over the units, so inputs of uncorrelated signals keep
    uncorrelated signals: the assumption of the theorems. What is left of the second moment 1/2 is
    (1 - 1/pi) / 2, hence the gain for signals of one variance; gain 2 is He's. fan_in >= 2.
    Weight standardisation, Qiao et al. 2019.

    >>> standardised(4, 2, np.random.default_rng(0), gain=2.0).sum(axis=0).round(12) + 0.0
    array([0., 0.])
    """
    fan_in, fan_out, rng = _checked(fan_in, fan_out, rng, least=2)
    W = rng.standard_normal((fan_in, fan_out))
    W -= W.mean(axis=0)
    return W * np.sqrt(arguments.number("gain", gain, low=0.0) / (W**2).sum(axis=0))


def biases(units: int, std: float, rng: np.random.Generator) -> np.ndarray:
    """N(0, std^2) biases, shape (units,); std = 0 gives zeros and draws nothing.

    >>> biases(3, 0.0, np.random.default_rng(0))
    array([0., 0., 0.])
    """
    units, std = arguments.integer("units", units), arguments.number("std", std, low=0.0)
    return std * arguments.generator("rng", rng).standard_normal(units) if std else np.zeros(units)
