"""Continuity of a story: how much of what it is about after any point came up before that point."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import chain

from textbookgen_procedural.story_judge.sentences import Sentence, Story
from textbookgen_procedural.story_judge.word_classes import gender, stem, without_possessive, word_class

#: Weights of a mention: who a story is about is known by its names; nouns such as `boy` fit most stories.
_NAME, _THING, _SOMEBODY = 3.0, 1.0, 0.3
_KEPT_SOMEBODY = 1.5  # of a noun for somebody in the first part, that the rest should mention again
#: Where a whole story is searched for a break, as shares of its sentences.
_FIRST_BREAK, _LAST_BREAK = 0.3, 0.68
_MIN_SENTENCES = 3  # of a completion, and on both sides of a break
#: What parts of a few words are taken to share: the usual shares, with the weight of so many words.
_USUAL_KNOWN, _KNOWN_WEIGHT = 0.45, 6.0
_USUAL_KEPT, _KEPT_WEIGHT = 0.7, 4.0
_FULL, _NONE = 0.38, 0.18  # continuity from which nothing is missing, and up to which all is
#: How much of a gap counts if the cast stays, as pronouns may stand for it, and what is added for each sign that it does not.
_SAME_CAST, _LEADER_GONE, _NEW_NAMES = 0.1, 0.35, 0.7
_LONG_REST = 0.45  # share of the sentences in which the leader should be named again

_Mention = tuple[str, float]  # a name or a stem, and its weight


@dataclass(frozen=True)
class Continuity:
    """How a story holds together at its weakest place.

    Attributes:
        share: mean of two shares, 0 to 1: of the mentions after that place, those that came up before it, and of the names,
            persons and repeated things before it, those that come up again.
        gap: how far the share is below what stories have: 0 if nothing is missing, 1 if the parts have nothing in common.
        newcomers: what the part after it mentions most that the part before it lacks, at most three.
        place: the sentence with which that part starts.
    """

    share: float = 1.0
    gap: float = 0.0
    newcomers: tuple[str, ...] = ()
    place: str = ""


def measure_continuity(story: Story) -> Continuity:
    """Return the continuity at the boundary of a given beginning, or at the weakest place of a story without one.

    Names, persons and things are compared across the place, as TextTiling (Hearst 1997) does with words: two stories put
    together share few of them, whatever the order of the sentences within each.
    """
    if story.boundary:
        before = [item for sentence in story.sentences for item in _mentions(story, _given_words(sentence, story.boundary))]
        after = [item for sentence in story.own for item in _mentions(story, sentence.own_words)]
        if len(story.own) < _MIN_SENTENCES or not before:
            return Continuity()
        return _compare(before, after, story.own, len(story.own))
    mentions, total = [_mentions(story, sentence.words) for sentence in story.sentences], len(story.sentences)
    candidates = [Continuity()]
    for place in range(max(_MIN_SENTENCES, round(_FIRST_BREAK * total)), round(_LAST_BREAK * total) + 1):
        if total - place >= _MIN_SENTENCES:
            before, after = list(chain(*mentions[:place])), list(chain(*mentions[place:]))
            candidates.append(_compare(before, after, story.sentences[place:], total))
    return max(candidates, key=lambda each: (each.gap, -each.share))


def _given_words(sentence: Sentence, boundary: int) -> list[str]:
    return [token.text for token in sentence.tokens if token.is_word and token.place < boundary]


def _mentions(story: Story, words: Sequence[str]) -> list[_Mention]:
    """The names, the stems of the nouns for somebody, and those of the other content words, with their weights."""
    mentions = []
    for word in words:
        bare = without_possessive(word)
        if bare in story.names:
            mentions.append((bare, _NAME))
        elif len(word) > 2 and word.lower() not in word_class("function words"):
            mentions.append((stem(word), _SOMEBODY if gender(word) else _THING))
    return mentions


def _compare(before: Sequence[_Mention], after: Sequence[_Mention], rest: Sequence[Sentence], total: int) -> Continuity:
    """The continuity from one part to the next, whose sentences are `rest`, of a text of `total` sentences."""
    earlier, later = Counter(before), Counter(after)
    known, said = {name for name, _ in before}, {name for name, _ in after}
    weights = {item: item[1] * count for item, count in later.items()}
    share = _share(weights, known, _USUAL_KNOWN, _KNOWN_WEIGHT)
    lasting = {
        (name, weight): (_KEPT_SOMEBODY if weight == _SOMEBODY else weight) * count
        for (name, weight), count in earlier.items()
        if weight != _THING or count > 1
    }
    share = (share + _share(lasting, said, _USUAL_KEPT, _KEPT_WEIGHT)) / 2
    new = sorted((item for item in weights if item[0] not in known), key=lambda item: -weights[item])
    gap = min(1.0, max(0.0, (_FULL - share) / (_FULL - _NONE)))
    cast = [item for item in earlier if item[1] == _NAME]
    gone = bool(cast) and max(cast, key=earlier.__getitem__)[0] not in said
    if cast:
        gone &= len(rest) >= _LONG_REST * total
        gap = min(1.0, gap * (_SAME_CAST + _LEADER_GONE * gone + _NEW_NAMES * any(weight == _NAME for _, weight in new)))
    return Continuity(share, gap, tuple(name for name, _ in new[:3]), rest[0].text)


def _share(weights: Mapping[_Mention, float], names: Set[str], usual: float, usual_weight: float) -> float:
    """The weighted share of the mentions whose name is one of `names`."""
    kept = sum(weight for (name, _), weight in weights.items() if name in names)
    return (kept + usual * usual_weight) / (sum(weights.values()) + usual_weight)
