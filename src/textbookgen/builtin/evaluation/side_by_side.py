"""Replies of several models next to each other, as a table in Markdown that keeps their line breaks."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence


def render_text(text: str) -> str:
    """Return a text as HTML without empty lines, which would end a table in Markdown: lines and indentation are kept."""
    lines = []
    for line in text.expandtabs(4).strip("\n").rstrip().splitlines() or ["(empty)"]:
        indent = len(line) - len(line.lstrip(" "))
        lines.append("&nbsp;" * indent + html.escape(line.strip(), quote=False))
    return "<br>\n".join(lines)


def render_columns(replies: Mapping[str, str], notes: Mapping[str, str]) -> Iterator[str]:
    """Yield a table with a column per model: the reply, and below it the note on it, such as a grade, if there is any.

    Args:
        replies: the reply of each model by its label.
        notes: notes by label.
    """
    yield "<table>"
    yield f"<tr>{_cells('th', [html.escape(label) for label in replies])}</tr>"
    yield f'<tr valign="top">{_cells("td", [render_text(reply) for reply in replies.values()])}</tr>'
    if any(notes.values()):
        shown = [f"<em>{render_text(notes.get(label) or '(no grade)')}</em>" for label in replies]
        yield f'<tr valign="top">{_cells("td", shown)}</tr>'
    yield "</table>\n"


def quote(text: str) -> str:
    """Return a text as a quotation in Markdown that keeps its lines and its indentation."""
    lines = []
    for line in text.expandtabs(4).strip("\n").splitlines():
        indent = len(line) - len(line.lstrip(" "))
        lines.append(f"> {'&nbsp;' * indent}{_escape(line.strip())}".rstrip())
    return "  \n".join(lines)


def _escape(line: str) -> str:
    """Return a line in which Markdown and HTML have no effect."""
    for character in "\\`*_#[]":
        line = line.replace(character, f"\\{character}")
    return html.escape(line, quote=False)


def _cells(tag: str, contents: Sequence[str]) -> str:
    return "".join(f"\n<{tag}>{content}</{tag}>" for content in contents) + "\n"
