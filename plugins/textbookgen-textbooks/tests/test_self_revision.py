"""Self-revision: kept documents meet their rubric, critics see what the draft was written for, and no round is lost."""

from __future__ import annotations

import pytest
from textbookgen_textbooks.self_revision import SelfRevision

from textbookgen.api.errors import UnusableReply
from textbookgen.api.teacher import Reply

RUBRIC = ("truth", "clarity")


def document(text: str) -> dict:
    return {"document": {"id": "d", "text": text, "kind": "page"}}


def critic(*lowest_scores: int):
    """Answer as a critic whose lowest score of the text `Draft n.` is lowest_scores[n], and as a writer of such drafts."""

    def answer(task: str, draw: dict) -> object:
        if task == "critique":
            score = lowest_scores[int(draw["draft"].strip()[6:-1])]
            return {
                "assessments": [
                    {"criterion": "Clarity", "score": 5, "suggestion": ""},
                    {"criterion": "truth", "score": score, "suggestion": "check the second sentence"},
                ]
            }
        if task == "revise":
            previous = lowest_scores[draw["round"] - 1]
            assert draw["assessments"][0] == {
                "criterion": "truth",
                "score": previous,
                "suggestion": "check the second sentence",
            }
            return f"Draft {draw['round']}."
        return "Draft 0."

    return answer


def stage(**options: object) -> SelfRevision:
    return SelfRevision(teacher="author", prompt="phi1/educational-value.md.j2", inputs="pages", rubric=RUBRIC, **options)


@pytest.mark.parametrize(("scores", "rounds"), [((4,), 0), ((3, 4), 1), ((1, 2, 5), 2), ((1, 2, 3, 4), 3)])
def test_revision_continues_until_the_rubric_is_met(runner, scores: tuple[int, ...], rounds: int):
    (row,) = runner.run(stage(), document("Draft 0."), critic(*scores))
    assert row["text"].strip() == f"Draft {rounds}."
    assert row["textbooks.rounds"] == rounds
    assert row["textbooks.lowest_score"] == scores[-1]
    assert runner.teacher.tasks() == ["critique", *["revise", "critique"] * rounds]


def test_a_document_that_never_meets_the_rubric_is_rejected_or_kept_on_request(runner):
    with pytest.raises(UnusableReply) as caught:
        runner.run(stage(), document("Draft 0."), critic(1, 2, 3, 3))
    assert caught.value.problem == "the rubric is not met"
    assert runner.teacher.tasks().count("revise") == 3
    (row,) = runner.run(stage(keep_unmet=True, max_rounds=1), document("Draft 0."), critic(1, 3))
    assert row == {"text": "Draft 1.\n", "textbooks.rounds": 1, "textbooks.lowest_score": 3}
    (row,) = runner.run(stage(min_score=3), document("Draft 0."), critic(3))
    assert row["textbooks.rounds"] == 0


def test_without_documents_or_with_sources_the_draft_is_requested(runner):
    without_documents = SelfRevision(teacher="author", count=1, sampler="topics", rubric=RUBRIC)
    (row,) = runner.run(without_documents, {"topic": "rain"}, critic(4))
    assert row["text"] == "Draft 0.\n"
    assert runner.teacher.tasks() == ["draft", "critique"]
    assert runner.run(stage(documents_are="source"), document("x = 1"), critic(4))[0]["text"] == "Draft 0.\n"
    assert "x = 1" in runner.teacher.prompts("draft")[0]


def test_drafts_are_written_at_the_temperature_of_the_stage_and_judged_at_zero(runner):
    runner.run(stage(), document("Draft 0."), critic(3, 4))
    assert runner.teacher.temperatures == {"critique": {0.0}, "revise": {None}}


def test_critic_and_reviser_see_the_assignment_if_there_is_one(runner):
    requested = SelfRevision(teacher="author", count=1, sampler="topics", rubric=RUBRIC)
    runner.run(requested, {"topic": "why rust needs water"}, critic(3, 4))
    (assignment,) = runner.teacher.prompts("draft")
    for task in ("critique", "revise"):
        assert all(f"<assignment>\n{assignment}\n</assignment>" in prompt for prompt in runner.teacher.prompts(task))
    runner.run(stage(), document("Draft 0."), critic(3, 4))
    assert not any("assignment" in prompt for _, prompt, _ in runner.teacher.requests)


@pytest.mark.parametrize(
    "reply",
    [
        '```json\n{"assessments": [{"criterion": "truth", "score": 5, "suggestion": ""}, '
        '{"criterion": "clarity", "score": 4, "suggestion": "x"}]}\n```',
        'The draft is good: {it holds}.\n\n{"assessments": [{"criterion": "**Truth**", "score": 5, "suggestion": ""}, '
        '{"criterion": "2. Clarity", "score": 4, "suggestion": "x"}]}\nI hope this helps!',
        '{"assessments": [{"criterion": "<name>", "score": 1, "suggestion": ""}]} is the format. Here it is:\n'
        '{"assessments": [{"criterion": "Truth:", "score": 5, "suggestion": ""}, '
        '{"criterion": "clarity", "score": 4, "suggestion": "x"}], "overall": "fine"}',
    ],
    ids=["code fence", "preamble and markup", "format repeated"],
)
def test_critiques_are_read_in_the_styles_of_real_models(runner, reply: str):
    (row,) = runner.run(stage(), document("Draft 0."), lambda task, draw: reply)
    assert row["textbooks.lowest_score"] == 4


@pytest.mark.parametrize(
    "reply",
    [
        "Draft 1.",
        "Here is the revised text:\n\nDraft 1.",
        "```markdown\nDraft 1.\n```",
        "Sure! Here is a revised version:\n---\nDraft 1.",
    ],
)
def test_revisions_are_read_in_the_styles_of_real_models(runner, reply: str):
    def answer(task: str, draw: dict) -> object:
        return reply if task == "revise" else critic(1, 5)(task, draw)

    (row,) = runner.run(stage(), document("Draft 0."), answer)
    assert row["text"] == "Draft 1.\n"


def test_an_unusable_critique_is_rejected(runner):
    incomplete = {"assessments": [{"criterion": "truth", "score": 5, "suggestion": ""}]}
    off_scale = '{"assessments": [{"criterion": "truth", "score": 9, "suggestion": ""}]}'
    for critique, reason in ((incomplete, "lacks a criterion"), ("Fine!", "not JSON"), (off_scale, "assessments.score")):
        with pytest.raises(UnusableReply, match=reason):
            runner.run(stage(), document("Draft 0."), lambda task, draw, critique=critique: critique)


def test_a_revision_that_is_cut_off_is_rejected(runner):
    def answer(task: str, draw: dict) -> object:
        return critic(1)(task, draw) if task == "critique" else Reply("Draft 1", finish="length")

    with pytest.raises(UnusableReply, match="truncated"):
        runner.run(stage(), document("Draft 0."), answer)
