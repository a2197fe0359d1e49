"""What comes from one worker, and how long it took: of its messages only the first is believed."""

import builtins
import json
import os
import select
import time
from pathlib import Path
from typing import NamedTuple

from . import wire

ENOUGH = 65536     # bytes that a message may have beyond what the numbers of a right answer take
SPARE = 4          # and how many times their bytes
DETAIL, LINE = 400, 120  # characters of an exception's message, and of the line it came from
OVERTIME = 10      # how many times its limit a worker may take by the clock, if all the while it had to queue
EXCEPTIONS = {name for name, kind in vars(builtins).items()
              if isinstance(kind, type) and issubclass(kind, BaseException)}


class Failure(NamedTuple):
    """Why there are no arrays: what happened, what may be shown for a public case only, and the student's line."""

    what: str
    detail: str = ""
    line: str = ""
    importing: bool = False  # it happened before the function was called
    ended: bool = False      # the worker's process did


class Worker:
    """The reading end of a worker's pipe, and its clock."""

    def __init__(self, pipe, size):
        """size: bytes of a right answer."""
        self.largest = SPARE * size + ENOUGH
        self._pipe, self._buffer, self._number = pipe, bytearray(), 0
        self._restart()

    def defences(self, seconds):
        """{defence: why it is off}, sent before the student's code is imported; EOFError if nothing comes."""
        said = json.loads(wire.string(self._message(seconds)["defences"]))
        self._number = said["number"]
        return said["off"]

    def answer(self, budget):
        """{name: array} or a Failure; in no more time than the budget has left."""
        self._restart()
        importing = True
        try:
            said = self._message(budget.left)
            importing = "imported" not in said
            if not importing:
                said = self._message(budget.left)
            return _failure(said, importing) if "!error" in said else said
        except TimeoutError:
            return Failure(f"stopped: the time limit of {budget.seconds:.2g} s for the task was reached", "", "",
                           importing)
        except EOFError:
            return Failure("your code ended its process", "", "", importing, ended=True)
        except Exception as error:  # bytes that mean harm fail in many ways
            return Failure("what came back is no plain array", str(error)[:DETAIL], "", importing)

    def spent(self):
        """Seconds since the student's code was let in, less those in which it was ready and other processes ran."""
        return time.monotonic() - self._begun - (self._queued() - self._queue)

    def _restart(self):
        self._queue, self._begun = self._queued(), time.monotonic()

    def _queued(self):
        """Seconds that the worker has waited for a processor so far."""
        try:
            self._last = int(Path("/proc", str(self._number), "schedstat").read_text().split()[1]) / 1e9
        except (OSError, IndexError, ValueError):
            self._last = getattr(self, "_last", 0.0)  # it has ended, or the kernel does not count
        return self._last

    def _message(self, seconds):
        size, = wire.LENGTH.unpack(self._read(wire.LENGTH.size, seconds))
        if size > self.largest:
            raise ValueError(f"it is larger than {self.largest:,} bytes")
        return wire.unpack(self._read(size, seconds))

    def _read(self, size, seconds):
        while len(self._buffer) < size:
            left = seconds - self.spent()
            if left <= 0 or time.monotonic() - self._begun > OVERTIME * seconds + OVERTIME:
                raise TimeoutError
            if not select.select([self._pipe], [], [], left)[0]:
                continue
            data = os.read(self._pipe, 1 << 16)
            if not data:
                raise EOFError
            self._buffer += data
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data


def _failure(said, importing):
    """An exception as reported: one of Python's own, and no more of its words than belong into a line."""
    kind, detail, line = (wire.string(said[name][:4 * size]) if name in said else "" for name, size in
                          (("!error", LINE), ("!message", DETAIL), ("!line", LINE)))
    return Failure(f"raised {kind if kind in EXCEPTIONS else 'Exception'}", detail[:DETAIL], line[:LINE], importing)
