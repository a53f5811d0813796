"""Which replies `quality/annotate` accepts, and the scores it reads from them."""

from __future__ import annotations

import pytest
from textbookgen_quality.annotate import QualityAnnotator

from textbookgen.api.errors import UnusableReply
from textbookgen.api.teacher import Reply

DOCUMENT = {"id": "d1", "text": "def f(): ...", "kind": "code", "parents": []}


def read(text: str) -> list[dict[str, object]]:
    return list(QualityAnnotator(teacher="author", inputs=("web",), sample=10).parse({"document": DOCUMENT}, Reply(text)))


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ("It is short.\nscore: 3", 3.0),
        ("score: 1 would be too hard.\nScore: 2\n", 2.0),
        ("**Educational score: 4/5**", 4.0),
        ("- Score = 4.5.", 4.5),
        ("score: 0", 0.0),
        ("First I thought\nscore: 5\nbut no:\n\nscore: 1", 1.0),
    ],
)
def test_the_last_score_line_counts(reply: str, score: float) -> None:
    assert read(reply) == [{"text": "def f(): ...", "kind": "code", "quality.score": score, "quality.source": "d1"}]


@pytest.mark.parametrize(
    "reply", ["", "It deserves a score of 4.", "score: 7", "score: 8/10", "score: high", "score: 4 or 5", "score: -1"]
)
def test_other_replies_are_unusable(reply: str) -> None:
    with pytest.raises(UnusableReply):
        read(reply)
