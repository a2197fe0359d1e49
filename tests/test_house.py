"""The rules of the house, read from the sources with `ast`: who imports whom, what is never written, what size.

Each rule is also tried on a few lines that break it: a rule that lets them pass guards nothing.
"""

import ast
import configparser
import graphlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import minishatter
import minishatter.images

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "minishatter"
SOURCES = {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path.read_text(encoding="utf-8")
           for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {module: ast.parse(text) for module, text in SOURCES.items()}

# What each module may import from this package. A new module needs a line here.
ARROWS = {
    "arguments": set(),
    "files": set(),
    "look": {"arguments", "compose", "duals", "gradients", "layers", "nets", "probe", "regions", "stats"},
    "explore": {"gradients", "look", "plot"},
    "film": {"arguments", "files", "gradients", "look", "nets", "plot"},
    "layers": {"arguments"},
    "norms": {"arguments", "layers"},
    "pointwise": {"arguments", "layers"},
    "compose": {"arguments", "layers"},
    "init": {"arguments"},
    "nets": {"arguments", "init", "compose", "layers"},
    "check": {"arguments", "layers"},
    "kernels": set(),
    "duals": {"kernels", "compose", "layers"},
    "gradients": {"arguments", "duals", "compose", "layers"},
    "intervals": {"arguments"},
    "stats": {"arguments"},
    "probe": {"arguments", "compose", "gradients", "intervals", "layers", "plot", "stats"},
    "regions": {"arguments", "duals", "kernels", "compose", "layers", "pointwise"},
    "theory": {"arguments"},
    "sweep": {"arguments", "files", "kernels"},
    "correlation_maps": {"arguments", "pointwise"},
    "wide": {"arguments", "correlation_maps"},
    "tangent_kernel": {"arguments", "compose", "correlation_maps", "layers", "wide"},
    "plot": {"arguments", "files"},
    "running": set(),
    "report": {"arguments", "files", "running", "intervals"},
    "images.vectors": set(),
    "images.kernels": {"kernels", "images.vectors"},
    "images.channel_kernels": {"kernels", "images.kernels", "images.vectors"},
    "images.conv": {"arguments", "images.channel_kernels", "images.kernels", "images.vectors", "layers"},
    "images.fused": {"compose", "images.channel_kernels", "images.conv", "images.kernels", "images.vectors", "layers"},
    "images.filters": {"arguments", "init"},
    "images.clusters": {"arguments"},
    "images.convnets": {"arguments", "init", "compose", "layers", "images.conv", "images.filters",
                        "images.fused"},
    "images.download": {"arguments"},
    "images.data": {"arguments", "files", "images.download"},
    "images.checkpoint": {"files"},
    "images.schedules": {"arguments"},
    "images.train": {"arguments", "compose", "layers", "images.checkpoint", "images.schedules"},
}
COURSEWORK = {module for module in SOURCES if module.startswith("coursework.")}
DOORS = {"__init__", "__main__", "images.__init__", *COURSEWORK}  # they may import anything, and nothing imports them

# What a module may import from elsewhere, beyond NumPy and the standard library.
OTHERS = {"kernels": {"numba"}, "images.kernels": {"numba"}, "images.channel_kernels": {"numba"},
          "images.vectors": {"numba", "llvmlite"},
          "plot": {"matplotlib"}, "explore": {"matplotlib"}, "running": {"tqdm"},
          # Its neighbours: it runs outside of the package.
          "coursework.child": {"jail", "proof", "trials", "wire"}, "coursework.jail": {"seccomp"}}

MODERN_RANDOM = {"Generator", "default_rng", "BitGenerator", "SeedSequence", "PCG64"}


# Imports.


def imports(tree, module="__init__"):
    """The dotted names of all that a tree imports, inside functions too; `module` is where relative ones start."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = ["minishatter", *module.split(".")][:-node.level] if node.level else []
            origin = [*above, *([node.module] if node.module else [])]
            yield from (".".join([*origin, alias.name]) for alias in node.names)


def inside(tree, module="__init__"):
    """The modules of this package that a tree imports; "__init__" for a package itself."""
    for name in imports(tree, module):
        if name.split(".")[0] == "minishatter":
            place = name.removeprefix("minishatter").lstrip(".")
            while place and place not in SOURCES and f"{place}.__init__" not in SOURCES:
                place = place.rpartition(".")[0]  # a name in a module
            yield place if place in SOURCES else f"{place}.__init__".lstrip(".")


def outside(tree, module="__init__"):
    """The packages that a tree imports, other than this one, NumPy and the standard library."""
    tops = {name.split(".")[0] for name in imports(tree, module)}
    return tops - {"numpy", "minishatter"} - sys.stdlib_module_names


PLANTED_IMPORTS = [("from . import stats", {"stats"}), ("from .stats import Interval", {"stats"}),
                   ("import minishatter.stats", {"stats"}), ("from minishatter import stats as s", {"stats"}),
                   ("from minishatter.stats import Interval", {"stats"}), ("import minishatter", {"__init__"}),
                   ("from . import freeze", {"__init__"}), ("import numpy", set()),
                   ("from .images.conv import Conv2d", {"images.conv"}),
                   ("from .images import Conv2d", {"images.__init__"}), ("from .images import conv", {"images.conv"}),
                   ("def f():\n    from . import stats, nets", {"stats", "nets"})]


@pytest.mark.parametrize("text, modules", PLANTED_IMPORTS, ids=[text for text, _ in PLANTED_IMPORTS])
def test_every_form_of_an_import_is_seen(text, modules):
    assert set(inside(ast.parse(text))) == modules


def test_an_import_from_the_package_above_is_seen():
    tree = ast.parse("from .. import stats\nfrom . import conv")
    assert set(inside(tree, "images.train")) == {"stats", "images.conv"}


def test_every_module_has_its_line_among_the_arrows():
    assert set(ARROWS) == set(SOURCES) - DOORS


@pytest.mark.parametrize("module", sorted(set(SOURCES) - DOORS))
def test_imports_follow_the_arrows(module):
    assert set(inside(TREES[module], module)) <= ARROWS.get(module, set())


def test_the_arrows_make_no_circle():
    assert set(graphlib.TopologicalSorter(ARROWS).static_order()) == set(ARROWS)  # raises CycleError on a circle


@pytest.mark.parametrize("module", SOURCES)
def test_other_packages_are_imported_only_where_they_belong(module):
    """numba in the two files of kernels and for their vectors, matplotlib in plot.py."""
    assert outside(TREES[module], module) <= OTHERS.get(module, set())


def test_only_download_reaches_the_network():
    network = {"urllib", "http", "socket", "ssl", "ftplib", "smtplib", "asyncio", "xmlrpc"}
    assert [module for module, tree in TREES.items()
            if network & {name.split(".")[0] for name in imports(tree)}] == ["images.download"]


# What is never written. A rule finds the offending nodes; beside it, lines that break it.


def called(node, *names):
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names


def says_fastmath(node):
    """fastmath=True in a call, or "fastmath": True in a dict."""
    if isinstance(node, ast.Dict):
        pairs = [(getattr(key, "value", None), value) for key, value in zip(node.keys, node.values)]
    elif isinstance(node, ast.Call):
        pairs = [(keyword.arg, keyword.value) for keyword in node.keywords]
    else:
        return False
    return any(key == "fastmath" and getattr(value, "value", None) is True for key, value in pairs)


def legacy_random(node):
    """random.X, np.random.X or `from numpy.random import X`, where X is not of the Generator's family."""
    if isinstance(node, ast.ImportFrom):
        return node.module == "numpy.random" and not {alias.name for alias in node.names} <= MODERN_RANDOM
    if not isinstance(node, ast.Attribute) or node.attr in MODERN_RANDOM:
        return False
    return "random" in (getattr(node.value, "attr", None), getattr(node.value, "id", None))


def imports_pickle(node):
    return isinstance(node, (ast.Import, ast.ImportFrom)) and any(
        set(name.split(".")) & {"pickle", "cPickle", "dill", "cloudpickle", "joblib"} for name in imports(node))


NEVER = {
    "assert": (lambda node: isinstance(node, ast.Assert), ["assert x > 0"]),
    "bare except": (lambda node: isinstance(node, ast.ExceptHandler) and node.type is None,
                    ["try:\n    f()\nexcept:\n    raise"]),
    "print": (lambda node: called(node, "print"), ["def f():\n    print(1)"]),
    "eval or exec": (lambda node: called(node, "eval", "exec", "compile"), ["eval('1')", "exec('x = 1')"]),
    "legacy random": (legacy_random, ["np.random.seed(0)", "numpy.random.randn(3)", "np.random.RandomState(0)",
                                      "from numpy.random import rand", "random.random()"]),
    "fastmath": (says_fastmath, ["njit(fastmath=True)", "OPTIONS = {'fastmath': True}"]),
    "pickle": (imports_pickle, ["import pickle", "from pickle import loads"]),
    "star import": (lambda node: isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names),
                    ["from .layers import *"]),
    "global": (lambda node: isinstance(node, ast.Global), ["def f():\n    global x"]),
}
EXCEPT = {"print": {"__main__", "coursework.__main__", "coursework.command"}}  # its output is what it is for

