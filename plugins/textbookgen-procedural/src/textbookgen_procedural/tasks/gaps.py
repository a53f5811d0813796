"""Gaps: what is missing is reasoned back where the text around it says enough, and guesses are graded by comparison."""

from __future__ import annotations

import ast
import re
from difflib import SequenceMatcher
from random import Random

from textbookgen_procedural.kinds import ANNOTATIONS
from textbookgen_procedural.tasks.facts import Draw, form, lacking, sentences
from textbookgen_procedural.understanding import read_steps, write_function

_HEAD = re.compile(r"def (\w+)\((\w+): ([\w\[\], ]+)\) -> [\w\[\], ]+:\n\s+\"\"\"(.+?)(?:\"\"\"|\n)")
_KINDS = {annotation: kind for kind, annotation in ANNOTATIONS.items()}


def guess(rng: Random, draw: Draw) -> str:
    """The reasoning and the guess: of code, the line that the docstring asks for and the rest lacks; of prose, the sentence
    that the text around it makes likeliest, with what the hint tells."""
    before, after = draw.get("before"), draw.get("after")
    if not isinstance(before, str) or not isinstance(after, str):
        raise lacking("middle-guess", "before", "the text before the gap, and `after`,")
    line = _line(before, after)
    if line:
        task, code = line
        why = f"The docstring asks for this: {task} The lines around the gap do part of it, and this step is missing."
        return f"{why}\n\nGUESS:\n{code}"
    said = _likeliest(rng, before, after, str(draw.get("hint") or ""))
    return f"The sentence must lead from what stands before to what follows.\n\nGUESS:\n{said}"


def _line(before: str, after: str) -> tuple[str, str] | None:
    """The task of the function around the gap, and the line of it that is missing."""
    heads = list(_HEAD.finditer(before))
    if not heads or heads[-1][3] not in _KINDS:
        return None
    name, variable, annotation, task = heads[-1].groups()
    composition = read_steps(task, variable, _KINDS[annotation])
    if composition is None:
        return None
    whole = write_function(name, composition, task)
    try:
        body = ast.parse(whole).body[0]
    except SyntaxError:
        return None
    assert isinstance(body, ast.FunctionDef)
    around = before[heads[-1].start() :] + after
    missing = [ast.get_source_segment(whole, item) or "" for item in body.body[1:]]
    missing = [item for item in missing if item not in around]
    return (task, missing[0]) if missing else None


def _likeliest(rng: Random, before: str, after: str, hint: str) -> str:
    told = re.search(r"begins with `(.+?)`", hint)
    last, following = sentences(before)[-1:] or [""], sentences(after)[:1] or [""]
    if told:
        return f"{told[1]} {' '.join(following[0].split()[:6])}".strip().rstrip(".") + "."
    words = (last[0].split() + following[0].split()) or ["It", "goes", "on"]
    return " ".join(words[: rng.randint(5, 9)]).rstrip(".,") + "."


def grade(rng: Random, draw: Draw) -> str:
    """How alike a guess and what was there are, from 1 to 5, and how the missing piece begins as a hint."""
    middle, said = str(draw.get("middle") or ""), str(draw.get("guess") or "")
    if not middle.strip():
        raise lacking("middle-grade", "middle", "the missing piece")
    alike = SequenceMatcher(None, middle.split(), said.split(), autojunk=False).ratio()
    letters = SequenceMatcher(None, middle, said, autojunk=False).ratio()
    score = 1 + sum(max(alike, letters - 0.2) >= bound for bound in (0.25, 0.45, 0.65, 0.85))
    return form(grade=score, hint=f"It has {len(middle.split())} words and begins with `{' '.join(middle.split()[:3])}`.")
