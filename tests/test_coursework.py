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
from textwrap import indent

import numpy as np
import pytest

from minishatter.coursework import grade, graft, manifest, package, release, results, sandbox, source
from minishatter.coursework.__main__ import main
from minishatter.coursework import submission as submissions
from minishatter.coursework.questions import QUESTIONS
from minishatter.coursework.submission import Refused, Submission
from minishatter.coursework.trials import TRIALS, compare
from minishatter.coursework.trials.trial import Trial, generator

from . import STRICT
from .tried import reference_body

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
    return reference_body(task)


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
    assert {question.chapter for question in QUESTIONS} == {int(number[0]) for number in numbers}


@every_task
def test_a_task_is_a_function_of_the_package_and_no_kernel(task):
    assert source.find(ast.parse((grade.PACKAGE / task.file).read_text()), task.object)
    assert task.file not in ("kernels.py", "images/kernels.py", "images/channel_kernels.py") and task.message == (
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
    ("from __future__ import mine\nmine = abs\n", ["mine = abs"], ["__future__"]),
    ("from __future__ import annotations\nmine = abs\n", ["from __future__ import annotations"], []),
    ("if True:\n    mine = abs\nif LIMIT:\n    unused = 1\n", ["if True:"], ["unused"]),
    ("try:\n    import scipy as mine\nexcept ImportError:\n    mine = abs\n", ["import scipy as mine"], ["_Absent"]),
    ("import scipy as mine\n", ["mine = _Absent('scipy')"], ["import scipy"]),
    ("import math, operator as mine\n", ["import operator as mine"], []),
    ("from operator import *\nmine = neg\n", ["from operator import neg"], ["import add", "*"]),
    ("mine = []\nmine.append(1)\nother = 2\n", ["mine.append(1)"], ["other"]),
    ("x = 1\nmine = abs\n", [], ["x = 1"]),  # a local name of the function is not the module's
    ("def mine(x: NoSuchType) -> NoSuchType:\n    return x\n", ["def mine(x):"], ["NoSuchType"])])
def test_a_graft_takes_what_is_new_and_needed(more, there, gone):
    grafted = graft.graft(GIVEN, ast.parse(more + SUBMITTED), "A.f")
    assert all(text in grafted for text in [*there, "mine(helper(", "def _own"])
    assert not any(text in grafted for text in [*gone, "raise ValueError"])


@pytest.mark.parametrize("more, says", [
    ("mine, LIMIT = abs, 2\n", "mine is defined in line 1 together with LIMIT"),
    ("from nowhere import *\n", "from nowhere import \\* is not taken, and mine may come from it"),
    ("from . import *\n", "from . import \\* is not taken")])
def test_what_cannot_be_taken_is_said(more, says):
    with pytest.raises(graft.NotTaken, match=says):
        graft.graft(GIVEN, ast.parse(more + SUBMITTED), "A.f")


def test_helpers_keep_their_place_and_given_classes_get_members():
    """A helper that extends a given class stands behind it; a chain of 3,000 names is taken in a moment."""
    chain = "".join(f"a{i} = a{i + 1}\n" for i in range(2999, -1, -1))
    text = f"{SUBMITTED}class B(A):\n    pass\n\n\ndef mine(x):\n    return B, a0, x.extra()\n\n\na3000 = 1\n{chain}"
    text = text.replace("    def _own", "    def extra(self):\n        return 1\n\n    def _own")
    grafted = graft.graft(GIVEN, ast.parse(text), "A.f")
    exec(compile(grafted, "grafted", "exec"), {})
    assert grafted.index("class A") < grafted.index("class B(A)") < grafted.index("def mine") and "def extra" in grafted


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
    "grads: Grads = {}",                                         # Chain.backward
    "xhat, std = cache",                                         # BatchNorm.tangent
    "fan_in, fan_out, rng = _checked(fan_in, fan_out, rng)",     # every other draw of init.py
    'with np.errstate(over="ignore", invalid="ignore"):',        # wherever gradients may overflow
    "x, layers = _checked(net, x, statistics)",                  # input_gradient, the same by another way
    'if statistics == "through":',
    "return _pull_back(layers, x)",
    "for layer in layers:",
}


