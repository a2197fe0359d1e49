"""Write what students get and what instructors need, from this one source tree.

    OUT/student/       the package with every task blank, public cases, tutorials, HANDOUT.md
    OUT/instructor/    RUBRIC.md, SOLUTIONS.md, hidden_seed.txt, autograder.zip (Gradescope)
"""

import io
import json
import os
import re
import secrets
import shlex
import shutil
import time
import zipfile
from pathlib import Path

import numpy as np

from .. import files
from . import manifest, package, sandbox
from .questions import QUESTIONS, TOTAL
from .secret import strong
from .trials import TRIALS
from .trials.trial import PUBLIC, generator, plain

ROOT = package.FOLDER.parent
TEMPLATES = Path(__file__).parent / "templates"
KEPT = ("LICENSE", "pyproject.toml", ".gitignore",  # handed out as they are; the last two are read by tutorial 03
        "tutorials/conventions.py", "figures/03_conventions.csv")
PYTEST = "[tool:pytest]"
ALONGSIDE = ("__", "06", "18")  # tutorials that no task names: their runner, skip connections, paths and walks
LESSON = "tutorials/00_backward_rules.py"  # for students only


def release(out, seed=None):
    """Write OUT/student and OUT/instructor; seed is the secret text for the hidden cases, a fresh one if None.

    Raises ValueError if OUT exists, if this package is not in its source tree, or if the secret can be guessed.
    """
    out = Path(out)
    if out.exists():
        raise ValueError(f"{out} exists; a release goes into a new folder")
    if not (ROOT / "setup.cfg").exists() or not (ROOT / "tutorials").is_dir():
        raise ValueError(f"a release is made from the source tree, with setup.cfg and tutorials; {ROOT} has none")
    unfinished = out.with_name(f".{out.name}.{os.getpid()}")  # so that OUT is whole or is not there
    try:
        for place, data in (student() | instructor(strong(seed or secrets.token_hex(16)))).items():
            files.write(unfinished / place, data if isinstance(data, bytes) else data.encode())
        (unfinished / "instructor" / "hidden_seed.txt").chmod(0o600)
        unfinished.rename(out)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def student():
    """{path: text or bytes} of the student's folder."""
    trials = {f"tests/trials/{path.name}": path for path in sorted((Path(__file__).parent / "trials").glob("*.py"))}
    needed = {*ALONGSIDE, *(task.tutorial for task in manifest.TASKS)}  # others may hold what a task asks for
    tutorials = {f"tutorials/{path.name}": path for path in sorted((ROOT / "tutorials").glob("*.py"))
                 if path.name[:2] in needed}
    copied = {name: ROOT / name for name in KEPT} | {"tests/test_tasks.py": TEMPLATES / "public_tests.txt",
                                                     LESSON: TEMPLATES / "lesson.txt"}
    images = {f"minishatter/images/{path.name}": path for path in sorted((package.FOLDER / "images").glob("*.py"))}
    tree = {f"minishatter/{name}": text for name, text in package.blank_package().items()}
    tree |= {name: path.read_text(encoding="utf-8") for name, path in (images | trials | tutorials | copied).items()}
    tree |= {f"tests/public/{number}.npz": public_cases(number) for number in TRIALS}
    tree |= {"tests/__init__.py": "", "tests/public/rules.json": rules()}
    tree |= {"setup.cfg": settings(), "HANDOUT.md": handout()}
    return {f"student/{name}": data for name, data in tree.items()}


def settings():
    """setup.cfg for students: a marker for each task, short tracebacks, nothing to install that they do not need."""
    text = (ROOT / "setup.cfg").read_text(encoding="utf-8").partition(PYTEST)[0].replace("README.md", "HANDOUT.md")
    text = re.sub(r"^[ \t]+dask.*\n", "", text, flags=re.MULTILINE)  # a tab where setuptools wrote it, in an sdist
    markers = "".join(f"    {task.marker}: {task.name}\n" for task in manifest.TASKS)
    return (f"{text}{PYTEST}\ntestpaths = tests\naddopts = --strict-markers --strict-config --tb=short\n"
            f"markers =\n{markers}")


def rules():
    """The JSON text of what each task must not call, and of the seconds after which it is called slow at home.

    At home a function may be compiled, and the machine slower than this one: so ten times as long as here, and 10 s.
    """
    places = {task.number: {f"minishatter.{file.removesuffix('.py')}:{name}": message
                            for file, messages in package.forbidden(task).items() for name, message in messages.items()}
              for task in manifest.TASKS}
    return json.dumps({"seconds": {number: round(10 + 10 * seconds(number)) for number in TRIALS},
                       "not to be called": places}, indent=1)


