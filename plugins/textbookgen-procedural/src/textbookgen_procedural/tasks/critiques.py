"""Critique and revision: what can be measured of a draft is graded by criterion, and what was found wrong is mended."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from textbookgen_procedural.tasks.facts import Draw, content_words, false_claims, form, lacking, sentences
from textbookgen_procedural.understanding import read_function
from textbookgen_procedural.worked import find_problem

_TWICE = "say each thing once, and finish every sentence"
_LONG = 30  # words of a sentence that is hard to follow
_ELSEWHERE = re.compile(r"\b(?:see (?:the )?(?:chapter|section|figure)|as (?:shown|said) (?:above|before))\b", re.IGNORECASE)
_REASONS = re.compile(r"\b(?:because|so that|therefore|since|which means|for example|suppose|first|then)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Finding:
    """A score from 1 to 5, and what would raise it."""

    score: int
    suggestion: str = "nothing"


def critique(rng: Random, draw: Draw) -> str:
    """A mark for each criterion; criteria are told by their words, and those we do not know get the mean of all measures."""
    text, criteria = str(draw.get("draft") or ""), draw.get("criteria")
    if not text.strip() or not criteria:
        raise lacking("critique", "draft", "a text, and `criteria`,")
    result = measured(text, str(draw.get("context") or ""))
    mean = round(sum(item.score for item in result.values()) / len(result))
    marks = []
    for criterion in criteria:
        known = next((result[name] for word, name in _CRITERIA if word in str(criterion).lower()), None)
        finding = known or Finding(mean, "raise what is weakest")
        marks.append({"criterion": criterion, "score": finding.score, "suggestion": finding.suggestion})
    return form(marks=marks)


def measured(text: str, context: str = "") -> dict[str, Finding]:
    """What is found of a text: whether its sums are right, it repeats itself, stands alone, explains, and is easy to follow."""
    said = sentences(text)
    wrong = false_claims(text)
    repeated = len(said) - len({item.lower() for item in said})
    long = sum(len(item.split()) > _LONG for item in said)
    reasons, words = len(_REASONS.findall(text)), len(text.split())
    return {
        "accuracy": Finding(2, f"correct `{wrong[0][0]}`") if wrong else Finding(5),
        "steps": Finding(2, _TWICE) if repeated > 1 or _unfinished(text) else Finding(5),
        "alone": Finding(3, "do not send the reader elsewhere") if _ELSEWHERE.search(text) else Finding(5),
        "depth": _depth(reasons, words),
        "clarity": Finding(3, "shorten the long sentences") if long > max(1, len(said) // 5) or repeated > 2 else Finding(5),
        "answers": _answers(text, context),
    }


def _depth(reasons: int, words: int) -> Finding:
    if words < 25:
        return Finding(2, "say why, and give an example")
    return Finding(5) if reasons >= 3 else Finding(4) if reasons >= 1 else Finding(3, "say why, and give an example")


def _answers(text: str, context: str) -> Finding:
    wanted = content_words(context)
    if not wanted:
        return Finding(4)
    share = len(wanted & content_words(text)) / len(wanted)
    return (
        Finding(5) if share >= 0.3 else Finding(4) if share >= 0.15 else Finding(2, f"speak of {', '.join(sorted(wanted)[:3])}")
    )


def _unfinished(text: str) -> bool:
    return not re.search(r"[.!?:`\"'\u201d)*|\]}]\s*$", text) and read_function(text) is None and "assert" not in text


_CRITERIA = (
    ("accura", "accuracy"),
    ("fact", "accuracy"),
    ("correct", "accuracy"),
    ("valid", "steps"),
    ("step", "steps"),
    ("contain", "alone"),
    ("depth", "depth"),
    ("detail", "depth"),
    ("clar", "clarity"),
    ("answer", "answers"),
)


def revise(rng: Random, draw: Draw) -> str:
    """The draft with what the marks complain of mended: wrong sums, repetitions, long sentences, too little depth."""
    text, marks = str(draw.get("draft") or ""), draw.get("marks")
    if not text.strip() or not isinstance(marks, list | tuple):
        raise lacking("revise", "draft", "a text, and `marks`,")
    weak = [str(mark.get("suggestion", "")) for mark in marks if isinstance(mark, Mapping) and int(mark.get("score", 5)) < 4]
    for suggestion in weak:
        text = _mended(text, suggestion, str(draw.get("context") or ""))
    return text.rstrip() + "\n"


def _mended(text: str, suggestion: str, context: str) -> str:
    if suggestion.startswith("correct"):
        for wrong, right in false_claims(text):
            text = text.replace(wrong, right)
        return text
    if suggestion == _TWICE:
        text = _said_once(text)
        return text.rstrip() + "." if _unfinished(text) else text
    if suggestion.startswith("do not send"):
        return _ELSEWHERE.sub("recall", text)
    if suggestion.startswith("shorten"):
        return _said_once("\n".join(map(_shorter, text.split("\n"))))
    if suggestion.startswith("say why"):
        problem = find_problem(text)
        why = f" Because {problem.steps[0][0].lower()}{problem.steps[0][1:]}, the rest follows." if problem else ""
        return f"{text.rstrip()}{why}\n\nFor example, try it with small numbers first, because a small case shows each step.\n"
    if suggestion.startswith("speak of"):
        return f"You asked: {context.strip()}\n\n{text}"
    return text


def _said_once(text: str) -> str:
    """The text without sentences that it said before; code in fences is left alone."""
    seen: set[str] = set()
    lines, fenced = [], False
    for line in text.split("\n"):
        fenced ^= line.startswith("```")
        if fenced or not line.strip() or line.startswith("```"):
            lines.append(line)
            continue
        kept = []
        for item in re.split(r"(?<=[.!?])\s+", line):
            if item.lower() not in seen:
                kept.append(item)
            if len(item.split()) > 2:
                seen.add(item.lower())
        lines += [" ".join(kept)] if kept else []
    return "\n".join(lines)


def _shorter(line: str) -> str:
    """A line whose long sentences are two, cut at a comma near the middle."""
    cut = []
    for item in re.split(r"(?<=[.!?])\s+", line):
        commas = [result.start() for result in re.finditer(", (?=(?:and|but|so|then|which) )", item)]
        if len(item.split()) > _LONG and commas:
            place = min(commas, key=lambda at: abs(at - len(item) // 2))
            rest = item[place + 2 :]
            item = f"{item[:place]}. {rest[0].upper()}{rest[1:]}"
        cut.append(item)
    return " ".join(cut)
