"""The checks that public functions make on their arguments, once, at the door.

Each check returns the value in the form the caller needs, or raises TypeError
(wrong type) or ValueError (wrong value) naming the argument, what was
expected and what came.
"""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

PROTOCOL = ("params", "forward", "tangent", "backward", "freeze")


def integer(name: str, value: Any, least: int = 1) -> int:
    """`value` as an int >= `least`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    return int(value)


def number(name: str, value: Any, low: float = -math.inf, high: float = math.inf) -> float:
    """`value` as a finite float in [low, high]."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} must be a number, got {value!r}")
    if not math.isfinite(value):
        raise ValueError(f"{name} must be finite, got {value}")
    if not low <= value <= high:
        raise ValueError(f"{name} must lie in [{low:g}, {high:g}], got {value}")
    return float(value)


def scalar(name: str, value: Any) -> int | float | str | bool | None:
    """`value` as an int, float, str, bool or None; a NumPy scalar becomes one of these."""
    value = value.item() if isinstance(value, np.generic) else value
    if type(value) not in (int, float, str, bool, type(None)):
        raise TypeError(f"{name} must be an int, float, str, bool or None, got {value!r}")
    return value


def array(name: str, value: Any, ndim: int | tuple[int, ...] | None = None, finite: bool = True) -> np.ndarray:
    """`value` as a non-empty floating array; `ndim` is the number of axes, or a tuple of them.

    The array is not copied when it already is one, and float32 stays float32.
    """
    try:
        value = np.asarray(value)
    except ValueError as error:
        raise TypeError(f"{name} must be an array of numbers: {error}") from error
    if value.dtype == bool or not np.issubdtype(value.dtype, np.number) or np.iscomplexobj(value):
        raise TypeError(f"{name} must be an array of real numbers, got dtype {value.dtype}")
    allowed = (ndim,) if isinstance(ndim, int) else ndim
    if allowed is not None and value.ndim not in allowed:
        axes = " or ".join(str(n) for n in allowed)
        raise ValueError(f"{name} must have {axes} axes, got shape {value.shape}")
    if value.size == 0:
        raise ValueError(f"{name} must not be empty, got shape {value.shape}")
    if not np.issubdtype(value.dtype, np.floating):
        value = value.astype(np.float64)
    if finite and not np.isfinite(value).all():
        raise ValueError(f"{name} must be finite, got NaN or infinity")
    return value


def one_of(name: str, value: Any, known: Iterable) -> Any:
    """`value`, if it is one of the `known` names."""
    if value not in tuple(known):  # compares, and needs no hash
        raise ValueError(f"{name} must be one of {', '.join(map(repr, known))}, got {value!r}")
    return value


def layer(name: str, value: Any) -> Any:
    """`value`, if it follows the layer protocol of layers.py."""
    if isinstance(value, type) or not all(hasattr(type(value), rule) or hasattr(value, rule) for rule in PROTOCOL):
        raise TypeError(f"{name} must be a layer or net, with {', '.join(PROTOCOL)}, got {value!r}")
    return value


def generator(name: str, value: Any) -> np.random.Generator:
    """`value`, if it is a numpy.random.Generator (randomness is always passed in)."""
    if not isinstance(value, np.random.Generator):
        raise TypeError(f"{name} must be a numpy.random.Generator, such as "
                        f"numpy.random.default_rng(0), got {value!r}")
    return value
