"""Prose in documentation: the paragraphs of sentences in Markdown, reStructuredText, plain text and manual pages."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

_MIN_WORDS = 8  # of a paragraph
_MIN_ALPHABETIC = 0.8  # share of words with only letters, apart from punctuation around them
_MAX_SYMBOLS = 0.03  # share of characters that occur in code rather than in sentences
_MIN_COMMON = 2  # different common English words

_COMMON = frozenset(
    [
        "the",
        "of",
        "to",
        "and",
        "a",
        "in",
        "is",
        "that",
        "it",
        "for",
        "as",
        "with",
        "on",
        "be",
        "this",
        "are",
        "by",
        "not",
        "from",
        "which",
        "an",
        "can",
        "or",
        "if",
        "you",
    ]
)
_UNWANTED = re.compile(
    r"permission (?:is hereby granted|to copy)|redistribution and use|free software"
    r"|(?:any|no) warranty|provided .?as.is|in no event|\bliab(?:le|ility)|licensed under|copyright|all rights reserved"
    r"|\blicen[cs]e\b|\(c\) \d{4}|©|lorem ipsum",
    re.IGNORECASE,
)
_INLINE = (
    (re.compile(r"!\[[^\]]*\]\([^)]*\)"), " "),
    (re.compile(r"\[([^\]]*)\](?:\([^)]*\)|\[[^\]]*\])"), r"\1"),
    (re.compile(r"\[[\w.-]+\]_"), ""),
    (re.compile(r":[\w:+-]+:`~?([^`<]+?)\s*(?:<[^`>]*>)?`"), r"\1"),
    (re.compile(r"`([^`<]+?)\s*<[^`>]*>`__?"), r"\1"),
    (re.compile(r"``?([^`]+)``?_{0,2}"), r"\1"),
    (re.compile(r"<!--.*?-->|<[/a-zA-Z][^<>]*>", re.DOTALL), " "),
    (re.compile(r"(\*\*|__|\*|\b_)(?=\S)([^*_\n]+?)(?<=\S)\1"), r"\2"),
)
_NO_PROSE = re.compile(r"^(?:>>>|\$ |\.\. |\||\+--|:\w+:|@|%|#!|={3,}|-{3,}|~{3,}|<)|\bhttps?://\S+.*\bhttps?://")


def prose_of(text: str) -> list[str]:
    """Return the paragraphs of a text that are sentences, each on one line and without markup.

    Code, tables, lists of names, headings, directives and legal notices are left out. English only: a paragraph must have
    some common English words.
    """
    without_code = re.sub(r"^(```|~~~).*?^\1[^\n]*$", "\n", text.replace("\r\n", "\n"), flags=re.MULTILINE | re.DOTALL)
    paragraphs = []
    for block in re.split(r"\n[ \t]*\n", textwrap.dedent(without_code.expandtabs())):
        for item in _items(block):
            if (plain := _without_markup(item)) and _is_prose(plain):
                paragraphs.append(plain)
    return paragraphs


def _items(block: str) -> Iterator[str]:
    """Yield the list items of a block, or the block; indented code is left out."""
    lines = [line for line in block.split("\n") if line.strip() and not line.lstrip().startswith(("#", ".. "))]
    starts = [at for at, line in enumerate(lines) if re.match(r"\s*(?:[-*+•]|\d+[.)])\s+\S", line)]
    for start, end in zip([0, *starts], [*starts, len(lines)], strict=True):
        yield "\n".join(lines[start:end])


def _without_markup(item: str) -> str:
    if _NO_PROSE.search(item.lstrip()):
        return ""
    item = re.sub(r"^\s*(?:[-*+•]|\d+[.)])\s+", "", item)
    for pattern, replacement in _INLINE:
        item = pattern.sub(replacement, item)
    return " ".join(item.replace("\\", "").split())


def _is_prose(text: str) -> bool:
    words = text.split()
    if len(words) < _MIN_WORDS or not re.search(r"""[.!?]["'”’)]*$""", text) or not re.match(r"""["'“‘(]?[A-Z]""", text):
        return False
    bare = [word.strip(".,;:!?()\"'“”‘’") for word in words]
    alphabetic = sum(re.fullmatch(r"[^\W\d_]+(?:['’-][^\W\d_]+)*", word) is not None for word in bare)
    symbols = len(re.findall(r"[{}<>=_|@#$^~;/\[\]`*+]", text))
    common = len(_COMMON.intersection(word.lower() for word in bare))
    return (
        alphabetic >= _MIN_ALPHABETIC * len(words)
        and symbols <= _MAX_SYMBOLS * len(text)
        and common >= _MIN_COMMON
        and not _UNWANTED.search(text)
    )


_ROFF_ESCAPES = (
    (re.compile(r"\\f(?:\[[^\]]*\]|\(..|.)|\\s[-+]?\d+|\\[&|^/,%:)]|\\[mk]\[[^\]]*\]"), ""),
    (re.compile(r"\\\((?:em|en)|\\-"), "-"),
    (re.compile(r"\\\(?(?:aq|cq|oq)|\\\[(?:aq|cq|oq)\]|\\'"), "'"),
    (re.compile(r"\\\(?(?:dq|lq|rq)|\\\[(?:dq|lq|rq)\]|\\\*\(?[LR]\"?"), '"'),
    (re.compile(r"\\\*?(?:\(..|\[[^\]]*\])"), " "),
    (re.compile(r"\\e"), ""),
    (re.compile(r"\\ |\\~"), " "),
)
_FONT = re.compile(r"^\.(?:B|I|R|BI|BR|IB|IR|RB|RI|SM|SB)\s+(.*)")
_BREAK = re.compile(r"^\.(?:PP|P|LP|TP|TQ|IP|HP|RS|RE|SS|sp|br|nf|EX|TS|TH|UR|MT)\b|^\.\s*$|^\.$")


def read_manual(page: str) -> str:
    """Return the text of a manual page in the macros of man(7), with an empty line between paragraphs.

    Examples, tables and the sections on authors, copyright and other pages are left out. Pages in other macros give little
    text or none.
    """
    parts: list[str] = []
    literal = skipped = False
    for line in page.splitlines():
        if line.startswith((".SH", ".Sh")):
            skipped = bool(re.search(r"AUTHOR|COPYRIGHT|SEE ALSO|SYNOPSIS|NAME|EXAMPLE|HISTORY|REPORTING|COLOPHON", line))
            literal = False
            parts.append("\n\n")
        elif line.startswith((".nf", ".EX", ".TS")):
            literal = True
            parts.append("\n\n")
        elif line.startswith((".fi", ".EE", ".TE")):
            literal = False
        elif literal or skipped or line.startswith(('.\\"', "'\\\"", '\\"')):
            continue
        elif _BREAK.match(line):
            parts.append("\n\n")
        elif match := _FONT.match(line):
            words = match[1].replace('"', "")
            spaced = line[1] in "BIRS" and line[2] in " M"
            parts.append((words if spaced else words.replace("\\ ", "~").replace(" ", "").replace("~", " ")) + " ")
        elif not line.startswith((".", "'")):
            parts.append(line + " " if line.strip() else "\n\n")
    text = "".join(parts)
    for pattern, replacement in _ROFF_ESCAPES:
        text = pattern.sub(replacement, text)
    return text
