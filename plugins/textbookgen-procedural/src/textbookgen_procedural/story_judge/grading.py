"""Grades of a story from the faults found in it, as GPT-Eval asks for them: five criteria from 1 to 10, and an age group."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import exp

from textbookgen_procedural.story_judge.continuity import Continuity, measure_continuity
from textbookgen_procedural.story_judge.grammar import NO_CAPITAL, completes_badly, find_grammar_faults
from textbookgen_procedural.story_judge.order import Order, examine_order
from textbookgen_procedural.story_judge.references import References, track_references
from textbookgen_procedural.story_judge.sentences import Story, split_story
from textbookgen_procedural.story_judge.word_classes import content_stems

_VOWELS = re.compile(r"[aeiouy]+")
#: Upper limits of the age groups A to E in years.
_AGE_LIMITS = (4.0, 6.0, 8.0, 10.0, 13.0)
_NOTED_GAP = 0.25  # of the continuity, from which the assessment names it
_USUAL_RISE = 0.1  # of the mood
_MAX_DISORDER = 5.0  # points of plot that the order of sentences can cost, which the sum of its faults approaches
_MAX_LEVEL = 12.0  # school grade; a sentence of 200 words is not for the university
#: What is said of a grade below `_REMARKED` that no single fault explains.
_REMARKS = {
    "creativity": "its ideas do not make a story",
    "consistency": "the sentences are too broken to fit together",
    "plot": "what happens does not follow from what went before",
}
_REMARKED = 6.5
_FAULTLESS = 9.9
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
    references, order, continuity = track_references(story), examine_order(story), measure_continuity(story)
    length = min(1.0, len(words) / _FULL_LENGTH)
    grammar = max(0.0, _grammar(story, faults))
    consistency = max(0.0, _consistency(references, continuity, story, faults))
    plot = max(0.0, _plot(order, references, continuity, story, faults)) * (0.4 + 0.6 * length)
    readable = min(1.0, grammar / 8)
    creativity = (
        max(0.0, _creativity(story, order, faults)) * readable * min(1.0, 0.15 + consistency / 10) * (0.5 + 0.5 * length)
    )
    consistency = min(consistency, 2 + grammar)
    plot = min(plot, 1 + grammar)
    for criterion, value in (("creativity", creativity), ("consistency", consistency), ("plot", plot)):
        if value < _REMARKED and not faults[criterion]:
            faults[criterion] = [_REMARKS[criterion]]
    return Judgement(_grade(grammar), _grade(creativity), _grade(consistency), _grade(plot), _age_group(story, grammar), faults)


def _grade(value: float) -> int:
    """Return the nearest grade; 10 only where nothing, or next to nothing, was found."""
    return max(1, min(10 if value > _FAULTLESS else 9, round(value)))


def _grammar(story: Story, faults: dict[str, list[str]]) -> float:
    """10 less what the share of faults per sentence costs: with one in every second sentence, 4."""
    notes = [fault for item in story.own for fault in find_grammar_faults(item)]
    if story.own and not story.own[-1].finished:
        notes = [*dict.fromkeys(notes)]
    notes += [note for note in notes if note.startswith(NO_CAPITAL)]  # a sentence that begins nowhere counts twice
    notes += ["an unmatched quotation mark"] * story.stray_quotes
    notes += [f"`{part}` is no word" for part in story.broken]
    faults["grammar"] = notes
    return 10 - 10 * len(notes) / max(len(story.own), 3)


def _consistency(references: References, continuity: Continuity, story: Story, faults: dict[str, list[str]]) -> float:
    """10 less what strangers, pronouns without antecedent, unknown things, and the absence of characters and things cost."""
    sentences = max(len(story.own), 4)
    count = len(set(references.strangers))
    strangers = 6.0 + 1.0 * min(count - 1, 2) if count else 0.0
    broken = any(map(completes_badly, story.own))
    new = ", ".join(continuity.newcomers)
    faults["consistency"] = [
        *(f"nobody introduced {name}" for name in dict.fromkeys(references.strangers)),
        *(f"nobody that `{word}` could mean" for word in references.lost[:3]),
        *(f"`the {word}` did not come up before" for word in references.unknown[:3]),
        *(["the sentence that was begun is not completed"] if broken else []),
        *([f"from `{continuity.place[:40]}` on it is about something else ({new})"] if continuity.gap > _NOTED_GAP else []),
    ]
    lost = min(2.0, 1.0 * len(references.lost)) + 12.0 * len(references.distant) / sentences
    value = 10.0 - strangers - lost - 4.0 * len(references.unknown) / sentences
    return value - 2.5 * broken - 7.0 * continuity.gap


def _plot(order: Order, references: References, continuity: Continuity, story: Story, faults: dict[str, list[str]]) -> float:
    """10 less what disorder, repeats, a missing end and an end that belongs to another story cost."""
    faults["plot"] = [
        *(f"an opening too late: {text[:40]}" for text in order.late_openings),
        *(f"an ending too early: {text[:40]}" for text in order.early_endings),
        *(f"introduced twice: {text}" for text in order.reintroduced),
        *order.speeches,
        *(["it repeats sentences"] if order.repeated else []),
        *([] if order.closes else ["it does not end"]),
    ]
    disorder = 1.8 * (len(order.late_openings) + len(order.early_endings) + len(order.reintroduced) + order.abrupt)
    disorder += 2.2 * len(order.speeches) + min(4.0, 1.4 * order.inversions) + 0.4 * len(order.unanswered)
    disorder += 2.0 * min(0.8, max(0.0, _USUAL_RISE - order.mood_rise))
    value = 10.0 - _MAX_DISORDER * (1 - exp(-disorder / _MAX_DISORDER))
    value -= 12.0 * order.repeated + 8.0 * max(0.0, order.repeated_grams - 0.05)
    value -= 1.2 * (not order.closes) + 1.2 * (not order.closes_in_words)
    return value - (2.0 * bool(references.strangers) + 1.0 * min(2, len(set(references.strangers)))) - 5.0 * continuity.gap


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
