"""A trial: how inputs are drawn, how the student's function is called on them, and what is looked at.

    draw(rng, kind)   -> {name: array}   inputs, all plain arrays
    call(**inputs)    -> {name: array}   what the student's function gives
    look(outputs)     -> {name: array}   what is compared
"""

import hashlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

EXACT = 1e-9    # relative: another order of summation moves results by 1e-14, float32 by 1e-8, a mistake by far more
PUBLIC = "public"


def as_they_are(outputs):
    """Look at the outputs themselves."""
    return outputs


class Trial(NamedTuple):
    """How one task is tried, on one case of each kind.

    An array is compared by its relative error, with EXACT; a number that `spread` names by its
    distance, which may be that large.
    """

    draw: Callable
    call: Callable
    kinds: tuple
    look: Callable = as_they_are
    spread: dict = {}


def generator(seed, number, kind):
    """The random generator of one case; without the text `seed` its inputs cannot be foreseen."""
    digest = hashlib.sha256(repr((seed, number, kind)).encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, np.uint32))


def plain(outputs):
    """{name: what a function gave} as plain arrays; TypeError for what is neither an array nor a number.

    The same at home and in the grader: a list is no array, since the next layer could not multiply it.
    """
    arrays = {}
    for name, value in outputs.items():
        if not isinstance(value, (np.ndarray, np.generic, float, int)):
            raise TypeError(f"{name} must be a NumPy array or a number, got {type(value).__name__}")
        arrays[name] = np.array(value, subok=False)
        if arrays[name].dtype.kind not in "biuf":
            raise TypeError(f"{name} must hold real numbers, got dtype {arrays[name].dtype}")
    return arrays


def pulled_back(result):
    """dx and the gradients of the parameters by name, {"dx": ..., "dW": ...}, of what a backward rule returned."""
    if not isinstance(result, (tuple, list)) or len(result) != 2 or not isinstance(result[1], dict):
        got = type(result).__name__
        if isinstance(result, tuple):
            got = f"({', '.join(type(part).__name__ for part in result)})"
        raise TypeError(f"backward must return dx and a dict of gradients, (dx, grads), got {got}")
    return {"dx": result[0]} | {f"d {name}": grad for name, grad in result[1].items()}


def refuses(call):
    """Does the call raise ValueError, as the docstring says?"""
    try:
        call()
    except ValueError:
        return np.array(True)
    return np.array(False)
