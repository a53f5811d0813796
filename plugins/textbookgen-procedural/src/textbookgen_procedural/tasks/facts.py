"""What every task reads its draw with, and how it fills in a form."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from textbookgen import RequestRefused
from textbookgen_procedural.wordlists import words

Draw = Mapping[str, Any]

_SENTENCE = re.compile(r"[^.!?\n]+(?:[.!?]+[\"'\u201d)*`]*|$)")
_FENCED = re.compile(r"^```.*?^```[ \t]*$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"^```[ \t]*(?:python|py)?[ \t]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_CLAIM = re.compile(r"(?<![\w.*+/-])(-?\d+)\s*([-+*])\s*(\d+)\s*=\s*(-?\d+)(?![\d.])")


def lacking(task: str, field: str, wanted: str) -> RequestRefused:
    """The refusal of a request whose draw lacks something."""
    return RequestRefused(
        f"the draw of a task `{task}` has no good `{field}`", hint=f"the embedded teacher needs {wanted} there"
    )


def text_of(draw: Draw, task: str) -> str:
    """The text of the document that a task is about.

    Raises:
        RequestRefused: there is none.
    """
    document = draw.get("document")
    text = document.get("text") if isinstance(document, Mapping) else None
    if not isinstance(text, str) or not text.strip():
        raise lacking(task, "document", "a row with `text`")
    return text


def form(**fields: Any) -> str:
    """A filled form, as JSON."""
    return json.dumps(fields, ensure_ascii=False)


def sentences(text: str) -> list[str]:
    """The sentences of the prose in a text, code in fences and headings apart."""
    prose = "\n".join(line for line in _FENCED.sub("\n", text).splitlines() if not line.startswith("#"))
    return [item.strip() for item in _SENTENCE.findall(prose) if len(item.split()) > 2]


def code_in(text: str) -> list[str]:
    """The pieces of Python in fences, or the text itself if it is nothing but code."""
    fenced = _CODE.findall(text)
    return fenced or ([text] if re.match(r"\s*(?:def|import|from|class|#|@)", text) else [])


def false_claims(text: str) -> list[tuple[str, str]]:
    """Sums and products that a text states wrongly (`2 + 2 = 5`), each with what would be right."""
    wrong = []
    for result in _CLAIM.finditer(text):
        one, sign, other, said = int(result[1]), result[2], int(result[3]), int(result[4])
        right = one + other if sign == "+" else one - other if sign == "-" else one * other
        if right != said:
            wrong.append((result[0], f"{one} {sign} {other} = {right}"))
    return wrong


def content_words(text: str) -> set[str]:
    """The words of a text that say what it is about: those of more than three letters."""
    return {word for word in re.findall(r"[a-z_]{4,}", text.lower()) if word not in words("common words")}
