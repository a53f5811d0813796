"""Textbook sections about the world: explanatory sentences around a worked word problem."""

from __future__ import annotations

import re
from random import Random

from textbookgen_procedural.data_files import phrases
from textbookgen_procedural.tasks.draw_fields import Draw, missing_field
from textbookgen_procedural.tasks.text_analysis import content_words
from textbookgen_procedural.word_problems import Problem, draw_problem


def section(rng: Random, draw: Draw) -> str:
    """Return a section on a topic for an audience, with an example in numbers and an exercise with its answer.

    Raises:
        RequestRefused: the draw has no `topic`.
    """
    topic = str(draw.get("topic") or "").strip().rstrip(".")
    if not topic:
        raise missing_field("section", "topic", "a text")
    title = topic.rpartition("/")[2].replace("_", " ")
    slots = {
        "topic": title,
        "audience": str(draw.get("audience") or "a curious reader"),
        "domain": str(draw.get("domain") or "the world"),
    }
    lists = ("openings", "reasons", "advice", "closings")
    chosen = {name: rng.choice(phrases(f"section {name}")).format(**slots) for name in lists}
    example, exercise = draw_problem(rng), draw_problem(rng)
    parts = [f"# {title[0].upper()}{title[1:]}", chosen["openings"], *_perspectives(rng, draw), chosen["reasons"]]
    parts += [f"**Example.** {example.question}", _solution(example), chosen["advice"]]
    parts += [f"**Exercise.** {exercise.question}", f"**Answer.** {_solution(exercise)}", chosen["closings"]]
    return "\n\n".join(parts) + "\n"


def _perspectives(rng: Random, draw: Draw) -> list[str]:
    """Return the sentences that the persona, the passage and the reader's needs add."""
    parts = []
    if draw.get("persona"):
        parts.append(rng.choice(phrases("section personas")).format(persona=str(draw["persona"]).rstrip(".")))
    if draw.get("passage"):
        longest = sorted(content_words(str(draw["passage"])), key=lambda word: (-len(word), word))[:12]
        if len(longest) >= 3:
            chosen = rng.sample(longest, 3)
            parts.append(rng.choice(phrases("section passages")).format(*(re.sub("_+", " ", item) for item in chosen)))
    if draw.get("reader_needs"):
        parts.append(f"For this reader it matters that we bring {str(draw['reader_needs']).rstrip('.')}.")
    return parts


def _solution(problem: Problem) -> str:
    return ". ".join(problem.steps) + f". So the answer is {problem.answer}."
