"""Coursework on machines that differ, and attacks on what is around the function: results are written, nothing stays.

Containers and old kernels are emulated: container.py takes capabilities away and refuses
system calls; a copy of jail.py asks Landlock for no more than an old version knows.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from numba import config

from minishatter.coursework import (attempt, door, furniture, grade, manifest, results, sandbox, seccomp, source,
                                    worker)
from minishatter.coursework.__main__ import main
from minishatter.coursework.trials import TRIALS, compare

from .test_coursework_hostile import ATTACKED, FULL, NONE, SECRET, WITNESS, attacked, graded

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="nothing here depends on the JIT")
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up what a container's root lacks")

ROOT = grade.PACKAGE.parent
CONTAINER = Path(__file__).parent / "container.py"


@pytest.fixture
def honest(tmp_path):
    """The package itself, handed in."""
    shutil.copytree(grade.PACKAGE, tmp_path / "honest" / "minishatter", ignore=shutil.ignore_patterns("coursework"))
    return tmp_path / "honest"


def hand_in(folder, body, before="", after=None):
    """A submission of layers.py with this attack."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "layers.py").write_text(attacked(body, before, *([] if after is None else [after])))
    return folder


def started(arguments, cwd=ROOT, launcher=(), **options):
    """Run the grader as a command."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), grade.SEED: SECRET}
    return subprocess.run([*launcher, sys.executable, "-m", "minishatter.coursework", *map(str, arguments)], cwd=cwd,
                          env=environment, capture_output=True, text=True, timeout=300, **options)


def tasks(*numbers):
    return [option for number in numbers for option in ("--task", number)]


# What is around: containers, kernels, other Pythons.

HOSTILE = """
    import ctypes, mmap, os, signal
    done = []
    def tries(name, action):
        try: action()
        except BaseException: return
        done.append(name)
    libc = ctypes.CDLL(None, use_errno=True)
    def become_root():
        header, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
        libc.capget(header, sets)
        sets[0] = sets[1]
        libc.capset(header, sets)
        if libc.setresuid(0, 0, 0): raise OSError
    tries("root", become_root)
    tries("chmod", lambda: os.chmod(VICTIM, 0o4777))
    tries("truncate", lambda: os.truncate(VICTIM, 0))
    tries("kill", lambda: os.kill(GRADER, 9))
    if os.getppid() > 1: tries("parent", lambda: os.kill(os.getppid(), 9))
    def outlive():
        if not os.fork():
            os.setsid()
            open(VICTIM, "w")
            os._exit(0)
    tries("fork", outlive)
    tries("reference", lambda: open(REFERENCE).read())
    def segment():
        if libc.shmget(0x5EEE, 4096, 0o1666) < 0: raise OSError
    tries("shmget", segment)
    tries("shared", lambda: mmap.mmap(-1, 2 << 30))
    if done: raise LookupError(" ".join(done))
