"""What the suite leaves out, and where; and where it keeps what is compiled if the checkout is not its own to write."""

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

CHILD = ["minishatter/coursework/jail.py"]  # imports its neighbours by name, as child.py lays them out; no doctests
# The grader's sandbox is Linux's, one benchmark asks POSIX.
GRADER = ["minishatter/coursework/*", "tests/*coursework*", "tests/container.py", "tests/mutants.py", "tests/tried.py"]
MEMORY = ["tests/benchmarks/training.py"]  # measured by the module `resource`, which Windows has not

collect_ignore_glob = CHILD + (GRADER if sys.platform != "linux" else []) + (MEMORY if os.name == "nt" else [])

# In another user's checkout every started Python would compile anew, and say so: one folder for all of a run instead.
if not os.access(Path(__file__).parent / "minishatter", os.W_OK):
    for variable in {"NUMBA_CACHE_DIR", "MPLCONFIGDIR"} - set(os.environ):  # the workers of a run get them from it
        os.environ[variable] = folder = tempfile.mkdtemp(prefix="minishatter_")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
