"""Audit of stories: what their columns state is checked against the text, and a grammar checker reads them.

    python benchmarks/audit_stories.py --documents 500 --seed 1

Stories are written by the embedded teacher for draws of `tinystories/story-constraints`. Checked are the required words (in any
form), the required features (dialogue exactly, the others by cues on the surface), that no other ending than the required one
occurs, repeated sentences in a story, stories that occur twice, the share of the most frequent opening of four words, and
grammar by Harper, an offline rule checker (the dependency group `audit`; names are not taken for misspellings, and its rules
of style are not counted). The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from textbookgen_procedural.tasks import TASKS
from textbookgen_tinystories.features import shows_feature
from textbookgen_tinystories.story_constraints import StoryConstraints
from textbookgen_tinystories.vocabulary import contains_word, hard_words, text_words, tokens

from textbookgen.api.sampler import AcceptedStats

_SENTENCE = re.compile(r"[^.!?]+[.!?]+[\"\u201d]?")
#: Kinds of Harper's hints that are not about grammar.
_NOT_GRAMMAR = frozenset({"Enhancement", "Style", "Readability", "Formatting", "Capitalization", "Redundancy", "Regionalism"})


@dataclass
class StoryAudit:
    """What an audit found in a number of stories.

    Attributes:
        stories: how many were read.
        stated: how many words and features their columns state; `untrue` are those that the text does not have.
        repeated: stories that contain a sentence of four words or more twice.
        duplicates: stories that occur more than once, counted beyond the first.
        opening_share: share of the stories that begin with the most frequent four words.
        lints: hints of the grammar checker by kind; empty if it is not installed.
    """

    stories: int
    stated: int = 0
    untrue: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    duplicates: int = 0
    opening_share: float = 0.0
    lints: Counter[str] = field(default_factory=Counter)
    lint_excerpts: list[str] = field(default_factory=list)

    @property
    def facts_true(self) -> float:
        """Share of the stated words and features that the texts have."""
        return 1 - len(self.untrue) / max(self.stated, 1)


def write_stories(count: int, seed: int) -> list[dict[str, Any]]:
    """Return stories of the embedded teacher, with the columns `text`, `tinystories.words` and `tinystories.features`."""
    sampler = StoryConstraints()
    rows = []
    for n in range(count):
        draw = sampler.draw(n, Random(f"{seed}/{n}"), AcceptedStats())
        text = TASKS["story"](Random(f"{seed}/{n}/story"), draw)
        words = [draw[part] for part in ("verb", "noun", "adjective")]
        rows.append({"text": text, "tinystories.words": words, "tinystories.features": draw["features"]})
    return rows


def audit_stories(rows: Sequence[dict[str, Any]]) -> StoryAudit:
    """Return what is wrong with stories."""
    audit = StoryAudit(len(rows))
    for row in rows:
        _check_statements(audit, row)
        counted = Counter(item.strip(' "\n') for item in _SENTENCE.findall(row["text"]))
        audit.repeated += [sentence for sentence, count in counted.items() if count > 1 and len(sentence.split()) > 3]
    texts = Counter(row["text"] for row in rows)
    audit.duplicates = len(rows) - len(texts)
    openings = Counter(" ".join(row["text"].split()[:4]) for row in rows)
    audit.opening_share = max(openings.values(), default=0) / max(len(rows), 1)
    _check_grammar(audit, [row["text"] for row in rows])
    return audit


def _check_statements(audit: StoryAudit, row: dict[str, Any]) -> None:
    present = text_words(tokens(row["text"]))
    words, features = row["tinystories.words"], row["tinystories.features"]
    audit.stated += len(words) + len(features)
    audit.untrue += [f"word {word}" for word in words if not contains_word(word, present)]
    audit.untrue += [f"feature {feature}" for feature in features if not shows_feature(feature, row["text"])]


def _check_grammar(audit: StoryAudit, texts: Sequence[str]) -> None:
    """Count the hints of Harper, if it is installed; a name or a word that a small child knows is not misspelled."""
    try:
        import harper
    except ModuleNotFoundError:
        return
    linter = harper.Linter()
    for text in texts:
        for lint in linter.lint(text):
            kind = str(lint.lint_kind)
            if kind in _NOT_GRAMMAR or (kind == "Spelling" and _is_known(text[lint.span.start : lint.span.end])):
                continue
            audit.lints[kind] += 1
            audit.lint_excerpts.append(f"{kind}: …{text[max(lint.span.start - 30, 0) : lint.span.end + 30]}… {lint.message}")


def _is_known(word: str) -> bool:
    """Return whether a word is a name or one that a small child knows."""
    return word[:1].isupper() or not hard_words(word)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--excerpts", type=int, default=10, help="hints of the grammar checker that are printed")
    arguments = parser.parse_args()
    audit = audit_stories(write_stories(arguments.documents, arguments.seed))
    per_100 = {kind: round(100 * count / audit.stories, 1) for kind, count in audit.lints.most_common()}
    print(f"{audit.stories} stories, {audit.stated} words and features stated, {len(audit.untrue)} not in the text:")
    print("  " + ", ".join(f"{what} ({count})" for what, count in Counter(audit.untrue).most_common(10)))
    print(f"repeated sentences: {len(audit.repeated)} {audit.repeated[:5]}")
    print(f"stories that occur twice: {audit.duplicates}; most frequent opening: {audit.opening_share:.1%}")
    print(f"hints of the grammar checker per 100 stories: {per_100}")
    print("\n".join(audit.lint_excerpts[: arguments.excerpts]))
    figures = {
        "documents": audit.stories,
        "facts_true": round(audit.facts_true, 4),
        "repeated": len(audit.repeated),
        "duplicates": audit.duplicates,
        "opening_share": round(audit.opening_share, 4),
        "lints_per_100": per_100,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