"""


def run_hostile(tmp_path, launcher=(), *options):
    """Grade the attack in a process of its own; (finished process, results or None, victim)."""
    victim, out = tmp_path / "victim", tmp_path / "out" / "results.json"
    victim.write_text("as it was")
    victim.chmod(0o600)
    names = {"VICTIM": str(victim), "REFERENCE": str(grade.PACKAGE / "layers.py"), "GRADER": os.getpid()}
    before = "".join(f"\n{name} = {value!r}" for name, value in names.items())
    hand_in(tmp_path / "in", HOSTILE, before)
    done = started(["grade", tmp_path / "in", "--out", out, *tasks("1.1", "1.3"), *options], launcher=launcher)
    return done, json.loads(out.read_text()) if out.exists() else None, victim


def container(*options):
    return (sys.executable, str(CONTAINER), *options)


def untouched(victim):
    return victim.read_text() == "as it was" and victim.stat().st_mode & 0o7777 == 0o600


@root_only
@pytest.mark.parametrize("options", [(), ("--open",)], ids=["Docker's default", "user namespaces can be had"])
def test_in_a_container_the_jail_holds_and_right_answers_score(options, tmp_path):
    """Python may lie in a folder that only root may enter, and root may not read everything."""
    done, written, victim = run_hostile(tmp_path, container(*options))
    assert done.returncode == 0, done.stderr
    assert [test["score"] for test in written["tests"]] == [8.0, 4.0], written
    assert untouched(victim) and "defence off" not in done.stdout


def _left():
    users = range(sandbox.FIRST_USER, sandbox.FIRST_USER + sandbox.USERS)
    left = {child for file in Path("/proc/self/task").glob("*/children") for child in file.read_text().split()}
    for kind in ("shm", "sem", "msg"):
        lines = Path("/proc/sysvipc", kind).read_text().splitlines()
        place = lines[0].split().index("uid")
        left |= {line for line in lines[1:] if int(line.split()[place]) in users}
    return left


@pytest.fixture
def left_behind():
    """Processes that this one has left since the test began, and objects of System V of users that are no one.

    Not those of a test before it: a process pool leaves a child that watches its memory.
    """
    before = _left()
    return lambda: _left() - before


@root_only
@pytest.mark.parametrize("refused, missing, reached", [
    (("landlock",), {"files"}, {"reference"}),
    (("seccomp",), {"network", "traces"}, {"shmget"}),
    (("landlock", "seccomp"), {"files", "network", "traces"}, {"reference", "shmget"})],
    ids=["landlock", "seccomp", "both"])
def test_a_machine_that_lacks_a_defence_grades_nobody_unless_told_to(refused, missing, reached, tmp_path, left_behind):
    launcher = container(*(word for name in refused for word in ("--refuse", name)))
    done, written, _ = run_hostile(tmp_path, launcher)
    assert done.returncode == 2 and written is None and "Nothing was graded" in done.stderr
    assert set(re.findall(r"--accept-missing (\w+)", done.stderr)) == missing
    accepted = [word for name in missing for word in ("--accept-missing", name)]
    done, written, victim = run_hostile(tmp_path, launcher, *accepted)
    assert done.returncode == 0 and untouched(victim), done.stderr
    *_, note = written["tests"]
    assert note["visibility"] == "hidden" and all(f"defence off: {name}" in note["output"] for name in missing)
    graded_file, said, *_ = written["tests"][0]["output"].splitlines()
    assert graded_file == "graded: layers.py"
    assert set(re.findall(r"LookupError: ([\w ]+)", said)[0].split()) - {"in"} >= reached
    assert not {"root", "chmod", "truncate", "kill", "fork", "shared"} & set(said.split())
    assert not left_behind()


@pytest.mark.parametrize("version", range(1, 7))
def test_old_versions_of_landlock_are_enough(version, tmp_path, monkeypatch):
    """What a version did not know is left to the user's id and to seccomp; with seccomp refused, to the id alone."""
    shutil.copytree(sandbox.HERE, tmp_path / "here")
    text = (tmp_path / "here" / "jail.py").read_text()
    asks = "return LIBC.syscall(CREATE_RULESET, None, ctypes.c_size_t(0), 1)"
    assert asks in text
    capped = asks.replace("return ", f"return min({version}, ") + ")"
    (tmp_path / "here" / "jail.py").write_text(text.replace(asks, capped))
    monkeypatch.setattr(sandbox, "HERE", tmp_path / "here")
    victim = tmp_path / "victim"
    victim.write_text("as it was")
    victim.chmod(0o600)
    names = {"VICTIM": str(victim), "REFERENCE": str(grade.PACKAGE / "layers.py"), "GRADER": os.getpid()}
    before = "".join(f"\n{name} = {value!r}" for name, value in names.items())
    done = graded(hand_in(tmp_path / "in", HOSTILE, before))
    assert [result.score for result in done.results] == [8, 4] and done.off == {} and untouched(victim)


