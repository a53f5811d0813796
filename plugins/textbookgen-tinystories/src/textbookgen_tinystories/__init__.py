"""TinyStories: stories in a small child's words, filters for them, instructions made from them, and evaluations."""

from __future__ import annotations

from textbookgen import Sampler, Stage, hookimpl
from textbookgen_tinystories.beginnings import Beginnings
from textbookgen_tinystories.completions import Completions
from textbookgen_tinystories.cut_stories import CutStories
from textbookgen_tinystories.grade_scores import GradeScores
from textbookgen_tinystories.grades import Grades
from textbookgen_tinystories.held_out import HeldOut
from textbookgen_tinystories.instruct import Instruct, InstructChats
from textbookgen_tinystories.instruction_following import InstructionFollowing
from textbookgen_tinystories.openings import Openings
from textbookgen_tinystories.overlap import Overlap
from textbookgen_tinystories.records import Record, read_record, read_records
from textbookgen_tinystories.story import Story
from textbookgen_tinystories.story_checks import StoryChecks
from textbookgen_tinystories.story_constraints import StoryConstraints
from textbookgen_tinystories.summary import Summary

__all__ = ["Record", "read_record", "read_records"]


@hookimpl
def stages() -> list[type[Stage]]:
    """Return the stages that write, filter and rearrange stories, and those that evaluate models trained on them."""
    stories: list[type[Stage]] = [Story, Summary, StoryChecks, Openings, HeldOut, Instruct, InstructChats]
    return [*stories, Beginnings, CutStories, Completions, Grades, GradeScores, Overlap, InstructionFollowing]


@hookimpl
def samplers() -> list[type[Sampler]]:
    """Return the sampler of words and features that a story must have."""
    return [StoryConstraints]
