"""Read the Python code in the replies of language models: in code fences, with the asserts below, or without any code fence."""

from __future__ import annotations

import ast
import re
import textwrap
import warnings

from textbookgen.api.reply_text import complete_text, without_chatter
from textbookgen.api.teacher import Reply

_FENCE = re.compile(
    r"^[ \t]*(?P<marks>`{3,}|~{3,})[ \t]*(?P<language>[\w+-]*)[^\n`]*\n(?P<body>.*?)^[ \t]*(?P=marks)[ \t]*$",
    re.MULTILINE | re.DOTALL,
)
_PYTHON = ("", "python", "py", "python3")


def python_snippets(text: str) -> list[str]:
    """Return the Python code in code fences, in order; a code fence without a language counts as Python."""
    return [textwrap.dedent(match["body"]) for match in _FENCE.finditer(text) if match["language"].lower() in _PYTHON]


def read_code(reply: Reply) -> str:
    """Return the code of a reply: its Python snippets and asserts below them, or all of it if it has no code fence.

    Raises:
        UnusableReply: the reply is empty, was truncated or filtered, or declines to answer.
    """
    text = complete_text(reply)
    snippets = python_snippets(text)
    if not snippets:
        return without_chatter(text) + "\n"
    after = text[[*_FENCE.finditer(text)][-1].end() :]
    asserts = [line for line in after.splitlines() if line.startswith("assert ")]
    return "\n".join([*(snippet.rstrip("\n") for snippet in snippets), *asserts]) + "\n"


def parse_python(source: str) -> ast.Module | None:
    """Return the syntax tree of Python source, or None if it does not parse."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an invalid escape in a teacher's string literal is not worth a warning here
        try:
            return ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None
