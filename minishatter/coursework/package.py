"""The package as students get it, and the package with a student's answer to one task in it."""

import ast
from functools import cache
from pathlib import Path

from . import manifest, source
from .graft import NotTaken, graft, needed, used
from .submission import Refused

FOLDER = Path(__file__).resolve().parents[1]  # of this package, wherever else one of its name may lie


@cache
def blank_package():
    """The package as students get it, {file: source}: the body of every task is blank, and no text above gives it away.

    Raises ValueError if a text to be hidden is not there: then the package was changed, and the manifest was not.
    """
    texts = {path.name: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.py"))}
    for task in manifest.TASKS:
        texts[task.file] = source.blank(texts[task.file], {task.object: task.message}, {task.object: task.docstring})
    for name, answer, instead in manifest.HIDDEN:
        if texts[name].count(answer) != 1:
            raise ValueError(f"{name} must hold this text once, to be hidden from students: {answer!r}")
        texts[name] = texts[name].replace(answer, instead)
    return texts


def student_tree(task, submission):
    """The blank package with a student's function for one task in it, and with what it may call. Raises Refused.

    Of his other answers those are there that the function uses, in the tasks that it may build on. All
    other tasks, and what does the same as this one, are blank and say that they are not to be called.
    """
    tree = dict(blank_package())
    for name, messages in forbidden(task).items():
        tree[name] = source.blank(tree[name], messages)
    submitted, error = source.read(submission.source(task.file))
    try:
        tree[task.file] = graft(tree[task.file], submitted, task.object)
    except LookupError:
        because = f"; the file does not parse ({error})" if error else ""
        raise Refused(f"{task.file} has no function {task.object}{because}") from None
    except NotTaken as why:
        raise Refused(f"{task.file}: {why}") from None
    except source.READING_ERRORS as error:
        raise Refused(f"{task.object} cannot be read: {type(error).__name__}") from None
    for other in _called(task, submission):
        tree[other.file] = graft(tree[other.file], _read(other.file, submission), other.object)
    return tree


def forbidden(task):
    """{file: {function: message}} of what is blank while `task` is tried: all but what it may build on."""
    messages = {}
    for other in manifest.TASKS:
        if other != task and other.number not in task.builds_on:
            messages.setdefault(other.file, {})[other.object] = task.must_not_call(other.object, other.number)
    for twin in task.twins:
        module, _, name = twin.partition(".")
        for function in _functions(f"{module}.py") if name == "*" else [name]:
            messages.setdefault(f"{module}.py", {})[function] = task.must_not_call(f"{module}.{function}")
    return messages


def _functions(name):
    """All functions of a file."""
    return [node.name for node in ast.parse(blank_package()[name]).body if isinstance(node, source.FUNCTIONS)]


def _called(task, submission):
    """The tasks, among those that `task` builds on, whose functions a student's answer uses, directly or not."""
    left, found = [task], []
    while left:
        names = _mentioned(left.pop(), submission)
        more = [other for other in manifest.TASKS if other.number in task.builds_on and other not in found
                and other.object.rpartition(".")[2] in names and _mentioned(other, submission)]
        found += more
        left += more
    return found


def _mentioned(task, submission):
    """All names and attributes in a student's function and its helpers; empty if it cannot be taken."""
    try:
        submitted = _read(task.file, submission)
        parts = [part.node for part in needed(blank_package()[task.file], submitted, task.object)]
        return set().union(*(set().union(*used(node)) for node in [source.find(submitted, task.object), *parts]))
    except (Refused, LookupError, NotTaken, *source.READING_ERRORS):
        return set()


def _read(name, submission):
    return source.read(submission.source(name))[0]
