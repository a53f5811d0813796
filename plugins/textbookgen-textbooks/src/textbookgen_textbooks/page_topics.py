"""Sampler for textbook pages: topic, audience, skill, difficulty and style."""

from __future__ import annotations

from random import Random
from typing import Any, ClassVar

from pydantic import Field, model_validator

from textbookgen import AcceptedStats, Sampler
from textbookgen_textbooks.word_lists import list_entries


class PageTopics(Sampler):
    """Draw `topic`, `audience`, `skill`, `difficulty` and `style` for one page, uniformly and independently.

    phi-1 (arXiv 2306.11644, section 2.2) gets diverse textbooks by constraining topic and audience; skill, difficulty and
    style come from talks on the phi line, which name concepts, skills and difficulty as what must vary. With
    `required_terms`, `terms_per_page` of them are drawn as `required_terms`.
    """

    name: ClassVar[str] = "page-topics"

    topics: tuple[str, ...] = Field((), description="topics; by default the plugin's 180 of a first programming course")
    audiences: tuple[str, ...] = Field((), description="readers; by default the plugin's 12")
    skills: tuple[str, ...] = Field((), description="skills that a page trains; by default the plugin's 16")
    difficulties: tuple[int, ...] = Field((1, 2, 3, 4, 5), min_length=1, description="difficulties from 1 (easiest) to 5")
    styles: tuple[str, ...] = Field((), description="forms of presentation; by default the plugin's 8")
    required_terms: tuple[str, ...] = Field((), description="words or library functions, some of which each page must use")
    terms_per_page: int = Field(2, gt=0, description="number of `required_terms` that each page must use")

    @model_validator(mode="after")
    def _check_terms(self) -> PageTopics:
        if self.required_terms and len(self.required_terms) < self.terms_per_page:
            raise ValueError(
                f"`required_terms` has {len(self.required_terms)} entries, fewer than `terms_per_page` ({self.terms_per_page})"
            )
        return self

    def draw(self, n: int, rng: Random, stats: AcceptedStats) -> dict[str, Any]:
        """Return the prompt variables of one page."""
        variables: dict[str, Any] = {
            "topic": rng.choice(self.topics or list_entries("page_topics")),
            "audience": rng.choice(self.audiences or list_entries("audiences")),
            "skill": rng.choice(self.skills or list_entries("skills")),
            "difficulty": rng.choice(self.difficulties),
            "style": rng.choice(self.styles or list_entries("styles")),
        }
        if self.required_terms:
            variables["required_terms"] = rng.sample(self.required_terms, self.terms_per_page)
        return variables
