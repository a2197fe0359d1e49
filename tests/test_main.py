"""The command line: `minishatter`, `python -m minishatter` and `minishatter probe`."""

import json

import pytest

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


@pytest.mark.parametrize("options, message", [
    ("--depth 3 --what", "unrecognized arguments: --what"), ("--norm center", "required: --depth"),
    ("--depth x", "invalid int value"), ("--depth 0", "depth must be at least 1"), ("--depth 3 --norm rows", "--norm"),
    ("--depth 3 --beta 2", "--beta does not go with --kind feedforward"),
    ("--kind resnet --depth 3 --gamma2 0.5", "--gamma2 does not go with --kind resnet"),
    ("--kind highway --depth 3", "needs --gamma2"), ("--kind highway --depth 3 --gamma2 2", "gamma2 must lie in"),
    ("--depth 3 --init looks_linear", "looks_linear"), ("--depth 3 --points 3", "at least"),
    ("--depth 3 --seed -1", "seed"), ("--depth 3 --width 4 --points 32 --figure .", "error")])
def test_an_error_is_one_line_and_exit_code_2(options, message, capsys, here):
    with pytest.raises(SystemExit) as stop:
        main(["probe", *options.split()])
    out, err = capsys.readouterr()
    assert stop.value.code == 2 and out == "" and list(here.iterdir()) == []
    assert err.count("\n") == 1 and message in err
    assert err.startswith(("minishatter: error: ", "minishatter probe: error: "))


def test_an_unknown_command_is_refused(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["prove"])
    assert stop.value.code == 2 and capsys.readouterr().err.count("\n") == 1
