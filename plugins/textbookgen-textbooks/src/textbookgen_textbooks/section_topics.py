"""Sampler for sections of general textbooks: domain, topic, audience and, for a share of them, a persona."""

from __future__ import annotations

from random import Random
from typing import Any, ClassVar

from pydantic import Field, model_validator

from textbookgen import AcceptedStats, Sampler
from textbookgen_textbooks.disciplines import audiences_for
from textbookgen_textbooks.word_lists import entries_by_heading, list_entries


class SectionTopics(Sampler):
    """Draw `domain`, `topic`, `audience`, `reader_needs` (how the content must suit the audience) and `persona` (or null).

    The domains are those that phi-1.5 (arXiv 2309.05463) names for its synthetic data (common sense, science, daily
    activities, theory-of-mind reasoning) and two of ours (time and quantities, social norms). An open replication
    (Cosmopedia) found that the content must change with the audience, not only the tone; personas are Persona Hub's idea
    (arXiv 2406.20094).
    """

    name: ClassVar[str] = "section-topics"
    version: ClassVar[int] = 2

    domains: tuple[str, ...] = Field((), description="domains; by default the plugin's six")
    topics: tuple[str, ...] = Field(
        (), description="topics instead of the plugin's; `domains` may then name the one domain that they belong to"
    )
    personas: tuple[str, ...] = Field((), description="personas; by default the plugin's 30")
    persona_share: float = Field(0.5, ge=0, le=1, description="share of sections with a persona")

    @model_validator(mode="after")
    def _check_domains(self) -> SectionTopics:
        if self.topics and len(self.domains) > 1:
            raise ValueError("`topics` cannot be combined with several `domains`: a topic would be drawn with any of them")
        missing = [domain for domain in self.domains if domain not in entries_by_heading("section_topics")]
        if missing and not self.topics:
            known = ", ".join(entries_by_heading("section_topics"))
            raise ValueError(f"the plugin has no topics for the domain '{missing[0]}': set `topics`, or choose from {known}")
        return self

    def draw(self, n: int, rng: Random, stats: AcceptedStats) -> dict[str, Any]:
        """Return the prompt variables of one section."""
        domain, topic = self._domain_and_topic(rng)
        audience = rng.choice(audiences_for(domain or ""))
        persona = rng.choice(self.personas or list_entries("personas")) if rng.random() < self.persona_share else None
        return {
            "domain": domain,
            "topic": topic,
            "audience": audience.name,
            "reader_needs": audience.requirement,
            "persona": persona,
        }

    def _domain_and_topic(self, rng: Random) -> tuple[str | None, str]:
        """A topic and the domain it belongs to; None for given topics without one."""
        if self.topics:
            return (self.domains[0] if self.domains else None), rng.choice(self.topics)
        topics_by_domain = entries_by_heading("section_topics")
        domain = rng.choice(self.domains or tuple(topics_by_domain))
        return domain, rng.choice(topics_by_domain[domain])
