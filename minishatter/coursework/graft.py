"""Take one function, and what it needs, out of a student's tree into a given file. Nothing is run.

Taken are the function, and the statements of its module that define what it uses, and what these use
in turn: functions, classes, constants, imports, also under `if` and `try`; new members of given classes
too. A name that the given file has keeps the given meaning. Annotations are not taken, as they
may name what is not there; an import of a package that the grader lacks becomes an object that
says so when it is used.
"""

import ast
import builtins
import importlib
import symtable
import sys
from collections import defaultdict
from typing import NamedTuple

from .source import FUNCTIONS, find

HERE = {*sys.stdlib_module_names, "numpy", "numba", "minishatter"}  # what a student's code finds in the grader
STARS = {"numpy", "numpy.linalg", "numpy.random", "numpy.fft", "math", "itertools", "functools", "operator", "typing"}
COMPOUND = (ast.If, ast.Try, ast.For, ast.While, ast.With, getattr(ast, "TryStar", ast.Try))
ABSENT = '''
class _Absent:
    def __init__(self, name):
        self.__dict__["name"] = name

    def __getattr__(self, attribute):
        raise ImportError(f"{self.__dict__['name']} is not there: the grader has NumPy and the standard library only")

    def __call__(self, *args, **kwargs):
        return self.__getattr__("")
'''


class NotTaken(ValueError):
    """Why a function cannot be taken as it is; the student reads it."""


def graft(given, submitted, name):
    """The source of the given file with the function `name`, and what it needs, from a student's tree.

    given: text; submitted: tree. Raises LookupError if there is no such function, NotTaken if it uses
    a name that cannot be taken along.
    """
    tree, taken = ast.parse(given), needed(given, submitted, name)
    scope, _, own_name = name.rpartition(".")
    body, function = [], _plain(find(submitted, name))
    for place, node in enumerate(tree.body):
        if not scope and own_name in _names(node):
            node = function
        if isinstance(node, ast.ClassDef):
            node.body += [_plain(part.node) for part in taken if part.home == node.name]
            if node.name == scope:
                node.body = [part for part in node.body if own_name not in _names(part)] + [function]
        body += [node] + [_plain(part.node) for part in taken if not part.home and part.after == place]
    tree.body = _head(submitted, body)
    return ast.unparse(ast.fix_missing_locations(tree))


class Part(NamedTuple):
    """A statement that may be taken: of the class `home`, or of the module if "", behind a given statement."""

    home: str
    node: ast.stmt
    after: int = 0


def needed(given, submitted, name):
    """The Parts that the function `name` needs from its module, in the order of the student's file."""
    function = find(submitted, name)
    if function is None:
        raise LookupError(name)
    body = ast.parse(given).body
    home = {name: place for place, node in enumerate(body) for name in _names(node)}
    statements = [part for node in submitted.body for part in _parts(node)]
    candidates, after = [], _opening(body)
    for node in statements:
        after = max([after, *(home[name] for name in _names(node) if name in home)])
        candidates += [Part("", node, after)] if _names(node) and not _names(node) & set(home) else []
    for cls in (node for node in submitted.body if isinstance(node, ast.ClassDef) and node.name in home):
        members = set().union(*map(_names, getattr(body[home[cls.name]], "body", [])))
        candidates += [Part(cls.name, node) for node in cls.body if not isinstance(node, ast.AnnAssign)
                       and _names(node) and not _names(node) & members]
    found, wanted = _reached(candidates, *used(function))
    _refuse(submitted, statements, set(home), wanted - set().union(*(_names(part.node) for part in found)))
    return found


def _opening(body):
    """The place of the last of the imports that open a file."""
    return max((place for place, node in enumerate(body) if isinstance(node, (ast.Import, ast.ImportFrom))), default=0)


def _reached(candidates, names, attributes):
    """The candidates that define what is wanted, and what they want in turn; and all names that were wanted."""
    places = defaultdict(list)
    for i, part in enumerate(candidates):
        for name in _names(part.node):
            places[bool(part.home), name].append(i)
    found, wanted = set(), set(names)
    left = _keys(names, attributes)
    while left:
        for i in places.pop(left.pop(), ()):
            if i not in found:
                found.add(i)
                more, attributes = used(candidates[i].node)
                wanted |= more
                left += _keys(more, attributes)
    return [candidates[i] for i in sorted(found)], wanted


def _keys(names, attributes):
    """What defines them: a name is the module's or the class's, an attribute may be a member of a class."""
    return [(inside, name) for name in names for inside in (False, True)] + [(True, name) for name in attributes]


