"""Questions with one answer: found in passages, answered (not always correctly), checked, refused, and made unanswerable."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from random import Random
from typing import Any

from textbookgen_procedural.data_files import phrases
from textbookgen_procedural.docstring_parser import parse_argument, parse_function
from textbookgen_procedural.exercises import literal
from textbookgen_procedural.tasks.draw_fields import Draw, document_text, json_reply, missing_field
from textbookgen_procedural.tasks.text_analysis import python_blocks
from textbookgen_procedural.word_problems import find_equation, find_problem

_ANSWER = re.compile(r"ANSWER:\s*(.+)")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_ACCURACY = (0.3, 0.98)  # share of right answers, to the hardest question and to the easiest


@dataclass(frozen=True)
class Solution:
    """The steps and the answer of a question."""

    steps: tuple[str, ...]
    answer: str


def solve(question: str) -> Solution | None:
    """Return the solution of a known word problem, an open equation, or a call of a known function; None for others."""
    problem = find_problem(question) or find_equation(question)
    if problem is not None:
        return Solution(problem.steps, str(problem.answer))
    for source in python_blocks(question):
        function = parse_function(source)
        value = parse_argument(question.replace(source, ""), function.name) if function else None
        if function and value is not None:
            return _trace_solution(function.trace(value), value)
    return None


def _trace_solution(trace: Iterator[tuple[str, Any]], value: Any) -> Solution | None:
    """Return the steps of a call in words, with the value after each; None if the call fails."""
    steps, result = [], value
    try:
        for words, result in trace:
            steps.append(f"{words[0].upper()}{words[1:]}: that gives {literal(result)}")
    except (TypeError, ValueError, IndexError, ZeroDivisionError):
        return None
    return Solution((f"We begin with {literal(value)}", *steps), literal(result))


def deduction(rng: Random, draw: Draw) -> str:
    """Return a question about the reasoning in a document, with its solution, or NONE.

    The question is about a call of a function in the document, or about a word problem in it.

    Raises:
        RequestRefused: the draw has no document.
    """
    text = document_text(draw, "deduction")
    for source in python_blocks(text):
        function = parse_function(source)
        value = parse_argument(source.replace(function.source, ""), function.name) if function else None
        if function is None or value is None:
            continue
        solution = _trace_solution(function.trace(value), value)
        if solution and len(solution.steps) > 2:
            question = f"What does `{function.name}({literal(value)})` give?\n\n```python\n{function.source}\n```"
            return f"QUESTION:\n{question}\nSOLUTION:\n{_in_words(solution)}"
    problem = find_problem(text)
    if problem is None:
        return "NONE"
    return f"QUESTION:\n{problem.question}\nSOLUTION:\n{_in_words(Solution(problem.steps, str(problem.answer)))}"


def answer(rng: Random, draw: Draw) -> str:
    """Return an answer with its steps, right with a probability that is fixed for each question.

    Raises:
        RequestRefused: the draw has no `question`.
    """
    question = str(draw.get("question") or "").strip()
    if not question:
        raise missing_field("answer", "question", "a text")
    solution = solve(question)
    if solution is None:
        return f"I cannot work this out. ANSWER: unknown {rng.randrange(100)}"
    ease = sha256(question.encode("utf-8", "surrogatepass")).digest()[0] / 255
    if rng.random() < _ACCURACY[0] + ease * (_ACCURACY[1] - _ACCURACY[0]):
        return _in_words(solution)
    wrong = wrong_answer(rng, solution.answer)
    return _in_words(Solution((*solution.steps[:-1], "The last step is done in haste"), wrong))


def _in_words(solution: Solution) -> str:
    return "\n".join(f"{number}. {step}." for number, step in enumerate(solution.steps, 1)) + f"\nANSWER: {solution.answer}"


def wrong_answer(rng: Random, right: str) -> str:
    """Return a wrong answer like those of careless people: one number is slightly off."""
    numbers = list(_NUMBER.finditer(right))
    if not numbers:
        return f"{right} and more"
    number = rng.choice(numbers)
    changed = int(float(number[0])) + rng.choice((-10, -2, -1, 1, 2, 10))
    return f"{right[: number.start()]}{changed}{right[number.end() :]}"


def check_answer(rng: Random, draw: Draw) -> str:
    """Return whether an `attempt` agrees with the `reference_answer`: `correct`, `incorrect`, or `uncertain` without an answer.

    Raises:
        RequestRefused: the draw has no `reference_answer`.
    """
    reference, attempt = str(draw.get("reference_answer") or "").strip(), str(draw.get("attempt") or "")
    if not reference:
        raise missing_field("check-answer", "reference_answer", "the right answer")
    expected = _normalize((_ANSWER.findall(reference) or [reference])[-1])
    answers = _ANSWER.findall(attempt) or _NUMBER.findall(attempt)
    if not answers:
        return json_reply(verdict="uncertain")
    return json_reply(verdict="correct" if _normalize(answers[-1]) == expected else "incorrect")


def _normalize(text: str) -> str:
    return "".join(text.lower().split()).strip(".`*\"'")


def refusal(rng: Random, draw: Draw) -> str:
    """Return a polite refusal: the answer is unknown, or, if `is_bogus`, something is wrong with the question."""
    question = str(draw.get("question") or "")
    about = " ".join(question.split()[:8]).rstrip("?.,")
    return rng.choice(phrases("bogus refusals" if draw.get("is_bogus") else "honest refusals")).format(about=about)


def bogus_question(rng: Random, draw: Draw) -> str:
    """Return the question with one number made unknown, so that it sounds plausible and has no answer, as JSON.

    A number without which the question can still be solved, such as one inside a string, is left alone.
    """
    question = str(draw.get("question") or "")
    matches = re.finditer(r"(?<![\w.])\d+(?![\w.])", question)
    needed = [match.span() for match in matches if solve(_replace(question, match.span(), "an unknown number of")) is None]
    if not needed:
        return json_reply(question=f"{question.rstrip('?. ')}, if it were the other way round?", plausibility=2)
    number = rng.choice(needed)
    return json_reply(question=_replace(question, number, rng.choice(phrases("unknown amounts"))), plausibility=4)


def _replace(text: str, span: tuple[int, int], new: str) -> str:
    return text[: span[0]] + new + text[span[1] :]
