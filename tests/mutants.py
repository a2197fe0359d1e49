"""Every single-place mutant of a function: one operator, comparison, constant, keyword, call or statement is changed.

    mutants(function)   yields (name, changed function)

The name says what was changed into what, and in which statement:
"rng.random(t.shape) < 0.5 -> rng.random(t.shape) <= 0.5 in gate = rng.random(t.shape) < 0.5".
"""

import ast
import copy

ARITHMETIC = {ast.Add: (ast.Sub, ast.Mult), ast.Sub: (ast.Add,), ast.Mult: (ast.Div, ast.Add), ast.Div: (ast.Mult,),
              ast.Pow: (ast.Mult,), ast.Mod: (ast.FloorDiv,), ast.FloorDiv: (ast.Mult,), ast.BitAnd: (ast.BitOr,),
              ast.BitOr: (ast.BitAnd,), ast.MatMult: (ast.Mult,)}
COMPARISONS = {ast.Lt: (ast.LtE, ast.Gt), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.Lt),
               ast.GtE: (ast.Gt, ast.Lt), ast.Eq: (ast.NotEq,),
               ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,),
               ast.In: (ast.NotIn,), ast.NotIn: (ast.In,)}


def replacements(node):
    """The nodes that may stand in the place of one node."""
    if isinstance(node, ast.BinOp):
        yield from (ast.BinOp(node.left, other(), node.right) for other in ARITHMETIC.get(type(node.op), ()))
        yield node.left
        yield node.right
    elif isinstance(node, ast.Compare) and len(node.ops) == 1:
        yield from (ast.Compare(node.left, [other()], node.comparators) for other in COMPARISONS[type(node.ops[0])])
    elif isinstance(node, ast.Constant):
        yield from map(ast.Constant, _other_constants(node.value))
    elif isinstance(node, ast.UnaryOp):
        yield node.operand
    elif isinstance(node, ast.IfExp):
        yield from (node.body, node.orelse, ast.IfExp(node.test, node.orelse, node.body))
    elif isinstance(node, ast.Call):
        for i in range(len(node.keywords)):
            yield ast.Call(node.func, node.args, node.keywords[:i] + node.keywords[i + 1:])
        if len(node.args) == 1 and not isinstance(node.args[0], ast.Starred):
            yield node.args[0]
        if len(node.args) == 0 and isinstance(node.func, ast.Attribute):
            yield node.func.value
    elif isinstance(node, ast.Attribute) and node.attr == "T":
        yield node.value
    elif isinstance(node, (ast.Tuple, ast.List)) and isinstance(node.ctx, ast.Load) and len(node.elts) == 2:
        yield type(node)(node.elts[::-1], node.ctx)


def _other_constants(value):
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, (int, float)):
        yield from (value + 1, value - 1)
        if isinstance(value, float) or value not in (0, 1):
            yield value * 1.05
    elif isinstance(value, str) and value in ("through", "held"):
        yield value + "?"


def statements(node):
    """The same for a statement: without it, or with its condition always or never true."""
    if isinstance(node, (ast.Assign, ast.AugAssign, ast.Expr, ast.Raise)):
        yield ast.Pass()
    if isinstance(node, ast.AugAssign):
        yield ast.Assign([node.target], node.value)
    if isinstance(node, ast.If):
        yield from (ast.If(ast.Constant(test), node.body, node.orelse) for test in (True, False))
    if isinstance(node, ast.With):
        yield ast.If(ast.Constant(True), node.body, [])


def mutants(function):
    """(name, changed function) of every mutant; the docstring and the signature are left alone."""
    start = int(ast.get_docstring(function) is not None)
    for i, node in enumerate(_places(function, start)):
        if _is_said(node, function):
            continue
        for other in [*replacements(node), *statements(node)]:
            other, changed = ast.fix_missing_locations(copy.deepcopy(other)), copy.deepcopy(function)
            if ast.unparse(other) != ast.unparse(node):
                changed = _Exchange(_places(changed, start)[i], other).visit(changed)
                name = f"{_first_line(node)} -> {_first_line(other)} in {_statement(node, function)}"
                yield name, ast.fix_missing_locations(changed)


def _places(function, start):
    return [node for statement in function.body[start:] for node in ast.walk(statement)]


def _first_line(node):
    return ast.unparse(node).partition("\n")[0]


def _statement(node, function):
    """The first line of the innermost statement around a node."""
    around = [part for part in ast.walk(function) if isinstance(part, ast.stmt)
              and any(node is inside for inside in ast.walk(part))]
    return _first_line(min(around, key=lambda part: sum(1 for _ in ast.walk(part))))


def _is_said(node, function):
    """In the message of an error: nothing that is computed with."""
    said = [part for part in ast.walk(function) if isinstance(part, (ast.Raise, ast.JoinedStr))]
    return any(node is inside for part in said for inside in ast.walk(part) if inside is not part)


class _Exchange(ast.NodeTransformer):
    def __init__(self, old, new):
        self.old, self.new = old, new

    def visit(self, node):
        """The new node in the place of the old one."""
        return self.new if node is self.old else self.generic_visit(node)
