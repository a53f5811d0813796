"""Questions with one answer: found in passages, answered (not always correctly), checked, refused, and made unanswerable."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from random import Random
from typing import Any

from textbookgen_procedural.data_files import phrases
from textbookgen_procedural.docstring_parser import ParsedFunction, parse_argument, parse_function
from textbookgen_procedural.exercises import literal
from textbookgen_procedural.tasks.draw_fields import Draw, document_text, json_reply, missing_field
from textbookgen_procedural.tasks.slips import other_number, replace_last_number, wrong_values
from textbookgen_procedural.tasks.text_analysis import python_blocks
from textbookgen_procedural.word_problems import find_equation, find_problem

#: "ANSWER: 4", "**Answer:** 4", "The answer is 4." and "\\boxed{4}".
_ANSWER = re.compile(r"\bANSWER[*_ ]*:[*_]*\s*(.+)|\banswer is:?\s+(.+)|\\boxed\{([^{}]+)\}", re.IGNORECASE)
#: The calls that a docstring shows, with their results and its end.
_DOCSTRING_EXAMPLES = re.compile(r'\n\s*\n\s*>>> .*?"""', re.DOTALL)
_OTHER_ENDINGS = ("again", "all", "once", "new")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_ACCURACY = (0.3, 0.98)  # share of right attempts at the hardest question and at the easiest
_ANSWER_ACCURACY = (0.6, 0.98)  # the same of answers, which have steps
_TOO_HARD = 0.08  # share of questions to which most answers are UNKNOWN
_DOUBT = 0.6  # share of wrong answers that are held back, and UNKNOWN is said instead
_MIN_SLIPS = 8  # with fewer different wrong answers, two of them would often be the same


@dataclass(frozen=True)
class Solution:
    """The steps and the answer of a question."""

    steps: tuple[str, ...]
    answer: str


@dataclass(frozen=True)
class Call:
    """A call of a known function: the function and its argument."""

    function: ParsedFunction
    value: Any


def solve(question: str) -> Solution | None:
    """Return the solution of a known word problem, an open equation, or a call of a known function; None for others."""
    problem = find_problem(question) or find_equation(question)
    if problem is not None:
        return Solution(problem.steps, str(problem.answer))
    call = _find_call(question)
    return _solve_call(call) if call else None


def wrong_solution(rng: Random, question: str) -> Solution | None:
    """Return a solution with a slip in one step, in the form of the right one; None if the question is not known."""
    problem = find_problem(question) or find_equation(question)
    if problem is not None:
        right, wrong = str(problem.answer), str(other_number(rng, problem.answer))
        return Solution((*problem.steps[:-1], replace_last_number(problem.steps[-1], right, wrong)), wrong)
    call = _find_call(question)
    if call is None:
        return None
    values = wrong_values(rng, call.function.composition.steps, call.value)
    return _call_solution(call, values) if values else None


def _find_call(text: str) -> Call | None:
    """Return the first call of a known function with literal arguments, outside the function's own source."""
    for source in python_blocks(text):
        function = parse_function(source)
        value = parse_argument(text.replace(source, ""), function.name) if function else None
        if function and value is not None:
            return Call(function, value)
    return None


def _solve_call(call: Call) -> Solution | None:
    """Return the steps of a call in words, with the value after each; None if the call fails."""
    try:
        return _call_solution(call, [value for _, value in call.function.trace(call.value)])
    except (TypeError, ValueError, IndexError, ZeroDivisionError):
        return None


def _call_solution(call: Call, values: list[Any]) -> Solution:
    phrases_and_values = zip(call.function.composition.phrases(), values, strict=True)
    steps = [f"{words[0].upper()}{words[1:]}: that gives {literal(value)}" for words, value in phrases_and_values]
    return Solution((f"We begin with {literal(call.value)}", *steps), literal(values[-1]))


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
        solution = _solve_call(Call(function, value))
        if solution and len(solution.steps) > 2:
            source = _DOCSTRING_EXAMPLES.sub('"""', function.source)
            question = f"What does `{function.name}({literal(value)})` give?\n\n```python\n{source}\n```"
            return f"QUESTION:\n{question}\nSOLUTION:\n{_in_words(solution)}"
    problem = find_problem(text)
    if problem is None:
        return "NONE"
    return f"QUESTION:\n{problem.question}\nSOLUTION:\n{_in_words(Solution(problem.steps, str(problem.answer)))}"


