"""Attempts: the answers that the model to be trained gives to questions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

from pydantic import Field

from textbookgen import Ask, Draw, Template, UnusableReply
from textbookgen_textbooks.concurrency import sample_replies
from textbookgen_textbooks.mixins import MultiRequest, NeedsDocuments
from textbookgen_textbooks.rows import question_of


class Attempts(NeedsDocuments, MultiRequest):
    """Answer each question several times, and add the answers to it as the column `textbooks.attempts`.

    Use the model that will be trained (such as a checkpoint) as the teacher here, and a stronger one in stages that grade.
    """

    name: ClassVar[str] = "attempts"
    task: ClassVar[str] = "attempt"
    kind: ClassVar[str] = "question"

    prompt: Annotated[str, Template] = Field("phi4/attempt.md.j2", description="prompt template")
    samples: int = Field(5, gt=0, description="answers per question")

    def max_requests(self) -> float:
        """Return one request per sample."""
        return float(self.samples)

    async def generate(self, draw: Draw, ask: Ask) -> Iterable[dict[str, Any]]:
        """Return the question with its attempts.

        Raises:
            UnusableReply: every attempt was refused or empty.
        """
        variables = {**draw, "question": question_of(draw)}
        replies = await sample_replies(ask, ask.render(self.prompt, variables), self.samples, variables, self.task)
        attempts = [reply.text.strip() for reply in replies if reply.text.strip()]
        if not attempts:
            raise UnusableReply("the question has no attempts")
        document = draw["document"]
        columns = {name: value for name, value in document.items() if name.startswith("textbooks.") and value is not None}
        return [{**columns, "text": document["text"], "textbooks.attempts": attempts}]
