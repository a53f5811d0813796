"""Requests for code and for actions: inferred from the code, solved again, put in other words, and wished for."""

from __future__ import annotations

import ast
import re
from random import Random

from textbookgen_procedural.exercises import draw_exercise
from textbookgen_procedural.kinds import ANNOTATIONS
from textbookgen_procedural.phrases import phrases
from textbookgen_procedural.tasks.facts import Draw, code_in, lacking, text_of
from textbookgen_procedural.understanding import read_steps, write_function
from textbookgen_procedural.worked import draw_problem

_KINDS = {annotation: kind for kind, annotation in ANNOTATIONS.items()}
_NAMED = re.compile(r"function `(\w+)` that takes `(\w+)`, an? `([\w\[\], ]+)`, and does this: (.+?\.)(?:\s|$)")
_VALUE = re.compile(r"[A-Z]?\w")


def reverse(rng: Random, draw: Draw) -> str:
    """The request that a function answers, from its signature and the first line of its docstring."""
    source = text_of(draw, "reverse")
    for piece in code_in(source) or [source]:
        try:
            tree = ast.parse(piece)
        except (SyntaxError, ValueError, RecursionError):
            continue
        for node in tree.body:
            if isinstance(node, ast.FunctionDef):
                return _asked(rng, node)
    return "Please write a program that does what this one does."


def _asked(rng: Random, node: ast.FunctionDef) -> str:
    task = (ast.get_docstring(node) or f"{node.name.replace('_', ' ')}.").splitlines()[0]
    task = task if task.endswith(".") else f"{task}."
    parameters = [(item.arg, ast.unparse(item.annotation) if item.annotation else "value") for item in node.args.args]
    taken = (
        " and ".join(f"`{name}`, {'an' if kind[0] in 'aeiou' else 'a'} `{kind}`," for name, kind in parameters) or "nothing,"
    )
    opening, closing = rng.choice(phrases("code openings")), rng.choice(phrases("code closings"))
    return f"{opening} Python function `{node.name}` that takes {taken} and does this: {task} {closing}".strip()


def regenerate(rng: Random, draw: Draw) -> str:
    """The code for a request, if its steps are among those we know; else a function that only has the right head."""
    request = str(draw.get("request") or "")
    result = _NAMED.search(request)
    if not result:
        return "I do not know how to do that."
    name, variable, annotation, task = result[1], result[2], result[3], result[4]
    composition = read_steps(task, variable, _KINDS[annotation]) if annotation in _KINDS else None
    if composition is None:
        return f"```python\ndef {name}({variable}: {annotation}):\n    raise NotImplementedError({task!r})\n```"
    return f"```python\n{write_function(name, composition, task)}```"


def paraphrase(rng: Random, draw: Draw) -> str:
    """A request as somebody else would put it: another frame, other common words, every value word for word."""
    request, slots = str(draw.get("request") or "").strip(), [str(item) for item in draw.get("slots") or ()]
    if not request:
        raise lacking("paraphrase", "request", "a text")
    body, end = request.rstrip(".!?"), request[-1] if request[-1] in ".!?" else "."
    for old, new in (pair.split(" = ") for pair in phrases("other words")):
        if rng.random() < 0.6:
            body = _replaced(body, old, rng.choice(new.split(" / ")), slots)
    first = body.split()[0]
    if not any(slot.startswith(first.strip(",")) for slot in slots) and first != "I":
        body = body[0].lower() + body[1:]
    frame = rng.choice([item for item in phrases("request frames") if ("?" in item) == (end == "?")])
    said = frame.format(body)
    return said[0].upper() + said[1:] if not any(said.startswith(slot) for slot in slots) else said


def _replaced(body: str, old: str, new: str, slots: list[str]) -> str:
    """A word in place of another, where no value holds it."""
    if any(re.search(rf"\b{re.escape(old)}\b", slot, re.IGNORECASE) for slot in slots):
        return body

    def swapped(result: re.Match[str]) -> str:
        return new.capitalize() if result[0][0].isupper() else new

    return re.sub(rf"\b{re.escape(old)}\b", swapped, body, count=1, flags=re.IGNORECASE)


def wish(rng: Random, draw: Draw) -> str:
    """What somebody might ask an assistant: a problem from their day, a function, or an explanation."""
    persona, topic = str(draw.get("persona") or "").rstrip("."), str(draw.get("topic") or "everyday life")
    me = rng.choice(phrases("wish openings")).format(persona=persona) if persona else ""
    kind = rng.randrange(3)
    if kind == 0:
        asked = draw_problem(rng).question
    elif kind == 1:
        made = draw_exercise(rng, f"task_{rng.randrange(10, 1000)}", rng.randint(1, 3))
        node = ast.parse(made.prompt + made.solution).body[0]
        assert isinstance(node, ast.FunctionDef)
        asked = _asked(rng, node)
    else:
        asked = rng.choice(phrases("wish questions")).format(topic=topic)
    return f"{me} {asked}".strip()
