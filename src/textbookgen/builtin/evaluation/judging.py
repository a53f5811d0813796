"""Judges: teachers that grade replies at temperature 0, in the form of a JSON schema."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from textbookgen.api.annotations import Label, Labels, Runtime
from textbookgen.api.errors import RunError, TextbookgenError
from textbookgen.api.message import Message
from textbookgen.api.teacher import Request
from textbookgen.api.teacher_client import TeacherClient
from textbookgen.api.teacher_evaluator import TeacherEvaluator
from textbookgen.builtin.evaluation.answering import ChatMode

#: The scale of grades.
MIN_GRADE, MAX_GRADE = 1, 10

#: The reply of a judge that assesses in words and then grades.
GRADE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["assessment", "grade"],
    "properties": {
        "assessment": {"type": "string"},
        "grade": {"type": "integer", "minimum": MIN_GRADE, "maximum": MAX_GRADE},
    },
}


class ReplyEvaluator(TeacherEvaluator):
    """The options of evaluations in which models and teachers reply, and a teacher may judge the replies."""

    teachers: Annotated[Labels, Label("teacher")] = Field((), description="labels of teachers that reply as checkpoints do")
    chat: ChatMode = Field(
        "auto", description="ask checkpoints as chats, in their chat template; `auto`: those that have one. Teachers always are"
    )
    max_tokens: int = Field(300, gt=0, description="maximum length of a reply in tokens; a teacher has its own")
    max_ungraded: Annotated[float, Runtime] = Field(
        0.1, ge=0, le=1, description="share of replies that the judge may leave without a grade before the step stops"
    )
    batch: Annotated[int, Runtime] = Field(32, gt=0, description="prompts per batch")


def ask_judge(
    client: TeacherClient, prompts: Sequence[str], schema: Mapping[str, Any], task: str, max_ungraded: float
) -> list[dict[str, Any] | None]:
    """Return the reply to each prompt as the object that the schema describes; None where there is no usable one.

    Args:
        client: the teacher.
        prompts: what it is asked, each alone.
        schema: a JSON schema of an object.
        task: the name of the task, for teachers that are programs.
        max_ungraded: the share of prompts that may remain without a usable reply.

    Raises:
        RunError: more of them have none.
    """
    requests = [
        Request((Message("user", prompt),), task=task, draw={"question": prompt}, schema=schema, temperature=0.0)
        for prompt in prompts
    ]
    grades: list[dict[str, Any] | None] = []
    problem = ""
    for outcome in client.ask(requests):
        if isinstance(outcome, TextbookgenError):
            problem = outcome.problem
            grades.append(None)
        else:
            grades.append(json.loads(outcome.text))
    ungraded = grades.count(None)
    if ungraded > math.ceil(max_ungraded * len(grades)):
        hint = "the replies are in the ledger; change the prompt or the judge, or raise `max_ungraded`"
        raise RunError(
            f"'{client.label}' gave no grade for {ungraded:,} of {len(grades):,} replies; the last: {problem}", hint=hint
        )
    return grades
