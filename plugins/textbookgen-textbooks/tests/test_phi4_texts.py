"""Rewriting and revising: what is kept kept its facts, or met its rubric, and nothing else is kept."""

from __future__ import annotations

import pytest
from textbookgen_textbooks.revision import Revise
from textbookgen_textbooks.rewrite import Rewrite, share_kept

from textbookgen.api.errors import UnusableReply
from textbookgen.api.teacher import Reply

PASSAGE = "In 1969 a crew of 3 flew 384,400 km to the Moon and back in 8 days."


def page(text: str, **columns: object) -> dict:
    return {"document": {"id": "d", "text": text, "kind": "page", **columns}}


def test_every_style_is_one_document(room):
    stage = Rewrite(teacher="author", inputs="excerpts")
    rows = room.write(stage, page(PASSAGE), lambda task, draw: f"{draw['style']} for {draw['audience']}: {PASSAGE}")
    assert [row["textbooks.style"] for row in rows] == ["exercise", "discussion", "reasoning", "tutorial"]
    assert rows[1]["text"] == f"discussion for a student in the first year of university: {PASSAGE}\n"
    prompts = [prompt for _, prompt, _ in room.script.asked]
    assert len(set(prompts)) == 4
    assert all(PASSAGE in prompt for prompt in prompts)
    assert "between two people" in prompts[1]


def test_a_drawn_audience_goes_first(room):
    stage = Rewrite(teacher="author", inputs="excerpts", sampler="readers", styles=("tutorial",))
    room.write(stage, {**page(PASSAGE), "audience": "a pilot"}, lambda task, draw: PASSAGE)
    assert "It is for a pilot." in room.script.asked[0][1]


def test_rewritings_that_lose_numbers_are_left_out(room):
    replies = {
        "exercise": PASSAGE,
        "discussion": "They flew to the Moon in 1969.",
        "reasoning": "",
        "tutorial": PASSAGE.replace(",", ""),
    }
    rows = room.write(Rewrite(teacher="author", inputs="excerpts"), page(PASSAGE), lambda task, draw: replies[draw["style"]])
    assert [row["textbooks.style"] for row in rows] == ["exercise", "tutorial"]
    with pytest.raises(UnusableReply, match="kept what the passage says"):
        room.write(
            Rewrite(teacher="author", inputs="excerpts", styles=("discussion",)), page(PASSAGE), lambda task, draw: "Moon."
        )
    loose = Rewrite(teacher="author", inputs="excerpts", styles=("discussion",), numbers_kept=0.25)
    assert room.write(loose, page(PASSAGE), lambda task, draw: replies["discussion"])


def test_share_of_numbers():
    assert share_kept(PASSAGE, "1969, 3 and 384400") == 0.75
    assert share_kept("No numbers.", "None.") == 1.0
    assert share_kept("3 and 3", "33") == 0.0


RUBRIC = ("truth", "clarity")


def critic(*lowest: int, draft: str = "Draft 0."):
    """Each text is `Draft n.`, whose lowest score is lowest[n]."""

    def answer(task: str, draw: dict) -> object:
        if task == "critique":
            score = lowest[int(draw["draft"].strip()[6:-1])]
            return {
                "marks": [
                    {"criterion": "Clarity", "score": 5, "suggestion": ""},
                    {"criterion": "truth", "score": score, "suggestion": "check"},
                ]
            }
        if task == "revise":
            assert draw["marks"][0] == {"criterion": "truth", "score": lowest[draw["round"] - 1], "suggestion": "check"}
            return f"Draft {draw['round']}."
        return draft

    return answer


def revise(**options: object) -> Revise:
    return Revise(teacher="author", prompt="phi1/educational-value.md.j2", inputs="pages", rubric=RUBRIC, **options)


@pytest.mark.parametrize(("lowest", "rounds"), [((4,), 0), ((3, 4), 1), ((1, 2, 5), 2), ((1, 2, 3, 4), 3)])
def test_revision_goes_on_until_the_rubric_is_met(room, lowest: tuple[int, ...], rounds: int):
    (row,) = room.write(revise(), page("Draft 0."), critic(*lowest))
    assert row["text"].strip() == f"Draft {rounds}."
    assert row["textbooks.rounds"] == rounds
    assert row["textbooks.lowest_score"] == lowest[-1]
    assert room.script.tasks() == ["critique", *["revise", "critique"] * rounds]


def test_what_never_meets_the_rubric_is_refused_or_kept_if_wanted(room):
    with pytest.raises(UnusableReply) as caught:
        room.write(revise(), page("Draft 0."), critic(1, 2, 3, 3))
    assert caught.value.problem == "the rubric was not met"
    assert room.script.tasks().count("revise") == 3
    (row,) = room.write(revise(keep_unmet=True, rounds=1), page("Draft 0."), critic(1, 3))
    assert row == {"text": "Draft 1.\n", "textbooks.rounds": 1, "textbooks.lowest_score": 3}
    (row,) = room.write(revise(good=3), page("Draft 0."), critic(3))
    assert row["textbooks.rounds"] == 0


def test_without_documents_or_anew_the_draft_is_asked_for(room):
    stage = Revise(teacher="author", count=1, sampler="everyday", rubric=RUBRIC)
    (row,) = room.write(stage, {"topic": "rain"}, critic(4))
    assert row["text"] == "Draft 0.\n"
    assert room.script.tasks() == ["draft", "critique"]
    anew = revise(draft_anew=True)
    assert room.write(anew, page("Something."), critic(4))[0]["text"] == "Draft 0.\n"


def test_a_critique_that_cannot_be_used_is_refused(room):
    bad = {"marks": [{"criterion": "truth", "score": 5, "suggestion": ""}]}
    for critique, reason in ((bad, "leaves out a criterion"), ("Fine!", "not JSON")):
        with pytest.raises(UnusableReply, match=reason):
            room.write(revise(), page("Draft 0."), lambda task, draw, critique=critique: critique)


def test_a_revision_that_is_cut_off_is_refused(room):
    def answer(task: str, draw: dict) -> object:
        return critic(1)(task, draw) if task == "critique" else Reply("Draft 1", finish="length")

    with pytest.raises(UnusableReply, match="cut off"):
        room.write(revise(), page("Draft 0."), answer)
