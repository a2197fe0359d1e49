"""The README tells the truth: its commands run, what it shows as printed is printed, its links and counts are right."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests import STRICT

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "tutorials").glob("*.md")]
CONSOLE = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
COMMANDS = re.findall(r"^\$ (.+)\n((?:[^$].*\n)*)", "".join(CONSOLE), re.MULTILINE)
# Where the tests run it is installed; and the tutorials, each and all, are run by the suite and by .ci/run.
NOT_HERE = {"pip install -e .", "python -m tutorials 01", "python -m tutorials"}


def run(*arguments, folder):
    return subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=300)


def test_the_readme_shows_commands():
    assert {command for command, _ in COMMANDS} > NOT_HERE


@pytest.mark.parametrize("command, shown", [row for row in COMMANDS if row[0] not in NOT_HERE],
                         ids=[row[0] for row in COMMANDS if row[0] not in NOT_HERE])
def test_a_command_prints_what_the_readme_shows(command, shown, tmp_path):
    program, *arguments = shlex.split(command)
    done = run("-m", program, *arguments, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == shown


def test_the_example_prints_what_the_readme_shows(tmp_path):
    example, shown = re.search(r"```python\n(.*?)```\n\n```text\n(.*?)```", README, re.DOTALL).groups()
    assert len(example.splitlines()) <= 15
    done = run(*STRICT, "-c", example, folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, shown, "")


def test_the_count_is_that_of_the_table():
    """Of the table's first part, which is about the paper."""
    table = (ROOT / "figures" / "REPLICATION.md").read_text(encoding="utf-8").partition("# The paper")[2]
    agrees, in_kind, differs = re.search(r"\| \*\*all\*\* \| (\d+) \| (\d+) \| (\d+) \|", table).groups()
    assert f"{agrees} agree, {in_kind} agree in kind, {differs} differ" in README


ACCURACIES = {  # rows of README's table, and what they are called in that of lesson 09
    "looks-linear (LL)": "CReLU, LL", "resnet": "resnet", "ReLU with BN": "ReLU + BN", "ReLU": "ReLU", "CReLU": "CReLU",
    "CReLU with BN": "CReLU + BN", "linear": "linear", "linear, orthogonal": "linear, orthogonal",
    "LL, 40 epochs": "LL, 40 epochs of 10,000 images", "LL, 40 epochs, 20,000 images": "LL, 40 epochs of 20,000 images",
    "resnet, 40 epochs, 20,000 images": "resnet, 40 epochs of 20,000 images"}


def cells(text):
    """The cells of the tables in a text, line by line."""
    return [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in text if line.strip()[:1] == "|"]


def test_the_accuracies_are_those_of_the_table():
    """The means in lesson 09's section; a cell is empty where there is no run, a row is left out likewise."""
    section = (ROOT / "figures" / "REPLICATION.md").read_text(encoding="utf-8").partition("## 09 ")[2]
    found = {line[0]: [cell[:5] for cell in line[1:]] for line in cells(section.partition("## ")[0].splitlines())}
    head, _, *lines = cells(line for line in README.splitlines() if line.startswith("  |"))
    assert head[1:] == found["kind"] == ["6", "14", "30", "54", "102", "198"]
    assert {name for name, *_ in lines} == {name for name, there in ACCURACIES.items() if any(found.get(there, ()))}
    for name, *means in lines:
        assert means == found[ACCURACIES[name]], name


def test_the_gain_of_looks_linear_nets_and_their_distance_from_the_resnet_are_those_of_the_table():
    section = (ROOT / "figures" / "REPLICATION.md").read_text(encoding="utf-8").partition("## 09 ")[2]
    rows = cells(section.splitlines())
    row = next(line for line in rows if line[0].startswith("CReLU, LL, 40 epochs of 20,000"))
    paper, gain, low, high = (float(number) for number in [*row[2:4], *row[4].strip("[]").split(", ")])
    words = " ".join(README.split())
    assert f"are ahead of 6 by {gain:.3f}, three runs each" in words and f"({low:.3f} to {high:.3f})" in words
    assert f"The paper has {paper:.3f}" in words
    row = next(line for line in rows if line[0].startswith("test accuracy, 40 epochs of 20,000 images: LL less"))
    less = dict(zip(row[0].partition(" depth ")[2].split(", "), row[3].split("; ")))
    assert f"at 30 layers LL is {-float(less['30']):.3f} behind it" in words


def test_the_cost_of_the_papers_protocol_is_that_of_the_table():
    table = (ROOT / "figures" / "REPLICATION.md").read_text(encoding="utf-8")
    cost = re.search(r"`--train --paper`\) costs at least ([\d,]+ to [\d,]+) core", table)[1]
    assert f"at least {cost} core-hours" in README


def test_the_gain_by_momentum_is_that_of_the_table():
    said = [float(number) for number in re.findall(r"([\d.]+)\s+times", README)]
    table = (ROOT / "figures" / "REPLICATION.md").read_text(encoding="utf-8").partition("## 17 ")[2]
    found = [float(re.search(rf"^\| centred \| {depth} \| ([\d.]+)", table, re.MULTILINE)[1]) for depth in (24, 1)]
    assert said == pytest.approx(found, abs=0.0501)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
    broken = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert broken == []


def test_every_page_is_linked_from_the_readme():
    pages = [*ROOT.glob("*.md"), *(ROOT / "tutorials").glob("*.md"), ROOT / "CITATION.cff"]
    names = {page.relative_to(ROOT).as_posix() for page in pages} - {"README.md"}
    assert {name for name in names if f"]({name})" not in README} == set()


def test_every_lesson_is_in_the_readme_with_its_picture():
    for script in (ROOT / "tutorials").glob("[0-9][0-9]_*.py"):
        assert f"(figures/{script.stem}.png)](tutorials/{script.name})" in README
