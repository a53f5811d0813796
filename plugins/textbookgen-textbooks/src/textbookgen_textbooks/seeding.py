"""Random numbers that depend on a draw only, so that every run makes the same choices."""

from __future__ import annotations

import json
from random import Random

from textbookgen import Draw


def draw_rng(draw: Draw, *salt: object) -> Random:
    """Return a random number generator seeded by a draw.

    Args:
        draw: prompt variables; a `document` counts by its id only, so that its other columns may change.
        salt: separates the choices that one stage makes from those of others, such as the stage's seed and a name.
    """
    facts = {name: value.get("id", value) if name == "document" else value for name, value in draw.items()}
    return Random(json.dumps([facts, *salt], sort_keys=True, ensure_ascii=False, default=str))
