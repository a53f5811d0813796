"""Text replies: prose, short messages, labelled parts and Python code, as language models format them."""

from __future__ import annotations

import ast
import re
import warnings

from textbookgen import Reply, UnusableReply

_CODE_FENCE = re.compile(r"^```[ \t]*(?P<language>[\w+-]*)[^\n]*\n(?P<body>.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)
_WRAPPING_FENCE = re.compile(
    r"\A```[ \t]*(?P<language>markdown|md|text|txt)?[ \t]*\n(?P<body>.*)^```\Z", re.MULTILINE | re.DOTALL | re.IGNORECASE
)

_DELIVERABLE = (
    r"(?:section|page|text|chapter|lesson|message|request|question|reply|response|answer|version|rewrite|revision|draft|exercise|"
    r"solution|code|function|discussion|tutorial|reasoning|passage|explanation)s?"
)
#: A first line that announces the text: "Sure! Here is the section:", "**Here's a revised version:**". A line in the first
#: person ("Here is the text of my letter:") belongs to the message that it begins.
_ANNOUNCEMENT = re.compile(
    r"[*_ \t]*(?:(?:sure|certainly|of course|absolutely|okay|ok|great)\b[^\n:]{0,60}[!,.][ \t]*)?"
    r"(?:here is|here's|here\u2019s|here are|below is|the following is)\b(?![^\n]*\b(?:my|our|i)\b)"
    rf"[^\n.!?]{{0,100}}\b{_DELIVERABLE}\b[^\n.!?]{{0,100}}:[*_ \t]*|"
    r"(?:sure|certainly|of course|absolutely)(?: thing)?[!.]",
    re.IGNORECASE,
)
_RULE = re.compile(r"[ \t]*(?:-{3,}|\*{3,}|_{3,})[ \t]*")
_QUOTES = (('"', '"'), ("\u201c", "\u201d"))


def read_prose(reply: Reply) -> str:
    """Return the text of a reply, ending in one newline, without a code fence around it or a line that announces it.

    Raises:
        UnusableReply: the reply is empty, or was cut off before its end.
    """
    if reply.finish == "length":
        raise UnusableReply("the reply was cut off")
    text = _without_announcement(_plain_newlines(reply.text).strip())
    wrapping = _WRAPPING_FENCE.match(text)
    # Only a Markdown block can have code fences inside; a text that begins and ends with a snippet is not wrapped.
    if wrapping and ((wrapping["language"] or "").lower() in ("markdown", "md") or "```" not in wrapping["body"]):
        text = wrapping["body"].strip()
    if not text:
        raise UnusableReply("the reply is empty")
    return text + "\n"


def read_message(reply: Reply, *labels: str) -> str:
    """Return the one message that a reply consists of, without a label (`**Reader:**`) or quotation marks around it.

    Args:
        reply: the teacher's reply.
        labels: words that a model may put before the message, followed by a colon or as a heading.

    Raises:
        UnusableReply: the reply is empty, or was cut off before its end.
    """
    text = read_prose(reply).strip()
    if labels and (label := heading(*labels).match(text)):
        text = text[label.end() :].strip()
    for opening, closing in _QUOTES:
        inner = text[1:-1]
        if len(text) > 1 and text.startswith(opening) and text.endswith(closing) and not {opening, closing} & set(inner):
            text = inner.strip()
    if not text:
        raise UnusableReply("the reply is empty")
    return text


def heading(*names: str) -> re.Pattern[str]:
    """Return a pattern for a label at the start of a line: `NAME:`, `**Name:** text`, `### Name`, any case.

    Only the label, its markup and blanks on its line match, so that a code fence or formula beside it stays whole.
    """
    name = "|".join(map(re.escape, names))
    return re.compile(
        rf"^[ \t]*(?:#{{1,6}}[ \t]+)?[*_]{{0,3}}(?:{name})(?:[ \t]*[*_]{{0,3}}[ \t]*:[*_]{{0,3}}[ \t]*|[*_]{{0,3}}[ \t]*$)\n?",
        re.MULTILINE | re.IGNORECASE,
    )


def python_snippets(text: str) -> list[str]:
    """Return the Python code in code fences, in order; a code fence without a language counts as Python."""
    return [
        match["body"] for match in _CODE_FENCE.finditer(text) if match["language"].lower() in ("", "python", "py", "python3")
    ]


def read_code(reply: Reply) -> str:
    """Return the code of a reply: its Python snippets and asserts below them, or all of it if it has no code fence.

    Raises:
        UnusableReply: the reply is empty, or was cut off before its end.
    """
    if reply.finish == "length":
        raise UnusableReply("the reply was cut off")
    text = _without_announcement(_plain_newlines(reply.text).strip()) + "\n"
    if not text.strip():
        raise UnusableReply("the reply is empty")
    fenced = python_snippets(text)
    if not fenced:
        return text
    after = text[[*_CODE_FENCE.finditer(text)][-1].end() :]
    trailing = [line for line in after.splitlines() if line.startswith("assert ")]
    return "\n".join([*(snippet.rstrip("\n") for snippet in fenced), *trailing]) + "\n"


def parse_python(source: str) -> ast.Module | None:
    """Return the syntax tree of Python source, or None if it does not parse."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an invalid escape in a teacher's string literal is not worth a warning here
        try:
            return ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def _plain_newlines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _without_announcement(text: str) -> str:
    """The text without a first line that announces it, and the rule that may follow; a text that is nothing else stays."""
    lines = text.split("\n")
    rest = lines[1:] if _ANNOUNCEMENT.fullmatch(lines[0].strip()) else lines
    if rest is lines or not "".join(rest).strip():
        return text
    while rest and (not rest[0].strip() or _RULE.fullmatch(rest[0])):
        rest.pop(0)
    return "\n".join(rest).strip()
