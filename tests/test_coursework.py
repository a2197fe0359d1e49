"""Coursework, the honest way round: what is handed out has holes, and each filled hole scores exactly its task."""

import ast
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import xml.etree.ElementTree as xml
import zipfile
from pathlib import Path

import numpy as np
import pytest

from minishatter.coursework import grade, manifest, release, results, source
from minishatter.coursework.__main__ import main
from minishatter.coursework.questions import QUESTIONS
from minishatter.coursework.submission import Submission
from minishatter.coursework.trials import TRIALS, compare
from minishatter.coursework.trials.trial import Trial, generator

ROOT = Path(__file__).resolve().parent.parent
SECRET = "a secret's \"text\""


def copied(folder):
    """The package as a submission: the grader refuses the folder in which it lies itself."""
    shutil.copytree(grade.PACKAGE, folder / "handed in" / "minishatter")
    return str(folder / "handed in")


every_task = pytest.mark.parametrize("task", manifest.TASKS, ids=lambda task: task.number)


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """A fresh release: the folder with student/ and instructor/ in it."""
    out = tmp_path_factory.mktemp("released") / "out"
    release.release(out, SECRET)
    return out


def body(task):
    """The lines of a task's solution."""
    text = (grade.PACKAGE / task.file).read_text(encoding="utf-8")
    first, last = source.body_lines(text, task.object)
    return text.splitlines()[first - 1:last]


def filled(task):
    """A submission of one file: as handed out, with one solution pasted back, as a student would."""
    text = grade.blank_package()[task.file]
    first, last = source.body_lines(text, task.object)
    lines = text.splitlines()
    return "\n".join([*lines[:first - 1], *body(task), *lines[last:]]) + "\n"


# The manifest.


def test_the_manifest_is_in_order_and_adds_up():
    numbers = [task.number for task in manifest.TASKS]
    assert numbers == sorted(set(numbers)) and len(numbers) in range(11, 16)
    assert manifest.TOTAL == 100 and set(TRIALS) == set(numbers)
    for task in manifest.TASKS:
        assert all(number < task.number for number in task.requires) and set(task.requires) <= set(numbers)
        assert task.idea.endswith(".") and 5 <= task.minutes <= 90
        assert len(list((ROOT / "tutorials").glob(f"{task.tutorial}_*.py"))) == 1
    assert {question.chapter for question in QUESTIONS} == {int(number[0]) for number in numbers}


@every_task
def test_a_task_is_a_function_of_the_package_and_no_kernel(task):
    assert source.find(ast.parse((grade.PACKAGE / task.file).read_text()), task.object)
    assert task.file not in ("kernels.py", "images/kernels.py") and task.message == (
        f"Task {task.number}: {task.object}. Check yourself with: pytest -m task{task.number.replace('.', '_')}")


def test_the_sources_carry_no_marks():
    assert not [path.name for path in grade.PACKAGE.glob("*.py") if re.search(r"coursework|Task \d", path.read_text())]


# Sources with holes.


def test_blanking_keeps_signature_docstring_and_neighbours():
    text = ('class A:\n    """Doc."""\n\n    def f(self, x):\n        """Equation."""\n'
            '        # how\n        y = x\n        return y\n\n    def g(self):\n        return 1\n')
    assert source.blank(text, {"A.f": 'Say "this"'}) == (
        'class A:\n    """Doc."""\n\n    def f(self, x):\n        """Equation."""\n'
        '        raise NotImplementedError("Say \\"this\\"")\n\n    def g(self):\n        return 1\n')


@pytest.mark.parametrize("name", ["A.h", "B.f", "f"])
def test_a_task_that_is_no_function_is_refused(name):
    with pytest.raises(ValueError, match="no function"):
        source.blank("class A:\n    def f(self):\n        return 1\n", {name: ""})


GIVEN = """import math

LIMIT = 1


def helper(x):
    return x


class A:
    def f(self, x):
        raise ValueError
"""
SUBMITTED = """

class A:
    def f(self, x):
        return mine(helper(self._own(x)))

    def _own(self, x):
        return x
"""


