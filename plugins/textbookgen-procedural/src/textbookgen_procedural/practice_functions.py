"""Functions that illustrate the concept of a page, in the form of exercises."""

from __future__ import annotations

from random import Random

from textbookgen_procedural.compositions import draw_steps
from textbookgen_procedural.exercises import DIFFICULTIES, Case, Exercise, Form, literal, make_exercise
from textbookgen_procedural.names import function_name
from textbookgen_procedural.primitives import primitives_by_name

_MAX_ATTEMPTS = 60


def draw_practice(rng: Random, practice: tuple[str, ...], level: int) -> Exercise | None:
    """Draw a function whose first step is one of some primitives.

    Args:
        rng: the source of randomness.
        practice: names of primitives; `@STYLE` among them sets the style of the body (`renderings.STYLES`).
        level: 1 to 5; higher levels have more steps.

    Returns:
        The function with two cases, or None without primitives, or if the drawn ones can be written in no such way.
    """
    names = [name for name in practice if not name.startswith("@")]
    style = next((name[1:] for name in practice if name.startswith("@")), "plain")
    difficulty = DIFFICULTIES[min(level, 3)]
    for _ in range(_MAX_ATTEMPTS if names else 0):
        first = primitives_by_name()[rng.choice(names)]
        length = 1 if first.output_type in ("bool", "dict") else rng.choice(difficulty.steps)
        steps = draw_steps(rng, length, max(difficulty.level, first.level), first=first)
        form = Form(style, example_share=0.0)
        exercise = make_exercise(rng, function_name(rng), steps, 2, form) if steps else None
        if exercise:
            return exercise
    return None


def function_markdown(exercise: Exercise) -> str:
    """Return a function with one or two calls and their output, as Markdown."""
    calls = [_call(exercise.name, case) for case in exercise.cases[:2]]
    return f"```python\n{exercise.prompt}{exercise.solution}\n" + "\n".join(calls) + "\n```"


def steps_in_words(exercise: Exercise) -> str:
    """Return what a function does, step by step."""
    commands = exercise.composition.phrases()
    if len(commands) == 1:
        return f"It needs only one step: {commands[0]}."
    places = ("First", "Then", "After that", "Finally")
    return " ".join(f"{places[place]} we {command}." for place, command in enumerate(commands))


def _call(name: str, case: Case) -> str:
    """Return a call that prints its result, in quotes if it begins or ends with space or is empty."""
    call = f"{name}({literal(case.value)})"
    needs_quotes = isinstance(case.result, str) and case.result != (case.result.strip() or None)
    return f"print(repr({call}))  # {case.result!r}" if needs_quotes else f"print({call})  # {case.result}"