def answer(rng: Random, draw: Draw) -> str:
    """Return an answer with its steps, right with a probability that is fixed for each question, or UNKNOWN.

    Wrong answers to one question differ, as slips do, so that the most frequent of several answers is right: where there are
    few wrong answers, such as one to a question of yes or no, UNKNOWN is said instead.

    Raises:
        RequestRefused: the draw has no `question`.
    """
    question = _question(draw, "answer")
    ease = _ease(question)
    right = 0.1 if ease < _TOO_HARD else _between(_ANSWER_ACCURACY, ease)
    if rng.random() < right:
        solution = solve(question)
    else:
        doubts = ease < _TOO_HARD or rng.random() < _DOUBT or _count_slips(question) < _MIN_SLIPS
        solution = None if doubts else wrong_solution(rng, question)
    return "I cannot work this out.\nANSWER: UNKNOWN" if solution is None else _in_words(solution)


def attempt(rng: Random, draw: Draw) -> str:
    """Return an answer in one short sentence, right with a probability that is fixed for each question, or none.

    Raises:
        RequestRefused: the draw has no `question`.
    """
    question = _question(draw, "attempt")
    right = rng.random() < _between(_ACCURACY, _ease(question))
    solution = solve(question) if right else wrong_solution(rng, question)
    return "I do not know." if solution is None else f"The answer is {solution.answer}."


def _question(draw: Draw, task: str) -> str:
    question = str(draw.get("question") or "").strip()
    if not question:
        raise missing_field(task, "question", "a text")
    return question


def _ease(question: str) -> float:
    """Return how easy a question is: a number between 0 and 1 that is fixed for its text."""
    return sha256(question.encode("utf-8", "surrogatepass")).digest()[0] / 255


def _between(bounds: tuple[float, float], share: float) -> float:
    return bounds[0] + share * (bounds[1] - bounds[0])


@lru_cache(maxsize=1 << 10)
def _count_slips(question: str) -> int:
    """Return how many different wrong answers a question gets in twice as many tries as are needed."""
    slips = (wrong_solution(Random(f"{number} {question}"), question) for number in range(2 * _MIN_SLIPS))
    return len({slip.answer for slip in slips if slip is not None})


def _in_words(solution: Solution) -> str:
    return "\n".join(f"{number}. {step}." for number, step in enumerate(solution.steps, 1)) + f"\nANSWER: {solution.answer}"


def check_answer(rng: Random, draw: Draw) -> str:
    """Return whether an `attempt` agrees with the `reference_answer`: `correct`, `incorrect`, or `uncertain` without an answer.

    Raises:
        RequestRefused: the draw has no `reference_answer`.
    """
    reference, attempt = str(draw.get("reference_answer") or "").strip(), str(draw.get("attempt") or "")
    if not reference:
        raise missing_field("check-answer", "reference_answer", "the right answer")
    expected = _normalize((_final_answers(reference) or [reference])[-1])
    answers = _final_answers(attempt) or _NUMBER.findall(attempt)
    if not answers or _normalize(answers[-1]) == "unknown":
        return json_reply(verdict="uncertain")
    return json_reply(verdict="correct" if _normalize(answers[-1]) == expected else "incorrect")


def _final_answers(text: str) -> list[str]:
    return [next(filter(None, match.groups())) for match in _ANSWER.finditer(text)]


def _normalize(text: str) -> str:
    return "".join(text.lower().split()).strip(".`*")


def refusal(rng: Random, draw: Draw) -> str:
    """Return a polite refusal: the answer is unknown, or, if `is_bogus`, something is missing in the question."""
    return rng.choice(phrases("bogus refusals" if draw.get("is_bogus") else "honest refusals"))


def bogus_question(rng: Random, draw: Draw) -> str:
    """Return the question with one thing replaced that it does not state, so that it has no answer, as JSON.

    A word problem loses a number, an equation gets an unknown, and a call names a function that is not shown.
    """
    question = str(draw.get("question") or "")
    call = _find_call(question)
    if call is not None:
        name = call.function.name
        return json_reply(question=question.replace(f"{name}(", f"{name}_{rng.choice(_OTHER_ENDINGS)}(", 1), plausibility=4)
    matches = list(re.finditer(r"(?<![\w.])\d+(?![\w.])", question))
    amounts = tuple("xyn") if find_equation(question) else phrases("unknown amounts")
    needed = [match.span() for match in matches if solve(_replace(question, match.span(), amounts[0])) is None]
    if not needed:
        return json_reply(question=f"{question.rstrip('?. ')}, if it were the other way round?", plausibility=2)
    return json_reply(question=_replace(question, rng.choice(needed), rng.choice(amounts)), plausibility=4)


def _replace(text: str, span: tuple[int, int], new: str) -> str:
    return text[: span[0]] + new + text[span[1] :]
