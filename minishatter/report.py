"""Claims and verdicts: what the paper says, what was measured, and whether they agree.

A tutorial opens one Report under its own name, makes a claim for each number
that is stated, and writes them; they become its sections of figures/REPLICATION.md,
in the first part if the paper states them. The rule for the verdict is fixed before looking:

    agrees          the predicted value lies in the measured interval, widened by the tolerance
                    (0, or the error of reading a figure by eye)
    agrees in kind  it does not, but the measured value is within `in_kind` of it
    differs         anything else

A claim about several points holds if it holds at each of them.
"""

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from . import arguments, files
from .intervals import Interval
from .running import folder

Numbers = float | Sequence | np.ndarray
VERDICTS = ("agrees", "agrees in kind", "differs")
PARTS = ("The paper", "Beyond the paper")
LEVEL = 0.99  # of the intervals: with some hundred rows, about one true claim may still fall outside

PREAMBLE = f"""# REPLICATION

Balduzzi et al., *The Shattered Gradients Problem* (ICML 2017), checked claim by claim. Written by
`python -m tutorials`; do not edit. The first part is about the paper: a figure, a theorem or a sentence of it. The
second goes beyond it: what is derived here, or stated by others. Each row is one claim: where it comes from, the
predicted value, the value measured here with its {LEVEL:.0%} interval, and a verdict by a rule that was fixed before
looking:

- **agrees**: the predicted value lies in the measured interval, widened by the tolerance. For a figure that was read
  by eye this is the reading error, together with the standard error of a mean if the figure shows means over nets; for
  theorems it is 0;
- **agrees in kind**: it does not, but the measured value is within the distance in the column *in kind*;
- **differs**: anything else.

The rule is older than the numbers; not every choice in a row is. How the nets of section 03 count depth was found by a
search that is shown there. The in-kind widths of 05 and 06 (a quarter, a half), of 11 and of 19 were chosen knowing
earlier measurements; in 05, 10 and 12 the numbers of nets were lowered after a full run, to save time; and in 05, 07,
09, 10, 13, 15, 16 and 17 what is measured or expected was refined after first runs (df/dn for nets without BN; the
centred gradients; the gain by depth; the fifth cure; where the variance of pre-norm starts; the law of integrated
gradients; two rows about the width; a geometric mean of errors, and the rates that are tried). A row about several
points holds if it holds at each of them; where these are depths, they share seeds, so that they are not as many
independent trials.

*Margin* is how far the verdict is from tipping, relative to the widened interval.
"""
COLUMNS = ("Claim", "Source", "Predicted", "Measured", f"{LEVEL:.0%} interval", "Tolerance", "In kind", "Verdict",
           "Margin")


def figure_tolerance(samples: np.ndarray, reading: float, runs: int) -> np.ndarray:
    """The tolerance of a row that compares with a printed figure of means over `runs` nets: samples (n, ...) -> (...).

    sqrt(reading^2 + s^2 / runs): the figure was read to within `reading`, and the means in it have a standard
    error of their own, taken from the spread s of our n nets.

    >>> figure_tolerance(np.array([[0.1], [0.2], [0.3]]), reading=0.02, runs=20).round(3)  # s = 0.1
    array([0.03])
    """
    samples, runs = arguments.array("samples", samples), arguments.integer("runs", runs)
    if len(np.atleast_1d(samples)) < 2:
        raise ValueError(f"samples must have at least 2 entries along the first axis, got shape {samples.shape}")
    return np.hypot(arguments.number("reading", reading, 0.0), samples.std(axis=0, ddof=1) / np.sqrt(runs))