def test_the_students_folder_has_no_grader_and_no_solution_elsewhere(released):
    names = {path.relative_to(released / "student").as_posix() for path in (released / "student").rglob("*.*")}
    assert not [name for name in names if re.search("coursework|TEACHING|RUBRIC|SOLUTIONS|seed|autograder", name)]
    for path in filter(Path.is_file, (released / "student").rglob("*")):
        assert SECRET.encode() not in path.read_bytes()
    for task in manifest.TASKS:  # the lesson that a task names is there, and prepares for it
        lesson, = (released / "student" / "tutorials").glob(f"{task.tutorial}_*.py")
        assert task.shows in lesson.read_text(), task
    needed = {task.tutorial for task in manifest.TASKS} | set(release.ALONGSIDE)
    assert {name[10:12] for name in names if name.startswith("tutorials/")} == {*needed, "co"}  # conventions.py
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
        said = re.findall(rf"^.*: {re.escape(task.message)}$", done.stdout, re.MULTILINE)
        assert len(said) == len(TRIALS[task.number].kinds)


def test_at_home_the_rules_are_the_graders(released, tmp_path):
    """One answer is right; one calls a task that it may not, one the fast path, one gives a list."""
    student = tmp_path / "student"
    shutil.copytree(released / "student", student)
    chosen = [task for task in manifest.TASKS if task.number in ("2.1", "1.3")]
    submission(student / "minishatter", *chosen, t1_2="return self.backward(t, cache)[0]",
               t1_4="return np.zeros((len(dy), dy.shape[1] // 2)).tolist(), {}")
    text = (student / "minishatter" / "gradients.py").read_text()
    first, last = source.body_lines(text, "readable_gradient")
    lines = text.splitlines()
    lines[first - 1:last] = ["    return input_gradient(net, x, statistics)"]
    (student / "minishatter" / "gradients.py").write_text("\n".join(lines))
    done = pytest_in(student, "-m", "task2_1 or task1_2 or task1_4 or task5_2", "-rN")
    assert "12 failed, 5 passed" in done.stdout, done.stdout
    for said in ("Task 1.2: ReLU.tangent must not call ReLU.backward: task 1.3",
                 "Task 5.2: readable_gradient must not call "
                 "gradients.input_gradient", "dx must be a NumPy array or a number, got list"):
        assert said in done.stdout, done.stdout
    assert "site-packages" not in done.stdout and len(done.stdout.splitlines()) < 200


def test_the_lesson_on_backward_rules_runs_when_its_tasks_are_solved(released):
    """On the package with the solutions; as handed out it stops where the first hole is, with that task's message."""
    lesson = released / "student" / release.LESSON
    for package_folder, ends in ((ROOT, "all rules agree"), (released / "student", "Task 1.4: CReLU.backward")):
        done = subprocess.run([sys.executable, *STRICT, lesson], cwd=released, capture_output=True, text=True,
                              timeout=300, env=os.environ | {"PYTHONPATH": str(package_folder)})
        assert ends in (done.stdout + done.stderr).splitlines()[-1] and "<dx, t>" in done.stdout, done.stderr


def test_the_students_markers_are_registered(released):
    text = (released / "student" / "setup.cfg").read_text()
    assert "--strict-markers" in text and "--tb=short" in text and "file: HANDOUT.md" in text
    assert "README" not in text and "dask" not in text and "pytest" in text
    assert all(f"    {task.marker}: {task.name}\n" in text for task in manifest.TASKS)


def test_public_cases_are_drawn_as_hidden_ones_are(released):
    """From the same generators; only the seed differs, and another secret gives other inputs."""
    for number, trial in TRIALS.items():
        with np.load(released / "student" / "tests" / "public" / f"{number}.npz", allow_pickle=False) as stored:
            for kind in trial.kinds:
                drawn = [trial.draw(generator(seed, number, kind), kind) for seed in ("public", "one", "other")]
                assert all(np.array_equal(stored[f"{kind}/in/{name}"], array, equal_nan=True)
                           for name, array in drawn[0].items())
                assert [set(inputs) for inputs in drawn] == [set(drawn[0])] * 3
                assert len({b"".join(np.asarray(a).tobytes() for a in inputs.values()) for inputs in drawn}) == 3