never = pytest.mark.parametrize("rule", NEVER)


def offences(rule, tree):
    return [node.lineno for node in ast.walk(tree) if NEVER[rule][0](node)]


@never
def test_it_is_nowhere_in_the_library(rule):
    found = {module: lines for module, tree in TREES.items() if (lines := offences(rule, tree))}
    assert set(found) <= EXCEPT.get(rule, set()), found


@never
def test_the_rule_finds_what_breaks_it(rule):
    assert all(offences(rule, ast.parse(text)) for text in NEVER[rule][1])


@pytest.mark.parametrize("text", ["rng = np.random.default_rng(0).random(3)", "isinstance(rng, np.random.Generator)",
                                  "njit(fastmath={'nsz'})", "try:\n    f()\nexcept ValueError:\n    raise"])
def test_what_is_right_breaks_no_rule(text):
    assert not any(offences(rule, ast.parse(text)) for rule in NEVER)


# Size and docstrings.

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
THE_RULES = {"forward", "tangent", "backward", "freeze"}  # their equations are in the docstring of the class


def definitions(module):
    """All functions and classes of a module with their qualified names."""
    def visit(node, name):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (*FUNCTIONS, ast.ClassDef)):
                yield f"{name}.{child.name}", child
                yield from visit(child, f"{name}.{child.name}")
            else:
                yield from visit(child, name)
    return visit(TREES[module], module)


