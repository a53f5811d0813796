"""Fill-in-the-middle: guesses of a missing passage from the text around it, and grades of such guesses."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from random import Random

from textbookgen_procedural.compositions import Composition
from textbookgen_procedural.docstring_parser import function_source, parse_steps
from textbookgen_procedural.exercises import Form, body_in_form
from textbookgen_procedural.renderings import EXITS, STYLES
from textbookgen_procedural.tasks.draw_fields import Draw, json_reply, missing_field
from textbookgen_procedural.tasks.text_analysis import sentences
from textbookgen_procedural.value_types import PARAMETER_TYPES

_FUNCTION_HEAD = re.compile(r"def (\w+)\((\w+): ([\w\[\], ]+)\) -> [\w\[\], ]+:\n\s+\"\"\"(.+?)(?:\"\"\"|\n)")


def guess(rng: Random, draw: Draw) -> str:
    """Return the reasoning and a guess of the passage between `prefix` and `suffix`.

    In a function of the teacher, that is the line that the docstring asks for and the code lacks. In prose, it is little more
    than a sentence made of the words around the gap, which begins as the `hint` says.

    Raises:
        RequestRefused: the draw lacks `prefix` or `suffix`.
    """
    prefix, suffix = draw.get("prefix"), draw.get("suffix")
    if not isinstance(prefix, str) or not isinstance(suffix, str):
        raise missing_field("fill-in-the-middle", "prefix", "the text before the gap, and `suffix`,")
    missing = _missing_line(prefix, suffix)
    if missing:
        task, line = missing
        reason = f"The docstring asks for this: {task} The lines around the gap do part of it, and this step is missing."
        return f"{reason}\n\nGUESS:\n{line}"
    sentence = _plausible_sentence(rng, prefix, suffix, str(draw.get("hint") or ""))
    return f"The sentence must lead from what stands before to what follows.\n\nGUESS:\n{sentence}"


def _missing_line(prefix: str, suffix: str) -> tuple[str, str] | None:
    """Return the task of the function around the gap and the line it lacks; None if the gap is not in a known function."""
    heads = list(_FUNCTION_HEAD.finditer(prefix))
    if not heads or heads[-1][3] not in PARAMETER_TYPES:
        return None
    name, variable, annotation, task = heads[-1].groups()
    composition = parse_steps(task, variable, PARAMETER_TYPES[annotation])
    if composition is None:
        return None
    around = prefix[heads[-1].start() :] + suffix
    best, best_share = "", -1.0
    for source in _renderings(name, composition, task):
        lines = _body_lines(source)
        missing = [line for line in lines if line not in around]
        share = 1 - len(missing) / max(1, len(lines))  # of the statements that are there: this is the form that has the gap
        if missing and share > best_share:
            best, best_share = missing[0], share
    return (task, best) if best else None


def _renderings(name: str, composition: Composition, task: str) -> Iterator[str]:
    """Yield the source of the function in every form that the teacher writes."""
    plain = function_source(name, composition, task)
    yield plain
    header = plain[: plain.index(composition.body()[0])].rstrip(" ")
    for style in STYLES:
        for early_exit in EXITS:
            body = body_in_form(composition, name, Form(style, early_exit))
            if body:
                yield header + "".join(f"    {line}\n" for line in body)


def _body_lines(source: str) -> list[str]:
    """Return the statements after the docstring of a function; none if the source is not valid Python."""
    try:
        function = ast.parse(source).body[0]
    except SyntaxError:
        return []
    statements = function.body[1:] if isinstance(function, ast.FunctionDef) else []
    return [ast.get_source_segment(source, item) or "" for item in statements]


def _plausible_sentence(rng: Random, prefix: str, suffix: str, hint: str) -> str:
    beginning = re.search(r"begins with `(.+?)`", hint)
    before, after = sentences(prefix)[-1:] or [""], sentences(suffix)[:1] or [""]
    if beginning:
        return f"{beginning[1]} {' '.join(after[0].split()[:6])}".strip().rstrip(".") + "."
    words = (before[0].split() + after[0].split()) or ["It", "goes", "on"]
    return " ".join(words[: rng.randint(5, 9)]).rstrip(".,") + "."


def grade(rng: Random, draw: Draw) -> str:
    """Return the similarity of `guess` and `middle` as a grade from 1 to 5, and the first words of the middle as a hint.

    Raises:
        RequestRefused: the draw has no `middle`.
    """
    middle, guess = str(draw.get("middle") or ""), str(draw.get("guess") or "")
    if not middle.strip():
        raise missing_field("grade-guess", "middle", "the missing passage")
    by_words = SequenceMatcher(None, middle.split(), guess.split(), autojunk=False).ratio()
    by_letters = SequenceMatcher(None, middle, guess, autojunk=False).ratio()
    score = 1 + sum(max(by_words, by_letters - 0.2) >= bound for bound in (0.25, 0.45, 0.65, 0.85))
    return json_reply(grade=score, hint=f"It has {len(middle.split())} words and begins with `{' '.join(middle.split()[:3])}`.")
