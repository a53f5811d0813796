"""Excerpts of web pages and books that are worth teaching from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from textbookgen import Ask, Draw, Generator, Template, UnusableReply
from textbookgen_textbooks.concurrency import gather
from textbookgen_textbooks.json_replies import ReplySchema, ask_json
from textbookgen_textbooks.mixins import NeedsDocuments, Selective

Complexity = Literal["A", "B", "C", "D"]

_COMPLEXITIES = "ABCD"


class ReasoningStep(ReplySchema):
    """One step of reasoning in an excerpt."""

    assumption: str
    conclusion: str
    description: str


class Excerpt(ReplySchema):
    """A run of lines with its annotations; lines are numbered from 1 within the window shown."""

    start_line: int
    end_line: int
    information: str
    description: str
    complexity: Complexity
    obscurity: Literal["low", "medium", "high"]
    reasoning: bool
    steps: list[ReasoningStep]
    dependencies: list[str]


class PageAnnotation(ReplySchema):
    """Whether a page is educational, and its excerpts."""

    educational: bool
    excerpts: list[Excerpt]


class Excerpts(NeedsDocuments, Selective, Generator):
    """Write the excerpts of each document that are complex enough and contain reasoning, one document each.

    phi-4's seeds (arXiv 2412.08905, section 2.2): pages with educational potential are split into passages, and each is
    scored for factual and reasoning content. A long page is shown in windows of `window_lines`. Columns:
    `textbooks.information`, `textbooks.description`, `textbooks.complexity` (A to D), `textbooks.obscurity`,
    `textbooks.steps` and `textbooks.dependencies` (lists).
    """

    name: ClassVar[str] = "excerpts"
    task: ClassVar[str] = "excerpts"
    kind: ClassVar[str] = "excerpt"

    prompt: Annotated[str, Template] = Field("phi4/excerpts.md.j2", description="prompt template")
    window_lines: int = Field(120, gt=0, description="lines of a page per request")
    min_complexity: Complexity = Field("B", description="lowest complexity to keep; A is the simplest, D the most complex")
    require_reasoning: bool = Field(True, description="keep only excerpts that draw conclusions")
    min_words: int = Field(30, ge=0, description="reject shorter excerpts")

    async def generate(self, draw: Draw, ask: Ask) -> Iterable[dict[str, Any]]:
        """Return the excerpts to keep, in the order of the page.

        Raises:
            UnusableReply: there is none, or a reply does not match the schema.
        """
        lines = str(draw["document"]["text"]).splitlines()
        starts = range(0, len(lines), self.window_lines)
        windows = await gather(self._window(lines[start : start + self.window_lines], draw, ask) for start in starts)
        rows = [row for window in windows for row in window]
        if not rows:
            raise UnusableReply("no excerpt is worth keeping")
        return rows

    async def _window(self, lines: list[str], draw: Draw, ask: Ask) -> list[dict[str, Any]]:
        annotation = await ask_json(ask, PageAnnotation, self.prompt, {**draw, "lines": lines}, self.task)
        return list(self._rows(annotation.excerpts, lines)) if annotation.educational else []

    def _rows(self, excerpts: list[Excerpt], lines: list[str]) -> Iterator[dict[str, Any]]:
        for excerpt in excerpts:
            text = "\n".join(lines[max(excerpt.start_line - 1, 0) : excerpt.end_line]).strip()
            if text and self._is_kept(excerpt) and len(text.split()) >= self.min_words:
                yield {
                    "text": text + "\n",
                    "textbooks.information": excerpt.information,
                    "textbooks.description": excerpt.description,
                    "textbooks.complexity": excerpt.complexity,
                    "textbooks.obscurity": excerpt.obscurity,
                    "textbooks.steps": [f"{step.assumption} => {step.conclusion}" for step in excerpt.steps],
                    "textbooks.dependencies": excerpt.dependencies,
                }

    def _is_kept(self, excerpt: Excerpt) -> bool:
        is_complex = _COMPLEXITIES.index(excerpt.complexity) >= _COMPLEXITIES.index(self.min_complexity)
        return is_complex and (excerpt.reasoning or not self.require_reasoning)
