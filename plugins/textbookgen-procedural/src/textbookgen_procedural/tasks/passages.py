"""Passages: which of a page's are worth a question, and the same passage told in another form."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from random import Random

from textbookgen_procedural.phrases import phrases
from textbookgen_procedural.tasks.facts import Draw, form, lacking, sentences, text_of

_REASONS = re.compile(r"\b(?:because|so|then|therefore|first|if|suppose|answer|since)\b|```|# ", re.IGNORECASE)
_FEWEST = 20  # words of an excerpt
_LONGEST = 24  # lines of an excerpt


def tag(rng: Random, draw: Draw) -> str:
    """The excerpts of a window of lines: runs of paragraphs, with their complexity by signs of reasoning and code."""
    lines = draw.get("lines")
    if not isinstance(lines, list | tuple):
        raise lacking("tag", "lines", "the lines of the passage")
    excerpts = [_tagged(start, end, "\n".join(lines[start:end])) for start, end in _runs(list(lines))]
    kept = [item for item in excerpts if item is not None]
    return form(educational=bool(kept), excerpts=kept)


def _runs(lines: list[str]) -> Iterator[tuple[int, int]]:
    """Where pieces of a page stand: from heading to heading, or so many lines; code in fences is not cut."""
    start, fenced = 0, False
    for at, line in enumerate(lines):
        fenced ^= line.startswith("```")
        if not fenced and at > start and not line.strip() and at - start >= _LONGEST // 2:
            yield start, at
            start = at + 1
    if start < len(lines):
        yield start, len(lines)


def _tagged(start: int, end: int, text: str) -> dict[str, object] | None:
    said = sentences(text)
    if len(text.split()) < _FEWEST or not said:
        return None
    signs = len(_REASONS.findall(text))
    steps = [{"assumption": one, "conclusion": other, "description": "one after the other"} for one, other in pairwise(said)]
    return {
        "start_line": start + 1,
        "end_line": end,
        "information": said[0],
        "description": f"{len(said)} sentences" + (" and code" if "```" in text else ""),
        "complexity": "ABCD"[min(3, signs // 2)],
        "obscurity": "low",
        "reasoning": signs >= 2,
        "steps": steps[:5] if signs >= 2 else [],
        "dependencies": [],
    }


def rewrite(rng: Random, draw: Draw) -> str:
    """The passage as an exercise, a discussion, a chain of reasoning or a tutorial; every number of it stays."""
    text, style = text_of(draw, "rewrite"), str(draw.get("style") or "")
    tellers = {"exercise": _exercise, "discussion": _discussion, "reasoning": _reasoning, "tutorial": _tutorial}
    if style not in tellers:
        raise lacking("rewrite", "style", f"one of {', '.join(tellers)}")
    return f"{tellers[style](rng, text, str(draw.get('audience') or 'a reader'))}\n"


def _pieces(text: str) -> list[str]:
    """The paragraphs of a text, code in fences whole."""
    parts, fenced = [""], False
    for line in text.strip().split("\n"):
        fenced ^= line.startswith("```")
        if not line.strip() and not fenced:
            parts.append("")
        else:
            parts[-1] += f"{line}\n"
    return [part.strip() for part in parts if part.strip()]


def _exercise(rng: Random, text: str, audience: str) -> str:
    asked = rng.choice(phrases("exercise questions"))
    last = (sentences(text) or ["It is told above."])[-1]
    return f"Read this, and then answer.\n\n{text.strip()}\n\n**Exercise.** {asked}\n\n**Answer.** {last}"


def _discussion(rng: Random, text: str, audience: str) -> str:
    one, other = rng.sample(phrases("speakers"), 2)
    turns = []
    for at, piece in enumerate(_pieces(text)):
        asked = rng.choice(phrases("discussion turns"))
        turns += [f"{one}: {asked}", f"{other}: {piece}"] if at % 2 == 0 else [f"{other}: {piece}"]
    return "\n\n".join(turns)


def _reasoning(rng: Random, text: str, audience: str) -> str:
    joints = ("First", "Next", "From this", "Then", "After that", "So")
    parts = [f"{joints[min(at, len(joints) - 1)]}: {piece}" for at, piece in enumerate(_pieces(text))]
    return f"Let us reason step by step, for {audience}.\n\n" + "\n\n".join(parts)


def _tutorial(rng: Random, text: str, audience: str) -> str:
    steps = [f"## Step {at}\n\n{piece.lstrip('# ')}" for at, piece in enumerate(_pieces(text), 1)]
    return f"# A tutorial for {audience}\n\n" + "\n\n".join(steps)
