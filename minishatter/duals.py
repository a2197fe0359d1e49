"""Dual arrays: a value and its slope travel together through a net.

A dual array D has shape (units, 2 N). Row u holds the values of unit u at N points,
D[u, :N], and behind them their tangents, D[u, N:], the derivatives along one direction.
One matrix product per layer then serves both, and everything else that a layer does to a
unit is one pass over one contiguous row (kernels.py).

`push` takes a dual array through a layer or net by the rules that follow; a layer without
one here goes by its own forward and tangent. Batch statistics are held: they are measured
on the N points and are constants for the tangents. So this is the forward mode of
layers.py, transposed and fused; gradients.py runs it on a grid, regions.py on the pieces of
an interval.
"""

from collections.abc import Callable

import numpy as np

from . import kernels
from .compose import Chain, Sum
from .layers import Affine, BatchNorm, Center, CReLU, Dense, Identity, Layer, PReLU, ReLU


def push(layer: Layer, dual: np.ndarray) -> np.ndarray:
    """The dual array (units out, 2 N) behind a layer or net, for `dual` (units in, 2 N), which may be overwritten.

    Nothing is checked here but the number of units: this is the inner loop of gradients.py and regions.py.

    >>> push(ReLU(), np.array([[-3.0, 4.0, 1.0, 1.0]]))  # relu at -3 and 4, then its slopes there
    array([[-0.,  4.,  0.,  1.]])
    """
    return _RULES.get(type(layer), _push_by_its_own_rules)(layer, dual)


def _push_dense(layer: Dense, dual: np.ndarray) -> np.ndarray:
    W, b = layer.params["W"], layer.params["b"]
    _fits(layer, W.shape[0], dual)
    out = W.T @ dual
    if b.any():
        out[:, :dual.shape[1] // 2] += b[:, None]  # a constant moves the values, not the tangents
    return out


def _push_batch_norm(layer: BatchNorm, dual: np.ndarray) -> np.ndarray:
    _fits(layer, layer.params["scale"].size, dual)
    kernels.normalise(dual, layer.params["scale"], layer.params["shift"], layer.eps)
    return dual


def _push_affine(layer: Affine, dual: np.ndarray) -> np.ndarray:
    _fits(layer, layer.params["scale"].size, dual)
    kernels.affine(dual, layer.params["scale"], layer.params["shift"])
    return dual


def _push_center(layer: Center, dual: np.ndarray) -> np.ndarray:
    if layer.over == "units":
        return dual - dual.mean(axis=0)
    kernels.center(dual)
    return dual


def _push_relu(layer: ReLU, dual: np.ndarray) -> np.ndarray:
    kernels.rectify(dual, 0.0)
    return dual


def _push_prelu(layer: PReLU, dual: np.ndarray) -> np.ndarray:
    kernels.rectify(dual, layer.params["slope"][0])
    return dual


def _push_crelu(layer: CReLU, dual: np.ndarray) -> np.ndarray:
    positive = dual.copy()
    kernels.rectify(positive, 0.0)
    return np.concatenate([positive, positive - dual])  # relu(-x) = relu(x) - x


def _push_chain(chain: Chain, dual: np.ndarray) -> np.ndarray:
    for layer in chain.layers:
        dual = push(layer, dual)
    return dual


def _push_sum(layer: Sum, dual: np.ndarray) -> np.ndarray:
    return layer.add([push(branch, dual.copy()) for branch in layer.branches])


def _push_by_its_own_rules(layer: Layer, dual: np.ndarray) -> np.ndarray:
    n = dual.shape[1] // 2
    values, tangents = dual[:, :n].T, dual[:, n:].T  # (N, units), as layers have it
    layer = layer.freeze(values)
    y, cache = layer.forward(values)
    return np.concatenate([y, layer.tangent(tangents, cache)]).T.copy()


def _fits(layer: Layer, units: int, dual: np.ndarray) -> None:
    """A kernel does not look where it reads: a wrong number of units must stop here."""
    if units != dual.shape[0]:
        layer.forward(dual[:, :dual.shape[1] // 2].T)  # raises, and says why


_RULES: dict[type, Callable] = {
    Identity: lambda layer, dual: dual, Dense: _push_dense, BatchNorm: _push_batch_norm, Affine: _push_affine,
    Center: _push_center, ReLU: _push_relu, PReLU: _push_prelu, CReLU: _push_crelu, Chain: _push_chain, Sum: _push_sum}
