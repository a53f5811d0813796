"""Critique and revision: measurable faults of a draft are scored by criterion, and corrected."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from textbookgen_procedural.docstring_parser import parse_function
from textbookgen_procedural.tasks.draw_fields import Draw, json_reply, missing_field
from textbookgen_procedural.tasks.text_analysis import content_words, sentences, wrong_equations
from textbookgen_procedural.word_problems import find_problem

_REPETITION = "say each thing once, and finish every sentence"
_DEPTH = "say why, and give an example"
_MAX_WORDS = 30  # of a sentence that is easy to follow
_CROSS_REFERENCE = re.compile(
    r"\b(?:see (?:the )?(?:chapter|section|figure)|as (?:shown|said) (?:above|before))\b", re.IGNORECASE
)
_REASONS = re.compile(r"\b(?:because|so that|therefore|since|which means|for example|suppose|first|then)\b", re.IGNORECASE)

#: Words in the name of a criterion, and the measure it is scored by.
_MEASURES = (
    ("accura", "accuracy"),
    ("fact", "accuracy"),
    ("correct", "accuracy"),
    ("valid", "steps"),
    ("step", "steps"),
    ("contain", "self-containedness"),
    ("depth", "depth"),
    ("detail", "depth"),
    ("clar", "clarity"),
    ("answer", "answers"),
)


@dataclass(frozen=True)
class Assessment:
    """A score from 1 to 5, and a suggestion that would raise it."""

    score: int
    suggestion: str = "nothing"


def critique(rng: Random, draw: Draw) -> str:
    """Return an assessment for each of the `criteria`; unknown criteria get the mean of all measures.

    Raises:
        RequestRefused: the draw lacks `draft` or `criteria`.
    """
    text, criteria = str(draw.get("draft") or ""), draw.get("criteria")
    if not text.strip() or not criteria:
        raise missing_field("critique", "draft", "a text, and `criteria`,")
    measures = review(text, str(draw.get("question") or ""))
    mean = round(sum(item.score for item in measures.values()) / len(measures))
    assessments = []
    for criterion in criteria:
        known = next((measures[name] for word, name in _MEASURES if word in str(criterion).lower()), None)
        assessment = known or Assessment(mean, "raise what is weakest")
        assessments.append({"criterion": criterion, "score": assessment.score, "suggestion": assessment.suggestion})
    return json_reply(assessments=assessments)


def review(text: str, question: str = "") -> dict[str, Assessment]:
    """Return what can be measured of a text: its equations, repetitions, cross-references, reasons and sentence lengths.

    Args:
        text: the text.
        question: the question it answers, if it does.
    """
    its_sentences = sentences(text)
    wrong = wrong_equations(text)
    repeated = len(its_sentences) - len({item.lower() for item in its_sentences})
    long = sum(len(item.split()) > _MAX_WORDS for item in its_sentences)
    hard_to_read = long > max(1, len(its_sentences) // 5) or repeated > 2
    refers_elsewhere = _CROSS_REFERENCE.search(text)
    return {
        "accuracy": Assessment(2, f"correct `{wrong[0][0]}`") if wrong else Assessment(5),
        "steps": Assessment(2, _REPETITION) if repeated > 1 or _is_unfinished(text) else Assessment(5),
        "self-containedness": Assessment(3, "do not send the reader elsewhere") if refers_elsewhere else Assessment(5),
        "depth": _assess_depth(len(_REASONS.findall(text)), len(text.split())),
        "clarity": Assessment(3, "shorten the long sentences") if hard_to_read else Assessment(5),
        "answers": _assess_relevance(text, question),
    }


def _assess_depth(reasons: int, words: int) -> Assessment:
    if words < 25:
        return Assessment(2, _DEPTH)
    return Assessment(5) if reasons >= 3 else Assessment(4) if reasons >= 1 else Assessment(3, _DEPTH)


def _assess_relevance(text: str, question: str) -> Assessment:
    """Return an assessment by the share of the question's words that the text contains."""
    wanted = content_words(question)
    if not wanted:
        return Assessment(4)
    share = len(wanted & content_words(text)) / len(wanted)
    if share >= 0.15:
        return Assessment(5 if share >= 0.3 else 4)
    return Assessment(2, f"speak of {', '.join(sorted(wanted)[:3])}")


def _is_unfinished(text: str) -> bool:
    return not re.search(r"[.!?:`\"'\u201d)*|\]}]\s*$", text) and parse_function(text) is None and "assert" not in text


def revise(rng: Random, draw: Draw) -> str:
    """Return the draft with the faults that the assessments name corrected.

    Raises:
        RequestRefused: the draw lacks `draft` or `assessments`.
    """
    text, assessments = str(draw.get("draft") or ""), draw.get("assessments")
    if not text.strip() or not isinstance(assessments, list | tuple):
        raise missing_field("revise", "draft", "a text, and `assessments`,")
    weak = [item for item in assessments if isinstance(item, Mapping) and int(item.get("score", 5)) < 4]
    for item in weak:
        text = _correct(text, str(item.get("suggestion", "")), str(draw.get("question") or ""))
    return text.rstrip() + "\n"


def _correct(text: str, suggestion: str, question: str) -> str:
    if suggestion.startswith("correct"):
        for wrong, right in wrong_equations(text):
            text = text.replace(wrong, right)
        return text
    if suggestion == _REPETITION:
        text = _without_repetitions(text)
        return text.rstrip() + "." if _is_unfinished(text) else text
    if suggestion.startswith("do not send"):
        return _CROSS_REFERENCE.sub("recall", text)
    if suggestion.startswith("shorten"):
        return _without_repetitions("\n".join(map(_split_long_sentences, text.split("\n"))))
    if suggestion.startswith("say why"):
        problem = find_problem(text)
        why = f" Because {problem.steps[0][0].lower()}{problem.steps[0][1:]}, the rest follows." if problem else ""
        return f"{text.rstrip()}{why}\n\nFor example, try it with small numbers first, because a small case shows each step.\n"
    if suggestion.startswith("speak of"):
        return f"You asked: {question.strip()}\n\n{text}"
    return text


def _without_repetitions(text: str) -> str:
    """Return a text without repeated sentences; code blocks stay as they are."""
    seen: set[str] = set()
    lines, in_code = [], False
    for line in text.split("\n"):
        in_code ^= line.startswith("```")
        if in_code or not line.strip() or line.startswith("```"):
            lines.append(line)
            continue
        kept = []
        for sentence in re.split(r"(?<=[.!?])\s+", line):
            if sentence.lower() not in seen:
                kept.append(sentence)
            if len(sentence.split()) > 2:
                seen.add(sentence.lower())
        lines += [" ".join(kept)] if kept else []
    return "\n".join(lines)


def _split_long_sentences(line: str) -> str:
    """Return a line with each long sentence split in two, at a comma before a conjunction near its middle."""
    parts = []
    for sentence in re.split(r"(?<=[.!?])\s+", line):
        commas = [match.start() for match in re.finditer(", (?=(?:and|but|so|then|which) )", sentence)]
        if len(sentence.split()) > _MAX_WORDS and commas:
            middle = len(sentence) // 2
            place = min(commas, key=lambda comma: abs(comma - middle))
            rest = sentence[place + 2 :]
            sentence = f"{sentence[:place]}. {rest[0].upper()}{rest[1:]}"
        parts.append(sentence)
    return " ".join(parts)
