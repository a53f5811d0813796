"""Textbook pages about one topic, for an audience, at a level, in a style, with snippets that were run."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from textbookgen import RequestRefused
from textbookgen_procedural.audiences import audience_for
from textbookgen_procedural.concepts import concept_for, nearest_topics, topics
from textbookgen_procedural.page_material import Material
from textbookgen_procedural.page_styles import writer_for

_MIN_WORDS = 120
_HIGH_LEVEL = 4


def write_page(rng: Random, draw: Mapping[str, Any]) -> str:
    """Return the page that a draw asks for.

    The audience determines the words and numbers of the examples, what the topic is said to be good for, how much is explained
    and how hard the sentences are; audience and difficulty together how many examples there are, how complex, and the kind of
    exercises; the skill the first of these; the style the form.

    Args:
        rng: the source of randomness.
        draw: `topic`, and `audience`, `skill`, `difficulty` from 1 to 5, and `style`, which are optional.

    Raises:
        RequestRefused: the topic is not one that this program knows.
    """
    topic = " ".join(str(draw.get("topic") or "").split())
    concept = concept_for(topic)
    if concept is None:
        near = ", ".join(f"'{name}'" for name in nearest_topics(topic))
        raise RequestRefused(
            f"the embedded teacher knows nothing about '{topic}'",
            hint=f"it is a program with material on {len(topics())} topics of a first programming course; "
            + (f"similar ones are {near}" if near else "the sampler `textbooks/page-topics` draws topics that it knows"),
        )
    audience = audience_for(str(draw.get("audience") or ""))
    material = Material(rng, topic, concept, audience, int(draw.get("difficulty") or 2))
    blocks = writer_for(str(draw.get("style") or "lecture"))(material)
    for activity in material.activities(str(draw.get("skill") or "")):
        blocks += activity.blocks()
    while len(" ".join(blocks).split()) < _MIN_WORDS and (sentence := material.explain(2)):
        blocks.insert(2, sentence)
    return "\n\n".join(block for block in blocks if block.strip()) + "\n"
