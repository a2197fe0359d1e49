"""As a user without a home, an entry in the list of users or a folder to write: things work, or one line says why."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NOBODY = 64123  # a number without an entry in the list of users
# Another user, who may read everything, for this Python may be root's own, and write nothing.
BECOME = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--inh-caps=+dac_read_search",
          "--ambient-caps=+dac_read_search"]

pytestmark = pytest.mark.skipif(os.name == "nt" or os.geteuid() or not shutil.which("setpriv"),
                                reason="root alone can be another, by setpriv")


@pytest.fixture(params=["/", "/proc/1/none", None], ids=["root as home", "no such home", "no HOME"])
def run(request, tmp_path):
    """A function that runs Python as a stranger, in a copy of the package that is not the stranger's to write."""
    copy = tmp_path / "checkout"
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout
    if not tracked:
        pytest.skip("no checkout")
    for name in tracked.splitlines():
        if name.startswith(("minishatter/", "tutorials/")):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((ROOT / name).read_bytes())
    for folder in (copy, *copy.parents[:3]):
        folder.chmod(0o755)

    def stranger(*arguments, **more):
        env = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        env |= {"PYTHONPATH": str(copy), "NUMBA_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        env |= more if request.param is None else more | {"HOME": request.param}
        return subprocess.run([*BECOME, sys.executable, *arguments], cwd=copy, env=env, capture_output=True, text=True,
                              timeout=300)

    if (done := stranger("-c", "import numba")).returncode:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"another user cannot use this Python: {done.stderr}")
    stranger.home = request.param
    return stranger


COMPUTE = """
import minishatter, numpy as np
from minishatter import images, nets
net = nets.feedforward(2, 8, norm="batch", rng=np.random.default_rng(0))
print(minishatter.gradients.input_gradient(net, np.linspace(-1, 1, 16)).shape)
images.BatchNorm2d(2)
"""


def test_no_cache_is_needed_and_that_is_said_once(run):
    done = run("-c", COMPUTE)
    assert done.returncode == 0 and done.stdout == "(16,)\n", done.stderr
    assert done.stderr.count("NUMBA_CACHE_DIR") == done.stderr.count("RuntimeWarning") == 1


def test_a_missing_home_names_data_home_and_the_variable(run):
    script = "from minishatter.images import data\ntry: data.load_cifar10()\nexcept Exception as e: print(repr(e))"
    said = run("-W", "ignore", "-c", script).stdout
    if run.home is None:  # and the list of users knows none either
        assert said.startswith("ValueError('data_home must be given, or named in the variable MINISHATTER_DATA"), said
    else:
        assert said.startswith("FileNotFoundError") and "fetch_cifar10" in said, said


def test_a_checkout_that_cannot_be_written_is_refused_in_one_line(run):
    # Without a home matplotlib 3.7 must be told of a place for its settings; it need not be able to write there.
    told = {} if run("-c", "import matplotlib").returncode == 0 else {"MPLCONFIGDIR": "/proc/1/none"}
    for numbers in (["01"], ["01", "02"]):
        done = run("-W", "ignore", "-m", "tutorials", *numbers, "--quick", **told)
        assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
        last = done.stderr.splitlines()[-1]
        assert "figures" in last and "MINISHATTER_FIGURES" in last
