"""The parent's side of the processes that run a student's function: a folder for each case, and no trust.

The folder holds the package with every task blank, and in it one function of the
student's. So a worker has no solution of any task, also not of another one; it
gets the inputs of one case, but neither seeds nor expected arrays, and these never
leave the parent. Each case has a worker of its own.
"""

import contextlib
import json
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
from .furniture import Furniture, imports
from .worker import Failure, Worker

HERE = Path(__file__).parent
PACKAGES = ("numpy", "numpy.libs")
START = 60    # seconds in which a process must be ready; it takes one
GRACE = 0.2   # seconds for a worker that is ending, to be known by its exit code
FIRST_USER, USERS = 60578, 606  # ids that neither distributions nor systemd give away, and that containers map
# Scrubbed, and one thread: none can be started in a worker.
ENVIRONMENT = {"LANG": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
DEFENCES = {"user": "no capability is left, and root's identity is out of reach",
            "files": "the reference cannot be read, and nothing can be changed",
            "processes": "no process and no thread can be started", "network": "there is no way out",
            "signals": "the grader cannot be signalled", "traces": "nothing stays behind in the kernel",
            "memory": "the limit holds for every kind of memory",
            "privacy": "no other process of this user can look into the grader's memory"}


class Limits(NamedTuple):
    """Of one task: seconds beyond what attempt.py allows by the reference; bytes of memory beyond the libraries'."""

    seconds: float = 2.0
    memory: int = 512 * 2**20


class Budget:
    """The time of one task, in seconds: how much there is, and how much is left for its next case."""

    def __init__(self, seconds):
        self.seconds = self.left = seconds

    def spend(self, seconds):
        """Take this much away."""
        self.left -= seconds

    def add(self, seconds):
        """Allow this much more."""
        self.seconds += seconds
        self.left += seconds


class Broken(RuntimeError):
    """The sandbox itself does not work, before any code of a submission."""


class Nursery:
    """A process that starts a locked-up worker for each case; used as a context, so that nothing of it stays."""

    def __init__(self, reference, package):
        """reference: a file that no worker may read; package: the blank one, {file name: source}."""
        self.off, self.allowed, self.pace, self._process = {}, set(DEFENCES), 0.0, None
        self._reference, self._modules = reference, imports(package)
        self._furniture = Furniture(HERE / "trials", package)
        self._open()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _open(self):
        self._folder = Path(tempfile.mkdtemp(prefix="minishatter_"))
        self._box, self._desk, self._packages = (self._folder / name for name in ("box", "desk", "packages"))
        try:
            self._place()
            self._start()
        except BaseException:
            self.close()
            raise

    def _place(self):
        for place in (self._box, self._desk, self._packages):
            place.mkdir()
        site = Path(np.__file__).parent.parent
        for name in PACKAGES:
            if (site / name).exists():
                (self._packages / name).symlink_to(site / name)
        for place, mode in ((self._folder, 0o755), (self._packages, 0o755), (self._box, 0o755), (self._desk, 0o700)):
            place.chmod(mode)  # a worker's user may enter all but the desk

    def _start(self):
        self._log = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", str(HERE / "child.py")], cwd=self._box, env=ENVIRONMENT,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, start_new_session=True)
        users = [FIRST_USER + (os.getpid() * 7 + count) % USERS for count in range(USERS)]
        self._ask({"folder": str(self._folder), "packages": str(self._packages), "modules": self._modules,
                   "users": users, "reference": str(self._reference),
                   "grader": [os.getpid(), os.getppid()], "writable": [".", *_writable()]})
        self._hear("ready")

    def close(self):
        """End the process, which then removes the folder; see to it."""
        if self._process:
            with contextlib.suppress(BrokenPipeError):  # words that it did not live to hear
                self._process.stdin.close()
            try:
                self._process.wait(START)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process.stdout.close()
            self._log.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def furnish(self, tree):
        """Make the workers' folder anew, with these files of the package, {name: source}, instead of blank ones."""
        self._tree = tree
        self._furniture.fill(self._box, tree)

    def call(self, number, inputs, size, budget, memory):
        """{name: array} or a Failure: the student's function for this task on the inputs of one case.

        size: bytes that a right answer has. Raises Broken if no worker could be started, not even by a new nursery.
        """
        try:
            return self._call(number, inputs, size, budget, memory)
        except Broken:
            self.close()
            self._open()
            self.furnish(self._tree)
            return self._call(number, inputs, size, budget, memory)

    def _call(self, number, inputs, size, budget, memory):
        given, reply = self._desk / "given", self._desk / "reply"
        given.write_bytes(wire.pack(inputs))
        os.mkfifo(reply, 0o600)
        pipe = os.open(reply, os.O_RDONLY | os.O_NONBLOCK)
        try:
            worker = Worker(pipe, size)
            self._ask({"number": number, "given": str(given), "reply": str(reply), "largest": worker.largest,
                       "memory": memory, "seconds": int(budget.left) + 10})
            self._hear("started")
            return self._listen(worker, budget, [given, reply])
        finally:
            os.close(pipe)
            for path in (given, reply):
                path.unlink(missing_ok=True)

    def _listen(self, worker, budget, secret):
        answer = None
        try:
            self.off |= worker.defences(START)
            if set(self.off) - self.allowed:
                raise Broken(f"a child process lacks a defence: {self.off}")
            for path in secret:
                path.unlink()  # before the student's code could look for it
            answer = worker.answer(budget)
        except (EOFError, TimeoutError):
            pass  # no defences, no answer: told below
        finally:
            ended = isinstance(answer, Failure) and answer.ended
            self._ask({"grace": GRACE if ended else 0, "folders": _writable() if "files" in self.off else []})
            status = self._hear("status")
        if answer is None:
            raise Broken(f"a child process did not lock itself up: {self._last_words()}")
        budget.spend(worker.spent())
        if "files" in self.off:
            self.furnish(self._tree)  # it may have been changed
        return answer._replace(what=f"{answer.what} ({_reason(status)})") if ended else answer

    def _ask(self, request):
        try:
            self._process.stdin.write((json.dumps(request) + "\n").encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            raise Broken(f"the child process has ended: {self._last_words()}") from None

    def _hear(self, key):
        """The value of this key in the nursery's next report."""
        line, deadline = b"", time.monotonic() + START
        while not line.endswith(b"\n"):
            ready = select.select([self._process.stdout], [], [], max(0, deadline - time.monotonic()))[0]
            data = os.read(self._process.stdout.fileno(), 4096) if ready else b""
            if not data:
                raise Broken(f"the child process did not start: {self._last_words()}")
            line += data
        return json.loads(line)[key]

    def _last_words(self):
        self._log.seek(max(0, self._log.seek(0, os.SEEK_END) - 2000))
        return self._log.read().decode("utf-8", "replace").strip() or "it said nothing"


def _writable():
    """Folders in which every user may make files."""
    return sorted({tempfile.gettempdir(), os.path.join("/dev", "shm")})


def _reason(status):
    """How a process ended, from its wait status; None if it went on, without a way to answer."""
    if status is None:
        return "or closed its output"
    if os.WIFSIGNALED(status):
        names = {member.value: member.name for member in signal.Signals}
        return f"signal {names.get(os.WTERMSIG(status), os.WTERMSIG(status))}"
    return f"exit code {os.WEXITSTATUS(status)}"


def keep_memory_private():
    """No other process of this user may look into this one's memory or environment (root still may)."""
    import ctypes
    return ctypes.CDLL(None).prctl(4, 0, 0, 0, 0) == 0  # PR_SET_DUMPABLE
