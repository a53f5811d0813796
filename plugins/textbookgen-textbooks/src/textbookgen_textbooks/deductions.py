"""Questions about the key step of a passage's reasoning."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

from pydantic import Field

from textbookgen import Draw, Generator, Reply, Template, UnusableReply
from textbookgen.api.reply_text import heading, read_prose
from textbookgen_textbooks.mixins import NeedsDocuments, Selective
from textbookgen_textbooks.rows import question_row, states_answer

_QUESTION, _SOLUTION = heading("question"), heading("solution")


class Deductions(NeedsDocuments, Selective, Generator):
    """Write a question with a worked solution about the key step of each passage's reasoning.

    phi-4's "Q&A creation" (arXiv 2412.08905, section 2.2): the teacher finds chains of deduction in a text, and the hardest
    step becomes the question. Passages without such a chain are rejected. Columns: `textbooks.question`,
    `textbooks.solution`.
    """

    name: ClassVar[str] = "deductions"
    task: ClassVar[str] = "deduction"
    kind: ClassVar[str] = "question"

    prompt: Annotated[str, Template] = Field("phi4/deduction.md.j2", description="prompt template")

    def parse(self, draw: Draw, reply: Reply) -> Iterable[dict[str, Any]]:
        """Return the question as one row.

        Raises:
            UnusableReply: the reply is NONE, or has no question with a solution, or its question states the answer.
        """
        text = read_prose(reply).strip()
        if text.splitlines()[-1].strip(".*` ").upper() == "NONE":
            raise UnusableReply("the passage has no chain of deduction")
        question, solution = _question_and_solution(text)
        if question.strip(".*` ").upper() == "NONE":
            raise UnusableReply("the passage has no chain of deduction")
        if states_answer(question):
            raise UnusableReply("the question states its answer")
        return [question_row(question, solution)]


def _question_and_solution(text: str) -> tuple[str, str]:
    """The last question of a text that a solution follows, with that solution."""
    for label in reversed(list(_QUESTION.finditer(text))):
        solution = _SOLUTION.search(text, label.end())
        if solution is None:
            continue
        parts = text[label.end() : solution.start()].strip(), text[solution.end() :].strip()
        if all(any(character.isalnum() for character in part) for part in parts):
            return parts
    raise UnusableReply("the reply has no question with a solution")
