"""The tutorials are tests with a picture: each runs at quick size in its own process and writes what it promises."""

import ast
import errno
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from numba import config

from minishatter import files
from tests import STRICT
from tutorials import __main__ as runner

ROOT = Path(__file__).resolve().parent.parent
# Without the JIT the kernels are Python loops: the first tutorial still runs whole, the others would take minutes.
AT_WORK = runner.SCRIPTS[:1] if config.DISABLE_JIT else runner.SCRIPTS
FORBIDDEN = {"argparse", "__file__"}

scripts = pytest.mark.parametrize("script", runner.SCRIPTS, ids=lambda script: script.stem)


@pytest.fixture
def figures(tmp_path, monkeypatch):
    """An empty folder in the place of figures/."""
    monkeypatch.setenv("MINISHATTER_FIGURES", str(tmp_path / "figures"))
    return tmp_path / "figures"


def python(*arguments, cwd=ROOT, **kwargs):
    return subprocess.Popen([sys.executable, *map(str, arguments)], cwd=cwd, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, **kwargs)


@pytest.mark.parametrize("script", AT_WORK, ids=lambda script: script.stem)
def test_a_tutorial_runs_and_writes_its_figure_and_its_claims(script, figures, monkeypatch):
    monkeypatch.setenv("MINISHATTER_QUICK", "1")
    monkeypatch.setenv("MPLBACKEND", "Agg")
    process = python(*STRICT, script)
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 0, said
    assert (figures / f"{script.stem}.png").stat().st_size > 10_000
    table = (figures / "REPLICATION.md").read_text()
    assert f"## {script.stem.replace('_', ' ')}\n" in table
    assert re.search(r"\| \*\*(agrees|agrees in kind|differs)\*\* \|", table)
    assert {path.name for path in figures.iterdir()} == {f"{script.stem}.png", "REPLICATION.md"}


@scripts
def test_a_tutorial_is_a_script_a_notebook_and_a_page(script):
    """A title underlined with =, cells opened by `# %%`, exercises at the end, and nothing that a notebook lacks."""
    text = script.read_text()
    tree = ast.parse(text)
    title, underline, *_ = ast.get_docstring(tree).splitlines()
    assert set(underline) == {"="} and len(underline) >= len(title)
    assert not any(isinstance(node, ast.ClassDef) for node in ast.walk(tree))
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert not names & FORBIDDEN and "plt.show" not in text
    assert text.count("plot.use_style()") == text.count("Report(")  # all that it draws is in the house style
    cells = re.split(r"^# %%", text, flags=re.MULTILINE)[1:]
    markdown = [cell.partition("\n")[2] for cell in cells if cell.startswith(" [markdown]")]
    assert all(line.startswith("#") for cell in markdown for line in cell.split("\n\n\n")[0].strip().splitlines())
    assert markdown[-1].startswith("# **Try.**")


@scripts
def test_teachers_have_an_answer_to_each_exercise(script):
    """A paragraph for each lesson, of answers that begin with a word and a colon: two at least."""
    page = (ROOT / "tutorials" / "TEACHING.md").read_text(encoding="utf-8").partition("## Answers to Try")[2]
    answers, = re.findall(rf"^\*\*{script.stem[:2]}\.\*\* (.*?)(?:\n\n|\Z)", page, re.MULTILINE | re.DOTALL)
    assert len(re.findall(r"(?:^|[.?)] )[A-Z][\w ']*: ", " ".join(answers.split()))) >= 2


@scripts
def test_the_committed_figure_and_section_exist(script):
    assert (ROOT / "figures" / f"{script.stem}.png").exists()
    assert f"## {script.stem.replace('_', ' ')}\n" in (ROOT / "figures" / "REPLICATION.md").read_text()


def test_one_that_fails_does_not_stop_the_others(tmp_path, figures, capfd):
    """It is reported with what it said, nothing of it is published, and the others are."""
    good = "from minishatter.report import Report\nr = Report('{0}')\nr.claim('s', 'p', 1, 1)\nr.write()\n"
    for number, end in (("97", ""), ("98", "raise RuntimeError('on purpose')"), ("99", "")):
        (tmp_path / f"{number}_x.py").write_text(good.format(f"{number}_x") + end)
    failed = runner.run_all(sorted(tmp_path.glob("9*.py")), quick=True, jobs=2)
    out, err = capfd.readouterr()
    assert failed == ["98_x"] and "98_x: FAILED" in out and "97_x: ok" in out and "on purpose" in err
    table = (figures / "REPLICATION.md").read_text()
    assert "## 97 x" in table and "## 99 x" in table and "## 98 x" not in table


def test_what_cannot_be_put_in_place_does_not_stop_the_others(tmp_path, figures, capfd, monkeypatch):
    """As on a full disk: one line for the one that is lost."""
    def full(path, data):
        if path.name == "98_x.png":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write(path, data)

    write = files.write
    monkeypatch.setattr(files, "write", full)
    for number in ("97", "98", "99"):
        (tmp_path / f"{number}_x.py").write_text(SMALL.format(f"{number}_x"))
    assert runner.run_all(sorted(tmp_path.glob("9*.py")), quick=True, jobs=3) == ["98_x"]
    err = capfd.readouterr().err
    assert err.count("\n") == 1 and err.startswith("98_x: ") and "No space left" in err
    assert {path.name for path in figures.iterdir()} == {"97_x.png", "99_x.png", "REPLICATION.md"}


# One by itself.

