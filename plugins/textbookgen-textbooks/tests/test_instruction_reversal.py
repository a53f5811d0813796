"""Instruction reversal: a chat is kept if its request reproduces the code."""

from __future__ import annotations

import polars as pl
import pytest
from textbookgen_textbooks.instruction_reversal import InstructionReversal, tree_similarity

from textbookgen.api.artifacts import Chats
from textbookgen.api.errors import UnusableReply

CODE = 'def mean(values):\n    """The mean."""\n    total = sum(values)\n    return total / len(values)\n'
SAME = "def average(numbers):\n    s = sum(numbers)  # add\n    return s / len(numbers)\n"
OTHER = "def mean(values):\n    if not values:\n        return 0\n    return max(values)\n"


def page(text: str = "Snow is cold.", **columns: object) -> dict:
    return {"document": {"id": "d", "text": text, "kind": "page", **columns}}


def fits(rows: list[dict], output: type) -> pl.DataFrame:
    """Rows as the engine frames them."""
    return pl.DataFrame(rows, schema_overrides=output.schema(), infer_schema_length=None).select(*output.content)


def regenerates(*written: str):
    def answer(task: str, draw: dict, sample: int | None = None) -> str:
        if task == "instruction-reversal":
            return "Please give me the mean."
        assert task == "regenerate-code"
        assert draw == {"request": "Please give me the mean."}
        return f"```python\n{written[sample or 0]}```"

    return answer


def test_a_request_that_reproduces_the_code_is_kept_with_the_original(runner):
    stage = InstructionReversal(teacher="author", inputs="code", min_fidelity=1.0)
    (row,) = runner.run(stage, page(CODE, **{"textbooks.tests": "assert mean([1]) == 1\n"}), regenerates(SAME))
    assert [turn["content"] for turn in row["messages"]] == ["Please give me the mean.", f"```python\n{CODE}```"]
    assert row["textbooks.fidelity"] == 1.0
    assert row["textbooks.regenerated"] == SAME
    assert row["textbooks.tests"] == "assert mean([1]) == 1\n"
    assert CODE not in runner.teacher.requests[1][1]
    assert fits([row], Chats).height == 1


def test_the_closest_of_several_samples_counts(runner):
    stage = InstructionReversal(teacher="author", inputs="code", samples=3)
    (row,) = runner.run(stage, page(CODE), regenerates(OTHER, SAME, "no code at all"))
    assert row["textbooks.regenerated"] == SAME


@pytest.mark.parametrize("written", [OTHER, "this is no code", ""])
def test_other_requests_are_rejected(runner, written: str):
    with pytest.raises(UnusableReply, match="does not reproduce"):
        runner.run(InstructionReversal(teacher="author", inputs="code"), page(CODE), regenerates(written))


def test_other_documents_cause_no_requests(runner):
    with pytest.raises(UnusableReply, match="not Python"):
        runner.run(InstructionReversal(teacher="author", inputs="code"), page("Hello there, friend."), regenerates(SAME))
    assert runner.teacher.requests == []


def test_tree_similarity_compares_structure_only():
    assert tree_similarity(CODE, SAME) == 1.0
    assert tree_similarity("x = 1\n", "y = 2\n") == 1.0
    assert tree_similarity("x = 1\n", "x = '1'\n") < 1.0
    assert tree_similarity("x = a + b\n", "x = a - b\n") < 1.0
    assert 0 < tree_similarity(CODE, OTHER) < 0.8
    assert tree_similarity(CODE, OTHER) == tree_similarity(OTHER, CODE)
    assert tree_similarity(CODE, "no python at all") == 0.0


@pytest.mark.parametrize(
    "request_reply",
    [
        '"Please give me the mean."',
        "Here is the message:\n\nPlease give me the mean.",
        "**User message:** Please give me the mean.",
    ],
)
@pytest.mark.parametrize(
    "code_reply", [f"```python\n{SAME}```", f"Sure! Here is the code:\n\n```py\n{SAME}```\nIt adds.", SAME]
)
def test_replies_are_read_in_the_styles_of_real_models(runner, request_reply: str, code_reply: str):
    def answer(task: str, draw: dict, sample: int | None = None) -> str:
        return request_reply if task == "instruction-reversal" else code_reply

    (row,) = runner.run(InstructionReversal(teacher="author", inputs="code"), page(CODE), answer)
    assert row["messages"][0]["content"] == "Please give me the mean."
    assert row["textbooks.fidelity"] == 1.0
