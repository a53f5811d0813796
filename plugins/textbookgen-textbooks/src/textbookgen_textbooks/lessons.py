"""What a textbook page is about and whom it speaks to."""

from __future__ import annotations

from random import Random
from typing import Any, ClassVar

from pydantic import Field, model_validator

from textbookgen import AcceptedStats, Sampler
from textbookgen_textbooks.wordlists import lines


class Lessons(Sampler):
    """Draws `topic`, `audience`, `skill`, `difficulty` and `style` for one page, each evenly and apart from the others.

    phi-1 (arXiv 2306.11644, section 2.2) makes its textbooks various by constraining topic and audience; skill,
    difficulty and style come from talks on the phi line, which name concepts, skills and difficulty as what must vary.
    With `topics` of your own `must_use` may hold words of which `words` are drawn as `must_use` too.
    """

    name: ClassVar[str] = "lessons"

    topic: tuple[str, ...] = Field((), description="topics; the plugin's 180 of a first programming course unless given")
    audience: tuple[str, ...] = Field((), description="readers to write for; the plugin's unless given")
    skill: tuple[str, ...] = Field((), description="skills to train; the plugin's unless given")
    difficulty: tuple[int, ...] = Field((1, 2, 3, 4, 5), min_length=1, description="difficulties to draw from, 1 the easiest")
    style: tuple[str, ...] = Field((), description="ways of telling; the plugin's unless given")
    must_use: tuple[str, ...] = Field((), description="words or library functions of which each page must use some")
    words: int = Field(2, gt=0, description="how many of `must_use` each page must use")

    @model_validator(mode="after")
    def _enough_words(self) -> Lessons:
        if self.must_use and len(self.must_use) < self.words:
            raise ValueError(f"`must_use` has {len(self.must_use)} words, and {self.words} are to be drawn of them")
        return self

    def draw(self, n: int, rng: Random, seen: AcceptedStats) -> dict[str, Any]:
        """A lesson; with `must_use` given, some of it too."""
        lesson: dict[str, Any] = {
            "topic": rng.choice(self.topic or lines("topics")),
            "audience": rng.choice(self.audience or lines("audiences")),
            "skill": rng.choice(self.skill or lines("skills")),
            "difficulty": rng.choice(self.difficulty),
            "style": rng.choice(self.style or lines("styles")),
        }
        if self.must_use:
            lesson["must_use"] = rng.sample(self.must_use, self.words)
        return lesson
