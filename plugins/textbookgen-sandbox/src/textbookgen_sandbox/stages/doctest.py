"""Filter `doctest`: keeps the textbook pages whose snippets run and print what the comments behind them say."""

from __future__ import annotations

import ast
import re
from typing import ClassVar

import polars as pl

from textbookgen_sandbox.pool import Outcome, Program
from textbookgen_sandbox.stages.program_filter import VERDICTS, ProgramFilter, failure_detail
from textbookgen_sandbox.worker.snippets import Expectation

UNEXPECTED = "unexpected output"
_LEAD_IN = re.compile(
    r"^(?:[-=]+>|→|⇒|>>>|(?:this )?(?:(?:will )?(?:print|output|display|show)s?|result|returns?)\s*:?)\s+", re.I
)
_ASIDE = re.compile(r"\s+(?:\(|[-–—]\s|because\b|since\b)")
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]+")
_WORD = re.compile(r"\w+")
_MAX_DETAILS = 8
_MAX_OUTPUTS = 5  # outputs of one print in a detail


class Doctest(ProgramFilter):
    """Runs the Python snippets of each page in order, as one program, and compares what they print with their comments.

    A comment behind a print is read as its output (`print(2 + 3)  # 5`), and in snippets with `>>>` so is each answer. Comments
    of two words or more that share no word with the output are remarks and are ignored. A print that runs several times is
    compared with its outputs side by side. A statement may raise an error that the comment behind it names. The score is the
    share of comments that match, 0 for a page that raises. Pages without snippets are kept, without a score.
    """

    name: ClassVar[str] = "doctest"

    def decide(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Return verdicts in the order of the documents; the detail lists expected and printed text by line."""
        pages = (Program(text or "", "", self.seconds, self.max_output_kib, is_page=True) for text in docs[self.text])
        outcomes = self._pool().map(pages)
        rows = [(id, *_verdict(outcome)) for id, outcome in zip(docs["id"], outcomes, strict=True)]
        return pl.DataFrame(rows, schema=VERDICTS, orient="row")


def _verdict(outcome: Outcome) -> tuple[bool, str | None, float | None, str | None]:
    """Return keep, reason, score and detail of a page."""
    if not outcome.ok:
        return False, outcome.reason, 0.0, failure_detail(outcome)
    checked = [item for item in outcome.expectations if not is_remark(item)]
    wrong = [item for item in checked if not is_met(item)]
    score = 1 - len(wrong) / len(checked) if checked else 1.0 if outcome.snippets else None
    if not wrong:
        return True, None, score, None
    lines = [f"line {item.line}: expected {item.expected!r}, printed {_outputs(item)!r}" for item in wrong[:_MAX_DETAILS]]
    return False, UNEXPECTED, score, "\n".join(lines)


def _outputs(expectation: Expectation) -> str:
    return " | ".join(text.strip() for text in expectation.printed[:_MAX_OUTPUTS])


def is_met(expectation: Expectation) -> bool:
    """Return whether the output is as expected, ignoring space, quotes, a lead-in ("prints", "->") and an aside behind it."""
    if expectation.exact:
        return expectation.expected == expectation.printed[0]
    lines = [_normalize(text) for text in expectation.printed]
    printed = {_normalize(gap.join(lines)) for gap in (" ", ", ", "")} | (set(lines) if len(set(lines)) == 1 else set())
    expected = {_normalize(expectation.expected), _normalize(_LEAD_IN.sub("", expectation.expected))}
    return any(_matches(one, other) for one in expected for other in printed)


def is_remark(expectation: Expectation) -> bool:
    """Return whether a comment is about something else than the output."""
    words = _WORD.findall(_LEAD_IN.sub("", expectation.expected).lower())
    if expectation.exact or len(words) < 2 or _literal(expectation.expected) is not None:
        return False
    return not set(words) & set(_WORD.findall(" ".join(expectation.printed).lower()))


def _normalize(text: str) -> str:
    text = _ADDRESS.sub("0x", " ".join(text.split()))
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"`" else text


def _matches(expected: str, printed: str) -> bool:
    if expected == printed:
        return True
    if expected.endswith(("...", "…")) and printed.startswith(expected.rstrip(".…").rstrip()) and len(expected) > 4:
        return True
    if printed and expected.startswith(printed) and _ASIDE.match(expected[len(printed) :]):
        return True
    value = _literal(expected)
    return isinstance(value, set | dict | list | tuple) and value == _literal(printed)


def _literal(text: str) -> object:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None
