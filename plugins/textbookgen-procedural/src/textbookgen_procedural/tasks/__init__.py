"""Tasks of the embedded teacher, a program that stands in for a language model, by the name that generators request them by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from textbookgen_procedural.tasks import (
    application_requests,
    conversations,
    critique,
    documents,
    fill_in_the_middle,
    passages,
    questions,
    sections,
    solution_grading,
    story_grading,
    taxonomy,
    user_requests,
)

#: Each task writes a reply from random numbers and the draw of a request.
TASKS: dict[str, Callable[[Random, Mapping[str, Any]], str]] = {
    # documents written from a draw
    "story": documents.story,
    "page": documents.page,
    "exercise": documents.exercise,
    "section": sections.section,
    "draft": documents.draft,
    "taxonomy": taxonomy.taxonomy,
    "user-prompt": user_requests.user_prompt,
    # texts derived from another text
    "educational-value": documents.educational_value,
    "summary": story_grading.summary,
    "excerpts": passages.excerpts,
    "rewrite": passages.rewrite,
    "paraphrase": application_requests.paraphrase,
    "instruction-reversal": user_requests.infer_request,
    "regenerate-code": user_requests.regenerate_code,
    "deduction": questions.deduction,
    "fill-in-the-middle": fill_in_the_middle.guess,
    "conversation-user": conversations.user_message,
    "conversation-tutor": conversations.tutor_message,
    "candidate": conversations.candidate,
    "function-calls": application_requests.function_calls,
    "answer": questions.answer,
    "attempt": questions.attempt,
    "refusal": questions.refusal,
    "bogus-question": questions.bogus_question,
    "revise": critique.revise,
    # grades and checks
    "assess-story": story_grading.assess,
    "grade-story": story_grading.grade,
    "grade-solution": solution_grading.grade_solution,
    "critique": critique.critique,
    "grade-guess": fill_in_the_middle.grade,
    "grade-replies": conversations.grade_replies,
    "check-answer": questions.check_answer,
}
