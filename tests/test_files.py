"""A file is written whole, through links, with its mode; a table survives two processes at once."""

import os
import re
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from minishatter import files, report

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def links(target, link):
    try:
        os.symlink(target, link)
    except OSError as error:
        pytest.skip(f"no symbolic links here: {error}")


@pytest.mark.parametrize("target", ["kept/real.txt", "../{}/kept/real.txt"])
@pytest.mark.parametrize("exists", [True, False])
def test_a_link_is_written_through(here, target, exists):
    (here / "kept").mkdir()
    real = here / "kept" / "real.txt"
    if exists:
        real.write_bytes(b"old")
    links(target.format(here.name), "link.txt")
    files.write("link.txt", b"new")
    assert Path("link.txt").is_symlink() and real.read_bytes() == b"new"
    assert os.listdir("kept") == ["real.txt"] and sorted(os.listdir()) == ["kept", "link.txt"]


def test_a_circle_of_links_is_refused(here):
    links("b", "a")
    links("a", "b")
    with pytest.raises(ValueError, match="path must be a regular file"):
        files.write("a", b"new")
    assert Path("a").is_symlink() and Path("b").is_symlink()


@pytest.mark.skipif(os.name == "nt", reason="Windows has one bit of it")
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755, 0o444])
def test_an_old_file_keeps_its_mode(mode):
    Path("a").write_bytes(b"old")
    Path("a").chmod(mode)
    files.write("a", b"new")
    assert stat.S_IMODE(Path("a").stat().st_mode) == mode and Path("a").read_bytes() == b"new"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask to speak of")
def test_a_new_file_has_the_mode_of_any_other():
    Path("other").write_bytes(b"")
    files.write("a", b"new")
    assert Path("a").stat().st_mode == Path("other").stat().st_mode


def test_threads_may_write_one_file():
    """One of the texts is there at the end, whole, and nothing else."""
    texts = [bytes([65 + k]) * 50_000 for k in range(8)]
    workers = [threading.Thread(target=lambda text=text: [files.write("a", text) for _ in range(5)]) for text in texts]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert Path("a").read_bytes() in texts and os.listdir() == ["a"]


MANY = """
import sys
from minishatter import report
for k in range(20):
    tutorial = report.Report(f"{10 * int(sys.argv[1]) + k % 10:02}_x")
    tutorial.claim(f"claim {k}", "p", 1, 1)
    tutorial.write()
"""


@pytest.mark.skipif(os.name == "nt", reason="no lock on folders there")
def test_runs_at_one_table_do_not_undo_each_other(here):
    """Four processes write ten sections each, two times over: all forty are there, each as it was last written."""
    env = os.environ | {"MINISHATTER_FIGURES": str(here), "PYTHONPATH": str(ROOT)}
    runs = [subprocess.Popen([sys.executable, "-c", MANY, str(k)], env=env) for k in range(1, 5)]
    assert [run.wait(timeout=120) for run in runs] == [0] * 4
    text = Path("REPLICATION.md").read_text()
    assert len(re.findall(r"\n## \d\d x\n", text)) == 40
    assert text.count("| claim 1") == 40 and "| claim 0 |" not in text  # the second ten of each process
    assert os.listdir() == ["REPLICATION.md"]


def test_a_lock_is_free_again_after_an_error(here):
    with pytest.raises(RuntimeError), files.alone(here):
        raise RuntimeError
    held = threading.Event()

    def enter():
        with files.alone(here):
            held.set()

    threading.Thread(target=enter, daemon=True).start()
    assert held.wait(timeout=10)


@pytest.mark.skipif(os.name == "nt", reason="no lock on folders there")
def test_who_comes_second_waits(here):
    entered = threading.Event()

    def enter():
        with files.alone(here):
            entered.set()

    with files.alone(here):
        second = threading.Thread(target=enter)
        second.start()
        assert not entered.wait(timeout=0.3)
    second.join(timeout=10)
    assert entered.is_set()


def test_the_table_is_written_also_where_there_are_no_locks(here, monkeypatch):
    monkeypatch.setitem(sys.modules, "fcntl", None)  # makes the import fail
    monkeypatch.setenv("MINISHATTER_FIGURES", str(here / "new"))
    tutorial = report.Report("01_x")
    tutorial.claim("a", "p", 1, 1)
    assert "## 01 x" in tutorial.write().read_text()