def seconds(number):
    """How long the reference takes here for the public cases of a task."""
    trial, start = TRIALS[number], time.perf_counter()
    for kind in trial.kinds:
        trial.call(**trial.draw(generator(PUBLIC, number, kind), kind))
    return time.perf_counter() - start


def public_cases(number):
    """The bytes of one npz file: each public case's inputs, and what the reference's outputs look like."""
    trial, data, named = TRIALS[number], io.BytesIO(), {}
    for kind in trial.kinds:
        given = trial.draw(generator(PUBLIC, number, kind), kind)
        named |= {f"{kind}/in/{name}": array for name, array in given.items()}
        named |= {f"{kind}/out/{name}": array for name, array in trial.look(plain(trial.call(**given))).items()}
    np.savez_compressed(data, **named)
    return data.getvalue()


def handout():
    """The page of tasks in order, with the written questions of each chapter behind its tasks."""
    rows = ["| task | file | points | minutes | after | tutorial |", "| --- | --- | ---: | ---: | --- | --- |"]
    rows += [f"| {t.number} `{t.object}` | `minishatter/{t.file}` | {t.points} | {t.minutes} | "
             f"{', '.join(t.requires) or '-'} | {t.tutorial} |" for t in manifest.TASKS]
    first = manifest.TASKS[0]
    text = (TEMPLATES / "HANDOUT.md").read_text(encoding="utf-8")
    limits = sandbox.Limits()
    return text.format(tasks=len(manifest.TASKS), example=first.message, marker=first.marker, table="\n".join(rows),
                       seconds=f"{limits.seconds:g}", memory=limits.memory >> 20,
                       chapters="\n\n".join(chapter(number) for number in sorted({q.chapter for q in QUESTIONS})))


def chapter(number):
    """The ideas of one chapter's tasks, and its questions."""
    lines = [f"### Chapter {number}", ""]
    lines += [f"- **{t.number} `{t.object}`.** {t.idea} `pytest -m {t.marker}`"
              for t in manifest.TASKS if t.number.startswith(f"{number}.")]
    for name, question in named():
        if question.chapter == number:
            lines += ["", f"**Question {name}** ({question.points} points, in writing). {question.text}"]
    return "\n".join(lines)


def instructor(seed):
    """{path: text or bytes} of the instructor's folder."""
    return {"instructor/RUBRIC.md": rubric(), "instructor/SOLUTIONS.md": solutions(),
            "instructor/hidden_seed.txt": f"{seed}\n", "instructor/autograder.zip": autograder(seed)}


def rubric():
    """What gives points: the cases of each task, and the written questions."""
    tasks = [f"| {t.number} `{t.object}` | {t.points} | {', '.join(TRIALS[t.number].kinds)} |" for t in manifest.TASKS]
    questions = [f"| {name}: {q.text[:60].rsplit(' ', 1)[0]} ... | {q.points} | {q.rubric} |" for name, q in named()]
    return "\n".join([
        "# Rubric", "",
        f"Code: {manifest.TOTAL} points, by the grader. Within a task each kind of case counts the same: "
        "three quarters for the hidden case, and the last quarter if the public one is right too. "
        f"Questions: {TOTAL} points, by hand.", "",
        "| task | points | cases |", "| --- | ---: | --- |", *tasks, "",
        "| question | points | for |", "| --- | ---: | --- |", *questions, ""])


def named():
    """The questions with their names, such as 2.a: the chapter, and a letter within it."""
    for place, question in enumerate(QUESTIONS):
        before = sum(q.chapter == question.chapter for q in QUESTIONS[:place])
        yield f"{question.chapter}.{'abcdef'[before]}", question


def solutions():
    """The written questions with their solutions."""
    parts = [f"## {name} ({q.points} points)\n\n{q.text}\n\n> {q.solution}\n\n{q.rubric}" for name, q in named()]
    return "# Solutions of the written questions\n\n" + "\n\n".join(parts) + "\n"


def autograder(seed):
    """The bytes of autograder.zip: setup.sh and run_autograder at the root, and the package beside them."""
    scripts = {name: (TEMPLATES / name).read_text(encoding="utf-8") for name in ("setup.sh", "run_autograder")}
    scripts["run_autograder"] = scripts["run_autograder"].format(seed=shlex.quote(seed))
    sources = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
               for path in sorted(package.FOLDER.rglob("*")) if path.suffix in {".py", ".md", ".txt", ".sh"}}
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in {**scripts, **sources}.items():
            entry = zipfile.ZipInfo(name)  # dated 1980: the same sources give the same bytes
            entry.external_attr = (0o755 if name in scripts else 0o644) << 16
            archive.writestr(entry, text, zipfile.ZIP_DEFLATED)
    return data.getvalue()
