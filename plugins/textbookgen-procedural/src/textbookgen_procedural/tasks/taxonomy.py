"""Taxonomies: a discipline divided into what the embedded teacher has lessons on, or into steps of inquiry."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from textbookgen_procedural.data_files import phrases
from textbookgen_procedural.lessons.catalogue import names_below
from textbookgen_procedural.tasks.draw_fields import Draw, json_reply, missing_field

_PATTERNS = {"subject": "topic subjects", "session": "topic sessions", "concept": "topic concepts"}
_DEFAULT_COUNT = 5


def taxonomy(rng: Random, draw: Draw) -> str:
    """Return names one level below a path, as JSON.

    Below a discipline that is not in the tree of lessons, each name contains the one it divides, so that no two branches
    share a name. The draw has `path`, `level` and `count`.

    Raises:
        RequestRefused: the path or the level is missing.
    """
    path, level = draw.get("path"), str(draw.get("level") or "")
    if not isinstance(path, Mapping) or not path or level not in _PATTERNS:
        raise missing_field("taxonomy", "level", "a subject, session or concept, and the path to it,")
    count = int(draw.get("count") or _DEFAULT_COUNT)
    names = tuple(str(name) for name in path.values())
    known = names_below(names)
    if known:
        return json_reply(names=rng.sample(known, min(count, len(known))))
    patterns = phrases(_PATTERNS[level])
    chosen = rng.sample(patterns, min(count, len(patterns)))
    return json_reply(names=[pattern.replace("*", names[-1]) for pattern in chosen])
