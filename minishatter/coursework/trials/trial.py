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
    """How one task is tried, on one case of each kind. `tolerance` is EXACT for all that it does not name."""

    draw: Callable
    call: Callable
    kinds: tuple
    look: Callable = as_they_are
    tolerance: dict = {}


def generator(seed, number, kind):
    """The random generator of one case; without the text `seed` its inputs cannot be foreseen."""
    digest = hashlib.sha256(repr((seed, number, kind)).encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, np.uint32))


def refuses(call):
    """Does the call raise ValueError, as the docstring says?"""
    try:
        call()
    except ValueError:
        return np.array(True)
    return np.array(False)
