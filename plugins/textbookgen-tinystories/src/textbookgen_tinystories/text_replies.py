"""Text replies: a story or a summary as language models format it."""

from __future__ import annotations

import re

from textbookgen import Reply, UnusableReply

_FENCED = re.compile(r"\A```[ \t]*\w*[ \t]*\n(?P<body>.*?)\n?```\Z", re.DOTALL)
#: A first line that announces the text: "Sure! Here is a story about a fox:".
_ANNOUNCEMENT = re.compile(
    r"[*_ \t]*(?:(?:sure|certainly|of course|absolutely|okay|ok|great)\b[^\n:]{0,60}[!,.][ \t]*)?"
    r"(?:here is|here's|here\u2019s|below is|the following is)\b[^\n.!?]{0,60}"
    r"\b(?:story|tale|summary|version)\b[^\n]{0,120}:[*_ \t]*|"
    r"(?:sure|certainly|of course|absolutely)(?: thing)?[!.]",
    re.IGNORECASE,
)
#: A title above the text: "# The Lost Boat", "**The Lost Boat**", "Title: The Lost Boat".
_TITLE = re.compile(r"#{1,6}[ \t]+[^\n]+|\*\*[^\n*]+\*\*|(?:\*\*)?title(?:\*\*)?[ \t]*:[^\n]+", re.IGNORECASE)


def read_text(reply: Reply) -> str:
    """Return the text of a reply, ending in one newline, without code fence, announcement, title and trailing blanks.

    Raises:
        UnusableReply: the reply is empty, or was cut off before its end.
    """
    if reply.finish == "length":
        raise UnusableReply("the reply was cut off")
    lines = _without_first_line(_ANNOUNCEMENT, reply.text.strip().splitlines())
    fenced = _FENCED.match("\n".join(lines))
    lines = fenced["body"].strip().splitlines() if fenced else lines
    text = "\n".join(line.rstrip() for line in _without_first_line(_TITLE, lines)).strip()
    if not text:
        raise UnusableReply("the reply is empty")
    return text + "\n"


def _without_first_line(pattern: re.Pattern[str], lines: list[str]) -> list[str]:
    """The lines without a first one that matches, and the blank lines below it; a text of one line stays."""
    rest = lines[1:]
    if not "".join(rest).strip() or not pattern.fullmatch(lines[0].strip()):
        return lines
    while not rest[0].strip():
        rest.pop(0)
    return rest
