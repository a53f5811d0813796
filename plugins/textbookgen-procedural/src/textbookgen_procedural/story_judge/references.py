"""References of a story: names, pronouns and things that nothing before them introduced."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from textbookgen_procedural.story_judge.sentences import Sentence, Story, Token
from textbookgen_procedural.story_judge.word_classes import gender, stem, without_possessive, word_class

_PRONOUNS = {"he": "he", "him": "he", "his": "he", "himself": "he", "she": "she", "her": "she", "hers": "she", "herself": "she"}
_NEAR = 1  # sentences in which a pronoun looks for its antecedent
#: Where a story without a given beginning may still introduce its characters without a word.
_FIRST_PART = 0.45
_INTRODUCES = re.compile(
    r"(?:named|called|name is|name was|am|I'm|is|little|old|young|big|brave|friend|was|it|meet)\s*[\"\u201c']?$"
)
_APPOSITION = re.compile(r"^,? (?:was |is )?(?:a|an|the|his|her|their|who)\b")


@dataclass
class References:
    """What a story refers to that is not there; each is what was found, in the words of the story.

    Attributes:
        strangers: names that nothing introduces, before or after they appear.
        lost: pronouns without anybody they could stand for.
        distant: pronouns whose antecedent is not in the sentence before.
        unknown: things with `the` that were not mentioned before.
    """

    strangers: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    distant: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


def track_references(story: Story) -> References:
    """Return what the sentences of the completion, or of the whole story, refer to without an antecedent."""
    notes, tracker = References(), _Tracker(story.names)
    for number, sentence in enumerate(story.sentences):
        late = story.boundary > 0 or number > _FIRST_PART * len(story.sentences)
        tracker.read(sentence, number, notes if sentence.completed else None, late)
    notes.strangers = [name for name in notes.strangers if name not in tracker.introduced]
    return notes


class _Tracker:
    """Who and what came up so far."""

    def __init__(self, names: frozenset[str]) -> None:
        self.known = names
        self.names: set[str] = set()
        self.introduced: set[str] = set()
        self.stems: set[str] = set()
        self.last: dict[str, int] = {}  # the last sentence that mentioned somebody who is `he`, or `she`

    def read(self, sentence: Sentence, number: int, notes: References | None, late: bool) -> None:
        """Note what a sentence mentions; add what it lacks to `notes`, if it is judged."""
        tokens = sentence.tokens
        for place, token in enumerate(tokens):
            if not token.is_word:
                continue
            own = notes if place >= sentence.first_own else None
            if without_possessive(token.text) in self.known:
                self._read_name(sentence, place, own, late, number)
            elif token.text.lower() in _PRONOUNS:
                self._read_pronoun(tokens, place, own, number)
            elif who := gender(token.text):
                self._mention(who, number)
            if own and token.text.lower() == "the" and not token.quoted:
                self._read_definite(tokens, place, own)
            if token.text.lower() not in word_class("function words"):
                self.stems.add(stem(token.text))

    def _read_name(self, sentence: Sentence, place: int, notes: References | None, late: bool, number: int) -> None:
        name = without_possessive(sentence.tokens[place].text)
        introduced = _is_introduced(sentence, place)
        if introduced:
            self.introduced.add(name)
        if notes and late and name not in self.names and not introduced and stem(name) not in self.stems:
            notes.strangers.append(name)
        self.names.add(name)
        self._mention(gender(name) or "either", number)

    def _read_pronoun(self, tokens: tuple[Token, ...], place: int, notes: References | None, number: int) -> None:
        who = _PRONOUNS[tokens[place].text.lower()]
        last = self.last.get(who)
        if notes and not tokens[place].quoted:
            if last is None:
                notes.lost.append(tokens[place].text)
            elif number - last > _NEAR:
                notes.distant.append(tokens[place].text)
        self.last[who] = number

    def _read_definite(self, tokens: tuple[Token, ...], place: int, notes: References) -> None:
        """Note `the` with a thing that neither came up before nor explains itself (`the box that he had`, `the top of`)."""
        following = [token for token in tokens[place + 1 : place + 4] if token.is_word]
        content = [token.text for token in following if token.text.lower() not in word_class("function words")]
        usual = any(token.text.lower() in word_class("definite at first") for token in following[:3])
        after = {token.text.lower() for token in tokens[place + 2 : place + 5]}
        explained = usual or bool(after & {"of", "that", "who", "with", "in", "at", "on", "where"})
        if content and not explained and not any(stem(word) in self.stems for word in content[:3]):
            notes.unknown.append(content[0])

    def _mention(self, who: str, number: int) -> None:
        for each in ("he", "she") if who == "either" else (who,):
            self.last[each] = number


def _is_introduced(sentence: Sentence, place: int) -> bool:
    """Whether the words around a name say who it is."""
    token = sentence.tokens[place]
    offset = sentence.tokens[0].place
    local = token.place - offset
    lead = len(sentence.text) - len(sentence.text.lstrip())
    start = sentence.text.find(token.text, max(0, local - 2 + lead))
    before, after = sentence.text[: max(start, 0)], sentence.text[start + len(token.text) :]
    previous = sentence.tokens[place - 1].text if place else ""
    title = previous if previous != "." or place < 2 else sentence.tokens[place - 2].text
    if (gender(previous) and previous[:1].islower()) or title in word_class("capital in a sentence"):
        return True
    return bool(_INTRODUCES.search(before.rstrip()) or _APPOSITION.match(after))
