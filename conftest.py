"""What the suite leaves out where a system lacks it: the grader's sandbox is Linux's, one benchmark asks POSIX."""

import os
import sys

GRADER = ["minishatter/coursework/*", "tests/*coursework*", "tests/container.py", "tests/mutants.py", "tests/tried.py"]
MEMORY = ["tests/benchmarks/training.py"]  # measured by the module `resource`, which Windows has not

collect_ignore_glob = (GRADER if sys.platform != "linux" else []) + (MEMORY if os.name == "nt" else [])
