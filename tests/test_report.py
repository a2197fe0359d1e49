"""Verdicts at their boundaries, the table on disk, and progress: what a reader of REPLICATION.md relies on."""

import math
import os
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from minishatter import report, running
from minishatter.intervals import Interval, mean_interval

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    """Every test writes below its own current folder, at full size."""
    monkeypatch.chdir(tmp_path)
    for name in ("MINISHATTER_QUICK", "MINISHATTER_FIGURES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(running, "FIGURES", Path("figures"))


# The verdict: interval [1, 3], measured 2.


@pytest.mark.parametrize("predicted, tolerance, in_kind, expected, margin", [
    (2.0, 0.0, 0.0, "agrees", 1.0),            # in the middle
    (3.0, 0.0, 0.0, "agrees", 0.0),            # the end belongs to the interval
    (1.0, 0.0, 0.0, "agrees", 0.0),
    (3.5, 1.0, 0.0, "agrees", 0.25),           # [0, 4]: half a unit inside, and half of it is 2
    (4.0, 1.0, 0.0, "agrees", 0.0),
    (0.0, 1.0, 0.0, "agrees", 0.0),
    (3.5, 0.0, 2.0, "agrees in kind", 0.5),    # half a unit from agreeing and from differing
    (4.0, 0.0, 2.0, "agrees in kind", 0.0),    # the distance `in_kind` itself is within it
    (0.0, 0.0, 2.0, "agrees in kind", 0.0),
    (3.25, 0.0, 2.0, "agrees in kind", 0.25),  # a quarter from agreeing
    (4.25, 0.0, 2.0, "differs", 0.25),
    (3.25, 0.0, 0.0, "differs", 0.25),
    (3.5, 0.25, 1.0, "differs", 0.2),          # [0.75, 3.25]: a quarter from agreeing, and half of it is 1.25
])
def test_verdict_and_margin(predicted, tolerance, in_kind, expected, margin):
    assert report.verdict(predicted, Interval(2.0, 1.0, 3.0), tolerance, in_kind) == (expected, pytest.approx(margin))


@pytest.mark.parametrize("predicted, expected, margin", [(2.0, "agrees", math.inf), (1e6, "differs", math.inf)])
def test_an_exact_value_agrees_with_itself_only(predicted, expected, margin):
    assert report.verdict(predicted, 2.0) == (expected, margin)


@pytest.mark.parametrize("predicted, in_kind, expected", [
    ([2.0, 5.0], 0.0, "agrees"),
    ([2.0, 6.5], 0.0, "differs"),           # one point outside
    ([2.0, 6.5], 2.0, "agrees in kind"),    # and near
    ([6.0, 6.5], 2.0, "differs"),           # one near, one far
])
def test_a_claim_holds_if_it_holds_at_each_point(predicted, in_kind, expected):
    claim = report.Report("01_x").claim("a", "b", predicted, Interval([2.0, 5.0], [1.0, 4.0], [3.0, 6.0]),
                                         in_kind=in_kind)
    assert claim.verdict == expected


def test_the_margin_of_several_points_is_that_of_the_nearest_to_tipping():
    measured = Interval([2.0, 5.0], [1.0, 4.0], [3.0, 6.0])
    assert report.verdict([2.0, 5.75], measured)[1] == pytest.approx(0.25)


def test_what_was_measured_is_taken_as_it_comes():
    """An Interval of arrays, one Interval for each point, or exact numbers."""
    both = Interval(np.array([2.0, 5.0]), np.array([1.0, 4.0]), np.array([3.0, 6.0]))
    for measured in (both, [Interval(2.0, 1.0, 3.0), Interval(5.0, 4.0, 6.0)]):
        claim = report.Report("01_x").claim("a", "b", [3.0, 4.0], measured)
        assert [part.tolist() for part in claim.measured] == [part.tolist() for part in both]
        assert (claim.verdict, claim.margin) == ("agrees", 0.0)
    exact = report.Report("01_x").claim("a", "b", [3.0, 4.0], [3.0, 4.5])
    assert [part.tolist() for part in exact.measured] == [[3.0, 4.5]] * 3 and exact.verdict == "differs"


def test_each_point_may_have_its_own_tolerance():
    measured = Interval([2.0, 5.0], [1.0, 4.0], [3.0, 6.0])
    assert report.verdict([3.5, 6.0], measured, [0.5, 0.0])[0] == "agrees"
    assert report.verdict([3.5, 6.0], measured, [0.0, 0.5])[0] == "differs"


def test_the_tolerance_of_a_figure_of_means():
    """Reading error and standard error at right angles: 3 and 4 make 5; and it is of each column on its own."""
    samples = np.array([[0.0, 1.0], [2.0, 1.0]])  # standard deviations sqrt 2 and 0
    tolerance = report.figure_tolerance(math.sqrt(8) * samples, reading=3.0, runs=1)
    assert tolerance == pytest.approx([5.0, 3.0])
    assert report.figure_tolerance(samples, 0.0, 8) == pytest.approx([0.5, 0.0])


def test_two_means_of_one_law_agree_nearly_always():
    """The rule at work: the paper's mean of 20 nets and ours, of the same N(0, 1), no reading error.

    Their difference has standard deviation sqrt(2/20) = 0.316, the interval and the tolerance reach
    2.86 / sqrt 20 + 1 / sqrt 20 = 0.863 on average: 2.7 standard deviations, so some 0.8 % fail. Of 2000 at most 3 %.
    """
    rng = np.random.default_rng(6)
    theirs, ours = rng.standard_normal((2000, 20)).mean(axis=1), rng.standard_normal((20, 2000))
    measured, tolerance = mean_interval(ours, report.LEVEL), report.figure_tolerance(ours, 0.0, 20)
    verdicts = [report.verdict(theirs[k], measured.at(k), tolerance[k])[0] for k in range(2000)]
    assert 0 < verdicts.count("differs") < 60

NAN = math.nan


@pytest.mark.parametrize("predicted, measured, options, says", [
    (NAN, Interval(2.0, 1.0, 3.0), {}, "predicted"),
    (2.0, NAN, {}, "measured"),
    (2.0, Interval(2.0, NAN, 3.0), {}, "measured"),
    (2.0, Interval(2.0, 1.0, math.inf), {}, "measured"),
    (2.0, Interval(4.0, 1.0, 3.0), {}, "lie in its interval"),
    (2.0, Interval(2.0, 3.0, 1.0), {}, "lie in its interval"),
    ([2.0, 2.0], Interval(2.0, 1.0, 3.0), {}, "one shape"),
    ([2.0], Interval([2.0], 1.0, 3.0), {}, "one shape"),
    ([], [], {}, "empty"),
    (2.0, Interval(2.0, 1.0, 3.0), {"tolerance": -1.0}, "tolerance"),
    ([2.0, 2.0], [2.0, 2.0], {"tolerance": [0.1, -0.1]}, "tolerance"),
    (2.0, 2.0, {"tolerance": [0.1, 0.1]}, "tolerance"),
    (2.0, Interval(2.0, 1.0, 3.0), {"in_kind": NAN}, "in_kind"),
])
def test_ill_formed_claims_are_refused(predicted, measured, options, says):
    tutorial = report.Report("01_x")
    with pytest.raises(ValueError, match=says):
        tutorial.claim("a", "b", predicted, measured, **options)
    assert tutorial.claims == []


def test_a_claim_prints_what_it_says():
    claim = report.Report("01_x").claim("the sky is blue", "eyes", [1.0, 2.0],
                                         [Interval(1.0, 0.9, 1.1), Interval(2.5, 2.2, 2.8)])
    assert str(claim) == "differs        the sky is blue: predicted 1; 2, measured 1; 2.5"


# The table.


def tutorial(name, predicted=(2.0,), beyond=()):
    """A report that claims the interval [1, 3], agreeing in kind up to 2 from 2, of the paper and beyond it."""
    result = report.Report(name)
    for value in (*predicted, *beyond):
        result.claim(f"claim {value:g}", "Theorem 1", value, Interval(2.0, 1.0, 3.0), in_kind=2.0,
                     beyond=value in beyond)
    return result


def section(text, title, part="The paper"):
    """The lines below `## title` in one part, up to the next section."""
    text = text.split(f"\n# {part}\n")[1].split("\n# ")[0]
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


def rows(text):
    """The cells of the table rows of a section, without its heading."""
    return [[cell.strip() for cell in line.strip("|").split("|")]
            for line in text.splitlines() if line.startswith("|")][2:]


def test_a_claim_is_a_row():
    path = tutorial("01_one_layer", [2.5]).write()
    assert path == Path("figures", "REPLICATION.md")
    assert rows(section(path.read_text(), "01 one layer")) == [
        ["claim 2.5", "Theorem 1", "2.5", "2", "[1, 3]", "0", "2", "**agrees**", "0.5"]]


def test_a_bar_in_a_statement_does_not_end_its_cell():
    bars = report.Report("01_x")
    bars.claim("f(x) = |x| f(sign x)", "b", 2.0, 2.0)
    assert r"| f(x) = \|x\| f(sign x) | b |" in bars.write().read_text()


def test_an_exact_measurement_has_no_interval():
    exact = report.Report("01_x")
    exact.claim("a", "b", 2.0, 2.0)
    assert rows(section(exact.write().read_text(), "01 x"))[0][4] == "exact"


def test_the_table_starts_with_the_rule():
    text = tutorial("01_x").write().read_text()
    assert text.startswith("# REPLICATION") and report.PREAMBLE in text
    assert all(f"**{verdict}**" in report.PREAMBLE for verdict in report.VERDICTS)


def test_write_keeps_the_other_sections():
    tutorial("02_b", [2.0, 4.0]).write("Notes on b.")
    path = tutorial("01_a").write()
    before = path.read_text()
    tutorial("01_a", [5.0]).write("Now with notes.")
    after = path.read_text()
    assert section(after, "02 b") == section(before, "02 b")
    assert rows(section(after, "01 a"))[0][7] == "**differs**" and "Now with notes." in section(after, "01 a")
    assert after.index("## 01 a") < after.index("## 02 b")  # sorted, whatever ran first


def test_writing_again_changes_nothing():
    tutorial("02_b", [2.0, 4.0]).write("Notes on b.")
    path = tutorial("01_a").write()
    before = path.read_text()
    tutorial("01_a").write()
    tutorial("02_b", [2.0, 4.0]).write("Notes on b.")
    assert path.read_text() == before


def test_merge_takes_over_the_sections_of_another_table(monkeypatch):
    """Ours 01 and 02, theirs 02 and 03: ours 01, theirs 02 and 03."""
    monkeypatch.setenv("MINISHATTER_FIGURES", "theirs")
    tutorial("02_b", [8.0]).write("Their notes.")
    theirs = tutorial("03_c").write()
    monkeypatch.setenv("MINISHATTER_FIGURES", "ours")
    tutorial("01_a").write()
    tutorial("02_b").write("Our notes.")
    merged = report.merge(theirs).read_text()
    assert rows(section(merged, "Summary")) == [
        ["01 a", "1", "0", "0"], ["02 b", "0", "0", "1"], ["03 c", "1", "0", "0"], ["**all**", "2", "0", "1"]]
    assert "Their notes." in merged and "Our notes." not in merged


def test_the_summary_counts_verdicts():
    tutorial("01_a", [2.0, 2.5, 4.0, 7.0]).write("In the notes, **agrees** does not count.")
    path = tutorial("02_b", [8.0]).write()
    assert rows(section(path.read_text(), "Summary")) == [
        ["01 a", "2", "1", "1"], ["02 b", "0", "0", "1"], ["**all**", "2", "1", "2"]]


def test_the_two_parts_count_apart():
    """What goes beyond the paper stands in the second part, with a summary of its own; a section may be in both."""
    tutorial("01_a", [2.0, 8.0], beyond=[2.5, 4.0, 9.0]).write("On the paper.")
    path = tutorial("02_b", [], beyond=[3.0]).write("On the rest.", beyond=True)
    text, beyond = path.read_text(), "Beyond the paper"
    assert rows(section(text, "Summary")) == [["01 a", "1", "0", "1"], ["**all**", "1", "0", "1"]]
    assert rows(section(text, "Summary", beyond)) == [
        ["01 a", "1", "1", "1"], ["02 b", "1", "0", "0"], ["**all**", "2", "1", "1"]]
    assert [row[0] for row in rows(section(text, "01 a", beyond))] == ["claim 2.5", "claim 4", "claim 9"]
    assert "On the paper." in section(text, "01 a") and "On the rest." in section(text, "02 b", beyond)
    assert "## 02 b" not in text.split(f"# {beyond}")[0] and text.index("# The paper") < text.index(f"# {beyond}")


def test_a_claim_that_changes_sides_leaves_nothing_behind():
    tutorial("01_a", [2.0], beyond=[4.0]).write()
    path = tutorial("01_a", [], beyond=[2.0]).write()
    text = path.read_text()
    assert text.count("## 01 a\n") == 1
    assert [row[0] for row in rows(section(text, "01 a", "Beyond the paper"))] == ["claim 2"]
    assert rows(section(text, "Summary")) == [["**all**", "0", "0", "0"]]


@pytest.mark.parametrize("notes", ["## Mine", "Text.\n# Beyond the paper"])
def test_notes_with_headings_are_refused(notes):
    with pytest.raises(ValueError, match="heading"):
        tutorial("01_a").write(notes)


def test_a_report_has_the_number_of_its_tutorial():
    assert report.Report("07_x").figure == Path("figures", "07_x.png")
    with pytest.raises(ValueError, match="two digits"):
        report.Report("x")


# Whole or not at all.


def refuse(*args, **kwargs):
    raise OSError("disk full")


@pytest.mark.parametrize("step", ["fsync", "replace"])  # before the new file is complete, and after
def test_a_failing_write_leaves_the_old_table(monkeypatch, step):
    path = tutorial("01_a").write()
    before = path.read_text()
    monkeypatch.setattr(os, step, refuse)
    with pytest.raises(OSError, match="disk full"):
        tutorial("02_b").write()
    assert path.read_text() == before
    assert os.listdir("figures") == ["REPLICATION.md"]


# The environment.


@pytest.mark.parametrize("value, quick", [(None, False), ("", False), ("0", False), ("1", True), ("yes", True)])
def test_a_run_is_quick_if_the_environment_says_so(monkeypatch, value, quick):
    if value is not None:
        monkeypatch.setenv("MINISHATTER_QUICK", value)
    assert running.quick() is quick


@pytest.mark.parametrize("value, folder", [(None, "figures"), ("", "figures"), ("new/place", "new/place")])
def test_figures_and_table_go_where_the_environment_says(monkeypatch, value, folder):
    if value is not None:
        monkeypatch.setenv("MINISHATTER_FIGURES", value)
    assert running.folder() == Path(folder)
    assert tutorial("01_a").write() == Path(folder, "REPLICATION.md")
    assert report.Report("01_a").figure == Path(folder, "01_a.png")


def test_without_a_word_they_go_to_the_repository_wherever_one_works(tmp_path):
    command = "from minishatter import running; print(running.folder())"
    said = [subprocess.run([sys.executable, "-c", command], cwd=tmp_path,
                           env=os.environ | {"PYTHONPATH": str(ROOT), "MINISHATTER_QUICK": quick}, text=True,
                           capture_output=True, timeout=60, check=True).stdout for quick in "01"]
    assert said == [f"{ROOT / 'figures'}\n", f"{ROOT / 'figures' / 'quick'}\n"]


# Progress.


@pytest.mark.parametrize("total, marks", [(8, [2, 4, 6, 8]), (10, [3, 5, 8, 10]), (2, [1, 2]), (1, [1]), (0, [])])
def test_progress_without_tqdm_is_a_line_per_quarter(monkeypatch, capsys, total, marks):
    monkeypatch.setitem(sys.modules, "tqdm", None)  # makes `import tqdm` fail
    assert list(running.progress("nets")(range(total))) == list(range(total))
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [f"nets: {mark}/{total}" for mark in marks]


def test_progress_with_tqdm_is_a_bar(monkeypatch, capsys):
    bars = []

    def tqdm(items, desc, leave):
        bars.append((desc, len(items)))
        return iter(items)

    monkeypatch.setitem(sys.modules, "tqdm", types.SimpleNamespace(tqdm=tqdm))
    assert list(running.progress("nets")(range(8))) == list(range(8))
    assert bars == [("nets", 8)]
    assert capsys.readouterr() == ("", "")


def test_progress_with_the_real_tqdm_keeps_stdout_clean(capsys):
    assert list(running.progress("nets")(range(8))) == list(range(8))
    assert capsys.readouterr().out == ""
