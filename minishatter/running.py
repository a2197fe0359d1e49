"""How a script runs: at which size, where its results go, and how far it is.

The runner, `python -m tutorials`, tells a tutorial by environment variables, so that each is a script of its own.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# The repository's, wherever one works; the current folder's where the package is installed without the tutorials.
FIGURES = ROOT / "figures" if (ROOT / "tutorials" / "__main__.py").exists() else Path("figures")


def quick() -> bool:
    """Is this a quick run, at small sizes? (`python -m tutorials --quick` sets MINISHATTER_QUICK=1)"""
    return os.environ.get("MINISHATTER_QUICK", "") not in ("", "0")


def folder() -> Path:
    """Where figures and the table go: the variable MINISHATTER_FIGURES, else FIGURES, or quick/ in it if `quick()`."""
    named = os.environ.get("MINISHATTER_FIGURES")
    return Path(named) if named else FIGURES / ("quick" if quick() else "")


def progress(label: str) -> Callable[[Iterable], Iterable]:
    """A wrapper for an iterable of known length: a tqdm bar if installed, else a line per quarter, on stderr."""
    try:
        from tqdm import tqdm
    except ImportError:
        return lambda items: _count(items, label)
    return lambda items: tqdm(items, desc=label, leave=False)


def _count(items: Any, label: str) -> Iterator:
    total = len(items)
    marks = {-(-total * quarter // 4) for quarter in range(1, 5)}
    for done, item in enumerate(items, start=1):
        yield item
        if done in marks:
            sys.stderr.write(f"{label}: {done}/{total}\n")
