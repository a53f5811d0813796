"""Reads what teachers write: fenced code, code without a fence, and texts wrapped in a fence of their own."""

from __future__ import annotations

import ast
import re
import warnings

from textbookgen import Reply, UnusableReply

_FENCE = re.compile(r"^```[ \t]*(?P<language>[\w+-]*)[^\n]*\n(?P<body>.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)
_WRAPPED = re.compile(r"\A\s*```[ \t]*(?:markdown|md)[ \t]*\n(?P<body>.*)^```\s*\Z", re.MULTILINE | re.DOTALL)


def prose(reply: Reply) -> str:
    """The text of a reply, without a fence around all of it, ending in one newline.

    Raises:
        UnusableReply: the reply is empty, or was cut off before its end.
    """
    if reply.finish == "length":
        raise UnusableReply("the reply was cut off")
    wrapped = _WRAPPED.match(reply.text)
    text = (wrapped["body"] if wrapped else reply.text).strip()
    if not text:
        raise UnusableReply("the reply is empty")
    return text + "\n"


def snippets(text: str) -> list[str]:
    """The Python code in fences, in order; a fence that names no language counts as Python."""
    return [result["body"] for result in _FENCE.finditer(text) if result["language"].lower() in ("", "python", "py", "python3")]


def code(reply: Reply) -> str:
    """All the code of a reply: what stands in its fences, and asserts that follow them; or all of it, if it has no fence.

    Raises:
        UnusableReply: the reply is empty, or was cut off before its end.
    """
    text = prose(reply)
    fenced = snippets(text)
    if not fenced:
        return text
    after = text[[*_FENCE.finditer(text)][-1].end() :]
    trailing = [line for line in after.splitlines() if line.startswith("assert ")]
    return "\n".join([*(item.rstrip("\n") for item in fenced), *trailing]) + "\n"


def parsed(source: str) -> ast.Module | None:
    """The syntax tree of a piece of Python, or None if it is not Python."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an odd escape in a teacher's string is no trouble of ours
        try:
            return ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None
