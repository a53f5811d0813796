"""Short answers compared with known ones without a judge: correct, abstained or wrong."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Literal

Label = Literal["correct", "abstained", "wrong"]

_NOT_WORD = re.compile(r"[^\w\s.]|_|\.(?!\d)|(?<!\d)\.")
_GROUPS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_INITIALS = re.compile(r"\b(?:[A-Za-z]\.){2,}")
_ARTICLES = frozenset(("a", "an", "the"))
_ABSTENTION = re.compile(
    r"\b(?:(?:i|we)(?:'m| am| are)?\s+(?:(?:really|honestly|simply|just|currently)\s+)?"
    r"(?:do not|don't|cannot|can't|could not|couldn't|am not|are not|not|unable to|am unable to|have no|lack)\s+"
    r"(?:\w+\s+){0,2}?(?:know|sure|certain|able|aware|recall|remember|familiar|find|verify|confirm|determine|answer|say|provide|"
    r"have|idea|information|knowledge|access)"
    r"|(?:is|are|was|were)\s+(?:not\s+known|unknown)(?:\s+to me)?|no\s+(?:reliable\s+|specific\s+)?(?:information|record|idea)"
    r"|(?:not|never)\s+(?:publicly\s+)?(?:available|disclosed|known)|no answer|cannot be (?:answered|determined)"
    r"|could you (?:please )?(?:clarify|provide|specify))\b|\A\W*(?:unknown|n/?a)\W*\Z",
    re.IGNORECASE,
)
#: What follows an abstention that is a guess nevertheless.
_GUESS = re.compile(
    r"\b(?:but|however|maybe|perhaps|possibly|probably|likely|my (?:best )?guess|i (?:think|believe|would guess|would say)|"
    r"it (?:may|might|could) be)\b(?![\s,]+(?:i|you|we)\b)",
    re.IGNORECASE,
)


def words_of(text: str) -> list[str]:
    """Return the words by which answers are compared: without case, accents, punctuation, articles, separators of thousands."""
    plain = _INITIALS.sub(lambda match: match[0].replace(".", ""), _GROUPS.sub("", text.replace("\u2019", "'")))
    plain = unicodedata.normalize("NFKD", plain)
    plain = "".join(character for character in plain if not unicodedata.combining(character)).lower().replace("'s ", " ")
    return [word for word in _NOT_WORD.sub(" ", plain).split() if word not in _ARTICLES]


def grade_short_answer(reply: str, answers: Sequence[str]) -> Label:
    """Return whether a reply contains a right answer as a sequence of words, declines, or is wrong.

    A reply that declines and then guesses counts as its guess. What a judge would see is missed: paraphrases, dates in another
    form, and a right answer among several.

    Args:
        reply: the reply.
        answers: all right answers.
    """
    said = words_of(reply)
    if any(_contains(said, words_of(answer)) for answer in answers):
        return "correct"
    declined = _ABSTENTION.search(reply.replace("\u2019", "'"))
    if not said or (declined and not _GUESS.search(reply, declined.end())):
        return "abstained"
    return "wrong"


def _contains(words: Sequence[str], part: Sequence[str]) -> bool:
    size = len(part)
    return bool(part) and any(list(words[at : at + size]) == list(part) for at in range(len(words) - size + 1))
