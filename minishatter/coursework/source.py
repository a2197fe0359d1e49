"""Sources with holes: find a function by name, blank its body, graft another's function in its place.

Everything is done on the syntax tree, and nothing is run. A file that does not
parse is read block by block, so that a slip in one function is not held against
the others in the file.
"""

import ast
import json
import re

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


def blank(text, messages):
    """The text with the body of each function replaced by `raise NotImplementedError(message)`.

    messages: {name of the function: message}. Signatures and docstrings stay. Raises
    ValueError if there is no such function.
    """
    for name, message in messages.items():
        first, last = body_lines(text, name)
        lines = text.splitlines(keepends=True)
        indent = next(re.match(r"\s*", line)[0] for line in lines[first - 1:last] if line.strip())
        hole = f"{indent}raise NotImplementedError({json.dumps(message)})\n"
        text = "".join([*lines[:first - 1], hole, *lines[last:]])
    return text


def read(text):
    """The tree of a student's file, and None; or of what can be read of it, and why it does not parse."""
    try:
        return ast.parse(text), None
    except READING_ERRORS as error:
        return ast.Module(body=list(_readable(text)), type_ignores=[]), _reason(error)


def _reason(error):
    where = f", line {error.lineno}" if getattr(error, "lineno", None) else ""
    return f"{type(error).__name__}: {getattr(error, 'msg', None) or str(error) or 'nested too deeply'}{where}"


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


def graft(given, submitted, name):
    """The source of the given file with the function `name`, and the helpers it needs, taken from a student's tree.

    given: text; submitted: tree. A helper is a definition whose name the given file does not
    have: a function, a class, a constant or an import of the module, a member of the class.
    All else that a student changed is left behind. Raises LookupError if there is no such function.
    """
    tree, function = ast.parse(given), find(submitted, name)
    if function is None:
        raise LookupError(name)
    scope, _, own_name = name.rpartition(".")
    place = next(i for i, node in enumerate(tree.body) if own_name in _names(node) or scope and scope in _names(node))
    wanted, members = _used(function), []
    if scope:
        home = tree.body[place]
        theirs = [node for node in submitted.body if isinstance(node, ast.ClassDef) and node.name == scope]
        members = _helpers([node for cls in theirs for node in cls.body], home.body, wanted)
        home.body = [node for node in home.body if own_name not in _names(node)] + members + [function]
    else:
        tree.body[place] = function
    tree.body[place:place] = _helpers(submitted.body, ast.parse(given).body, wanted)
    return ast.unparse(ast.fix_missing_locations(tree))


def _names(node):
    """The names that a statement gives a meaning to."""
    if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
        return {node.name}
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return {name.id for target in targets if target for name in ast.walk(target) if isinstance(name, ast.Name)}


def _used(node):
    """The names and attributes that occur in a statement."""
    return {getattr(part, "id", None) or getattr(part, "attr", None) for part in ast.walk(node)} - {None}


def _helpers(submitted, given, wanted):
    """The statements that define wanted names, and what they want in turn; `wanted` grows."""
    known = set().union(*map(_names, given))
    candidates = [node for node in submitted if _names(node) and not _names(node) & known
                  and getattr(node, "module", "") != "__future__"]
    found, grown = set(), True
    while grown:
        grown = [i for i, node in enumerate(candidates) if i not in found and _names(node) & wanted]
        for i in grown:
            wanted |= _used(candidates[i])
        found.update(grown)
    return [node for i, node in enumerate(candidates) if i in found]
