"""The judge of stories: a program that grades how a story, or the completion of one, is written."""

from __future__ import annotations

from textbookgen_procedural.story_judge.grading import Judgement, judge_story
from textbookgen_procedural.story_judge.instructions import grade_instructions

__all__ = ["Judgement", "grade_instructions", "judge_story"]
