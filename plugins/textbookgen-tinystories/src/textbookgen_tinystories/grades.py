"""GPT-Eval: a teacher grades completions as a student's work, first in words, then in points."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from textbookgen import Ask, Documents, Draw, Estimate, Generator, Input, Labels, Message, Reply, Template, UnusableReply
from textbookgen.api.generator import Temperature
from textbookgen.api.reply_text import read_plain_text

_PROMPT_TOKENS = 400  # of both prompts, without the story
_OBJECT = re.compile(r"\{[^{}]*\}")


class StoryGrades(BaseModel):
    """Grades from 1 to 10, and the age group of the student, from A (3 or younger) to F (13 to 16)."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"additionalProperties": False})

    grammar: int = Field(ge=1, le=10)
    creativity: int = Field(ge=1, le=10)
    consistency: int = Field(ge=1, le=10)
    plot: int = Field(ge=1, le=10)
    age: Literal["A", "B", "C", "D", "E", "F"]


class Grades(Generator):
    """Grade each completion (TinyStories, arXiv 2305.07759, section 3, "GPT-Eval").

    The grader sees the beginning, `***`, and the completion. It first writes an assessment, then grades grammar, creativity,
    consistency with the beginning and plot, and estimates the student's age group. Columns: one per criterion
    (`tinystories.grammar`, …), `tinystories.age`, `tinystories.assessment`.
    """

    name: ClassVar[str] = "grades"
    task: ClassVar[str] = "assess-story"
    kind: ClassVar[str] = "story"

    prompt: Annotated[str, Template] = Field(
        "tinystories/assess-story.md.j2", description="prompt template that asks for an assessment in words"
    )
    inputs: Annotated[Labels, Input(Documents)] = Field(
        alias="from", min_length=1, description="earlier stages whose completions are graded"
    )
    grade_prompt: Annotated[str, Template] = Field(
        "tinystories/grade-story.md.j2", description="prompt template that then asks for grades"
    )
    temperature: Temperature = Field(
        0.0, description='sampling temperature of the grader; "teacher" leaves it to the table of the teacher'
    )

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """Estimate two requests per story, the second of which contains the first and its reply."""
        source = inputs.get("from", Estimate())
        if source.documents is None or source.tokens is None:
            return None
        stories = min(source.documents, self.sample or source.documents)
        story_tokens = source.tokens / max(source.documents, 1)
        tokens_in = stories * (2 * story_tokens + _PROMPT_TOKENS + self.reply_tokens)
        return Estimate(stories, stories * story_tokens, 2 * stories, tokens_in, 2 * stories * self.reply_tokens)

    async def generate(self, draw: Draw, ask: Ask) -> Iterable[dict[str, Any]]:
        """Return the completion with its grades.

        Raises:
            UnusableReply: the assessment is empty or cut off, or the grades cannot be read.
        """
        question = ask.render(self.prompt, draw)
        assessment = read_plain_text(await ask(question)).strip()
        variables = {**draw, "assessment": assessment}
        messages = [
            Message("user", question),
            Message("assistant", assessment),
            Message("user", ask.render(self.grade_prompt, variables)),
        ]
        reply = await ask(messages, draw=variables, task="grade-story", schema=StoryGrades.model_json_schema())
        document, grades = draw["document"], read_grades(reply)
        return [
            {
                "text": document["text"],
                **{name: document.get(name) for name in ("tinystories.beginning", "tinystories.completion")},
                **{f"tinystories.{name}": value for name, value in grades.model_dump().items()},
                "tinystories.assessment": assessment,
            }
        ]


def read_grades(reply: Reply) -> StoryGrades:
    """Return the last grades in a reply, whatever text surrounds them.

    Raises:
        UnusableReply: there are none.
    """
    for candidate in reversed(_OBJECT.findall(reply.text)):
        try:
            return StoryGrades.model_validate_json(candidate)
        except ValidationError:
            continue
    raise UnusableReply("the grades cannot be read")
