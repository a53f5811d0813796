"""The catalog of a split: which tasks requests can be for, and which phrasings each can be worded in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from textbookgen_api.application import ORDER, Application, Phrasing, Task
from textbookgen_api.parameters import Split, in_split
from textbookgen_api.request_templates import Phrase, every_wording, parse_template


@dataclass(frozen=True)
class Entry:
    """A task with some of its phrasings, at least one."""

    task: Task
    phrasings: tuple[Phrasing, ...]


@dataclass(frozen=True)
class Catalog:
    """What requests of a split are made from.

    Attributes:
        complete: tasks, with all phrasings of the split.
        lacking: tasks, with the phrasings that can leave out a required value.
        orders: tasks, with the phrasings in the imperative.
        absent: what the application cannot do.
    """

    complete: tuple[Entry, ...]
    lacking: tuple[Entry, ...]
    orders: tuple[Entry, ...]
    absent: tuple[Entry, ...]


def make_catalog(application: Application, phrasings: Split, functions: Split) -> Catalog:
    """Return the catalog of a split.

    Absent functions that are unseen are worded in all of their phrasings, since training data has none of them.
    """
    tasks = [(task, task.phrasings_in(phrasings)) for task in application.tasks]
    absent_split: Split = "all" if functions == "unseen" else phrasings
    absent = [item for item in application.absent if in_split("absent", item.name, functions)]
    return Catalog(
        complete=_entries(tasks),
        lacking=_entries(
            (task, [item for item in items if can_lack_value(item.template, task, application)]) for task, items in tasks
        ),
        orders=_entries((task, [item for item in items if item.voice == ORDER]) for task, items in tasks),
        absent=_entries((task, task.phrasings_in(absent_split)) for task in absent),
    )


def _entries(tasks: Iterable[tuple[Task, list[Phrasing]]]) -> tuple[Entry, ...]:
    return tuple(Entry(task, tuple(items)) for task, items in tasks if items)


def has_required_value(phrase: Phrase, task: Task) -> bool:
    """Return whether a phrase is optional and has a required value."""
    return phrase.optional and bool(task.required & set(phrase.slots))


def can_lack_value(template: str, task: Task, application: Application) -> bool:
    """Return whether a template can leave out a required value, however its words are chosen."""
    versions = every_wording(template, application.words)
    return all(any(has_required_value(phrase, task) for phrase in parse_template(version)) for version in versions)
