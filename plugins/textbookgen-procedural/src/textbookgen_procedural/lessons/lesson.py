"""A lesson and its template: the sentences of an explanation, with an example and an exercise from drawn values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

from textbookgen_procedural.data_files import read_lists

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Problem:
    """A question about a situation, with the steps to its answer, one sentence each."""

    situation: str
    question: str
    steps: tuple[str, ...]
    answer: str


@dataclass(frozen=True)
class Lesson:
    """What a section on a topic says; each field is one or more sentences, except `rule`.

    Attributes:
        topic: the topic, in lower case.
        idea: what it is, and why.
        rule: the general rule, without a full stop.
        example: a problem with its solution.
        mistake: a common mistake in the example, and why it is one.
        limit: where the rule does not help.
        check: how to check the answer of the example.
        exercise: a problem for the reader.
    """

    topic: str
    idea: str
    rule: str
    example: Problem
    mistake: str
    limit: str
    check: str
    exercise: Problem


@dataclass(frozen=True)
class LessonTemplate:
    """The fields of a lesson in a data file, with slots."""

    title: str
    session: str
    fields: Mapping[str, str]

    def fill(self, rng: Random, slots: Values, draw: Callable[[Random], Values]) -> Lesson:
        """Return the lesson with an example and an exercise from two draws, which differ where the draws can.

        Args:
            rng: random numbers for the draws.
            slots: what the lesson is about.
            draw: draws the values of one problem.
        """
        values, other = {**slots, **draw(rng)}, {**slots, **draw(rng)}
        for _ in range(20):
            if self._problem(values) != self._problem(other):
                break
            other = {**slots, **draw(rng)}
        plain = {name: _fill(self.fields[name], values) for name in ("idea", "rule", "mistake", "limit", "check")}
        return Lesson(
            topic=_fill(self.title, slots, capital=False),
            **plain,
            example=self._problem(values),
            exercise=self._problem(other),
        )

    def _problem(self, values: Values) -> Problem:
        steps = tuple(_fill(step.strip(), values) for step in self.fields["steps"].split("|"))
        return Problem(
            _fill(self.fields["situation"], values),
            _fill(self.fields["ask"], values),
            steps,
            _fill(self.fields["result"], values),
        )


def _fill(text: str, values: Values, capital: bool = True) -> str:
    """Return a text with its slots filled, with `an` before vowels, beginning with a capital."""
    for name in ("O", "M"):
        thing = str(values.get(name, ""))
        article = "an" if thing[:1] in "aeio" or thing.startswith("umb") else "a"
        text = text.replace(f" a {{{name}}}", f" {article} {{{name}}}").replace(
            f"A {{{name}}}", f"{article.capitalize()} {{{name}}}"
        )
        if text.startswith(f"a {{{name}}}"):
            text = article + text[1:]
    filled = text.format(**values)
    return filled[0].upper() + filled[1:] if capital else filled


@cache
def read_templates(name: str) -> tuple[LessonTemplate, ...]:
    """Return the templates of lessons in `data/NAME.txt`."""
    templates = []
    for title, lines in read_lists(name).items():
        fields = dict(line.split(": ", 1) for line in lines)
        templates.append(LessonTemplate(title, fields.pop("session"), fields))
    return tuple(templates)


def fill_title(text: str, slots: Values) -> str:
    """Return a title or the name of a session with its slots filled."""
    return _fill(text, slots, capital=False)


def listed(items: list[Any] | tuple[Any, ...]) -> str:
    """Return items as a list in a sentence: `1, 2 and 3`."""
    texts = [str(item) for item in items]
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"
