"""Educational value: teaching code ranks above boilerplate, repeatably, with noise in one label of ten."""

from __future__ import annotations

import pytest
from textbookgen_procedural.educational_value import code_features, rate_text

LESSON = '''
def running_mean(values: list[float], width: int) -> list[float]:
    """Return the mean of every window of the given width."""
    means = []
    for start in range(len(values) - width + 1):
        means.append(sum(values[start : start + width]) / width)
    return means


def count_words(text: str) -> dict[str, int]:
    """Count how often each word occurs."""
    counts: dict[str, int] = {}
    for word in text.split():
        counts[word] = counts.get(word, 0) + 1
    return counts
'''
CONSTANTS = "A = 1\nB = 'x'\nPATHS = ['a', 'b']\nLIMITS = {'low': 1, 'high': 9}\n"
WINDOW = """import tkinter

def show(n):
    root = tkinter.Tk()
    for i in range(n):
        root.title(str(i + 1))
    return n * 2
"""
TESTS = "import unittest\n\nclass T(unittest.TestCase):\n    def test_it(self):\n        self.assertEqual(1 + 1, 2)\n"


def scores(text: str) -> list[int]:
    """Return the scores of a text with different comments, which differ by noise only."""
    return [int(rate_text(f"{text}\n# {n}\n").rpartition("score: ")[2]) for n in range(60)]


def median(text: str) -> int:
    return sorted(scores(text))[30]


def test_lessons_score_above_boilerplate():
    assert median(LESSON) == 5
    assert median(CONSTANTS) <= 1
    assert median(WINDOW) <= 1
    assert median(TESTS) <= 1


def test_undocumented_functions_score_lower():
    bare = LESSON.replace('"""Return the mean of every window of the given width."""', "").replace(
        '"""Count how often each word occurs."""', ""
    )
    assert median(bare) < median(LESSON)


def test_about_one_label_in_ten_is_a_point_off():
    noisy = scores(LESSON.replace("-> list[float]", "").replace("-> dict[str, int]", ""))
    off = sum(score != sorted(noisy)[30] for score in noisy)
    assert 1 <= off <= 15
    assert max(noisy) - min(noisy) <= 2


@pytest.mark.parametrize("text", ["", "def (", "\x00", "x" * 5000, "\ud800", "pass", LESSON[:300], "# only a comment"])
def test_any_text_gets_a_score_on_the_last_line(text):
    last = rate_text(text).splitlines()[-1]
    assert last.startswith("score: ") and 0 <= int(last.removeprefix("score: ")) <= 5


def test_a_truncated_text_is_read_up_to_its_last_complete_statement():
    features = code_features(LESSON[: LESSON.index("counts[word] =") + 14])
    assert features is not None and features.functions == 2  # the second one up to its `for`


METHOD = '''
    def area_{n}(self, width: float, height: float) -> float:
        """Return the area of a rectangle of this width and height."""
        return width * height if width > 0 else 0.0
'''


def test_a_class_that_is_longer_than_what_is_read_is_rated_by_its_beginning():
    methods = "".join(METHOD.format(n=n) for n in range(200))
    text = f'"""Shapes."""\n\n\nclass Shapes:\n    """Areas of shapes."""\n{methods}'
    features = code_features(text)
    assert features is not None and features.functions > 20
    assert median(text) >= 4


def test_what_comes_after_8000_characters_does_not_count():
    filler = "".join(f"LIMIT_{n} = {n}\n" for n in range(1_000))
    assert len(filler) > 8_000
    assert median(filler + LESSON) == median(filler) <= 1


@pytest.mark.parametrize("text", ["import os\n\ndef f(x):\n    print x\n", "def f(:\n    return 1\n\ndef g():\n    return\n"])
def test_code_that_does_not_parse_is_not_rated_as_prose(text):
    assert median(text) == 0


PROSE = (
    "A tide is the rise and fall of the sea, because the moon attracts the water that is nearer to it more strongly. "
    "The difference of the levels is called the tidal range. For example, in a narrow bay the water is pushed together, "
    "so that the range is larger. "
)
NOTICE = "Click here to accept. Please log in first. Thank you for your patience. You can now close this window. " * 3


def test_prose_that_explains_scores_above_prose_that_does_not():
    def prose_scores(text):
        return sorted(int(rate_text(f"{text} {n}.").rpartition("score: ")[2]) for n in range(60))[30]

    assert prose_scores(PROSE) == 5
    assert prose_scores(NOTICE) <= 2
    assert prose_scores("alpha beta gamma delta " * 50) == 0


def test_the_task_reads_the_document(ask):
    assert ask("educational-value", {"document": {"text": LESSON}}).splitlines()[-1].startswith("score: ")
