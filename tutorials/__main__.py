"""Run the tutorials: python -m tutorials [NN ...] [--quick] [--table] [--train [--paper]] [--jobs N] [--list]
or make documents of them:  python -m tutorials [NN ...] [--quick] [--notebooks OUT] [--html OUT]

Each is a script of its own and runs in a process of its own, as many at a time as
there are cores. One that fails is reported, the rest goes on, and the exit code
is 1. Its figure and its section of REPLICATION.md are put in place when it has
finished. One tutorial alone is shown as it speaks, and does not touch the table.
"""

import argparse
import functools
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from minishatter import files, report, running
from minishatter.__main__ import Parser, until_nobody_reads

FOLDER = Path(__file__).resolve().parent
SCRIPTS = sorted(FOLDER.glob("[0-9][0-9]_*.py"))
STUDIES = ("accuracy_study.py", "conventions.py", "training_study.py")  # what some of the scripts import
# With one process per core, more threads in BLAS and numba would only fight for them.
ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
NOTEBOOKS = ("jupytext", "nbclient", "nbconvert", "ipykernel")  # the extra of this name in setup.cfg

ABOUT = """\
Figures and REPLICATION.md go to the repository's figures/ (figures/quick/ with --quick), wherever you are,
or to the folder that the variable MINISHATTER_FIGURES names. With one NN you see what the tutorial prints,
and only its figure is written; REPLICATION.md is left as it is unless you add --table. With several, or all,
there is a line for each, and their sections of REPLICATION.md are rewritten."""


def title(script):
    """The first line of the script's docstring."""
    return script.read_text(encoding="utf-8").partition('"""')[2].partition("\n")[0]


def chosen(numbers, error):
    """The scripts with the given two-digit numbers, all if none are given."""
    by_number = {script.name[:2]: script for script in SCRIPTS}
    unknown = [number for number in numbers if number not in by_number]
    if unknown:
        error(f"no tutorial {', '.join(unknown)}; there are {', '.join(by_number)}")
    return [by_number[number] for number in dict.fromkeys(numbers)] or SCRIPTS


class Run:
    """One tutorial at work in its own process and its own folder; what it says goes to a log there, or is `heard`."""

    def __init__(self, script, quick, command=(), heard=False):
        self.script, self.start = script, time.perf_counter()
        self.folder = tempfile.TemporaryDirectory(prefix="minishatter_")
        self.log = Path(self.folder.name, "log")
        path = os.pathsep.join(filter(None, (str(FOLDER.parent), os.environ.get("PYTHONPATH"))))  # this package's code
        env = os.environ | ONE_THREAD | {"MPLBACKEND": "Agg", "MINISHATTER_FIGURES": self.folder.name,
                                         "MINISHATTER_QUICK": "1" if quick else "0", "PYTHONUNBUFFERED": "1",
                                         "PYTHONPATH": path}
        with self.log.open("w") as log:
            self.process = subprocess.Popen([sys.executable, *command, script], cwd=FOLDER.parent, env=env,
                                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE if heard else log,
                                            stderr=None if heard else log, text=True, errors="replace")

    def finish(self, publish):
        """Publish what it wrote, or show what it said; True if it went well. `publish` gets its folder."""
        try:
            if self.process.returncode == 0:
                publish(Path(self.folder.name))
                return True
            print(self.log.read_text(errors="replace"), file=sys.stderr, end="")
        except (OSError, ValueError) as error:  # such as a full disk: the others go on
            print(f"{self.script.stem}: what it wrote cannot be put in place: {error}", file=sys.stderr)
        finally:
            self.folder.cleanup()
        return False

    def stop(self):
        """End it if it is still at work: politely first, so that it can end what it has started itself."""
        self.process.terminate()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.process.wait()
        self.folder.cleanup()


def put_in_place(folder, table=True):
    """The figures of a run, and its section of the table if wanted."""
    for figure in sorted(folder.glob("*.png")):
        files.write(running.folder() / figure.name, figure.read_bytes())
    if table:
        report.merge(folder / "REPLICATION.md")


def run_one(script, quick, table):
    """Run one script and show what it prints as it comes; the exit code."""
    run = Run(script, quick, heard=True)
    try:
        with run.process.stdout as lines:
            for line in lines:
                print(line, end="", flush=True)
        run.process.wait()
        if not run.finish(functools.partial(put_in_place, table=table)):
            return 1
    finally:
        run.stop()
    print(f"\n{time.perf_counter() - run.start:.1f} s; the figure is in {running.folder()}"
          + ("" if table else "; REPLICATION.md there is left as it is (see --table)"))
    return 0


