"""Taxonomies: a discipline divided into subjects, sessions and concepts by fixed patterns, without knowledge of the world."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from textbookgen_procedural.data_files import phrases
from textbookgen_procedural.tasks.draw_fields import Draw, json_reply, missing_field

_PATTERNS = {"subject": "topic subjects", "session": "topic sessions", "concept": "topic concepts"}


def taxonomy(rng: Random, draw: Draw) -> str:
    """Return names one level below a path, as JSON.

    Each name contains the one it divides, so that no two branches share a name. The draw has `path`, `level` and `count`.

    Raises:
        RequestRefused: the path or the level is missing.
    """
    path, level = draw.get("path"), str(draw.get("level") or "")
    if not isinstance(path, Mapping) or not path or level not in _PATTERNS:
        raise missing_field("taxonomy", "level", "a subject, session or concept, and the path to it,")
    parent = str(list(path.values())[-1])
    patterns = list(phrases(_PATTERNS[level]))
    chosen = rng.sample(patterns, min(int(draw.get("count") or 5), len(patterns)))
    return json_reply(names=[item.replace("*", parent) for item in chosen])
