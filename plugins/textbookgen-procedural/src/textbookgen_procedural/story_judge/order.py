"""Order of a story's sentences: what opens and what closes it, what comes up before it is introduced, what does not follow."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, takewhile

from textbookgen_procedural.story_judge.sentences import Sentence, Story, Token
from textbookgen_procedural.story_judge.word_classes import content_stems, cues, gender, stem, word_class

_LAST_WORDS = re.compile(
    r"\b(?:home|happy|happily|together|friends?|proud|loved?|always|never|again|ever|best|thank|smiled?|laughed)\b|\""
)
_AFTER_FINAL = 3  # sentences that may follow one with which stories end
_SAME_SENTENCE = 92.0  # similarity above which two sentences are one and the same


@dataclass
class Order:
    """What is out of order; each entry is the evidence.

    Attributes:
        late_openings: openings of a story that are not at its start.
        early_endings: closing words that more than four tenths of the story follow.
        reintroduced: things that come up with `a` only after they came up with `the`, and names explained after their use.
        inversions: pairs of sentences of which one names a later time in the story (`at last`) but precedes the other.
        speeches: speeches without a speaker, and speakers without a speech.
        unanswered: questions in speech that nobody says anything after.
        mood_rise: how much later glad words come than sad ones, as a share of the text; below 0 the trouble comes last.
        abrupt: whether a whole story starts with a connective or a pronoun.
        unlinked: share of neighbouring sentences without a word, a person or a pronoun that links them.
        repeated: share of sentences that repeat an earlier one.
        repeated_grams: share of sequences of four words that occurred before.
        closes: whether the last two sentences close the story.
        closes_in_words: whether one of them says so, by a moral or a look back, or has a speech.
        resolved: whether its second half is gladder than what went before, if there was a problem.
        has_problem: whether there is one.
    """

    late_openings: list[str] = field(default_factory=list)
    early_endings: list[str] = field(default_factory=list)
    reintroduced: list[str] = field(default_factory=list)
    inversions: int = 0
    speeches: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)
    mood_rise: float = 0.0
    abrupt: bool = False
    unlinked: float = 0.0
    repeated: float = 0.0
    repeated_grams: float = 0.0
    closes: bool = False
    closes_in_words: bool = False
    resolved: bool = False
    has_problem: bool = False


def examine_order(story: Story) -> Order:
    """Return what is out of order in a completion, or in a whole story."""
    notes = Order()
    total = len(story.sentences)
    own = [(number, item) for number, item in enumerate(story.sentences) if item.completed]
    for number, sentence in own:
        narrated = _narration(sentence)
        if cues("opening cues").search(narrated) and number > max(1, 0.3 * total):
            notes.late_openings.append(sentence.text)
        if cues("setting cues").match(narrated) and number > max(2, 0.4 * total):
            notes.late_openings.append(sentence.text)
        after = total - number - 1
        closing = cues("closing cues").search(narrated) and after > max(3, 0.35 * total)
        closing = closing or (cues("final cues").search(narrated) and after > _AFTER_FINAL)
        if closing and not sentence.starts_before:
            notes.early_endings.append(sentence.text)
    notes.inversions = _count_inversions([_narration(item) for _, item in own])
    notes.reintroduced = _reintroductions(story)
    notes.unanswered = [
        one.text for one, other in pairwise(story.sentences) if other.completed and _asks(one) and not _speaks(other)
    ]
    notes.speeches = [fault for pair in _neighbours(story) if (fault := _speech_fault(*pair))]
    first = story.sentences[0]
    connective = re.match(cues("starting connectives").pattern, first.text.lower())
    notes.abrupt = not story.boundary and (
        bool(connective) or first.words[0].lower() in ("he", "she", "it", "they", "his", "her")
    )
    pairs = [pair for pair in pairwise(story.sentences) if pair[1].completed]
    notes.unlinked = sum(not _are_linked(*pair) for pair in pairs) / max(len(pairs), 1)
    notes.repeated, notes.repeated_grams = _repeats(story)
    _examine_ending(story, notes)
    return notes


def _count_inversions(texts: Sequence[str]) -> int:
    """The pairs of texts in which a cue for the end precedes one for an earlier part."""
    ranks = []
    for text in texts:
        if cues("closing cues").search(text):
            ranks.append(3)
        elif cues("late cues").match(text):
            ranks.append(2)
        elif cues("sudden cues").match(text):
            ranks.append(1)
    return sum(one > other for place, one in enumerate(ranks) for other in ranks[place + 1 :])


def _narration(sentence: Sentence) -> str:
    return " ".join(token.text for token in sentence.tokens if not token.quoted)


def _reintroductions(story: Story) -> list[str]:
    """Things and names that are introduced after they came up."""
    definite, indefinite = set[str](), set[str]()
    seen: dict[str, int] = {}
    notes = []
    for number, sentence in enumerate(story.sentences):
        tokens = sentence.tokens
        for place, token in enumerate(tokens[:-1]):
            word, following = token.text.lower(), [item for item in tokens[place + 1 : place + 3] if item.is_word]
            heads = _content_run(tokens, place + 1)
            own = sentence.completed and place >= sentence.first_own and not token.quoted
            own = own and not _is_another(tokens, place)
            if word in ("a", "an") and heads:
                if own and heads[-1] in definite - indefinite:
                    notes.append(f"{word} {' '.join(item.text for item in following)}")
                indefinite |= set(heads)
            if word == "the" and heads:
                definite |= set(heads[:2])
            if word in ("named", "called") and own and following and number - seen.get(following[0].text, number) > 0:
                notes.append(f"{word} {following[0].text}")
            if token.text in story.names:
                was = [item.text.lower() for item in tokens[place + 1 : place + 3]]
                gap = number - seen.get(token.text, number)
                if own and was in (["was", "a"], ["was", "an"]) and gap > 2 and _names_kind(tokens, place):
                    notes.append(f"{token.text} was a")
                before = tokens[place - 1].text if place else ""
                if (
                    own
                    and gap > 0
                    and (before.lower() in ("friend", "little", "old") or (before[:1].islower() and gender(before)))
                ):
                    notes.append(f"{before} {token.text}")
                seen.setdefault(token.text, number)
    return notes


def _is_another(tokens: Sequence[Token], place: int) -> bool:
    """Whether `a` means another thing of a kind, or says what something is (`it was a …`, `a real …`)."""
    before = tokens[place - 1].text.lower() if place else ""
    after = tokens[place + 1].text.lower()
    return before in ("was", "is", "as", "like", "such", "what", "be", "were") or after in (
        "real",
        "new",
        "better",
        "different",
        "second",
        "bigger",
        "smaller",
        "good",
    )


def _content_run(tokens: Sequence[Token], start: int) -> list[str]:
    """The stems of the words from a place up to the next mark or function word, at most three."""
    verbs = word_class("irregular pasts")
    run = takewhile(
        lambda item: item.is_word and item.text.lower() not in word_class("function words") | verbs, tokens[start : start + 3]
    )
    nouns = [item.text.lower() for item in run]
    while len(nouns) > 1 and nouns[-1].endswith(("ed", "ing")):
        nouns.pop()  # `a man smiled`
    return [stem(item) for item in nouns]


def _neighbours(story: Story) -> Iterator[tuple[Sentence | None, Sentence, Sentence | None]]:
    """Each sentence that starts in the completion, with the one before and the one after it."""
    sentences = (None, *story.sentences, None)
    for place, sentence in enumerate(story.sentences):
        if sentence.completed and not sentence.starts_before:
            yield sentences[place], sentence, sentences[place + 2]


def _speech_fault(before: Sentence | None, sentence: Sentence, after: Sentence | None) -> str:
    """What is wrong with a speech that nobody says, or with a speaker who says nothing; empty if nothing is."""
    words = [token for token in sentence.tokens if token.is_word]
    if not any(token.quoted for token in words):
        ends_with_tag = 1 < len(words) < 4 and words[1].text in _TAGS and words[-1].text not in _SAID
        ends_with_tag |= words[0].text[0].islower() and bool({item.text for item in words[:3]} & _SAYS)
        return f"nothing is said in `{sentence.text[:40]}`" if ends_with_tag and not _speaks(after) else ""
    if all(token.quoted for token in words) and not _speaks(before) and not _speaks(after):
        introduced = before is not None and (
            before.text.endswith(":") or bool({word.lower() for word in before.words} & _SPEECH_VERBS)
        )
        return "" if introduced else f"nobody says `{sentence.text[:40]}`"
    return ""


def _asks(sentence: Sentence) -> bool:
    return any(token.quoted and token.text == "?" for token in sentence.tokens)


def _speaks(sentence: Sentence | None) -> bool:
    return sentence is not None and any(token.quoted for token in sentence.tokens)


_SAYS = frozenset({"said", "asked", "replied", "answered", "called", "shouted", "cried"})
_TAGS = frozenset({"said", "asked", "replied", "answered"})
_SAID = frozenset({"no", "yes", "so", "nothing", "it", "that", "hello", "goodbye", "sorry"})
_SPEECH_VERBS = _SAYS | {"says", "asks", "thought", "whispered", "heard", "read", "sang", "voice", "told"}


def _names_kind(tokens: Sequence[object], place: int) -> bool:
    """Whether `NAME was a …` says what somebody is."""
    return any(gender(getattr(item, "text", "")) for item in tokens[place + 3 : place + 7])


def _are_linked(one: Sentence, other: Sentence) -> bool:
    """Whether a sentence takes up a word or a person of the one before, or refers to it by a pronoun or connective."""
    if content_stems(one.words) & content_stems(other.words):
        return True
    return bool({word.lower() for word in other.words[:4]} & word_class("links"))


def _repeats(story: Story) -> tuple[float, float]:
    """The shares of sentences and of sequences of four words that occurred before."""
    from rapidfuzz import fuzz

    texts = [" ".join(item.words).lower() for item in story.sentences]
    own = [number for number, item in enumerate(story.sentences) if item.completed and len(item.words) > 3]
    same = sum(
        any(fuzz.ratio(texts[number], earlier, score_cutoff=_SAME_SENTENCE) for earlier in texts[:number]) for number in own
    )
    words = [word.lower() for item in story.own for word in item.own_words]
    grams = [tuple(words[start : start + 4]) for start in range(len(words) - 3)]
    return same / max(len(own), 1), 1 - len(set(grams)) / len(grams) if grams else 0.0


def _examine_ending(story: Story, notes: Order) -> None:
    """Note whether the end closes the story, and whether a problem is followed by something glad."""
    own = story.own
    glad, sad = (frozenset(stem(word) for word in word_class(name)) for name in ("glad", "sad"))
    ending = own[-4:]
    stems = frozenset(stem(word) for item in ending for word in item.words)
    notes.closes_in_words = any(cues("closing cues").search(item.text) or _LAST_WORDS.search(item.text) for item in own[-2:])
    closing = any(cues("closing cues").search(item.text) or cues("late cues").match(item.text) for item in ending)
    notes.closes = bool(own) and own[-1].finished and (closing or bool(stems & glad) or bool(stems & sad))
    earlier = frozenset(stem(word) for item in story.sentences[:-2] for word in item.words)
    notes.has_problem = bool(earlier & sad)
    notes.resolved = bool(stems & glad)
    notes.mood_rise = _mean_place(own, glad) - _mean_place(own, sad)


def _mean_place(sentences: Sequence[Sentence], stems: frozenset[str]) -> float:
    """The mean place of the words with these stems, from 0 for the first sentence to 1; 0.5 if there are none."""
    places = [
        number / max(len(sentences) - 1, 1)
        for number, item in enumerate(sentences)
        for word in item.own_words
        if stem(word) in stems
    ]
    return sum(places) / len(places) if places else 0.5