def run_all(scripts, quick, jobs, command=(), publish=put_in_place):
    """Run the scripts, `jobs` at a time, with a line for each that ends; returns the names of those that failed."""
    waiting, at_work, failed, ended = list(scripts), [], [], 0
    try:
        while waiting or at_work:
            while waiting and len(at_work) < jobs:
                at_work.append(Run(waiting.pop(0), quick, command))
            time.sleep(0.05)
            for run in [run for run in at_work if run.process.poll() is not None]:
                at_work.remove(run)
                ended += 1
                seconds = time.perf_counter() - run.start
                if not run.finish(publish):
                    failed.append(run.script.stem)
                print(f"[{ended}/{len(scripts)}] {run.script.stem}: {'FAILED' if run.script.stem in failed else 'ok'}, "
                      f"{seconds:.1f} s", flush=True)
    finally:
        for run in at_work:
            run.stop()
    return failed


def make_documents(scripts, options):
    """Notebooks with outputs and the pages of a gallery, where the options want them; the names of what failed."""
    import nbformat

    from tutorials import gallery

    books = {}

    def collect(folder):
        [path] = folder.glob("*.ipynb")
        books[path.stem] = nbformat.read(path, as_version=4)
        if options.notebooks:
            files.write(options.notebooks / path.name, path.read_bytes())

    failed = run_all(scripts, options.quick, options.jobs, ("-m", "tutorials.gallery"), collect)
    for name in STUDIES if options.notebooks else ():  # so that who opens a notebook can run it
        files.write(options.notebooks / name, (FOLDER / name).read_bytes())
    if options.html and books:
        size = "small sizes (--quick)" if options.quick else "full size"
        for name, page in gallery.pages(dict(sorted(books.items())), size).items():
            files.write(options.html / name, page)
    return failed


def writable(folder, cure, error):
    """Calls `error` with one line, before any work, if nothing can be written into the folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return
    except OSError as reason:
        error(f"cannot write to {folder} ({reason.strerror}); {cure}")


def command_line():
    """The parser of `python -m tutorials`."""
    parser = Parser(prog="python -m tutorials", description="Run the tutorials.", epilog=ABOUT,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("numbers", nargs="*", metavar="NN", help="which, such as 02 03 (default: all)")
    parser.add_argument("--quick", action="store_true", help="small sizes, into figures/quick/")
    parser.add_argument("--table", action="store_true", help="with one NN: rewrite its section of REPLICATION.md too")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N",
                        help="how many at a time (default: one per core)")
    parser.add_argument("--train", action="store_true",
                        help="tutorials 03, 07, 09, 17: compute what their tables lack (minutes; 09: hours)")
    parser.add_argument("--paper", action="store_true",
                        help="with --train: tutorial 09 by the paper's protocol (for a cluster)")
    parser.add_argument("--list", action="store_true", help="list the tutorials and stop")
    parser.add_argument("--notebooks", type=Path, metavar="OUT",
                        help="write notebooks with outputs into the folder OUT, and the modules that some import")
    parser.add_argument("--html", type=Path, metavar="OUT",
                        help="write a gallery into the folder OUT: index.html, and a page for each; both need the "
                             'extra of: pip install -e ".[notebooks]", and leave figures/ as it is')
    return parser


def checked(options, error):
    """The scripts to run, after everything that can be refused before the work."""
    if options.jobs < 1:
        error(f"--jobs must be at least 1, got {options.jobs}")
    if options.paper and not options.train:
        error("--paper says how to --train")
    scripts = chosen(options.numbers, error)
    documents = [folder for folder in (options.notebooks, options.html) if folder]
    missing = [name for name in NOTEBOOKS if importlib.util.find_spec(name) is None]
    if documents and missing:
        error(f'--notebooks and --html need the extra `notebooks`: pip install -e ".[notebooks]" '
              f"(missing: {', '.join(missing)})")
    if not options.list:
        for folder in documents:
            writable(folder, "name another OUT", error)
        if not documents:
            writable(running.folder(), "name a folder of yours in the variable MINISHATTER_FIGURES", error)
    return scripts


def main(argv=None):
    """Do what the command line says; the exit code."""
    parser = command_line()
    options = parser.parse_args(argv)
    os.environ["MINISHATTER_QUICK"] = "1" if options.quick else "0"
    if options.train:
        os.environ["MINISHATTER_TRAIN"] = "paper" if options.paper else "1"
    scripts = checked(options, parser.error)
    if options.list:
        print("\n".join(f"{script.name[:2]}  {title(script)}" for script in scripts))
        return 0
    documents = [str(folder) for folder in (options.notebooks, options.html) if folder]
    if len(scripts) == 1 and not documents:
        return run_one(scripts[0], options.quick, options.table)
    print(f"{len(scripts)} tutorial{'s' * (len(scripts) > 1)}, {min(options.jobs, len(scripts))} at a time", flush=True)
    failed = make_documents(scripts, options) if documents else run_all(scripts, options.quick, options.jobs)
    print(f"{len(failed)} failed: {', '.join(failed)}" if failed else "all done; see " + " and ".join(documents)
          if documents else f"all done; figures and REPLICATION.md are in {running.folder()}")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        with until_nobody_reads():
            sys.exit(main())
    except KeyboardInterrupt:
        print("\nstopped; what the finished tutorials wrote is whole", file=sys.stderr)
        sys.exit(130)
