"""Paraphrases: the call and every value stay, and replies are read in the styles of real models."""

from __future__ import annotations

import asyncio

import pytest
from textbookgen_api.paraphrase import Paraphrase, has_value, read_paraphrase

from textbookgen.api.errors import UnusableReply
from textbookgen.api.teacher import Reply
from textbookgen.builtin.shipped_files import prompt_folders
from textbookgen.recipe.prompts import Prompts


class ScriptedTeacher:
    def __init__(self, answer) -> None:
        self.answer, self.draws, self.prompts = answer, [], []

    async def __call__(self, prompt, *, draw=None, task=None, sample=None, schema=None) -> Reply:
        self.draws.append(draw)
        self.prompts.append(prompt)
        answer = self.answer(draw)
        return answer if isinstance(answer, Reply) else Reply(answer)

    def render(self, template, variables) -> str:
        return Prompts(prompt_folders()).render(template, variables)


def document(**columns: object) -> dict:
    return {
        "id": "d",
        "text": "",
        "api.request": "Ship 10 bolts to Oslo.",
        "api.call": "ship(product='bolts', quantity=10, city='Oslo')",
        "api.case": "call",
        "api.function": "ship",
        "api.values": ["10", "bolts", "Oslo"],
        "api.defaults": '{"express": false}',
        **columns,
    }


def paraphrased(stage: Paraphrase, answer, **draw: object) -> tuple[list[dict], ScriptedTeacher]:
    ask = ScriptedTeacher(answer)
    return list(asyncio.run(stage.generate({"document": document(), **draw}, ask))), ask


def test_paraphrases_keep_the_call_and_every_value():
    stage = Paraphrase(teacher="author", inputs="requests", paraphrases=3)
    replies = iter(['"Oslo wants bolts,\n10 of them!"', "Send ten bolts to Oslo.", Reply("To Oslo: 10 bolts", finish="length")])
    rows, ask = paraphrased(stage, lambda draw: next(replies))
    assert [row["api.request"] for row in rows] == ["Ship 10 bolts to Oslo.", "Oslo wants bolts, 10 of them!"]
    assert rows[1]["text"] == "Request: Oslo wants bolts, 10 of them!\nCall: ship(product='bolts', quantity=10, city='Oslo')\n"
    assert rows[1]["api.defaults"] == '{"express": false}'
    assert all(row["api.call"] == document()["api.call"] and "id" not in row for row in rows)
    assert len({draw["persona"] for draw in ask.draws}) == 3
    assert all(
        draw["persona"] in prompt and '"10", "bolts", "Oslo"' in prompt
        for draw, prompt in zip(ask.draws, ask.prompts, strict=True)
    )


def test_without_the_original_a_request_can_be_rejected():
    stage = Paraphrase(teacher="author", inputs="requests", keep_original=False)
    with pytest.raises(UnusableReply, match="kept every value"):
        paraphrased(stage, lambda draw: "Send something somewhere.")
    (row,), ask = paraphrased(stage, lambda draw: "10 bolts for Oslo", persona="a pirate")
    assert row["api.request"] == "10 bolts for Oslo"
    assert ask.draws[0]["persona"] == "a pirate"


def test_values_count_as_whole_words():
    assert has_value("send 10 bolts", "10")
    assert not has_value("send 100 bolts", "10")
    assert not has_value("send it to Oslofjord", "Oslo")
    assert has_value("lamps, and also bolts", "bolts and lamps")
    assert has_value("the 2025-01-03, please", "2025-01-03")


@pytest.mark.parametrize(
    "reply",
    [
        "To Oslo with 10 bolts!",
        '"To Oslo with 10 bolts!"',
        "Sure! Here is the rephrased request:\n\n\u201cTo Oslo with 10 bolts!\u201d",
        "**Request:** To Oslo with\n10 bolts!",
        "```\nTo Oslo with 10 bolts!\n```",
    ],
    ids=["bare", "quotes", "announcement", "label", "code fence"],
)
def test_paraphrases_are_read_in_the_styles_of_real_models(reply: str):
    assert read_paraphrase(Reply(reply), ["10", "bolts", "Oslo"]) == "To Oslo with 10 bolts!"


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply('""'), "empty"),
        (Reply("To Oslo: 10 bolts", finish="length"), "cut off"),
        (Reply("Ten bolts to Oslo"), "lacks a value"),
        (Reply("10 bolts to Oslofjord"), "lacks a value"),
    ],
)
def test_other_replies_are_rejected_with_a_reason(reply: Reply, reason: str):
    with pytest.raises(UnusableReply, match=reason):
        read_paraphrase(reply, ["10", "bolts", "Oslo"])


def test_the_prompt_states_what_the_function_does():
    stage = Paraphrase(teacher="author", inputs="requests")
    about = "A shop.\n- ship(product, quantity, city): Sends goods to a city.\n    city: string; required"
    columns = {"api.application": about}
    _, ask = paraphrased(stage, lambda draw: "10 bolts to Oslo", document=document(**columns))
    assert about in ask.prompts[0]
    assert "must be able to answer the rephrased request in the same way" in ask.prompts[0]
    lacking = document(**columns, **{"api.case": "missing", "api.call": "clarify(missing=['city'])"})
    _, ask = paraphrased(stage, lambda draw: "10 bolts to Oslo", document=lacking)
    assert "so the assistant answers with a question: `clarify(missing=['city'])`" in ask.prompts[0]
    outside = document(**columns, **{"api.case": "outside", "api.call": "decline()"})
    _, ask = paraphrased(stage, lambda draw: "10 bolts to Oslo", document=outside)
    assert "The application cannot do this." in ask.prompts[0]


def test_persons_have_voices_and_splits_without_overlap():
    rows, ask = paraphrased(
        Paraphrase(teacher="a", inputs="r", personas=("terse: a pilot",), keep_original=False), lambda draw: "10 bolts, Oslo"
    )
    assert ask.draws[0]["voice"] == "terse" and ask.draws[0]["persona"] == "a pilot"
    assert rows[0]["api.voice"] == "terse"
    assert rows[0]["api.phrasing"].endswith(" / terse: a pilot")
    persons = {
        split: {
            draw["persona"]
            for n in range(40)
            for draw in paraphrased(
                Paraphrase(teacher="a", inputs="r", voices=split, paraphrases=4),
                lambda draw: "10 bolts, Oslo",
                document=document(id=str(n)),
            )[1].draws
        }
        for split in ("seen", "unseen")
    }
    assert persons["seen"] and len(persons["unseen"]) >= 3
    assert not persons["seen"] & persons["unseen"]
    assert [item.place for item in Paraphrase(teacher="a", inputs="r", personas=("x",), voices="unseen").check()] in (
        [],
        ["voices"],
    )


def test_a_paraphrase_that_adds_a_number_is_rejected():
    stage = Paraphrase(teacher="author", inputs="requests", keep_original=False)
    with pytest.raises(UnusableReply) as caught:
        paraphrased(stage, lambda draw: "Ship 10 bolts to Oslo within 3 days.")
    assert "adds a number" in str(caught.value.__cause__)
