"""The text form of TinyStories-Instruct: a header of constraints, then the story; written, and read back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

SEPARATOR = "<|endoftext|>"
FIELDS = ("Features", "Words", "Summary", "Random sentence")
_STORY = "Story:"


@dataclass(frozen=True)
class Record:
    """A story and what was asked of it; `header` holds pairs of a field of `FIELDS` and its text, in order.

    `summary_after` is a summary that stands below the story, as in some records of the published data.
    """

    header: tuple[tuple[str, str], ...]
    story: str
    summary_after: str = ""

    @property
    def features(self) -> tuple[str, ...]:
        """The features asked for."""
        return _listed(dict(self.header).get("Features", ""))

    @property
    def words(self) -> tuple[str, ...]:
        """The words asked for."""
        return _listed(dict(self.header).get("Words", ""))

    def instruction(self) -> str:
        """The header as text, up to and including the line `Story:`."""
        return "".join(f"{field}: {text}\n" for field, text in self.header) + f"{_STORY}\n"

    def __str__(self) -> str:
        after = f"\n\nSummary: {self.summary_after}" if self.summary_after else ""
        return f"{self.instruction()}\n{self.story.strip()}{after}\n" if self.header else f"{self.story.strip()}{after}\n"


def read_record(text: str) -> Record:
    """A record from its text; `read_record(str(record))` is the record again, unless the story has a line of its own that
    begins with a field.

    Header fields may come in any order, and may be missing: then the text is a story and nothing else. Lines of a header
    that no field begins go on with the field above.
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
    """The records of a file in the published form, its lines given one by one: each record ends with the separator."""
    gathered: list[str] = []
    for line in lines:
        before, *rest = line.split(SEPARATOR)
        gathered.append(before)
        for item in rest:
            yield from _whole(gathered)
            gathered = [item]
    yield from _whole(gathered)


def _whole(lines: list[str]) -> Iterator[Record]:
    text = "".join(lines).strip()
    if text:
        yield read_record(text)


def _summary_split(story: str) -> tuple[str, str]:
    """A story and the summary below it, if there is one."""
    before, result, after = story.rpartition("\nSummary:")
    return (before.strip(), " ".join(after.split())) if result and after.strip() else (story, "")


def _listed(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())
