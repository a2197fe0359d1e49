"""The page of questions says what the lessons measure: each decimal of an answer is in its row of REPLICATION.md."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = " ".join((ROOT / "tutorials" / "QUESTIONS.md").read_text(encoding="utf-8").split())
TABLE = (ROOT / "figures" / "REPLICATION.md").read_text(encoding="utf-8")

NORMS = {"activity 0.25": ("plain | BN, held", 4), "neighbours (autocorrelation 0.00": ("plain | BN, held", 2),
         "grow by 1.45": ("plain | BN, held", 5), "correlation of 0.68": ("resnet | BN, pre", 2),
         "growth is 1.06": ("resnet | BN, pre", 5), "correlation (0.79": ("plain | LayerNorm, before", 1),
         "24 layers, 0.54": ("plain | LayerNorm, before", 2), "any norm 0.87": ("plain | none", 1),
         "and 0.77": ("plain | none", 2), "does (-0.04": ("plain | LayerNorm, behind", 1),
         "there has 0.68": ("resnet | BN, pre", 2), "skip too, -0.02": ("resnet | BN, post", 2)}
ZERO_SUM = "Theorem 1, real nets, weights add up to 0: correlation"
ROWS = {  # what stands on the page, up to a number: (lesson, how the row begins, column, which number of that cell)
    **{phrase: ("13", row, column, 0) for phrase, (row, column) in NORMS.items()},
    "correlations of 0.252": ("05", ZERO_SUM, 3, 0), "layers and 0.0647": ("05", ZERO_SUM, 3, 1),
    "keeps more, 0.307": ("05", "real nets, plain: correlation", 3, 0),
    "and 0.144": ("05", "real nets, plain: correlation", 3, 1),
    "average (0.0005": ("16", "BN | 50", 1, 0),
    "error of 3.64": ("16", "error between the training points, BN, 50 layers", 3, 0),
    "weights they are 0.64": ("16", "looks-linear | 50", 1, 0),
    "Neither. At 0.488": ("04", "without BN: co-active", 3, 0),
    "linear map; at 0.255": ("04", "with BN: co-active", 3, 0),
    "plain net's, by 0.145": ("05", "real nets, resnet: correlation", 3, 2),
    "instead of 0.0448": ("05", "real nets, plain: correlation", 3, 2),
    "R stays at 0.637": ("14", "branches 1/sqrt L |", 2, 0),
    "gradient within 0.003": ("07", "feedforward, 24 layers |", 1, 0),
    "a resnet within 0.12": ("07", "resnet, 24 layers |", 1, 0),
    "length xi, 0.428": ("15", "1 |", 1, 0), "is kept, and 1.34": ("15", "1 |", 2, 0),
    "4 xi it is 0.137": ("15", "4 |", 1, 0), "keeps 0.770": ("15", "0.25 |", 1, 0), "and 6.30": ("15", "4 |", 2, 0),
    "one layer 10.6": ("17", "centred | 1 |", 1, 0), "which shatter, 1.29": ("17", "centred | 24 |", 1, 0),
    "nothing either (0.853": ("17", "centred | 4 |", 1, 0),
    "ends at 0.00161": ("17", "ReLU + BN |", 4, 0), "from the 0.000922": ("17", "ReLU + BN |", 3, 0),
    "last 0.143": ("17", "resnet |", 4, 0), "instead of 0.0688": ("17", "resnet |", 3, 0),
    "exponent of -0.94": ("09", "largest rate that learns, CReLU, LL", 3, 0)}
CLASSES = "exactly 0.1."  # of ten, none of which a net prefers


def row(lesson, start):
    """The cells of the first row of a lesson's sections that begins like this; those of two-word names as one."""
    sections = re.findall(rf"^## {lesson} .*?(?=^## |^# |\Z)", TABLE, re.MULTILINE | re.DOTALL)
    line = next(line for section in sections for line in section.splitlines() if line.startswith(f"| {start}"))
    cells = [cell.strip() for cell in line.strip("| ").split("|")]
    names = start.rstrip("| ").count("|")
    return [" | ".join(cells[:names + 1]), *cells[names + 1:]]


@pytest.mark.parametrize("phrase", ROWS)
def test_an_answer_says_what_was_measured(phrase):
    lesson, start, column, which = ROWS[phrase]
    assert re.search(re.escape(phrase) + r"(?![\d])", PAGE), "not on the page"
    said = phrase.split()[-1].lstrip("(")
    found = float(re.findall(r"-?\d[\d.e+-]*", row(lesson, start)[column].partition(" [")[0])[which])
    assert abs(found - float(said)) <= 0.5001 * 10.0**-len(said.partition(".")[2])


def test_each_decimal_of_the_page_is_compared():
    rest = PAGE.replace(CLASSES, "")
    for phrase in sorted(ROWS, key=len, reverse=True):
        rest = re.sub(re.escape(phrase) + r"(?!\d)", phrase[:phrase.rindex(" ")].replace(".", ""), rest)
    assert re.findall(r"\d\.\d+", rest) == []
