"""Claims and verdicts: what the paper says, what was measured, and whether they agree.

A tutorial opens one Report under its own name, makes a claim for each number
the paper states, and writes them; they become its section of
figures/REPLICATION.md. The rule for the verdict is fixed before looking:

    agrees          the predicted value lies in the measured interval, widened by the tolerance
                    (0, or the error of reading a figure by eye)
    agrees in kind  it does not, but the measured value is within `in_kind` of it
    differs         anything else

A claim about several points holds if it holds at each of them.
"""

import itertools
import os
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from . import arguments, files

VERDICTS = ("agrees", "agrees in kind", "differs")
LEVEL = 0.99  # of the intervals: with some hundred rows, about one true claim may still fall outside

ROOT = Path(__file__).resolve().parents[1]
# The repository's, wherever one works; the current folder's where the package is installed without the tutorials.
FIGURES = ROOT / "figures" if (ROOT / "tutorials" / "__main__.py").exists() else Path("figures")

PREAMBLE = f"""# REPLICATION

Balduzzi et al., *The Shattered Gradients Problem* (ICML 2017), checked claim by claim. Written by
`python -m tutorials`; do not edit. Each row is one claim: where it comes from, the predicted value, the
value measured here with its {LEVEL:.0%} interval, and a verdict by this rule, fixed before looking:

- **agrees**: the predicted value lies in the measured interval, widened by the tolerance (the error of
  reading a printed figure by eye; none for theorems);
- **agrees in kind**: it does not, but the measured value is within the distance in the column *in kind*;
- **differs**: anything else.

The rule is older than the numbers; not every choice in a row is. The in-kind widths of sections 03 and 11 were chosen
knowing earlier measurements, and in 05, 07, 09 and 10 what is measured or expected was refined after first runs (df/dn
for nets without BN; the centred gradients; the gain by depth; the fifth cure). A row about several points holds if it
holds at each of them.

*Margin* is how far the verdict is from tipping, relative to the widened interval. Sections 01-06, 11 and 12 came out the
same, to all digits shown, with two builds of BLAS, but for the two rows of section 12 that are about float32: their
values moved (0.42 to 0.46, 0.003 to 0.009), their verdicts did not.
"""
COLUMNS = ("Claim", "Source", "Predicted", "Measured", f"{LEVEL:.0%} interval", "Tolerance", "In kind", "Verdict",
           "Margin")


def quick():
    """Is this a quick run, at small sizes? (`python -m tutorials --quick` sets MINISHATTER_QUICK=1)"""
    return os.environ.get("MINISHATTER_QUICK", "") not in ("", "0")


def folder() -> Path:
    """Where figures and the table go: the variable MINISHATTER_FIGURES, else FIGURES, or quick/ in it if `quick()`."""
    named = os.environ.get("MINISHATTER_FIGURES")
    return Path(named) if named else FIGURES / ("quick" if quick() else "")


def verdict(predicted, interval, measured, tolerance=0.0, in_kind=0.0):
    """The verdict by the rule above, and its margin. All arrays of one shape, or numbers.

    The margin is the smallest change of a predicted value that would change the
    verdict, relative to the half-width of the widened interval.
    """
    predicted, measured, (low, high) = _row_of_numbers(predicted, measured, interval)
    low, high = low - arguments.number("tolerance", tolerance, 0.0), high + tolerance
    half = (high - low) / 2
    inside = _smallest(np.minimum(predicted - low, high - predicted), half)
    near = _smallest(in_kind - np.abs(measured - predicted), half)
    if inside >= 0:
        return "agrees", inside
    return ("agrees in kind", min(-inside, near)) if near >= 0 else ("differs", min(-inside, -near))


def _smallest(slack, half):
    """The smallest slack / half over the points; an exact value, half = 0, is infinitely far inside or outside."""
    exact = np.where(slack < 0, -np.inf, np.inf)
    return float(np.min(np.divide(slack, half, out=exact, where=half > 0)))


def _row_of_numbers(predicted, measured, interval):
    """The arrays of one row, of one shape, finite, and the interval around the measured value."""
    predicted, measured = arguments.array("predicted", predicted), arguments.array("measured", measured)
    if len(np.atleast_1d(interval)) != 2:
        raise ValueError(f"interval must be a pair (low, high), got {interval!r}")
    low, high = (arguments.array("interval", end) for end in interval)
    if not predicted.shape == measured.shape == low.shape == high.shape:
        raise ValueError("predicted, measured and interval must have one shape, got "
                         f"{predicted.shape}, {measured.shape}, {low.shape} and {high.shape}")
    if not ((low <= measured) & (measured <= high)).all():
        raise ValueError(f"interval must hold the measured value, got {interval} for {measured}")
    return predicted, measured, (low, high)


