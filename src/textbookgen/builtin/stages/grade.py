"""The stage `grade`: a filter that asks a teacher about each document, with any rubric."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal

import polars as pl
from pydantic import Field

from textbookgen.api.annotations import Template
from textbookgen.api.errors import Diagnostic, UnusableReply
from textbookgen.api.generator import Ask, Draw
from textbookgen.api.grader import VERDICT_COLUMNS, Grader
from textbookgen.api.message import Message
from textbookgen.api.reply_text import complete_text, find_json, without_chatter
from textbookgen.api.teacher import Reply
from textbookgen.builtin.stages.reply_fields import JsonSchema, as_column, dtype_of, field, properties

#: `7`, `7.5`, `7/10`, `7 out of 10`, and a comment after punctuation; not a range such as `7-8`.
_NUMBER = re.compile(
    r"(?P<value>-?\d+(?:\.\d+)?)(?:[ \t]*(?:/|out of|of)[ \t]*(?P<top>\d+(?:\.\d+)?))?(?:[ \t]*points?)?"
    r"(?:[*_`]*\s*(?:[\u2013\u2014(,;.]|-(?!\s*\d))[^\n]*)?",
    re.IGNORECASE,
)
_MAX_DETAIL = 500  # characters of a reply of text that become the detail
_WORDS_BEFORE_SCORE = 3  # as in "Overall quality score: 7"
_TRUTH = {"true": True, "yes": True, "false": False, "no": False}

Value = bool | int | float | str


class Grade(Grader):
    """Asks a teacher about each document, and keeps those whose score and fields are as required.

    The reply is JSON, or text with lines such as `score: 7` (or `**Score:** 7/10`), of which the last counts. The verdict has
    the score, the teacher's reason as `detail`, and own columns. A reply without a score, or with one that is not on the
    scale, is unusable.
    """

    name: ClassVar[str] = "grade"

    prompt: Annotated[str, Template] = Field(
        description="template of the rubric, by name or as text; `document` is the row to grade, and `document.draw` has the "
        "variables that it was drawn with"
    )
    system: Annotated[str | None, Template] = Field(None, description="template of the system prompt, by name or as text")
    read_as: Literal["text", "json"] | None = Field(
        None, description="how the reply is read; unset: `json` with a `schema`, or else `text`"
    )
    reply_schema: JsonSchema = Field(
        None, alias="schema", description="JSON schema of the reply: a table, or `@FILE` for a file beside the recipe"
    )
    score: str = Field("score", description='field or line with the score; "" if the reply has none')
    scale: tuple[float, float] = Field((0, 10), description="lowest and highest score; other scores are unusable")
    min_score: float | None = Field(None, description="drop documents with a lower score")
    max_score: float | None = Field(None, description="drop documents with a higher score, such as questions too easy")
    require: dict[str, Value] = Field(
        default_factory=dict, description="fields or lines, and the value that each must have, such as { safe = true }"
    )
    explanation: str = Field(
        "reason", description="field or line with the teacher's reason; of text without one, what precedes the score"
    )
    columns: dict[str, str] = Field(
        default_factory=dict,
        description="further columns of the verdicts, stored as `grade.NAME`: fields or lines of the reply",
    )
    program_task: str = Field("", alias="task", description="what is requested, for teachers that are programs")

    def check(self) -> Iterable[Diagnostic]:
        """Report thresholds off the scale, and fields that the schema lacks."""
        low, high = self.scale
        if low >= high:
            yield Diagnostic("scale", f"{low:g} is not below {high:g}", "write [LOWEST, HIGHEST]")
        for option in ("min_score", "max_score"):
            value = getattr(self, option)
            if value is None:
                continue
            if not self.score:
                yield Diagnostic(option, 'there is no score to compare: score = ""', "name the field with the score")
            elif not low <= value <= high:
                yield Diagnostic(option, f"{value:g} is not on the scale from {low:g} to {high:g}", "change `scale`")
        if self.reply_schema is not None and self._mode == "text":
            yield Diagnostic("schema", 'has no effect with read_as = "text"', 'remove it, or set read_as = "json"')
        known = properties(self.reply_schema)
        named = {"score": [self.score] if self.score else [], "require": self.require, "columns": self.columns.values()}
        for option, names in named.items():
            for name in names if known else ():
                if name.split(".")[0] not in known:
                    yield Diagnostic(option, f"the schema has no field '{name}'", f"it has {', '.join(known)}")

    def columns_of_verdicts(self) -> dict[str, str]:
        """Return the own columns of the verdicts, by name, with the field or line that each holds."""
        return {name if "." in name else f"{self.name}.{name}": source for name, source in self.columns.items()}

    def own_columns(self) -> Mapping[str, pl.DataType]:
        """Return the own columns of the verdicts."""
        known = properties(self.reply_schema)
        return {name: dtype_of(known.get(source)) for name, source in self.columns_of_verdicts().items()}

    def template_variables(self, option: str) -> Mapping[str, Any]:
        """Return no variables besides `document`."""
        return {}

    @property
    def _mode(self) -> str:
        return self.read_as or ("text" if self.reply_schema is None else "json")

    async def grade(self, draw: Draw, ask: Ask) -> Mapping[str, Any]:
        """Ask once, and return the verdict in the reply."""
        system = [Message("system", ask.render(self.system, draw))] if self.system else []
        messages = [*system, Message("user", ask.render(self.prompt, draw))]
        return self.parse(draw, await ask(messages, task=self.program_task, schema=self.reply_schema))

    def parse(self, draw: Draw, reply: Reply) -> Mapping[str, Any]:
        """Return the verdict in a reply.

        Raises:
            UnusableReply: the reply lacks the score or a required field, or has a score that is not on the scale.
        """
        text = complete_text(reply)
        values = self._from_json(text) if self._mode == "json" else self._from_text(text)
        verdict: dict[str, Any] = {"detail": self._detail(values, text)}
        if self.score:
            verdict["score"] = self._score(values[self.score])
        dtypes = self.own_columns()
        for name, source in self.columns_of_verdicts().items():
            verdict[name] = as_column(values[source], dtypes[name])
        reason = self._reason(values, verdict.get("score"))
        return verdict | {"keep": not reason, "reason": reason or None}

    # -- reading

    def _from_json(self, text: str) -> dict[str, Any]:
        value = find_json(text)
        if not isinstance(value, Mapping):
            raise UnusableReply("the reply is not a JSON object")
        return {name: field(value, name) for name in self._sources()}

    def _from_text(self, text: str) -> dict[str, Any]:
        values = {name: _last_line(text, _line(name)) for name in self._sources()}
        return values | ({self.score: _last_line(text, _line(self.score, _WORDS_BEFORE_SCORE))} if self.score else {})

    def _sources(self) -> list[str]:
        return [*filter(None, (self.score, self.explanation)), *self.require, *self.columns.values()]

    def _score(self, value: Any) -> float:
        low, high = self.scale
        if value is None:
            raise UnusableReply(f"the reply has no `{self.score}`", hint="does the prompt ask for it?")
        number = None if isinstance(value, bool) else _NUMBER.fullmatch(str(value).strip().strip("*_`\"'. "))
        if number is None:
            raise UnusableReply(f"`{self.score}` in the reply is not a number: {str(value)[:40]}")
        score, top = float(number["value"]), number["top"]
        if not low <= score <= high or (top is not None and float(top) != high):
            problem = f"the score is not on the scale from {low:g} to {high:g}"
            raise UnusableReply(f"{problem}: {str(value)[:40]}", hint="does the prompt state the scale?")
        return score

    def _detail(self, values: Mapping[str, Any], text: str) -> str | None:
        stated = values.get(self.explanation) if self.explanation else None
        if stated is None and self._mode == "text" and self.score:
            lines = list(_line(self.score, _WORDS_BEFORE_SCORE).finditer(text))
            stated = without_chatter(text[: lines[-1].start()]) if lines else None
        if stated is None:
            return None
        return str(as_column(stated, VERDICT_COLUMNS["detail"]))[:_MAX_DETAIL].strip() or None

    # -- deciding

    def _reason(self, values: Mapping[str, Any], score: float | None) -> str:
        """Return why the document is dropped; empty if it is kept."""
        for name, expected in self.require.items():
            if values[name] is None:
                raise UnusableReply(f"the reply has no `{name}`", hint="does the prompt ask for it?")
            if _plain(values[name]) != _plain(expected):
                return f"{name} is not {str(expected).lower() if isinstance(expected, bool) else expected}"
        if score is not None and self.min_score is not None and score < self.min_score:
            return f"score below {self.min_score:g}"
        if score is not None and self.max_score is not None and score > self.max_score:
            return f"score above {self.max_score:g}"
        return ""


def _plain(value: Any) -> Any:
    """Return a value as it is compared: words without case and punctuation, numbers and yes or no by their meaning."""
    if isinstance(value, str):
        word = value.strip().strip("*_`\"'.,! ").casefold()
        if word in _TRUTH:
            return _TRUTH[word]
        number = _NUMBER.fullmatch(word)
        return float(number["value"]) if number and not number["top"] else word
    return value if isinstance(value, bool) or not isinstance(value, int | float) else float(value)


def _line(name: str, words_before: int = 0) -> re.Pattern[str]:
    """Return a pattern for a line `Name: value`, with any markup; a number of words may precede the name."""
    label = r"[ _-]+".join(map(re.escape, re.split(r"[ _-]+", name.strip())))
    return re.compile(
        rf"^[\W_]*(?:[a-z]+[ \t]+){{0,{words_before}}}{label}[ \t*_`]*[:=][ \t*_`]*(?P<value>\S[^\n]*?)[ \t*_`]*$", re.I | re.M
    )


def _last_line(text: str, pattern: re.Pattern[str]) -> str | None:
    lines = list(pattern.finditer(text))
    return lines[-1]["value"] if lines else None
