"""What a section of a general textbook is about: a domain, one of its topics, a reader, and sometimes a persona."""

from __future__ import annotations

from random import Random
from typing import Any, ClassVar

from pydantic import Field, model_validator

from textbookgen import AcceptedStats, Sampler
from textbookgen_textbooks.wordlists import lines, topics


class Everyday(Sampler):
    """Draws `domain`, `topic`, `audience`, `content` (how it must differ for this reader) and `persona` (or null).

    The domains are those that phi-1.5 (arXiv 2309.05463) names for its new synthetic data, common sense, science, daily
    activities and theory of mind, and two of ours, time and quantities and social norms. That content and not only tone
    must change with the reader is what an open replication found (Cosmopedia); personas are Persona Hub's idea (arXiv
    2406.20094).
    """

    name: ClassVar[str] = "everyday"

    domains: tuple[str, ...] = Field((), description="domains to draw from; all six of the plugin unless given")
    topics: tuple[str, ...] = Field(
        (), description="topics of your own instead of the plugin's; the domain is then drawn apart"
    )
    personas: tuple[str, ...] = Field((), description="personas to draw from; the plugin's 30 unless given")
    persona_share: float = Field(0.5, ge=0, le=1, description="share of sections that are told with a persona in mind")

    @model_validator(mode="after")
    def _known_domains(self) -> Everyday:
        missing = [item for item in self.domains if item not in topics("everyday") and not self.topics]
        if missing:
            raise ValueError(
                f"no topics are known for '{missing[0]}': give `topics`, or choose from {', '.join(topics('everyday'))}"
            )
        return self

    def draw(self, n: int, rng: Random, seen: AcceptedStats) -> dict[str, Any]:
        """One section."""
        known = topics("everyday")
        domain = rng.choice(self.domains or tuple(known))
        audience, _, content = rng.choice(lines("readers")).partition(" | ")
        persona = rng.choice(self.personas or lines("personas")) if rng.random() < self.persona_share else None
        return {
            "domain": domain,
            "topic": rng.choice(self.topics or known[domain]),
            "audience": audience,
            "content": content,
            "persona": persona,
        }
