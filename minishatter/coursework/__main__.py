"""`python -m minishatter.coursework release OUT` and `... grade SUBMISSION`: what students get, and get for it."""

import argparse
import os
import sys
import time

from .. import files
from . import grade, manifest, release, results, sandbox, secret


def parser():
    """The command line."""
    top = argparse.ArgumentParser(prog="python -m minishatter.coursework", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)
    out = commands.add_parser("release", help="write what students get and what instructors need")
    out.add_argument("out", metavar="OUT", help="a folder that does not exist yet; gets student/ and instructor/")
    one = commands.add_parser("grade", help="grade a submission, a folder or a zip file",
                              epilog=f"Hidden cases are drawn from the secret text in the variable {grade.SEED}.")
    one.add_argument("submission", metavar="SUBMISSION")
    one.add_argument("--out", metavar="results.json", help="write Gradescope's results.json here")
    one.add_argument("--junitxml", metavar="FILE", help="write JUnit's XML here")
    one.add_argument("--task", action="append", metavar="N.M", choices=[task.number for task in manifest.TASKS],
                     help="grade this task only (may be repeated)")
    one.add_argument("--seconds", type=float, default=sandbox.Limits().seconds,
                     help="time limit per task (%(default)g)")
    one.add_argument("--memory", type=int, default=sandbox.Limits().memory >> 20, metavar="MB",
                     help="memory limit per task (%(default)d)")
    return top


def main(argv=None):
    """Run one command; 0 when it has done its work, whatever the grade."""
    options = parser().parse_args(argv)
    try:
        return run_release(options) if options.command == "release" else run_grade(options)
    except (ValueError, OSError, RuntimeError) as error:
        print(f"{options.command}: {error}", file=sys.stderr)
        return 2


def run_release(options):
    """Write both folders."""
    seed = os.environ.get(grade.SEED)
    release.release(options.out, seed)
    print(f"{options.out}/student      hand this out\n{options.out}/instructor   keep this")
    return 0


def run_grade(options):
    """Grade, write the files asked for, show the table."""
    seed, start = os.environ.pop(grade.SEED, None), time.monotonic()
    seed = seed and secret.strong(seed)
    chosen = [task for task in manifest.TASKS if task.number in (options.task or task.number)]
    limits = sandbox.Limits(options.seconds, options.memory << 20)
    graded = grade.grade(options.submission, seed, chosen, limits)
    seconds = time.monotonic() - start
    if options.out:
        files.write(options.out, results.gradescope(graded, seconds).encode())
    if options.junitxml:
        files.write(options.junitxml, results.junit(graded, seconds).encode())
    print(results.table(graded))
    if not seed:
        print(f"{grade.SEED} is not set: the hidden cases were drawn from a fresh seed, and will be others next time")
    return 0


if __name__ == "__main__":
    sys.exit(main())
