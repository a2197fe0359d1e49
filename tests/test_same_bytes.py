"""Every kernel gives the same bytes in the process that compiles it and in those that load it from numba's cache."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import every_kernel

ROOT = Path(__file__).resolve().parent.parent


def run(cache):
    env = os.environ | {"NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.every_kernel"]
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT", "0") != "0", reason="nothing is compiled")
def test_a_cold_cache_and_a_warm_one_give_the_same_bytes(tmp_path):
    cold, warm = run(tmp_path)["sums"], run(tmp_path)["sums"]
    assert len(cold) == 60 and [name for name in cold if cold[name] != warm[name]] == []


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT", "0") != "0", reason="nothing is compiled")
def test_no_kernel_is_left_out(tmp_path):
    """From a cold cache: after all of them have run, each has been compiled; none leaves the order of a sum open."""
    kernels = every_kernel.compiled()
    assert len(kernels) > 15 and run(tmp_path)["never called"] == []
    flags = {kernel.__name__: kernel.targetoptions.get("fastmath") or set() for kernel in kernels}
    assert [name for name, chosen in flags.items() if chosen is True or {"reassoc", "arcp"} & set(chosen)] == []
