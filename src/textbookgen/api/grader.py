"""Grader: a filter that asks a teacher about each document, such as an LLM judge with a rubric.

A grader can be a stage, with `from`, or one of the filters in a generator's `accept`. Its requests are sent as those of a
generator are: through the ledger, within the teacher's rate limits and budget, and as part of the estimate of `recipe check`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import polars as pl
from pydantic import Field

from textbookgen.api.annotations import Label, Runtime, Template
from textbookgen.api.errors import RunError
from textbookgen.api.generator import Ask, Draw, Temperature
from textbookgen.api.stage import Filter
from textbookgen.api.teacher import Reply

#: The columns of a grader's verdicts, besides its own; `reply` is the ledger key of the last reply about the document.
VERDICT_COLUMNS: dict[str, pl.DataType] = {
    "id": pl.String(),
    "keep": pl.Boolean(),
    "reason": pl.String(),
    "score": pl.Float64(),
    "detail": pl.String(),
    "reply": pl.String(),
}


class Grader(Filter):
    """Decides about each document by asking a teacher. Write `parse`, or `grade` for several requests per document.

    A document that raises RequestRefused, TeacherBusy or UnusableReply is recorded as a failure, and dropped or kept as the
    option `ungraded` says.

    Attributes:
        task: what is requested, for teachers that are programs.
    """

    task: ClassVar[str] = ""

    teacher: Annotated[str, Label("teacher")] = Field(description="label of the teacher that grades")
    prompt: Annotated[str, Template] = Field(
        description="prompt template, by name or as text; its variable `document` is the row to grade"
    )
    seed: int = Field(0, description="another seed asks again instead of using the replies in the ledger")
    temperature: Temperature = Field(
        0.0, description='sampling temperature of the requests; "teacher" leaves it to the table of the teacher'
    )
    ungraded: Literal["drop", "keep"] = Field(
        "drop", description="what becomes of a document whose reply is missing or unusable; it counts as a failure either way"
    )
    max_failures: Annotated[float, Runtime] = Field(
        0.1, ge=0, le=1, description="share of documents that may remain ungraded before the step stops"
    )
    reply_tokens: Annotated[int, Runtime] = Field(200, gt=0, description="tokens per reply that `recipe check` should assume")
    max_cost_usd: Annotated[float | None, Runtime] = Field(
        None, ge=0, description="maximum cost of this filter in US dollars in one step, never exceeded"
    )

    def parse(self, draw: Draw, reply: Reply) -> Mapping[str, Any]:
        """Return the verdict that a reply gives.

        Args:
            draw: `draw["document"]` is the row: a mapping of its columns, with `draw` as a mapping instead of JSON.
            reply: the teacher's reply; `reply.finish` is `length` if it was truncated.

        Returns:
            `keep` (bool), and optionally `reason` (short, the same for similar cases, since reports count by it), `score`,
            `detail` (the evidence) and the columns in `own_columns`.

        Raises:
            UnusableReply: the reply contains no verdict.
        """
        raise NotImplementedError

    async def grade(self, draw: Draw, ask: Ask) -> Mapping[str, Any]:
        """Return the verdict on one document; override it for several requests per document.

        It must depend on its arguments only: after a crash it is called again, with replies from the ledger.

        Args:
            draw: as for `parse`.
            ask: sends requests to the teacher.

        Returns:
            A verdict as for `parse`.

        Raises:
            UnusableReply: the replies contain no verdict.
        """
        return self.parse(draw, await ask(ask.render(self.prompt, draw)))

    def own_columns(self) -> Mapping[str, pl.DataType]:
        """Return the names and dtypes of the verdicts' own columns."""
        return {}

    def template_variables(self, option: str) -> Mapping[str, Any] | None:
        """Return the variables besides `document` that a template of this option is rendered with, for `recipe check`.

        Args:
            option: the name of the field that names the template.

        Returns:
            Example values by name; None if they are not known, so that the template is not checked for them.
        """
        return {} if type(self).grade is Grader.grade else None

    def decide(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Refuse: the engine asks the teacher with `grade`.

        Raises:
            RunError: always.
        """
        hint = "a filter with a teacher can be a stage, or one of the filters in a generator's `accept`"
        raise RunError(f"'{self.name}' asks a teacher and cannot be called here", hint=hint)
