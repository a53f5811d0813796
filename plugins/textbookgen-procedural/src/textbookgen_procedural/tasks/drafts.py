"""What is written from a draw alone: stories, pages, exercises; and what a text is worth to a student."""

from __future__ import annotations

import keyword
from collections.abc import Mapping
from random import Random
from typing import Any

from textbookgen_procedural.concepts import concepts
from textbookgen_procedural.exercises import LADDER, draw_exercise
from textbookgen_procedural.kinds import Kind
from textbookgen_procedural.pages import write_page
from textbookgen_procedural.primitives import Primitive, by_name
from textbookgen_procedural.rubric import judge_text
from textbookgen_procedural.stories import write_story
from textbookgen_procedural.tasks.facts import lacking
from textbookgen_procedural.tasks.sections import section


def story(rng: Random, draw: Mapping[str, Any]) -> str:
    """A story with the verb, the noun and the adjective of the draw."""
    for word in ("verb", "noun", "adjective"):
        if not isinstance(draw.get(word), str) or not draw[word].strip():
            raise lacking("story", word, "a word")
    return write_story(rng, draw)


def page(rng: Random, draw: Mapping[str, Any]) -> str:
    """A page of a textbook on the topic of the draw."""
    if not draw.get("topic"):
        raise lacking("page", "topic", "a text")
    _difficulty(draw)
    return write_page(rng, draw)


def exercise(rng: Random, draw: Mapping[str, Any]) -> str:
    """A function of the drawn name with docstring, body and asserts."""
    name = str(draw.get("function_name") or "")
    if not name.isidentifier() or keyword.iskeyword(name):
        raise lacking("exercise", "function_name", "a name that Python can use")
    start = _kind(draw.get("arguments"))
    opening = _opening(rng, str(draw.get("concept") or ""), start)
    exercise = draw_exercise(rng, name, _difficulty(draw), start=start, opening=opening)
    return f"```python\n{exercise.program()}```"


def _opening(rng: Random, concept: str, start: Kind | None) -> Primitive | None:
    """The first step for a concept that pages teach, or a primitive's name, if it fits the parameter; else it is left open."""
    known = concepts().get(concept.lower())
    names = known.practice if known else (concept.lower().replace(" ", "_"),)
    fitting = [by_name()[name] for name in names if name in by_name()]
    fitting = [item for item in fitting if start in (None, item.takes)]
    return rng.choice(fitting) if fitting else None


def educational_value(rng: Random, draw: Mapping[str, Any]) -> str:
    """What the document is worth to a student, from 0 to 5, with the reason."""
    document = draw.get("document")
    text = document.get("text") if isinstance(document, Mapping) else None
    if not isinstance(text, str):
        raise lacking("educational-value", "document", "a row with `text`")
    return judge_text(text)


def _difficulty(draw: Mapping[str, Any]) -> int:
    difficulty = draw.get("difficulty") or 2
    if str(difficulty) not in map(str, LADDER):
        raise lacking("exercise or page", "difficulty", "a number from 1 to 5")
    return int(difficulty)


def _kind(arguments: object) -> Kind | None:
    """The kind of the first parameter, from its type (`list[int]`) or words (`a list of numbers`); None if nothing is known."""
    first = arguments[0] if isinstance(arguments, (list, tuple)) and arguments else arguments
    words = str(first or "").lower()
    many = "list" in words
    if "float" in words or "dict" in words:
        return None
    if any(word in words for word in ("str", "text", "word", "sentence")):
        return "strs" if many or "words" in words else "str"
    if any(word in words for word in ("int", "number")):
        return "ints" if many or "numbers" in words else "int"
    return None


def draft(rng: Random, draw: Mapping[str, Any]) -> str:
    """Whatever the draw is for: an exercise, a story, a section about the world, or a page."""
    if draw.get("function_name"):
        return exercise(rng, draw)
    if draw.get("verb"):
        return story(rng, draw)
    return section(rng, draw) if draw.get("domain") or draw.get("content") else page(rng, draw)