class Claim(NamedTuple):
    """One row of the table; numbers or arrays."""

    statement: str
    source: str
    predicted: np.ndarray
    measured: np.ndarray
    interval: tuple
    tolerance: float
    in_kind: float
    verdict: str
    margin: float

    def __str__(self):
        return (f"{self.verdict:<15}{self.statement}: predicted {_numbers(self.predicted)}, "
                f"measured {_numbers(self.measured)}")


class Report:
    """The claims of one tutorial, and the paths of what it writes.

    name: the script's own, such as "02_gradients_shatter". `figure` is the path of its PNG.
    """

    def __init__(self, name):
        self.name = str(name)
        if len(self.name) < 2 or not self.name[:2].isdigit():
            raise ValueError(f"name must start with the tutorial's two digits, got {name!r}")
        self.figure = folder() / f"{self.name}.png"
        self.claims = []

    def claim(self, statement, source, predicted, measured, interval, *, tolerance=0.0, in_kind=0.0):
        """Add a row and return it as a Claim.

        predicted, measured: numbers, or arrays of one shape; interval: (low, high) around
        measured, the measured value twice if it is exact. Raises ValueError on NaN and on
        an interval that does not hold the measured value.
        """
        predicted, measured, interval = _row_of_numbers(predicted, measured, interval)
        tolerance, in_kind = arguments.number("tolerance", tolerance, 0.0), arguments.number("in_kind", in_kind, 0.0)
        decided = verdict(predicted, interval, measured, tolerance, in_kind)
        claim = Claim(statement, source, predicted, measured, interval, tolerance, in_kind, *decided)
        self.claims.append(claim)
        return claim

    def write(self, notes=""):
        """Put the claims, and `notes` in Markdown below them, into their section of the table; returns its path."""
        if "\n## " in f"\n{notes}":
            raise ValueError("notes must not hold a heading of level 2, which would begin another section")
        text = "\n".join([_table(COLUMNS, map(_row, self.claims)), *([notes] if notes else [])])
        return _update({self.name.replace("_", " "): text})


def merge(path):
    """Put the sections of another REPLICATION.md into the one in `folder()`; returns the path of the latter."""
    sections = _sections(Path(path).read_text(encoding="utf-8"))
    if not sections:
        raise ValueError(f"path must be a table of claims, got {path}, which has no section of a tutorial")
    return _update(sections)


def _update(changed):
    """Replace or add sections {title: text}; the other sections stay. The file is written whole or not at all."""
    path = folder() / "REPLICATION.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.alone(path.parent):  # another run may be about to add its own
        old = _sections(path.read_text(encoding="utf-8")) if path.exists() else {}
        sections = dict(sorted((old | changed).items()))
        body = "\n".join(f"## {title}\n\n{text.strip()}\n" for title, text in sections.items())
        files.write(path, f"{PREAMBLE}\n{_summary(sections)}\n{body}".encode())
    return path


def progress(label):
    """A wrapper for an iterable of known length: a tqdm bar if installed, else a line per quarter, on stderr."""
    try:
        from tqdm import tqdm
    except ImportError:
        return lambda items: _count(items, label)
    return lambda items: tqdm(items, desc=label, leave=False)


def _count(items, label):
    total = len(items)
    marks = {-(-total * quarter // 4) for quarter in range(1, 5)}
    for done, item in enumerate(items, start=1):
        yield item
        if done in marks:
            sys.stderr.write(f"{label}: {done}/{total}\n")


def _sections(text):
    """The sections of a REPLICATION.md: {title: text below it}."""
    parts = text.split("\n## ")[1:]
    return {title: body for title, _, body in (part.partition("\n") for part in parts) if title[:2].isdigit()}


def _summary(sections):
    counts = {title: [text.count(f"| **{name}** |") for name in VERDICTS] for title, text in sections.items()}
    total = [sum(column) for column in zip(*counts.values())]
    rows = itertools.chain(counts.items(), [("**all**", total)])
    return "## Summary\n\n" + _table(("Section", *VERDICTS), ([title, *map(str, row)] for title, row in rows))


def _table(columns, rows):
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |" for cells in lines) + "\n"


def _row(claim):
    low, high = claim.interval
    exact = np.array_equal(low, high)
    interval = "exact" if exact else "; ".join(f"[{_number(a)}, {_number(b)}]" for a, b in zip(low.flat, high.flat))
    return [claim.statement, claim.source, _numbers(claim.predicted), _numbers(claim.measured), interval,
            _number(claim.tolerance), _number(claim.in_kind), f"**{claim.verdict}**", f"{claim.margin:.2g}"]


def _numbers(values):
    return "; ".join(map(_number, np.atleast_1d(values).flat))


def _number(value):
    return f"{float(value):.3g}"
