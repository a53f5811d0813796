"""What a page of a programming textbook is about, as far as its text and code show: its topic and the terms it uses."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from textbookgen.api.reply_code import parse_python, python_snippets
from textbookgen_textbooks.practised_concepts import practises
from textbookgen_textbooks.topic_words import mentions
from textbookgen_textbooks.word_lists import list_entries

_HEADING = re.compile(r"\A\s*(?:#{1,6}[ \t]+[^\n]*|\*\*[^\n*]+\*\*[ \t]*$)", re.MULTILINE)


def shown_facts(text: str, draw: Mapping[str, Any]) -> dict[str, Any]:
    """Return, for the fields of a draw that can be checked, the value that a page shows; None if not the drawn one.

    `topic` is shown if the text below the heading has its words, and code that practises it where its concept has a detector;
    of `required_terms`, those that occur are shown.
    """
    shown: dict[str, Any] = {}
    if draw.get("topic"):
        topic = str(draw["topic"])
        shown["topic"] = topic if is_about(text, topic) else None
    terms = draw.get("required_terms")
    if isinstance(terms, Sequence) and not isinstance(terms, str):
        lowered = text.lower()
        shown["required_terms"] = [term for term in terms if str(term).lower() in lowered]
    return shown


def is_about(text: str, topic: str) -> bool:
    """Return whether a page is about a topic: its words occur below the heading, and code that practises it where known."""
    if not mentions(_HEADING.sub("", text, count=1), topic):
        return False
    concept = _concepts_of_topics().get(topic)
    snippets = [snippet for snippet in python_snippets(text) if parse_python(snippet) is not None]
    return concept is None or any(practises(snippet, concept) for snippet in snippets)


@cache
def _concepts_of_topics() -> dict[str, str]:
    """Return the concept of `practised_concepts` that each topic is about, for those that have one."""
    pairs = (line.split(" : ") for line in list_entries("topic_concepts"))
    return {topic.strip(): concept.strip() for topic, concept in pairs}
