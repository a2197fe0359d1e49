"""Grade a submission: for each task graft the student's function, run it in a worker, compare with the reference.

Points of a task are shared among its kinds of cases (points.py). Before a
submission is read, the reference takes the same way, one case a task: a machine
on which it is not right grades nobody. All public cases are tried before any hidden
one, so that nothing a student may read was written by code that has seen hidden inputs.
"""

import secrets
import statistics
import sys
from typing import NamedTuple

import numpy as np

from . import door, manifest, sandbox
from .attempt import Attempt
from .package import blank_package, student_tree
from .points import HIDDEN, points
from .results import printable
from .submission import Submission
from .trials import TRIALS, compare
from .trials.trial import PUBLIC, generator

PACKAGE = door.PACKAGE
SEED = "MINISHATTER_HIDDEN_SEED"
READING = 1.0    # seconds of the processor for all that is read of one file
CANARY = 60.0    # seconds for one case of the reference


class Result(NamedTuple):
    """One task: its outcomes, or why there are none."""

    task: manifest.Task
    outcomes: list
    refused: str = ""
    place: str = ""  # of the file that was graded

    @property
    def score(self):
        """Points, to a hundredth."""
        passed = {(outcome.seed, outcome.kind): not outcome.failure for outcome in self.outcomes}
        return points(self.task.points, passed)

    @property
    def output(self):
        """What the student reads: a line for each case."""
        if self.refused:
            return printable(self.refused)
        lines = (f"{outcome.seed}, {outcome.kind}: {outcome.failure or 'passed'}" for outcome in self.outcomes)
        return "\n".join(map(printable, [f"graded: {self.place}", *lines]))


class Grade(NamedTuple):
    """All results, {defence: why it is off}, and what went wrong with the grader itself."""

    results: list
    off: dict
    accidents: list = []
    whole: bool = True  # every task was tried

    @property
    def score(self):
        """Points of all tasks."""
        return round(sum(result.score for result in self.results), 2)


def grade(path, seed=None, tasks=manifest.TASKS, limits=sandbox.Limits(), accept=()):
    """The Grade of the submission in a folder or zip file.

    seed: the secret text from which hidden cases are drawn; a fresh one if None. accept: names of
    sandbox.DEFENCES without which to grade all the same. Raises ValueError if path is neither a folder nor
    a zip file, RuntimeError if this machine cannot grade: a defence is missing, or the reference is not right.
    """
    if sys.platform != "linux":
        raise RuntimeError("Linux only: nothing else can lock a student's code up; here run the public tests")
    seed, broken = seed or secrets.token_hex(16), {}
    private = sandbox.keep_memory_private()
    with sandbox.Nursery(PACKAGE / tasks[0].file, blank_package()) as nursery:
        if not private:
            nursery.off["privacy"] = "the kernel does not hide it"
        _canary(nursery, tasks, limits.memory, set(accept))
        attempts = _read(path, tasks, limits)
        for label, text in ((PUBLIC, PUBLIC), (HIDDEN, seed)):
            for attempt in attempts:
                try:
                    attempt.run(nursery, label, text)
                except sandbox.Broken as error:
                    attempt.refused, broken[attempt.task.number] = "not graded: the grader had an accident", error
        accidents = [f"{attempt.task.number}, {what}" for attempt in attempts for what in attempt.accidents]
        accidents += [f"{number} could not be graded: {error}" for number, error in broken.items()]
        results = [Result(attempt.task, [] if attempt.refused else attempt.outcomes, attempt.refused, attempt.place)
                   for attempt in attempts]
        return Grade(results, nursery.off, accidents, not broken)


class Reference:
    """The package itself, in the form of a submission."""

    @staticmethod
    def source(name):
        """The text of one file."""
        return (PACKAGE / name).read_text(encoding="utf-8")


def _canary(nursery, tasks, memory, accept):
    """The reference takes a student's way; raises RuntimeError if a defence is missing or an answer is not right."""
    paces = []
    for task in tasks:
        trial, budget = TRIALS[task.number], sandbox.Budget(CANARY)
        inputs = trial.draw(generator(PUBLIC, task.number, trial.kinds[0]), trial.kinds[0])
        expected = trial.call(**inputs)
        size = sum(np.asarray(array).nbytes for array in expected.values())
        nursery.furnish(_changed(task, Reference()))
        answer = nursery.call(task.number, inputs, size, budget, memory)
        paces.append(budget.seconds - budget.left)
        missing = {name: why for name, why in nursery.off.items() if name not in accept}
        if missing:
            listed = "; ".join(f"{name} ({why})" for name, why in sorted(missing.items()))
            raise RuntimeError(f"this machine lacks a defence: {listed}. Nothing was graded. "
                               f"{' '.join(f'--accept-missing {name}' for name in sorted(missing))} grades anyway")
        failure = (f"{answer.what}: {answer.detail}" if isinstance(answer, sandbox.Failure)
                   else compare.difference(expected, answer, trial))
        if failure:
            raise RuntimeError(f"on this machine the reference itself fails task {task.number} ({failure}, "
                               f"{getattr(answer, 'line', '')}). Nothing was graded")
    nursery.allowed, nursery.pace = set(nursery.off), statistics.median(paces)


def _read(path, tasks, limits):
    """The Attempts. Files are read in processes of their own: whatever happens there is one file's accident."""
    from .apart import Died, apart
    kind, said, _ = apart(lambda: Submission(path) and None, READING)
    if kind:
        raise ValueError(said)
    attempts, left, died = [Attempt(task, limits) for task in tasks], {}, {}
    for attempt in attempts:
        file = attempt.task.file
        if file not in died:
            try:
                kind, found, used = apart(lambda task=attempt.task: _found(task, Submission(path)),
                                          left.get(file, READING))
                left[file] = left.get(file, READING) - used
                if kind:
                    attempt.refused = found
                else:
                    attempt.place, attempt.tree = found
            except Died as error:
                died[file] = f"{file} cannot be graded: {error}"
        attempt.refused = died.get(file, attempt.refused)
    return attempts


def _found(task, submission):
    """Where the task's file lies, and what of it differs from the blank package. Raises Refused."""
    return submission.place(task.file), _changed(task, submission)


def _changed(task, submission):
    """What differs from the blank package in the tree with the student's function in it. Raises Refused."""
    return {name: text for name, text in student_tree(task, submission).items() if blank_package().get(name) != text}
