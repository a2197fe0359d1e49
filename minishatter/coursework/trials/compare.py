"""Is what came what was expected? And if not, what may be said: shapes, norms, an error, an index; never the array."""

import numpy as np

from .trial import EXACT

YES_OR_NO = ("refuse", "the same seed")  # how the names of questions begin


def difference(expected, received, trial):
    """None if the received outputs pass, else one line on the first that does not.

    expected, received: {name: array}, as `trial.call` gives them. Shapes are compared before
    anything is computed from them: nothing is known about what was received.
    """
    line = _shapes(expected, received)
    if line:
        return line
    with np.errstate(all="ignore"):
        looks = (trial.look({name: np.asarray(arrays[name], float) for name in expected})
                 for arrays in (expected, received))
    line = looked(*looks, trial)
    return line and line + _other_types(expected, received)


def looked(expected, received, trial):
    """The same for two results of `trial.look`."""
    with np.errstate(all="ignore"):
        lines = (_line(name, np.asarray(right, float), np.asarray(received[name], float), trial.spread.get(name))
                 for name, right in expected.items())
        return _shapes(expected, received) or next(filter(None, lines), None)


def _shapes(expected, received):
    """Is something missing, of another shape, or not finite?"""
    for name, right in expected.items():
        if name not in received:
            return f"{name} is missing"
        got, right = np.asarray(received[name]), np.asarray(right)
        if got.shape != right.shape:
            return (f"{name}: expected shape {right.shape}, norm {_norm(right)}; "
                    f"received shape {got.shape}, norm {_norm(got)}")
        if not np.isfinite(got).all():
            index = [int(i) for i in np.argwhere(~np.isfinite(got))[0]]
            return f"{name}: NaN or infinity, first at {index}; expected finite numbers of norm {_norm(right)}"
    return None


def _line(name, right, got, spread=None, tolerance=EXACT):
    """One array against another: None, or shape, norms, relative error and the first index that differs."""
    if spread is not None:
        return None if abs(got - right) <= spread else f"{name}: expected about {right:.3g}, received {got:.3g}"
    if right.ndim == 0 and right in (0, 1) and name.startswith(YES_OR_NO):
        said = [("no", "yes")[int(bool(answer))] for answer in (right, got)]
        return None if got == right else f"{name}: expected {said[0]}, received {said[1]}"
    scale = np.abs(right).max(initial=0.0) or 1.0  # squares of exploded gradients would overflow
    gap, size = np.abs(got / scale - right / scale), np.linalg.norm(right / scale) or 1.0
    gap = np.where(np.isfinite(gap), gap, np.inf)  # what overflows here differs
    error = np.linalg.norm(gap) / size
    if error <= tolerance:
        return None
    if right.ndim == 0:
        return f"{name}: expected {right:.4g}, received {got:.4g}, relative error {error:.2g}"
    index = [int(i) for i in np.argwhere(gap >= min(gap.max(), tolerance * size / np.sqrt(gap.size)))[0]]
    return (f"{name}: shape {right.shape} as expected; expected norm {_norm(right)}, received norm {_norm(got)}, "
            f"relative error {error:.2g}, first differs at {index}")


def _other_types(expected, received):
    """Worth saying: float32 has 7 digits."""
    types = {name: np.asarray(received[name]).dtype for name in expected}
    short = [f"{name} is {dtype}, which has too few digits" for name, dtype in types.items()
             if dtype.kind == "f" and dtype.itemsize < 8]
    return f" ({'; '.join(short)})" if short else ""


def _norm(array):
    array = np.asarray(array, float)
    scale = float(np.abs(array).max(initial=0.0))
    return f"{scale * float(np.linalg.norm(array / scale)):.4g}" if 0 < scale < np.inf else f"{scale:g}"
