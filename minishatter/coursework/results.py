"""A Grade for machines and for people: Gradescope's results.json, JUnit's XML, a table."""

import json
import os
import stat
import xml.etree.ElementTree as xml
from pathlib import Path

INSTRUCTOR = "0"  # the number of what only instructors see


def printable(text):
    """The text in one line: white space is one blank; a question mark for what a terminal or XML cannot have."""
    return "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))


def remarks(grade):
    """One line for each defence that is off, and for each accident; students need not read it."""
    return [printable(line) for line in (
        *(f"defence off: {defence} ({why})" for defence, why in sorted(grade.off.items())),
        *(f"accident: {what}" for what in grade.accidents))]


def gradescope(grade, seconds):
    """The text of results.json, by Gradescope's documented fields."""
    tests = [{"number": result.task.number, "name": result.task.object, "score": result.score,
              "max_score": float(result.task.points),
              "status": "passed" if result.score == result.task.points else "failed",
              "output": result.output, "visibility": "visible"} for result in grade.results]
    notes = remarks(grade)
    if notes:
        tests.append({"number": INSTRUCTOR, "name": "for instructors", "score": 0.0, "max_score": 0.0,
                      "status": "failed", "output": "\n".join(notes), "visibility": "hidden"})
    return json.dumps({"execution_time": round(seconds), "visibility": "visible", "stdout_visibility": "hidden",
                       "tests": tests, "extra_data": {"missing defences": sorted(grade.off)}}, indent=1)


def junit(grade, seconds):
    """The XML that continuous integration reads: one test case for each case of a task."""
    suite = xml.Element("testsuite", name="minishatter coursework", time=f"{seconds:.1f}")
    failures = 0
    for result in grade.results:
        cases = [(f"{outcome.seed}, {outcome.kind}", outcome.failure) for outcome in result.outcomes]
        for name, failure in cases or [("graded", result.refused)]:
            case = xml.SubElement(suite, "testcase", classname=result.task.name, name=name)
            if failure:
                failures += 1
                xml.SubElement(case, "failure", message=printable(failure))
    suite.set("tests", str(len(suite)))
    suite.set("failures", str(failures))
    xml.indent(suite)
    return xml.tostring(suite, encoding="unicode") + "\n"


def table(grade):
    """What the terminal shows: points, and the first failure of each task."""
    rows = [f"{'task':<6}{'function':<28}{'points':>12}   first failure"]
    for result in grade.results:
        failed = [f"{v.seed}, {v.kind}: {v.failure}" for v in result.outcomes if v.failure] or [result.refused]
        points = f"{result.score:g} / {result.task.points}"
        rows.append(f"{result.task.number:<6}{result.task.object:<28}{points:>12}   "
                    f"{printable(failed[0])}".rstrip())
    total = f"{grade.score:g} / {sum(result.task.points for result in grade.results)}"
    return "\n".join([*rows, f"{'total':<34}{total:>12}", *remarks(grade)])


class Place:
    """Where a file of results will be: made before anything of a submission runs, so that it can be written after.

    Nothing is at the path before `write`; then all of it is.
    """

    def __init__(self, path):
        self.path = Path(path)
        if self.path.exists() and not self.path.is_file():
            raise ValueError(f"results go into a regular file or a new one, got {self.path}, which is something else")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._mode = stat.S_IMODE(self.path.parent.stat().st_mode)
        self._temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        self._file = self._temporary.open("wb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()
        self._temporary.unlink(missing_ok=True)

    def write(self, text):
        """The whole file."""
        self._file.write(text.encode())
        self._file.flush()
        os.fsync(self._file.fileno())
        if stat.S_IMODE(self.path.parent.stat().st_mode) != self._mode:
            self.path.parent.chmod(self._mode)  # somebody has shut the folder
        os.replace(self._temporary, self.path)

    def clear(self):
        """There are no results: what an earlier run has left is none."""
        self.path.unlink(missing_ok=True)
