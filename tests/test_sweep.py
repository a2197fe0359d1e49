"""Sweeps: every engine gives the same rows; a kill loses nothing that was finished; failures are told, not hidden."""

import csv
import functools
import itertools
import logging
import math
import os
import pickle
import random
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

import distributed
import numpy as np
import pytest
from numba import config

from minishatter import files, running
from minishatter.sweep import IN_FLIGHT, SweepError, sweep
from tests import cells

ROOT = Path(__file__).parent.parent
POINTS = list(itertools.product((1, 3, 7), (2, 5), range(4)))


def processes(workers=2):
    """Fresh worker processes: a fork of this one would inherit the threads of other tests."""
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A real Dask cluster: a scheduler and two worker processes, on the loopback."""
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1",
                                  dashboard_address="127.0.0.1:0", silence_logs=logging.CRITICAL,
                                  local_directory=str(tmp_path_factory.mktemp("dask"))) as cluster:
        yield cluster


@pytest.fixture
def client(cluster):
    with distributed.Client(cluster) as client:
        client.wait_for_workers(2, timeout=30)
        yield client


@pytest.fixture
def path(tmp_path):
    return tmp_path / "sweep.csv"


@pytest.fixture
def log(tmp_path):
    """A file with a line for each cell that began."""
    log = tmp_path / "log"
    log.touch()
    return log


def lines(path):
    return path.read_text(encoding="utf-8").splitlines()


# Every engine.


def test_serially_the_rows_are_what_the_cell_returns_in_the_order_of_the_points():
    rows = sweep(cells.gradient_of_a_net, POINTS)
    assert rows == [dict(depth=depth, width=width, seed=seed, **cells.gradient_of_a_net(depth, width, seed)._asdict())
                    for depth, width, seed in POINTS]
    assert {type(value) for row in rows for value in row.values()} == {int, float}  # no NumPy scalars


@pytest.mark.parametrize("executor", [lambda: ThreadPoolExecutor(2), processes], ids=["threads", "processes"])
def test_threads_and_processes_give_the_same_rows(executor, path):
    with executor() as executor:
        rows = sweep(cells.gradient_of_a_net, POINTS, executor, path)
    assert rows == sweep(cells.gradient_of_a_net, POINTS)
    assert sorted(lines(path)[1:]) == sorted(f"gradient_of_a_net,{','.join(map(repr, row.values()))}" for row in rows)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_dask_gives_the_same_rows_also_when_a_worker_is_killed(client, path, log):
    """SIGKILL: its cells are run again by the other worker or by its successor, and no row is lost or doubled."""
    victim = next(iter(client.run(os.getpid).values()))
    points = cells.grid(str(log), 0.02)

    def kill_in_the_middle(items):
        for number, item in enumerate(items):
            if number == len(points) // 3:
                os.kill(victim, signal.SIGKILL)
            yield item

    rows = sweep(cells.logged, points, client.get_executor(), path, kill_in_the_middle)
    assert [tuple(row.values())[:5] for row in rows] == points
    assert [(row["lag1"], row["rms"]) for row in rows] == [cells.gradient_of_a_net(*point[:3]) for point in points]
    assert len(lines(path)) == 1 + len(points) and len(set(lines(path))) == 1 + len(points)
    assert rows == sweep(cells.logged, points, path=path)
    assert victim not in client.run(os.getpid).values()
    assert set(lines(log)) == {f"{depth} {width} {seed}" for depth, width, seed, *_ in points}


def test_the_page_goes_from_a_laptop_to_a_cluster(cluster, tmp_path):
    """Its script as it stands, and with its four lines for a cluster (another address): the same lines in the CSV."""
    page = (ROOT / "tutorials" / "CLUSTER.md").read_text(encoding="utf-8")
    laptop, four = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[:2]
    assert len(four.splitlines()) == 4 and "tcp://scheduler:8786" in four
    head = laptop[:laptop.index("if __name__")].replace("[1, 3, 10, 24], [50, 200], range(20)", "[1, 3], [5], range(4)")
    results = []
    for tail in laptop[laptop.index("if __name__"):], four.replace("tcp://scheduler:8786", cluster.scheduler_address):
        (tmp_path / "script.py").write_text(head + tail)
        subprocess.run([sys.executable, "-W", "error", "script.py"], cwd=tmp_path, check=True, timeout=60)
        results.append(sorted(lines(tmp_path / "lag1.csv")))
        (tmp_path / "lag1.csv").unlink()
    assert results[0] == results[1] and len(results[0]) == 9


def test_an_executor_is_asked_for_positional_submit_only():
    class Bare(Executor):
        def submit(self, cell, *point):
            future = Future()
            future.set_result(cell(*point))
            return future

    assert sweep(cells.echo, [(1,), (2,)], Bare()) == sweep(cells.echo, [(1,), (2,)])


def test_cells_in_flight_are_bounded_and_all_arrive():
    class Counting(ThreadPoolExecutor):
        now = most = 0

        def submit(self, cell, *point):
            self.now += 1
            self.most = max(self.most, self.now)
            return super().submit(cell, *point)

    points = [(n,) for n in range(3 * IN_FLIGHT)]

    def count(items):
        for item in items:
            yield item
            executor.now -= 1

    with Counting(1) as executor:
        rows = sweep(cells.echo, points, executor, progress=count)
    assert [row["result"] for row in rows] == list(range(3 * IN_FLIGHT))
    assert executor.most <= IN_FLIGHT


def test_a_point_gives_the_cell_what_the_csv_says():
    """NumPy scalars and lists are taken, and become plain ones."""
    points = [(np.float64(0.1),), [np.int64(3)], (np.bool_(True),), (np.str_("a"),)]
    assert [row["type"] for row in sweep(cells.echo, points)] == ["float", "int", "bool", "str"]


def test_progress_wraps_what_is_still_to_do(path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    sweep(cells.echo, [(n,) for n in range(4)], path=path)
    sweep(cells.echo, [(n,) for n in range(8)], path=path, progress=running.progress("echo"))
    assert capsys.readouterr().err == "".join(f"echo: {n}/4\n" for n in (1, 2, 3, 4))


# What is finished is kept.


def test_a_second_call_runs_only_what_is_missing(path, log):
    points = [(depth, 5, seed, str(log), 0.0) for depth in (1, 3) for seed in range(3)]
    first = sweep(cells.logged, points[1:4], path=path)
    rows = sweep(cells.logged, points, path=path)
    assert rows[1:4] == first and rows == sweep(cells.logged, points[::-1], path=path)[::-1]
    assert lines(log) == [f"{points[n][0]} 5 {points[n][2]}" for n in (1, 2, 3, 0, 4, 5)]


AWKWARD = [0, -1, 10**30, 0.0, -0.0, 1.0, 0.1 + 0.2, 5e-324, 1.7976931348623157e308, math.inf, -math.inf, math.nan,
           True, False, None, "", " ", "relu", "1", "1.0", " 1", "1e400", "True", "true", "null", "None", "NaN", "nan",
           "-Infinity", "[1]", "{}", '"', '""', '"a"', "a,b", "a\nb", "a\r\n", "tab\t", "\x00", "\u2028", "é ∂f/∂x",
           "\ud800", "'", "\\n", "#", "[" * 5000]


def test_every_scalar_makes_the_round_trip(path):
    """As argument and as result; rows of a file are what they were when they were new, in type, sign and bit."""
    points = [(value,) for value in AWKWARD]
    new = sweep(cells.echo, points, path=path)
    old = sweep(cells.echo, points, path=path)
    assert [(repr(row), row["type"]) for row in old] == [(repr(row), type(value).__name__)
                                                         for row, value in zip(new, AWKWARD)]
    assert len(lines(path)) == 1 + len(AWKWARD)  # nothing was run again, and a row is a line
    assert [repr(row["value"]) for row in old] == [repr(value) for value in AWKWARD]


def test_the_csv_is_plain(path):
    sweep(cells.echo, [(1,), (0.5,), ("relu",), ("1",), (None,)], path=path)
    assert path.read_text() == ('cell,value,result,type\necho,1,1,int\necho,0.5,0.5,float\necho,relu,relu,str\n'
                                'echo,"""1""","""1""",str\necho,null,null,NoneType\n')
    with path.open(newline="") as file:
        assert [row["type"] for row in csv.DictReader(file)] == ["int", "float", "str", "str", "NoneType"]


def test_a_row_is_in_the_file_before_the_next_cell_begins(path):
    rows = sweep(cells.reads, [(n, str(path)) for n in range(5)], path=path)
    assert [row["lines"] for row in rows] == [0, 2, 3, 4, 5]


def test_a_last_line_torn_anywhere_is_dropped_and_run_again(path, log):
    """At every byte, also in the middle of a character: the file ends as if nothing had happened."""
    points = [(1, 2, 0, str(log), 0.0), (1, 2, 1, str(log), 0.0)]
    rows = sweep(cells.logged, points, path=path)
    whole = path.read_bytes()
    start = whole[:-1].rfind(b"\n") + 1
    for end in range(start, len(whole)):
        path.write_bytes(whole[:end])
        assert sweep(cells.logged, points, path=path) == rows
        assert path.read_bytes() == whole
    assert len(lines(log)) == 2 + len(whole) - start


@pytest.mark.parametrize("value", ["é∂", "a\nb", 'say "a", "b"'])
def test_a_torn_line_of_awkward_text_is_dropped(path, value):
    rows = sweep(cells.echo, [(0,), (value,)], path=path)
    whole = path.read_bytes()
    for end in range(whole[:-1].rfind(b"\n") + 1, len(whole)):
        path.write_bytes(whole[:end])
        assert sweep(cells.echo, [(0,), (value,)], path=path) == rows
        assert path.read_bytes() == whole


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_sweep_that_is_killed_again_and_again_ends_as_an_undisturbed_one(tmp_path, log):
    """SIGKILL at random moments; then the lines are the same, and each kill cost at most the one cell in flight.

    The order of the rows is that of finishing; here, one by one, it is that of the points too.
    """
    path, rng, kills, code = tmp_path / "killed.csv", random.Random(0), 0, None
    points = cells.grid(str(log), 0.02)
    while code != 0:
        before = len(lines(path)) if path.exists() else 0
        process = subprocess.Popen([sys.executable, "-W", "error", "-m", "tests.cells", str(log), str(path)], cwd=ROOT)
        while process.poll() is None and (kills == 6 or not path.exists() or len(lines(path)) < before + 2):
            time.sleep(0.002)
        if kills < 6:
            time.sleep(rng.uniform(0, 0.03))
            process.kill()  # on a slow machine it may be through already
        code = process.wait(60)
        kills += code == -signal.SIGKILL
        assert code in (0, -signal.SIGKILL)
    assert kills > 0
    begun = len(lines(log))
    assert len(points) <= begun <= len(points) + kills
    assert len(sweep(cells.logged, points, path=path)) == len(points) and len(lines(log)) == begun
    sweep(cells.logged, points, path=tmp_path / "undisturbed.csv")
    assert path.read_bytes() == (tmp_path / "undisturbed.csv").read_bytes()


def test_an_empty_file_and_a_missing_folder_are_a_new_sweep(tmp_path):
    (tmp_path / "empty.csv").touch()
    for path in (tmp_path / "empty.csv", tmp_path / "new" / "folder" / "sweep.csv", str(tmp_path / "text.csv")):
        sweep(cells.echo, [(1,)], path=path)
        assert lines(Path(path)) == ["cell,value,result,type", "echo,1,1,int"]


# Another file is refused, and not touched.

HEADER, ROW = "cell,value,result,type\n", "echo,1,1,int\n"


@pytest.mark.parametrize("text, why", [
    ("cell,depth,result,type\n" + ROW, "has the columns"), ("value,result,type\n" + ROW, "has the columns"),
    ("cell,value\n", "has the columns"), ("some text", "has the columns"),
    (HEADER + "relu,1,1,int\n", "line 2"), (HEADER + ROW + "echo,2,2\n", "line 3"), (HEADER + "\n" + ROW, "line 2"),
    (HEADER + ROW + "echo,1,2,int\n", "line 3 twice"), (HEADER + 'echo,1,"1,int\n' + ROW, "not a CSV"),
    (HEADER + ROW + ROW[:5] + "\udcff" + ROW[5:], "not a CSV")])
def test_another_csv_is_refused(path, text, why):
    path.write_bytes(text.encode(errors="surrogateescape") + b"torn")
    before = path.read_bytes()
    with pytest.raises(ValueError, match=why) as refused:
        sweep(cells.echo, [(1,), (2,)], path=path)
    assert str(path) in str(refused.value) and "echo(value)" in str(refused.value)
    assert path.read_bytes() == before


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such pipes")
def test_what_is_not_a_regular_file_is_refused(path):
    """A pipe stands for any device: a new file is made by renaming, which would replace the device."""
    os.mkfifo(path)
    for place in path, path.parent:
        with pytest.raises(ValueError, match="path must be .* is not a regular file"):
            sweep(cells.dies, [(3, "no cell is run")], path=place)
    assert path.is_fifo()


def test_a_text_that_the_csv_reader_would_refuse_is_not_written(path):
    with pytest.raises(ValueError, match="cell must .* 200000 characters"):
        sweep(cells.echo, [(1,), ("a" * 200_000,)], path=path)
    assert len(sweep(cells.echo, [(1,)], path=path)) == 1


def test_the_csv_of_another_cell_is_refused(path):
    sweep(cells.fails_until, [(2, "flag")], path=path)
    with pytest.raises(ValueError, match="path must be a new file"):
        sweep(cells.dies, [(2, "log")], path=path)


def test_a_cell_that_has_changed_its_columns_is_refused(path):
    path.write_text("cell,kind,b\nreturns,old,1\n")
    with pytest.raises(ValueError, match=r"cell returns.*must return the columns.*sweep\.csv"):
        sweep(cells.returns, [("dict",)], path=path)
    assert path.read_text() == "cell,kind,b\nreturns,old,1\n"


@pytest.mark.parametrize("value, point", [(200, 200.0), (200.0, 200)])
def test_a_row_that_a_spreadsheet_has_changed_is_refused(path, value, point):
    """200.0 becomes 200 there: the cell would run again, beside the old row."""
    sweep(cells.echo, [(value,)], path=path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="spreadsheet"):
        sweep(cells.echo, [(point,)], path=path)
    assert path.read_bytes() == before
    assert len(sweep(cells.echo, [(value,), (point,)], path=path)) == 2  # both, if both are asked for


# Processes that could only break.

AFTER_USE = """
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from minishatter.sweep import sweep
from tests import cells

