"""Coursework, the hostile way round: each attack sits in one task, and another task of the same file is solved.

A row says what the attack does, what its task scores, and what is read about it.
In every row the other task must keep all its points, and the grader its senses.
"""

import io
import os
import re
import socket
import stat
import zipfile
from pathlib import Path
from textwrap import dedent, indent
from typing import NamedTuple

import numpy as np
import pytest
from numba import config

from minishatter.coursework import grade, manifest, results, sandbox, source, wire

# The processes under attack run without numba: once with the JIT and once without would be twice the same.
pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="nothing here depends on the JIT")

ATTACKED, WITNESS = manifest.TASKS[0], manifest.TASKS[2]  # Dense.backward, ReLU.backward: both in layers.py
LIMITS = sandbox.Limits()
REFERENCE = (grade.PACKAGE / "layers.py").read_text(encoding="utf-8")
DX = 'dy @ self.params["W"].T'
SECRET = "the hidden seed of these tests"


def with_dx(dx):
    """The last line of Dense.backward, with this in the place of dx."""
    return f'return {dx}, {{"W": cache.x.T @ dy, "b": dy.sum(axis=0)}}'


RIGHT, WRONG = with_dx(DX), with_dx(f"0 * {DX}")


def attacked(body, before="", after=RIGHT):
    """layers.py with an attack in Dense.backward, or before the file's first line."""
    first, last = source.body_lines(REFERENCE, ATTACKED.object)
    lines = REFERENCE.splitlines()
    code = indent("\n".join([dedent(body).strip(), after]).strip(), " " * 8)
    return "\n".join([dedent(before), *lines[:first - 1], code, *lines[last:]]) + "\n"


class Attack(NamedTuple):
    """One row of the table."""

    name: str
    body: str         # of Dense.backward, before `after`
    score: int        # of 8
    reads: str        # a pattern in what is said about the attacked task
    after: str = RIGHT
    before: str = ""  # at the top of the file


FULL, NONE, PASSED = 8, 0, "passed"

