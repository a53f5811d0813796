"""GPT-Eval: a teacher grades stories as a student's work, first in words, then in points."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from textbookgen import (
    Ask,
    Documents,
    Draw,
    Estimate,
    Evaluator,
    Generator,
    Input,
    Labels,
    Message,
    Reply,
    RunError,
    StageInputs,
    Template,
    UnusableReply,
)
from textbookgen_tinystories.story import told

AXES = ("grammar", "creativity", "consistency", "plot")


class Marks(BaseModel):
    """What a grader gives: points from 1 to 10, and the age group of the student, from A (3 or under) to F (13 to 16)."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"additionalProperties": False})

    grammar: int = Field(ge=1, le=10)
    creativity: int = Field(ge=1, le=10)
    consistency: int = Field(ge=1, le=10)
    plot: int = Field(ge=1, le=10)
    age: Literal["A", "B", "C", "D", "E", "F"]


class Grades(Generator):
    """Grades each completion (TinyStories, arXiv 2305.07759, section 3, "GPT-Eval").

    The grader sees the beginning, `***`, and how the student went on. It is asked for an assessment in words first, then
    for grades of grammar, creativity, consistency with the beginning and plot, and for the student's age group. Columns: one
    for each axis (`tinystories.grammar` ...), `tinystories.age`, `tinystories.assessment`.
    """

    name: ClassVar[str] = "grades"
    task: ClassVar[str] = "assess-story"
    kind: ClassVar[str] = "story"

    prompt: Annotated[str, Template] = Field(
        "tinystories/assess.md.j2", description="prompt template that asks for an assessment in words"
    )
    inputs: Annotated[Labels, Input(Documents)] = Field(
        alias="from", min_length=1, description="stages above whose completions are graded"
    )
    grade_prompt: Annotated[str, Template] = Field(
        "tinystories/grade.md.j2", description="prompt template that then asks for grades"
    )

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """Two requests a story: for words, and then for grades, which read the words again."""
        inflow = inputs.get("from", Estimate())
        if inflow.documents is None or inflow.tokens is None:
            return None
        stories = min(inflow.documents, self.sample or inflow.documents)
        each = inflow.tokens / max(inflow.documents, 1)
        read = stories * (2 * each + 400 + self.reply_tokens)
        return Estimate(stories, stories * each, 2 * stories, read, 2 * stories * self.reply_tokens)

    async def generate(self, draw: Draw, ask: Ask) -> Iterable[dict[str, Any]]:
        """The completion with its grades.

        Raises:
            UnusableReply: the grades cannot be read.
        """
        question = ask.render(self.prompt, draw)
        assessment = told(await ask(question)).strip()
        facts = {**draw, "assessment": assessment}
        talk = [
            Message("user", question),
            Message("assistant", assessment),
            Message("user", ask.render(self.grade_prompt, facts)),
        ]
        marks = _read(await ask(talk, draw=facts, task="grade-story", schema=Marks.model_json_schema()))
        document = draw["document"]
        own = {name: document.get(name) for name in ("tinystories.beginning", "tinystories.completion")}
        points = {f"tinystories.{name}": value for name, value in marks.model_dump().items()}
        return [{"text": document["text"], **own, **points, "tinystories.assessment": assessment}]


def _read(reply: Reply) -> Marks:
    result = re.search(r"\{.*\}", reply.text, re.DOTALL)
    try:
        return Marks.model_validate_json(result[0] if result else "")
    except ValidationError as error:
        raise UnusableReply("the grades cannot be read") from error


class GradeScores(Evaluator):
    """Means of the grades of each model's stories, with standard errors, and how its age groups are spread."""

    name: ClassVar[str] = "scores"

    inputs: Annotated[Labels, Input(Documents)] = Field(
        alias="from", description="stages above whose graded stories are counted, one a model"
    )

    def evaluate(self, inputs: StageInputs, out: Path) -> pl.DataFrame:
        """The figures, model by model."""
        rows = [row for label, flow in inputs.by_label("from").items() for row in self._figures(label, flow)]
        return pl.DataFrame(rows, schema=_FIGURES)

    def _figures(self, label: str, flow: Any) -> Iterator[dict[str, Any]]:
        stories = flow.scan().collect()
        missing = [name for name in (*AXES, "age") if f"tinystories.{name}" not in stories.columns]
        if missing or stories.is_empty():
            raise RunError(f"'{label}' has no graded stories", hint="grade them with `tinystories/grades`", place="from")
        for axis in AXES:
            yield _mean(label, axis, stories[f"tinystories.{axis}"].cast(pl.Float64).to_list())
        for age in "ABCDEF":
            yield _mean(label, f"age group {age}", [float(each == age) for each in stories["tinystories.age"]])


def _mean(subject: str, metric: str, values: Sequence[float]) -> dict[str, Any]:
    mean = sum(values) / len(values)
    spread = sum((value - mean) ** 2 for value in values) / max(len(values) - 1, 1)
    return {"subject": subject, "metric": metric, "value": mean, "stderr": math.sqrt(spread / len(values)), "n": len(values)}


_FIGURES = {"subject": pl.String, "metric": pl.String, "value": pl.Float64, "stderr": pl.Float64, "n": pl.Int64}
