"""The material of one page: what there is to say about its concept to its reader, each part used at most once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from textbookgen_procedural.audiences import Audience
from textbookgen_procedural.code_in_words import terms_of
from textbookgen_procedural.code_snippets import Snippet
from textbookgen_procedural.concepts import Concept
from textbookgen_procedural.data_files import read_lists
from textbookgen_procedural.names import NAMES
from textbookgen_procedural.page_activities import LEVELS, SKILLS, Activity, Maker
from textbookgen_procedural.page_examples import Example
from textbookgen_procedural.practice_functions import draw_practice

_SHIFTS = {"simple": -1, "plain": 0, "technical": 1}  # of the level by what the reader knows
_READABLE_SHARE = 0.6  # of the explanations, the easiest for beginners and the hardest for experts
_RECALL_LEVEL, _RECALL_SHARE = 2, 0.15  # the levels at which definitions are asked for, and how often
_TERMS = {"simple": 4, "plain": 2, "technical": 0}


@dataclass(frozen=True)
class Amount:
    """How much a page of one level has: snippets, explanations, and activities."""

    snippets: int
    explanations: int
    activities: int


AMOUNTS = {1: Amount(1, 2, 1), 2: Amount(2, 2, 1), 3: Amount(2, 3, 1), 4: Amount(2, 3, 2), 5: Amount(3, 4, 2)}


class Material:
    """What a page can use.

    Attributes:
        topic: what the page is about, as it was asked for.
        level: 1 to 5, the difficulty corrected for what the reader knows.
        examples: the examples of the page, from the simplest to the most complex.
        practice: a function in the form of an exercise, or None.
        learner: a name for the person who learns, `teacher` for the one who teaches.
    """

    def __init__(self, rng: Random, topic: str, concept: Concept, audience: Audience, difficulty: int) -> None:
        self.rng, self.topic, self.concept, self.audience = rng, topic, concept, audience
        self.level = max(1, min(5, difficulty + _SHIFTS[audience.register]))
        self.amount = AMOUNTS[self.level]
        self.learner, self.teacher = rng.sample(NAMES, 2)
        self.definition = self._choose_definition()
        self.comparison = rng.choice(concept.comparisons)
        self.pitfall = rng.choice(concept.pitfalls)
        self.explanations = self._choose_explanations()
        self.examples = self._choose_examples()
        self.practice = draw_practice(rng, concept.practice, self.level) if self.level > 1 or rng.random() < 0.5 else None
        self.used: set[Maker] = set()

    @property
    def use(self) -> str:
        """What the concept is good for in the reader's daily life."""
        return self.audience.uses[self.concept.family]

    def phrase(self, heading: str, **values: object) -> str:
        """Return a phrase of `data/page_phrases.txt`, with names and values filled in."""
        names = {"topic": self.topic, "learner": self.learner, "teacher": self.teacher}
        text = self.rng.choice(read_lists("page_phrases")[heading]).format(**names, **values)
        return text[0].upper() + text[1:]

    def _choose_definition(self) -> str:
        """Return the definition that is easiest to read for beginners, the hardest for experts, any for others."""
        ordered = sorted(self.concept.definitions, key=reading_difficulty)
        return {"simple": ordered[0], "plain": self.rng.choice(ordered), "technical": ordered[-1]}[self.audience.register]

    def _choose_explanations(self) -> list[str]:
        """Return explanations in random order: the easiest to read for beginners, the hardest for experts."""
        ordered = sorted(self.concept.explanations, key=reading_difficulty)
        count = max(3, round(len(ordered) * _READABLE_SHARE))
        chosen = {"simple": ordered[:count], "plain": ordered, "technical": ordered[-count:]}[self.audience.register]
        return self.rng.sample(chosen, len(chosen))

    def _choose_examples(self) -> list[Example]:
        """Return as many examples as the level asks for: the simplest for level 1, the most complex for level 5."""
        ordered = sorted(self.concept.snippets, key=lambda snippet: snippet.size)
        count = min(self.amount.snippets, len(ordered))
        first = round((len(ordered) - count) * (self.level - 1) / 4)
        return [self._example(snippet) for snippet in ordered[first : first + count]]

    def _example(self, snippet: Snippet) -> Example:
        has_hints = self.audience.register != "simple" or "hint" in self.concept.name
        return Example(snippet, snippet.fill(self.rng, self.audience.words), has_hints, self.audience.words)

    def candidates(self) -> Iterator[Example]:
        """Yield the examples of the page, the most complex first, then the other ones of the concept."""
        yield from reversed(self.examples)
        chosen = [example.snippet for example in self.examples]
        yield from (self._example(snippet) for snippet in self.concept.snippets if snippet not in chosen)

    def explain(self, count: int = 1) -> str:
        """Return the next sentences that explain the concept; they are used up."""
        sentences, self.explanations = self.explanations[:count], self.explanations[count:]
        return " ".join(sentences)

    def glossary(self, programs: str) -> list[str]:
        """Return a block with the terms that code uses, as many as the reader needs."""
        known = f"{self.topic} {self.definition}".lower()
        terms = [(term, meaning) for term, meaning in terms_of(programs) if term not in known][: _TERMS[self.audience.register]]
        if self.level > 3 or not terms:
            return []
        entries = "\n".join(f"- *{term}*: {meaning}" for term, meaning in terms)
        return [f"{self.phrase('glossary leads')}\n\n{entries}"]

    def remark(self) -> list[str]:
        """Return a block for this reader: a comparison for beginners, background for experts, sometimes either for others."""
        if self.audience.register == "technical":
            return [f"{self.phrase('note leads')} {self.rng.choice(self.concept.notes)}"]
        if self.audience.register == "simple" or self.rng.random() < 0.6:
            return [f"{self.phrase('comparison leads')} {self.comparison}"]
        return []

    def activities(self, skill: str) -> list[Activity]:
        """Return the activities of the page: one that trains the skill if an example allows it, and others of the level."""
        wanted = next((makers for words, makers in SKILLS if words in skill.lower()), ())
        chosen = [activity for activity in (self._make(maker) for maker in wanted) if activity][:1]
        if chosen and skill:
            task = chosen[0].task.replace("**", f"**Practice: {skill}.** **", 1) if self.rng.random() < 0.5 else chosen[0].task
            chosen = [Activity(task, chosen[0].answer)]
        if self.level <= _RECALL_LEVEL and not chosen and self.rng.random() < _RECALL_SHARE:
            chosen.append(self.recall())
        for maker in self.rng.sample(LEVELS[self.level], len(LEVELS[self.level])):
            if len(chosen) >= self.amount.activities:
                break
            if activity := self._make(maker):
                chosen.append(activity)
        return chosen or [self.recall()]

    def recall(self) -> Activity:
        """Ask for a term of the definition."""
        term = re.findall(r"\*\*(.+?)\*\*", self.definition)[0]
        hidden = self.definition.replace(f"**{term}**", "____").replace("**", "")
        return Activity(f'**Question.** Which words are missing: "{hidden}"', f"{term[0].upper()}{term[1:]}.")

    def _make(self, maker: Maker) -> Activity | None:
        if maker in self.used:
            return None
        for example in self.rng.sample(self.examples, len(self.examples)):
            if activity := maker(self.rng, example):
                self.used.add(maker)
                if len(self.examples) > 1:
                    activity = Activity(_about(activity.task, example), activity.answer)
                return activity
        return None


def _about(task: str, example: Example) -> str:
    """Return a task that says which example it is about, if it speaks of one program of several."""
    if "```" in task or example.snippet.introduction in task:
        return task
    head, _, rest = task.partition("** ")
    return f'{head}** (On "{example.snippet.introduction}".) {rest}'


def reading_difficulty(sentence: str) -> float:
    """Return the automated readability index of a sentence: long words and many of them make it hard."""
    words = re.findall(r"[\w']+", sentence)
    return 4.71 * sum(map(len, words)) / max(1, len(words)) + 0.5 * len(words)
