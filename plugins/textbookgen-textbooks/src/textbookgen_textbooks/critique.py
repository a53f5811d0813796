"""Critique and revision: a draft is scored on a rubric and rewritten until every criterion is met."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydantic import Field

from textbookgen import Ask, Draw, UnusableReply
from textbookgen.api.reply_text import read_prose
from textbookgen_textbooks.json_replies import JUDGE_TEMPERATURE, ReplySchema, ask_json


class Assessment(ReplySchema):
    """The score of one criterion, from 1 to 5, and what would raise it."""

    criterion: str
    score: int = Field(ge=1, le=5)
    suggestion: str


class Critique(ReplySchema):
    """The assessment of a draft, one entry per criterion."""

    assessments: list[Assessment]


@dataclass(frozen=True)
class Rubric:
    """Criteria, and when a draft meets them.

    Attributes:
        criteria: names of the criteria, each scored from 1 to 5.
        min_score: the score that every criterion must reach.
        max_rounds: maximum number of revisions.
        critique_prompt: template that asks for a critique; it sees the draw, `draft` and `criteria`.
        revise_prompt: template that asks for a revision; it sees the draw, `draft`, `assessments` and `round`.
    """

    criteria: tuple[str, ...]
    min_score: int
    max_rounds: int
    critique_prompt: str
    revise_prompt: str


@dataclass(frozen=True)
class Revision:
    """The result of `revise`: the final text, the number of revisions, its lowest score, and whether it meets the rubric."""

    text: str
    rounds: int
    lowest_score: int
    is_met: bool


async def revise(draft: str, rubric: Rubric, draw: Draw, ask: Ask) -> Revision:
    """Have a draft scored and rewritten until it meets the rubric, or `max_rounds` revisions were made.

    The final text is scored too, so that the reported score is its own.

    Raises:
        UnusableReply: a critique lacks a criterion, or a reply cannot be read.
    """
    text, rounds = draft, 0
    while True:
        assessments = await _assess(text, rubric, draw, ask)
        lowest = min(assessment.score for assessment in assessments)
        if lowest >= rubric.min_score or rounds == rubric.max_rounds:
            return Revision(text, rounds, lowest, lowest >= rubric.min_score)
        rounds += 1
        reviews = [assessment.model_dump() for assessment in assessments]
        variables = {**draw, "draft": text, "assessments": reviews, "round": rounds}
        text = read_prose(await ask(ask.render(rubric.revise_prompt, variables), draw=variables, task="revise"))


async def _assess(draft: str, rubric: Rubric, draw: Draw, ask: Ask) -> list[Assessment]:
    """One assessment per criterion, in the rubric's order."""
    variables = {**draw, "draft": draft, "criteria": list(rubric.criteria)}
    critique = await ask_json(ask, Critique, rubric.critique_prompt, variables, "critique", JUDGE_TEMPERATURE)
    by_criterion = {_key(assessment.criterion): assessment for assessment in critique.assessments}
    if any(_key(criterion) not in by_criterion for criterion in rubric.criteria):
        raise UnusableReply("the critique lacks a criterion")
    return [by_criterion[_key(criterion)] for criterion in rubric.criteria]


def _key(criterion: str) -> str:
    """A criterion's name without markup, numbering and case, which models change."""
    return " ".join(re.findall(r"[^\W\d_]+", criterion.lower())) or criterion.strip()
