"""What is foreseen is the most that is asked: no document takes more requests than its generator says."""

from __future__ import annotations

import pytest
from textbookgen_textbooks.conversation import Conversation
from textbookgen_textbooks.middle import Middle
from textbookgen_textbooks.questions import Plurality
from textbookgen_textbooks.reversal import Reverse
from textbookgen_textbooks.revision import Revise
from textbookgen_textbooks.rewrite import Rewrite
from textbookgen_textbooks.taxonomy import Taxonomy
from textbookgen_textbooks.unknowns import Attempts, HonestChats, HonestPairs

from textbookgen.api.errors import UnusableReply
from textbookgen.api.stage import Estimate

TEXT = "Tom had a boat. The wind was strong that day. He let the boat go on the lake. It sank. Everybody was sad for him."


def worst(task: str, draw: dict, sample: int | None = None) -> object:
    """Never satisfied, and never refusing."""
    match task:
        case "critique":
            return {"marks": [{"criterion": each, "score": 1, "suggestion": ""} for each in draw["criteria"]]}
        case "middle-grade":
            return {"grade": 3, "hint": "no"}
        case "middle-guess":
            return "GUESS: no"
        case "taxonomy":
            return {"names": [f"n{n}" for n in range(99)]}
        case "check-answer":
            return {"verdict": "false"}
        case "bogus-question":
            return {"question": "Bogus?", "plausibility": 5}
        case _:
            return f"x = {sample}\nANSWER: {sample}"


ATTEMPTS = {"textbooks.answer": "Ann", "textbooks.attempts": ["a", "b", "c", "d", "e"]}


@pytest.mark.parametrize(
    ("stage", "columns"),
    [
        (Plurality(teacher="t", inputs="x", samples=7), {}),
        (Middle(teacher="t", inputs="x", attempts=3), {}),
        (Reverse(teacher="t", inputs="x", tries=4), {"text": "x = 1"}),
        (Rewrite(teacher="t", inputs="x"), {}),
        (Revise(teacher="t", inputs="x", rounds=2, draft_anew=True, prompt="phi4/deduction.md.j2", keep_unmet=True), {}),
        (Conversation(teacher="t", inputs="x", turns=(4, 4), rounds=0), {}),
        (Conversation(teacher="t", inputs="x", turns=(2, 2), rounds=2), {}),
        (Taxonomy(teacher="t", count=1, subjects=3, sessions=2, concepts=4), {}),
        (Attempts(teacher="t", inputs="x", samples=6), {}),
        (HonestChats(teacher="t", inputs="x"), ATTEMPTS),
        (HonestPairs(teacher="t", inputs="x"), ATTEMPTS),
    ],
    ids=lambda value: type(value).__name__,
)
def test_requests_and_documents_are_bounded(room, stage, columns: dict):
    draw = {"discipline": "law"} if isinstance(stage, Taxonomy) else {"document": {"id": "d", "text": TEXT, **columns}}
    try:
        rows = room.write(stage, draw, worst)
    except UnusableReply:
        rows = []
    assert len(room.script.asked) == stage.requests()
    assert len(rows) <= stage.written()


def test_volumes_follow_from_what_flows_in():
    stage = Plurality(teacher="t", inputs="x", samples=8, reply_tokens=100)
    assert stage.estimate({"from": Estimate(10, 2_000)}) == Estimate(10, 1_000, 80, 80 * 500, 8_000)
    assert stage.model_copy(update={"sample": 4}).estimate({"from": Estimate(10, 2_000)}).requests == 32
    assert stage.model_copy(update={"sample": 4}).estimate({"from": Estimate()}).requests == 32
    assert stage.estimate({"from": Estimate()}) is None
    tree = Taxonomy(teacher="t", count=2, subjects=3, sessions=2, concepts=4).estimate({})
    assert (tree.documents, tree.requests) == (48, 20)
