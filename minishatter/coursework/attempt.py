"""One task of one submission: its cases are tried, and what is said of a hidden one tells nothing of its inputs."""

import time
from typing import NamedTuple

import numpy as np

from . import sandbox
from .points import HIDDEN
from .results import printable
from .trials import TRIALS, compare
from .trials.trial import generator

BLANK = "raised NotImplementedError"  # says enough by itself
# A task may take the limit's seconds, this many times what the reference takes, and for each case
# this many times what the canary took to import the package on this machine.
REFERENCES = PACES = 2


class Outcome(NamedTuple):
    """One case: "public" or "hidden", its kind, and why it failed; None if it passed."""

    seed: str
    kind: str
    failure: str


class Attempt:
    """A task, the files of the package that the student's function changed, and the outcomes so far."""

    def __init__(self, task, limits):
        self.task, self.tree, self.place, self.refused = task, {}, "", ""
        self.outcomes, self.accidents = [], []
        self._trial, self._limits = TRIALS[task.number], limits
        self._budget = sandbox.Budget(limits.seconds)
        self._stuck, self._public = None, {}

    def run(self, nursery, label, seed):
        """Try the cases that are drawn from the text `seed`; the public ones first."""
        if self.refused:
            return
        nursery.furnish(self.tree)
        for kind in self._trial.kinds:
            try:
                failure = self._try(nursery, label, seed, kind)
            except sandbox.Broken:
                raise
            except Exception as error:  # whatever came back from there: one case's accident is one case's outcome
                failure = "the grader could not make sense of what came back"
                self.accidents.append(f"{label}, {kind}: {type(error).__name__}: {error}")
            self.outcomes.append(Outcome(label, kind, failure and printable(failure)))

    def _try(self, nursery, label, seed, kind):
        """None if the answer is right, else what the student may read about it."""
        inputs = self._trial.draw(generator(seed, self.task.number, kind), kind)
        begun = time.monotonic()
        expected = self._trial.call(**inputs)
        self._budget.add(REFERENCES * (time.monotonic() - begun) + PACES * nursery.pace)
        answer = self._stuck or self._ask(nursery, inputs, expected)
        if isinstance(answer, sandbox.Failure):
            self._stuck = self._stuck or self._outcome_of_the_rest(answer)
        line, words = self._look(expected, answer)
        if label != HIDDEN:
            self._public[kind] = words
            return line
        return self._discreet(kind, words)

    def _ask(self, nursery, inputs, expected):
        size = sum(np.asarray(array).nbytes for array in expected.values())
        return nursery.call(self.task.number, inputs, size, self._budget, self._limits.memory)

    def _outcome_of_the_rest(self, failure):
        """What fails while it is imported fails in every case; and used-up time is used up. None otherwise."""
        if self._budget.left <= 0:
            return sandbox.Failure(f"not tried: the task's {self._budget.seconds:.2g} s were used up")
        return failure if failure.importing else None

    def _look(self, expected, answer):
        """What may be said of a public case, and the same without any number or text of the student's; or two None."""
        if isinstance(answer, sandbox.Failure):
            line = f", in the line: {answer.line}" if answer.line and answer.what != BLANK else ""
            return answer.what + (f": {answer.detail}" if answer.detail else "") + line, answer.what
        line = compare.difference(expected, answer, self._trial)
        return line, line and _words(expected, answer)

    def _discreet(self, kind, words):
        """A hidden case passes, runs out of time, fails as the public case of its kind does, or otherwise.

        More would be a channel: of a chosen exception, exit code or norm, or of the distance from a single number.
        """
        if words is None or words == self._public.get(kind) or words.startswith(("stopped", "not tried")):
            return words
        if self._public.get(kind) is None:
            return "failed, unlike the public case of this kind"
        return "failed, in another way than the public case of this kind"


def _words(expected, answer):
    """What is wrong with an answer, in words."""
    for name, right in expected.items():
        if name not in answer:
            return f"{name} is missing"
        if np.shape(answer[name]) != np.shape(right):
            return f"{name} has another shape"
        if not np.isfinite(answer[name]).all():
            return f"{name} is not finite"
    return "other numbers than expected"
