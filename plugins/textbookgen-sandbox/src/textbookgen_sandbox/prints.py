"""Judge `prints`: keeps the textbook pages whose snippets run, and print what the comments behind them say."""

from __future__ import annotations

import ast
import re
from typing import ClassVar

import polars as pl

from textbookgen_sandbox.inside.page import Note
from textbookgen_sandbox.pool import Outcome, Program
from textbookgen_sandbox.running import VERDICTS, RunsPrograms, detail

_PREFIX = re.compile(
    r"^(?:[-=]+>|→|⇒|>>>|(?:this )?(?:(?:will )?(?:print|output|display|show)s?|result|returns?)\s*:?)\s+", re.I
)
_ASIDE = re.compile(r"\s+(?:\(|[-–—]\s|because\b|since\b)")
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]+")
_WORD = re.compile(r"\w+")
OTHER = "prints something else"


class Doctest(RunsPrograms):
    """Runs the Python snippets of each page in order, as one program, and holds prints to their comments.

    A comment behind a print is taken as what it prints (`print(2 + 3)  # 5`); in snippets with `>>>`, so is each answer.
    Comments that are remarks are let be: two words or more, none of which is printed. A print that runs several times is
    held to its outputs side by side. A statement may raise an error that the comment behind it names. The score is the share
    of comments that are right, 0 for a page that stops. Pages without snippets are kept, without a score.
    """

    name: ClassVar[str] = "doctest"

    def decide(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Verdicts in the order of the documents; the detail of a wrong page says line by line what it says and prints."""
        pages = (Program(text or "", "", self.seconds, self.max_output_kib, page=True) for text in docs[self.text])
        outcomes = self._pool().map(pages)
        rows = [(id, *_verdict(outcome)) for id, outcome in zip(docs["id"], outcomes, strict=True)]
        return pl.DataFrame(rows, schema=VERDICTS, orient="row")


def _verdict(outcome: Outcome) -> tuple[bool, str | None, float | None, str | None]:
    """keep, reason, score and detail of a page."""
    if not outcome.ok:
        return False, outcome.reason, 0.0, detail(outcome)
    held = [note for note in outcome.notes if not is_remark(note)]
    wrong = [note for note in held if not is_true(note)]
    score = 1 - len(wrong) / len(held) if held else 1.0 if outcome.snippets else None
    if not wrong:
        return True, None, score, None
    return (
        False,
        OTHER,
        score,
        "\n".join(f"line {note.line}: says {note.says!r}, prints {_shown(note)!r}" for note in wrong[:8]),
    )


def _shown(note: Note) -> str:
    return " | ".join(text.strip() for text in note.printed[:5])


def is_true(note: Note) -> bool:
    """Whether what a comment says is what was printed, give or take space, quotes, a word before and an aside after."""
    if note.exact:
        return note.says == note.printed[0]
    lines = [_plain(text) for text in note.printed]
    printed = {_plain(gap.join(lines)) for gap in (" ", ", ", "")} | (set(lines) if len(set(lines)) == 1 else set())
    said = {_plain(note.says), _plain(_PREFIX.sub("", note.says))}
    return any(_same(words, text) for words in said for text in printed)


def is_remark(note: Note) -> bool:
    """Whether a comment speaks of something else than what is printed."""
    words = _WORD.findall(_PREFIX.sub("", note.says).lower())
    if note.exact or len(words) < 2 or _value(note.says) is not None:
        return False
    return not set(words) & set(_WORD.findall(" ".join(note.printed).lower()))


def _plain(text: str) -> str:
    text = _ADDRESS.sub("0x", " ".join(text.split()))
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"`" else text


def _same(said: str, printed: str) -> bool:
    if said == printed:
        return True
    if said.endswith(("...", "…")) and printed.startswith(said.rstrip(".…").rstrip()) and len(said) > 4:
        return True
    if printed and said.startswith(printed) and _ASIDE.match(said[len(printed) :]):
        return True
    value = _value(said)
    return isinstance(value, set | dict | list | tuple) and value == _value(printed)


def _value(text: str) -> object:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None
