"""Documents written from a draw alone (stories, pages, exercises), and the educational value of a document."""

from __future__ import annotations

import keyword
from collections.abc import Mapping
from random import Random

from textbookgen_procedural.concept_hints import HINTS
from textbookgen_procedural.concepts import concepts
from textbookgen_procedural.educational_value import rate_text
from textbookgen_procedural.exercises import DIFFICULTIES, draw_exercise
from textbookgen_procedural.named_exercises import Request, draw_named_exercise
from textbookgen_procedural.primitives import Primitive, primitives_by_name
from textbookgen_procedural.stories import write_story
from textbookgen_procedural.tasks.draw_fields import Draw, missing_field
from textbookgen_procedural.tasks.sections import section
from textbookgen_procedural.tasks.solution_grading import write_steps
from textbookgen_procedural.textbook_pages import write_page
from textbookgen_procedural.value_types import PARAMETER_TYPES, ValueType


def story(rng: Random, draw: Draw) -> str:
    """Return a story with the verb, the noun and the adjective of the draw.

    Raises:
        RequestRefused: one of the words is missing.
    """
    for field in ("verb", "noun", "adjective"):
        if not isinstance(draw.get(field), str) or not draw[field].strip():
            raise missing_field("story", field, "a word")
    return write_story(rng, draw)


def page(rng: Random, draw: Draw) -> str:
    """Return a textbook page on the topic of the draw.

    Raises:
        RequestRefused: the topic is missing, or the difficulty is out of range.
    """
    if not draw.get("topic"):
        raise missing_field("page", "topic", "a text")
    _difficulty(draw, "page")
    return write_page(rng, draw)


def exercise(rng: Random, draw: Draw) -> str:
    """Return a function of the name in the draw, with docstring, body and asserts, in a code block.

    Raises:
        RequestRefused: the name is not a valid one, the difficulty is out of range, or the draw lists the function's steps
            without their code.
    """
    name = str(draw.get("function_name") or "")
    if not name.isidentifier() or keyword.iskeyword(name):
        raise missing_field("exercise", "function_name", "a valid Python name")
    if draw.get("steps"):
        return write_steps(draw)
    types, difficulty = draw.get("argument_types"), _difficulty(draw, "exercise")
    input_type, concept = _input_type(types), str(draw.get("concept") or "")
    first = _first_primitive(rng, concept, input_type)
    if first:
        exercise = draw_exercise(rng, name, difficulty, input_type=input_type, first=first)
    else:
        further = str(types[1]) if isinstance(types, (list, tuple)) and len(types) > 1 else ""
        exercise = draw_named_exercise(rng, Request(name, concept, difficulty, input_type, further))
    return f"```python\n{exercise.program()}```"


def _first_primitive(rng: Random, concept: str, input_type: ValueType | None) -> Primitive | None:
    """Return a first step for a concept of the pages, or the primitive of that name, if it fits the parameter.

    None for a concept that the teacher practises by the way it writes the body.
    """
    if concept.lower() in HINTS:
        return None
    page_concept = concepts().get(concept.lower())
    names = page_concept.practice if page_concept else (concept.lower().replace(" ", "_"),)
    known = [primitives_by_name()[name] for name in names if name in primitives_by_name()]
    fitting = [item for item in known if input_type in (None, item.input_type)]
    return rng.choice(fitting) if fitting else None


def educational_value(rng: Random, draw: Draw) -> str:
    """Return the educational value of the document, from 0 to 5, after a justification.

    Raises:
        RequestRefused: the draw has no document.
    """
    document = draw.get("document")
    text = document.get("text") if isinstance(document, Mapping) else None
    if not isinstance(text, str):
        raise missing_field("educational-value", "document", "a row with `text`")
    return rate_text(text)


def _difficulty(draw: Draw, task: str) -> int:
    difficulty = draw.get("difficulty") or 2
    if str(difficulty) not in map(str, DIFFICULTIES):
        raise missing_field(task, "difficulty", "a number from 1 to 5")
    return int(difficulty)


def _input_type(argument_types: object) -> ValueType | None:
    """Return the type of the first parameter, from its annotation (`list[int]`) or words (`a list of numbers`).

    None if the description names no known type.
    """
    first = argument_types[0] if isinstance(argument_types, (list, tuple)) and argument_types else argument_types
    description = str(first or "").lower()
    if description in PARAMETER_TYPES:
        return PARAMETER_TYPES[description]
    is_list = "list" in description
    if "float" in description or "dict" in description:
        return None
    if any(word in description for word in ("str", "text", "word", "sentence")):
        return "strs" if is_list or "words" in description else "str"
    if any(word in description for word in ("int", "number")):
        return "ints" if is_list or "numbers" in description else "int"
    return None


def draft(rng: Random, draw: Draw) -> str:
    """Return the document that the fields of the draw describe: an exercise, a story, a section, or a page."""
    if draw.get("function_name"):
        return exercise(rng, draw)
    if draw.get("verb"):
        return story(rng, draw)
    return section(rng, draw) if draw.get("domain") or draw.get("reader_needs") else page(rng, draw)