@pytest.mark.parametrize("more, there, gone", [
    ("def mine(x):\n    return other(x)\n\ndef other(x):\n    return x\n", ["def mine", "def other"], []),
    ("import numpy as mine\n", ["import numpy as mine"], []),
    ("mine = other = 3\n", ["mine = other = 3"], []),
    ("def unused():\n    pass\n\nmine = abs\n", ["mine = abs"], ["unused"]),
    ("def helper(x):\n    return 7\n\nmine = abs\n", ["return x\n"], ["return 7"]),
    ("mine = abs\nLIMIT = 2\nwhile True:\n    pass\n", ["LIMIT = 1"], ["LIMIT = 2", "while"]),
    ("from __future__ import mine\n", [], ["__future__"])])
def test_a_graft_takes_what_is_new_and_needed(more, there, gone):
    grafted = source.graft(GIVEN, ast.parse(more + SUBMITTED), "A.f")
    assert all(text in grafted for text in [*there, "mine(helper(", "def _own"])
    assert not any(text in grafted for text in [*gone, "raise ValueError"])


SLIPS = """import numpy as np


def f(x):
    '''One.

    Two.
    '''
    return (x


class A:
    '''Doc
    more.'''

    def g(self):
        return 1 +

    def h(self):
        return 2


def k():
    return 3
"""


def test_a_slip_in_one_function_leaves_the_others_readable():
    tree, error = source.read(SLIPS)
    assert "SyntaxError" in error and "line" in error
    assert [bool(source.find(tree, name)) for name in ("f", "A.g", "A.h", "k")] == [False, False, True, True]
    assert source.read("x = 1")[1] is None


# The release.


def test_no_line_of_a_solution_is_in_the_students_folder(released):
    """In no file, under any indentation; but for lines that the package has outside of all tasks, listed below."""
    texts = [path.read_text(encoding="utf-8") for path in (released / "student").rglob("*")
             if path.is_file() and path.suffix != ".npz"]
    handed_out = {line.strip() for text in texts for line in text.splitlines()}
    found = {line.strip() for task in manifest.TASKS for line in body(task)} & handed_out - {""}
    assert found == SHARED


# Lines of other, given functions too: a solution has them in common with code that everybody reads.
SHARED = {
    "xhat, std = cache",                                         # BatchNorm.tangent
    'with np.errstate(over="ignore", invalid="ignore"):',        # wherever gradients may overflow
    "x, layers = _checked(net, x, statistics)",                  # input_gradient, the same by another way
    'if statistics == "through":',
    "return _finite(_pull_back(layers, x))",
    "for layer in layers:",
    "layer = layer.freeze(value)",                               # _push_by_layer, its rule for any other layer
}


def test_the_students_folder_has_no_grader_and_no_solution_elsewhere(released):
    names = {path.relative_to(released / "student").as_posix() for path in (released / "student").rglob("*.*")}
    assert not [name for name in names if re.search("coursework|TEACHING|RUBRIC|SOLUTIONS|seed|autograder", name)]
    for path in (released / "student").rglob("*.*"):
        assert SECRET.encode() not in path.read_bytes()
    needed = {task.tutorial for task in manifest.TASKS}
    assert {name[10:12] for name in names if name.startswith("tutorials/")} == {*needed, "__"}
    handout = (released / "student" / "HANDOUT.md").read_text()
    places = [handout.index(f"| {task.number} `{task.object}`") for task in manifest.TASKS]
    assert places == sorted(places) and all(question.text in handout for question in QUESTIONS)
    assert not any(question.solution in handout for question in QUESTIONS)
    assert all(question.solution in (released / "instructor" / "SOLUTIONS.md").read_text() for question in QUESTIONS)


def pytest_in(folder, *options):
    """Run a student's tests as a student does, on the package in that folder."""
    environment = os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *options], cwd=folder,
                          env=environment, capture_output=True, text=True, timeout=300)


def test_a_fresh_release_imports_and_fails_each_public_case_with_its_own_message(released):
    done = pytest_in(released / "student", "--tb=line", "-rN")
    count = sum(len(trial.kinds) for trial in TRIALS.values())
    assert done.returncode == 1 and f"{count} failed" in done.stdout and "passed" not in done.stdout, done.stdout
    for task in manifest.TASKS:
        said = re.findall(rf"^E +NotImplementedError: {re.escape(task.message)}$", done.stdout, re.MULTILINE)
        assert len(said) == len(TRIALS[task.number].kinds)