SMALL = """
from minishatter import plot
from minishatter.report import Report
r = Report('{0}')
print(r.claim('s', 'p', 1, 1))
plot.save(plot.page((1, 1)), r.figure)
r.write()
"""
WAITS = """
import pathlib, time
print("first")
start = time.monotonic()
while not pathlib.Path({go!r}).exists():
    assert time.monotonic() - start < 60, "nobody has read the first line"
    time.sleep(0.02)
"""
ALONE = ("import pathlib, sys; from tutorials import __main__ as r; "
         "sys.exit(r.run_one(pathlib.Path(sys.argv[1]), True, {}))")


def test_one_tutorial_is_heard_while_it_speaks(tmp_path, figures):
    script, go = tmp_path / "97_x.py", tmp_path / "go"
    script.write_text(WAITS.format(go=str(go)) + SMALL.format("97_x"))
    process = python("-c", ALONE.format(False), script)
    assert process.stdout.readline() == "first\n"
    go.touch()
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert said.startswith("agrees ") and f"the figure is in {figures}; REPLICATION.md there is left as it is" in said


@pytest.mark.parametrize("table", [False, True])
def test_one_tutorial_rewrites_the_table_only_if_asked(tmp_path, figures, table):
    old = "# REPLICATION\n\n# The paper\n\n## 96 y\n\nkept\n\n## 97 x\n\nto be replaced\n"
    figures.mkdir()
    (figures / "REPLICATION.md").write_text(old)
    (tmp_path / "97_x.py").write_text(SMALL.format("97_x"))
    process = python("-c", ALONE.format(table), tmp_path / "97_x.py")
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0 and ("left as it is" in said) is not table
    assert (figures / "97_x.png").exists()
    new = (figures / "REPLICATION.md").read_text()
    assert (new == old) if not table else ("kept" in new and "to be replaced" not in new and "| s | p | 1 |" in new)


def test_one_tutorial_that_fails_says_why_and_writes_nothing(tmp_path, figures):
    (tmp_path / "97_x.py").write_text(SMALL.format("97_x") + "raise RuntimeError('on purpose')")
    process = python("-c", ALONE.format(True), tmp_path / "97_x.py")
    assert "RuntimeError: on purpose" in process.communicate(timeout=120)[0]
    assert process.returncode == 1 and not figures.exists()


@pytest.mark.skipif(not os.access(ROOT / "figures", os.W_OK), reason="this checkout is another user's")
def test_the_runner_puts_figures_into_the_repository_wherever_one_is(tmp_path, monkeypatch):
    monkeypatch.delenv("MINISHATTER_FIGURES", raising=False)
    process = python("-m", "tutorials", "01", "--quick", cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)})
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0 and f"the figure is in {ROOT / 'figures' / 'quick'}" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options, cure", [(["01", "--quick"], "MINISHATTER_FIGURES"),
                                           (["--quick"], "MINISHATTER_FIGURES")])
def test_a_folder_that_cannot_be_written_is_refused_before_the_work(options, cure, tmp_path, monkeypatch):
    """In one line, as in a checkout that belongs to somebody else. (Here the folder lies in a file.)"""
    (tmp_path / "file").touch()
    monkeypatch.setenv("MINISHATTER_FIGURES", str(tmp_path / "file" / "figures"))
    process = python("-m", "tutorials", *options)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 2 and said.count("\n") == 1
    assert said.startswith("python -m tutorials: error: cannot write to ") and cure in said


@pytest.mark.parametrize("arguments", [("-m", "tutorials", "--list"), ("-m", "tutorials", "--help"),
                                       ("-m", "minishatter"), ("-m", "minishatter", "--version"),
                                       ("-m", "tutorials", "01", "--quick")])
def test_a_reader_who_leaves_early_is_not_shouted_after(arguments, figures):
    """As `| head -1` does: no traceback. (Here the reader has left before the first line.)"""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, text=True,
                          timeout=120)
    os.close(writer)
    assert done.returncode in (0, 1) and done.stderr == ""  # 0: argparse does not mind


def test_list_and_unknown_numbers():
    process = python("-m", "tutorials", "--list")
    listed = process.communicate()[0].splitlines()
    assert [line[:2] for line in listed] == [script.name[:2] for script in runner.SCRIPTS]
    process = python("-m", "tutorials", "01", "77")
    assert "no tutorial 77" in process.communicate()[0] and process.returncode == 2


@pytest.mark.skipif(os.name == "nt", reason="Windows sends Ctrl-C to a whole console")
def test_interrupting_leaves_what_is_finished_whole(figures):
    """Ctrl-C after the first tutorial: its outputs are there, nothing of the second, exit code 130."""
    process = python("-m", "tutorials", "01", "02", "--quick", "--jobs", "1",  # a shell's background ignores Ctrl-C
                     preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    while not (line := process.stdout.readline()).startswith("[1/2]"):
        assert line, "ended before the first tutorial did"
    time.sleep(0.3)  # the second is at work
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and "stopped" in said
    assert {path.name for path in figures.iterdir()} == {"01_one_layer_by_hand.png", "REPLICATION.md"}
    assert (figures / "01_one_layer_by_hand.png").read_bytes().endswith(b"IEND\xaeB`\x82")  # a PNG's last bytes


@scripts
def test_a_lesson_says_what_it_builds_on_and_what_it_costs(script):
    last = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))).splitlines()[-1]
    found = re.fullmatch(r"Builds on (nothing|\d\d(?: and \d\d)*)\. Takes about \d+ seconds on one core\.", last)
    assert found, last
    assert all(number < script.name[:2] for number in re.findall(r"\d\d", found[1]))
