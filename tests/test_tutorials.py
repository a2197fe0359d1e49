"""The tutorials are tests with a picture: each runs at quick size in its own process and writes what it promises."""

import ast
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from numba import config

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


def python(*arguments, **kwargs):
    return subprocess.Popen([sys.executable, *map(str, arguments)], cwd=ROOT, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, **kwargs)


@pytest.mark.parametrize("script", AT_WORK, ids=lambda script: script.stem)
def test_a_tutorial_runs_and_writes_its_figure_and_its_claims(script, figures, monkeypatch):
    monkeypatch.setenv("MINISHATTER_QUICK", "1")
    monkeypatch.setenv("MPLBACKEND", "Agg")
    process = python("-W", "error", script)
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
    cells = re.split(r"^# %%", text, flags=re.MULTILINE)[1:]
    markdown = [cell.partition("\n")[2] for cell in cells if cell.startswith(" [markdown]")]
    assert all(line.startswith("#") for cell in markdown for line in cell.split("\n\n\n")[0].strip().splitlines())
    assert markdown[-1].startswith("# **Try.**")


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


def test_list_and_unknown_numbers():
    process = python("-m", "tutorials", "--list")
    listed = process.communicate()[0].splitlines()
    assert [line[:2] for line in listed] == [script.name[:2] for script in runner.SCRIPTS]
    process = python("-m", "tutorials", "01", "77")
    assert "no tutorial 77" in process.communicate()[0] and process.returncode == 2


def test_interrupting_leaves_what_is_finished_whole(figures):
    """Ctrl-C after the first tutorial: its outputs are there, nothing of the second, exit code 130."""
    process = python("-m", "tutorials", "01", "02", "--quick", "--jobs", "1")
    while not (line := process.stdout.readline()).startswith("[1/2]"):
        assert line, "ended before the first tutorial did"
    time.sleep(0.3)  # the second is at work
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and "stopped" in said
    assert {path.name for path in figures.iterdir()} == {"01_one_layer_by_hand.png", "REPLICATION.md"}
    assert (figures / "01_one_layer_by_hand.png").read_bytes().endswith(b"IEND\xaeB`\x82")  # a PNG's last bytes


def test_the_readme_tells_the_table_as_it_stands():
    """The counts in the README are those of REPLICATION.md, and its example runs as pasted."""
    readme = (ROOT / "README.md").read_text()
    row = re.search(r"\| \*\*all\*\* \| (\d+) \| (\d+) \| (\d+) \|", (ROOT / "figures" / "REPLICATION.md").read_text())
    agrees, in_kind, differs = row.groups()
    assert f"{agrees} agree, {in_kind} agree in kind, {differs} differ" in readme
    example = re.search(r"```python\n(.*?)```", readme, flags=re.DOTALL)[1]
    assert len(example.splitlines()) <= 15
    process = python("-W", "error", "-c", example)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0 and said.strip(), said
