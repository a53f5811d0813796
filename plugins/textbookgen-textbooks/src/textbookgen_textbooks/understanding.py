"""Grades of solutions by a teacher: how well a solution understands the problem, without executing it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field

from textbookgen import Ask, Documents, Draw, Estimate, Generator, Input, Labels, Template
from textbookgen.api.generator import Temperature
from textbookgen_textbooks.json_replies import ReplySchema, ask_json

_PROMPT_TOKENS = 300  # without the solution
#: What the grader must not know: the outcome of the tests.
_TRUTH = ("textbooks.passed", "textbooks.reason", "textbooks.steps_done", "textbooks.tests")


class Understanding(ReplySchema):
    """An evaluation in words, then a grade."""

    evaluation: str = Field(min_length=1)
    grade: int = Field(ge=0, le=10)


class UnderstandingGrades(Generator):
    """Grade how well each solution understands its problem (phi-1, arXiv 2306.11644, section 4), from 0 to 10.

    As in the paper the grader reads the problem and the solution, writes a short evaluation first, and then grades; nothing is
    executed, and the outcome of the tests is not shown. Columns: `textbooks.evaluation`, `textbooks.grade`, and those of the
    solution.
    """

    name: ClassVar[str] = "understanding"
    task: ClassVar[str] = "grade-solution"
    kind: ClassVar[str] = "solution"

    prompt: Annotated[str, Template] = Field("phi1/grade-solution.md.j2", description="prompt template")
    inputs: Annotated[Labels, Input(Documents)] = Field(
        alias="from", min_length=1, description="earlier stages of `textbooks/solutions` whose solutions are graded"
    )
    temperature: Temperature = Field(
        0.0, description='sampling temperature of the grader; "teacher" leaves it to the table of the teacher'
    )

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """Estimate one request per solution; None if their number is unknown."""
        source = inputs.get("from", Estimate())
        if source.documents is None or source.tokens is None:
            return None
        count = min(source.documents, self.sample or source.documents)
        tokens = count * source.tokens / max(source.documents, 1)
        return Estimate(count, tokens, count, tokens + _PROMPT_TOKENS * count, count * self.reply_tokens)

    def template_variables(self, option: str) -> Mapping[str, Any]:
        """Return no variables besides `document`."""
        return {}

    async def generate(self, draw: Draw, ask: Ask) -> Iterable[dict[str, Any]]:
        """Return the solution with its evaluation and grade.

        Raises:
            UnusableReply: the reply has no grade from 0 to 10.
        """
        document = draw["document"]
        shown = {**draw, "document": {name: value for name, value in document.items() if name not in _TRUTH}}
        graded = await ask_json(ask, Understanding, self.prompt, shown, self.task)
        columns = {name: value for name, value in document.items() if name.startswith("textbooks.")}
        return [
            {
                **columns,
                "text": document["text"],
                "textbooks.evaluation": graded.evaluation.strip(),
                "textbooks.grade": graded.grade,
            }
        ]