ATTACKS = [
    # Never ending, or ending too early.
    Attack("infinite loop", "while True: pass", NONE, "time limit of"),
    Attack("infinite loop that ignores signals", """
        import signal
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM): signal.signal(number, signal.SIG_IGN)
        while True: pass""", NONE, "time limit of"),
    Attack("sleeping", "import time; time.sleep(1000)", NONE, "time limit of"),
    Attack("endless recursion", "return self.backward(dy, cache)", NONE, "RecursionError"),
    Attack("sys.exit", "import sys; sys.exit(0)", NONE, "raised SystemExit"),
    Attack("os._exit", "import os; os._exit(0)", NONE, r"ended its process \(exit code 0\)"),
    Attack("a crash of the interpreter", "import ctypes; ctypes.string_at(0)", NONE,
           r"ended its process \(signal SIGSEGV\)"),
    Attack("killing itself", "import os; os.kill(os.getpid(), 9)", NONE, r"ended its process \(signal SIGKILL\)"),
    Attack("KeyboardInterrupt", "raise KeyboardInterrupt", NONE, "raised KeyboardInterrupt"),
    # Taking too much.
    Attack("allocating 10 GB", "np.ones(10 * 2**30 // 8)", NONE, "MemoryError"),
    Attack("growing without end", "heap = []\nwhile True: heap.append(bytearray(10**7))", NONE, "MemoryError"),
    Attack("fork bomb", "import os\nwhile True: os.fork()", NONE, "raised (PermissionError|BlockingIOError)"),
    Attack("thread bomb", "import threading\nwhile True: threading.Thread(target=lambda: 0).start()", NONE,
           "RuntimeError"),
    Attack("starting a program", "import subprocess; subprocess.run(['/bin/sh', '-c', 'id'])", NONE,
           "raised (BlockingIOError|PermissionError)"),
    Attack("becoming another program", "import os; os.execv('/bin/sh', ['sh', '-c', 'sleep 99'])", NONE,
           "raised (PermissionError|BlockingIOError)"),
    Attack("printing 100 MB", "print('x' * 10**8)", FULL, PASSED),
    Attack("returning 200 MB", "", NONE, r"shape \(5000, 5000\)|larger than|MemoryError",
           "return np.zeros((5000, 5000)), {'W': np.zeros(1), 'b': np.zeros(1)}"),
    # Writing the grade.
    Attack("writing results.json", """
        try:
            with open(RESULTS, 'w') as file: file.write('{"score": 100}')
        except OSError: pass""", FULL, PASSED),
    Attack("deleting the results' folder", "import shutil, os; shutil.rmtree(os.path.dirname(RESULTS))", NONE,
           "raised PermissionError"),
    Attack("printing fake results", "print('{\"tests\": [{\"score\": 8}]}'); print('100 / 100')", NONE,
           "relative error", WRONG),
    Attack("writing garbage into every open file", """
        import os
        for handle in range(3, 64):
            try: os.write(handle, b'\\xff' * 99)
            except OSError: pass""", NONE, "no plain array"),
    Attack("sending its own message", """
        import os, sys; wire = sys.modules['wire']
        for handle in range(3, 64):
            try: os.write(handle, wire.pack({'passed': 1, 'score': 8}))
            except OSError: pass""", NONE, "dx is missing|no plain array"),
    Attack("promising more bytes than there are", """
        import os
        for handle in range(3, 64):
            try: os.write(handle, b'\\xff\\xff\\xff\\xff\\xff\\x00\\x00\\x00')
            except OSError: pass""", NONE, "no plain array"),
    Attack("signalling the grader", "import os, signal; os.kill(os.getppid(), signal.SIGTERM)", NONE,
           "raised (PermissionError|ProcessLookupError)"),
    # Changing the rules.
    Attack("monkeypatching numpy", """
        np.allclose = np.array_equal = lambda *a, **k: True
        np.linalg.norm = np.abs = np.isfinite = lambda *a, **k: 0.0""", NONE, "relative error", WRONG),
    Attack("monkeypatching pytest", "import pytest; pytest.fail = lambda *a, **k: None", NONE,
           "relative error", WRONG),
    Attack("monkeypatching the comparison", """
        import importlib, sys
        trials, compare = sys.modules['trials'], importlib.import_module('trials.compare')
        for number, trial in trials.TRIALS.items(): trials.TRIALS[number] = trial._replace(spread={'dx': 1e9})
        compare.difference = compare.looked = lambda *a: None""", NONE, "relative error", WRONG),
    Attack("replacing the child's own functions", """
        import sys
        main = sys.modules['__main__']
        main.answer = lambda *a: {'dx': 1}; main.send = lambda *a: None""", NONE, "relative error|ended", WRONG),
    # Finding the answer.
    Attack("importing the grader", "from minishatter.coursework import grade", NONE, "raised ModuleNotFoundError"),
    Attack("importing the installed package", """
        import sys
        for name in [name for name in sys.modules if name.startswith('minishatter')]: del sys.modules[name]
        sys.path[:] = SITES + sys.path[1:]
        import minishatter.layers as given
        return given.Dense(self.params['W']).backward(dy, cache)""", NONE,
           "raised (ModuleNotFoundError|PermissionError)"),
    Attack("opening the reference by its path", "open(REFERENCE).read()", NONE, "raised PermissionError"),
    Attack("opening the reference through /proc", """
        import os
        open(f'/proc/{os.getppid()}/cwd/minishatter/layers.py').read()""", NONE,
           "raised (PermissionError|FileNotFoundError)"),
    Attack("searching the disk", """
        import os
        for top, _, files in os.walk('/'):
            if 'layers.py' in files and 'cache.x.T @ dy' in open(top + '/layers.py').read(): break
        else: raise LookupError('nowhere')""", NONE, "raised LookupError: nowhere|time limit"),
    Attack("calling the blank original", "return super().backward(dy, cache)", NONE, "raised TypeError"),
    Attack("reading the environment", "import os; raise LookupError(sorted(os.environ))", NONE, "raised LookupError"),
    Attack("reading the grader's environment", "import os; open(f'/proc/{os.getppid()}/environ').read()", NONE,
           "raised (PermissionError|FileNotFoundError)"),
    Attack("reading the grader's memory", "import os; open(f'/proc/{os.getppid()}/mem', 'rb').read(1)", NONE,
           "raised (PermissionError|FileNotFoundError)"),
    Attack("leaving a file for the next task", "open('/tmp/left_by_dense', 'w').write('x')", NONE,
           "raised PermissionError"),
    Attack("telling the hidden inputs", "raise type(f'Told {dy.sum()}', (Exception,), {})(dy.tolist())", NONE,
           r"hidden, one row: raised Exception(\n|$)"),
    Attack("telling hidden inputs in a public case", """
        import os
        for handle in range(3, 64):
            try:
                os.lseek(handle, 0, 0)
                if os.read(handle, 10**7): raise LookupError(handle)
            except OSError: continue""", FULL, PASSED),
    Attack("network access", "import socket; socket.create_connection(('127.0.0.1', PORT), 2)", NONE,
           "raised (OSError|PermissionError|ConnectionRefusedError)"),
    # Returning something else.
    Attack("wrong shape", "", NONE, r"dx: expected shape \(1, 5\), norm [\d.]+; received shape \(5, 1\), norm [\d.]+",
           with_dx(f"({DX}).T")),
    Attack("lists", "", NONE, "dx must be a NumPy array or a number, got list", with_dx(f"({DX}).tolist()")),
    Attack("None", "", NONE, "raised TypeError", "return None"),
    Attack("NaN", "", NONE, r"dx: NaN or infinity, first at \[0, 0\]", with_dx(f"np.nan * {DX}")),
    Attack("numbers that overflow when compared", "", NONE, "dx: shape .*relative error inf",
           with_dx("np.full(cache.x.shape, 1e308)")),
    Attack("float32", "", NONE, "dx is float32, which has too few digits", with_dx(f"({DX}).astype(np.float32)")),
    Attack("complex numbers", "", NONE, "dtype complex128", with_dx(f"1j * {DX}")),
    Attack("an object array whose == is always True", """
        class Yes:
            def __eq__(self, other): return True
            __lt__ = __le__ = __gt__ = __ge__ = __eq__""", NONE, "dtype object",
           with_dx("np.full(cache.x.shape, Yes(), dtype=object)")),
    Attack("an array class whose == is always True", """
        class Yes(np.ndarray):
            def __eq__(self, other): return True
            def __array_ufunc__(self, *a, **k): return True""", NONE, "dx: .*relative error 1",
           with_dx("np.zeros(cache.x.shape).view(Yes)")),
    Attack("a lazy array", """
        class Lazy:
            def __array__(self, *a, **k): return np.zeros((1, 5))""", NONE,
            "dx must be a NumPy array or a number, got Lazy",
           with_dx("Lazy()")),
    Attack("views, and arrays in another order of memory", "", FULL, PASSED,
           with_dx(f"np.asfortranarray(np.repeat({DX}, 2, axis=0))[::2]")),
    Attack("read-only arrays", f"dx = {DX}; dx.setflags(write=False)", FULL, PASSED, with_dx("dx")),
    Attack("changing its inputs", "dy *= 2", NONE, "read-only.*dy \\*= 2"),
    Attack("forcing its inputs writable", "dy.setflags(write=True)", NONE, "raised ValueError"),
    Attack("an exception whose text is a trap", """
        class Trap(Exception):
            def __str__(self): raise SystemExit
        raise Trap""", NONE, "raised Exception"),
    # Around the function.
    Attack("a loop at the top of the file", "", FULL, PASSED, before="while True: pass\nraise SystemExit"),
    Attack("replacing given helpers", "", FULL, PASSED,
           before="def _check_width(*a): raise SystemExit\nclass DenseCache: pass"),
    Attack("a helper that never ends", "forever()", NONE, "time limit", before="def forever():\n    while True: pass"),
    Attack("a syntax error", "return dy @ (", NONE, "has no function Dense.backward; the file does not parse"),
    Attack("a string that is not closed", 'x = """', NONE, "does not parse", ""),
]


