"""The command line: `minishatter`, `python -m minishatter` and `minishatter probe`."""

import json
import os

import numpy as np
import pytest

from minishatter import __main__ as command_line
from minishatter import probe, stats
from minishatter.__main__ import main


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_a_command_it_introduces_itself(capsys):
    assert main([]) == 0
    assert "Reading order" in capsys.readouterr().out


def test_probe_prints_a_table_and_saves_a_picture(capsys, here):
    assert main(["probe", "--depth", "4", "--width", "9", "--norm", "center", "--points", "32"]) == 0
    assert "condition" in capsys.readouterr().out
    assert (here / "probe.png").stat().st_size > 5000


@pytest.mark.parametrize("options", [
    "--kind resnet --depth 3 --beta 0.1", "--kind highway --depth 3 --gamma2 0.5", "--depth 4 --norm none",
    "--depth 3 --activation crelu --init looks_linear",  # one gradient: no autocorrelation to print
    "--depth 3 --norm batch --statistics through"])
def test_json_is_plain_json_for_every_kind_of_net(options, capsys, here):
    assert main(["probe", *options.split(), "--width", "9", "--points", "32", "--json", "--figure", "a/b.png"]) == 0
    diagnosis = json.loads(capsys.readouterr().out)
    assert diagnosis["condition"] in {"healthy", "shattered", "vanished", "exploded", "collapsed"}
    assert diagnosis["figure"] == "a/b.png" and (here / "a" / "b.png").exists()


@pytest.mark.parametrize("suffix, begins", [("pdf", b"%PDF-"), ("svg", b"<?xml")])
def test_the_picture_has_the_format_of_its_suffix(suffix, begins, here):
    assert main(["probe", "--depth", "3", "--width", "9", "--points", "32", "--figure", f"out.{suffix}"]) == 0
    assert (here / f"out.{suffix}").read_bytes().startswith(begins)


def test_an_unknown_format_is_refused_before_the_work(monkeypatch, capsys):
    monkeypatch.setattr(command_line, "build_net", lambda *_: pytest.fail("it began to work"))
    with pytest.raises(SystemExit) as stop:
        main(["probe", "--depth", "3", "--figure", "out.bmp"])
    assert stop.value.code == 2 and ".png, .pdf, .svg, got 'out.bmp'" in capsys.readouterr().err


@pytest.mark.parametrize("options, message", [
    ("--depth 3 --what", "unrecognized arguments: --what"), ("--norm center", "needs --depth"),
    ("--depth x", "invalid int value"), ("--depth 0", "depth must be at least 1"), ("--depth 3 --norm rows", "--norm"),
    ("--depth 3 --beta 2", "--beta does not go with --kind feedforward"),
    ("--kind resnet --depth 3 --gamma2 0.5", "--gamma2 does not go with --kind resnet"),
    ("--kind highway --depth 3", "needs --gamma2"), ("--kind highway --depth 3 --gamma2 2", "gamma2 must lie in"),
    ("--depth 3 --init looks_linear", "looks_linear"), ("--depth 3 --points 3", "at least"),
    ("--depth 3 --seed -1", "seed"), ("--depth 3 --step 2", "--step does not go with --kind feedforward"),
    ("--gradient g.npy --kind resnet", "--kind does not go with --gradient"),
    ("--gradient g.csv --depth 3", "--depth does not go with --gradient"),
    ("--gradient g.txt", "must end in .npy or .csv"), ("--gradient g.npy", "No such file"),
    ("--gradient g.npy --step x", "invalid float value"), ("--depth 3 --width 4 --points 32 --figure .", "error")])
def test_an_error_is_one_line_and_exit_code_2(options, message, capsys, here):
    with pytest.raises(SystemExit) as stop:
        main(["probe", *options.split()])
    out, err = capsys.readouterr()
    assert stop.value.code == 2 and out == "" and list(here.iterdir()) == []
    assert err.count("\n") == 1 and message in err
    assert err.startswith(("minishatter: error: ", "minishatter probe: error: "))


def test_a_gradient_of_your_own_comes_from_a_file(capsys, here):
    """Twenty runs as an array, and one of them as a column of text."""
    runs = stats.white_noise((20, 64), np.random.default_rng(0))
    np.save("g.npy", runs)
    np.savetxt("g.csv", runs[3])
    assert main(["probe", "--gradient", "g.npy", "--step", "0.5", "--json"]) == 0
    diagnosis = json.loads(capsys.readouterr().out)
    expected = probe.diagnose_gradient(runs, step=0.5)
    assert diagnosis.pop("figure") == "probe.png" and (here / "probe.png").stat().st_size > 5000
    assert diagnosis == json.loads(json.dumps(expected.plain())) and diagnosis["condition"] == "shattered"
    assert main(["probe", "--gradient", "g.csv", "--figure", "one.png"]) == 0
    assert capsys.readouterr().out == f"{probe.diagnose_gradient(runs[3])}\n{'figure':<24}one.png\n"


@pytest.mark.parametrize("name, write, message", [
    ("g.npy", lambda path: np.save(path, np.array([{}]), allow_pickle=True), "Object arrays cannot be loaded"),
    ("g.npy", lambda path: path.write_bytes(b""), "magic string"),
    ("g.npy", lambda path: np.save(path, np.ones((2, 3, 32))), "1 or 2 axes"),
    ("g.npy", lambda path: np.save(path, np.ones(3)), "at least 16 points"),
    ("g.csv", lambda path: path.write_text("x,g\n1,2\n"), "could not convert string 'x'"),
    ("g.csv", lambda path: path.write_text("\n"), "it is empty"),
    ("g.csv", lambda path: path.write_text("1,2\n3\n"), "columns changed"),
    ("g.csv", lambda path: path.write_text("nan\n" * 32), "must be finite")])
def test_a_file_that_holds_no_gradient_is_refused(name, write, message, capsys, here):
    write(here / name)
    with pytest.raises(SystemExit) as stop:
        main(["probe", "--gradient", name])
    out, err = capsys.readouterr()
    assert stop.value.code == 2 and out == "" and os.listdir(here) == [name]
    assert err.count("\n") == 1 and message in err


def test_an_unknown_command_is_refused(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["prove"])
    assert stop.value.code == 2 and capsys.readouterr().err.count("\n") == 1