def verdict(predicted: Numbers, measured: Interval | Numbers, tolerance: Numbers = 0.0,
            in_kind: float = 0.0) -> tuple[str, float]:
    """The verdict by the rule above, and its margin; arguments as in `Report.claim`.

    The margin is the smallest change of a predicted value that would change the
    verdict, relative to the half-width of the widened interval.

    >>> verdict(3.5, Interval(2.0, 1.0, 3.0), tolerance=1.0)  # [0, 4] holds 3.5, and half a unit more is a quarter
    ('agrees', 0.25)
    """
    row = _row_of_numbers(predicted, measured, tolerance)
    return _verdict(*row, arguments.number("in_kind", in_kind, 0.0))


def _verdict(predicted: np.ndarray, measured: Interval, tolerance: np.ndarray, in_kind: float) -> tuple[str, float]:
    value, low, high = measured
    low, high = low - tolerance, high + tolerance
    half = (high - low) / 2
    inside = _smallest(np.minimum(predicted - low, high - predicted), half)
    near = _smallest(in_kind - np.abs(value - predicted), half)
    if inside >= 0:
        return "agrees", inside
    return ("agrees in kind", min(-inside, near)) if near >= 0 else ("differs", min(-inside, -near))


def _smallest(slack, half):
    """The smallest slack / half over the points; an exact value, half = 0, is infinitely far inside or outside."""
    exact = np.where(slack < 0, -np.inf, np.inf)
    return float(np.min(np.where(half > 0, slack / np.where(half > 0, half, 1.0), exact)))


def _row_of_numbers(predicted: Numbers, measured: Interval | Numbers,
                    tolerance: Numbers) -> tuple[np.ndarray, Interval, np.ndarray]:
    """What one row predicts, its Interval and its tolerance: finite arrays of one shape; the tolerance may be one."""
    predicted, measured = arguments.array("predicted", predicted), _interval(measured)
    if not predicted.shape == measured.value.shape == measured.low.shape == measured.high.shape:
        raise ValueError("predicted and measured must have one shape, got "
                         f"{predicted.shape} and {', '.join(str(part.shape) for part in measured)}")
    if not ((measured.low <= measured.value) & (measured.value <= measured.high)).all():
        raise ValueError(f"measured must lie in its interval, got {measured}")
    tolerance = arguments.array("tolerance", tolerance)
    if tolerance.shape not in ((), predicted.shape) or not (tolerance >= 0).all():
        raise ValueError(f"tolerance must be a number >= 0, or one for each prediction, got {tolerance}")
    return predicted, measured, tolerance


def _interval(measured: Interval | Numbers) -> Interval:
    """One Interval of arrays, from an Interval, from a list of them, or from exact numbers."""
    parts: Iterable = (measured,) * 3
    if isinstance(measured, Interval):
        parts = measured
    elif isinstance(measured, (list, tuple)) and measured and all(isinstance(part, Interval) for part in measured):
        parts = zip(*measured)
    return Interval(*(arguments.array("measured", part) for part in parts))


class Claim(NamedTuple):
    """One row of the table; numbers or arrays."""

    statement: str
    source: str
    predicted: np.ndarray
    measured: Interval
    tolerance: np.ndarray
    in_kind: float
    beyond: bool
    verdict: str
    margin: float

    def __str__(self) -> str:
        return (f"{self.verdict:<15}{self.statement}: predicted {_numbers(self.predicted)}, "
                f"measured {_numbers(self.measured.value)}")


