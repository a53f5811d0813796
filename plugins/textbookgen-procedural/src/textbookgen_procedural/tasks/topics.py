"""Topics: a discipline divided into subjects, sessions and concepts, by rule; it knows how subjects divide, not the world."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from textbookgen_procedural.phrases import phrases
from textbookgen_procedural.tasks.facts import Draw, form, lacking

_LISTS = {"subject": "topic subjects", "session": "topic sessions", "concept": "topic concepts"}


def taxonomy(rng: Random, draw: Draw) -> str:
    """So many names one level below a path; names of a level say what they divide, so that no two branches share one."""
    path, level = draw.get("path"), str(draw.get("level") or "")
    if not isinstance(path, Mapping) or not path or level not in _LISTS:
        raise lacking("taxonomy", "level", "a subject, session or concept, and the path to it,")
    above = str(list(path.values())[-1])
    forms = list(phrases(_LISTS[level]))
    chosen = rng.sample(forms, min(int(draw.get("count") or 5), len(forms)))
    return form(names=[item.replace("*", above) for item in chosen])
