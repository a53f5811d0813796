"""Requests of users: written, inferred from code, and turned back into code."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, replace
from random import Random

from textbookgen_procedural.compositions import Composition
from textbookgen_procedural.data_files import phrases
from textbookgen_procedural.docstring_parser import function_source, parse_steps
from textbookgen_procedural.exercises import draw_exercise
from textbookgen_procedural.tasks.draw_fields import Draw, document_text
from textbookgen_procedural.tasks.slips import wrong_composition
from textbookgen_procedural.tasks.text_analysis import python_blocks
from textbookgen_procedural.value_types import PARAMETER_TYPES
from textbookgen_procedural.word_problems import draw_problem

#: The task ends with the first full stop that is not between quotation marks (`as in "1. tea"`).
_REQUEST = re.compile(
    r"function `(\w+)` that takes `(\w+)`, an? `([\w\[\], ]+)`, and does this: ((?:\"[^\"]*\"|[^\"])+?\.)(?:\s|$)"
)


def infer_request(rng: Random, draw: Draw) -> str:
    """Return the request that a function fulfils, from its signature and the first line of its docstring.

    Raises:
        RequestRefused: the draw has no document.
    """
    text = document_text(draw, "instruction-reversal")
    for source in python_blocks(text) or [text]:
        function = _first_function(source)
        if function is not None:
            return _request_for(rng, function)
    return "Please write a program that does what this one does."


def _first_function(source: str) -> ast.FunctionDef | None:
    """Return the first function at the top level of a program; None if there is none, or the source is not valid Python."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return None
    return next((node for node in tree.body if isinstance(node, ast.FunctionDef)), None)


def _request_for(rng: Random, function: ast.FunctionDef) -> str:
    task = (ast.get_docstring(function) or f"{function.name.replace('_', ' ')}.").splitlines()[0]
    task = task if task.endswith(".") else f"{task}."
    parameters = [(item.arg, ast.unparse(item.annotation) if item.annotation else "value") for item in function.args.args]
    described = [f"`{name}`, {'an' if annotation[0] in 'aeiou' else 'a'} `{annotation}`," for name, annotation in parameters]
    inputs = " and ".join(described) or "nothing,"
    opening, closing = rng.choice(phrases("code openings")), rng.choice(phrases("code closings"))
    return f"{opening} Python function `{function.name}` that takes {inputs} and does this: {task} {closing}".strip()


@dataclass(frozen=True)
class RequestedFunction:
    """A function that a request describes: its name, its task in words, and the steps of its body."""

    name: str
    task: str
    composition: Composition

    def source(self) -> str:
        """Return its source."""
        return function_source(self.name, self.composition, self.task)

    def has_body(self, reply: str) -> bool:
        """Return whether a reply contains the function with this body."""
        body = "\n".join(f"    {line}" for line in self.composition.body())
        return f"def {self.name}(" in reply and f"{body}\n" in reply


def requested_function(request: str) -> RequestedFunction | None:
    """Return the function that a request describes, if all its steps are known."""
    match = _REQUEST.search(request)
    if not match or match[3] not in PARAMETER_TYPES:
        return None
    name, variable, annotation, task = match.groups()
    composition = parse_steps(task, variable, PARAMETER_TYPES[annotation])
    return RequestedFunction(name, task, composition) if composition else None


def wrong_request(rng: Random, request: RequestedFunction) -> RequestedFunction | None:
    """Return the function with one wrong step and the right docstring; None if every other step gives the same results."""
    composition = wrong_composition(rng, request.composition)
    return replace(request, composition=composition) if composition else None


def regenerate_code(rng: Random, draw: Draw) -> str:
    """Return the code for a `request` if all its steps are known; otherwise a function that raises NotImplementedError."""
    request = str(draw.get("request") or "")
    known, match = requested_function(request), _REQUEST.search(request)
    if known is not None:
        return f"```python\n{known.source()}```"
    if match is None:
        return "I do not know how to do that."
    name, variable, annotation, task = match.groups()
    return f"```python\ndef {name}({variable}: {annotation}):\n    raise NotImplementedError({task!r})\n```"


def user_prompt(rng: Random, draw: Draw) -> str:
    """Return a message that a user might send to an assistant: a word problem, a function to write, or a question."""
    persona, topic = str(draw.get("persona") or "").rstrip("."), str(draw.get("topic") or "everyday life").rstrip(".")
    parts = [rng.choice(phrases("user prompt openings")).format(persona=persona)] if persona else []
    kind = rng.randrange(6)
    if kind == 0:
        return " ".join([*parts, rng.choice(phrases("user prompt questions")).format(topic=topic)])
    parts.append(rng.choice(phrases("user prompt situations")).format(topic=topic))
    if kind % 2:
        parts.append(draw_problem(rng).question)
    else:
        exercise = draw_exercise(rng, f"task_{rng.randrange(10, 1000)}", rng.randint(1, 3))
        function = _first_function(exercise.prompt + exercise.solution)
        parts.append(_request_for(rng, function) if function else "")
    return " ".join(parts).strip()
