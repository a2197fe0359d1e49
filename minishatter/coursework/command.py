"""The command line: `release` writes both folders, `grade` one table and the files that are asked for."""

import argparse
import contextlib
import os
import signal
import sys
import time
from pathlib import Path

from . import door, grade, manifest, release, results, sandbox, secret

UNRELIABLE = 2  # exit code: there is no grade, or not of every task


def parser():
    """The command line."""
    top = argparse.ArgumentParser(prog="python -m minishatter.coursework",
                                  description="Hand the package out with holes in it, and grade what comes back.")
    commands = top.add_subparsers(dest="command", required=True)
    out = commands.add_parser("release", help="write what students get and what instructors need")
    out.add_argument("out", metavar="OUT", help="a folder that does not exist yet; gets student/ and instructor/")
    one = commands.add_parser("grade", help="grade a submission, a folder or a zip file",
                              epilog=f"Hidden cases are drawn from the secret text in the variable {grade.SEED} or in "
                              "a file. Exit code 0: graded, whatever the grade; 2: no grade, or not of every task.")
    one.add_argument("submission", metavar="SUBMISSION")
    one.add_argument("--out", metavar="results.json", help="write Gradescope's results.json here")
    one.add_argument("--junitxml", metavar="FILE", help="write JUnit's XML here")
    one.add_argument("--task", action="append", metavar="N.M", choices=[task.number for task in manifest.TASKS],
                     help="grade this task only (may be repeated)")
    one.add_argument("--seconds", type=float, default=sandbox.Limits().seconds,
                     help="what a task may take besides twice what the reference takes (%(default)g)")
    one.add_argument("--memory", type=int, default=sandbox.Limits().memory >> 20, metavar="MB",
                     help="memory limit per task (%(default)d)")
    one.add_argument("--seed-file", metavar="FILE", help="read the secret text from the first line of this file")
    one.add_argument("--accept-missing", action="append", metavar="NAME", default=[], choices=sorted(sandbox.DEFENCES),
                     help="grade although this defence cannot be had (may be repeated): "
                     + ", ".join(sorted(sandbox.DEFENCES)))
    return top


def main(argv=None):
    """Run one command; 0 when it has done its work, whatever the grade; 2 when there is no grade to rely on."""
    options = parser().parse_args(argv)
    try:
        return run_release(options) if options.command == "release" else run_grade(options)
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        print(f"{options.command}: {error or type(error).__name__}", file=sys.stderr)
        return UNRELIABLE


def run_release(options):
    """Write both folders."""
    seed = os.environ.get(grade.SEED)
    release.release(options.out, seed)
    print(f"{options.out}/student      hand this out\n{options.out}/instructor   keep this")
    return 0


def run_grade(options):
    """Grade, write the files asked for, show the table."""
    seed, start = _seed(options.seed_file), time.monotonic()
    door.refuse_own(options.submission)
    chosen = [task for task in manifest.TASKS if task.number in (options.task or task.number)]
    limits = sandbox.Limits(options.seconds, options.memory << 20)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_ending_in_order())
        out, junit = (stack.enter_context(results.Place(path)) if path else None
                      for path in (options.out, options.junitxml))
        for place in filter(None, (out, junit)):
            place.clear()
        graded = grade.grade(options.submission, seed, chosen, limits, options.accept_missing)
        seconds = time.monotonic() - start
        if out:
            out.write(results.gradescope(graded, seconds))
        if junit:
            junit.write(results.junit(graded, seconds))
    encoding = sys.stdout.encoding or "utf-8"
    print(results.table(graded).encode(encoding, "replace").decode(encoding))
    if not seed:
        print(f"{grade.SEED} is not set: the hidden cases were drawn from a fresh seed, and will be others next time")
    return 0 if graded.whole else UNRELIABLE


def _seed(file):
    """The secret text, not a weak one; it leaves the environment, of which whoever is started gets a copy."""
    given = os.environ.pop(grade.SEED, None)
    if file:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
        given = lines[0].strip() if lines else ""
        if not given:
            raise ValueError(f"--seed-file must hold a secret text in its first line, got {file}, which has none")
    return given and secret.strong(given)


@contextlib.contextmanager
def _ending_in_order():
    """SIGTERM raises SystemExit here, so that processes end and temporary folders go."""
    def stop(number, frame):
        raise SystemExit(128 + number)

    old = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, old)