def test_the_public_cases_of_a_solved_task_pass_by_its_marker(tmp_path):
    release.release(tmp_path / "out", SECRET)
    student = tmp_path / "out" / "student"
    task = manifest.TASKS[4]
    (student / "minishatter" / task.file).write_text(filled(task))
    done = pytest_in(student, "-m", "task2_1")
    assert done.returncode == 0 and "5 passed" in done.stdout, done.stdout


def test_the_students_markers_are_registered(released):
    text = (released / "student" / "setup.cfg").read_text()
    assert "--strict-markers" in text and "file: HANDOUT.md" in text and "README" not in text
    assert all(f"    {task.marker}: {task.name}\n" in text for task in manifest.TASKS)


def test_public_cases_are_drawn_as_hidden_ones_are(released):
    """From the same generators; only the seed differs, and another secret gives other inputs."""
    for number, trial in TRIALS.items():
        with np.load(released / "student" / "tests" / "public" / f"{number}.npz", allow_pickle=False) as stored:
            for kind in trial.kinds:
                drawn = [trial.draw(generator(seed, number, kind), kind) for seed in ("public", "one", "other")]
                assert all(np.array_equal(stored[f"{kind}/in/{name}"], array) for name, array in drawn[0].items())
                assert [set(inputs) for inputs in drawn] == [set(drawn[0])] * 3
                assert len({b"".join(np.asarray(a).tobytes() for a in inputs.values()) for inputs in drawn}) == 3


