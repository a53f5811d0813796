"""The text format of TinyStories-Instruct: a header of constraints, then the story."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

SEPARATOR = "<|endoftext|>"
FIELDS = ("Features", "Words", "Summary", "Random sentence")
_STORY = "Story:"


@dataclass(frozen=True)
class Record:
    """A story and its instruction.

    Attributes:
        header: pairs of a field of `FIELDS` and its value, in order.
        story: the story, without surrounding blank lines.
        summary_after: a summary below the story, as in some records of the published data; may be empty.
    """

    header: tuple[tuple[str, str], ...]
    story: str
    summary_after: str = ""

    @property
    def features(self) -> tuple[str, ...]:
        """The required features."""
        return _split_list(dict(self.header).get("Features", ""))

    @property
    def words(self) -> tuple[str, ...]:
        """The required words."""
        return _split_list(dict(self.header).get("Words", ""))

    def instruction(self) -> str:
        """Return the header as text, through the line `Story:`."""
        return "".join(f"{field}: {text}\n" for field, text in self.header) + f"{_STORY}\n"

    def __str__(self) -> str:
        after = f"\n\nSummary: {self.summary_after}" if self.summary_after else ""
        return f"{self.instruction()}\n{self.story.strip()}{after}\n" if self.header else f"{self.story.strip()}{after}\n"


def read_record(text: str) -> Record:
    """Parse the text of a record; `read_record(str(record))` equals the record, unless a line of its story begins with a field.

    Header fields may be in any order. A text without a header is a story. A header line that does not begin with a field
    continues the field above it.
    """
    lines = text.strip().splitlines()
    start = next((n for n, line in enumerate(lines) if line.startswith(_STORY)), None)
    if start is None or not lines[0].startswith(tuple(f"{field}:" for field in FIELDS)):
        return Record((), *_summary_split(text.strip()))
    header: list[tuple[str, str]] = []
    for line in lines[:start]:
        field, colon, value = line.partition(":")
        if colon and field in FIELDS:
            header.append((field, value.strip()))
        elif line.strip():
            header[-1] = (header[-1][0], f"{header[-1][1]} {line.strip()}".strip())
    story = "\n".join([lines[start].removeprefix(_STORY), *lines[start + 1 :]]).strip()
    return Record(tuple(header), *_summary_split(story))


def read_records(lines: Iterable[str]) -> Iterator[Record]:
    """Parse the lines of a file in the published format, in which each record ends with `SEPARATOR`."""
    pending: list[str] = []
    for line in lines:
        before, *rest = line.split(SEPARATOR)
        pending.append(before)
        for item in rest:
            yield from _parse_pending(pending)
            pending = [item]
    yield from _parse_pending(pending)


def _parse_pending(lines: list[str]) -> Iterator[Record]:
    text = "".join(lines).strip()
    if text:
        yield read_record(text)


def _summary_split(story: str) -> tuple[str, str]:
    """A story, and the summary below it or an empty string."""
    before, label, after = story.rpartition("\nSummary:")
    return (before.strip(), " ".join(after.split())) if label and after.strip() else (story, "")


def _split_list(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())
