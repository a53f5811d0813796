"""Summaries of stories, and what the judge of stories says about them, in words and in grades."""

from __future__ import annotations

import re
from random import Random
from typing import Any

from textbookgen_procedural.stories import abstract_of
from textbookgen_procedural.story_judge import Judgement, grade_instructions, judge_story
from textbookgen_procedural.tasks.draw_fields import Draw, document_text, json_reply

_SENTENCE = re.compile(r"[^.!?\n]+[.!?]+[\"\u201d]?")
_MAX_SUMMARY_WORDS = 45
_MAX_FAULTS = 4  # of one criterion that an assessment names


def summary(rng: Random, draw: Draw) -> str:
    """Return an abstract of a story by the embedded teacher, from its plot, and the first and last sentence of another one.

    Raises:
        RequestRefused: the draw has no document.
    """
    text = document_text(draw, "summary")
    if abstract := abstract_of(text):
        return abstract
    sentences = [item.strip() for item in _SENTENCE.findall(text)] or [text.strip()]
    chosen = list(dict.fromkeys([sentences[0], sentences[-1]]))
    return " ".join(" ".join(chosen).split()[:_MAX_SUMMARY_WORDS])


def assess(rng: Random, draw: Draw) -> str:
    """Return what the judge of stories found, in words.

    Raises:
        RequestRefused: the draw has no document.
    """
    faults = _judge(draw, "assess-story").faults
    praise = {
        "grammar": "The sentences are well formed.",
        "consistency": "It stays with the people and things of the beginning.",
        "plot": "One event follows from another, and it comes to an end.",
        "creativity": "It has ideas of its own.",
    }
    parts = []
    for criterion, praised in praise.items():
        notes = list(dict.fromkeys(faults.get(criterion, [])))[:_MAX_FAULTS]
        parts.append(f"{criterion.capitalize()}: {'; '.join(notes)}." if notes else praised)
    return " ".join(parts)


def grade(rng: Random, draw: Draw) -> str:
    """Return grades from 1 to 10 for grammar, creativity, consistency and plot, and the age group of the writer.

    Where the document has constraints (`tinystories.words`, `tinystories.features`, `tinystories.summary`) and the request
    asks for it, also a grade for following them.

    Raises:
        RequestRefused: the draw has no document.
    """
    judged = _judge(draw, "grade-story")
    fields: dict[str, Any] = {name: getattr(judged, name) for name in ("grammar", "creativity", "consistency", "plot")}
    if draw.get("instructions"):
        fields["instruction_following"] = grade_instructions(draw["document"])
    return json_reply(**fields, age=judged.age)


def _judge(draw: Draw, task: str) -> Judgement:
    """The judgement of the completion in a draw, or of its text if it has none."""
    text = document_text(draw, task)
    document = draw["document"]
    beginning, completion = (str(document.get(f"tinystories.{name}") or "") for name in ("beginning", "completion"))
    return judge_story(beginning, completion) if completion else judge_story("", text)
