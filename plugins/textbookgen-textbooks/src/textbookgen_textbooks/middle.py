"""Fill in the middle: a piece of a text is taken out and reasoned back from what stands around it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Annotated, Any, ClassVar

from pydantic import Field

from textbookgen import Ask, Draw, Template, UnusableReply
from textbookgen_textbooks.forms import Form, filled
from textbookgen_textbooks.kinds import AboutDocuments, Selective, SeveralTurns
from textbookgen_textbooks.replies import parsed, prose
from textbookgen_textbooks.together import chance

GAP = "[...]"

_SENTENCE = re.compile(r"[^.!?\s][^.!?]*[.!?]+[\"'\u201d\u2019)]*")
_GUESS = re.compile(r"^\W*GUESS\W*:[*\s]*", re.MULTILINE)
_FENCE = re.compile(r"\A```\w*\n(.*?)\n?```\s*\Z", re.DOTALL)


class Grade(Form):
    """How close a guess came, 1 to 5, and a hint that does not give it away."""

    grade: int = Field(ge=1, le=5)
    hint: str


@dataclass(frozen=True)
class Gapped:
    """A text in three pieces, of which the middle one is to be found."""

    before: str
    middle: str
    after: str


class Middle(AboutDocuments, Selective, SeveralTurns):
    """Writes exercises in which the missing middle of a document is reasoned back (phi-4, arXiv 2412.08905).

    A sentence of prose or a statement of code is taken out. The teacher reasons about what stood there and guesses; a guess
    that is the same text has full marks, another is graded from 1 to 5 by comparison. From `good` on the reasoning is kept;
    from `hopeful` on it is tried again, with the hint, `attempts` times in all; else the document is refused. Columns:
    `textbooks.middle`, `textbooks.grade`, `textbooks.attempts`.
    """

    name: ClassVar[str] = "fill-in-the-middle"
    task: ClassVar[str] = "middle-guess"
    kind: ClassVar[str] = "middle"

    prompt: Annotated[str, Template] = Field("phi4/middle.md.j2", description="prompt template that asks for the missing piece")
    grade_prompt: Annotated[str, Template] = Field("phi4/middle-grade.md.j2", description="prompt template that grades a guess")
    good: int = Field(4, ge=1, le=5, description="grade from which on an attempt is kept")
    hopeful: int = Field(2, ge=1, le=5, description="grade from which on another attempt is made, with a hint")
    attempts: int = Field(2, gt=0, description="attempts at most")
    fewest_words: int = Field(5, gt=0, description="a piece of prose that is taken out has at least so many words")

    def requests(self) -> float:
        """A guess and its grade, each attempt."""
        return 2.0 * self.attempts

    async def generate(self, draw: Draw, ask: Ask) -> Iterable[dict[str, Any]]:
        """The exercise with the reasoning that found the middle.

        Raises:
            UnusableReply: the document has no middle to take out, or no attempt was good.
        """
        gapped = self._gapped(draw)
        if gapped is None:
            raise UnusableReply("the document has no middle to take out")
        hint = ""
        for attempt in range(1, self.attempts + 1):
            facts = {**draw, "before": gapped.before, "after": gapped.after, "hint": hint, "attempt": attempt}
            reasoning, guess = _guessed(prose(await ask(ask.render(self.prompt, facts), draw=facts)))
            grade = await self._graded(gapped, guess, draw, ask)
            if grade.grade >= self.good:
                return [self._row(gapped, reasoning, guess, grade.grade, attempt)]
            if grade.grade < self.hopeful:
                raise UnusableReply("the middle was not found")
            hint = grade.hint
        raise UnusableReply("the middle was not found in all attempts")

    def _gapped(self, draw: Draw) -> Gapped | None:
        """The document with a piece taken out that belongs to the draw."""
        text = str(draw["document"]["text"]).strip() + "\n"
        spans = list(_sentences(text, self.fewest_words) if parsed(text) is None else _statements(text))
        if not spans:
            return None
        start, end = chance(draw, self.seed, "middle").choice(spans)
        return Gapped(text[:start], text[start:end], text[end:])

    async def _graded(self, gapped: Gapped, guess: str, draw: Draw, ask: Ask) -> Grade:
        if guess.split() == gapped.middle.split():
            return Grade(grade=5, hint="")
        facts = {**draw, "before": gapped.before, "after": gapped.after, "middle": gapped.middle, "guess": guess}
        return await filled(ask, Grade, self.grade_prompt, facts, "middle-grade")

    def _row(self, gapped: Gapped, reasoning: str, guess: str, grade: int, attempts: int) -> dict[str, Any]:
        task = f"What stands where {GAP} is?\n\n{gapped.before}{GAP}{gapped.after}"
        return {
            "text": f"{task.rstrip()}\n\n{reasoning}\n\nThe missing piece:\n\n{guess}\n",
            "textbooks.middle": gapped.middle,
            "textbooks.grade": grade,
            "textbooks.attempts": attempts,
        }


def _guessed(reply: str) -> tuple[str, str]:
    """The reasoning and the guess of a reply.

    Raises:
        UnusableReply: there is no guess.
    """
    marks = list(_GUESS.finditer(reply))
    if not marks:
        raise UnusableReply("the reply has no guess")
    guess = reply[marks[-1].end() :].strip("\n")
    fenced = _FENCE.match(guess.strip())
    if not guess.strip():
        raise UnusableReply("the reply has no guess")
    return reply[: marks[-1].start()].strip(), (fenced[1] if fenced else guess).strip("\n").rstrip()


def _sentences(text: str, fewest_words: int) -> Iterator[tuple[int, int]]:
    """Where sentences of prose stand that are neither the first nor the last."""
    result = list(_SENTENCE.finditer(text))[1:-1]
    return (item.span() for item in result if len(item[0].split()) >= fewest_words)


def _statements(text: str) -> Iterator[tuple[int, int]]:
    """Where statements stand in the functions of a piece of Python, docstrings and the last of each body apart."""
    tree = parsed(text) or ast.Module([], [])
    starts = [0, *accumulate(len(line) + 1 for line in text.split("\n"))]
    for function in (item for item in ast.walk(tree) if isinstance(item, ast.FunctionDef)):
        for item in function.body[:-1]:
            if not (isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant)):
                yield starts[item.lineno - 1] + item.col_offset, starts[item.end_lineno or item.lineno] - 1
