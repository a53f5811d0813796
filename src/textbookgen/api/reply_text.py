"""Read the replies of language models: what they wrote, without what they put around it.

A model rarely replies with the document alone. It announces it ("Sure! Here is the story:"), wraps it in a code fence, formats
headings in its own way, and offers to change it. These functions remove that, and say what a reply lacks by raising
UnusableReply with a message that is the same for similar replies, so that reports can count by it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from textbookgen.api.errors import UnusableReply
from textbookgen.api.teacher import Reply

#: What to do about replies that end at the token limit.
TRUNCATED_HINT = 'raise the teacher\'s `max_tokens`, or keep such replies with `truncated_replies = "keep"` in the stage'

#: A reasoning trace that a server did not separate from the reply.
_REASONING = re.compile(r"\A\s*<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_CODE_FENCE = re.compile(r"^[ \t]*```[ \t]*[\w+-]*[^\n]*\n(?P<body>.*?)^[ \t]*```[ \t]*$", re.MULTILINE | re.DOTALL)
_WRAPPING_FENCE = re.compile(r"\A```[ \t]*(?P<language>[\w+-]*)[ \t]*\n(?P<body>.*?)\n?```\Z", re.DOTALL)
_UNCLOSED_FENCE = re.compile(r"\A```[ \t]*(?P<language>[\w+-]*)[ \t]*\n(?P<body>.*)\Z", re.DOTALL)
_PROSE = ("", "markdown", "md", "text", "txt")  # languages of a code fence around prose
_RULE = re.compile(r"[ \t]*(?:-{3,}|\*{3,}|_{3,}|={3,})[ \t]*")

#: The beginning of a JSON object or list, as opposed to a bracket in prose such as `[3]` or `{name}`.
_JSON_START = re.compile(r"\{\s*[\"}]|\[\s*[\[{\"\]]")
_JSON_TOKEN = re.compile(r"\\.|[\[\]{}\"]", re.DOTALL)

_CONSENT = r"(?:sure|certainly|of course|absolutely|okay|ok|great|alright|no problem)(?: thing)?"
_DELIVERABLE = (
    r"(?:story|tale|fable|poem|dialogue|conversation|article|essay|letter|summary|list|json|object|document|text|section|page|"
    r"chapter|lesson|message|question|answer|reply|response|version|rewrite|revision|draft|exercise|problem|solution|code|"
    r"function|explanation|passage|tutorial|discussion|reasoning|lecture|example|paragraph|review|description|output|result|assessment|evaluation|grade|rating|"
    r"stories|tales|dialogues|summaries|replies)s?"
)
#: A first line that announces the text. A line in the first person ("Here is the text of my letter:") belongs to the text.
_ANNOUNCEMENT = re.compile(
    rf"(?:{_CONSENT}\b[^\n:]{{0,80}}[!,.:][ \t]*)?(?:here(?:'s|\u2019s| is| are)|below (?:is|are)|the following (?:is|are))\b"
    rf"(?![^\n]*\b(?:my|our|i)\b)[^\n.!?]{{0,160}}\b{_DELIVERABLE}\b[^\n.!?]{{0,160}}:"
    rf"|{_CONSENT}[!,][ \t]*(?:here(?:'s|\u2019s| is| are)|below (?:is|are))\b[^\n]{{0,200}}[:.!]"
    rf"|{_CONSENT}[!.](?:[ \t]+i(?:'|\u2019)(?:d|ll)\b[^\n]{{0,160}}[.!:])?",
    re.IGNORECASE,
)
#: A last paragraph that offers help.
_OFFER = re.compile(
    r"(?:please )?(?:let me know|feel free|would you like|if you(?:'d|\u2019d| would) like|i hope (?:this|that|you)|is there "
    r"anything)\b[^\n]*\b(?:change|adjust|revis|modif|tweak|expand|help|else|another|more|further|version|question|like|enjoy)"
    r"\w*\b[^\n]*",
    re.IGNORECASE,
)
_REFUSAL = re.compile(
    r"(?:(?:i'?m|i\u2019m|i am) (?:very |so )?sorry|sorry|i apologi[sz]e|unfortunately)?[,.;]?\s*(?:but )?"
    r"(?:i (?:can(?:'|\u2019)?t|cannot|am not able to|(?:a|'|\u2019)m unable to|won(?:'|\u2019)t) (?:\w+ )?"
    r"(?:help(?! but)|assist|provide|comply|fulfil|fulfill|write|create|generate|grade|evaluate|rate)\b|as an ai\b)",
    re.IGNORECASE,
)
_QUOTES = (('"', '"'), ("\u201c", "\u201d"))
#: A title above a text: "# The Lost Boat", "**The Lost Boat**", "Title: The Lost Boat".
_TITLE = re.compile(r"#{1,6}[ \t]+[^\n]+|\*\*[^\n*]+\*\*|(?:\*\*)?title(?:\*\*)?[ \t]*:[^\n]+", re.IGNORECASE)
#: A last line that closes a text: "**The End**", a count of words, or an offer of more.
_CLOSING = re.compile(
    r"[*_# \t]*the end[.!]?[*_ \t]*|(?:-{3,}|\*{3,}|(?:\*{0,2}(?:word count|words used)\b[^\n]*))|"
    r"(?:i hope (?:you|this|that|it)|let me know|would you like|feel free)\b[^\n]{0,200}[.!?]|\(\d+ words\)",
    re.IGNORECASE,
)
_BOLD = re.compile(r"\*\*([^*\n]{1,40})\*\*")
_MAX_REFUSAL_WORDS = 80  # a longer reply that begins like a refusal is a text in the first person


def complete_text(reply: Reply, *, may_decline: bool = False) -> str:
    """Return the text of a reply, with unix line ends and without a reasoning trace.

    Args:
        reply: the teacher's reply.
        may_decline: accept a reply that declines to answer, where it is what was asked for.

    Raises:
        UnusableReply: the reply is empty, was truncated, was ended by a content filter, or declines to answer.
    """
    text = _REASONING.sub("", reply.text.replace("\r\n", "\n").replace("\r", "\n")).strip()
    if reply.finish == "length":
        raise UnusableReply("the reply was truncated", hint=TRUNCATED_HINT)
    if reply.finish == "filter":
        raise UnusableReply("the reply was ended by a content filter")
    if not text:
        raise UnusableReply("the reply is empty")
    if not may_decline and _REFUSAL.match(text) and len(text.split()) <= _MAX_REFUSAL_WORDS:
        raise UnusableReply("the teacher declined")
    return text


def without_reasoning(text: str) -> str:
    """Return a text without the reasoning trace that some models put before their answer."""
    return _REASONING.sub("", text)


def read_prose(reply: Reply) -> str:
    """Return the text of a reply, ending in one newline, without what models put around it (see `without_chatter`).

    Raises:
        UnusableReply: the reply is empty, was truncated or filtered, or declines to answer.
    """
    text = _without_frame(complete_text(reply))
    wrapping = _WRAPPING_FENCE.match(text) or _UNCLOSED_FENCE.match(text)
    is_code = wrapping is not None and wrapping["language"].lower() not in _PROSE  # a program alone stays a snippet
    return f"{_not_empty(text if is_code else unwrapped(text))}\n"


def read_message(reply: Reply, *labels: str) -> str:
    """Return the one message that a reply consists of, without a label (`**Reader:**`) or quotation marks around it.

    A message in the first person may decline something, so that no message counts as a refusal of the teacher.

    Args:
        reply: the teacher's reply.
        labels: words that a model may put before the message, followed by a colon or as a heading.

    Raises:
        UnusableReply: the reply is empty, or was truncated or filtered.
    """
    text = without_chatter(complete_text(reply, may_decline=True))
    if labels and (label := heading(*labels).match(text)):
        text = text[label.end() :].strip()
    for opening, closing in _QUOTES:
        inner = text[1:-1]
        if len(text) > 1 and text.startswith(opening) and text.endswith(closing) and not {opening, closing} & set(inner):
            text = inner.strip()
    return _not_empty(text)


def read_plain_text(reply: Reply) -> str:
    """Return a text without any markup, such as a story, ending in one newline.

    Besides what `without_chatter` removes, it leaves out a title, closings ("The End", word counts, offers), blanks at the ends
    of lines, and the asterisks of bold words, with which models mark required words.

    Raises:
        UnusableReply: the reply is empty, was truncated or filtered, or declines to answer.
    """
    lines = without_chatter(complete_text(reply)).split("\n")
    if _TITLE.fullmatch(lines[0].strip()) and "".join(lines[1:]).strip():
        lines = _without_blank_start(lines[1:])
    end = len(lines)
    while end and (not lines[end - 1].strip() or _CLOSING.fullmatch(lines[end - 1].strip())):
        end -= 1
    body = "\n".join(line.rstrip() for line in lines[:end] or lines).strip()
    return f"{_not_empty(_BOLD.sub(lambda match: match[1], body))}\n"


def heading(*names: str) -> re.Pattern[str]:
    """Return a pattern for a label at the start of a line: `NAME:`, `**Name:** text`, `### Name`, any case.

    Only the label, its markup and blanks on its line match, so that a code fence or formula beside it stays whole.
    """
    name = "|".join(map(re.escape, names))
    return re.compile(
        rf"^[ \t]*(?:#{{1,6}}[ \t]+)?[*_]{{0,3}}(?:{name})(?:[ \t]*[*_]{{0,3}}[ \t]*:[*_]{{0,3}}[ \t]*|[*_]{{0,3}}[ \t]*$)\n?",
        re.MULTILINE | re.IGNORECASE,
    )


def _not_empty(text: str) -> str:
    if not text.strip():
        raise UnusableReply("the reply is empty")
    return text


def without_chatter(text: str) -> str:
    """Return a text without a line that announces it, a last paragraph that offers help, and a code fence around it.

    A text that consists of nothing else is returned as it is.
    """
    return unwrapped(_without_frame(text))


def _without_frame(text: str) -> str:
    """Return a text without a line that announces it and a last paragraph that offers help."""
    lines = text.strip().split("\n")
    if _ANNOUNCEMENT.fullmatch(lines[0].strip().strip("*_#> ").strip()):
        lines = _without_blank_start(lines[1:]) or lines
    last = next((at for at in range(len(lines) - 1, -1, -1) if not lines[at].strip()), None)
    if last is not None and _OFFER.fullmatch("\n".join(lines[last:]).strip().strip("*_")):
        lines = _without_blank_start(lines[:last][::-1])[::-1] or lines
    return "\n".join(lines).strip()


def unwrapped(text: str) -> str:
    """Return the content of a text that is one code fence; any other text is only stripped."""
    text = text.strip()
    wrapping = _WRAPPING_FENCE.match(text)
    # Only a Markdown block can have code fences inside; a text that begins and ends with a snippet is not wrapped.
    if wrapping and ("```" not in wrapping["body"] or wrapping["language"].lower() in ("markdown", "md")):
        return wrapping["body"].strip("\n").rstrip()
    unclosed = _UNCLOSED_FENCE.match(text)
    return unclosed["body"].strip() if unclosed and "```" not in unclosed["body"] else text


def _without_blank_start(lines: list[str]) -> list[str]:
    at = next((at for at, line in enumerate(lines) if line.strip() and not _RULE.fullmatch(line)), len(lines))
    return lines[at:]


def find_json(text: str) -> Any:
    """Return the JSON object or list in a text: all of it, in a code fence, or the longest one between other words.

    Line breaks inside strings are accepted.

    Raises:
        UnusableReply: there is none.
    """
    text = _REASONING.sub("", text)
    for candidate in (text.strip(), *(match["body"] for match in _CODE_FENCE.finditer(text))):
        try:
            value = json.loads(candidate, strict=False)
        except ValueError:
            continue
        if isinstance(value, dict | list):
            return value
    longest = max(_json_values(text), key=lambda item: item[0], default=None)
    if longest is None:
        raise UnusableReply("the reply contains no JSON object or list")
    return longest[1]


def _json_values(text: str) -> Iterator[tuple[int, Any]]:
    """Yield length and value of each JSON object or list in a text that is not inside another one, valid or not."""
    decoder, at = json.JSONDecoder(strict=False), 0
    while (start := _JSON_START.search(text, at)) is not None:
        try:
            value, at = decoder.raw_decode(text, start.start())
        except ValueError:
            at = _end_of_brackets(text, start.start())
            continue
        yield at - start.start(), value


def _end_of_brackets(text: str, start: int) -> int:
    """Return where the bracket at `start` is closed, disregarding brackets inside strings; the end if it never is."""
    depth, quoted = 0, False
    for token in _JSON_TOKEN.finditer(text, start):
        if token[0] == '"':
            quoted = not quoted
        elif not quoted and len(token[0]) == 1:
            depth += 1 if token[0] in "[{" else -1
            if not depth:
                return token.end()
    return len(text)


def read_sections(text: str, names: Sequence[str]) -> dict[str, str]:
    """Return the sections of a text by name: `Name: …`, `## Name`, `**Name**` and `<name>…</name>`, in any case.

    A section ends where another one of `names` begins. Names that do not occur are left out.

    Raises:
        UnusableReply: a section occurs twice.
    """
    sections = {name: match[1] for name in names if (match := _tag(name).search(text))}
    headings = sorted(
        ((match, name) for name in names if name not in sections for match in _heading(name).finditer(text)),
        key=lambda item: item[0].start(),
    )
    ends = [*(match.start() for match, _ in headings[1:]), len(text)][: len(headings)]
    for (match, name), end in zip(headings, ends, strict=True):
        if name in sections:
            raise UnusableReply(f"the section '{name}' occurs twice")
        sections[name] = _section(text[match.end() : end], opened=bool(match["open"]) and not match["close"])
    return {name: without_chatter(text) if text.strip() else "" for name, text in sections.items()}


def _section(text: str, *, opened: bool) -> str:
    """Return the content of a section, without the rest of its heading's markup and a rule at its end."""
    first, line_break, rest = text.partition("\n")
    lines = [first.rstrip().rstrip("*_") if opened else first, *((rest.split("\n")) if line_break else ())]
    while lines and (not lines[-1].strip() or _RULE.fullmatch(lines[-1])):
        lines.pop()
    return "\n".join(lines).strip()


def _flexible(name: str) -> str:
    return r"[ _-]+".join(map(re.escape, re.split(r"[ _-]+", name.strip())))


def _tag(name: str) -> re.Pattern[str]:
    return re.compile(rf"<{_flexible(name)}>(.*?)</{_flexible(name)}>", re.DOTALL | re.IGNORECASE)


def _heading(name: str) -> re.Pattern[str]:
    """Return a pattern for a name as a heading; the text may follow a colon on the same line."""
    return re.compile(
        rf"^[ \t]*(?:[-*>][ \t]+)?(?:#{{1,6}}[ \t]*)?(?:\d+[.)][ \t]*)?(?P<open>[*_]{{1,3}})?\[?{_flexible(name)}\]?"
        r"(?P<close>[*_]{1,3})?[ \t]*(?::(?P<after>[*_]{1,3}(?=\s|$))?[ \t]*|[ \t]*$)",
        re.MULTILINE | re.IGNORECASE,
    )
