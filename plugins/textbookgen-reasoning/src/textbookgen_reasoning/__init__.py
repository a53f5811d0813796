"""Procedurally generated reasoning problems with known answers: LEGO chains, arithmetic, programs, reasoning-gym."""

from __future__ import annotations

from textbookgen import Stage, hookimpl
from textbookgen_reasoning.arithmetic import Arithmetic
from textbookgen_reasoning.gym import Gym
from textbookgen_reasoning.lego import Lego
from textbookgen_reasoning.programs import Programs
from textbookgen_reasoning.score import CellScores


@hookimpl
def stages() -> list[type[Stage]]:
    """Return the sources of problems, and the evaluator."""
    return [Lego, Arithmetic, Programs, Gym, CellScores]
