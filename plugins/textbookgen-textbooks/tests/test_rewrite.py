"""Rewrites: one per style, and only those that keep the numbers of the passage."""

from __future__ import annotations

import pytest
from textbookgen_textbooks.rewrite import Rewrite, share_of_numbers_kept

from textbookgen.api.errors import UnusableReply

PASSAGE = "In 1969 a crew of 3 flew 384,400 km to the Moon and back in 8 days."
DRAW = {"document": {"id": "d", "text": PASSAGE, "kind": "page"}}


def test_every_style_is_one_document(runner):
    stage = Rewrite(teacher="author", inputs="excerpts")
    rows = runner.run(stage, DRAW, lambda task, draw: f"{draw['style']} for {draw['audience']}: {PASSAGE}")
    assert [row["textbooks.style"] for row in rows] == ["exercise", "discussion", "reasoning", "tutorial"]
    assert rows[1]["text"] == f"discussion for a first-year university student: {PASSAGE}\n"
    prompts = runner.teacher.prompts("rewrite")
    assert len(set(prompts)) == 4
    assert all(PASSAGE in prompt for prompt in prompts)
    assert "between two people" in prompts[1]


def test_a_drawn_audience_takes_precedence(runner):
    stage = Rewrite(teacher="author", inputs="excerpts", sampler="readers", styles=("tutorial",))
    runner.run(stage, {**DRAW, "audience": "a pilot"}, lambda task, draw: PASSAGE)
    assert "Audience: a pilot" in runner.teacher.prompts("rewrite")[0]


def test_rewrites_that_lose_numbers_are_left_out(runner):
    replies = {
        "exercise": PASSAGE,
        "discussion": "They flew to the Moon in 1969.",
        "reasoning": "",
        "tutorial": PASSAGE.replace(",", ""),
    }
    rows = runner.run(Rewrite(teacher="author", inputs="excerpts"), DRAW, lambda task, draw: replies[draw["style"]])
    assert [row["textbooks.style"] for row in rows] == ["exercise", "tutorial"]
    discussion = Rewrite(teacher="author", inputs="excerpts", styles=("discussion",))
    with pytest.raises(UnusableReply, match="kept the numbers"):
        runner.run(discussion, DRAW, lambda task, draw: "Moon.")
    loose = discussion.model_copy(update={"min_numbers_kept": 0.25})
    assert runner.run(loose, DRAW, lambda task, draw: replies["discussion"])


@pytest.mark.parametrize("reply", [PASSAGE, f"Here is the tutorial:\n\n{PASSAGE}", f"```md\n{PASSAGE}\n```"])
def test_replies_are_read_in_the_styles_of_real_models(runner, reply: str):
    (row,) = runner.run(Rewrite(teacher="author", inputs="x", styles=("tutorial",)), DRAW, lambda task, draw: reply)
    assert row["text"] == f"{PASSAGE}\n"


def test_share_of_numbers_kept():
    assert share_of_numbers_kept(PASSAGE, "1969, 3 and 384400") == 0.75
    assert share_of_numbers_kept("No numbers.", "None.") == 1.0
    assert share_of_numbers_kept("3 and 3", "33") == 0.0
