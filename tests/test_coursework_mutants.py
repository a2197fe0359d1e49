"""Coursework: no wrong solution passes. Every single-place mutant of a reference loses points, or is no mutant.

A mutant (mutants.py) that passes every hidden case must stand below, with the reason why it is no wrong answer.
One mutant in nine is tried on each day, all of them with MINISHATTER_MUTANTS=all in the environment.
"""

import ast
import datetime
import importlib
import os
import re
from functools import cache

import pytest
from numba import config

from minishatter.coursework import manifest, package, source
from minishatter.coursework.trials import TRIALS

from . import mutants, tried

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="nothing here depends on the JIT")
TASKS = {task.number: task for task in manifest.TASKS}
SAMPLE = 9

UNASKED = "checks an argument as the package does; no docstring of a task and no line of the handout asks for it"
WARNING = "only silences a warning of an overflow that is refused anyway"
EQUIVALENT = [  # task, pattern of the mutant's name, why it is as good as the reference
    ("3.1", r".* = _checked\(fan_in, fan_out, rng\) -> pass", UNASKED),
    ("3.1", r"arguments\.number\('gain', gain, low=0\.0\) -> arguments\.number\('gain', gain\)", UNASKED),
    ("3.1", r"0\.0 -> -1\.0", UNASKED),
    ("3.2", r"\[W, -W\] -> \[-W, W\]", "-W has the law of W"),
    ("4.2", r"arguments\.array\('g', g, ndim=\(1, 2\)\) -> arguments\.array\('g', g\)", UNASKED),
    ("4.2", r"\(1, 2\) -> \(2, 1\)", "the order of the allowed numbers of axes says nothing"),
    ("4.2", r"0 -> -1 in if arguments\.integer\('max_lag', max_lag, least=0\)", UNASKED),
    ("4.2", r"_of_size_one\(c - .*\) -> c - c\.mean", "c has size one already, and varies by more than 1e-12 of it: "
                                                     "squares neither overflow nor vanish"),
    ("4.2", r"0 -> -1 in return acf if series\.ndim == 2 else acf\[0\]", "the last of one row is the first"),
    ("4.3", r"(active = )?_pattern\(active\) -> (pass|active)", UNASKED),
    ("5.1", r".* = \(arguments\..*\) -> pass", UNASKED),
    ("5.1", r"share = None if .* -> pass", UNASKED),
    ("5.1", r"arguments\.number\('share', share, low=0\.0\) -> arguments\.number\('share', share\)", UNASKED),
    ("5.1", r"0\.0 -> -1\.0 in share = ", UNASKED),
    ("5.1", r"2 -> 2\.1 in t = np\.repeat", "NumPy counts 2.1 repeats as 2"),
    ("5.1", r"with np\.errstate.* -> if True", WARNING),
    ("5.1", r"np\.errstate\(over='ignore', invalid='ignore'\) -> ", WARNING),
    ("5.1", r"rng\.random\(t\.shape\) < 0\.5 -> rng\.random\(t\.shape\) (<=|>) 0\.5", "a fair coin's other side"),
    ("5.1", r"skip \* t \+ branch .* -> skip \* t - branch", "-W has the law of W"),
    ("5.1", r"1 -> 2 in readout = ", "a second read-out that nobody reads"),
    ("5.1", r"0 -> -1 in gradients = \(t @ readout\)\[:, :, 0\]", "there is one read-out: the last is the first"),
    ("5.1", r"if not np\.isfinite\(gradients\)\.all\(\): -> if False", UNASKED),
    ("5.1", r"raise ValueError\(f'depth must be smaller.* -> pass", UNASKED),
    ("5.2", r"with np\.errstate.* -> if True", WARNING),
    ("5.2", r"np\.errstate\(over='ignore', invalid='ignore'\) -> ", WARNING),
    ("5.3", r"arguments\.array\('D', D, ndim=2\) -> arguments\.array\('D', D\)", UNASKED),
]


def excused(number, name):
    """The rows that say why a mutant is none."""
    return [row for row in EQUIVALENT if row[0] == number and re.match(row[1], name)]


@cache
def made(task):
    """[(name, tree)] of every mutant of a task's reference."""
    text = (package.FOLDER / task.file).read_text(encoding="utf-8")
    return list(mutants.mutants(source.find(ast.parse(text), task.object)))


def survives(task, tree, monkeypatch):
    """Does the function of this tree, in the place of the reference, pass every hidden case?"""
    module = importlib.import_module(f"minishatter.{task.file.removesuffix('.py')}")
    scope, _, name = task.object.rpartition(".")
    names = dict(vars(module))
    try:
        exec(compile(ast.Module([tree], []), task.file, "exec"), names)
    except SyntaxError:
        return False
    for kind in TRIALS[task.number].kinds:
        tried.case(task.number, kind)  # by the reference, while it is there
    with monkeypatch.context() as patch:
        patch.setattr(getattr(module, scope) if scope else module, name, names[name])
        return not any(tried.failures(task, TRIALS[task.number], first_only=True).values())


def test_every_kind_of_mutant_is_made():
    text = ("def f(x, n):\n    'Doc 1 + 1.'\n    if x < 0:\n        raise ValueError(f'{n + 1}')\n"
            "    y = -g(x, axis=0)\n"
            "    return y.T + 2.0, h(y) if n else y\n")
    full = [name for name, _ in mutants.mutants(ast.parse(text).body[0])]
    names = [name.partition(" in ")[0] for name in full]
    assert {"x < 0 -> x <= 0", "x < 0 -> x > 0", "0 -> 1", "if x < 0: -> if True:", "if x < 0: -> if False:",
            "-g(x, axis=0) -> g(x, axis=0)", "g(x, axis=0) -> g(x)", "y = -g(x, axis=0) -> pass", "y.T -> y",
            "y.T + 2.0 -> y.T - 2.0", "2.0 -> 3.0", "h(y) -> y", "h(y) if n else y -> y",
            "raise ValueError(f'{n + 1}') -> pass"} <= set(names)
    assert len(set(full)) == len(full) and not any("n + 1 ->" in name or "Doc" in name for name in names)


@pytest.mark.parametrize("number", TASKS)
def test_a_mutant_loses_points_or_is_excused(number, monkeypatch):
    every = made(TASKS[number])
    whole = os.environ.get("MINISHATTER_MUTANTS") == "all"
    offset = datetime.date.today().toordinal() % SAMPLE
    chosen = every if whole else every[offset::SAMPLE]
    alive = [name for name, tree in chosen if not excused(number, name) or whole
             if survives(TASKS[number], tree, monkeypatch)]
    assert [name for name in alive if not excused(number, name)] == []
    if whole:  # and every excuse is needed
        needed = [row for name in alive for row in excused(number, name)]
        assert [row for row in EQUIVALENT if row[0] == number and row not in needed] == []


def test_every_excuse_names_a_mutant():
    for number, pattern, _ in EQUIVALENT:
        assert any(re.match(pattern, name) for name, _ in made(TASKS[number])), (number, pattern)
