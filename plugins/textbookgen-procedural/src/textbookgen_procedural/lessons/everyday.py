"""Draws of lessons on people's knowledge, on planning activities, and on materials, with the objects that they are about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

from textbookgen_procedural.data_files import read_lists
from textbookgen_procedural.lessons.lesson import Lesson, LessonTemplate, Problem, fill_title, listed

Values = dict[str, Any]

_PEOPLE = ("Anna", "Ben", "Carla", "David", "Emma", "Farid", "Grace", "Hugo", "Ines", "Jonas", "Kofi", "Lena", "Mei", "Omar")
_PLACES = (
    *("in the kitchen drawer", "under the bed", "on the top shelf", "behind the curtain", "in the garden shed"),
    *("in the wardrobe", "under the stairs", "in the old chest", "next to the piano", "in a basket by the door"),
)


def draw_minds(rng: Random) -> Values:
    """Return four names and two places."""
    people, places = rng.sample(_PEOPLE, 4), rng.sample(_PLACES, 2)
    return {**dict(zip("ABCD", people, strict=True)), **dict(zip("PQ", places, strict=True))}


# -- Activities


@dataclass(frozen=True)
class Activity:
    """An activity with its steps in order, and the minutes of each."""

    name: str
    steps: tuple[tuple[str, int], ...]


@cache
def read_activities() -> Mapping[str, Activity]:
    """Return the activities of `data/entities.txt` by name."""
    result = {}
    for line in read_lists("entities")["daily activities"]:
        name, _, plan = line.partition(" | ")
        steps = [step.rpartition(", ") for step in plan.split("; ")]
        result[name] = Activity(name, tuple((step, int(minutes)) for step, _, minutes in steps))
    return result


def activity_slots(activity: Activity) -> Values:
    """Return the slots of an activity's name."""
    return {"N": activity.name, "N_capital": activity.name[0].upper() + activity.name[1:]}


def draw_activity(rng: Random, activity: Activity) -> Values:
    """Return the values of all lessons on an activity: its steps, with times that vary a little, and sums over them."""
    steps = [(name, minutes + rng.choice((0, 2, 4))) for name, minutes in activity.steps]
    names, minutes = [name for name, _ in steps], [value for _, value in steps]
    total, longest = sum(minutes), max(minutes)
    if longest % 2:
        place = minutes.index(longest)
        minutes[place] += 1
        steps[place] = (names[place], minutes[place])
        total, longest = total + 1, longest + 1
    end = 60 * rng.randint(12, 20) + rng.choice((0, 15, 30, 45))
    shuffled = rng.sample(names, len(names))
    while shuffled == names:
        shuffled = rng.sample(names, len(names))
    at, count = rng.randint(1, len(names) - 2), rng.randint(2, len(names) - 2)
    one = [step for place, step in enumerate(steps) if place % 2 == 0]
    other = [step for place, step in enumerate(steps) if place % 2]
    one_total, other_total = sum(value for _, value in one), sum(value for _, value in other)
    reserve, delay = rng.choice((10, 15, 20, 25)), rng.choice((4, 6, 8, 12))
    enough = reserve >= 2 * delay
    relation = "more" if reserve > 2 * delay else "exactly as much" if enough else "less"
    return {
        "plan": _plan(steps),
        "sum": _plus(minutes),
        "total": total,
        "longest": longest,
        "end": _clock(end),
        "start": _clock(end - total),
        "shuffled": listed([f'"{name}"' for name in shuffled]),
        "ordered": listed([f'"{name}"' for name in names]),
        "first": names[0],
        "last": names[-1],
        "previous": names[at - 1],
        "done": names[at],
        "next": names[at + 1],
        "one_plan": _plan(one),
        "other_plan": _plan(other),
        "one_sum": _plus([value for _, value in one]),
        "other_sum": _plus([value for _, value in other]),
        "one_total": one_total,
        "other_total": other_total,
        "longer": max(one_total, other_total),
        "count": ("none", "one", "two", "three", "four")[count],
        "done_sum": _plus(minutes[:count]),
        "done_total": sum(minutes[:count]),
        "left": total - sum(minutes[:count]),
        "left_sum": _plus(minutes[count:]),
        "half": longest // 2,
        "new_total": total - longest // 2,
        "available": total + reserve,
        "reserve": reserve,
        "delay": delay,
        "both": 2 * delay,
        "relation": relation,
        "worst": total + 2 * delay,
        "verdict": "Yes, there is enough time even then." if enough else "No, it is late if both steps are late.",
    }


def _plus(values: list[int]) -> str:
    return " + ".join(map(str, values))


def _plan(steps: list[tuple[str, int]]) -> str:
    return listed([f"{name} ({minutes} minutes)" for name, minutes in steps])


def _clock(minutes: int) -> str:
    return f"{minutes // 60 % 24}:{minutes % 60:02d}"


# -- Materials


@cache
def materials() -> Mapping[str, str]:
    """Return the material of each object."""
    return dict(_rows("everyday materials"))


@cache
def properties() -> Mapping[str, tuple[str, ...]]:
    """Return the properties that each material has."""
    return {name: tuple(filter(None, listed_.split(", "))) for name, listed_ in _rows("properties")}


@cache
def undecided() -> frozenset[tuple[str, str]]:
    """Return pairs of material and property of which neither yes nor no is true in general."""
    return frozenset((name, word) for name, words in _rows("undecided") for word in words.split(", "))


def _rows(heading: str) -> list[tuple[str, str]]:
    rows = (line.partition("|") for line in read_lists("entities")[heading])
    return [(name.strip(), rest.strip()) for name, _, rest in rows]


def teaches(template: LessonTemplate, thing: str) -> bool:
    """Return whether the question of a template has an answer for this object."""
    return (materials()[thing], template.fields["word"]) not in undecided()


def material_lesson(rng: Random, template: LessonTemplate, thing: str) -> Lesson:
    """Return the lesson on whether an object has a property; the exercise asks the same of another object."""
    others = [name for name in materials() if teaches(template, name) and materials()[name] != materials()[thing]]
    answers = {name: _has(template, name) for name in others}
    opposite = [name for name in others if answers[name] != _has(template, thing)]
    other = rng.choice(opposite)
    fields = template.fields
    return Lesson(
        topic=fill_title(template.title, {"O": thing}),
        idea=fields["idea"],
        rule=f"To find out whether something will {fields['word']}, ask what it is made of",
        example=_material_problem(template, thing),
        mistake=fields["mistake"],
        limit=fields["limit"],
        check=fields["check"],
        exercise=_material_problem(template, other),
    )


def _has(template: LessonTemplate, thing: str) -> bool:
    return template.fields["word"] in properties()[materials()[thing]]


def _material_problem(template: LessonTemplate, thing: str) -> Problem:
    """Return the question of a lesson about one object."""
    has, word = _has(template, thing), template.fields["word"]
    material = materials()[thing]
    reason = template.fields["yes" if has else "no"].format(M=material).replace("iron contains iron, which", "iron is what")
    article = "an" if thing[0] in "aeio" else "a"
    return Problem(
        f"Here is {article} {thing}. It is made of {material}.",
        f"Will it {word}?" if word != "break" else "Will it break if it falls from a table on a floor of stone?",
        (f"{reason[0].upper()}{reason[1:]}.",),
        f"{'Yes' if has else 'No'}, {article} {thing} {'will' if has else 'will not'} {word}"
        + (", most likely." if word == "break" else "."),
    )
