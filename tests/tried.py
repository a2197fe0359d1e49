"""Try an answer to a task as the grader does, but in this process: take it, import it beside stand-ins, call, compare.

The child process and its defences are tested elsewhere; here many answers are tried in little time,
each on the hidden case of every kind.
"""

import contextlib
import importlib
import shutil
import signal
import sys
import tempfile
import warnings
from functools import cache
from pathlib import Path

import numpy as np

from minishatter.coursework import furniture, package, sandbox, source
from minishatter.coursework.submission import Refused
from minishatter.coursework.trials import TRIALS, compare
from minishatter.coursework.trials.trial import generator, plain

SECRET = "a secret that nobody can guess"
SWAPPED = ("minishatter", "trials", "numba", "llvmlite")
SECONDS = 20


class Handed:
    """A submission of the texts of some files; the others are as students get them."""

    def __init__(self, files):
        self.files = files

    def source(self, name):
        """The text of one file."""
        return self.files.get(name) or package.blank_package()[name]


def solved(task, body=None, before="", after=""):
    """The file of a task as handed out, with this body in the hole, or the reference's; and lines around it all."""
    text = package.blank_package()[task.file]
    first, last = source.body_lines(text, task.object)
    lines = text.splitlines()
    indent = " " * (len(lines[first - 1]) - len(lines[first - 1].lstrip()))
    own = reference_body(task) if body is None else [indent + line if line else line for line in body.splitlines()]
    opening, rest = _behind_the_imports(lines, first)
    return "\n".join([*opening, before, *rest, *own, *lines[last:], after]) + "\n"


def _behind_the_imports(lines, first):
    place = max(i for i, line in enumerate(lines[:first]) if line.startswith(("import ", "from "))) + 1
    return lines[:place], lines[place:first - 1]


def reference_body(task):
    """The lines of the body that is the reference."""
    text = (package.FOLDER / task.file).read_text(encoding="utf-8")
    first, last = source.body_lines(text, task.object)
    return text.splitlines()[first - 1:last]


@contextlib.contextmanager
def imported(tree):
    """The trials of a child process, on the package in `tree`, {file: text}; this process's own modules come back."""
    kept = {name: module for name, module in sys.modules.items() if name.split(".")[0] in SWAPPED}
    with tempfile.TemporaryDirectory() as folder:
        box = Path(folder)
        texts = {f"minishatter/{name}": text for name, text in tree.items()} | furniture.STAND_INS
        for name, text in texts.items():
            (box / name).parent.mkdir(parents=True, exist_ok=True)
            (box / name).write_text(text, encoding="utf-8")
        shutil.copytree(sandbox.HERE / "trials", box / "trials", ignore=shutil.ignore_patterns("__pycache__"))
        bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
        sys.path.insert(0, folder)
        try:
            _forget()
            importlib.invalidate_caches()
            yield importlib.import_module("trials").TRIALS
        finally:
            sys.path.remove(folder)
            sys.dont_write_bytecode = bytecode
            _forget()
            sys.modules.update(kept)


def _forget():
    for name in [name for name in sys.modules if name.split(".")[0] in SWAPPED]:
        del sys.modules[name]


@cache
def case(number, kind):
    """The inputs of a hidden case, and what the reference gives for them."""
    trial = TRIALS[number]
    given = trial.draw(generator(SECRET, number, kind), kind)
    for array in given.values():
        np.asarray(array).setflags(write=False)
    return given, plain(trial.call(**given))


def failures(task, trial, first_only=False):
    """{kind: why its hidden case failed, or None} of the functions that `trial` calls."""
    found = {}
    for kind in TRIALS[task.number].kinds:
        given, expected = case(task.number, kind)
        try:
            with warnings.catch_warnings(), limit(SECONDS):
                warnings.simplefilter("ignore")
                found[kind] = compare.difference(expected, plain(trial.call(**given)), TRIALS[task.number])
        except Exception as error:  # whatever a wrong answer raises
            found[kind] = f"raised {type(error).__name__}: {error}"
        if first_only and found[kind]:
            break
    return found


def tried(task, files):
    """{kind: why it failed, or None}, or what refuses the answer, for the file texts of a submission."""
    try:
        tree = package.student_tree(task, Handed(files))
    except Refused as refused:
        return {kind: str(refused) for kind in TRIALS[task.number].kinds}
    try:
        with imported(tree) as trials:
            return failures(task, trials[task.number])
    except ImportError as error:
        return {kind: f"raised {type(error).__name__}: {error}" for kind in TRIALS[task.number].kinds}


@contextlib.contextmanager
def limit(seconds):
    """Raise TimeoutError when the block takes longer."""
    def stop(*_):
        raise TimeoutError(f"stopped after {seconds} s")
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
