"""Run the cells of a study on any executor, and keep what is finished in a CSV.

    cell      a function at the top level of a module; seeds are parameters like any other
    point     a tuple: one scalar for each parameter of the cell
    row       a dict: the parameters by name, then the columns that the cell returned
    scalar    an int, float, str, bool or None; a NumPy scalar becomes one of these

All that an executor is asked for is submit(cell, *point), so threads, processes, Dask and MPI give the same rows, to
the last bit on one kind of processor with one BLAS thread; else BLAS sums in another order, and last digits differ.
Only the process that called `sweep` writes the CSV, each row as soon as it arrives: a kill at any moment loses
no more than the cells in flight, and leaves at most half a line, which the next call drops.
"""

import collections
import contextlib
import csv
import inspect
import json
import multiprocessing
import os
import queue
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from pathlib import Path

from . import arguments, files, kernels

IN_FLIGHT = 1000  # cells handed to an executor at a time: more than most clusters have workers, and little memory


class SweepError(RuntimeError):
    """Some cells raised: failures [(point, error), ...]. The other rows are in `rows`, and in the CSV."""

    def __init__(self, message: str, rows: list[dict], failures: list[tuple]):
        super().__init__(message, rows, failures)
        self.rows, self.failures = rows, failures

    def __str__(self):
        calls = [f"\n    {point}: {error!r}" for point, error in self.failures[:3]]
        return self.args[0] + "".join(calls) + ("\n    ..." if len(self.failures) > 3 else "")


def sweep(cell: Callable, points: Iterable[tuple], executor: Executor | None = None,
          path: str | os.PathLike | None = None, progress: Callable[[Iterable], Iterable] | None = None) -> list[dict]:
    """The rows of cell(*point) for all points, in their order. The points must differ; 1, 1.0 and True do.

    The cell returns a dict or NamedTuple of scalars, of the same columns at every point; anything else
    stops the sweep. executor: a concurrent.futures.Executor; without one the cells run here, one by one.
    path: a CSV to which finished rows are added; what it holds is not run again, so delete it when the
    cell changes. One sweep at a time may add to it. progress wraps the iteration, such as tqdm.tqdm.
    A cell that raises does not stop the others: SweepError comes at the end, with its point, and the
    next call tries it again. Raises ValueError if the CSV is of another cell or has other columns.

    >>> from minishatter import theory
    >>> sweep(theory.feedforward, [(1,), (3,)])[1]  # of two cells, the second
    {'depth': 3, 'variance': 1.0, 'covariance': 0.125, 'correlation': 0.125}
    """
    names = _parameters(cell)
    checked = _points(points, names)
    if executor is not None:
        _check_executor(executor, cell)
    table = _Table(cell.__name__, names, path)
    submit = _here if executor is None else executor.submit
    errors = {}
    if not checked.keys() <= table.rows.keys():
        table.refuse_look_alikes(checked)
        with table.to_add_to():
            errors = _fill(table, submit, cell, checked, progress)
    rows = [table.rows[key] for key in checked if key in table.rows]
    failures = [(checked[key], errors[key]) for key in checked if key in errors]
    if failures:
        raise SweepError(f"{len(failures)} of {len(checked)} cells {cell.__name__}({', '.join(names)}) raised:",
                         rows, failures) from failures[0][1]
    return rows


def _fill(table, submit, cell, checked, progress):
    """Run the cells of the points that have no row in the table yet; the errors of those that raised, {key: error}."""
    todo = [key for key in checked if key not in table.rows]
    errors = {}
    with contextlib.closing(_finished(submit, cell, checked, todo)) as finished:
        for _, (key, future) in zip(progress(todo) if progress else todo, finished, strict=True):
            try:
                result = future.result()
            except Exception as error:
                errors[key] = error
            else:
                table.add(key, checked[key], result)
    return errors


