"""Questions with one answer: found in passages, answered (not always rightly), checked, refused, and made bogus."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from random import Random
from typing import Any

from textbookgen_procedural.exercises import literal
from textbookgen_procedural.phrases import phrases
from textbookgen_procedural.tasks.facts import Draw, code_in, form, lacking, text_of
from textbookgen_procedural.understanding import read_call, read_function
from textbookgen_procedural.worked import find_problem, find_sum

_ANSWER = re.compile(r"ANSWER:\s*(.+)")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_SURE = (0.3, 0.98)  # how often the teacher is right, from the hardest question to the easiest


@dataclass(frozen=True)
class Solved:
    """A question that we can answer, with its steps."""

    steps: tuple[str, ...]
    answer: str


def solve(question: str) -> Solved | None:
    """The answer to a problem from everyday life, an open sum, or what a known function gives; None for anything else."""
    problem = find_problem(question) or find_sum(question)
    if problem is not None:
        return Solved(problem.steps, str(problem.answer))
    for source in code_in(question):
        function = read_function(source)
        value = read_call(question.replace(source, ""), function.name) if function else None
        if function and value is not None:
            return _followed(function.stages(value), value)
    return None


def _followed(stages: Iterator[tuple[str, Any]], value: Any) -> Solved | None:
    steps, after = [], value
    try:
        for words, after in stages:
            steps.append(f"{words[0].upper()}{words[1:]}: that gives {literal(after)}")
    except (TypeError, ValueError, IndexError, ZeroDivisionError):
        return None
    return Solved((f"We begin with {literal(value)}", *steps), literal(after))


def deduction(rng: Random, draw: Draw) -> str:
    """A question on a passage's reasoning with its solution: a function's steps on a value, or a problem; else NONE."""
    text = text_of(draw, "deduction")
    for source in code_in(text):
        function = read_function(source)
        value = read_call(source.replace(function.source, ""), function.name) if function else None
        if function is None or value is None:
            continue
        result = _followed(function.stages(value), value)
        if result and len(result.steps) > 2:
            question = f"What does `{function.name}({literal(value)})` give?\n\n```python\n{function.source}\n```"
            return f"QUESTION:\n{question}\nSOLUTION:\n{_told(result)}"
    problem = find_problem(text)
    if problem is None:
        return "NONE"
    return f"QUESTION:\n{problem.question}\nSOLUTION:\n{_told(Solved(problem.steps, str(problem.answer)))}"


def answer(rng: Random, draw: Draw) -> str:
    """An answer with its steps; right as often as the question is easy, which belongs to the question."""
    question = str(draw.get("question") or "").strip()
    if not question:
        raise lacking("plurality-answer", "question", "a text")
    result = solve(question)
    if result is None:
        return f"I cannot work this out. ANSWER: unknown {rng.randrange(100)}"
    ease = sha256(question.encode("utf-8", "surrogatepass")).digest()[0] / 255
    if rng.random() < _SURE[0] + ease * (_SURE[1] - _SURE[0]):
        return _told(result)
    return _told(Solved((*result.steps[:-1], "The last step is done in haste"), _slip(rng, result.answer)))


def _told(result: Solved) -> str:
    return "\n".join(f"{number}. {step}." for number, step in enumerate(result.steps, 1)) + f"\nANSWER: {result.answer}"


def _slip(rng: Random, right: str) -> str:
    """A wrong answer such as haste gives: one number is off by a little."""
    numbers = list(_NUMBER.finditer(right))
    if not numbers:
        return f"{right} and more"
    result = rng.choice(numbers)
    off = int(float(result[0])) + rng.choice((-10, -2, -1, 1, 2, 10))
    return f"{right[: result.start()]}{off}{right[result.end() :]}"


def check_answer(rng: Random, draw: Draw) -> str:
    """Whether an attempt comes to the key: `true`, `false`, or `uncertain` where it names no answer."""
    key, attempt = str(draw.get("answer") or "").strip(), str(draw.get("attempt") or "")
    if not key:
        raise lacking("check-answer", "answer", "the key")
    said = _ANSWER.findall(attempt)
    wanted = _plain((_ANSWER.findall(key) or [key])[-1])
    if said:
        return form(verdict="true" if _plain(said[-1]) == wanted else "false")
    numbers = _NUMBER.findall(attempt)
    if not numbers:
        return form(verdict="uncertain")
    return form(verdict="true" if _plain(numbers[-1]) == wanted else "false")


def _plain(text: str) -> str:
    return "".join(text.lower().split()).strip(".`*\"'")


def refusal(rng: Random, draw: Draw) -> str:
    """A polite refusal: that one does not know, or, of a bogus question, what is wrong with it."""
    question = str(draw.get("question") or "")
    about = " ".join(question.split()[:8]).rstrip("?.,")
    return rng.choice(phrases("bogus refusals" if draw.get("bogus") else "honest refusals")).format(about=about)


def bogus_question(rng: Random, draw: Draw) -> str:
    """The question with one number in it made into something that nobody told; it sounds right and has no answer."""
    question = str(draw.get("question") or "")
    numbers = list(re.finditer(r"(?<![\w.])\d+(?![\w.])", question))
    if not numbers:
        return form(question=f"{question.rstrip('?. ')}, if it were the other way round?", plausibility=2)
    result = rng.choice(numbers)
    unknown = rng.choice(phrases("unknown amounts"))
    return form(question=f"{question[: result.start()]}{unknown}{question[result.end() :]}", plausibility=4)
