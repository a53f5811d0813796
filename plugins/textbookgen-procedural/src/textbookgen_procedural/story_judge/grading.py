"""Grades of a story from the faults found in it, as GPT-Eval asks for them: five criteria from 1 to 10, and an age group."""

from __future__ import annotations

import re
from dataclasses import dataclass

from textbookgen_procedural.story_judge.grammar import completes_badly, find_grammar_faults
from textbookgen_procedural.story_judge.order import Order, examine_order
from textbookgen_procedural.story_judge.references import References, track_references
from textbookgen_procedural.story_judge.sentences import Story, split_story
from textbookgen_procedural.story_judge.word_classes import content_stems

_VOWELS = re.compile(r"[aeiouy]+")
#: Upper limits of the age groups A to E in years.
_AGE_LIMITS = (4.0, 6.0, 8.0, 10.0, 13.0)
_MAX_DISORDER = 6.0  # points of plot that the order of sentences can cost
_MAX_LEVEL = 12.0  # school grade; a sentence of 200 words is not for the university
_FULL_LENGTH = 40  # words of a completion from which its length costs nothing


@dataclass(frozen=True)
class Judgement:
    """Grades from 1 to 10, the age group of the writer from A to F, and what lowered the grades, in words."""

    grammar: int
    creativity: int
    consistency: int
    plot: int
    age: str
    faults: dict[str, list[str]]


def judge_story(beginning: str, completion: str) -> Judgement:
    """Return the grades of a completion, or of a whole story if the beginning is empty.

    Args:
        beginning: what the writer was given; it may stop in the middle of a sentence, which the completion then continues.
        completion: what is graded.
    """
    story = split_story(beginning, completion)
    words = [word for item in story.own for word in item.own_words]
    if not words:
        return Judgement(1, 1, 1, 1, "A", {"grammar": ["there is no text"]})
    faults: dict[str, list[str]] = {}
    references, order = track_references(story), examine_order(story)
    length = min(1.0, len(words) / _FULL_LENGTH)
    grammar = max(0.0, _grammar(story, faults))
    consistency = max(0.0, _consistency(references, story, faults))
    plot = max(0.0, _plot(order, references, story, faults)) * (0.4 + 0.6 * length)
    readable = min(1.0, grammar / 8)
    creativity = (
        max(0.0, _creativity(story, order, faults)) * readable * min(1.0, 0.15 + consistency / 10) * (0.5 + 0.5 * length)
    )
    consistency = min(consistency, 2 + grammar)
    plot = min(plot, 2 + grammar * 0.9)
    return Judgement(_grade(grammar), _grade(creativity), _grade(consistency), _grade(plot), _age_group(story, grammar), faults)


def _grade(value: float) -> int:
    return max(1, min(10, round(value)))


def _grammar(story: Story, faults: dict[str, list[str]]) -> float:
    """10 less what the share of faults per sentence costs: with one in every second sentence, 4."""
    notes = [fault for item in story.own for fault in find_grammar_faults(item)]
    if story.own and not story.own[-1].finished:
        notes = [*dict.fromkeys(notes)]
    notes += ["an unmatched quotation mark"] * story.stray_quotes
    notes += [f"`{part}` is no word" for part in story.broken]
    faults["grammar"] = notes
    return 10 - 10 * len(notes) / max(len(story.own), 3)


def _consistency(references: References, story: Story, faults: dict[str, list[str]]) -> float:
    """10 less what strangers, pronouns without antecedent, unknown things, and the absence of characters and topics cost."""
    sentences = max(len(story.own), 4)
    strangers = len(set(references.strangers))
    broken = any(map(completes_badly, story.own))
    faults["consistency"] = [
        *(f"nobody introduced {name}" for name in dict.fromkeys(references.strangers)),
        *(f"nobody that `{word}` could mean" for word in references.lost[:3]),
        *(f"`the {word}` did not come up before" for word in references.unknown[:3]),
        *(["the sentence that was begun is not completed"] if broken else []),
        *([f"the story goes on about {references.replaced}"] if references.replaced else []),
        *(["nobody of the beginning comes up again"] if references.absent else []),
    ]
    value = 10.0
    value -= 3.5 * strangers + 1.0 * len(references.lost) + 8 * len(references.unknown) / sentences
    value -= 12.0 * len(references.distant) / sentences
    value -= 2.5 * broken + 4.0 * (references.absent or bool(references.replaced)) + 6.0 * max(0.0, references.unrelated - 0.5)
    return value


def _plot(order: Order, references: References, story: Story, faults: dict[str, list[str]]) -> float:
    """10 less what disorder, repeats, a missing end and characters from elsewhere cost."""
    faults["plot"] = [
        *(f"an opening too late: {text[:40]}" for text in order.late_openings),
        *(f"an ending too early: {text[:40]}" for text in order.early_endings),
        *(f"introduced twice: {text}" for text in order.reintroduced),
        *order.speeches,
        *(["it repeats sentences"] if order.repeated else []),
        *([] if order.closes else ["it does not end"]),
    ]
    disorder = 2.0 * len(order.late_openings) + 1.5 * len(order.early_endings) + 1.0 * len(order.reintroduced)
    disorder += min(3.0, 0.8 * order.inversions)
    disorder += 0.8 * len(order.speeches) + 1.5 * order.abrupt + 4.0 * max(0.0, order.unlinked - 0.3)
    value = 10.0 - min(1.5 * disorder, _MAX_DISORDER)
    value -= 12.0 * order.repeated + 8.0 * max(0.0, order.repeated_grams - 0.05)
    value -= 1.0 * (not order.closes) + 1.0 * (not order.closes_in_words)
    value -= 2.0 * len(set(references.strangers)) + 4.0 * (references.absent or bool(references.replaced))
    return value


def _creativity(story: Story, order: Order, faults: dict[str, list[str]]) -> float:
    """More for content words that are new, by sentence, and for speech; less for repeats."""
    own = [word for item in story.own for word in item.own_words]
    before = content_stems([word for item in story.sentences for word in item.words[: len(item.words) - len(item.own_words)]])
    new = content_stems(own) - before
    per_sentence = len(new) / max(len(story.own), 3)
    speech = any(token.quoted for item in story.own for token in item.tokens[item.first_own :])
    faults["creativity"] = [] if per_sentence > 1.5 else ["few new ideas"]
    return 3.5 + 2.0 * min(per_sentence, 2.5) + 1.0 * speech - 8.0 * order.repeated - 6.0 * order.repeated_grams


def _age_group(story: Story, grammar: float) -> str:
    """The age group whose texts read so: Flesch-Kincaid grade level plus five years (Kincaid et al. 1975), less for faults."""
    words = [word for item in story.own for word in item.own_words]
    syllables = sum(max(1, len(_VOWELS.findall(word.lower().removesuffix("e")))) for word in words)
    level = 0.39 * len(words) / max(len(story.own), 1) + 11.8 * syllables / len(words) - 15.59
    years = min(level, _MAX_LEVEL) + 5 - 2 * max(0.0, 7 - grammar)
    return "ABCDEF"[sum(years >= limit for limit in _AGE_LIMITS)]
