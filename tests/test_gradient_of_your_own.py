"""The README's lines for a gradient of your own: they run as they stand with PyTorch, and with NumPy in its place."""

import ast
import re
from pathlib import Path

import numpy as np
import pytest

from minishatter import gradients, nets, probe

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
LINES, = re.findall(r"## A gradient of your own\n.*?```python\n(.*?)```", TEXT, re.DOTALL)
NET = nets.feedforward(24, 20, norm="center", rng=np.random.default_rng(0)).freeze(gradients.grid()[:, None])
A, B = np.array([-2.0]), np.array([2.0])


def expected():
    """The same diagnosis from inside: the frozen net on its own grid."""
    return probe.diagnose_gradient(gradients.input_gradient(NET, gradients.grid()), step=4 / 255)


def test_there_are_at_most_eight_lines():
    assert len([line for line in LINES.splitlines() if line.strip()]) <= 8


def test_with_a_numpy_function_in_its_place(capsys):
    """All lines but those that speak of torch: its import and the function `gradient`."""
    tree = ast.parse(LINES)
    tree.body = [node for node in tree.body if "torch" not in ast.unparse(node)]
    exec(compile(tree, "README", "exec"),
         {"gradient": lambda x: gradients.input_gradient(NET, x[:, 0])[:, None], "a": A, "b": B})
    assert capsys.readouterr().out == f"{expected()}\n"


def test_with_pytorch(capsys):
    torch = pytest.importorskip("torch")
    modules = []
    for layer in NET.layers:
        if "W" in layer.params:
            modules.append(torch.nn.Linear(*layer.params["W"].shape))
            state = {"weight": layer.params["W"].T, "bias": layer.params["b"]}
        elif "scale" in layer.params:
            modules.append(torch.nn.BatchNorm1d(layer.params["scale"].size, eps=0.0))
            state = {"weight": layer.params["scale"], "bias": layer.params["shift"]}
        else:
            modules.append(torch.nn.ReLU())
            state = {}
        modules[-1].load_state_dict({name: torch.tensor(value) for name, value in state.items()}, strict=False)
    exec(LINES, {"model": torch.nn.Sequential(*modules).eval(), "a": A, "b": B})
    printed, ours = (dict(line.split(None, 1) for line in text.splitlines() if line.split()[0] in ("condition", "rms"))
                     for text in (capsys.readouterr().out, str(expected())))
    assert printed["condition"] == ours["condition"] == "shattered"
    assert float(printed["rms"]) == pytest.approx(float(ours["rms"]), rel=1e-2)  # float32 flips a unit now and then
