"""Textbook sections about the world: a lesson on the topic, if there is one, in the style and for the audience of the draw."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from random import Random

from textbookgen_procedural.data_files import phrases, read_lists
from textbookgen_procedural.lessons.catalogue import find_topic
from textbookgen_procedural.lessons.lesson import Lesson, Problem
from textbookgen_procedural.tasks.draw_fields import Draw, missing_field

_NAMES = ("Alba", "Bela", "Cora", "Dino", "Edda", "Finn", "Gita", "Hana", "Ivo", "Jana", "Karl", "Lola", "Mona", "Nils")


def section(rng: Random, draw: Draw) -> str:
    """Return a section on a topic, with an example and an exercise with its answer.

    Only topics of `textbookgen_procedural.lessons.catalogue` are known. About others the section says nothing but how one
    could find out, so that it teaches no falsehoods.

    Raises:
        RequestRefused: the draw has no `topic`.
    """
    topic = " ".join(str(draw.get("topic") or "").split()).rstrip(".")
    if not topic:
        raise missing_field("section", "topic", "a text")
    title = topic.rpartition("/")[2].replace("_", " ")
    known = find_topic(title)
    lesson = known.lesson(rng) if known else _inquiry(rng, title)
    writer = _WRITERS.get(str(draw.get("style") or "").lower(), _textbook)
    parts = [
        f"# {title[0].upper()}{title[1:]}",
        *_setting(rng, draw),
        *writer(rng, lesson, _Needs(str(draw.get("audience") or ""))),
    ]
    return "\n\n".join(parts) + "\n"


class _Needs:
    """Which parts of a lesson an audience needs; by default all."""

    def __init__(self, audience: str) -> None:
        parts = dict(line.split(" | ") for line in read_lists("reply_phrases")["section audiences"])
        self._parts = frozenset(parts.get(audience, "rule mistake limit check").split())

    def __contains__(self, part: str) -> bool:
        return part in self._parts


def _setting(rng: Random, draw: Draw) -> list[str]:
    """Return the sentences about the person and the detail of a passage that the section takes up."""
    sentences = []
    if draw.get("persona"):
        persona = str(draw["persona"]).rstrip(".")
        sentences.append(
            rng.choice(phrases("section personas")).format(persona=persona, Persona=persona[0].upper() + persona[1:])
        )
    if details := passage_details(str(draw.get("passage") or "")):
        detail = rng.choice(details)
        article = "an" if detail[0] in "aeiou" else "a"
        sentences.append(rng.choice(phrases("section passages")).format(detail=detail, a=article))
    return [" ".join(sentences)] if sentences else []


def passage_details(passage: str) -> list[str]:
    """Return the everyday objects that a passage names, each once, in order."""
    words = re.findall(r"[a-z]+", passage.lower())
    return [word for word in dict.fromkeys(words) if word in _objects()]


@cache
def _objects() -> frozenset[str]:
    return frozenset(" ".join(phrases("section objects")).split())


# -- Parts of a text


def _problem(problem: Problem) -> str:
    return f"{problem.situation} {problem.question}"


def _solution(problem: Problem) -> str:
    return " ".join((*problem.steps, problem.answer))


def _remarks(lesson: Lesson, needs: _Needs) -> list[str]:
    """Return the paragraphs after the example that this audience needs."""
    paragraphs = []
    if "check" in needs:
        paragraphs.append(f"**Check.** {lesson.check}")
    if "mistake" in needs:
        paragraphs.append(f"**Beware.** {lesson.mistake}")
    if "limit" in needs:
        paragraphs.append(f"**Limits.** {lesson.limit}")
    return paragraphs


def _exercise(lesson: Lesson) -> list[str]:
    return [f"**Exercise.** {_problem(lesson.exercise)}", f"**Answer.** {_solution(lesson.exercise)}"]


def _rule(lesson: Lesson, needs: _Needs) -> list[str]:
    return [f"**Rule.** {lesson.rule}."] if "rule" in needs else []


# -- Styles


def _textbook(rng: Random, lesson: Lesson, needs: _Needs) -> list[str]:
    example = [f"**Example.** {_problem(lesson.example)}", _solution(lesson.example)]
    if "first" in needs:
        return [*example, lesson.idea, *_rule(lesson, needs), *_remarks(lesson, needs), *_exercise(lesson)]
    return [lesson.idea, *_rule(lesson, needs), *example, *_remarks(lesson, needs), *_exercise(lesson)]


def _questions(rng: Random, lesson: Lesson, needs: _Needs) -> list[str]:
    pairs = [("What is the idea?", lesson.idea)]
    if "rule" in needs:
        pairs.append(("Is there a general rule?", f"{lesson.rule}."))
    pairs.append((_problem(lesson.example), _solution(lesson.example)))
    if "check" in needs:
        pairs.append(("How can I check that?", lesson.check))
    if "mistake" in needs:
        pairs.append(("What do people get wrong?", lesson.mistake))
    if "limit" in needs:
        pairs.append(("Does it always work?", lesson.limit))
    return [*(f"**{question}**\n\n{answer}" for question, answer in pairs), *_exercise(lesson)]


def _conversation(rng: Random, lesson: Lesson, needs: _Needs) -> list[str]:
    asks, knows = rng.sample(_NAMES, 2)
    turns = [
        (asks, f"I do not understand this yet: {lesson.topic}. What is it about?"),
        (knows, lesson.idea),
        (asks, "Can you show me a case?"),
        (knows, _problem(lesson.example)),
        (asks, "How would you begin?"),
        (knows, _solution(lesson.example)),
    ]
    if "check" in needs:
        turns += [(asks, "How do you know that it is right?"), (knows, lesson.check)]
    if "mistake" in needs:
        turns += [(asks, "What should I look out for?"), (knows, lesson.mistake)]
    if "limit" in needs:
        turns += [(asks, "Is that always so?"), (knows, lesson.limit)]
    if "rule" in needs:
        turns.append((knows, f"You can write it down in one line. {lesson.rule}."))
    return [*(f"{name}: {text}" for name, text in turns), *_exercise(lesson)]


def _guide(rng: Random, lesson: Lesson, needs: _Needs) -> list[str]:
    steps = [
        lesson.example.situation,
        f"The question is: {lesson.example.question}",
        *lesson.example.steps,
        lesson.example.answer,
    ]
    if "check" in needs:
        steps.append(lesson.check)
    numbered = "\n".join(f"{number}. {step}" for number, step in enumerate(steps, 1))
    rest = [part for part in _remarks(lesson, needs) if not part.startswith("**Check.**")]
    return [lesson.idea, *_rule(lesson, needs), "Here is one case, step by step:", numbered, *rest, *_exercise(lesson)]


def _story(rng: Random, lesson: Lesson, needs: _Needs) -> list[str]:
    one, other = rng.sample(_NAMES, 2)
    parts = [
        rng.choice(phrases("section scenes")).format(one=one, other=other),
        f'"Listen," said {other}. "{_problem(lesson.example)}"'.replace('""', '"'),
        f"{one} thought for a while, and then went through it slowly. {_solution(lesson.example)}",
        f"{other} nodded. {lesson.idea}",
    ]
    return [*parts, *_rule(lesson, needs), *_remarks(lesson, needs), *_exercise(lesson)]


def _case(rng: Random, lesson: Lesson, needs: _Needs) -> list[str]:
    parts = [
        f"## The case\n\n{lesson.example.situation}",
        f"## The question\n\n{lesson.example.question}",
        f"## Background\n\n{lesson.idea}",
        f"## Analysis\n\n{' '.join(lesson.example.steps)}",
        f"## Conclusion\n\n{lesson.example.answer}",
    ]
    return [*parts, *_rule(lesson, needs), *_remarks(lesson, needs), *_exercise(lesson)]


def _letter(rng: Random, lesson: Lesson, needs: _Needs) -> list[str]:
    one, other = rng.sample(_NAMES, 2)
    return [
        f"Dear {one},",
        f"You asked me about this: {lesson.topic}. {lesson.idea}",
        f"Take this case. {_problem(lesson.example)}",
        _solution(lesson.example),
        *_rule(lesson, needs),
        *_remarks(lesson, needs),
        "And here is one for you to try.",
        *_exercise(lesson),
        f"Yours, {other}",
    ]


def _notes(rng: Random, lesson: Lesson, needs: _Needs) -> list[str]:
    lines = [
        ("9:00, observed", lesson.example.situation),
        ("9:10, question", lesson.example.question),
        ("9:30, worked out", " ".join(lesson.example.steps)),
        ("9:50, result", lesson.example.answer),
        ("In the evening, what I take from it", lesson.idea),
    ]
    notes = [f"**{head}.** {text}" for head, text in lines]
    return [*notes, *_rule(lesson, needs), *_remarks(lesson, needs), *_exercise(lesson)]


_WRITERS: dict[str, Callable[[Random, Lesson, _Needs], list[str]]] = {
    "textbook section": _textbook,
    "questions and answers": _questions,
    "conversation": _conversation,
    "step-by-step guide": _guide,
    "story": _story,
    "case report": _case,
    "letter": _letter,
    "notebook": _notes,
}


# -- Topics without a lesson


def _inquiry(rng: Random, title: str) -> Lesson:
    """Return a lesson on how one could find out about a topic, which is true whatever the topic is."""
    people = rng.sample(_NAMES, 4)
    notes, other_notes = rng.sample(phrases("inquiry notes"), 2)

    def problem(one: str, other: str, said: str) -> Problem:
        first, second = said.split(" | ")
        return Problem(
            f'{one} and {other} want to know more about this topic: {title}. {one} says: "{first}" {other} says: "{second}"',
            "Whose way is more likely to lead to something they can rely on?",
            (
                "Ask of each way what would be known in the end, and whether somebody else could check it.",
                f"What {one} does leaves something that others can check.",
                f"What {other} does leaves nothing of the kind.",
            ),
            f"The way of {one} is more likely to lead there.",
        )

    return Lesson(
        topic=title,
        idea=rng.choice(phrases("inquiry ideas")).format(topic=title),
        rule=rng.choice(phrases("inquiry rules")),
        example=problem(people[0], people[1], notes),
        mistake=rng.choice(phrases("inquiry mistakes")).format(topic=title),
        limit=f"This section does not say what is known about the topic, {title}: it says only how one can find out.",
        check="Ask whether a person with the opposite opinion would accept this way of finding out.",
        exercise=problem(people[2], people[3], other_notes),
    )
