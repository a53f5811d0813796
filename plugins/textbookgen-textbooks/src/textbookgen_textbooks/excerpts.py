"""Finds, in pages of the web or of books, the excerpts worth teaching from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from textbookgen import Ask, Draw, Generator, Template, UnusableReply
from textbookgen_textbooks.forms import Form, filled
from textbookgen_textbooks.kinds import AboutDocuments, Selective
from textbookgen_textbooks.together import side_by_side

_COMPLEXITY = "ABCD"


class Step(Form):
    """One step of reasoning in an excerpt."""

    assumption: str
    conclusion: str
    description: str


class Excerpt(Form):
    """What a teacher says of a passage; lines are those shown, counted from 1."""

    start_line: int
    end_line: int
    information: str
    description: str
    complexity: Literal["A", "B", "C", "D"]
    obscurity: Literal["low", "medium", "high"]
    reasoning: bool
    steps: list[Step]
    dependencies: list[str]


class Tags(Form):
    """Whether a page can teach anything, and its excerpts."""

    educational: bool
    excerpts: list[Excerpt]


class Excerpts(AboutDocuments, Selective, Generator):
    """Writes the excerpts of each document that are complex enough and hold a chain of reasoning, one document each.

    phi-4's seeds (arXiv 2412.08905, section 2.2): pages with educational potential are split into passages, and each is
    scored for factual and reasoning content. A long page is shown in windows of `window_lines`. Columns:
    `textbooks.information`, `textbooks.description`, `textbooks.complexity` (A to D), `textbooks.obscurity`,
    `textbooks.steps` and `textbooks.dependencies` (lists).
    """

    name: ClassVar[str] = "excerpts"
    task: ClassVar[str] = "tag"
    kind: ClassVar[str] = "excerpt"

    prompt: Annotated[str, Template] = Field("phi4/tag.md.j2", description="name of the prompt template")
    window_lines: int = Field(120, gt=0, description="lines of a page that the teacher is shown at once")
    least_complexity: Literal["A", "B", "C", "D"] = Field(
        "B", description="keep excerpts from this complexity on; A is the simplest"
    )
    need_reasoning: bool = Field(True, description="keep only excerpts that hold a chain of reasoning")
    fewest_words: int = Field(30, ge=0, description="keep only excerpts of so many words")

    async def generate(self, draw: Draw, ask: Ask) -> Iterable[dict[str, Any]]:
        """The excerpts worth keeping.

        Raises:
            UnusableReply: there is none, or the teacher's tags cannot be read.
        """
        lines = str(draw["document"]["text"]).splitlines()
        starts = range(0, len(lines), self.window_lines)
        result = await side_by_side(self._window(lines[start : start + self.window_lines], draw, ask) for start in starts)
        rows = [row for rows in result for row in rows]
        if not rows:
            raise UnusableReply("no excerpt is worth keeping")
        return rows

    async def _window(self, lines: list[str], draw: Draw, ask: Ask) -> list[dict[str, Any]]:
        tags = await filled(ask, Tags, self.prompt, {**draw, "lines": lines}, self.task)
        return list(self._kept(tags, lines)) if tags.educational else []

    def _kept(self, tags: Tags, lines: list[str]) -> Iterator[dict[str, Any]]:
        for item in tags.excerpts:
            text = "\n".join(lines[max(item.start_line - 1, 0) : item.end_line]).strip()
            complex_enough = _COMPLEXITY.index(item.complexity) >= _COMPLEXITY.index(self.least_complexity)
            if (
                complex_enough
                and (item.reasoning or not self.need_reasoning)
                and text
                and len(text.split()) >= self.fewest_words
            ):
                yield {
                    "text": text + "\n",
                    "textbooks.information": item.information,
                    "textbooks.description": item.description,
                    "textbooks.complexity": item.complexity,
                    "textbooks.obscurity": item.obscurity,
                    "textbooks.steps": [f"{step.assumption} => {step.conclusion}" for step in item.steps],
                    "textbooks.dependencies": item.dependencies,
                }
