"""Points of a task, from which of its cases passed.

Each kind of case counts the same, and has one public and one hidden case. The hidden one is worth
three quarters of its kind. The public one is worth the last quarter, but only beside the hidden one:
its answer lies in every student's folder, and so proves nothing by itself.
"""

from .trials.trial import PUBLIC

HIDDEN = "hidden"
WEIGHTS = {HIDDEN: 0.75, PUBLIC: 0.25}  # of one kind


def points(full, passed):
    """Points, to a hundredth, of a task that is worth `full`; passed: {(PUBLIC or HIDDEN, kind): bool}.

    >>> points(8, {(PUBLIC, "a"): True, (HIDDEN, "a"): True, (PUBLIC, "b"): True, (HIDDEN, "b"): False})
    4.0
    >>> points(8, {(PUBLIC, "a"): False, (HIDDEN, "a"): True})
    6.0
    """
    kinds = {kind for _, kind in passed}
    share = sum(weight for kind in kinds if passed.get((HIDDEN, kind))
                for label, weight in WEIGHTS.items() if passed.get((label, kind)))
    return round(full * share / len(kinds), 2) if kinds else 0.0
