"""Run the tutorials: python -m tutorials [NN ...] [--quick] [--train] [--jobs N] [--list]

Each is a script of its own and runs in a process of its own, as many at a time as
there are cores. One that fails is reported, the rest goes on, and the exit code
is 1. Its figure and its section of REPLICATION.md are put in place when it has
finished: in figures/, or with --quick (small sizes) in figures/quick/.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from minishatter import files, report

FOLDER = Path(__file__).resolve().parent
SCRIPTS = sorted(FOLDER.glob("[0-9][0-9]_*.py"))
# With one process per core, more threads in BLAS and numba would only fight for them.
ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")


def title(script):
    """The first line of the script's docstring."""
    return script.read_text(encoding="utf-8").partition('"""')[2].partition("\n")[0]


def chosen(numbers, error):
    """The scripts with the given two-digit numbers, all if none are given."""
    by_number = {script.name[:2]: script for script in SCRIPTS}
    unknown = [number for number in numbers if number not in by_number]
    if unknown:
        error(f"no tutorial {', '.join(unknown)}; there are {', '.join(by_number)}")
    return [by_number[number] for number in numbers] or SCRIPTS


class Run:
    """One tutorial at work in its own process and its own folder."""

    def __init__(self, script, quick):
        self.script, self.start = script, time.perf_counter()
        self.folder = tempfile.TemporaryDirectory(prefix="minishatter_")
        self.log = Path(self.folder.name, "log")
        env = os.environ | ONE_THREAD | {"MPLBACKEND": "Agg", "MINISHATTER_FIGURES": self.folder.name,
                                         "MINISHATTER_QUICK": "1" if quick else "0"}
        with self.log.open("w") as log:
            self.process = subprocess.Popen([sys.executable, script], cwd=FOLDER.parent, env=env,
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)

    def publish(self):
        """Put the figure and the section in place, or show what the script said; True if it went well."""
        done = self.process.returncode == 0
        if done:
            for figure in sorted(Path(self.folder.name).glob("*.png")):
                files.write(report.folder() / figure.name, figure.read_bytes())
            report.merge(Path(self.folder.name, "REPLICATION.md"))
        else:
            print(self.log.read_text(errors="replace"), file=sys.stderr)
        self.folder.cleanup()
        return done

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()


def run_all(scripts, quick, jobs):
    """Run the scripts, `jobs` at a time, with a line for each that ends; returns the names of those that failed."""
    waiting, running, failed, ended = list(scripts), [], [], 0
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                running.append(Run(waiting.pop(0), quick))
            time.sleep(0.05)
            for run in [run for run in running if run.process.poll() is not None]:
                running.remove(run)
                ended += 1
                seconds = time.perf_counter() - run.start
                if not run.publish():
                    failed.append(run.script.stem)
                print(f"[{ended}/{len(scripts)}] {run.script.stem}: {'FAILED' if run.script.stem in failed else 'ok'}, "
                      f"{seconds:.1f} s", flush=True)
    finally:
        for run in running:
            run.stop()
    return failed


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m tutorials", description="Run the tutorials.")
    parser.add_argument("numbers", nargs="*", metavar="NN", help="which, such as 02 03 (default: all)")
    parser.add_argument("--quick", action="store_true", help="small sizes, into figures/quick/")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N",
                        help="how many at a time (default: one per core)")
    parser.add_argument("--train", action="store_true", help="tutorials 07 and 09: compute what their tables lack (an hour for all)")
    parser.add_argument("--list", action="store_true", help="list the tutorials and stop")
    options = parser.parse_args(argv)
    if options.jobs < 1:
        parser.error(f"--jobs must be at least 1, got {options.jobs}")
    scripts = chosen(options.numbers, parser.error)
    if options.list:
        print("\n".join(f"{script.name[:2]}  {title(script)}" for script in scripts))
        return 0
    if options.train:
        os.environ["MINISHATTER_TRAIN"] = "1"
    os.environ.setdefault("MINISHATTER_FIGURES", str(FOLDER.parent / "figures" / ("quick" if options.quick else "")))
    print(f"{len(scripts)} tutorials, {min(options.jobs, len(scripts))} at a time", flush=True)
    failed = run_all(scripts, options.quick, options.jobs)
    print(f"{len(failed)} failed: {', '.join(failed)}" if failed else
          f"all done; figures and REPLICATION.md are in {report.folder()}")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nstopped; what the finished tutorials wrote is whole", file=sys.stderr)
        sys.exit(130)
