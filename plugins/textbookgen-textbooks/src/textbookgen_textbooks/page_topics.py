"""Sampler for textbook pages: topic, audience, skill, difficulty and style that fit each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any, ClassVar

from pydantic import Field, model_validator

from textbookgen import AcceptedStats, Sampler
from textbookgen.api.sampler import Grid
from textbookgen_textbooks.word_lists import entries_by_heading, list_entries

_ANY = "*"


@dataclass(frozen=True)
class Topic:
    """A topic of the plugin: its subject, and the stage of a course at which it comes, from 1 to 3."""

    subject: str
    stage: int


class PageTopics(Sampler):
    """Draw `topic`, `audience`, `skill`, `difficulty` and `style` for one page, so that they fit each other.

    phi-1 (arXiv 2306.11644, section 2.2) gets diverse textbooks by constraining topic and audience; skill, difficulty and
    style come from talks on the phi line, which name concepts, skills and difficulty as what must vary. The plugin's audiences
    get topics up to the stage of a course that suits them, and its skills go with the subjects that they suit (`lists/`): no
    child is taught topological order, and no page on type hints looks for a loop invariant. Other topics, audiences and skills
    go with everything. Topics are drawn evenly, then an audience and a skill that suit the topic. With `required_terms`,
    `terms_per_page` of them are drawn as `required_terms`. The grid, for coverage, is topic by audience.
    """

    name: ClassVar[str] = "page-topics"
    version: ClassVar[int] = 2

    topics: tuple[str, ...] = Field((), description="topics; by default the plugin's 180 of a first programming course")
    audiences: tuple[str, ...] = Field((), description="readers; by default the plugin's 12")
    skills: tuple[str, ...] = Field((), description="skills that a page trains; by default the plugin's 16")
    difficulties: tuple[int, ...] = Field((1, 2, 3, 4, 5), min_length=1, description="difficulties from 1 (easiest) to 5")
    styles: tuple[str, ...] = Field((), description="forms of presentation; by default the plugin's 8")
    required_terms: tuple[str, ...] = Field((), description="words or library functions, some of which each page must use")
    terms_per_page: int = Field(2, gt=0, description="number of `required_terms` that each page must use")

    @model_validator(mode="after")
    def _check_fields(self) -> PageTopics:
        if self.required_terms and len(self.required_terms) < self.terms_per_page:
            raise ValueError(
                f"`required_terms` has {len(self.required_terms)} entries, fewer than `terms_per_page` ({self.terms_per_page})"
            )
        for topic in self.topics or tuple(known_topics()):
            if not self._audiences_for(topic):
                raise ValueError(f"none of the `audiences` suits the topic '{topic}': leave it out, or add another audience")
        return self

    def draw(self, n: int, rng: Random, stats: AcceptedStats) -> dict[str, Any]:
        """Return the prompt variables of one page."""
        topic = rng.choice(self.topics or tuple(known_topics()))
        variables: dict[str, Any] = {
            "topic": topic,
            "audience": rng.choice(self._audiences_for(topic)),
            "skill": rng.choice(self._skills_for(topic)),
            "difficulty": rng.choice(self.difficulties),
            "style": rng.choice(self.styles or list_entries("styles")),
        }
        if self.required_terms:
            variables["required_terms"] = rng.sample(self.required_terms, self.terms_per_page)
        return variables

    def grid(self) -> Grid:
        """Return the pairs of topic and audience that fit each other."""
        topics = dict.fromkeys(self.topics or tuple(known_topics()))
        return Grid(("topic", "audience"), sum(len(set(self._audiences_for(topic))) for topic in topics))

    def _audiences_for(self, topic: str) -> tuple[str, ...]:
        known, stages = known_topics().get(topic), _audience_stages()
        audiences = self.audiences or tuple(stages)
        return tuple(name for name in audiences if known is None or stages.get(name, known.stage) >= known.stage)

    def _skills_for(self, topic: str) -> tuple[str, ...]:
        known, subjects = known_topics().get(topic), _skill_subjects()
        skills = self.skills or tuple(subjects)
        fitting = tuple(name for name in skills if known is None or {known.subject, _ANY} & subjects.get(name, {_ANY}))
        return fitting or skills


@cache
def known_topics() -> Mapping[str, Topic]:
    """Return the plugin's topics in order, each with its subject and stage."""
    topics: dict[str, Topic] = {}
    for subject, lines in entries_by_heading("page_topics").items():
        for line in lines:
            name, _, stage = line.rpartition(" : ")
            topics[name] = Topic(subject, int(stage))
    return topics


@cache
def _audience_stages() -> Mapping[str, int]:
    """Return the plugin's audiences in order, each with the last stage of topics that suits it."""
    pairs = (line.rpartition(" : ") for line in list_entries("audiences"))
    return {name: int(stage) for name, _, stage in pairs}


@cache
def _skill_subjects() -> Mapping[str, set[str]]:
    """Return the plugin's skills in order, each with the subjects that it suits."""
    pairs = (line.partition(" : ") for line in list_entries("skills"))
    return {name: set(subjects.split("; ")) for name, _, subjects in pairs}
