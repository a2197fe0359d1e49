"""The page of questions says what the lessons measure: each decimal of an answer stands in a lesson that it links."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "tutorials" / "QUESTIONS.md").read_text(encoding="utf-8")
TABLE = (ROOT / "figures" / "REPLICATION.md").read_text(encoding="utf-8")
ANSWERS = [paragraph for paragraph in PAGE.split("\n\n") if paragraph.startswith("**")]


def measured(lesson):
    """All that a lesson says, and its sections of the table."""
    number = lesson[:2]
    sections = re.findall(rf"^## {number} .*?(?=^#|\Z)", TABLE, re.MULTILINE | re.DOTALL)
    return "".join([(ROOT / "tutorials" / lesson).read_text(encoding="utf-8"), *sections])


def numbers(text):
    return set(re.findall(r"(?<![\w.])-?\d+\.\d+(?![\w])", text))


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: re.match(r"\*\*(.*?)\*\*", answer)[1])
def test_the_numbers_of_an_answer_are_those_of_its_lessons(answer):
    lessons = re.findall(r"\]\((\d\d_\w+\.py)\)", answer)
    said = "".join(map(measured, lessons))
    assert numbers(answer) - numbers(said) - {"0.1"} == set()  # 0.1 is one class of ten


def test_a_number_that_no_lesson_has_is_found():
    assert numbers("keeps 0.123 of it, or -4.56.") == {"0.123", "-4.56"}
    assert "0.123456" not in numbers(measured("13_which_normalisation.py"))


def test_there_are_answers_with_numbers():
    assert len(ANSWERS) >= 10 and sum(bool(numbers(answer)) for answer in ANSWERS) >= 9
