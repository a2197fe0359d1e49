"""Grade a submission: for each task graft the student's function, run it in a child, compare with the reference.

Points of a task are shared among its kinds of cases (points.py). What a
student reads about a hidden case tells nothing of its inputs but what shapes,
norms and an index tell.
"""

import secrets
import sys
from typing import NamedTuple

from . import jail, manifest, sandbox
from .package import FOLDER, blank_package, student_tree
from .points import HIDDEN, points
from .submission import Refused, Submission
from .trials import TRIALS, compare
from .trials.trial import PUBLIC, generator

PACKAGE = FOLDER
SEED = "MINISHATTER_HIDDEN_SEED"
BLANK = "raised NotImplementedError"  # says enough by itself


class Verdict(NamedTuple):
    """One case: "public" or "hidden", its kind, and why it failed; None if it passed."""

    seed: str
    kind: str
    failure: str


class Result(NamedTuple):
    """One task: its verdicts, or why there are none."""

    task: manifest.Task
    verdicts: list
    refused: str = ""
    place: str = ""  # of the file that was graded

    @property
    def score(self):
        """Points, to a hundredth."""
        return points(self.task.points, {(verdict.seed, verdict.kind): not verdict.failure for verdict in self.verdicts})

    @property
    def output(self):
        """What the student reads: a line for each case."""
        if self.refused:
            return self.refused
        lines = (f"{verdict.seed}, {verdict.kind}: {verdict.failure or 'passed'}" for verdict in self.verdicts)
        return "\n".join([f"graded: {self.place}", *lines])


class Grade(NamedTuple):
    """All results, and {defence: why it is off}."""

    results: list
    off: dict

    @property
    def score(self):
        """Points of all tasks."""
        return round(sum(result.score for result in self.results), 2)


def grade(path, seed=None, tasks=manifest.TASKS, limits=sandbox.Limits()):
    """The Grade of the submission in a folder or zip file.

    seed: the secret text from which hidden cases are drawn; a fresh one if None.
    Raises ValueError if path is neither a folder nor a zip file, RuntimeError if no child process starts,
    or if this is not Linux.
    """
    if sys.platform != "linux":
        raise RuntimeError("Linux only: nothing else can lock a student's code up; here run the public tests")
    submission, seed = Submission(path), seed or secrets.token_hex(16)
    off, results = {}, []
    if not jail.keep_memory_private():
        off["memory"] = "this process cannot be hidden from others of the same user"
    for task in tasks:
        result, more = _grade_task(task, submission, seed, limits)
        results.append(result)
        off |= more
    return Grade(results, off)


def _grade_task(task, submission, seed, limits):
    try:
        tree = student_tree(task, submission)
    except Refused as refused:
        return Result(task, [], str(refused)), {}
    trial = TRIALS[task.number]
    groups = [[trial.draw(generator(text, task.number, kind), kind) for kind in trial.kinds] for text in (PUBLIC, seed)]
    run = sandbox.run(task.number, tree, groups, limits)
    plan = [(label, kind) for label in (PUBLIC, HIDDEN) for kind in trial.kinds]
    verdicts = [Verdict(label, kind, _failure(label, trial, inputs, answer))
                for (label, kind), inputs, answer in zip(plan, [*groups[0], *groups[1]], run.answers)]
    return Result(task, verdicts, place=submission.place(task.file)), run.off


def _failure(label, trial, inputs, answer):
    """None if the answer is right, else what the student may read about it."""
    if isinstance(answer, dict):
        return compare.difference(trial.call(**inputs), answer, trial)
    if label == HIDDEN:
        return answer.what  # a message could carry the inputs away
    line = f", in the line: {answer.line}" if answer.line and answer.what != BLANK else ""
    return answer.what + (f": {answer.detail}" if answer.detail else "") + line
