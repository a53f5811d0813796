"""Conversations: turns alternate, answers are revised before the reader sees them, and critics see the whole exchange."""

from __future__ import annotations

import polars as pl
import pytest
from pydantic import ValidationError
from textbookgen_textbooks.conversation import TEACHING_MOVES, Conversation

from textbookgen.api.artifacts import Chats
from textbookgen.api.errors import UnusableReply


def page(text: str = "Snow is cold.", **columns: object) -> dict:
    return {"document": {"id": "d", "text": text, "kind": "page", **columns}}


def fits(rows: list[dict], output: type) -> pl.DataFrame:
    """Rows as the engine frames them."""
    return pl.DataFrame(rows, schema_overrides=output.schema(), infer_schema_length=None).select(*output.content)


def scripted(scores: tuple[int, ...] = ()):
    left = list(scores)

    def answer(task: str, draw: dict) -> object:
        if task == "critique":
            score = left.pop(0) if left else 5
            return {"assessments": [{"criterion": each, "score": score, "suggestion": "more"} for each in draw["criteria"]]}
        if task == "revise":
            return f"Better: {draw['draft']}"
        return f"{task.removeprefix('conversation-')} {len(draw['turns'])}"

    return answer


def test_reader_and_tutor_take_turns(runner):
    (row,) = runner.run(Conversation(teacher="author", inputs="pages", turns=(6, 6)), page(), scripted())
    assert [turn["role"] for turn in row["messages"]] == ["user", "assistant"] * 3
    assert [turn["content"] for turn in row["messages"]] == ["user 0", "tutor 1", "user 2", "tutor 3", "user 4", "tutor 5"]
    assert row["textbooks.turns"] == 6
    assert runner.teacher.tasks() == ["conversation-user", "conversation-tutor", "critique"] * 3
    assert fits([row], Chats).height == 1
    users = [(prompt, draw) for task, prompt, draw in runner.teacher.requests if task == "conversation-user"]
    assert "first message" in users[0][0]
    assert "Tutor: tutor 1" in users[1][0]
    assert "the reader's last question" in users[2][0]
    assert [draw["is_last_turn"] for _, draw in users] == [False, False, True]
    tutors = [draw["teaching_move"] for task, _, draw in runner.teacher.requests if task == "conversation-tutor"]
    assert tutors[0] is None
    assert set(tutors[1:]) <= set(TEACHING_MOVES)


def test_lengths_are_within_bounds_and_depend_on_the_document(runner):
    def length(name: str, **options: object) -> int:
        stage = Conversation(teacher="author", inputs="pages", max_rounds=0, **options)
        return len(runner.run(stage, {"document": {"id": name, "text": "Snow."}}, scripted())[0]["messages"])

    lengths = [length(f"d{n}") for n in range(60)]
    assert set(lengths) == {2, 4, 6, 8}
    assert lengths == [length(f"d{n}") for n in range(60)]
    assert {length(f"d{n}", turns=(3, 5)) for n in range(20)} == {4}
    for turns in ((0, 4), (5, 3), (3, 3)):
        with pytest.raises(ValidationError):
            Conversation(teacher="author", inputs="pages", turns=turns)


def test_answers_are_revised_before_the_reader_sees_them(runner):
    stage = Conversation(teacher="author", inputs="pages", turns=(4, 4))
    (row,) = runner.run(stage, {**page(), "persona": "a sailor"}, scripted((2, 4)))
    assert row["messages"][1]["content"] == "Better: tutor 1"
    asked = runner.teacher.requests
    assert "Better: tutor 1" in next(prompt for task, prompt, draw in asked if task == "conversation-user" and draw["turns"])
    assert "a sailor" in asked[0][1]
    critic = next(prompt for task, prompt, _ in asked if task == "critique")
    assert "user 0" in critic
    assert "tutor 1" in critic


def test_an_answer_that_stays_bad_rejects_the_conversation(runner):
    with pytest.raises(UnusableReply, match="does not meet the rubric"):
        runner.run(Conversation(teacher="author", inputs="pages"), page(), scripted((2, 2)))


def test_a_reader_who_repeats_a_question_is_rejected(runner):
    stage = Conversation(teacher="author", inputs="pages", turns=(4, 4), max_rounds=0)
    with pytest.raises(UnusableReply, match="repeats a question"):
        runner.run(stage, page(), lambda task, draw: "Why?")


def test_critic_and_reviser_see_the_document_and_all_turns(runner):
    stage = Conversation(teacher="author", inputs="pages", turns=(4, 4))
    runner.run(stage, page("Snow is frozen water."), scripted((5, 2, 4)))
    for task in ("critique", "revise"):
        last = runner.teacher.prompts(task)[-1]
        assert "Snow is frozen water." in last
        assert last.index("Reader: user 0") < last.index("Tutor: tutor 1") < last.index("Reader: user 2")


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Why is snow cold?", "Because it is frozen."),
        ('"Why is snow cold?"', "**Tutor:** Because it is frozen."),
        ("Reader: Why is snow cold?", "Here is the tutor's answer:\n\nBecause it is frozen."),
        ("**Reader**: Why is snow cold?", "Tutor: Because it is frozen."),
    ],
)
def test_turns_are_read_in_the_styles_of_real_models(runner, question: str, answer: str):
    stage = Conversation(teacher="author", inputs="pages", turns=(2, 2), max_rounds=0)
    (row,) = runner.run(stage, page(), lambda task, draw: question if task == "conversation-user" else answer)
    assert [turn["content"] for turn in row["messages"]] == ["Why is snow cold?", "Because it is frozen."]
