"""Every task that the embedded teacher does, by the name that generators ask it under."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from textbookgen_procedural.tasks import critiques, drafts, gaps, passages, questions, requests, sections, tales, talk, topics

#: Each takes what chance there is and the draw, and gives the reply.
TASKS: dict[str, Callable[[Random, Mapping[str, Any]], str]] = {
    # what is written from a draw alone
    "story": drafts.story,
    "page": drafts.page,
    "exercise": drafts.exercise,
    "section": sections.section,
    "draft": drafts.draft,
    "taxonomy": topics.taxonomy,
    "wish": requests.wish,
    # what is made of a document
    "educational-value": drafts.educational_value,
    "summary": tales.summary,
    "tag": passages.tag,
    "rewrite": passages.rewrite,
    "paraphrase": requests.paraphrase,
    "reverse": requests.reverse,
    "regenerate": requests.regenerate,
    "deduction": questions.deduction,
    "middle-guess": gaps.guess,
    "conversation-user": talk.reader,
    "conversation-tutor": talk.tutor,
    "candidate": talk.candidate,
    "plurality-answer": questions.answer,
    "attempt": questions.answer,
    "refusal": questions.refusal,
    "bogus-question": questions.bogus_question,
    "revise": critiques.revise,
    # what is judged
    "assess-story": tales.assess,
    "grade-story": tales.grade,
    "critique": critiques.critique,
    "middle-grade": gaps.grade,
    "preference": talk.preference,
    "check-answer": questions.check_answer,
}