if __name__ == "__main__":
    points = [(seed,) for seed in range(3)]
    here = sweep(cells.convnet, points)
    pool = {"fork": lambda: ProcessPoolExecutor(2, mp_context=get_context("fork")),
            "spawn": lambda: ProcessPoolExecutor(2, mp_context=get_context("spawn")),
            "threads": lambda: ThreadPoolExecutor(2)}[sys.argv[1]]()
    try:
        print(sweep(cells.convnet, points, pool) == here)
    except ValueError as error:
        print(error)
"""


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="without the JIT there are no threads of numba")
@pytest.mark.parametrize("pool, answers", [
    pytest.param("fork", "True|executor must start its processes afresh.*spawn.*", id="fork",
                 marks=pytest.mark.skipif(os.name == "nt", reason="Windows has no fork")),
    pytest.param("spawn", "True", id="spawn"), pytest.param("threads", "True", id="threads")])
@pytest.mark.parametrize("layer", ["default", "omp", "workqueue"])
def test_convnets_in_workers_after_convnets_here(pool, answers, layer, tmp_path):
    """The rows, or an error that says what to do; whatever threads numba offers."""
    (tmp_path / "script.py").write_text(AFTER_USE)
    env = os.environ | {"PYTHONPATH": str(ROOT), "NUMBA_THREADING_LAYER": layer}
    done = subprocess.run([sys.executable, tmp_path / "script.py", pool], cwd=ROOT, env=env, capture_output=True,
                          text=True, timeout=120)
    assert done.returncode == 0 and re.fullmatch(answers, done.stdout.strip()), done.stdout + done.stderr


def test_a_cell_that_was_typed_in_needs_a_file():
    script = ("from concurrent.futures import ProcessPoolExecutor\nfrom multiprocessing import get_context\n"
              "from minishatter.sweep import sweep\n\ndef cell(n):\n    return {'square': n**2}\n\n"
              "sweep(cell, [(2,)], ProcessPoolExecutor(1, mp_context=get_context('spawn')))\n")
    done = subprocess.run([sys.executable, "-"], input=script, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "TypeError: cell must be in a file" in done.stderr


# Failing cells.

ENGINES = {"serial": lambda: None, "threads": lambda: ThreadPoolExecutor(2), "processes": processes}


@pytest.mark.parametrize("engine", [*ENGINES, "dask"])
def test_a_cell_that_raises_is_reported_and_tried_again(engine, path, tmp_path, request):
    flag = tmp_path / "flag"
    points = [(n, str(flag)) for n in range(9)]
    executor = ENGINES[engine]() if engine in ENGINES else request.getfixturevalue("client").get_executor(pure=False)
    with pytest.raises(SweepError) as stopped:
        sweep(cells.fails_until, points, executor, path)
    error = stopped.value
    assert [point for point, _ in error.failures] == points[1::2]
    assert [row["square"] for row in error.rows] == [n**2 for n in range(0, 9, 2)]
    assert len(lines(path)) == 6  # the rest went on, and was saved
    text = str(error)
    assert "4 of 9 cells fails_until(value, flag) raised" in text
    assert f"(1, {str(flag)!r}): ValueError('1 is odd'" in text
    assert isinstance(error.__cause__, ValueError)
    flag.touch()
    rows = sweep(cells.fails_until, points, executor, path)
    assert [row["square"] for row in rows] == [n**2 for n in range(9)]
    assert len(lines(path)) == 10
    if executor:
        executor.shutdown()


def test_a_sweep_error_survives_the_way_between_processes():
    error = pickle.loads(pickle.dumps(SweepError("two cells", [{"n": 1}], [((2,), ValueError("odd"))])))
    assert (error.rows, error.failures[0][0]) == ([{"n": 1}], (2,))
    assert str(error) == "two cells\n    (2,): ValueError('odd')"


def test_a_broken_pool_loses_no_finished_row(path, log):
    """The cell that kills its worker takes the pool down; what was finished is saved, the rest is told and resumed."""
    points = [(n, str(log)) for n in range(8)]
    with processes(1) as executor, pytest.raises(SweepError) as stopped:
        sweep(cells.dies, points, executor, path)
    failed = {point[0] for point, error in stopped.value.failures if isinstance(error, BrokenProcessPool)}
    done = {row["value"] for row in stopped.value.rows}
    assert failed | done == set(range(8)) and not failed & done and 3 in failed
    assert lines(path)[1:] == [f"dies,{n},{log},{n**2}" for n in sorted(done)]
    with processes(1) as executor, pytest.raises(SweepError):
        sweep(cells.dies, [point for point in points if point[0] > 2], executor, path)
    assert [int(line) for line in lines(log)].count(0) <= 1


def test_a_pool_that_breaks_between_two_cells_loses_no_finished_row(path):
    class Breaking(Executor):
        def submit(self, cell, value):
            if value == 3:
                raise BrokenExecutor("a worker died")
            future = Future()
            future.set_result(cell(value))
            return future

    with pytest.raises(SweepError) as stopped:
        sweep(cells.echo, [(n,) for n in range(5)], Breaking(), path)
    assert [point for point, _ in stopped.value.failures] == [(3,)]
    assert [row["value"] for row in stopped.value.rows] == [0, 1, 2, 4] and len(lines(path)) == 5


def test_what_stops_the_sweep_stops_what_has_not_begun(path, log):
    def interrupted(items):
        yield from itertools.islice(items, 2)
        raise KeyboardInterrupt

    points = cells.grid(str(log), 0.01)
    with ThreadPoolExecutor(1) as executor, pytest.raises(KeyboardInterrupt):
        sweep(cells.logged, points, executor, path, interrupted)
    assert len(lines(path)) == 3 and len(lines(log)) < len(points)
    assert len(sweep(cells.logged, points, path=path)) == len(points)


@pytest.mark.parametrize("kind", ["number", "nothing", "empty", "array", "complex", "parameter", "cell",
                                  "number as name", "comma"])
def test_a_cell_that_returns_no_dict_of_scalars_stops_the_sweep(kind, path):
    with pytest.raises(TypeError, match=rf"cell returns\('{kind}',\)"):
        sweep(cells.returns, [(kind,)], path=path)
    assert not path.exists()
    with pytest.raises(TypeError):
        sweep(cells.returns, [("dict",), (kind,), ("other column",)], path=path)
    assert lines(path) == ["cell,kind,a", "returns,dict,1"]  # what was finished is saved


@pytest.mark.parametrize("kind", ["other column", "two columns"])
def test_other_columns_stop_the_sweep(kind):
    with pytest.raises(ValueError, match="must return the columns"):
        sweep(cells.returns, [("dict",), (kind,)])


def test_the_first_row_decides_on_the_order_of_the_columns(path):
    rows = sweep(cells.returns, [("two columns",), ("the other way round",)], path=path)
    assert [list(row.items())[1:] for row in rows] == [[("a", 1), ("b", 2)]] * 2
    assert lines(path) == ["cell,kind,a,b", "returns,two columns,1,2", "returns,the other way round,1,2"]


# Only what a worker can import.


class Net:
    def probe(self, seed):
        return {"seed": seed}


@pytest.mark.parametrize("executor", [None, ThreadPoolExecutor], ids=["serial", "threads"])
@pytest.mark.parametrize("cell", [lambda seed: {"a": seed}, Net().probe, Net.probe, functools.partial(
    cells.echo, 1), [].append, "echo"], ids=["lambda", "bound method", "method", "partial", "built-in method", "name"])
def test_a_cell_that_no_worker_could_import_is_refused(cell, executor):
    with pytest.raises(TypeError, match="cell must be a function at the top level of a module"):
        sweep(cell, [(1,)], executor and executor(1))


def test_a_closure_is_refused():
    def cell(seed):
        return {"a": seed + POINTS[0][0]}

    with pytest.raises(TypeError, match="cell must be a function at the top level of a module.*an inner function"):
        sweep(cell, [(1,)])


# Two at once.


@pytest.mark.skipif(os.name == "nt", reason="no lock on files there")
def test_a_second_sweep_on_one_csv_is_refused_until_the_first_has_ended(path, log):
    points = cells.grid(str(log), 0.0)

    def second(todo):
        with pytest.raises(ValueError, match="path must be a file that nobody else is adding to"):
            sweep(cells.logged, points, path=path)
        return todo

    rows = sweep(cells.logged, points, path=path, progress=second)
    assert len(lines(log)) == len(points) == len(lines(path)) - 1  # no cell ran twice
    assert sweep(cells.logged, points, path=path, progress=second) == rows  # nothing is left: nobody asks for the file


@pytest.mark.skipif(os.name == "nt", reason="no lock on files there")
def test_what_another_process_has_added_meanwhile_is_not_run_again(path, log, monkeypatch):
    points, held = cells.grid(str(log), 0.0), files.held

    def late(csv):
        monkeypatch.setattr(files, "held", held)
        sweep(cells.logged, points[:20], path=csv)  # another one, between our look and our lock
        return held(csv)

    monkeypatch.setattr(files, "held", late)
    assert len(sweep(cells.logged, points, path=path)) == len(points)
    assert len(lines(log)) == len(points) == len(lines(path)) - 1


def test_a_torn_header_is_no_other_table(path, log):
    points = cells.grid(str(log), 0.0)[:3]
    sweep(cells.logged, points, path=path)
    header, whole = path.read_bytes().partition(b"\n")[0], path.read_bytes()
    for end in range(1, len(header) + 1):
        path.write_bytes(header[:end])
        sweep(cells.logged, points, path=path)
        assert path.read_bytes() == whole
    path.write_bytes(b"cell,other")
    with pytest.raises(ValueError, match="path must be"):
        sweep(cells.logged, points, path=path)
    assert path.read_bytes() == b"cell,other"


def test_two_threads_in_one_dask_worker_run_convnets(path):
    """Both call numba's threads at once; the rows are those of no executor."""
    points = [(seed,) for seed in range(6)]
    with distributed.LocalCluster(n_workers=1, threads_per_worker=2, processes=True, host="127.0.0.1",
                                  dashboard_address="127.0.0.1:0", silence_logs=logging.CRITICAL,
                                  local_directory=str(path.parent)) as cluster, distributed.Client(cluster) as client:
        rows = sweep(cells.convnet, points, client.get_executor(), path)
    assert rows == sweep(cells.convnet, points)