def _check_executor(executor, cell):
    """Refuse what is no executor, and processes that could only break."""
    if not isinstance(executor, Executor):
        raise TypeError("executor must be a concurrent.futures.Executor, such as ProcessPoolExecutor() or what "
                        f"the get_executor() of a Dask client returns, got {executor!r}")
    if not isinstance(executor, ProcessPoolExecutor):
        return
    start = getattr(executor, "_mp_context", multiprocessing).get_start_method()  # a pool does not tell it otherwise
    running = getattr(executor, "_processes", None)
    if start == "fork" and not running and kernels.threading_layer() in ("omp", "workqueue"):
        raise ValueError("executor must start its processes afresh, for numba's threads run in this one, and a process "
                         "forked from here would crash at its first convolution; take ProcessPoolExecutor(mp_context="
                         'multiprocessing.get_context("spawn"))')
    home = getattr(sys.modules["__main__"], "__file__", "")
    if start != "fork" and cell.__module__ == "__main__" and not (home and Path(home).is_file()):
        raise TypeError(f"cell must be in a file: {cell.__name__} was typed in (a notebook, or a script from the "
                        f"standard input), where a process that is started by {start!r} cannot find it; put the cell "
                        "into a file and import it, or take a ThreadPoolExecutor")


def _parameters(cell):
    """The names of the cell's parameters, once it is known that workers can import it and points can call it."""
    home = sys.modules.get(getattr(cell, "__module__", None))
    if not callable(cell) or getattr(home, getattr(cell, "__qualname__", ""), None) is not cell:
        raise TypeError("cell must be a function at the top level of a module, where a worker can import it (not a "
                        f"lambda, an inner function, a method or a partial: make its settings arguments), got {cell!r}")
    signature = inspect.signature(cell)
    names = [p.name for p in signature.parameters.values() if p.kind <= p.POSITIONAL_OR_KEYWORD]
    if not names or "cell" in names or len(names) < len(signature.parameters):
        raise TypeError(f"cell must take named arguments by position, none of them named cell, got {cell.__name__}"
                        f"{signature}")
    return names


def _points(points, names):
    """{key: point}. The key is the point as JSON, where 1, 1.0 and true differ and NaN is equal to NaN."""
    checked = {}
    for point in points if hasattr(points, "__iter__") else [points]:
        if not isinstance(point, (tuple, list)) or len(point) != len(names):
            raise TypeError(f"points must be tuples ({', '.join(names)}), got {point!r}")
        point = tuple(arguments.scalar(f"points: {name}", value) for name, value in zip(names, point))
        if checked.setdefault(json.dumps(point), point) is not point:
            raise ValueError(f"points must differ: {point} comes twice, and one result would count as two")
    if not checked:
        raise ValueError("points must not be empty; was it an iterator that was used up?")
    return checked


def _here(cell, *point):
    """What an executor's `submit` is, without workers: run the cell now, and return a future that is done."""
    future = Future()
    try:
        future.set_result(cell(*point))
    except Exception as error:
        future.set_exception(error)
    return future


def _finished(submit, cell, points, todo):
    """(key, future) for each key in `todo`, as they finish. Closed early, it cancels what has not begun."""
    todo, waiting, done = collections.deque(todo), {}, queue.SimpleQueue()
    try:
        while todo or waiting:
            if todo and len(waiting) < IN_FLIGHT and done.empty():  # save what is done before more is begun
                key = todo.popleft()
                try:
                    future = submit(cell, *points[key])
                except BrokenExecutor as error:  # a worker died: the others' rows are still to be saved
                    future = Future()
                    future.set_exception(error)
                waiting[future] = key
                future.add_done_callback(done.put)
            else:
                future = done.get()
                yield waiting.pop(future), future
    finally:
        for future in waiting:
            future.cancel()


# The CSV. A scalar is written as in JSON, but a string that cannot be mistaken goes without its quotes.


def _write(scalar):
    bare = isinstance(scalar, str) and scalar.isprintable() and _read(scalar) == scalar
    text = scalar if bare else json.dumps(scalar)
    if len(text) > csv.field_size_limit():
        raise ValueError(f"cell must take and return scalars that fit a field of a CSV, got {len(text)} characters")
    return text


def _read(text):
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return text if isinstance(value, (list, dict)) else value


def _loose(key):
    """A point whose numbers have no type: 200 and 200.0 are the same here, true and 1 are not."""
    return json.dumps([float(value) if type(value) is int and abs(value) < 2**53 else value
                       for value in json.loads(key)])


