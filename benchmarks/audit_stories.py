"""Audit of stories: what their columns state is checked against the text, and a grammar checker reads them.

    python benchmarks/audit_stories.py [--documents 500] [--seed 1] [--samples 3]

Stories and their summaries are written by the embedded teacher for draws of `tinystories/story-constraints`. Checked are the
required words (in any form), the required features (dialogue exactly, the others by cues on the surface), that a story with a
bad ending shows no happy one, that the summary is of this story, faults of sense that a program can see (times of day, places
and who comes by there, number and tense, phrases that no story should have), sentences that come twice in a
story, and grammar by Harper, an offline rule checker (the dependency group `audit`; names are not taken for misspellings, and
its rules of style are not counted). The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any

from audit_common import Audit, check_grammar, table, totals
from textbookgen_procedural.stories.story_data import places, settings
from textbookgen_procedural.tasks import TASKS
from textbookgen_tinystories.features import shows_feature
from textbookgen_tinystories.story_constraints import StoryConstraints
from textbookgen_tinystories.vocabulary import contains_word, hard_words, text_words, tokens

from textbookgen.api.sampler import AcceptedStats

_SENTENCE = re.compile(r"[^.!?]+[.!?]+[\"\u201d]?")
_NAME = re.compile(r"\b[A-Z][a-z]+\b")


def write_stories(count: int, seed: int) -> list[dict[str, Any]]:
    """Return stories of the embedded teacher: `text` and the columns `words`, `features` and `summary` of `tinystories`."""
    sampler = StoryConstraints()
    rows = []
    for n in range(count):
        draw = sampler.draw(n, Random(f"{seed}/{n}"), AcceptedStats())
        text = TASKS["story"](Random(f"{seed}/{n}/story"), draw)
        columns = {
            "tinystories.words": [draw[part] for part in ("verb", "noun", "adjective")],
            "tinystories.features": draw["features"],
            "tinystories.summary": TASKS["summary"](Random(f"{seed}/{n}/summary"), {"document": {"text": text}}),
        }
        rows.append({"text": text, **columns})
    return rows


def check_stories(rows: Sequence[dict[str, Any]]) -> Audit:
    """Return what was found in stories."""
    result = Audit("story", len(rows))
    seen: set[str] = set()
    for row in rows:
        _check_statements(result, row)
        _check_sense(result, row["text"], row["tinystories.words"])
        counted = Counter(item.strip(' "\n') for item in _SENTENCE.findall(row["text"]))
        twice = [sentence for sentence, count in counted.items() if count > 1 and len(sentence.split()) > 3]
        result.check("no sentence comes twice", not twice, " | ".join(twice), "figure")
        result.check("no other story is the same", row["text"] not in seen, row["text"], "figure")
        seen.add(row["text"])
    openings = Counter(" ".join(row["text"].split()[:4]) for row in rows)
    share = max(openings.values(), default=0) / max(len(rows), 1)
    result.notes.append(f"the most frequent opening of four words begins {share:.1%} of the stories")
    check_grammar(result, (row["text"] for row in rows), lambda word: not hard_words(word))
    return result


def _check_statements(result: Audit, row: dict[str, Any]) -> None:
    text = row["text"]
    present = text_words(tokens(text))
    for word in row["tinystories.words"]:
        result.check("it has the required word", contains_word(word, present), f"{word}: {text}")
    for feature in row["tinystories.features"]:
        result.check(f"it shows {feature}", shows_feature(feature, text), text)
    if "BadEnding" in row["tinystories.features"]:
        result.check("it has no other ending", not shows_feature("HappyEnding", text), text)
    if summary := row.get("tinystories.summary"):
        names = [name for name in _NAME.findall(summary) if name in text]
        result.check("the summary is of this story", bool(names) and _words_of(summary) <= _words_of(text), f"{summary} {text}")
        result.check("the summary has two sentences", 2 <= len(_SENTENCE.findall(summary.replace("Mr.", "Mr"))) <= 4, summary)


#: Faults of sense by what shows them: what holds of a story that has none.
_FAULTS = {
    "the time of day does not change at once": re.compile(
        r"[Oo]ne [a-z ]*(?:afternoon|evening|night)\b[^.]*(?:breakfast|get up|got up|\bone morning)"
    ),
    "the opening is a sentence of English": re.compile(r"It was one\b|It was after\b"),
    "plural nouns have plural verbs": re.compile(
        r"\b[Tt]he (?:scissors|glasses|jeans|pants|teeth|feet|dice) (?:was|is|has)\b|\b[Aa] (?:scissors|jeans|pants|teeth)\b"
    ),
    "what might be has no tense of facts": re.compile(
        r"\bIt was (?:\w+ )?(?:hard|difficult|tough|tricky|easy|impossible) to (?!say\b)"
    ),
    "an idea is not good before it is known": re.compile(r"have an? \w+ idea how\b"),
    "feelings have no reason that does not fit": re.compile(
        r"at the thought that they would never|\b(?:empty|hollow|trapped|broken) (?:inside)?,? because"
    ),
    "pronouns fit the speaker": re.compile(r'"[^"]*\b[Ww]e (?:can|will) \w+ their\b'),
    "an hour does not pass twice": re.compile(r"An hour (?:went by|passed).*An hour (?:went by|passed)", re.DOTALL),
    "one takes a guest to a place to play": re.compile(r"had a guest\.[^.]*(?:at (?:school|home)|in the (?:kitchen|big hall))"),
    "those who met did not leave home together": re.compile(
        r"(?:waiting for|had not seen)\b.*Before they left home", re.DOTALL
    ),
    "problems are of a size": re.compile(r'"This is an? (?!big\b|small\b|real\b|hard\b|serious\b|terrible\b)\w+ problem\b'),
    "advice is true": re.compile(r"big stones in the water.*no way across", re.DOTALL),
    "luck is for something with a name": re.compile(
        r'bring us luck[^.]*\."?[^"]*"Then we can (?:find|save|mend|reach) it\b', re.IGNORECASE
    ),
    "no plan is for what is gone": re.compile(r"(?:went home|stayed) hungry.*wanted to (?:eat|share|bake|cook)\b", re.DOTALL),
}


def _check_sense(result: Audit, text: str, words: Sequence[str]) -> None:
    """Check what a program can see of time, place, number and tense."""
    for name, pattern in _FAULTS.items():
        fault = pattern.search(text)
        result.check(name, fault is None, f"{fault[0] if fault else ''}: {text}", "figure")
    stranger = _stranger(text, words)
    result.check("only those come by who belong there", not stranger, f"{stranger}: {text}", "figure")


def _stranger(text: str, words: Sequence[str]) -> str:
    """Return a passer-by in a text, no required word, who is listed only for other kinds of places than its own."""
    opening = " ".join(part for part in _SENTENCE.findall(text)[:4] if " lived in " not in part).lower()
    listed = [(kind, place) for kind, words in settings("places").items() for place in words]
    listed += [(place.kind, place.words) for place in places().values()]
    named = [(opening.find(place), -len(place), kind) for kind, place in listed if re.search(rf"\b{place}\b", opening)]
    if not named:
        return ""
    kind = min(named)[2]
    here = set(settings("helpers")[kind])
    others = {helper for listed in settings("helpers").values() for helper in listed} - here
    unnamed = [helper for helper in sorted(others) if helper.startswith(("a ", "an ")) and helper.split()[-1] not in words]
    present = (helper for helper in unnamed if _comes_by(helper, text.lower()))
    return next((helper for helper in present if not any(helper in own for own in here)), "")


def _comes_by(helper: str, text: str) -> bool:
    """Return whether a passer-by speaks in a text, and is not only in a story within the story."""
    return bool(re.search(rf'\b{helper}\b(?! (?:who|that|and))[^.]*[.?]? "|" said {helper}\b', text))


def _words_of(text: str) -> set[str]:
    """Return the capitalized words of a text that are names."""
    return set(_NAME.findall(text)) - {"In", "He", "She", "They", "It", "A", "The", "When"}


def audit(documents: int, seed: int) -> list[Audit]:
    """Return what was found in this many stories."""
    return [check_stories(write_stories(documents, seed))]


def main() -> None:
    """Print the table and, last, the totals as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--samples", type=int, default=0, help="stories to print")
    arguments = parser.parse_args()
    for row in write_stories(arguments.samples, arguments.seed):
        words, features = ", ".join(row["tinystories.words"]), ", ".join(row["tinystories.features"])
        print(f"--- {words} | {features}\n{row['text']}\nSummary: {row['tinystories.summary']}")
    audits = audit(arguments.documents, arguments.seed)
    print("\n".join(table(audits)))
    print(json.dumps(totals(audits)))


if __name__ == "__main__":
    main()