@pytest.fixture(scope="module")
def listener():
    """A server that nobody should reach."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.01)
        yield server


def graded(path, tasks=(ATTACKED, WITNESS)):
    return grade.grade(path, SECRET, tasks, LIMITS)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_is_graded_fairly_and_hurts_no_other_task(attack, tmp_path, monkeypatch, listener):
    monkeypatch.setenv(grade.SEED, SECRET)
    out = tmp_path / "out" / "results.json"
    out.parent.mkdir()
    out.write_text("as it was")
    names = {"RESULTS": str(out), "REFERENCE": str(grade.PACKAGE / "layers.py"), "PORT": listener.getsockname()[1],
             "SITES": [str(grade.PACKAGE.parent), *(path for path in os.sys.path if path)]}
    before = attack.before + "".join(f"\n{name} = {value!r}" for name, value in names.items())
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "layers.py").write_text(attacked(attack.body, before, attack.after))
    done = graded(tmp_path / "in")
    first, second = done.results
    said = f"{results.table(done)}\n{first.output}"
    assert (first.score, second.score) == (attack.score, WITNESS.points), said
    assert re.search(attack.reads, first.output), said
    assert SECRET not in said and grade.SEED not in said
    assert out.read_text() == "as it was" and not Path("/", "tmp", "left_by_dense").exists()
    with pytest.raises(TimeoutError):
        listener.accept()


def test_the_fast_path_is_no_answer_to_the_readable_one(tmp_path):
    text = (grade.PACKAGE / "gradients.py").read_text()
    first, last = source.body_lines(text, "readable_gradient")
    lines = text.splitlines()
    lines[first - 1:last] = ["    return input_gradient(net, x, statistics)"]
    (tmp_path / "gradients.py").write_text("\n".join(lines))
    result, = graded(tmp_path, [task for task in manifest.TASKS if task.number == "5.2"]).results
    assert result.score == 0 and "must not call gradients.input_gradient" in result.output


def test_one_bad_case_costs_one_case(tmp_path):
    """A crash on one input does not take the other inputs along."""
    (tmp_path / "layers.py").write_text(attacked("if len(dy) == 7:\n    import os; os._exit(1)"))
    result, other = graded(tmp_path).results
    assert [bool(outcome.failure) for outcome in result.outcomes] == [False, True, False] * 2
    assert other.score == WITNESS.points


# What is handed in is not what was asked for.


def broken(folder, name):
    """A broken submission of this name: the path of a folder or a zip file."""
    package = folder / "in" / "minishatter"
    package.mkdir(parents=True)
    file, archive = package / "layers.py", folder / "in.zip"
    if name == "missing file":
        (package / "stats.py").write_text("")
    elif name == "empty file":
        file.write_text("")
    elif name == "another name for the class":
        file.write_text(REFERENCE.replace("class Dense(", "class Thick("))
    elif name == "not UTF-8":
        file.write_bytes(REFERENCE.encode() + b"# \xe9\n")
    elif name == "UTF-16":
        file.write_bytes(REFERENCE.encode("utf-16"))
    elif name == "zero bytes":
        file.write_bytes(b"\0" * 99)
    elif name == "brackets without end":
        file.write_text("(" * 50_000)
    elif name == "a chain without end":
        file.write_text("x = a" + ".b" * 25_000)
    elif name == "signs without end":
        file.write_text("x = " + "-" * 50_000 + "1")
    elif name == "300 MB":
        with file.open("wb") as handle:
            handle.truncate(300 * 2**20)
    elif name == "a symbolic link to the reference":
        file.symlink_to(grade.PACKAGE / "layers.py")
    elif name == "a linked folder":
        package.rmdir()
        package.symlink_to(grade.PACKAGE)
    elif name == "a folder in place of the file":
        file.mkdir()
    elif name == "a pipe in place of the file":
        os.mkfifo(file)
    elif name == "a link with an unprintable name":
        os.symlink(os.devnull, os.fsencode(package) + b"/\xff\x1b[2J")
    elif name == "a device":
        file.symlink_to(os.devnull)
    else:
        return zipped(archive, name)
    return folder / "in"


def zipped(path, name):
    """A zip file that is broken in this way."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        if name == "zip: paths that lead out":
            for place in ("../../minishatter/layers.py", "/minishatter/layers.py", "..\\layers.py"):
                archive.writestr(place, REFERENCE)
        elif name == "zip: a symbolic link":
            link = zipfile.ZipInfo("minishatter/layers.py")
            link.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(link, str(grade.PACKAGE / "layers.py"))
        elif name == "zip: a bomb":
            archive.writestr("minishatter/layers.py", b"#" * 50_000_000)
        elif name == "zip: a damaged file":
            archive.writestr("minishatter/layers.py", REFERENCE)
    if name == "zip: a damaged file":
        data = bytearray(path.read_bytes())
        data[100:200] = bytes(100)
        path.write_bytes(bytes(data))
    return path


