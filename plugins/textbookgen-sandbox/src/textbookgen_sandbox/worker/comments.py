"""Comments of a snippet: behind a statement, or in groups of lines; and the errors that they announce."""

from __future__ import annotations

import io
import re
import tokenize
from dataclasses import dataclass

from . import claims


@dataclass(frozen=True)
class CommentGroup:
    """Comment lines that follow one another at one indentation.

    Attributes:
        line: the first line, from 1.
        column: the indentation.
        lines: the texts, without `#` and one space.
    """

    line: int
    column: int
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Comments:
    """The comments of a snippet.

    Attributes:
        trailing: by line, the comment behind code.
        groups: the others, in order.
    """

    trailing: dict[int, str]
    groups: tuple[CommentGroup, ...]


def read_comments(source: str) -> Comments:
    """Return the comments of source that compiles."""
    trailing: dict[int, str] = {}
    groups: list[CommentGroup] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        line, column = token.start
        text = token.string.lstrip("#").removeprefix(" ").rstrip()
        if token.line[:column].strip():
            trailing[line] = text.strip()
        elif groups and groups[-1].column == column and groups[-1].line + len(groups[-1].lines) == line:
            groups[-1] = CommentGroup(groups[-1].line, column, (*groups[-1].lines, text))
        else:
            groups.append(CommentGroup(line, column, (text,)))
    return Comments(trailing, tuple(groups))


def announces(text: str, error: BaseException) -> bool:
    """Return whether a text says that an error occurs: by its name, that of a class it derives from, or in general."""
    named = [name for name in re.findall(r"\w+", text) if name in claims.ERROR_NAMES or name.endswith(("Error", "Exception"))]
    if named:
        return any(kind.__name__ in named for kind in type(error).__mro__)
    return bool(claims.ANNOUNCES_ERROR.search(text))


def stated_error(comment: str) -> str | None:
    """Return the name of the error that a comment says is raised, without conditions; None if it says no such thing."""
    match = claims.STATES_ERROR.match(comment)
    if match is None or match["name"] not in claims.ERROR_NAMES or claims.CONDITION.search(match["rest"]):
        return None
    return match["name"]
