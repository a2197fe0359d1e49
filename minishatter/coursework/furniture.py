"""What lies in a worker's folder: the trials, the package with its blank tasks, stand-ins for what it does not need."""

import ast
import os
import py_compile
import shutil
import tempfile
from importlib.util import cache_from_source
from pathlib import Path

# Stand in for numba: the kernels are no task, and a process that compiles nothing starts in half the time.
STAND_INS = {"numba/__init__.py": """prange = range


def njit(*functions, **options):
    return functions[0] if functions and callable(functions[0]) else lambda function: function


jit = njit


def vectorize(*functions, **options):
    from numpy import vectorize
    return vectorize(functions[0]) if functions and callable(functions[0]) else vectorize


def __getattr__(name):
    raise ImportError(f"the grader has no numba.{name}: njit, jit, prange and vectorize are there, and compile nothing")


class types:
    Type = object
    Array = Integer = Number = None


def threading_layer():
    return None
""", "numba/extending.py": """class models:
    PrimitiveModel = object


def lower_builtin(*kinds):
    return lambda function: function


register_model = type_callable = lower_builtin
""", "llvmlite.py": """class binding:
    get_host_cpu_features = dict


class ir:
    IntType = int
"""}


class Furniture:
    """Files that are the same for every worker, with their bytecode: compiled once, by the grader."""

    def __init__(self, trials, package):
        """trials: a folder; package: {file name: source} with every task blank."""
        texts = {f"trials/{path.name}": path.read_text(encoding="utf-8") for path in sorted(trials.glob("*.py"))}
        texts |= {f"minishatter/{name}": text for name, text in package.items()} | STAND_INS
        self._files = {place: text.encode() for place, text in texts.items()}
        with tempfile.TemporaryDirectory(prefix="minishatter_") as folder:
            self._bytecode = dict(_compiled(Path(folder), place, data) for place, data in self._files.items())

    def fill(self, box, tree):
        """Make the folder anew, with these files of the package, {file name: source}, in the place of blank ones."""
        changed = {f"minishatter/{name}": text.encode() for name, text in tree.items()}
        _empty(box)
        bytecode = {place: data for source, (place, data) in self._bytecode.items() if source not in changed}
        files = self._files | changed | bytecode
        for folder in sorted({os.path.join(box, os.path.dirname(place)) for place in files}):
            if not os.path.isdir(folder):
                os.mkdir(folder)
                os.chmod(folder, 0o755)  # for the user that the worker becomes, whatever the umask
        for place, data in files.items():
            handle = os.open(os.path.join(box, place), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.chmod(os.path.join(box, place), 0o644)


def _empty(folder):
    """The folder itself stays: rules and a descriptor hold on to it."""
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)


def _compiled(folder, place, data):
    """(place of a source, (place of its bytecode, bytecode)); Python believes it without a look at the source."""
    source, code = folder / "source.py", folder / "code"
    source.write_bytes(data)
    py_compile.compile(str(source), str(code), dfile=place, doraise=True,
                       invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    return place, (cache_from_source(place), code.read_bytes())


def imports(package):
    """The modules that the package's files import, itself and what has a stand-in left out."""
    names = set()
    for text in package.values():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names |= {node.module}
    return sorted(name for name in names if name.split(".")[0] not in ("minishatter", "numba", "llvmlite"))
