"""Choice between the name and the pronoun of a story's hero at the beginning of its sentences."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_SENTENCE = re.compile(r"[^.!?]+[.!?]+\"?\s*")
#: Other people with a pronoun of their own; after a sentence with one of them a pronoun would not be clear.
_OTHERS = re.compile(r"\b(?:Jo|Mrs\.|Mr\.|Hill|Brown|man|lady|girl|boy|teacher|uncle|grandfather|mother|owner|son|daughter)\b")


def use_pronouns(sentences: Sequence[str], slots: Mapping[str, str]) -> str:
    """Return the sentences of a paragraph as text, with the hero's pronoun instead of a name that begins two in a row.

    Args:
        sentences: one or more sentences each.
        slots: `h`, the hero's name, its pronoun `He`, and `helper`, a passer-by.
    """
    name, pronoun = slots["h"], slots["He"]
    starts = re.compile(rf"{re.escape(name)} (?!and {re.escape(slots['f'])}\b)")
    parts = [part for sentence in sentences for part in _SENTENCE.findall(sentence.strip() + " ")]
    said: list[str] = []
    about_hero = False
    in_a_row = 0
    for part in parts:
        clear = about_hero and not _OTHERS.search(said[-1]) and slots["the_helper"] not in said[-1]
        named = starts.match(part) is not None
        about_hero = named or (about_hero and part.startswith(f"{pronoun} ") and not _OTHERS.search(said[-1]))
        if clear and named and in_a_row < 2:
            part = f"{pronoun}{part[len(name) :]}"
            in_a_row += 1
        elif named:
            in_a_row = 0
        said.append(part)
    return "".join(said).strip()
