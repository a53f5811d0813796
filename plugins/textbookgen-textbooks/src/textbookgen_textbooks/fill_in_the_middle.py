"""Fill in the middle: a piece of a text is removed, and the teacher reasons what it was from the text around it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Annotated, Any, ClassVar

from pydantic import Field

from textbookgen import Ask, Draw, Template, UnusableReply
from textbookgen.api.reply_code import parse_python
from textbookgen.api.reply_text import heading, read_prose
from textbookgen_textbooks.json_replies import JUDGE_TEMPERATURE, ReplySchema, ask_json
from textbookgen_textbooks.mixins import MultiRequest, NeedsDocuments, Selective
from textbookgen_textbooks.seeding import draw_rng

GAP = "[...]"

_SENTENCE = re.compile(r"[^.!?\s][^.!?]*[.!?]+[\"'\u201d\u2019)]*")
_GUESS = heading("guess")
_LEADING_FENCE = re.compile(r"\A```\w*\n(.*?)\n?```", re.DOTALL)


class GuessGrade(ReplySchema):
    """How close a guess is to the original, from 1 to 5, and a hint that does not reveal it."""

    grade: int = Field(ge=1, le=5)
    hint: str


@dataclass(frozen=True)
class SplitText:
    """A text in three parts, of which the middle is removed."""

    prefix: str
    middle: str
    suffix: str


class FillInTheMiddle(NeedsDocuments, Selective, MultiRequest):
    """Write exercises in which the missing middle of a document is inferred (phi-4, arXiv 2412.08905).

    One sentence of prose or one statement of code is removed. The teacher reasons about the gap and guesses its content. A
    guess equal to the original gets grade 5, any other is graded from 1 to 5 by comparison. From `min_grade` the reasoning is
    kept; from `min_retry_grade` there is another attempt with the grader's hint, up to `max_attempts`; otherwise the document
    is rejected. Columns: `textbooks.middle`, `textbooks.grade`, `textbooks.attempt_count`.
    """

    name: ClassVar[str] = "fill-in-the-middle"
    task: ClassVar[str] = "fill-in-the-middle"
    kind: ClassVar[str] = "fill-in-the-middle"

    prompt: Annotated[str, Template] = Field(
        "phi4/fill-in-the-middle.md.j2", description="prompt template that asks for the missing piece"
    )
    grade_prompt: Annotated[str, Template] = Field("phi4/grade-guess.md.j2", description="prompt template that grades a guess")
    min_grade: int = Field(4, ge=1, le=5, description="lowest grade at which the reasoning is kept")
    min_retry_grade: int = Field(2, ge=1, le=5, description="lowest grade at which there is another attempt, with a hint")
    max_attempts: int = Field(2, gt=0, description="attempts per document")
    min_words: int = Field(5, gt=0, description="length of a sentence that may be removed, in words")

    def max_requests(self) -> float:
        """Return a guess and its grade per attempt."""
        return 2.0 * self.max_attempts

    async def generate(self, draw: Draw, ask: Ask) -> Iterable[dict[str, Any]]:
        """Return the exercise with the reasoning that led to the missing text.

        Raises:
            UnusableReply: the document is too short for a gap, or no attempt reached `min_grade`.
        """
        split = self._split(draw)
        if split is None:
            raise UnusableReply("the document has nothing to remove")
        hint = ""
        for attempt in range(1, self.max_attempts + 1):
            variables = {**draw, "prefix": split.prefix, "suffix": split.suffix, "hint": hint, "attempt": attempt}
            reply = await ask(ask.render(self.prompt, variables), draw=variables)
            reasoning, guess = read_guess(read_prose(reply))
            grade = await self._grade(split, guess, draw, ask)
            if grade.grade >= self.min_grade:
                return [_exercise_row(split, reasoning, guess, grade.grade, attempt)]
            if grade.grade < self.min_retry_grade:
                raise UnusableReply("the guess is wrong")
            hint = grade.hint
        raise UnusableReply("no attempt was good enough")

    def _split(self, draw: Draw) -> SplitText | None:
        """The document split at a piece that the draw determines; None if there is none to remove."""
        text = str(draw["document"]["text"]).strip() + "\n"
        tree = parse_python(text)
        spans = list(_sentence_spans(text, self.min_words) if tree is None else _statement_spans(text, tree))
        if not spans:
            return None
        start, end = draw_rng(draw, self.seed, "middle").choice(spans)
        return SplitText(text[:start], text[start:end], text[end:])

    async def _grade(self, split: SplitText, guess: str, draw: Draw, ask: Ask) -> GuessGrade:
        if guess.split() == split.middle.split():
            return GuessGrade(grade=5, hint="")
        variables = {**draw, "prefix": split.prefix, "suffix": split.suffix, "middle": split.middle, "guess": guess}
        return await ask_json(ask, GuessGrade, self.grade_prompt, variables, "grade-guess", JUDGE_TEMPERATURE)


def read_guess(reply: str) -> tuple[str, str]:
    """Return the reasoning and the guess of a reply: what precedes and what follows the last `GUESS:`.

    Raises:
        UnusableReply: there is no guess.
    """
    labels = list(_GUESS.finditer(reply))
    guess = reply[labels[-1].end() :].strip("\n") if labels else ""
    if not guess.strip():
        raise UnusableReply("the reply has no guess")
    fenced = _LEADING_FENCE.match(guess.strip())
    return reply[: labels[-1].start()].strip(), (fenced[1] if fenced else guess).strip("\n").rstrip()


def _exercise_row(split: SplitText, reasoning: str, guess: str, grade: int, attempts: int) -> dict[str, Any]:
    task = f"Which text is missing at {GAP}?\n\n{split.prefix}{GAP}{split.suffix}"
    return {
        "text": f"{task.rstrip()}\n\n{reasoning}\n\nThe missing text:\n\n{guess}\n",
        "textbooks.middle": split.middle,
        "textbooks.grade": grade,
        "textbooks.attempt_count": attempts,
    }


def _sentence_spans(text: str, min_words: int) -> Iterator[tuple[int, int]]:
    """Start and end of each sentence of prose except the first and the last."""
    sentences = list(_SENTENCE.finditer(text))[1:-1]
    return (sentence.span() for sentence in sentences if len(sentence[0].split()) >= min_words)


def _statement_spans(text: str, tree: ast.Module) -> Iterator[tuple[int, int]]:
    """Start and end of each statement in the functions of Python source, except docstrings and the last of each body."""
    line_starts = [0, *accumulate(len(line) + 1 for line in text.split("\n"))]
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        for statement in function.body[:-1]:
            if not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)):
                start = line_starts[statement.lineno - 1] + statement.col_offset
                yield start, line_starts[statement.end_lineno or statement.lineno] - 1