def test_a_release_goes_into_a_new_folder_and_needs_the_source_tree(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="exists"):
        release.release(tmp_path)
    monkeypatch.setattr(release, "ROOT", tmp_path)
    with pytest.raises(ValueError, match="source tree"):
        release.release(tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


# Gradescope.


def test_the_zip_has_gradescopes_layout_and_grades_by_itself(released, tmp_path):
    """Run as Gradescope does, but for the place of its folder, and this Python in the place of the one in setup.sh."""
    data = (released / "instructor" / "autograder.zip").read_bytes()
    assert release.autograder(SECRET) == data
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in ("setup.sh", "run_autograder"):
            assert archive.getinfo(name).external_attr >> 16 == 0o755
            assert archive.read(name).startswith(b"#!/usr/bin/env bash\n")
        run = archive.read("run_autograder").decode()
        archive.extractall(tmp_path / "source")
    assert "/autograder/submission" in run and "/autograder/results/results.json" in run
    assert f"export {grade.SEED}={shlex.quote(SECRET)}\n" in run
    for folder in ("submission", "results", "venv/bin"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "submission" / "layers.py").write_text(filled(manifest.TASKS[0]))
    (tmp_path / "run_autograder").write_text(run.replace("/autograder/", f"{tmp_path}/"))
    (tmp_path / "venv" / "bin" / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (tmp_path / "venv" / "bin" / "python").chmod(0o755)
    done = subprocess.run(["bash", "run_autograder"], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    tests = validate((tmp_path / "results" / "results.json").read_text())
    assert {test["number"]: test["score"] for test in tests if test["score"]} == {"1.1": 8.0}
    assert "is missing" in next(test["output"] for test in tests if test["number"] == "3.1")


# Gradescope's documented fields, and what they hold.
TOP = {"score": float, "execution_time": int, "output": str, "output_format": str, "test_output_format": str,
       "test_name_format": str, "visibility": str, "stdout_visibility": str, "extra_data": dict, "tests": list,
       "leaderboard": list}
TEST = {"score": float, "max_score": float, "status": str, "name": str, "name_format": str, "number": str,
        "output": str, "output_format": str, "tags": list, "visibility": str, "extra_data": dict}
VISIBILITIES = {"hidden", "after_due_date", "after_published", "visible"}


def validate(text):
    """The results of a results.json that Gradescope would accept."""
    top = json.loads(text)
    assert all(isinstance(value, TOP[name]) for name, value in top.items())
    assert {top["visibility"], top["stdout_visibility"]} <= VISIBILITIES and top["tests"]
    for test in top["tests"]:
        assert all(isinstance(value, TEST[name]) for name, value in test.items())
        assert {"score", "max_score", "name", "number", "status", "output", "visibility"} <= set(test)
        assert test["status"] in {"passed", "failed"} and test["visibility"] in VISIBILITIES
        assert 0 <= test["score"] <= test["max_score"]
    return top["tests"]


# The round trip.


MEASURED = """
import re, resource, sys
from pathlib import Path
from minishatter.coursework.__main__ import main

code = main(sys.argv[1:])
own, children = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text()).group(1))
print("used", sum(use.ru_utime + use.ru_stime for use in (own, children)), peak + children.ru_maxrss)
sys.exit(code)
"""


def test_the_reference_scores_full_marks_in_time_and_memory(tmp_path, monkeypatch):
    """On half a core in 60 s: less than 30 s of processor time; 768 MB: the parent's peak and one child's.

    The parent's peak is VmHWM: its own ru_maxrss would begin with the memory of the test process that started it.
    """
    monkeypatch.setenv(grade.SEED, SECRET)
    done = subprocess.run([sys.executable, "-c", MEASURED, "grade", copied(tmp_path), "--out", tmp_path / "results.json",
                           "--junitxml", tmp_path / "junit.xml"], capture_output=True, text=True, timeout=300, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    seconds, kilobytes = map(float, re.search(r"used (\S+) (\S+)", done.stdout).groups())
    assert seconds < 30 and kilobytes < 768 * 1024
    assert re.search(r"^total +100 / 100$", done.stdout, re.MULTILINE) and grade.SEED not in done.stdout
    tests = validate((tmp_path / "results.json").read_text())
    assert [(test["number"], test["score"], test["status"]) for test in tests] == [
        (task.number, float(task.points), "passed") for task in manifest.TASKS]
    suite = xml.parse(tmp_path / "junit.xml").getroot()
    assert int(suite.get("failures")) == 0 and int(suite.get("tests")) == len(suite) == 2 * sum(
        len(trial.kinds) for trial in TRIALS.values())


def test_a_fresh_release_scores_nothing_and_each_task_names_itself(released):
    graded = grade.grade(released / "student", SECRET)
    assert graded.score == 0
    for result in graded.results:
        assert result.task.message in result.output and "passed" not in result.output
    tests = validate(results.gradescope(graded, 1.0))
    assert {test["status"] for test in tests} == {"failed"}
    assert xml.fromstring(results.junit(graded, 1.0)).get("failures") != "0"


@every_task
def test_pasting_one_solution_back_scores_exactly_that_task(task, tmp_path):
    """All other tasks run on the tree that they run on in a fresh release, which scores 0."""
    (tmp_path / task.file).write_text(filled(task))
    submission = Submission(tmp_path)
    graded = grade.grade(tmp_path, SECRET, [task])
    assert graded.score == task.points, results.table(graded)
    for other in manifest.TASKS:
        if other.file == task.file and other != task:
            fresh = grade.blank_package()
            assert ast.dump(ast.parse(grade.student_tree(other, submission)[other.file])) == ast.dump(
                ast.parse(source.graft(fresh[other.file], ast.parse(fresh[other.file]), other.object)))


MISTAKES = [  # task, what is replaced in its solution, by what; the share of its points, and what the student reads
    ("1.1", "cache.x.T @ dy", "dy.T @ cache.x", 0, r"dW: expected shape \(5, 3\), norm \S+; received shape \(3, 5\)"),
    ("1.1", "dy.sum(axis=0)", "dy.mean(axis=0)", 1 / 3, r"db: .*relative error 0\.\d+, first differs at \[0\]"),
    ("1.4", "d_positive - d_negative", "d_positive + d_negative", 0, "first differs at"),
    ("2.1", "dxhat - dxhat.mean(axis=0)", "dxhat", 0, "dx: .*relative error"),
    ("2.1", "self.params[\"scale\"] * dy", "dy", 1 / 5, "random scale and shift: dx"),
    ("2.2", "weight * dy", "dy", 1 / 4, "weighted: dx"),
    ("3.1", "/ fan_in)", "/ fan_out)", 0, "second moment"),
    ("3.2", "[W, -W]", "[W, W]", 0, "upper half plus lower half"),
    ("4.1", "np.cumsum(white_noise(shape, rng), axis=-1)", "white_noise(shape, rng)", 0, "second moment"),
    ("4.2", "c - c.mean(axis=1, keepdims=True)", "c", 1 / 5, "acf"),
    ("4.2", "c / np.abs(c).max(axis=1, keepdims=True)", "c", 4 / 5, "an exploded gradient: acf: NaN"),
    ("4.3", "k * (k - 1) / (N * (N - 1))", "(k / N)**2", 0, "coactivity"),
    ("5.1", "rng.random(t.shape)", "rng.random((runs, 1, width))", 0, r"C\(1,2\)"),
    ("5.1", "math.sqrt(2 / width)", "math.sqrt(1 / width)", 0, r"C\(1,1\)"),
    ("5.2", "layer.freeze(value)", "layer", 1 / 2, r"batch normalisation: f'\(x\)"),
    ("5.3", "(s / s[0]) ** 2", "(s / s[0])", 0, "rank"),
]


@pytest.mark.parametrize("number, right, wrong, share, reads", MISTAKES, ids=[f"{m[0]} {m[2]}" for m in MISTAKES])
def test_a_common_mistake_costs_its_cases_and_is_explained(number, right, wrong, share, reads, tmp_path):
    task = next(task for task in manifest.TASKS if task.number == number)
    solution = "\n".join(body(task))
    assert right in solution
    (tmp_path / task.file).write_text(filled(task).replace(solution, solution.replace(right, wrong, 1)))
    graded = grade.grade(tmp_path, SECRET, [task])
    assert graded.score == pytest.approx(task.points * share, abs=0.01), results.table(graded)
    assert re.search(reads, graded.results[0].output), graded.results[0].output


def test_feedback_never_holds_the_expected_numbers():
    right = {"a": np.random.default_rng(0).normal(size=(4, 3))}
    for wrong in (right["a"] + 1, right["a"].T, np.full((4, 3), np.nan), right["a"].astype(np.float32)):
        line = compare.difference(right, {"a": wrong}, Trial(None, None, ()))
        assert line and not any(f"{abs(number):.4g}" in line for number in right["a"].ravel())
    assert compare.difference(right, {"a": right["a"] + 1e-12}, Trial(None, None, ())) is None
    assert compare.difference(right, {}, Trial(None, None, ())) == "a is missing"


def test_random_functions_may_draw_in_another_order(tmp_path):
    """Other gates, the weights in another order: other numbers, the same law."""
    text = filled(manifest.TASKS[11])
    text = text.replace("gate = rng.random(t.shape) < 0.5", "gate = rng.random(t.shape) > 0.5")
    text = text.replace("rng.standard_normal((runs, width, width))",
                        "rng.normal(size=(width, runs, width)).swapaxes(0, 1)")
    (tmp_path / "theory.py").write_text(text)
    assert grade.grade(tmp_path, SECRET, [manifest.TASKS[11]]).score == manifest.TASKS[11].points


# The command line.


def test_the_command_line_grades_one_task_and_warns_without_a_seed(monkeypatch, capsys, tmp_path):
    monkeypatch.delenv(grade.SEED, raising=False)
    assert main(["grade", copied(tmp_path), "--task", "1.2"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"1\.2 +ReLU\.tangent +4 / 4", out) and "total" in out and f"{grade.SEED} is not set" in out


@pytest.mark.parametrize("arguments, says", [(["grade", "nowhere"], "folder or a zip file"),
                                             (["release", "."], "exists")])
def test_the_command_line_says_what_is_wrong(arguments, says, capsys):
    assert main(arguments) == 2
    assert says in capsys.readouterr().err


def test_the_hidden_seed_decides_the_hidden_cases_and_nothing_else(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(grade.SEED, SECRET)
    assert main(["grade", copied(tmp_path), "--task", "4.3", "--out", str(tmp_path / "r.json")]) == 0
    assert grade.SEED not in os.environ and SECRET not in (tmp_path / "r.json").read_text() + capsys.readouterr().out
