"""Read and parse what nobody vouches for in a process of its own: if that dies, the grader goes on. Linux."""

import json
import math
import os
import resource
import select
import signal
import time
import warnings
from pathlib import Path

MEMORY = 192 * 2**20   # bytes beyond what the grader has itself
LARGEST = 4 * 2**20    # bytes of what comes back
PATIENCE = 10          # by the clock, this many times the seconds of the processor


class Died(Exception):
    """The process did not get to an end."""


def apart(function, seconds):
    """(None, what function() returns, as JSON brings it back, seconds used); (error's name, its text, seconds used).

    Errors are ValueError and OSError. Raises Died if it took more than these seconds of the processor,
    rounded up, or too much memory, or crashed. The function must not start threads.
    """
    seen, tell = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # NumPy's threads do not hold any lock of Python's
        pid = os.fork()
    if not pid:
        _report(function, tell, seconds)
    os.close(tell)
    data = _read(seen, time.monotonic() + PATIENCE * max(1.0, seconds))
    os.close(seen)
    os.kill(pid, signal.SIGKILL)
    usage = os.wait4(pid, 0)[2]
    try:
        return *json.loads(data), usage.ru_utime + usage.ru_stime
    except ValueError:
        raise Died("it takes too long to read, or too much memory") from None


def _report(function, tell, seconds):
    """In the new process: never returns."""
    try:
        pages = int(Path("/proc", "self", "statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, 2 * (pages * os.sysconf("SC_PAGE_SIZE") + MEMORY,))
        resource.setrlimit(resource.RLIMIT_CPU, 2 * (max(1, math.ceil(seconds)),))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        try:
            result = (None, function())
        except (ValueError, OSError) as error:
            result = (type(error).__name__, str(error)[:2000])
        data = memoryview(json.dumps(result).encode())
        while data:
            data = data[os.write(tell, data):]
    finally:
        os._exit(0)


def _read(seen, deadline):
    """All that comes; what is not whole is no JSON."""
    data = b""
    while len(data) <= LARGEST and select.select([seen], [], [], max(0, deadline - time.monotonic()))[0]:
        more = os.read(seen, 1 << 16)
        if not more:
            return data
        data += more
    return b""
