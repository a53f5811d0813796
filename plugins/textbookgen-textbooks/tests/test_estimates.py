"""Cost estimates are upper bounds: no document takes more requests than its generator states."""

from __future__ import annotations

import pytest
from textbookgen_textbooks.attempts import Attempts
from textbookgen_textbooks.conversation import Conversation
from textbookgen_textbooks.fill_in_the_middle import FillInTheMiddle
from textbookgen_textbooks.instruction_reversal import InstructionReversal
from textbookgen_textbooks.majority_vote import MajorityVote
from textbookgen_textbooks.refusals import RefusalChats, RefusalPairs
from textbookgen_textbooks.rewrite import Rewrite
from textbookgen_textbooks.self_revision import SelfRevision
from textbookgen_textbooks.taxonomy import Taxonomy

from textbookgen.api.errors import UnusableReply
from textbookgen.api.stage import Estimate

TEXT = "Tom had a boat. The wind was strong that day. He let the boat go on the lake. It sank. Everybody was sad for him."


def worst(task: str, draw: dict, sample: int | None = None) -> object:
    """Never satisfied, and never refusing."""
    match task:
        case "critique":
            return {"assessments": [{"criterion": each, "score": 1, "suggestion": ""} for each in draw["criteria"]]}
        case "grade-guess":
            return {"grade": 3, "hint": "no"}
        case "fill-in-the-middle":
            return "GUESS: no"
        case "taxonomy":
            return {"names": [f"n{n}" for n in range(99)]}
        case "check-answer":
            return {"verdict": "incorrect"}
        case "bogus-question":
            return {"question": "Bogus?", "plausibility": 5}
        case "conversation-user":
            return f"Question {len(draw['turns'])}?"
        case _:
            return f"x = {sample}\nANSWER: {sample}"


ATTEMPTS = {"textbooks.answer": "Ann", "textbooks.attempts": ["a", "b", "c", "d", "e"]}


@pytest.mark.parametrize(
    ("stage", "columns"),
    [
        (MajorityVote(teacher="t", inputs="x", samples=7), {}),
        (FillInTheMiddle(teacher="t", inputs="x", max_attempts=3), {}),
        (InstructionReversal(teacher="t", inputs="x", samples=4), {"text": "x = 1"}),
        (Rewrite(teacher="t", inputs="x"), {}),
        (
            SelfRevision(
                teacher="t", inputs="x", max_rounds=2, documents_are="source", prompt="phi4/deduction.md.j2", keep_unmet=True
            ),
            {},
        ),
        (Conversation(teacher="t", inputs="x", turns=(4, 4), max_rounds=0), {}),
        (Conversation(teacher="t", inputs="x", turns=(2, 2), max_rounds=2), {}),
        (Taxonomy(teacher="t", count=1, subjects=3, sessions=2, concepts=4), {}),
        (Attempts(teacher="t", inputs="x", samples=6), {}),
        (RefusalChats(teacher="t", inputs="x"), ATTEMPTS),
        (RefusalPairs(teacher="t", inputs="x"), ATTEMPTS),
    ],
    ids=lambda value: type(value).__name__,
)
def test_requests_and_documents_are_bounded(runner, stage, columns: dict):
    draw = {"discipline": "law"} if isinstance(stage, Taxonomy) else {"document": {"id": "d", "text": TEXT, **columns}}
    try:
        rows = runner.run(stage, draw, worst)
    except UnusableReply:
        rows = []
    assert len(runner.teacher.requests) == stage.max_requests()
    assert len(rows) <= stage.max_documents()


def test_estimates_follow_from_the_input():
    stage = MajorityVote(teacher="t", inputs="x", samples=8, reply_tokens=100)
    assert stage.estimate({"from": Estimate(10, 2_000)}) == Estimate(10, 1_000, 80, 80 * 500, 8_000)
    assert stage.model_copy(update={"sample": 4}).estimate({"from": Estimate(10, 2_000)}).requests == 32
    assert stage.model_copy(update={"sample": 4}).estimate({"from": Estimate()}).requests == 32
    assert stage.estimate({"from": Estimate()}) is None
    tree = Taxonomy(teacher="t", count=2, subjects=3, sessions=2, concepts=4).estimate({})
    assert (tree.documents, tree.requests) == (48, 20)