def documented(module):
    """The module and its public functions, classes and methods; what is inside a function is not public."""
    yield module, TREES[module]
    private = []
    for name, node in definitions(module):
        hidden = node.name.startswith("_") or any(name.startswith(f"{outer}.") for outer in private)
        if hidden or isinstance(node, FUNCTIONS):
            private.append(name)
        if not hidden and node.name not in THE_RULES:
            yield name, node


@pytest.mark.parametrize("module", SOURCES)
def test_everything_public_has_a_docstring(module):
    assert [name for name, node in documented(module) if not ast.get_docstring(node)] == []


MACHINE_ROOMS = {"kernels", "images.kernels", "images.channel_kernels", "images.vectors"}  # numba finds the types


def unannotated(node):
    """The parameters of a function without a type, and "return"; what __init__ returns goes without saying."""
    given = node.args
    parameters = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    missing = [each.arg for each in parameters if each and each.annotation is None and each.arg not in ("self", "cls")]
    return missing + ["return"] * (node.returns is None and node.name != "__init__")


@pytest.mark.parametrize("module", sorted(set(SOURCES) - DOORS - MACHINE_ROOMS))
def test_public_signatures_are_annotated(module):
    """Also of the rules and of __init__, which need no docstring."""
    signatures = {name: node for name, node in definitions(module) if isinstance(node, FUNCTIONS)}
    public = {name: node for name, node in signatures.items()
              if not re.search(r"\._(?!_init__$)", name) and name.rpartition(".")[0] not in signatures}
    assert {name: missing for name, node in public.items() if (missing := unannotated(node))} == {}


def test_what_lacks_a_type_is_found():
    node, = ast.parse("def f(self, a, b: int, *c, d=1, **e): pass").body
    assert unannotated(node) == ["a", "d", "c", "e", "return"]


@pytest.mark.parametrize("module", SOURCES)
def test_docstrings_are_at_most_14_lines(module):
    """An example behind them does not count."""
    nodes = [(module, TREES[module]), *definitions(module)]
    texts = {name: (ast.get_docstring(node) or "").partition("\n>>>")[0].rstrip() for name, node in nodes}
    assert [name for name, text in texts.items() if len(text.splitlines()) > 14] == []