BROKEN = [
    ("missing file", "layers.py is missing"), ("empty file", "no function"),
    ("another name for the class", "has no function Dense.backward"), ("not UTF-8", "is not UTF-8: byte"),
    ("UTF-16", "is not UTF-8"), ("zero bytes", "does not parse"), ("brackets without end", "does not parse"),
    ("a chain without end", "does not parse|no function"), ("signs without end", "does not parse"),
    ("300 MB", "larger than"), ("a symbolic link to the reference", "symbolic link"),
    ("a linked folder", "symbolic links are not followed: minishatter"), ("a folder in place of the file", "missing"),
    ("a pipe in place of the file", "no regular file"), ("a device", "symbolic link"),
    ("a link with an unprintable name", "missing"),
    ("zip: paths that lead out", "missing"), ("zip: a symbolic link", "symbolic link"), ("zip: a bomb", "larger than"),
    ("zip: a damaged file", "cannot be read"),
]


@pytest.mark.parametrize("name, reads", BROKEN, ids=[name for name, _ in BROKEN])
def test_a_broken_submission_scores_nothing_and_is_told_why(name, reads, tmp_path):
    done = graded(broken(tmp_path, name), [ATTACKED])
    assert done.score == 0 and re.search(reads, done.results[0].output), results.table(done)
    assert done.results[0].output and results.gradescope(done, 1.0) and results.junit(done, 1.0).encode()
    known = {"in", "in.zip", "minishatter", "layers.py", "stats.py"}
    assert {path.name for path in tmp_path.rglob("*") if not path.is_symlink()} <= known  # nothing was unpacked


