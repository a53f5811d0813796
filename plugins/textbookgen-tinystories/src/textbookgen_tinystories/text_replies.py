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
#: A last line that closes the text: "**The End**", or an offer of more: "I hope you enjoy it! Let me know …".
_CLOSING = re.compile(
    r"[*_# \t]*the end[.!]?[*_ \t]*|"
    r"(?:-{3,}|\*{3,}|(?:\*{0,2}(?:word count|words used)\b[^\n]*))|"
    r"(?:i hope (?:you|this|that|it)|let me know|would you like|feel free)\b[^\n]{0,200}[.!?]|"
    r"\(\d+ words\)",
    re.IGNORECASE,
)
_REQUIRED_WORD = re.compile(r"\*\*([^*\n]{1,40})\*\*")


def read_text(reply: Reply) -> str:
    """Return the text of a reply, ending in one newline, without what is not part of it.

    Removed are a code fence, announcement, title, closing ("The End", offers of more), blanks at the ends of lines, and the
    asterisks of bold words, with which models mark required words.

    Raises:
        UnusableReply: the reply is empty, or was cut off before its end.
    """
    if reply.finish == "length":
        raise UnusableReply("the reply was cut off")
    lines = _without_first_line(_ANNOUNCEMENT, reply.text.strip().splitlines())
    fenced = _FENCED.match("\n".join(lines))
    lines = fenced["body"].strip().splitlines() if fenced else lines
    lines = _without_closing(_without_first_line(_TITLE, lines))
    body = "\n".join(line.rstrip() for line in lines).strip()
    text = _REQUIRED_WORD.sub(r"\1", body)
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


def _without_closing(lines: list[str]) -> list[str]:
    """The lines without closing ones at the end; a text of closings alone stays."""
    rest = list(lines)
    while rest and (not rest[-1].strip() or _CLOSING.fullmatch(rest[-1].strip())):
        rest.pop()
    return rest or lines