def test_the_list_of_system_calls_has_the_kernels_numbers():
    """As the headers have them, where they are installed."""
    headers = {0: Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"), 1: Path("/usr/include/asm-generic/unistd.h")}
    for column, header in headers.items():
        if not header.exists():
            continue
        found = {name: int(number) for name, number in
                 re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", header.read_text())}
        found.setdefault("newfstatat", found.get("fstatat"))
        special = dict(zip(("open", "openat", "mmap", "fcntl", "ioctl", "kill", "tgkill", "prlimit64", "clone3"),
                           (seccomp.OPEN, seccomp.OPENAT, seccomp.MMAP, seccomp.FCNTL, seccomp.IOCTL, seccomp.KILL,
                            seccomp.TGKILL, seccomp.PRLIMIT, seccomp.CLONE3)))
        for name, numbers in (seccomp.PLAIN | special).items():
            assert numbers[column] == found.get(name), name


def test_modules_of_the_standard_library_that_need_shared_libraries_can_be_imported(tmp_path):
    body = "import bz2, lzma, zipfile, zlib, hashlib, ctypes, decimal, sqlite3, ssl, xml.etree.ElementTree, json.tool"
    assert graded(hand_in(tmp_path, body), [ATTACKED]).score == FULL


def test_the_canary_stops_a_grade_on_a_machine_where_the_reference_fails(honest, monkeypatch, capsys):
    monkeypatch.setattr(sandbox, "PACKAGES", ())  # NumPy is not found in there
    assert main(["grade", str(honest), "--task", "1.2"]) == 2
    assert "No module named 'numpy'" in capsys.readouterr().err


def test_the_canary_compares(honest, monkeypatch):
    monkeypatch.setattr(compare, "difference", lambda *a: "other numbers")
    with pytest.raises(RuntimeError, match="the reference itself fails task 1.1 .other numbers"):
        graded(honest, [ATTACKED])


# The grader knows who it is.

FINDER = """
import importlib.util, runpy, sys
from pathlib import Path

class Editable:  # as setuptools' finder of an editable install: asked when the path has no such module
    @staticmethod
    def find_spec(name, path=None, target=None):
        place = Path({root!r}, *name.split("."))
        if name.split(".")[0] != "minishatter":
            return None
        file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        return importlib.util.spec_from_file_location(
            name, file, submodule_search_locations=[str(place)] if place.is_dir() else None)

from importlib.machinery import PathFinder
sys.meta_path.insert(sys.meta_path.index(PathFinder) + 1, Editable)
sys.path.insert(0, {cwd!r})
sys.argv = ["grade", *{arguments!r}]
runpy.run_module("minishatter.coursework", run_name="__main__", alter_sys=True)
"""


def editable(cwd, *arguments):
    """Run `python -m minishatter.coursework` in a folder, with an editable install."""
    script = FINDER.format(root=str(ROOT), cwd=str(cwd), arguments=list(map(str, arguments)))
    return subprocess.run([sys.executable, "-P" if sys.version_info >= (3, 11) else "-B", "-c", script], cwd=cwd,
                          capture_output=True, text=True, timeout=120,
                          env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"})


@pytest.fixture
def wrong(tmp_path):
    """A student's folder, with a wrong answer to 1.2 in the package."""
    student = tmp_path / "alice"
    shutil.copytree(grade.PACKAGE, student / "minishatter", ignore=shutil.ignore_patterns("coursework"))
    text = (student / "minishatter" / "layers.py").read_text()
    first, last = source.body_lines(text, "ReLU.tangent")
    lines = text.splitlines()
    lines[first - 1:last] = ["        return 7 * t"]
    (student / "minishatter" / "layers.py").write_text("\n".join(lines) + "\n")
    return student


@pytest.mark.parametrize("submission", [".", "minishatter", "../alice", "../alice.zip"])
def test_grading_from_inside_a_submission_is_refused(submission, wrong):
    shutil.make_archive(str(wrong), "zip", wrong)
    done = editable(wrong, "grade", submission, "--task", "1.2")
    assert done.returncode == 2 and "4 / 4" not in done.stdout
    assert "the package minishatter came from" in done.stderr and "python -P -m" in done.stderr


@pytest.mark.parametrize("place, submission",
                         [(".", "."), ("minishatter", ".."), (".", "minishatter"), (".", "../alice")])
def test_a_working_folder_that_belongs_to_the_submission_is_refused(place, submission, wrong, monkeypatch, capsys):
    monkeypatch.chdir(wrong / place)
    assert main(["grade", submission, "--task", "1.2"]) == 2
    assert "the working folder" in capsys.readouterr().err


def test_a_module_that_lies_in_the_current_folder_is_seen(tmp_path):
    (tmp_path / "colorsys.py").write_text("")
    (tmp_path / "sub").mkdir()
    script = ("import sys; sys.path.insert(0, ''); import colorsys; import minishatter; "
              "from minishatter.coursework import door; door.enter()")
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60,
                          env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.returncode and "came from the current folder: colorsys" in done.stderr


def test_the_grader_grades_no_submission_that_holds_it(capsys):
    assert main(["grade", str(ROOT), "--task", "1.2"]) == 2
    assert re.search("the grader itself lies in|belongs to the submission", capsys.readouterr().err)


def test_the_current_folder_is_no_place_for_modules(tmp_path):
    script = ("import os, sys; sys.path[:0] = ['', os.getcwd(), os.curdir]; import minishatter; "
              "from minishatter.coursework import door; door.enter(); import colorsys; print(colorsys.__file__)")
    (tmp_path / "colorsys.py").write_text("raise SystemExit('mine')")
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60,
                          env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0 and str(tmp_path) not in done.stdout, done.stderr
    assert door.PACKAGE == grade.PACKAGE == Path(grade.__file__).resolve().parents[1]


# Results are always written.

ONE_LINE = [  # name, body, score, what is read
    ("a signal without a name", "import os; os.kill(os.getpid(), 40)", NONE, r"ended its process \(signal 40\)"),
    ("every signal", "import os\nfor number in range(1, 65):\n    try: os.kill(os.getpid(), number)\n"
     "    except OSError: pass", NONE, r"ended its process \(signal|raised KeyboardInterrupt"),  # under nohup 1 is lost
    ("an endless report of an error", """
        import os, sys; wire = sys.modules['wire']
        data = wire.pack({"!error": wire.text("X" * 10**7), "!message": wire.text("A" * 10**7)})
        for handle in range(3, 64):
            try:
                while True: os.write(handle, data)
            except OSError: pass""", NONE, "no plain array|larger"),
    ("a long report of an error", """
        import os, sys; wire = sys.modules['wire']
        for handle in range(3, 64):
            try: os.write(handle, wire.pack({"!error": wire.text("X" * 9000), "!message": wire.text("A" * 9000),
                                             "!line": wire.text("B" * 9000)}))
            except OSError: pass""", NONE, r"raised Exception: A{400}, in the line: B{120}$"),
    ("a report without a message", """
        import os, sys; wire = sys.modules['wire']
        for handle in range(3, 64):
            try: os.write(handle, wire.pack({"!error": wire.text("ValueError")}))
            except OSError: pass""", NONE, r"public, one row: raised ValueError$"),
    ("numbers without end", "", NONE, r"dx has shape \(60000000,\), far more numbers",
     "return np.ones(60_000_000, bool), {'W': 0.0, 'b': 0.0}"),
    ("400,000 tiny arrays", """
        import os, sys; wire = sys.modules['wire']
        one = wire.pack({"a": 1})[8:]
        for handle in range(3, 64):
            try: os.write(handle, wire.LENGTH.pack(400 * len(one)) + 400 * one)
            except OSError: pass""", NONE, "more than 64 arrays"),
    ("closing its output and going on", """
        import os, time
        os.closerange(3, 64)
        time.sleep(60)""", NONE, r"ended its process \(or closed its output\)"),
    ("shared memory", "import mmap\nm = mmap.mmap(-1, 2 << 30)\nfor i in range(0, 2 << 30, 4096): m[i] = 1", NONE,
     "raised (OSError|PermissionError|MemoryError)"),
    ("forging lines of the table", r'raise ValueError("bad\n1.3   ReLU.backward   4 / 4\nhidden, one row: passed")',
     NONE, r"public, one row: raised ValueError: bad 1\.3 ReLU"),
    ("forging lines by other separators", r'raise ValueError("bad\u2028hidden\x85one row\r: passed\x0b\x1b[2J")', NONE,
     r"bad hidden one row : passed \?\[2J"),
    ("a state that outlives a case", "SEEN.append(1)\nif len(SEEN) > 1: raise LookupError", FULL, "passed"),
    ("memory that outlives a case", "SEEN.append(np.empty(25 * 2**20))", FULL, "passed"),
    ("a class changed for the next case", "type(self).backward = type(self).forward = None", FULL, "passed"),
    ("a mode of its own folder", "import os\nos.chmod('.', 0)", NONE, "raised PermissionError"),
    ("a lock on a file", "import fcntl\nfcntl.flock(open(np.__file__), 1)", NONE, "raised PermissionError"),
    ("a key for the next", """
        import ctypes
        key = ctypes.CDLL(None, use_errno=True).syscall(248, b"user", b"x0", b"1", 1, -4)
        if key < 0: raise LookupError""", NONE, "raised LookupError"),
    ("prctl", "import ctypes\nif ctypes.CDLL(None).prctl(1, 0): raise LookupError", NONE, "raised LookupError"),
    ("memory that has a name", "import os\nos.memfd_create('x')", NONE, "raised (PermissionError|OSError)"),
]


@pytest.mark.parametrize("row", ONE_LINE, ids=[row[0] for row in ONE_LINE])
def test_one_tasks_accident_is_one_tasks_outcome(row, tmp_path, left_behind):
    name, body, score, reads, *after = row
    started_at = time.process_time()
    done = graded(hand_in(tmp_path, body, "SEEN = []", *after))
    assert time.process_time() - started_at < 15
    assert [result.score for result in done.results] == [score, WITNESS.points], results.table(done)
    assert re.search(reads, done.results[0].output, re.MULTILINE), done.results[0].output
    assert len(done.results[0].output.splitlines()) == 1 + 2 * len(TRIALS["1.1"].kinds)  # the file, then the cases
    assert len(results.table(done).splitlines()) == 4 and len(results.gradescope(done, 1.0)) < 20_000
    assert not left_behind()


def test_the_graders_memory_is_bounded_by_what_was_asked_for(tmp_path):
    """An honest slip of broadcasting: the parent's peak is the one of an honest grade."""
    text = (grade.PACKAGE / "stats.py").read_text()
    first, last = source.body_lines(text, "effective_rank")
    lines = text.splitlines()
    lines[first - 1:last] = ["    return np.ones(60_000_000, bool)"]
    (tmp_path / "stats.py").write_text("\n".join(lines) + "\n")
    script = ("import re, sys; from pathlib import Path; from minishatter.coursework.__main__ import main; "
              "code = main(sys.argv[1:]); "
              "print(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1]); sys.exit(code)")
    done = subprocess.run([sys.executable, "-c", script, "grade", tmp_path, "--task", "5.3", "--out",
                           tmp_path / "out" / "r.json"], capture_output=True, text=True, timeout=200,
                          env=os.environ | {"PYTHONPATH": str(ROOT)}, cwd=tmp_path.parent)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) < 250 * 1024
    said = json.loads((tmp_path / "out" / "r.json").read_text())["tests"][0]
    assert said["score"] == 0 and "far more numbers than were asked for" in said["output"]


HARD_TO_READ = {
    "a chain of names": "\n".join(f"a{i} = a{i + 1}" for i in range(5000)) + "\na5000 = 1\n",
    "130,000 terms": "x = " + "+".join("a" * 130_000) + "\n",
    "130,000 products": "x = " + "@".join("a" * 130_000) + "\n",
    "many brackets": "x = " + "[" * 199 + "]" * 199 + "\n",
}


@pytest.mark.parametrize("name", HARD_TO_READ)
def test_what_is_hard_to_read_costs_its_file_and_little_time(name, tmp_path):
    hand_in(tmp_path, "a0 if a0 else None", HARD_TO_READ[name])
    (tmp_path / "stats.py").write_text((grade.PACKAGE / "stats.py").read_text())
    used = sum(os.times()[:4])
    done = grade.grade(tmp_path, SECRET, [ATTACKED, WITNESS, manifest.TASKS[-1]])
    assert sum(os.times()[:4]) - used < 20 and len(done.results) == 3
    assert done.results[2].score == manifest.TASKS[-1].points
    assert results.gradescope(done, 1.0)


@pytest.mark.parametrize("top", ["x = hang()", "x = crash()", "x = 1 / 0"])
def test_a_tree_that_cannot_be_imported_fails_its_task_at_once(top, tmp_path, monkeypatch):
    before = f"def hang():\n    while True: pass\ndef crash():\n    import os; os._exit(3)\n{top}\n"
    calls, call = [], sandbox.Nursery.call
    monkeypatch.setattr(sandbox.Nursery, "call",
                        lambda self, number, *a: calls.append(number) or call(self, number, *a))
    done = graded(hand_in(tmp_path, "x", before))
    assert [result.score for result in done.results] == [0, WITNESS.points]
    assert calls.count("1.1") == 2  # the canary's, and one
    assert len(done.results[0].outcomes) == 2 * len(TRIALS["1.1"].kinds)


def test_an_accident_of_the_grader_costs_one_case_and_is_told_to_instructors(honest, monkeypatch):
    difference, calls = compare.difference, []

    def fails_once(*arguments):
        calls.append(1)
        if len(calls) == 3:  # two of the canary, then the first case
            raise RecursionError("deep")
        return difference(*arguments)

    monkeypatch.setattr(compare, "difference", fails_once)
    done = graded(honest)
    assert done.score == pytest.approx(8 - 8 / 3 / 4 + 4, abs=0.01) and done.whole  # a quarter of one of three kinds
    assert "RecursionError: deep" in results.remarks(done)[0]
    *_, note = json.loads(results.gradescope(done, 1.0))["tests"]
    assert note["visibility"] == "hidden" and "deep" in note["output"]


def test_a_sandbox_that_breaks_down_halfway_leaves_results_and_exit_code_2(honest, monkeypatch, tmp_path):
    call = sandbox.Nursery.call

    def breaks(self, number, *arguments):
        if number == "1.3" and self.allowed == set():
            raise sandbox.Broken("no memory")
        return call(self, number, *arguments)

    monkeypatch.setattr(sandbox.Nursery, "call", breaks)
    out = tmp_path / "r.json"
    assert main(["grade", str(honest), "--task", "1.1", "--task", "1.3", "--out", str(out)]) == 2
    first, second, note = json.loads(out.read_text())["tests"]
    assert (first["score"], second["score"]) == (8, 0) and "not graded" in second["output"]
    assert "no memory" in note["output"]


def test_a_nursery_that_dies_is_replaced(honest):
    trial = TRIALS["1.2"]
    inputs = trial.draw(grade.generator("public", "1.2", "one row"), "one row")
    with sandbox.Nursery(grade.PACKAGE / "layers.py", grade.blank_package()) as nursery:
        nursery.furnish(grade._changed(manifest.TASKS[1], grade.Reference()))
        os.kill(nursery._process.pid, signal.SIGKILL)
        assert "J t" in nursery.call("1.2", inputs, 100, sandbox.Budget(5), 2**28)


def test_a_folder_that_is_shut_while_grading_gets_its_results(tmp_path):
    folder = tmp_path / "out"
    with results.Place(folder / "r.json") as place:
        assert not (folder / "r.json").exists()
        folder.chmod(0)
        place.write("{}")
    assert (folder / "r.json").read_text() == "{}" and os.listdir(folder) == ["r.json"]


def test_a_refused_grade_leaves_no_results_of_an_earlier_one(honest, tmp_path, monkeypatch):
    monkeypatch.setattr(sandbox, "PACKAGES", ())
    (tmp_path / "r.json").write_text("an earlier one")
    assert main(["grade", str(honest), "--task", "1.2", "--out", str(tmp_path / "r.json")]) == 2
    assert not (tmp_path / "r.json").exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_grader_that_is_ended_leaves_neither_processes_nor_folders(number, tmp_path):
    hand_in(tmp_path / "in", "import time; time.sleep(1000)")
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp").chmod(0o1777)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path / "tmp")}
    process = subprocess.Popen([sys.executable, "-m", "minishatter.coursework", "grade", str(tmp_path / "in"),
                                "--task", "1.1", "--seconds", "300"], cwd=ROOT, env=environment)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not any((tmp_path / "tmp").glob("*/box/minishatter/layers.py")):
        time.sleep(0.05)
    time.sleep(3)
    process.send_signal(number)
    process.wait(60)
    while time.monotonic() < deadline and list((tmp_path / "tmp").iterdir()):
        time.sleep(0.05)
    assert list((tmp_path / "tmp").iterdir()) == []
    assert not [line for line in Path("/proc").glob("[0-9]*/environ") if str(tmp_path).encode() in _bytes(line)]


def _bytes(path):
    try:
        return path.read_bytes()
    except OSError:
        return b""


# Nothing carries over, nothing gets out.


def test_all_public_cases_come_before_any_hidden_one(honest, monkeypatch):
    order, run = [], attempt.Attempt.run
    monkeypatch.setattr(attempt.Attempt, "run", lambda self, nursery, label, seed: order.append(label) or
                        run(self, nursery, label, seed))
    graded(honest)
    assert order == ["public", "public", "hidden", "hidden"]


TELLING = [
    ("the name of an error", "raise [ValueError, KeyError, OSError, TypeError][int(abs(dy.sum() * 997)) % 4]"),
    ("a forged name", """
        import os, sys; wire = sys.modules['wire']
        for handle in range(3, 64):
            try: os.write(handle, wire.pack({"!error": wire.text(f"x0={dy.ravel()[0]:.17g}")}))
            except OSError: pass"""),
    ("an exit code", "import os; os._exit(int(abs(dy.sum() * 997)) % 200)"),
    ("a signal", "import os; os.kill(os.getpid(), 34 + int(abs(dy.sum() * 997)) % 30)"),
    ("a shape", "return np.zeros((int(abs(dy.sum() * 997)) % 50, 1)), {'W': np.ones(1), 'b': np.ones(1)}"),
    ("a forged shape", """
        import os, sys; wire = sys.modules['wire']
        head = wire.pack({"dx": np.zeros((0, 7))})
        for handle in range(3, 64):
            try: os.write(handle, head.replace(b"(0, 7)", b"(0, %d)" % (int(abs(dy.sum() * 997)) % 10)))
            except OSError: pass"""),
    ("a norm", "return dy.sum() * np.ones((len(dy), 5)), {'W': np.ones(1), 'b': np.ones(1)}"),
    ("a place", "dx = np.zeros(cache.x.shape); dx.flat[int(abs(dy.sum() * 997)) % dx.size] = np.nan\n"
     "return dx, {'W': np.ones(1), 'b': np.ones(1)}"),
]


@pytest.mark.parametrize("name, body", TELLING, ids=[name for name, _ in TELLING])
def test_what_is_read_of_a_hidden_case_is_one_of_few_words(name, body, tmp_path):
    """So few that a hidden input cannot be spelled with them."""
    done = graded(hand_in(tmp_path, body), [ATTACKED])
    hidden = [line.partition(": ")[2] for line in done.results[0].output.splitlines() if line.startswith("hidden")]
    public = [line.partition(": ")[2] for line in done.results[0].output.splitlines() if line.startswith("public")]
    assert len(hidden) == len(public) == 3
    for line, shown in zip(hidden, public):
        assert re.fullmatch("failed, (in another way than|unlike) the public case of this kind|"
                            "other numbers than expected|"
                            "(dx|d [Wb]) (has another shape|is not finite)|what came back is no plain array",
                            line) or shown.startswith(line), line
        assert not re.search(r"x0=|norm|relative", line)


def test_a_single_number_cannot_be_found_by_asking(tmp_path):
    """5.3 has one number per case: no norm, no distance, whatever is answered."""
    text = (grade.PACKAGE / "stats.py").read_text()
    first, last = source.body_lines(text, "effective_rank")
    lines, said = text.splitlines(), set()
    for guess in (1.5, 4.2, 17.0):  # 1 is right for one direction
        (tmp_path / "stats.py").write_text("\n".join([*lines[:first - 1], f"    return {guess}", *lines[last:]]) + "\n")
        result, = grade.grade(tmp_path, SECRET, [manifest.TASKS[-1]]).results
        said |= {line.partition(": ")[2] for line in result.output.splitlines() if line.startswith("hidden")}
    assert said == {"other numbers than expected"}


@root_only
def test_what_a_made_up_user_has_left_is_removed(tmp_path, monkeypatch, left_behind):
    """As if no other defence were there: a segment, semaphores, a queue, files."""
    monkeypatch.syspath_prepend(str(sandbox.HERE))
    import jail
    uid = sandbox.FIRST_USER + sandbox.USERS - 1
    tmp_path.chmod(0o1777)

    def leave():
        os.mkdir("left")
        Path("left", "file").write_text("x")
        return [jail.LIBC.shmget(0, 4096, 0o1600), jail.LIBC.semget(0, 3, 0o1600), jail.LIBC.msgget(0, 0o1600)]

    _as_user(uid, tmp_path, leave, jail)
    assert len(left_behind()) == 3 and os.listdir(tmp_path) == ["left"]
    _as_user(uid, tmp_path, lambda: jail.remove_traces(uid, ["."]), jail)
    assert not left_behind() and os.listdir(tmp_path) == []


def _as_user(uid, folder, action, jail):
    pid = os.fork()
    if not pid:
        try:
            os.chdir(folder)
            jail.become(uid)
            action()
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0


def test_the_seed_is_in_no_environment_and_can_come_from_a_file(honest, tmp_path, monkeypatch, capsys):
    (tmp_path / "seed").write_text(SECRET + "\n")
    monkeypatch.delenv(grade.SEED, raising=False)
    assert main(["grade", str(honest), "--task", "4.3", "--seed-file", str(tmp_path / "seed")]) == 0
    assert "is not set" not in capsys.readouterr().out
    (tmp_path / "seed").write_text("\n")
    assert main(["grade", str(honest), "--task", "4.3", "--seed-file", str(tmp_path / "seed")]) == 2


def test_bytecode_is_of_the_files_beside_it():
    package = furniture.Furniture(sandbox.HERE / "trials", grade.blank_package())
    assert set(package._bytecode) == set(package._files)
    assert "zipfile" in furniture.imports({"a.py": "import zipfile\nimport numba\nfrom . import b"})
    assert np.array_equal(sorted(worker.EXCEPTIONS & {"ValueError", "list"}), ["ValueError"])
