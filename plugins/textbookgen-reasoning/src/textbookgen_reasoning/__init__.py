"""Reasoning made by program, with answers that are known: LEGO's chains, arithmetic, and reasoning-gym."""

from __future__ import annotations

from textbookgen import Stage, hookimpl
from textbookgen_reasoning.gym import Gym
from textbookgen_reasoning.lego import Lego
from textbookgen_reasoning.programs import Programs
from textbookgen_reasoning.score import CellScores
from textbookgen_reasoning.sums import Arithmetic


@hookimpl
def stages() -> list[type[Stage]]:
    """What makes problems, and what scores models on them."""
    return [Lego, Arithmetic, Programs, Gym, CellScores]
