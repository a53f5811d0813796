"""What a page states about an output or a value, with what it turned out to be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

MAX_EXPECTATIONS = 500
_MAX_LENGTH = 2_000  # characters of a statement or an output that is reported
_MAX_OUTPUTS = 20  # outputs of one statement that are reported

#: Where a statement is: `comment` behind a print, `below` it in lines without code, `block` after the snippet, `sentence` in
#: the paragraph after it, `session` below a prompt, `value` behind an expression that is not printed, `error` where a comment
#: says that one is raised.
Kind = Literal["comment", "below", "block", "sentence", "session", "value", "error"]


@dataclass
class Expectation:
    """A statement of a page about an output or a value.

    Attributes:
        line: the line of the page.
        expected: the comment, block or answer as it is there.
        printed: for `comment`, what was printed each time; otherwise what it may refer to, the most likely one first.
        kind: where it is.
    """

    line: int
    expected: str
    printed: list[str] = field(default_factory=list)
    kind: Kind = "comment"

    def message(self) -> list[Any]:
        """Return it as a list for the report to the host."""
        return [self.line, self.expected[:_MAX_LENGTH], [text[:_MAX_LENGTH] for text in self.printed[:_MAX_OUTPUTS]], self.kind]
