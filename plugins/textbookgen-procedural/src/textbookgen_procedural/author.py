"""The embedded teacher: it answers tasks from the facts of a draw. It is a program, not a language model."""

from __future__ import annotations

import json
import keyword
from collections.abc import Callable, Mapping
from random import Random
from typing import Any, ClassVar

from textbookgen.errors import Refused
from textbookgen.teacher import Price, Reply, Request, Teacher
from textbookgen_procedural.concepts import concepts
from textbookgen_procedural.exercises import LADDER, draw_exercise
from textbookgen_procedural.kinds import Kind
from textbookgen_procedural.pages import write_page
from textbookgen_procedural.primitives import Primitive, by_name
from textbookgen_procedural.rubric import judge_text
from textbookgen_procedural.stories import write_story


class Author(Teacher):
    """The embedded teacher: a program, not a language model, that needs no key and no network.

    It reads nothing but `task`, `draw` and `sample` of a request, and answers the same request always alike. It knows the
    tasks `story`, `page`, `exercise` and `educational-value`.
    """

    name: ClassVar[str] = "author"
    reads_draw: ClassVar[bool] = True
    stand_in: ClassVar[bool] = True
    version: ClassVar[int] = 1

    async def complete(self, request: Request) -> Reply:
        """What the program writes for the request.

        Raises:
            Refused: the task is none it knows, or the draw lacks what the task needs.
        """
        task = _TASKS.get(request.task)
        if task is None:
            raise Refused(
                f"the embedded teacher cannot do the task `{request.task}`",
                hint=f"it is a program and knows the tasks {', '.join(_TASKS)}; name a language model for others",
            )
        return Reply(task(_random(request), request.draw))

    def price(self) -> Price:
        """Nothing."""
        return Price(0.0, 0.0)


def _random(request: Request) -> Random:
    facts = {"task": request.task, "draw": dict(request.draw), "sample": request.sample}
    return Random(json.dumps(facts, sort_keys=True, ensure_ascii=False, default=str))


def _story(rng: Random, draw: Mapping[str, Any]) -> str:
    for word in ("verb", "noun", "adjective"):
        if not isinstance(draw.get(word), str) or not draw[word].strip():
            raise _lacking("story", word, "a word")
    return write_story(rng, draw)


def _page(rng: Random, draw: Mapping[str, Any]) -> str:
    if not draw.get("topic"):
        raise _lacking("page", "topic", "a text")
    _difficulty(draw)
    return write_page(rng, draw)


def _exercise(rng: Random, draw: Mapping[str, Any]) -> str:
    name = str(draw.get("function_name") or "")
    if not name.isidentifier() or keyword.iskeyword(name):
        raise _lacking("exercise", "function_name", "a name that Python can use")
    start = _kind(draw.get("arguments"))
    opening = _opening(rng, str(draw.get("concept") or ""), start)
    exercise = draw_exercise(rng, name, _difficulty(draw), start=start, opening=opening)
    return f"```python\n{exercise.program()}```"


def _opening(rng: Random, concept: str, start: Kind | None) -> Primitive | None:
    """The first step for a concept that pages teach, or a primitive's name, if it fits the parameter; else it is left open."""
    known = concepts().get(concept.lower())
    names = known.practice if known else (concept.lower().replace(" ", "_"),)
    fitting = [by_name()[name] for name in names if name in by_name()]
    fitting = [each for each in fitting if start in (None, each.takes)]
    return rng.choice(fitting) if fitting else None


def _value(rng: Random, draw: Mapping[str, Any]) -> str:
    document = draw.get("document")
    text = document.get("text") if isinstance(document, Mapping) else None
    if not isinstance(text, str):
        raise _lacking("educational-value", "document", "a row with `text`")
    return judge_text(text)


_TASKS: dict[str, Callable[[Random, Mapping[str, Any]], str]] = {
    "story": _story,
    "page": _page,
    "exercise": _exercise,
    "educational-value": _value,
}


def _difficulty(draw: Mapping[str, Any]) -> int:
    difficulty = draw.get("difficulty") or 2
    if str(difficulty) not in map(str, LADDER):
        raise _lacking("exercise or page", "difficulty", "a number from 1 to 5")
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


def _lacking(task: str, option: str, wanted: str) -> Refused:
    return Refused(f"the draw of a task `{task}` has no good `{option}`", hint=f"the embedded teacher needs {wanted} there")
