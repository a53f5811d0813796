"""Sections about the world: a frame of explanation around a worked problem from everyday life."""

from __future__ import annotations

import re
from random import Random

from textbookgen_procedural.phrases import phrases
from textbookgen_procedural.tasks.facts import Draw, content_words, lacking
from textbookgen_procedural.worked import Problem, draw_problem


def section(rng: Random, draw: Draw) -> str:
    """A section on a topic for a reader: what it is about, an example with numbers, an exercise with its answer."""
    topic = str(draw.get("topic") or "").strip().rstrip(".")
    if not topic:
        raise lacking("section", "topic", "a text")
    said = topic.rpartition("/")[2].replace("_", " ")
    facts = {
        "topic": said,
        "audience": str(draw.get("audience") or "a curious reader"),
        "domain": str(draw.get("domain") or "the world"),
    }
    lists = ("openings", "reasons", "advice", "closings")
    pick = {name: rng.choice(phrases(f"section {name}")).format(**facts) for name in lists}
    example, exercise = draw_problem(rng), draw_problem(rng)
    parts = [f"# {said[0].upper()}{said[1:]}", pick["openings"], *_angles(rng, draw), pick["reasons"]]
    parts += [f"**Example.** {example.question}", _worked(example), pick["advice"]]
    parts += [f"**Exercise.** {exercise.question}", f"**Answer.** {_worked(exercise)}", pick["closings"]]
    return "\n\n".join(parts) + "\n"


def _angles(rng: Random, draw: Draw) -> list[str]:
    """What the persona and the passage add."""
    angles = []
    if draw.get("persona"):
        angles.append(rng.choice(phrases("section personas")).format(persona=str(draw["persona"]).rstrip(".")))
    if draw.get("passage"):
        known = sorted(content_words(str(draw["passage"])), key=lambda word: (-len(word), word))[:12]
        if len(known) >= 3:
            chosen = rng.sample(known, 3)
            angles.append(rng.choice(phrases("section passages")).format(*(re.sub("_+", " ", item) for item in chosen)))
    if draw.get("content"):
        angles.append(f"For this reader it matters that we bring {str(draw['content']).rstrip('.')}.")
    return angles


def _worked(problem: Problem) -> str:
    return ". ".join(problem.steps) + f". So the answer is {problem.answer}."
