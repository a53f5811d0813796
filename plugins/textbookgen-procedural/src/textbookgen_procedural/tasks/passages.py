"""Passages of a page: excerpts worth a question, and the same passage rewritten in another form."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from random import Random

from textbookgen_procedural.data_files import phrases
from textbookgen_procedural.tasks.draw_fields import Draw, document_text, json_reply, missing_field
from textbookgen_procedural.tasks.text_analysis import sentences

_SIGNS_OF_REASONING = re.compile(r"\b(?:because|so|then|therefore|first|if|suppose|answer|since)\b|```|# ", re.IGNORECASE)
_MIN_WORDS = 20  # of an excerpt
_MIN_LINES = 12  # after which an excerpt may end at an empty line
_MAX_STEPS = 5  # of reasoning, listed for an excerpt


def excerpts(rng: Random, draw: Draw) -> str:
    """Return the excerpts of a page, with a complexity by signs of reasoning and code, as JSON.

    Raises:
        RequestRefused: the draw has no `lines`.
    """
    lines = draw.get("lines")
    if not isinstance(lines, list | tuple):
        raise missing_field("excerpts", "lines", "the lines of the passage")
    described = [_describe(start, end, "\n".join(lines[start:end])) for start, end in _split(list(lines))]
    kept = [item for item in described if item is not None]
    return json_reply(educational=bool(kept), excerpts=kept)


def _split(lines: list[str]) -> Iterator[tuple[int, int]]:
    """Yield start and end of pieces that end at an empty line after 12 lines or more, outside code blocks."""
    start, in_code = 0, False
    for number, line in enumerate(lines):
        in_code ^= line.startswith("```")
        if not in_code and number > start and not line.strip() and number - start >= _MIN_LINES:
            yield start, number
            start = number + 1
    if start < len(lines):
        yield start, len(lines)


def _describe(start: int, end: int, text: str) -> dict[str, object] | None:
    """Return the fields of an excerpt; None if it is too short or has no sentences."""
    its_sentences = sentences(text)
    if len(text.split()) < _MIN_WORDS or not its_sentences:
        return None
    signs = len(_SIGNS_OF_REASONING.findall(text))
    steps = [
        {"assumption": one, "conclusion": other, "description": "one after the other"} for one, other in pairwise(its_sentences)
    ]
    return {
        "start_line": start + 1,
        "end_line": end,
        "information": its_sentences[0],
        "description": f"{len(its_sentences)} sentences" + (" and code" if "```" in text else ""),
        "complexity": "ABCD"[min(3, signs // 2)],
        "obscurity": "low",
        "reasoning": signs >= 2,
        "steps": steps[:_MAX_STEPS] if signs >= 2 else [],
        "dependencies": [],
    }


def rewrite(rng: Random, draw: Draw) -> str:
    """Return the document as an exercise, a discussion, a chain of reasoning or a tutorial; it keeps every number.

    Raises:
        RequestRefused: the document or a known `style` is missing.
    """
    text, style = document_text(draw, "rewrite"), str(draw.get("style") or "")
    writers = {"exercise": _exercise, "discussion": _discussion, "reasoning": _reasoning, "tutorial": _tutorial}
    if style not in writers:
        raise missing_field("rewrite", "style", f"one of {', '.join(writers)}")
    return f"{writers[style](rng, text, str(draw.get('audience') or 'a reader'))}\n"


def _paragraphs(text: str) -> list[str]:
    """Return the paragraphs of a text; a code block is one paragraph."""
    parts, in_code = [""], False
    for line in text.strip().split("\n"):
        in_code ^= line.startswith("```")
        if not line.strip() and not in_code:
            parts.append("")
        else:
            parts[-1] += f"{line}\n"
    return [part.strip() for part in parts if part.strip()]


def _exercise(rng: Random, text: str, audience: str) -> str:
    question = rng.choice(phrases("exercise questions"))
    last = (sentences(text) or ["It is told above."])[-1]
    return f"Read this, and then answer.\n\n{text.strip()}\n\n**Exercise.** {question}\n\n**Answer.** {last}"


def _discussion(rng: Random, text: str, audience: str) -> str:
    one, other = rng.sample(phrases("speakers"), 2)
    turns = []
    for number, paragraph in enumerate(_paragraphs(text)):
        question = rng.choice(phrases("discussion turns"))
        turns += [f"{one}: {question}", f"{other}: {paragraph}"] if number % 2 == 0 else [f"{other}: {paragraph}"]
    return "\n\n".join(turns)


def _reasoning(rng: Random, text: str, audience: str) -> str:
    openings = ("First", "Next", "From this", "Then", "After that", "So")
    parts = [f"{openings[min(number, len(openings) - 1)]}: {paragraph}" for number, paragraph in enumerate(_paragraphs(text))]
    return f"Let us reason step by step, for {audience}.\n\n" + "\n\n".join(parts)


def _tutorial(rng: Random, text: str, audience: str) -> str:
    steps = [f"## Step {number}\n\n{paragraph.lstrip('# ')}" for number, paragraph in enumerate(_paragraphs(text), 1)]
    return f"# A tutorial for {audience}\n\n" + "\n\n".join(steps)