@pytest.mark.parametrize("module", SOURCES)
def test_functions_are_at_most_45_lines(module):
    lengths = {name: node.end_lineno - node.lineno + 1 for name, node in definitions(module)
               if isinstance(node, FUNCTIONS)}
    assert {name: length for name, length in lengths.items() if length > 45} == {}


@pytest.mark.parametrize("module", SOURCES)
def test_files_are_at_most_300_lines(module):
    assert len(SOURCES[module].splitlines()) <= 300


# Plain text.

CORE = [*PACKAGE.rglob("*.py"), *(path for path in ROOT.iterdir() if path.suffix in {".cfg", ".toml", ".md", ".cff"})]
ABSOLUTE = re.compile(r"(?<![\w.:/<>*)\]}-])/\w[\w.-]*/\w|\b[A-Z]:\\\w")  # two steps from the root, or a drive


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.name)
def test_files_are_plain_text_without_paths_of_a_machine(path):
    text = path.read_bytes().decode("utf-8")
    if path.name == "setup.cfg" and "[egg_info]" in text:
        pytest.skip("setuptools writes setup.cfg anew for an sdist")
    assert not set(text) & set("\t\r\0\f\v") and not text.endswith("\n\n")
    assert ABSOLUTE.findall(text) == []


@pytest.mark.parametrize("text, found", [("open('/" + "home/me/x')", True), ("C:" + "\\Users", True),
                                         ("https://example.org/a/b", False), ("figures/02/a.png", False),
                                         ("beta^2/(2 v)", False), ("layers / stats", False)])
def test_paths_of_a_machine_are_recognised(text, found):
    assert bool(ABSOLUTE.search(text)) == found


# The doors.


def python(*arguments):
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60)


def test_the_reading_order_names_every_module_once():
    assert sorted(minishatter.READING_ORDER) == sorted(set(SOURCES) - DOORS)


def test_the_readme_has_the_same_reading_order():
    table = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Reading order")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    named = [name.replace("/", ".") for cell in cells for name in re.findall(r"`([\w/]+)\.py`", cell)]
    assert named == list(minishatter.READING_ORDER)


def test_every_file_is_read_after_what_it_needs():
    place = {module: number for number, module in enumerate(minishatter.READING_ORDER)}
    assert [(module, needed) for module, others in ARROWS.items() for needed in others
            if place[needed] > place[module] and (module, needed) != ("probe", "plot")] == []  # only for its picture


def test_public_names_exist_and_are_all_there():
    """__all__ is what __init__.py imports: nothing missing, nothing besides."""
    for package, tree in ((minishatter, TREES["__init__"]), (minishatter.images, TREES["images.__init__"])):
        imported = {name.split(".")[-1] for name in imports(tree)}
        assert set(package.__all__) == imported and len(package.__all__) == len(imported)
        assert all(hasattr(package, name) for name in package.__all__)


def test_python_m_minishatter_prints_the_reading_order():
    """Each file in order, with its number of lines and its first sentence."""
    done = python("-m", "minishatter")
    assert (done.returncode, done.stderr) == (0, "")
    rows = re.findall(r"^  ([\w/]+)\.py +(\d+)  (\S.*)$", done.stdout, re.MULTILINE)
    rows = [(name.replace("/", "."), lines, sentence) for name, lines, sentence in rows]
    assert [name for name, _, _ in rows] == list(minishatter.READING_ORDER)
    for name, lines, sentence in rows:
        assert int(lines) == len(SOURCES[name].splitlines())
        assert sentence == ast.get_docstring(TREES[name]).splitlines()[0]
    assert "python -m tutorials" in done.stdout


def test_python_m_minishatter_version():
    done = python("-m", "minishatter", "--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"minishatter {minishatter.__version__}\n", "")


@pytest.mark.parametrize("heavy", ["matplotlib", "minishatter.images"])
def test_importing_minishatter_does_not_import(heavy):
    done = python("-c", f"import sys, minishatter; sys.exit({heavy!r} in sys.modules)")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_core_needs_three_packages():
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    needed = settings["options"]["install_requires"].split("\n")
    assert {re.match(r"[\w.-]*", line)[0] for line in needed} - {""} == {"numpy", "numba", "matplotlib"}