class _Table:
    """The finished rows, {key: row}, in memory and in the CSV: the cell's name, its parameters, its columns."""

    def __init__(self, cell, names, path):
        if path is not None and not isinstance(path, (str, os.PathLike)):
            raise TypeError(f"path must be the name of a CSV file, got {path!r}")
        self.cell, self.names, self.path = cell, names, None if path is None else Path(path)
        self.rows, self.columns = {}, None
        if self.path and os.path.lexists(self.path) and not self.path.is_file():  # a folder, a device
            self._refuse("is not a regular file")
        self._load()

    @contextlib.contextmanager
    def to_add_to(self):
        """A context in which no other sweep adds rows: it begins with those that others have added meanwhile."""
        if self.path is None:
            yield
            return
        with files.held(self.path):
            self._load(mend=True)
            try:
                yield
            finally:
                if not self.path.stat().st_size:
                    self.path.unlink()

    def _refuse(self, reason):
        raise ValueError(f"path must be a new file or a CSV of {self.cell}({', '.join(self.names)}), "
                         f"but {self.path} {reason}")

    def _load(self, mend=False):
        """Read the CSV, if there is one; mend: cut off the part of a line that a kill has left."""
        self.rows, self.columns = {}, None
        data = self.path.read_bytes() if self.path and self.path.exists() else b""
        whole = data[:data.rfind(b"\n") + 1]  # a kill tears no line but the last
        start = ",".join(["cell", *self.names, ""]).encode()
        fresh = not whole and (start.startswith(data) or data.startswith(start))  # nothing, or a torn header
        if mend and whole != data and (whole or fresh):
            os.truncate(self.path, len(whole))
        if fresh:
            return
        try:
            lines = [next(csv.reader([line], strict=True)) for line in whole.decode().splitlines()]
        except (ValueError, csv.Error) as error:
            self._refuse(f"is not a CSV: {error}")
        first, header = ["cell", *self.names], lines[0] if lines else []
        if header[:len(first)] != first or len(header) == len(first):
            self._refuse(f"has the columns {header}")
        self.columns = header[1:]
        for number, fields in enumerate(lines[1:], start=2):
            if fields[:1] != [self.cell] or len(fields) != len(header):
                self._refuse(f"has line {number}: {fields}")
            values = [_read(field) for field in fields[1:]]
            key = json.dumps(values[:len(self.names)])
            if key in self.rows:
                self._refuse(f"has the arguments of line {number} twice")
            self.rows[key] = dict(zip(self.columns, values))

    def refuse_look_alikes(self, points):
        """Raise if a finished row has a missing point's numbers in another type: 200 for 200.0, as in a spreadsheet."""
        alike = {_loose(key): key for key in self.rows if key not in points}
        for key in points:
            other = alike.get(_loose(key)) if key not in self.rows else None
            if other is not None:
                self._refuse(f"has the row {other} where the point is {key}: did a spreadsheet change it? Put the "
                             "numbers back as they were, or delete the row")

    def add(self, key, point, result):
        """Save a row: on the disk, then in memory. The first row of all decides on the columns."""
        row = self._row(point, result)
        if self.columns is None:
            self.columns = list(row)
        if self.path:
            line = [self.cell, *map(_write, row.values())]
            with self.path.open("a", encoding="utf-8", newline="") as file:
                if not file.tell():
                    file.write(",".join(["cell", *row]) + "\n")
                csv.writer(file, lineterminator="\n").writerow(line)
                file.flush()
                os.fsync(file.fileno())
        self.rows[key] = row

    def _row(self, point, result):
        def free(name):
            return isinstance(name, str) and name.isidentifier() and name not in ("cell", *self.names)

        call = f"cell {self.cell}{point}"
        result = result._asdict() if hasattr(result, "_asdict") else result
        if not isinstance(result, dict) or not result or not all(map(free, result)):
            raise TypeError(f"{call} must return a dict or NamedTuple of scalars, its names identifiers other than "
                            f"{', '.join(['cell', *self.names])}, got {result!r}")
        row = dict(zip(self.names, point))
        row.update((name, arguments.scalar(f"{call}: {name}", value)) for name, value in result.items())
        columns = self.columns or list(row)
        if set(row) != set(columns):
            raise ValueError(f"{call} must return the columns {columns} of the rows that are finished"
                             f"{f' in {self.path}' if self.path else ''}, got {list(row)}")
        return {name: row[name] for name in columns}
