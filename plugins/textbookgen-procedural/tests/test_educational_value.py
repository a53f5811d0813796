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
    assert features is not None and features.functions == 1


def test_the_task_reads_the_document(ask):
    assert ask("educational-value", {"document": {"text": LESSON}}).splitlines()[-1].startswith("score: ")
