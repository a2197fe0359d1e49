"""Sources with holes: find a function by name, blank its body.

Everything is done on the syntax tree, and nothing is run. A file that does not
parse is read block by block, so that a slip in one function is not held against
the others in the file.
"""

import ast
import json
import platform
import re
import textwrap

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
BLOCK = re.compile(r"^(?=[^\s#)\]}])", re.MULTILINE)            # a line that is not indented starts one
MEMBER = re.compile(r"^(?=[ \t]+(?:@|def |async def ))", re.MULTILINE)
READING_ERRORS = (SyntaxError, ValueError, RecursionError, MemoryError)  # what ast raises on hostile text


def find(tree, name):
    """The last definition of the function `name` ("he", "Dense.backward") in a tree, or None."""
    scope, _, name = name.rpartition(".")
    for node in reversed(tree.body):
        if scope and isinstance(node, ast.ClassDef) and node.name == scope:
            found = find(node, name)
            if found:
                return found
        elif not scope and isinstance(node, FUNCTIONS) and node.name == name:
            return node
    return None


def body_lines(text, name):
    """First and last line (from 1) of the body of a function, its docstring left out, comments before it counted in."""
    node = find(ast.parse(text), name)
    if node is None:
        raise ValueError(f"there is no function {name} to be a task")
    statements = node.body[1:] if ast.get_docstring(node) is not None else node.body
    if not statements:
        raise ValueError(f"{name} has no body to be a task")
    first, lines = statements[0].lineno, text.splitlines()
    while not lines[first - 2].strip() or lines[first - 2].lstrip().startswith("#"):
        first -= 1
    return first, node.end_lineno


def blank(text, messages, docstrings=None):
    """The text with the body of each function replaced by `raise NotImplementedError(message)`.

    messages: {name of the function: message}. Signatures and docstrings stay; a function without one
    gets the one in `docstrings`. Raises ValueError if there is no such function.
    """
    for name, message in messages.items():
        first, last = body_lines(text, name)
        lines = text.splitlines(keepends=True)
        indent = next(re.match(r"\s*", line)[0] for line in lines[first - 1:last] if line.strip())
        docstring = ["\"\"\"" + docstrings[name] + "\"\"\""] if docstrings and docstrings.get(name) else []
        hole = "\n".join([*docstring, f"raise NotImplementedError({json.dumps(message)})"])
        text = "".join([*lines[:first - 1], textwrap.indent(hole, indent), "\n", *lines[last:]])
    return text


def read(text):
    """The tree of a student's file, and None; or of what can be read of it, and why it does not parse."""
    try:
        return ast.parse(text), None
    except READING_ERRORS as error:
        return ast.Module(body=list(_readable(text)), type_ignores=[]), _reason(error)


def _reason(error):
    where = f", line {error.lineno}" if getattr(error, "lineno", None) else ""
    python = ".".join(platform.python_version_tuple()[:2])
    return (f"{type(error).__name__}: {getattr(error, 'msg', None) or str(error) or 'nested too deeply'}{where}; "
            f"by the grader's Python {python}")


def _readable(text):
    """The statements of those blocks that parse; of a class that does not, those of its methods that do."""
    for block in BLOCK.split(text):
        try:
            yield from ast.parse(block).body
        except READING_ERRORS:
            head = re.match(r"class +(\w+)", block)
            if head:
                yield ast.ClassDef(head[1], bases=[], keywords=[], body=list(_methods(block)), decorator_list=[])


def _methods(block):
    for member in MEMBER.split(block)[1:]:
        try:
            yield from ast.parse("class _:\n" + member).body[0].body
        except READING_ERRORS:
            continue
