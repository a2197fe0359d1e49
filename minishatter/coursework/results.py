"""A Grade for machines and for people: Gradescope's results.json, JUnit's XML, a table."""

import json
import xml.etree.ElementTree as xml


def printable(text):
    """The text with a question mark for each character that a terminal or an XML file cannot have."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)


def remarks(grade):
    """One line for each defence that is off; students need not read it."""
    return [f"defence off: {defence} ({why})" for defence, why in sorted(grade.off.items())]


def gradescope(grade, seconds):
    """The text of results.json, by Gradescope's documented fields."""
    tests = [{"number": result.task.number, "name": result.task.object, "score": result.score,
              "max_score": float(result.task.points),
              "status": "passed" if result.score == result.task.points else "failed",
              "output": printable(result.output), "visibility": "visible"} for result in grade.results]
    return json.dumps({"execution_time": round(seconds), "visibility": "visible", "stdout_visibility": "hidden",
                       "tests": tests}, indent=1)


def junit(grade, seconds):
    """The XML that continuous integration reads: one test case for each case of a task."""
    suite = xml.Element("testsuite", name="minishatter coursework", time=f"{seconds:.1f}")
    failures = 0
    for result in grade.results:
        cases = [(f"{verdict.seed}, {verdict.kind}", verdict.failure) for verdict in result.verdicts]
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
        failed = [f"{v.seed}, {v.kind}: {v.failure}" for v in result.verdicts if v.failure] or [result.refused]
        points = f"{result.score:g} / {result.task.points}"
        rows.append(f"{result.task.number:<6}{result.task.object:<28}{points:>12}   "
                    f"{printable(failed[0])}".rstrip())
    total = f"{grade.score:g} / {sum(result.task.points for result in grade.results)}"
    return "\n".join([*rows, f"{'total':<34}{total:>12}", *remarks(grade)])
