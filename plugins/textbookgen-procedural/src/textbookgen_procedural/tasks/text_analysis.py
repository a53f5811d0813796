"""Analysis of texts: sentences, code blocks, wrong equations and content words."""

from __future__ import annotations

import re

from textbookgen_procedural.data_files import words

_SENTENCE = re.compile(r"[^.!?\n]+(?:[.!?]+[\"'\u201d)*`]*|$)")
_CODE_BLOCK = re.compile(r"^```.*?^```[ \t]*$", re.MULTILINE | re.DOTALL)
_PYTHON_BLOCK = re.compile(r"^```[ \t]*(?:python|py)?[ \t]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_EQUATION = re.compile(r"(?<![\w.*+/-])(?<![-+*/] )(-?\d+)\s*([-+*])\s*(\d+)\s*=\s*(-?\d+)(?![\d.])")


def sentences(text: str) -> list[str]:
    """Return the sentences of three words or more in a text, without headings and code blocks."""
    prose = "\n".join(line for line in _CODE_BLOCK.sub("\n", text).splitlines() if not line.startswith("#"))
    return [item.strip() for item in _SENTENCE.findall(prose) if len(item.split()) > 2]


def python_blocks(text: str) -> list[str]:
    """Return the Python code blocks of a text, or the text itself if it looks like code."""
    blocks = _PYTHON_BLOCK.findall(text)
    return blocks or ([text] if re.match(r"\s*(?:def|import|from|class|#|@)", text) else [])


def wrong_equations(text: str) -> list[tuple[str, str]]:
    """Return the sums, differences and products that a text states wrongly (`2 + 2 = 5`), each with its correction."""
    wrong = []
    for match in _EQUATION.finditer(text):
        one, sign, other, stated = int(match[1]), match[2], int(match[3]), int(match[4])
        right = one + other if sign == "+" else one - other if sign == "-" else one * other
        if right != stated:
            wrong.append((match[0], f"{one} {sign} {other} = {right}"))
    return wrong


def content_words(text: str) -> set[str]:
    """Return the words of four letters or more that are not common words."""
    return {word for word in re.findall(r"[a-z_]{4,}", text.lower()) if word not in words("common words")}
