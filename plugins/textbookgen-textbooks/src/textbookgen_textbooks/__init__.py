"""The writings of the phi line: pages of textbooks, exercises, and what later papers asked teachers for."""

from __future__ import annotations

from textbookgen import Sampler, Stage, hookimpl
from textbookgen_textbooks.conversation import Conversation
from textbookgen_textbooks.everyday import Everyday
from textbookgen_textbooks.excerpts import Excerpts
from textbookgen_textbooks.exercise import Exercise
from textbookgen_textbooks.function_names import FunctionNames
from textbookgen_textbooks.lessons import Lessons
from textbookgen_textbooks.middle import Middle
from textbookgen_textbooks.page import Page
from textbookgen_textbooks.preferences import Best, Preferences
from textbookgen_textbooks.questions import Deductions, Plurality
from textbookgen_textbooks.reversal import Reverse
from textbookgen_textbooks.revision import Revise
from textbookgen_textbooks.rewrite import Rewrite
from textbookgen_textbooks.section import Section
from textbookgen_textbooks.steps import Steps
from textbookgen_textbooks.taxonomy import Taxonomy
from textbookgen_textbooks.tidy import Tidy
from textbookgen_textbooks.unknowns import Attempts, HonestChats, HonestPairs
from textbookgen_textbooks.wishes import Wishes

_PHI1: list[type[Stage]] = [Page, Exercise]
_PHI15: list[type[Stage]] = [Taxonomy, Section, Tidy]
_PHI4_SEEDS: list[type[Stage]] = [Excerpts, Deductions, Plurality, Middle]
_PHI4_TEXTS: list[type[Stage]] = [Rewrite, Revise]
_PHI4_CHATS: list[type[Stage]] = [Wishes, Reverse, Conversation, Best, Preferences, Attempts, HonestChats, HonestPairs]


@hookimpl
def stages() -> list[type[Stage]]:
    """What asks and writes, paper by paper."""
    return [*_PHI1, *_PHI15, *_PHI4_SEEDS, *_PHI4_TEXTS, *_PHI4_CHATS]


@hookimpl
def samplers() -> list[type[Sampler]]:
    """What keeps the writing various."""
    return [FunctionNames, Steps, Lessons, Everyday]