class Report:
    """The claims of one tutorial, and the paths of what it writes.

    name: the script's own, such as "02_gradients_shatter". `figure` is the path of its PNG.
    """

    def __init__(self, name: str):
        self.name = str(name)
        if len(self.name) < 2 or not self.name[:2].isdigit():
            raise ValueError(f"name must start with the tutorial's two digits, got {name!r}")
        self.figure = folder() / f"{self.name}.png"
        self.claims: list[Claim] = []

    def claim(self, statement: str, source: str, predicted: Numbers, measured: Interval | Numbers, *,
              tolerance: Numbers = 0.0, in_kind: float = 0.0, beyond: bool = False) -> Claim:
        """Add a row and return it as a Claim.

        predicted: a number or an array. measured: an Interval as it is, or one for each prediction, or the
        exact number or array. tolerance: one, or one for each prediction; see `figure_tolerance`.
        beyond: the paper does not state it. Raises ValueError on NaN, and if the interval does not hold its value.
        """
        row, in_kind = _row_of_numbers(predicted, measured, tolerance), arguments.number("in_kind", in_kind, 0.0)
        claim = Claim(statement, source, *row, in_kind, bool(beyond), *_verdict(*row, in_kind))
        self.claims.append(claim)
        return claim

    def write(self, notes: str = "", *, beyond: bool = False) -> Path:
        """Put the claims into their sections of the table, and `notes` in Markdown below those of one part.

        Returns the table's path. beyond: the notes go below the claims of the second part.
        """
        if any(heading in f"\n{notes}" for heading in ("\n# ", "\n## ")):
            raise ValueError("notes must not hold a heading of level 1 or 2, which would begin another section")
        sections = {}
        for second, part in enumerate(PARTS):
            claims = [claim for claim in self.claims if claim.beyond == second]
            below = [notes] if notes and beyond == second else []
            if claims or below:
                table = [_table(COLUMNS, map(_row, claims))] if claims else []
                sections[part, self.name.replace("_", " ")] = "\n".join(table + below)
        return _update(sections)


def merge(path: str | Path) -> Path:
    """Put the sections of another REPLICATION.md into the one in `folder()`; returns the path of the latter."""
    sections = _sections(Path(path).read_text(encoding="utf-8"))
    if not sections:
        raise ValueError(f"path must be a table of claims, got {path}, which has no section of a tutorial")
    return _update(sections)


def _update(changed):
    """Replace all sections of some tutorials by {(part, title): text}. The file is written whole or not at all."""
    path = folder() / "REPLICATION.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.alone(path.parent):  # another run may be about to add its own
        old = _sections(path.read_text(encoding="utf-8")) if path.exists() else {}
        titles = {title for _, title in changed}
        sections = sorted(({key: text for key, text in old.items() if key[1] not in titles} | changed).items())
        text = PREAMBLE
        for part in PARTS:
            below = {title: section for (own, title), section in sections if own == part}
            body = "\n".join(f"## {title}\n\n{section.strip()}\n" for title, section in below.items())
            text += f"\n# {part}\n\n{_summary(below)}\n{body}"
        files.write(path, text.encode())
    return path


def _sections(text):
    """The sections of a REPLICATION.md: {(part, title): text below it}."""
    sections = {}
    for part in PARTS:
        body = text.partition(f"\n# {part}\n")[2].partition("\n# ")[0]
        for title, _, below in (section.partition("\n") for section in body.split("\n## ")):
            if title[:2].isdigit():
                sections[part, title] = below
    return sections


def _summary(sections):
    counts = {title: [text.count(f"| **{name}** |") for name in VERDICTS] for title, text in sections.items()}
    total = [sum(column) for column in zip(*counts.values())] or [0] * len(VERDICTS)
    rows = itertools.chain(counts.items(), [("**all**", total)])
    return "## Summary\n\n" + _table(("Section", *VERDICTS), ([title, *map(str, row)] for title, row in rows))


def _table(columns, rows):
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |" for cells in lines) + "\n"


def _row(claim):
    value, low, high = claim.measured
    exact = np.array_equal(low, high)
    interval = "exact" if exact else "; ".join(f"[{_number(a)}, {_number(b)}]" for a, b in zip(low.flat, high.flat))
    return [claim.statement, claim.source, _numbers(claim.predicted), _numbers(value), interval,
            _numbers(claim.tolerance), _number(claim.in_kind), f"**{claim.verdict}**", f"{claim.margin:.2g}"]


def _numbers(values):
    return "; ".join(map(_number, np.atleast_1d(values).flat))


def _number(value):
    return f"{float(value):.3g}"
