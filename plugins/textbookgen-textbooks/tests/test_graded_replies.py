"""Graded replies: best-of-n and preference pairs keep the best and the worst reply by the judge's grades."""

from __future__ import annotations

import json

import polars as pl
import pytest
from textbookgen_textbooks.best_of_n import BestOfN
from textbookgen_textbooks.preferences import Preferences

from textbookgen.api.artifacts import Chats, Pairs
from textbookgen.api.errors import RequestRefused, UnusableReply


def page(text: str = "Snow is cold.", **columns: object) -> dict:
    return {"document": {"id": "d", "text": text, "kind": "page", **columns}}


def fits(rows: list[dict], output: type) -> pl.DataFrame:
    """Rows as the engine frames them."""
    return pl.DataFrame(rows, schema_overrides=output.schema(), infer_schema_length=None).select(*output.content)


GRADES = {"good": (5, 5, 5), "true but dry": (5, 2, 2), "nice but wrong": (2, 5, 5), "bad": (1, 1, 1), "fine": (4, 4, 4)}


def judge(*replies: str):
    def answer(task: str, draw: dict, sample: int | None = None) -> object:
        if task == "candidate":
            if replies[sample] == "REFUSED":
                raise RequestRefused("no")
            return replies[sample]
        assert task == "grade-replies"
        graded = [
            dict(zip(("accuracy", "style", "detail"), GRADES[each["text"]], strict=True), label=each["label"], faults="")
            for each in draw["replies"]
        ]
        return {"comparison": "so so", "replies": graded}

    return answer


def test_the_best_and_the_worst_reply_make_a_pair(runner):
    stage = Preferences(teacher="author", inputs="questions")
    (row,) = runner.run(stage, page("Why?"), judge("fine", "good", "nice but wrong", "bad"))
    assert row["prompt"] == [{"role": "user", "content": "Why?"}]
    assert row["chosen"] == [{"role": "assistant", "content": "good"}]
    assert row["rejected"] == [{"role": "assistant", "content": "bad"}]
    assert (row["textbooks.chosen_score"], row["textbooks.rejected_score"]) == (5.0, 1.0)
    assert fits([row], Pairs).height == 1


def test_replies_are_sampled_at_the_temperature_of_the_stage_and_judged_at_zero(runner):
    runner.run(Preferences(teacher="author", inputs="questions"), page("Why?"), judge("fine", "good", "nice but wrong", "bad"))
    assert runner.teacher.temperatures == {"candidate": {None}, "grade-replies": {0.0}}


def test_accuracy_alone_can_decide(runner):
    replies = ("nice but wrong", "true but dry", "nice but wrong", "REFUSED")
    (row,) = runner.run(Preferences(teacher="author", inputs="questions", score="accuracy"), page("Why?"), judge(*replies))
    assert row["chosen"][0]["content"] == "true but dry"
    (row,) = runner.run(Preferences(teacher="author", inputs="questions"), page("Why?"), judge(*replies))
    assert row["chosen"][0]["content"] == "nice but wrong"


@pytest.mark.parametrize(
    ("replies", "reason"),
    [
        (("good", "good", "good", "good"), "there are no two different replies"),
        (("good", "REFUSED", "REFUSED", "REFUSED"), "there are no two different replies"),
        (("nice but wrong", "fine", "fine", "fine"), "the scores of the replies are too close"),
    ],
)
def test_replies_that_do_not_differ_enough_are_rejected(runner, replies: tuple[str, ...], reason: str):
    with pytest.raises(UnusableReply) as caught:
        runner.run(Preferences(teacher="author", inputs="questions"), page("Why?"), judge(*replies))
    assert caught.value.problem == reason


def test_replies_are_shown_in_random_order(runner):
    firsts = set()
    for n in range(12):
        runner.run(
            Preferences(teacher="author", inputs="questions"),
            {"document": {"id": f"d{n}", "text": "Why?"}},
            judge("good", "bad", "fine", "true but dry"),
        )
        firsts.add(runner.teacher.requests[-1][2]["replies"][0]["text"])
    assert len(firsts) >= 3


def test_attempts_of_the_document_are_graded_instead(runner):
    (row,) = runner.run(
        Preferences(teacher="author", inputs="attempts"), page("Why?", **{"textbooks.attempts": ["bad", "good", " "]}), judge()
    )
    assert row["chosen"][0]["content"] == "good"
    assert runner.teacher.tasks() == ["grade-replies"]


def test_the_best_reply_ends_the_chat(runner):
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}, {"role": "user", "content": "Why?"}]
    draw = {"document": {"id": "d", "messages": [*turns, {"role": "assistant", "content": "old"}]}}
    (row,) = runner.run(BestOfN(teacher="author", inputs="chats"), draw, judge("bad", "fine", "good", "fine"))
    assert row["messages"] == [*turns, {"role": "assistant", "content": "good"}]
    assert row["textbooks.score"] == 5.0
    assert runner.teacher.requests[0][1] == "user: Hi\nassistant: Hello\nuser: Why?"
    assert fits([row], Chats).height == 1
    with pytest.raises(UnusableReply, match="good enough"):
        runner.run(BestOfN(teacher="author", inputs="chats"), draw, judge("bad", "true but dry", "bad", "bad"))
    with pytest.raises(UnusableReply, match="no user message"):
        runner.run(BestOfN(teacher="author", inputs="chats"), {"document": {"id": "d", "messages": turns[1:2]}}, judge())


def test_a_judge_that_omits_a_reply_is_rejected(runner):
    def answer(task: str, draw: dict, sample: int | None = None) -> object:
        reply = judge("good", "bad", "fine", "fine")(task, draw, sample) if sample is not None else judge()(task, draw)
        return {**reply, "replies": reply["replies"][:1]} if isinstance(reply, dict) else reply

    with pytest.raises(UnusableReply, match="omits"):
        runner.run(BestOfN(teacher="author", inputs="questions"), page("Why?"), answer)


@pytest.mark.parametrize("layout", ["{}", "Let me compare them first.\n\n```json\n{}\n```", "**Grades**\n{}\nA is the best."])
@pytest.mark.parametrize("label", ["A", "a", "Reply A", "**A**"])
def test_grades_are_read_in_the_styles_of_real_models(runner, layout: str, label: str):
    def answer(task: str, draw: dict, sample: int | None = None) -> str:
        if task == "candidate":
            return f"reply {sample}"
        grades = [
            {"label": label.replace("A", reply["label"]).replace("a", reply["label"].lower()), "faults": "none"}
            | dict.fromkeys(("accuracy", "style", "detail"), 5 if reply["text"] == "reply 1" else 2)
            for reply in draw["replies"]
        ]
        return layout.replace("{}", json.dumps({"comparison": "so so", "replies": grades}))

    (row,) = runner.run(BestOfN(teacher="author", inputs="questions", samples=2), page("Why?"), answer)
    assert row["messages"][-1]["content"] == "reply 1"
