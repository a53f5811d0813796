"""Features of stories: whether a text shows them, by cues on its surface."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from textbookgen_tinystories.vocabulary import stem, tokens, word_list

_QUOTED = re.compile(r"[\"\u201c][^\"\u201c\u201d]*\w[^\"\u201c\u201d]*[\"\u201d]")
_SENTENCE = re.compile(r"[^.!?]+[.!?]+[\"'\u201d\u2019]*")
_GLAD = re.compile(
    r"\b(?:happ(?:y|ily|ier)|glad|smil\w+|laugh\w*|proud\w*|safe|hug\w*|thank\w*|joy|cheer\w*|clapp\w*|friends|love\w*|shared|fun|best"
    r"|well|home again|wonderful)\b",
    re.IGNORECASE,
)
_SAD = re.compile(
    r"\b(?:sad\w*|cr(?:y|ied|ying)|tears?|alone|never (?!forg)|nobody (?:came|could|wanted|clapped)"
    r"|lost|too late|broke\w*|gone|sank|hurt|sick|cold|nothing|dead|died"
    r"|worse|fell and|in bed|under the bed|not want|how it stayed|spoiled|ruined|moved away)\b",
    re.IGNORECASE,
)
_MORAL = re.compile(
    r"\b(?:learn\w*|lesson|moral|never forg(?:o|e)t|remember(?:ed)? (?:that|to)|understood|knew (?:now )?that|said it best"
    r"|it is (?:right|good|brave|important)|always (?:be|share|tell|help|say))\b",
    re.IGNORECASE,
)
_TWIST = re.compile(
    r"\b(?:surpris\w*|suddenly|unexpected\w*|nobody (?:had )?expected|all at once|to every\w+ surprise|it turned out|just then"
    r"|it was not .{3,40} but|never guess\w*)\b",
    re.IGNORECASE,
)
_CONFLICT = re.compile(
    r"\b(?:argu\w+|fight|fought|quarrel\w*|disagreed?|angry|mad at|wanted [^.!?]{1,60}, but [^.!?]{1,30} wanted)\b|\"No[,!.]",
    re.IGNORECASE,
)
_HINT = re.compile(
    r"\b(?:you never know|(?:did|does) not (?:yet )?know (?:yet|why|what it)|as if it knew|nobody (?:looked at|noticed) it"
    r"|laughed at it|i will \w+ it later|might need|may need|just in case|for later|strange feeling)\b",
    re.IGNORECASE,
)
_QUOTE = re.compile(r"[\"\u201c][^\"\u201c\u201d]*[\"\u201d]")
_ENDING_SENTENCES = 5


def shows_feature(feature: str, story: str) -> bool:
    """Return whether a story shows a feature, as far as its words show.

    Dialogue is exact. A moral, a twist and a conflict are known by their usual words, an ending by the glad and sad words of
    the last sentences, foreshadowing by
    a hint in the first half (`you never know`) whose words come back in the second.

    Args:
        feature: a feature of `tinystories/story-constraints`.
        story: the text.

    Raises:
        KeyError: the feature is unknown.
    """
    return _CHECKS[feature](story)


def _has_dialogue(story: str) -> bool:
    return bool(_QUOTED.search(story))


def _ends_well(story: str) -> bool:
    return _mood(story) > 0


def _ends_badly(story: str) -> bool:
    return _mood(story) < 0


def _mood(story: str) -> int:
    """Glad words less sad words of the last sentences, without speech and morals in quotation marks."""
    ending = " ".join(_SENTENCE.findall(_QUOTE.sub("", story))[-_ENDING_SENTENCES:])
    return len(_GLAD.findall(ending)) - len(_SAD.findall(ending))


def _has_moral(story: str) -> bool:
    return bool(_MORAL.search(" ".join(_SENTENCE.findall(story)[-_ENDING_SENTENCES:])))


def _foreshadows(story: str) -> bool:
    """Return whether a hint in the first half, or the sentence before it, has a word that comes back in the last half."""
    sentences = _SENTENCE.findall(story)
    half = len(sentences) // 2
    later = content_stems(" ".join(sentences[half:]))
    for place, sentence in enumerate(sentences[:half]):
        if _HINT.search(sentence) and content_stems(" ".join(sentences[max(place - 1, 0) : place + 1])) & later:
            return True
    return False


def content_stems(text: str) -> frozenset[str]:
    """Return the stems of the words of a text that are not function words."""
    function_words = frozenset(word_list("function_words"))
    return frozenset(stem(word) for word in tokens(text) if word.lower() not in function_words)


_CHECKS: Mapping[str, Callable[[str], bool]] = {
    "Dialogue": _has_dialogue,
    "BadEnding": _ends_badly,
    "HappyEnding": _ends_well,
    "MoralValue": _has_moral,
    "Twist": lambda story: bool(_TWIST.search(story)),
    "Foreshadowing": _foreshadows,
    "Conflict": lambda story: bool(_CONFLICT.search(story)),
}
