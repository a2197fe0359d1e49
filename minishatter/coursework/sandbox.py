"""The parent's side of the child process: make its folder, feed it, wait no longer than allowed, believe nothing.

The folder holds the package with every task blank, and in it one function of the
student's. So the child has no solution of any task, also not of another one; it
gets inputs, but neither seeds nor expected arrays, and these never leave the parent.
"""

import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from . import wire

HERE = Path(__file__).parent
CHILD_FILES = ("child.py", "jail.py", "wire.py")
PACKAGES = ("numpy", "numpy.libs")
# Stand in for numba: the kernels are no task, and a process that compiles nothing starts in half the time.
STAND_INS = {"numba/__init__.py": """prange = range


def njit(*functions, **options):
    return functions[0] if functions and callable(functions[0]) else lambda function: function


jit = njit


def vectorize(*functions, **options):
    from numpy import vectorize
    return vectorize(functions[0]) if functions and callable(functions[0]) else vectorize


def __getattr__(name):
    raise ImportError(f"the grader has no numba.{name}: njit, jit, prange and vectorize are there, and compile nothing")


class types:
    Type = object
    Array = Integer = Number = None
""", "numba/extending.py": """class models:
    PrimitiveModel = object


def lower_builtin(*kinds):
    return lambda function: function


register_model = type_callable = lower_builtin
""", "llvmlite.py": """class binding:
    get_host_cpu_features = dict


class ir:
    IntType = int
"""}
LARGEST_REPLY = 64 * 2**20
START = 60  # seconds in which a child must be ready; it takes one
# Scrubbed, and one thread: none can be started in the child.
ENVIRONMENT = {"LANG": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1",
               "PYTHONDONTWRITEBYTECODE": "1"}


class Limits(NamedTuple):
    """Of one task: seconds by the clock and of the processor, bytes of memory beyond the libraries' code."""

    seconds: float = 20.0
    memory: int = 512 * 2**20


class Failure(NamedTuple):
    """Why there are no arrays: what happened, what may be shown for a public case only, and the student's line."""

    what: str
    detail: str = ""
    line: str = ""


class Run(NamedTuple):
    """What came back for each case, {name: array} or a Failure; and the defences that are off."""

    answers: list
    off: dict


def run(number, tree, groups, limits):
    """Try one task: call the function in `tree`, {file name: source}, on each of the inputs of each group.

    A group has a child of its own, so that what one learns of its inputs cannot be told by another.
    A child that dies is replaced for the cases that are left, until the task's time is used up;
    the time in which a child starts is not counted.
    """
    left, answers, off = limits.seconds, [], {}
    with tempfile.TemporaryDirectory(prefix="minishatter_") as folder:
        box, packages = _furnish(Path(folder), tree)
        for inputs in groups:
            end = len(answers) + len(inputs)
            while len(answers) < end:
                if left <= 0:
                    answers.append(Failure(f"not tried: the task's {limits.seconds:g} s were used up"))
                    continue
                with Child(number, box, packages, inputs[len(answers) - end:], limits) as child:
                    off |= child.defences(time.monotonic() + START)
                    start = time.monotonic()
                    while len(answers) < end and not child.ended:
                        answers.append(child.answer(start + left))
                    left -= time.monotonic() - start
    return Run(answers, off)


def _furnish(folder, tree):
    """The child's folder, and a folder of links to the packages it may import."""
    box, packages = folder / "box", folder / "packages"
    for place in (box, packages, box / "minishatter"):
        place.mkdir()
    for name in CHILD_FILES:
        shutil.copy(HERE / name, box / name)
    (box / "numba").mkdir()
    for name, text in STAND_INS.items():
        (box / name).write_text(text, encoding="utf-8")
    shutil.copytree(HERE / "trials", box / "trials", ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in tree.items():
        (box / "minishatter" / name).write_text(text, encoding="utf-8")
    site = Path(np.__file__).parent.parent
    for name in PACKAGES:
        if (site / name).exists():
            (packages / name).symlink_to(site / name)
    for place in (folder, *folder.rglob("*")):
        if not place.is_symlink():
            place.chmod(0o755 if place.is_dir() else 0o644)  # readable for the user that the child becomes
    return box, packages


class Child:
    """One child process at work on a list of inputs."""

    def __init__(self, number, box, packages, inputs, limits):
        self.limits, self.ended, self._buffer = limits, False, bytearray()
        command = [sys.executable, "-I", "-S", "child.py", number, str(limits.memory),
                   str(int(limits.seconds) + 10), str(packages)]
        with tempfile.TemporaryFile() as file:  # no pipe: a child that does not read cannot keep us waiting
            file.writelines(map(wire.pack, inputs))
            file.seek(0)
            self.process = subprocess.Popen(command, cwd=box, env=ENVIRONMENT, stdin=file, stdout=subprocess.PIPE,
                                            stderr=subprocess.PIPE, start_new_session=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._kill()
        self.process.stdout.close()
        self.process.stderr.close()

    def _kill(self):
        """The whole process group: forks share it, where they were possible at all."""
        self.ended = True
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()

    def _bury(self):
        """Wait a moment for a process that is ending by itself, so that its own exit code is known."""
        try:
            self.process.wait(1)
        except subprocess.TimeoutExpired:
            pass
        self._kill()

    def defences(self, deadline):
        """{defence: why it is off}, sent before the student's code is imported; RuntimeError if nothing comes."""
        message = self._receive(deadline)
        if not isinstance(message, dict):
            raise RuntimeError("the child process did not start, before any code of the submission: "
                               + (self.process.stderr.read().decode("utf-8", "replace") or message.what))
        lines = wire.string(message["off"]).splitlines()
        return dict(line.split(": ", 1) for line in lines)

    def answer(self, deadline):
        """The arrays of the next case, or a Failure."""
        message = self._receive(deadline)
        if isinstance(message, dict) and "!error" in message:
            kind, detail, line = (wire.string(message.get(name, b"")) for name in ("!error", "!message", "!line"))
            return Failure(f"raised {kind[:40]}", detail, line)
        return message

    def _receive(self, deadline):
        try:
            size, = wire.LENGTH.unpack(self._read(wire.LENGTH.size, deadline))
            if size > LARGEST_REPLY:
                raise ValueError(f"it is larger than {LARGEST_REPLY >> 20} MB")
            return wire.unpack(self._read(size, deadline))
        except TimeoutError:
            self._kill()
            return Failure(f"stopped: the time limit of {self.limits.seconds:g} s for the task was reached")
        except EOFError:
            self._bury()
            return Failure(f"your code ended its process ({_reason(self.process.returncode)})")
        except Exception as error:  # bytes that mean harm fail in many ways
            self._kill()
            return Failure("what came back is no plain array", str(error)[:200])

    def _read(self, size, deadline):
        while len(self._buffer) < size:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise TimeoutError
            data = os.read(self.process.stdout.fileno(), 1 << 20)
            if not data:
                raise EOFError
            self._buffer += data
        data, self._buffer = bytes(self._buffer[:size]), self._buffer[size:]
        return data


def _reason(code):
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
