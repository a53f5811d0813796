"""Code blocks of a Markdown page, and which of them are programs, interpreter sessions, or the output of a program."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_OPENING = re.compile(r"^(?P<indent>[ \t]*)(?P<marks>`{3,}|~{3,})[ \t]*(?P<info>[^`]*)$")
_PYTHON = frozenset(("python", "python3", "py", "py3", "ipython", "ipython3"))
_SESSION = frozenset(("pycon", "python-repl", "python-console", "pyrepl"))
_OUTPUT = frozenset(("", "text", "txt", "output", "out", "console", "stdout", "plaintext", "plain", "none", "result"))
_PROMPT = re.compile(r"^[ \t]*>>> ?", re.M)
_FIRST_CODE = re.compile(r"^(?![ \t]*(?:#[^\n]*)?$)[ \t]*(?P<line>[^\n]*)", re.M)


@dataclass(frozen=True)
class CodeBlock:
    """A code block between code fences.

    Attributes:
        language: the first word of its info string, in lower case.
        code: the lines inside, without the indentation of the block.
        first_line: lines of the page before the code.
        end: the number of lines of the page up to and with its closing line.
    """

    language: str
    code: str
    first_line: int
    end: int

    @property
    def is_python(self) -> bool:
        """Whether it is a program or a session."""
        return self.language in _PYTHON or self.language in _SESSION

    @property
    def may_be_output(self) -> bool:
        """Whether its language is one in which pages show output."""
        return self.language in _OUTPUT

    def session_start(self) -> int | None:
        """Return the position in the code at which an interpreter session starts; None if there is none.

        A prompt inside a docstring is no session: a snippet is one if its first line of code is a prompt, or if a prompt at the
        left margin follows complete statements.
        """
        prompt = _PROMPT.search(self.code)
        if prompt is None:
            return None
        first = _FIRST_CODE.search(self.code)
        if self.language in _SESSION or (first and first["line"].startswith(">>>")):
            return prompt.start()
        margin = re.search(r"^>>> ", self.code, re.M)
        return margin.start() if margin and _is_complete(self.code[: margin.start()]) else None


def _is_complete(source: str) -> bool:
    """Return whether source is Python by itself: not the beginning of a docstring that continues."""
    try:
        compile(source, "page.md", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return False
    return True


def find_code_blocks(page: str) -> Iterator[CodeBlock]:
    """Yield the code blocks of a page in order, at any indentation; one that is not closed extends to the end."""
    lines = page.split("\n")
    at = 0
    while at < len(lines):
        opening = _OPENING.match(lines[at])
        at += 1
        if opening is None:
            continue
        first = at
        while at < len(lines) and not _closes(lines[at], opening):
            at += 1
        width = len(opening["indent"])
        body = [line[:width].lstrip(" \t") + line[width:] for line in lines[first:at]]
        at += 1
        yield CodeBlock(_language(opening["info"]), "".join(f"{line}\n" for line in body), first, at)


def _closes(line: str, opening: re.Match[str]) -> bool:
    text = line.strip()
    marks = opening["marks"]
    indent = len(line) - len(line.lstrip(" \t"))
    return len(text) >= len(marks) and set(text) == {marks[0]} and indent <= len(opening["indent"]) + 3


def _language(info: str) -> str:
    word = info.strip().lower().lstrip("{.").split(maxsplit=1)
    return re.split(r"[},:]", word[0])[0] if word else ""