def test_a_release_goes_into_a_new_folder_and_needs_the_source_tree(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="exists"):
        release.release(tmp_path)
    for weak in ("fall2026", "abababababababababab"):
        with pytest.raises(ValueError, match="secret text"):
            release.release(tmp_path / "new", weak)
    monkeypatch.setattr(release, "ROOT", tmp_path)
    with pytest.raises(ValueError, match="source tree"):
        release.release(tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_what_stands_above_a_hole_is_not_the_answer(released):
    """Every hole has a docstring; of the texts in HIDDEN none is handed out."""
    student = released / "student" / "minishatter"
    for task in manifest.TASKS:
        function = source.find(ast.parse((student / task.file).read_text()), task.object)
        assert ast.get_docstring(function) and len(function.body) == 2
    for name, answer, _ in manifest.HIDDEN:
        for line in filter(None, map(str.strip, answer.splitlines())):
            assert line not in (student / name).read_text(), line
    handed_out = (student / "layers.py").read_text() + (student / "compose.py").read_text()
    for equation in ("dy W^T", "x^T dy", "dx = dy where x > 0", "d_positive - d_negative", "P dxhat", "J_k^T (w_k dy)"):
        assert equation not in handed_out


def test_a_text_to_be_hidden_that_is_not_there_is_an_error(monkeypatch):
    monkeypatch.setattr(manifest, "HIDDEN", (("layers.py", "no such text", ""),))
    with pytest.raises(ValueError, match="layers.py must hold this text once"):
        package.blank_package.__wrapped__()


def test_the_handout_states_what_is_graded_and_how(released):
    handout = (released / "student" / "HANDOUT.md").read_text()
    for said in ("twice what the reference takes, and 2 seconds more", "512 MB", "Python 3.10",
                 "standard library", "must not call", "three quarters", "60,000",
                 "ValueError where the docstring says so"):
        assert said in handout
    assert f"{submissions.LARGEST:,}" in handout and not re.search(r"\{\w+\}", handout)


@pytest.mark.parametrize("platform", ["win32", "darwin"])
def test_release_and_help_work_everywhere_and_grade_says_linux_only(platform, tmp_path):
    """As far as Linux can tell: no module `resource`, no C library without a name."""
    script = (f"import sys, ctypes, minishatter; sys.platform = {platform!r}; sys.modules['resource'] = None\n"
              "ctypes.CDLL = None\n"
              "from minishatter.coursework.__main__ import main\nsys.exit(main(sys.argv[1:]))")

    def run(*arguments):
        return subprocess.run([sys.executable, "-c", script, *map(str, arguments)], cwd=tmp_path, capture_output=True,
                              text=True, timeout=300, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert run("--help").returncode == 0
    (tmp_path / "handed in").mkdir()
    done = run("grade", tmp_path / "handed in")
    assert done.returncode == 2 and re.fullmatch("grade: Linux only: .*\n", done.stderr) and not done.stdout
    done = run("release", tmp_path / "out")
    assert done.returncode == 0 and (tmp_path / "out" / "student" / "HANDOUT.md").exists(), done.stderr


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
    done = subprocess.run([sys.executable, "-c", MEASURED, "grade", copied(tmp_path),
                           "--out", tmp_path / "results.json",
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
    for name in ("solved", "fresh"):
        (tmp_path / name).mkdir()
    (tmp_path / "solved" / task.file).write_text(filled(task))
    graded = grade.grade(tmp_path / "solved", SECRET, [task])
    assert graded.score == task.points, results.table(graded)
    (tmp_path / "fresh" / task.file).write_text(package.blank_package()[task.file])
    for other in manifest.TASKS:
        if other.file == task.file and other != task:
            solved, fresh = (package.student_tree(other, Submission(tmp_path / name)) for name in ("solved", "fresh"))
            assert solved == fresh


def submission(folder, *tasks, **bodies):
    """A folder with these tasks' files: as handed out, with the tasks solved, or with these bodies of tasks 1_1, ..."""
    bodies = {number.strip("t").replace("_", "."): body for number, body in bodies.items()}
    for task in manifest.TASKS:
        if task in tasks or task.number in bodies:
            file = folder / task.file
            text = file.read_text() if file.exists() else package.blank_package()[task.file]
            own = indent(bodies[task.number], " " * 8) if task.number in bodies else "\n".join(body(task))
            hole = next(line for line in text.splitlines() if f'("{task.message}")' in line)
            file.write_text(text.replace(hole, own, 1))
    return folder


def test_a_task_may_call_the_students_own_answers_and_no_others(tmp_path):
    """As the hints suggest: CReLU by ReLU's backward, that by ReLU's tangent."""
    crelu = ("up, down = np.hsplit(dy, 2)\non, off = (ReLUCache(half * 1.0) for half in np.hsplit(cache.active, 2))\n"
             "return ReLU().backward(up, on)[0] - ReLU().backward(down, off)[0], {}")
    own = {"t1_3": "return self.tangent(dy, cache), {}", "t1_4": crelu}
    chosen = [task for task in manifest.TASKS if task.number in ("1.2", "1.3", "1.4")]
    graded = grade.grade(submission(tmp_path, chosen[0], **own), SECRET, chosen)
    assert [result.score for result in graded.results] == [4, 4, 8], results.table(graded)


def test_another_tasks_answer_is_not_there_and_says_so(tmp_path):
    (tmp_path / "a").mkdir()
    folder = submission(tmp_path / "a", manifest.TASKS[0], t1_2="return self.backward(t, cache)[0]",
                        t1_3="return dy * cache.active, {}")
    graded = grade.grade(folder, SECRET, manifest.TASKS[1:2])
    assert graded.score == 0
    said = "Task 1.2: ReLU.tangent must not call ReLU.backward: task 1.3; it may call no other"
    assert said in graded.results[0].output


def test_an_answer_from_the_public_cases_gets_nothing(tmp_path, released):
    """A table of the outputs that lie in the student's folder: right in all public cases, worth no points."""
    with np.load(released / "student" / "tests" / "public" / "4.3.npz") as stored:
        known = [(stored[f"{kind}/in/active"].tolist(), stored[f"{kind}/out/coactivity"].tolist())
                 for kind in TRIALS["4.3"].kinds]
    body = f"for given, answer in {known!r}:\n    if np.array_equal(active, given):\n        return np.array(answer)"
    task = next(task for task in manifest.TASKS if task.number == "4.3")
    text = package.blank_package()[task.file]
    hole = next(line for line in text.splitlines() if f'("{task.message}")' in line)
    (tmp_path / task.file).write_text(text.replace(hole, indent(body, "    ")))
    graded = grade.grade(tmp_path, SECRET, [task])
    assert [not outcome.failure for outcome in graded.results[0].outcomes] == [True] * 3 + [False] * 3
    assert graded.score == 0


def test_the_graded_file_is_named_and_two_are_refused(tmp_path):
    for place in ("hw/minishatter", "old/minishatter"):
        (tmp_path / "one" / place).mkdir(parents=True)
    (tmp_path / "one" / "hw" / "minishatter" / "layers.py").write_text(filled(manifest.TASKS[1]))
    graded = grade.grade(tmp_path / "one", SECRET, manifest.TASKS[1:2])
    assert graded.score == 4 and graded.results[0].output.startswith("graded: hw/minishatter/layers.py\n")
    (tmp_path / "one" / "old" / "minishatter" / "layers.py").write_text("")
    graded = grade.grade(tmp_path / "one", SECRET, manifest.TASKS[1:2])
    assert graded.score == 0
    assert "layers.py is there 2 times (hw/minishatter/layers.py, old/" in graded.results[0].output


@pytest.mark.parametrize("places, said", [
    (["minishatter/layers.py"], None), (["a/b/minishatter/layers.py"], None), (["layers.py"], None),
    (["a/layers.py"], None),
    (["layers.py", "minishatter/layers.py"], None), (["minishatter/layers.py", ".venv/x/minishatter/layers.py"], None),
    (["minishatter/layers.py", "build/lib/minishatter/layers.py"], None),
    (["a/layers.py", "b/layers.py"], "there 2 times"), (["Layers.py"], "found: Layers.py"),
    (["hand-in.zip", "notes.txt"], "found: hand-in.zip"), (["a/b/c/d/minishatter/layers.py"], "is missing")])
def test_one_file_is_found_or_it_is_said_what_there_is(places, said, tmp_path):
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        for place in places:
            (tmp_path / "in" / place).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "in" / place).write_text("")
            archive.writestr(place, "")
    for path in (tmp_path / "in", tmp_path / "in.zip"):
        if said:
            with pytest.raises(Refused, match=said):
                Submission(path).place("layers.py")
        else:
            assert Submission(path).place("layers.py").endswith("layers.py")


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


def test_the_page_on_security_names_every_defence():
    page = (grade.PACKAGE / "coursework" / "SECURITY.md").read_text(encoding="utf-8")
    assert all(f"| {name} | {what} |" in page for name, what in sandbox.DEFENCES.items())
    assert "What is promised" in page and "What is not promised" in page
