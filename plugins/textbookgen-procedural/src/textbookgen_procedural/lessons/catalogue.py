"""The tree of topics on which the embedded teacher can give a lesson, and the lesson on each of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from random import Random

from textbookgen_procedural.data_files import read_lists
from textbookgen_procedural.lessons.everyday import (
    activity_slots,
    draw_activity,
    draw_minds,
    material_lesson,
    materials,
    read_activities,
    teaches,
)
from textbookgen_procedural.lessons.lesson import Lesson, LessonTemplate, fill_title, read_templates
from textbookgen_procedural.lessons.quantities import DRAWS, Quantity, read_quantities


@dataclass(frozen=True)
class KnownTopic:
    """A topic that the teacher knows.

    Attributes:
        path: discipline, subject, session and topic.
        template: the template of its lesson.
        about: the quantity, or the name of the object or activity, that the lesson is about.
    """

    path: tuple[str, str, str, str]
    template: LessonTemplate
    about: Quantity | str

    def lesson(self, rng: Random) -> Lesson:
        """Return the lesson, with drawn examples."""
        discipline, about = self.path[0], self.about
        if isinstance(about, Quantity):
            draw = DRAWS[self.template.fields["draw"]]
            return self.template.fill(rng, about.slots(), lambda rng: draw(rng, about))
        if discipline == "theory of mind":
            return self.template.fill(rng, {"O": about}, draw_minds)
        if discipline == "daily activities":
            activity = read_activities()[about]
            return self.template.fill(rng, activity_slots(activity), lambda rng: draw_activity(rng, activity))
        return material_lesson(rng, self.template, about)


def _topic(discipline: str, subject: str, template: LessonTemplate, slots: dict[str, str], about: Quantity | str) -> KnownTopic:
    path = (discipline, subject, fill_title(template.session, slots), fill_title(template.title, slots))
    return KnownTopic(path, template, about)


def _known() -> Iterator[KnownTopic]:
    for discipline, quantities in read_quantities().items():
        for item in quantities:
            for template in read_templates("quantity_lessons"):
                yield _topic(discipline, item.label, template, item.slots(), item)
    for thing in read_lists("entities")["theory of mind"]:
        article = "an" if thing[0] in "aeiou" else "a"
        for template in read_templates("mind_lessons"):
            yield _topic("theory of mind", f"{article} {thing} and what people know of it", template, {"O": thing}, thing)
    for name, activity in read_activities().items():
        for template in read_templates("activity_lessons"):
            yield _topic("daily activities", name, template, activity_slots(activity), name)
    for thing in materials():
        for template in read_templates("material_lessons"):
            if teaches(template, thing):
                yield _topic("everyday materials", f"properties of {thing}s", template, {"O": thing}, thing)


@cache
def known_topics() -> dict[str, KnownTopic]:
    """Return all topics by title."""
    return {topic.path[-1]: topic for topic in _known()}


def find_topic(title: str) -> KnownTopic | None:
    """Return the topic with this title, which may be the end of a path; None if there is none."""
    return known_topics().get(" ".join(title.rpartition("/")[2].lower().split()))


@cache
def _children() -> dict[tuple[str, ...], tuple[str, ...]]:
    below: dict[tuple[str, ...], dict[str, None]] = {}
    for topic in known_topics().values():
        for depth in range(len(topic.path)):
            below.setdefault(topic.path[:depth], {})[topic.path[depth]] = None
    return {path: tuple(names) for path, names in below.items()}


def names_below(path: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names one level below a path; none if the path is not in the tree."""
    return _children().get(tuple(" ".join(name.lower().split()) for name in path), ())


def known_disciplines() -> tuple[str, ...]:
    """Return the disciplines of the tree, in alphabetical order."""
    return tuple(sorted(_children()[()]))
