"""Phrases of pages by audience: children, students, and professional programmers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AudiencePhrases:
    """Sentences for one kind of reader: at the beginning, before a function, and about the skill to practise."""

    openings: tuple[str, ...]
    function_leads: tuple[str, ...]
    skills: tuple[str, ...]


_CHILD = AudiencePhrases(
    (
        "You can try this on any computer.",
        "Let us look at it slowly.",
        "It sounds hard, but it is not.",
        "Take a pencil and follow along.",
        "Here is something to play with.",
        "Read it aloud once, and then look at the code.",
    ),
    (
        "Now we put it into a little machine, called a {one}:",
        "Look how a {one} does the whole job:",
        "Here is a {one} that you can feed with your own values:",
        "This {one} is short, so read every line of it:",
    ),
    (
        "With it you can practise {skill}.",
        "It is a nice way to train {skill}.",
        "This helps with {skill}.",
    ),
)

_STUDENT = AudiencePhrases(
    (
        "Keep the definition in mind while reading the code.",
        "The rules are few.",
        "It is worth working through by hand.",
        "Note how little is needed.",
        "Each example below can be run as it stands.",
        "Follow the values line by line.",
    ),
    (
        "The following {one} applies the idea:",
        "In a complete {one} it looks like this:",
        "As an application, consider this {one}:",
        "A {one} with a docstring says what it is for:",
    ),
    (
        "The skill to train here is {skill}.",
        "Pay attention to {skill}.",
        "This section practises {skill}.",
    ),
)

_PROFESSIONAL = AudiencePhrases(
    (
        "Coming from another language, check the details.",
        "In daily work it turns up everywhere.",
        "The behaviour below is that of plain Python, without any library.",
        "It pays to know exactly what happens.",
        "Reviewers look for just this.",
        "Production code uses it in the same form.",
    ),
    (
        "A typical {one} reads as follows:",
        "Wrapped in a {one} it can be tested:",
        "Here it is at work in a {one}:",
        "The same in a {one} of the kind one meets in reviews:",
    ),
    (
        "It belongs to the craft of {skill}.",
        "It bears on {skill}.",
        "Keep {skill} in view.",
    ),
)

_CHILD_WORDS = ("child", "kid", "young", "curious", "teen", "pupil", "school", "year-old")
_PROFESSIONAL_WORDS = ("engineer", "programmer", "analyst", "working", "developer", "professional", "switching", "scientist")


def phrases_for(audience: str) -> AudiencePhrases:
    """Return the phrases for an audience described in words; those for students by default."""
    lowered = audience.lower()
    if any(word in lowered for word in _CHILD_WORDS):
        return _CHILD
    return _PROFESSIONAL if any(word in lowered for word in _PROFESSIONAL_WORDS) else _STUDENT
