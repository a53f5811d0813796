"""Faults of grammar in a sentence: word order around function words, agreement, verb forms, capitals, articles, punctuation."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from textbookgen_procedural.data_files import words as listed_words
from textbookgen_procedural.stories.inflection import article
from textbookgen_procedural.story_judge.sentences import Sentence, Token
from textbookgen_procedural.story_judge.word_classes import gender, is_listed_name, word_class

NO_CAPITAL = "no capital at the start of"
_THIRD = frozenset({"he", "she", "it"})
_PLURAL = frozenset({"they", "we", "you"})
_FINITE_BE = frozenset({"am", "is", "are", "was", "were", "did", "does"})
_HELPERS = frozenset({"did", "does", "do", "don't", "didn't", "doesn't"})
_BARE_AFTER = frozenset(
    {"let", "make", "made", "see", "saw", "hear", "heard", "help", "helped", "watch", "watched", "if", "that"}
)
_VERB_FORM = re.compile(r".{2,}(?:ed|n't|'s|'re|'m|'ll|'d|'ve)$")


def find_grammar_faults(sentence: Sentence, *, opens_in_capitals: bool = True) -> Iterator[str]:
    """Yield what is wrong with the part of a sentence that belongs to the completion.

    Args:
        sentence: the sentence.
        opens_in_capitals: whether it must begin with a capital, as all but the rest of a split sentence must.
    """
    tokens = sentence.tokens[max(sentence.first_own - 1, 0) :] if sentence.starts_before else sentence.tokens
    if opens_in_capitals and not sentence.starts_before and sentence.words[0][0].islower():
        yield f"{NO_CAPITAL} `{' '.join(sentence.words[:3])}`"
    for before, (one, other) in zip([None, *tokens], pairwise([*tokens, _END]), strict=False):
        if one.is_word:
            yield from _pair_faults(before, one, other, tokens)
    yield from _capital_faults(tokens)
    yield from _shape_faults(sentence)


def completes_badly(sentence: Sentence) -> bool:
    """Return whether a completion does not continue the sentence that it was given a part of."""
    if not sentence.starts_before or not 0 < sentence.first_own < len(sentence.tokens):
        return False
    one, other = sentence.tokens[sentence.first_own - 1 : sentence.first_own + 1]
    capital = one.is_word and other.text in word_class("never names") and not (other.quoted and not one.quoted)
    return capital or (one.is_word and bool(next(_pair_faults(None, one, other, sentence.tokens), "")))


_END = Token(".", False, -1)


def _pair_faults(before: Token | None, one: Token, other: Token, tokens: Sequence[Token]) -> Iterator[str]:
    """Faults of two neighbours."""
    first, second = one.text.lower(), other.text.lower()
    if fault := _order_fault(before, one, other):
        yield f"`{first} {second}`: {fault}"
    if not other.is_word:
        return
    if first == second and first not in word_class("two in a row"):
        yield f"`{first} {second}`: a word twice"
    if first in ("a", "an") and article(second) != first and len(second) > 1:
        yield f"`{first} {second}`: the wrong article"
    previous = before.text.lower() if before else ""
    if fault := _agreement_fault(previous, first, second, tokens):
        yield f"`{first} {second}`: {fault}"
    if fault := _form_fault(previous, one.text, second):
        yield f"`{first} {second}`: {fault}"


def _order_fault(before: Token | None, one: Token, other: Token) -> str:
    """What is wrong with the order of two neighbours; empty if nothing is."""
    first, second = one.text.lower(), other.text.lower()
    ends = not other.is_word and other.text in ".!?,;"
    determiners, subjects = word_class("determiners"), word_class("subject pronouns")
    function = second in subjects | word_class("object pronouns") | word_class("conjunctions") - {"while"}
    if first in determiners and one.text != "A.":
        if ends and other.text != "," and before is not None:
            return "nothing follows the article"
        if function or second in word_class("be have do") | word_class("prepositions") | (determiners - {"every"}):
            return "no noun follows"
    if (
        first in subjects - {"i"}
        and other.is_word
        and not (before and before.text.lower() in ("than", "as", "is", "was", "and"))
    ):
        if second in determiners | subjects | (word_class("prepositions") - {"for", "from"}):
            return "no verb follows"
        if second in word_class("object pronouns") - {"us"} and not (before and before.text.lower() in _HELPERS | _FINITE_BE):
            return "no verb follows"
    if first in word_class("prepositions") - {"during"} and other.is_word:
        if second in _FINITE_BE - {"am"} | (subjects - {"i"}) and first not in ("for", "to", "onto"):
            return "no noun follows"
        if second in ("and", "of", "but", "because"):
            return "no noun follows"
    if first == "to" and (
        second in _FINITE_BE | subjects | {"had", "of", "and"} or second in word_class("irregular pasts") - _SAME
    ):
        return "no infinitive follows"
    if first in ("and", "or", "because", "if") and not other.is_word and other.text in ".,;":
        return "nothing follows"
    if one.text in word_class("modals") - {"can", "will", "might"} and second in word_class("prepositions") | _FINITE_BE:
        return "no verb follows"
    return ""


#: Past tenses that are also infinitives, or nouns after `to`.
_SAME = frozenset(
    {
        "found",
        "wound",
        "bound",
        "ground",
        "lay",
        "bit",
        "shot",
        "saw",
        "fell",
        "rang",
        "lit",
        "thought",
        "felt",
        "left",
        "bent",
        "lent",
        "stuck",
        "sought",
        "slid",
        "kept",
    }
)


def _agreement_fault(previous: str, first: str, second: str, tokens: Sequence[Token]) -> str:
    """What is wrong between a pronoun and its verb."""
    inverted = previous in _HELPERS | word_class("modals") | _BARE_AFTER | word_class("be have do") | {
        "and",
        "or",
        "wish",
        "wished",
    }
    if inverted or previous in word_class("prepositions"):
        return ""
    wish = any(token.text.lower() in ("if", "wish", "wished", "though") for token in tokens)
    if first in _THIRD and second in {"are", "have", "do", "am", *([] if wish else ["were"])}:
        return "subject and verb do not agree"
    if first in _PLURAL and second in {"is", "was", "has", "does", "am"}:
        return "subject and verb do not agree"
    if first == "i" and second in {"is", "are", "has", "does", *([] if wish else ["were"])}:
        return "subject and verb do not agree"
    if first in ("he", "she") and second in word_class("base verbs") - word_class("irregular pasts") - {"read", "put", "let"}:
        return "subject and verb do not agree"
    return ""


def _form_fault(previous: str, first: str, second: str) -> str:
    """What is wrong with the form of a verb after its auxiliary."""
    past = second in word_class("irregular pasts") - _SAME
    if first in ("didn't", "don't", "doesn't") and past:
        return "a past tense after an auxiliary"
    if first == "not" and previous in _HELPERS | word_class("modals") and past:
        return "a past tense after an auxiliary"
    if first in word_class("modals") - {"can", "will"} and past:
        return "a past tense after an auxiliary"
    if first in ("had", "have", "has") and second in _NOT_PARTICIPLES:
        return "a past tense instead of a participle"
    return ""


_NOT_PARTICIPLES = frozenset(
    past
    for past, participle in (pair.split(":") for pair in word_class("past participles differ"))
    if past not in ("saw", "did", "ran", "came", "became", "was", "were") and past != participle
) | {"was", "were"}


def _capital_faults(tokens: Sequence[Token]) -> Iterator[str]:
    """Capitals in the middle of a sentence, and `i`."""
    for before, token in pairwise(tokens):
        if token.text == "i":
            yield "`i` without a capital"
        starts_speech = token.quoted and not before.quoted
        inside = before.is_word or before.text in ",;"
        wrong = token.text in word_class("never names") - word_class("capital in a sentence") and not is_listed_name(token.text)
        if inside and not starts_speech and wrong:
            yield f"a capital in `{before.text} {token.text}`"


def _shape_faults(sentence: Sentence) -> Iterator[str]:
    """A sentence without a verb or an end, or of content words alone."""
    words = [word.lower() for word in sentence.words]
    quoted = any(token.quoted for token in sentence.tokens)
    if not sentence.finished:
        yield "no mark at the end"
    if len(words) > 4 and not quoted and not any(map(_may_be_verb, words)):
        yield f"no verb in `{' '.join(words[:4])}`"
    if (
        len(words) < 4
        and not quoted
        and sentence.text.endswith(".")
        and not any(map(_may_be_verb, words))
        and not sentence.starts_before
    ):
        yield f"a fragment: `{' '.join(words)}`"
    own = [word.lower() for word in sentence.own_words]
    known = sum(word in word_class("function words") or bool(gender(word)) for word in own)
    if len(own) >= 6 and not quoted and known < 0.2 * len(own):
        yield f"words in no order: `{' '.join(own[:4])}`"


def _may_be_verb(word: str) -> bool:
    """Whether a word may be a finite verb; every unknown word that ends like one may."""
    if word in word_class("be have do") | word_class("modals") | word_class("irregular pasts") | word_class("base verbs"):
        return True
    return bool(_VERB_FORM.match(word)) or word.removesuffix("s") in word_class("base verbs") | _SIMPLE or word in _SIMPLE


_SIMPLE = frozenset(listed_words("irregular")) | {
    "put",
    "hit",
    "cut",
    "let",
    "set",
    "hurt",
    "shut",
    "read",
    "spread",
    "goe",
    "doe",
}
