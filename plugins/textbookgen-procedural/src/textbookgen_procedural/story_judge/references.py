"""Consistency of a story: names, pronouns, things and topics across its sentences, and across the end of a given beginning."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from textbookgen_procedural.story_judge.sentences import Sentence, Story, Token
from textbookgen_procedural.story_judge.word_classes import content_stems, gender, stem, without_possessive, word_class

_PRONOUNS = {"he": "he", "him": "he", "his": "he", "himself": "he", "she": "she", "her": "she", "hers": "she", "herself": "she"}
_NEAR = 1  # sentences in which a pronoun looks for its antecedent
#: Where a story without a given beginning may still introduce its characters without a word.
_FIRST_PART = 0.34
_INTRODUCES = re.compile(
    r"(?:named|called|name is|name was|am|I'm|is|little|old|young|big|brave|friend|was|it|meet)\s*[\"\u201c']?$"
)
_APPOSITION = re.compile(r"^,? (?:was |is )?(?:a|an|the|his|her|their|who)\b")


@dataclass
class References:
    """What a story refers to that is not there; each is what was found, in the words of the story.

    Attributes:
        strangers: names that appear without an introduction.
        lost: pronouns without anybody they could stand for.
        distant: pronouns whose antecedent is not in the sentence before.
        unknown: things with `the` that were not mentioned before.
        absent: whether nobody of the beginning comes up again.
        replaced: whom the end is about, if the main character of the first half is gone (`something else` if it names nobody).
        unrelated: share of the completion's sentences without a link to what was written before it, 0 to 1.
    """

    strangers: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    distant: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    absent: bool = False
    replaced: str = ""
    unrelated: float = 0.0


def track_references(story: Story) -> References:
    """Return what the sentences of the completion, or of the whole story, refer to without an antecedent."""
    notes, tracker = References(), _Tracker(story.names)
    for number, sentence in enumerate(story.sentences):
        late = story.boundary > 0 or number > _FIRST_PART * len(story.sentences)
        tracker.read(sentence, number, notes if sentence.completed else None, late)
    beginning, rest = _parts(story)
    notes.absent = _nobody_returns(story, beginning, rest)
    notes.replaced = _replacement(story)
    notes.unrelated = _unrelated_share(beginning, rest)
    return notes


class _Tracker:
    """Who and what came up so far."""

    def __init__(self, names: frozenset[str]) -> None:
        self.known = names
        self.names: set[str] = set()
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
        if notes and late and name not in self.names and not _is_introduced(sentence, place) and stem(name) not in self.stems:
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


def _parts(story: Story) -> tuple[list[Sentence], list[Sentence]]:
    """The beginning and the rest: at the boundary, or for a story without one in the middle."""
    if story.boundary:
        return [item for item in story.sentences if not item.completed or item.starts_before], list(story.own)
    middle = len(story.sentences) // 2
    return list(story.sentences[:middle]), list(story.sentences[middle:])


def _people(sentences: list[Sentence], names: frozenset[str], own: bool = False) -> tuple[set[str], set[str]]:
    """The names in sentences, and the stems of the nouns for somebody."""
    words = [word for item in sentences for word in (item.own_words if own else item.words)]
    bare = [without_possessive(word) for word in words]
    return {word for word in bare if word in names}, {stem(word) for word in bare if word not in names and gender(word)}


def _nobody_returns(story: Story, beginning: list[Sentence], rest: list[Sentence]) -> bool:
    """Whether none of those who are named in the beginning is mentioned in a completion of three sentences or more.

    If nobody is named, the nouns for somebody are compared. An ending of three sentences or more in which only others are
    named counts as well.
    """
    names, nouns = _people(beginning, story.names)
    later_names, later_nouns = _people(rest, story.names, own=True)
    if not story.boundary or len(rest) < 3 or not (names or nouns):
        return False
    if names:
        size = max(3, len(rest) // 2)
        earlier = names | _people(rest[:-size], story.names, own=True)[0] if len(rest) > size else names
        ending = _people(rest[-size:], story.names, own=True)[0]
        return not names & later_names or (bool(ending) and not earlier & ending)
    return not nouns & later_nouns


def _replacement(story: Story) -> str:
    """What the end is about, if the main character of the first half is gone: another name, or only things that are new.

    The theme of the first half is what it names at least twice; an end that lacks it, too, is that of another story.
    """
    total = len(story.sentences)
    start, end = story.sentences[: total // 2], story.sentences[-max(3, total * 2 // 5) :]
    first = Counter(name for item in start for name in _names_in(item, story))
    last = Counter(name for item in end for name in _names_in(item, story))
    if total < 6 or not first or first.most_common(1)[0][0] in last:
        return ""
    if others := [name for name, _ in last.most_common() if name not in first]:
        return others[0]
    counts = Counter(word for item in start for word in _topics(item, story))
    theme = {word for word, count in counts.items() if count > 1}
    closing = {word for item in end for word in _topics(item, story)}
    return "something else" if theme and not theme & closing and not last else ""


def _topics(sentence: Sentence, story: Story) -> frozenset[str]:
    return content_stems([word for word in sentence.words if without_possessive(word) not in story.names])


def _names_in(sentence: Sentence, story: Story) -> list[str]:
    return [bare for word in sentence.words if (bare := without_possessive(word)) in story.names]


def _unrelated_share(beginning: list[Sentence], rest: list[Sentence]) -> float:
    """The share of sentences in the rest without a word, a name or a person of the beginning, or of a sentence so linked.

    A pronoun continues the sentence before it, whatever that is about.
    """
    known = frozenset().union(
        *(content_stems(item.words[: len(item.words) if not item.starts_before else None]) for item in beginning)
    )
    if not known or not rest:
        return 0.0
    linked = sum(bool(content_stems(item.own_words) & known) for item in rest)
    return 1 - linked / len(rest)
