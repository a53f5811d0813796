"""TinyStories: stories in a small child's words, checks on them, and instructions made from them."""

from __future__ import annotations

from textbookgen import Sampler, Stage, hookimpl
from textbookgen_tinystories.checks import StoryChecks
from textbookgen_tinystories.completions import Beginnings, Completions
from textbookgen_tinystories.draws import Words
from textbookgen_tinystories.grades import Grades, GradeScores
from textbookgen_tinystories.held_out import HeldOut
from textbookgen_tinystories.instruct import Instruct, InstructChats
from textbookgen_tinystories.obeyed import InstructionFollowing
from textbookgen_tinystories.openings import Openings
from textbookgen_tinystories.overlap import Overlap
from textbookgen_tinystories.records import Record, read_record, read_records
from textbookgen_tinystories.story import Story
from textbookgen_tinystories.summary import Summary

__all__ = ["Record", "read_record", "read_records"]


@hookimpl
def stages() -> list[type[Stage]]:
    """Stories, what is done with them, and how models that learnt from them are judged."""
    stories: list[type[Stage]] = [Story, Summary, StoryChecks, Openings, HeldOut, Instruct, InstructChats]
    return [*stories, Beginnings, Completions, Grades, GradeScores, Overlap, InstructionFollowing]


@hookimpl
def samplers() -> list[type[Sampler]]:
    """What a story must hold."""
    return [Words]
