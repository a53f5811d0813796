"""Generators and samplers for the synthetic data of the phi papers: pages, exercises, sections, questions, chats, pairs."""

from __future__ import annotations

from textbookgen import Sampler, Stage, hookimpl
from textbookgen_textbooks.attempts import Attempts
from textbookgen_textbooks.best_of_n import BestOfN
from textbookgen_textbooks.conversation import Conversation
from textbookgen_textbooks.deductions import Deductions
from textbookgen_textbooks.distinct_topics import DistinctTopics
from textbookgen_textbooks.excerpts import Excerpts
from textbookgen_textbooks.exercise import Exercise
from textbookgen_textbooks.fill_in_the_middle import FillInTheMiddle
from textbookgen_textbooks.function_names import FunctionNames
from textbookgen_textbooks.instruction_reversal import InstructionReversal
from textbookgen_textbooks.majority_vote import MajorityVote
from textbookgen_textbooks.page import Page
from textbookgen_textbooks.page_topics import PageTopics
from textbookgen_textbooks.preferences import Preferences
from textbookgen_textbooks.refusals import RefusalChats, RefusalPairs
from textbookgen_textbooks.rewrite import Rewrite
from textbookgen_textbooks.section import Section
from textbookgen_textbooks.section_topics import SectionTopics
from textbookgen_textbooks.self_revision import SelfRevision
from textbookgen_textbooks.solutions import Solutions
from textbookgen_textbooks.step_chains import StepChains
from textbookgen_textbooks.step_problems import StepProblems
from textbookgen_textbooks.strip_boilerplate import StripBoilerplate
from textbookgen_textbooks.taxonomy import Taxonomy
from textbookgen_textbooks.taxonomy_topics import Disciplines, TaxonomyTopics
from textbookgen_textbooks.understanding import UnderstandingGrades
from textbookgen_textbooks.understanding_scores import UnderstandingScores
from textbookgen_textbooks.user_prompts import UserPrompts

_PHI1: list[type[Stage]] = [Page, Exercise, StepProblems, Solutions, UnderstandingGrades, UnderstandingScores]
_PHI15: list[type[Stage]] = [Taxonomy, DistinctTopics, Section, StripBoilerplate]
_PHI4_SEEDS: list[type[Stage]] = [Excerpts, Deductions, MajorityVote, FillInTheMiddle]
_PHI4_TEXTS: list[type[Stage]] = [Rewrite, SelfRevision]
_PHI4_PROMPTS: list[type[Stage]] = [UserPrompts, InstructionReversal, Conversation]
_PHI4_REPLIES: list[type[Stage]] = [BestOfN, Preferences, Attempts, RefusalChats, RefusalPairs]


@hookimpl
def stages() -> list[type[Stage]]:
    """Return the generators and transforms, paper by paper."""
    return [*_PHI1, *_PHI15, *_PHI4_SEEDS, *_PHI4_TEXTS, *_PHI4_PROMPTS, *_PHI4_REPLIES]


@hookimpl
def samplers() -> list[type[Sampler]]:
    """Return the samplers for pages, sections and exercises."""
    return [FunctionNames, StepChains, PageTopics, SectionTopics, Disciplines, TaxonomyTopics]