def _refuse(submitted, statements, known, missing):
    """Raise NotTaken if one of the missing names is defined in the student's file, but where it cannot be taken."""
    missing = missing - known - set(dir(builtins))
    for node in statements:
        name = min(_names(node) & missing, default="")
        if name:
            given = ", ".join(sorted(_names(node) & known))
            raise NotTaken(f"{name} is defined in line {node.lineno} together with {given}, which is given and keeps "
                           "its given meaning, so that line is not taken; define your own names by themselves")
    stars = [node for node in submitted.body if isinstance(node, ast.ImportFrom) and _is_star(node) and not _star(node)]
    if missing and stars:
        origin = "." * stars[0].level + (stars[0].module or "")
        raise NotTaken(f"from {origin} import * is not taken, and {min(missing)} may come from it; import the names "
                       "that you use")


def used(node):
    """The names that a statement takes from its module, and the attributes in it."""
    node = _plain(node)
    table = symtable.symtable(ast.unparse(node), "submission", "exec")
    names = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_referenced()}
    tables = list(table.get_children())
    while tables:
        table = tables.pop()
        names |= {symbol.get_name() for symbol in table.get_symbols() if symbol.is_global()}
        tables += table.get_children()
    return names, {part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)}


def _names(node):
    """The names that a statement gives a meaning to, or changes the value of."""
    if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
        return {node.name}
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    if isinstance(node, COMPOUND):
        blocks = [node, *getattr(node, "handlers", [])]
        inside = [part for block in blocks for part in ast.iter_child_nodes(block) if isinstance(part, ast.stmt)]
        targets = [getattr(node, "target", None), *(item.optional_vars for item in getattr(node, "items", []))]
        return set().union(*map(_names, inside), _targets(targets))
    if isinstance(node, ast.Expr):  # TABLE.append(3) changes TABLE
        call = getattr(node.value, "func", None)
        return _targets([call.value]) if isinstance(call, ast.Attribute) else set()
    return _targets(node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)])


def _targets(targets):
    return {name.id for target in targets if target for name in ast.walk(target) if isinstance(name, ast.Name)}


def _parts(node):
    """A statement; of an import one statement for each name, and for each name that a star stands for."""
    if not isinstance(node, (ast.Import, ast.ImportFrom)):
        yield node
    elif getattr(node, "module", "") != "__future__":
        for alias in [ast.alias(name) for name in _star(node)] if _is_star(node) else node.names:
            one = ast.Import([alias]) if isinstance(node, ast.Import) else ast.ImportFrom(node.module, [alias],
                                                                                          node.level)
            yield ast.copy_location(one, node)


def _is_star(node):
    return node.names[0].name == "*"


def _star(node):
    """What `from module import *` brings, for NumPy and a few modules of the standard library; nothing for others."""
    if node.level or node.module not in STARS:
        return []
    module = importlib.import_module(node.module)
    return getattr(module, "__all__", None) or [name for name in vars(module) if not name.startswith("_")]


class _Plain(ast.NodeTransformer):
    """Annotations of functions go; an import of a package that the grader lacks becomes an object that says so."""

    def visit_FunctionDef(self, node):
        self.generic_visit(node)
        _strip(node)
        return node

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Try(self, node):
        for part in ast.walk(node):  # its imports stay: it says itself what to do without a package
            if isinstance(part, FUNCTIONS):
                _strip(part)
        return node

    def visit_Import(self, node):
        level, module = getattr(node, "level", 0), getattr(node, "module", None)
        absent = [alias for alias in node.names if not level and (module or alias.name).split(".")[0] not in HERE]
        texts = [f"{(alias.asname or alias.name).split('.')[0]} = _Absent({(module or alias.name)!r})"
                 for alias in absent]
        node.names = [alias for alias in node.names if alias not in absent]
        return [ast.parse(text).body[0] for text in texts] + ([node] if node.names else [])

    visit_ImportFrom = visit_Import


def _strip(function):
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    for argument in filter(None, every):
        argument.annotation = None
    function.returns = None


def _plain(node):
    """A copy of the statement as it is taken."""
    return _Plain().visit(ast.parse(ast.unparse(node))).body[0]


def _head(submitted, body):
    """The body with what must stand first: a student's `from __future__ import annotations`, and _Absent if used."""
    start = int(isinstance(body[0], ast.Expr))  # the docstring
    head = [node for node in submitted.body if isinstance(node, ast.ImportFrom) and node.module == "__future__"
            and [alias.name for alias in node.names] == ["annotations"]][:1]
    absent = any(getattr(part, "id", "") == "_Absent" for node in body for part in ast.walk(node))
    return [*body[:start], *head, *(ast.parse(ABSENT).body if absent else []), *body[start:]]
