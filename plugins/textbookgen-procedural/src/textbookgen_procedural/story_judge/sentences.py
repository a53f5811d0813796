"""Sentences of a story, with their words, and which of them belong to the completion of its beginning."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from textbookgen_procedural.story_judge.word_classes import gender, is_listed_name, without_possessive, word_class

_END = re.compile(r"(?:[.!?\u2026]+|\n)[\"'\u201d\u2019)]*(?=\s|$)|\n+")
#: A speaker after a speech: `"Is this yours?" Mom asked.`
_SPEAKER = re.compile(
    r"\s*(?:(?:The|the|[A-Z][a-z]+) )?[A-Za-z][a-z]+ (?:said|says|asked|asks|replied|answered|called|shouted|cried|whispered)\b"
)
_ABBREVIATION = re.compile(r"\b(?:Mr|Mrs|Ms|Dr|St)\.$")
_TOKEN = re.compile(r"[A-Za-z]+(?:['\u2019][a-z]+)?|\d+|[^\sA-Za-z\d]")
#: What is no word: a capital inside (`itYou`), or a character that no story needs.
_BROKEN = re.compile(r"[a-z][A-Z]\w*|[\ufffd\x00-\x08<>{}\[\]\\|~^_@#$%&*+=/]")
_QUOTES = '"\u201c\u201d'


@dataclass(frozen=True)
class Token:
    """A word or a mark, whether it is inside quotation marks, and its place in the story."""

    text: str
    quoted: bool
    place: int

    @property
    def is_word(self) -> bool:
        """Whether it is a word."""
        return self.text[0].isalpha()


@dataclass(frozen=True)
class Sentence:
    """One sentence.

    Attributes:
        text: the sentence as written.
        tokens: its words and marks; quotation marks are left out.
        completed: whether it ends in the completion.
        starts_before: whether it starts in the beginning and ends in the completion.
        finished: whether it ends in a mark.
        first_own: index of the first token that belongs to the completion.
    """

    text: str
    tokens: tuple[Token, ...]
    completed: bool
    starts_before: bool
    finished: bool
    first_own: int

    @property
    def words(self) -> tuple[str, ...]:
        """Its words, without marks."""
        return tuple(token.text for token in self.tokens if token.is_word)

    @property
    def own_words(self) -> tuple[str, ...]:
        """Its words that belong to the completion."""
        return tuple(token.text for token in self.tokens[self.first_own :] if token.is_word)


@dataclass(frozen=True)
class Story:
    """A story split into sentences; `boundary` is where the completion starts, `stray_quotes` counts unmatched marks there,
    `names` are the names of people and animals,
    `broken` what is no word in the completion."""

    text: str
    boundary: int
    sentences: tuple[Sentence, ...]
    stray_quotes: int
    names: frozenset[str] = frozenset()
    broken: tuple[str, ...] = ()

    @property
    def own(self) -> tuple[Sentence, ...]:
        """The sentences that end in the completion, all of them for a story without a given beginning."""
        return tuple(sentence for sentence in self.sentences if sentence.completed)


def split_story(beginning: str, completion: str) -> Story:
    """Return the sentences of a story.

    Args:
        beginning: what somebody else wrote; may be empty.
        completion: what is judged.
    """
    gap = " " if beginning and completion[:1].isalnum() and not beginning[-1:].isspace() else ""
    text = f"{beginning}{gap}{completion}".rstrip()
    boundary = len(beginning)
    quoted, stray = _quoted_places(text, boundary)
    sentences = [_sentence(text, start, end, boundary, quoted) for start, end in _spans(text)]
    kept = tuple(item for item in sentences if item.words)
    return Story(text, boundary, kept, stray, find_names(kept), tuple(_BROKEN.findall(text, boundary)))


def find_names(sentences: Sequence[Sentence]) -> frozenset[str]:
    """Return the words that are names: never in lower case, and with a capital that their place does not explain.

    At the start of a sentence a capital counts for listed first names, and where a verb or `and` follows the word.
    """
    words = {token.text for item in sentences for token in item.tokens}
    names = set()
    for sentence in sentences:
        for place, token in enumerate(sentence.tokens):
            bare = without_possessive(token.text)
            before = sentence.tokens[place - 1] if place else None
            if not bare[:1].isupper() or (bare.isupper() and len(bare) > 1) or bare in word_class("capital in a sentence"):
                continue
            if before is not None and before.text.islower() and token.quoted == before.quoted and is_listed_name(bare):
                names.add(bare)  # `and Will`
            if bare in word_class("never names") or {bare.lower(), f"{bare.lower()}s"} & words:
                continue
            starts = before is None or not (before.is_word or before.text in ",;") or (token.quoted and not before.quoted)
            if not starts or is_listed_name(bare) or _acts(sentence, place):
                names.add(bare)
    return frozenset(names)


def _acts(sentence: Sentence, place: int) -> bool:
    """Whether a verb or `and` after a word at the start of a sentence shows that it is a name, such as `Zara said`."""
    following = sentence.tokens[place + 1].text.lower() if place + 1 < len(sentence.tokens) else ""
    word = sentence.tokens[place].text.lower()
    if word in word_class("function words") or word.endswith(("ly", "ing", "s")) or gender(word):
        return False
    return following in word_class("verbs after names")


def _spans(text: str) -> list[tuple[int, int]]:
    """The first and last places of each sentence."""
    spans, start = [], 0
    for match in _END.finditer(text):
        if _ABBREVIATION.search(text[max(0, match.end() - 5) : match.end()]):
            continue
        following = text[match.end() : match.end() + 3].lstrip(" ")
        closes_quote = match[0][-1:] in "\"\u201d'\u2019" and "\n" not in match[0]
        if closes_quote and (following[:1].islower() or _SPEAKER.match(text, match.end())):
            continue  # `"Is this yours?" she asked.`
        spans.append((start, match.end()))
        start = match.end()
    if text[start:].strip():
        spans.append((start, len(text)))
    return spans


def _quoted_places(text: str, boundary: int) -> tuple[frozenset[int], int]:
    """The places inside quotation marks, and how many marks of the completion open or close twice."""
    inside, stray, places = False, 0, set[int]()
    for place, mark in enumerate(text):
        if mark == "\n":
            stray += inside and place >= boundary
            inside = False
        elif mark in _QUOTES:
            opens = mark == "\u201c" or (mark == '"' and (place == 0 or text[place - 1] in " \n(-\u2014"))
            own = place >= boundary
            stray += (opens == inside) and own
            inside = opens
        elif inside:
            places.add(place)
    return frozenset(places), stray + (inside and len(text) > boundary)


def _sentence(text: str, start: int, end: int, boundary: int, quoted: frozenset[int]) -> Sentence:
    tokens = tuple(
        Token(match[0], match.start() in quoted, match.start())
        for match in _TOKEN.finditer(text, start, end)
        if match[0] not in _QUOTES
    )
    content = text[start:end].strip()
    return Sentence(
        content,
        tokens,
        completed=end > boundary,
        starts_before=start < boundary < end,
        finished=bool(re.search(r"[.!?\u2026][\"'\u201d\u2019)]*$", content)),
        first_own=sum(token.place < boundary for token in tokens),
    )
