"""Instruction following: how much of what a story was asked for it contains."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from textbookgen_procedural.story_judge.word_classes import content_stems, cues, stem

_WORD = re.compile(r"[A-Za-z]+(?:['\u2019][a-z]+)?")
_LAST = 4  # sentences that count as the ending
_SENTENCE = re.compile(r"[^.!?]+[.!?]+[\"\u201d]?")


def grade_instructions(document: Mapping[str, Any]) -> int:
    """Return a grade from 1 to 10: the share of the required words, features, sentence and summary that a story has.

    Args:
        document: a row with `text` or `tinystories.completion`, and any of `tinystories.words`, `tinystories.features`,
            `tinystories.sentence` and `tinystories.summary`; 10 without any of them.
    """
    story = str(document.get("tinystories.completion") or document.get("text") or "")
    stems = {stem(word) for word in _WORD.findall(story)}
    parts = [float(stem(str(word)) in stems) for word in _listed(document.get("tinystories.words"))]
    parts += [float(_shows(str(feature), story)) for feature in _listed(document.get("tinystories.features"))]
    if sentence := document.get("tinystories.sentence"):
        parts.append(float(" ".join(str(sentence).split()) in " ".join(story.split())))
    if summary := document.get("tinystories.summary"):
        wanted = content_stems(_WORD.findall(str(summary)))
        parts.append(len(wanted & stems) / max(len(wanted), 1))
    return 1 + round(9 * sum(parts) / len(parts)) if parts else 10


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()


def _shows(feature: str, story: str) -> bool:
    """Whether the words of a story show a feature; features without known words count as shown."""
    ending = " ".join(_SENTENCE.findall(story)[-_LAST:])
    if feature == "Dialogue":
        return bool(re.search(r"[\"\u201c]\w", story))
    heading = {"BadEnding": "bad ending", "HappyEnding": "happy ending", "MoralValue": "moral"}.get(feature)
    if heading:
        return bool(cues(heading).search(ending))
    heading = {"Twist": "twist", "Conflict": "conflict"}.get(feature)
    return bool(cues(heading).search(story)) if heading else True
