"""GPT-Eval: a teacher grades completions as a student's work, first in words, then in points."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from textbookgen import Ask, Documents, Draw, Estimate, Generator, Input, Labels, Message, Reply, Template, UnusableReply
from textbookgen.api.generator import Temperature
from textbookgen.api.reply_text import read_plain_text
from textbookgen_tinystories.records import Record, read_record

_PROMPT_TOKENS = 400  # of both prompts, without the story
_KEPT = ("tinystories.beginning", "tinystories.completion", "tinystories.original")
_OBJECT = re.compile(r"\{[^{}]*\}")


class StoryGrades(BaseModel):
    """Grades from 1 to 10, and the age group of the student, from A (3 or younger) to F (13 to 16)."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"additionalProperties": False})

    grammar: int = Field(ge=1, le=10)
    creativity: int = Field(ge=1, le=10)
    consistency: int = Field(ge=1, le=10)
    plot: int = Field(ge=1, le=10)
    age: Literal["A", "B", "C", "D", "E", "F"]


class InstructGrades(StoryGrades):
    """Grades of a story that was written for instructions."""

    instruction_following: int = Field(ge=1, le=10)


class Grades(Generator):
    """Grade each completion (TinyStories, arXiv 2305.07759, section 3, "GPT-Eval").

    The grader sees the beginning, `***`, and the completion. It first writes an assessment, then grades grammar, creativity,
    consistency with the beginning and plot, and estimates the student's age group. A story that was written for the header of
    a record (`tinystories/instruct`) is shown with these instructions, and graded for following them too. Columns: one per
    criterion (`tinystories.grammar`, …; `tinystories.instruction_following` is null without instructions),
    `tinystories.age`, `tinystories.assessment`.
    """

    name: ClassVar[str] = "grades"
    task: ClassVar[str] = "assess-story"
    kind: ClassVar[str] = "story"
    version: ClassVar[int] = 2

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
        document = draw["document"]
        record = read_record(str(document.get("tinystories.beginning") or ""))
        shown = {**draw, "instructions": "\n".join(f"{field}: {value}" for field, value in record.header)}
        if record.header:
            shown["document"] = {**document, **_instruction_columns(record)}
        question = ask.render(self.prompt, shown)
        assessment = read_plain_text(await ask(question, draw=shown)).strip()
        variables = {**shown, "assessment": assessment}
        messages = [
            Message("user", question),
            Message("assistant", assessment),
            Message("user", ask.render(self.grade_prompt, variables)),
        ]
        schema = InstructGrades if record.header else StoryGrades
        reply = await ask(messages, draw=variables, task="grade-story", schema=schema.model_json_schema())
        grades = read_grades(reply, schema).model_dump()
        return [
            {
                "text": document["text"],
                **{name: document.get(name) for name in _KEPT},
                **{f"tinystories.{name}": value for name, value in grades.items()},
                "tinystories.instruction_following": grades.get("instruction_following"),
                "tinystories.assessment": assessment,
            }
        ]

    def requests_per_draw(self) -> int:
        """Return two: the assessment and the grades."""
        return 2

    def template_variables(self, option: str) -> Mapping[str, Any]:
        """Return the instructions of a story, and for the grades also the assessment."""
        return {"instructions": "", **({"assessment": ""} if option == "grade_prompt" else {})}


def _instruction_columns(record: Record) -> dict[str, Any]:
    """What a header asks for, by the columns that stories have it in."""
    values = dict(record.header)
    return {
        "tinystories.words": list(record.words),
        "tinystories.features": list(record.features),
        "tinystories.summary": values.get("Summary"),
        "tinystories.sentence": values.get("Random sentence"),
    }


def read_grades(reply: Reply, schema: type[StoryGrades] = StoryGrades) -> StoryGrades:
    """Return the last grades in a reply, whatever text surrounds them.

    Args:
        reply: the reply.
        schema: which grades it must have.

    Raises:
        UnusableReply: there are none.
    """
    for candidate in reversed(_OBJECT.findall(reply.text)):
        try:
            return schema.model_validate_json(candidate)
        except ValidationError:
            continue
    raise UnusableReply("the grades cannot be read")