@pytest.mark.parametrize("place", ["layers.py", "minishatter/layers.py", "a/minishatter/layers.py", "a/layers.py"])
def test_a_file_is_found_where_students_put_it_in_a_folder_or_a_zip_file(place, tmp_path):
    (tmp_path / "in" / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "in" / place).write_text(REFERENCE)
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr(place, REFERENCE)
    (tmp_path / "in.zip").write_bytes(data.getvalue())
    for path in (tmp_path / "in", tmp_path / "in.zip"):
        assert graded(path, [WITNESS]).score == WITNESS.points


@pytest.mark.parametrize("content", [b"PK\x03\x04 no zip", b"", None])
def test_what_is_neither_a_folder_nor_a_zip_file_is_refused(content, tmp_path):
    path = tmp_path / "in.zip"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match="folder or a zip file"):
        graded(path)


@pytest.mark.filterwarnings("ignore")  # of headers as Python 2 wrote them
def test_a_message_of_any_bytes_is_refused_or_read_and_takes_no_more_memory_than_it_has():
    """One byte changed at every place: an error, or arrays no larger than the message."""
    body = wire.pack({"dx": np.arange(6.0).reshape(2, 3), "W": np.ones((2, 1), dtype=bool, order="F")})[8:]
    assert np.array_equal(wire.unpack(body)["dx"], np.arange(6.0).reshape(2, 3))
    for place in range(len(body)):
        for byte in b"\x00\xff9(O":
            changed = body[:place] + bytes([byte]) + body[place + 1:]
            try:
                arrays = wire.unpack(changed)
            except Exception as error:
                assert not isinstance(error, MemoryError)
            else:
                assert sum(array.nbytes for array in arrays.values()) <= len(body)


def test_the_instructors_page_lists_every_attack():
    page = (grade.PACKAGE / "coursework" / "SECURITY.md").read_text(encoding="utf-8")
    names = [attack.name for attack in ATTACKS] + [name for name, _ in BROKEN]
    assert [name for name in names if f"| {name} |" not in page] == [] and len(names) >= 25
    row = re.compile(r"^\| (.+?) \| ([\d.]+) of 8 \| (.*) \|$", re.MULTILINE)
    rows = {name: (float(score), says) for name, score, says in row.findall(page)}
    stale = [attack.name for attack in ATTACKS
             if rows[attack.name][0] != attack.score or not re.search(attack.reads, rows[attack.name][1])]
    assert stale == []  # what the page says is what the tests see
