"""What the audits of generators share: counting checks, writing rows of the table, loading and running the audits.

An audit of a generator is a module `benchmarks/audit_NAME.py` with a function `audit(documents: int, seed: int) -> list[Audit]`
that writes this many documents of each of its generators with the embedded teacher and checks what they state:

    audit = Audit("story")
    for row in write_stories(documents, seed):
        audit.documents += 1
        audit.check("required words", all(word in row["text"] for word in words), row["text"][:80])
    return [audit]

`benchmarks/audit.py` assembles them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

#: What a check is about. `fact`: something that a document states about itself (its topic, concept, types, words, features,
#: printed output, prose). `answer`: an answer or assert that it teaches. `figure`: a share that is printed, and is neither.
Kind = Literal["fact", "answer", "figure"]

#: Examples of failures that are kept of each check.
MAX_EXAMPLES = 5


@dataclass
class Check:
    """How often one check of a generator's documents came out true and false.

    Attributes:
        name: what is checked, so that `name` holds of a document that passes (`the concept is practised`).
        kind: what it is about.
        true: how often it held.
        false: how often it did not.
        examples: the first `MAX_EXAMPLES` failures, each with what failed.
    """

    name: str
    kind: Kind = "fact"
    true: int = 0
    false: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def share(self) -> float:
        """Share that held; 1 if the check never applied."""
        return self.true / (self.true + self.false) if self.true + self.false else 1.0


@dataclass
class Audit:
    """What was found in the documents of one generator.

    Attributes:
        generator: its name in the table.
        documents: how many documents were read.
        checks: the checks by name, in the order in which they were first used.
        trees: the syntax tree of each exercise; empty for generators that write no exercises.
        notes: further lines to print (refused replies, checks that could not run).
    """

    generator: str
    documents: int = 0
    checks: dict[str, Check] = field(default_factory=dict)
    trees: list[Any] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def check(self, name: str, holds: bool, example: str = "", kind: Kind = "fact") -> None:
        """Count whether something holds of a document; `example` says what failed, if it does not hold."""
        check = self.checks.setdefault(name, Check(name, kind))
        if holds:
            check.true += 1
            return
        check.false += 1
        if len(check.examples) < MAX_EXAMPLES:
            check.examples.append(" ".join(example.split()))

    def check_all(self, facts: Mapping[str, bool], example: str = "", kind: Kind = "fact") -> None:
        """Count several checks of one document."""
        for name, holds in facts.items():
            self.check(name, holds, example, kind)

    def counts(self, kind: Kind) -> tuple[int, int]:
        """Return how often checks of this kind held, and how often they were made."""
        checks = [check for check in self.checks.values() if check.kind == kind]
        true = sum(check.true for check in checks)
        return true, true + sum(check.false for check in checks)

    def share(self, kind: Kind) -> float | None:
        """Return the share of the checks of this kind that held; None if there were none."""
        true, made = self.counts(kind)
        return true / made if made else None


#: Kinds of Harper's hints that are not about grammar.
_NOT_GRAMMAR = frozenset({"Enhancement", "Style", "Readability", "Formatting", "Capitalization", "Redundancy", "Regionalism"})


def check_grammar(audit: Audit, texts: Iterable[str], is_known: Callable[[str], bool]) -> None:
    """Count the texts in which Harper, an offline grammar checker, finds no fault, as a figure.

    Its rules are heuristics: some hints are wrong (a boy named Will is taken for the verb), which is why this is no fact.
    Without the dependency group `audit` a note says that it was not done.

    Args:
        audit: where to count.
        texts: prose.
        is_known: whether a word that the checker takes for a misspelling is right; capitalized words always count as names.
    """
    try:
        import harper
    except ModuleNotFoundError:
        audit.notes.append("grammar was not checked: install the dependency group `audit` (harper-py)")
        return
    linter = harper.Linter()
    kinds: dict[str, int] = {}
    for text in texts:
        hints = []
        for lint in linter.lint(text):
            kind, word = str(lint.lint_kind), text[lint.span.start : lint.span.end]
            if kind in _NOT_GRAMMAR or (kind == "Spelling" and (word[:1].isupper() or is_known(word))):
                continue
            kinds[kind] = kinds.get(kind, 0) + 1
            hints.append(f"{kind}: …{text[max(lint.span.start - 30, 0) : lint.span.end + 30]}… {lint.message}")
        audit.check("the grammar checker has no hint", not hints, " ".join(hints), "figure")
    audit.notes.append(f"hints of the grammar checker by kind: {kinds}")


def table(audits: Iterable[Audit]) -> Iterator[str]:
    """Yield the lines of the table: one per check, then the examples of its failures."""
    yield f"{'generator':<20} {'check':<46} {'kind':<7} {'documents':>9} {'true':>7} {'false':>6}  share"
    for audit in audits:
        for check in audit.checks.values():
            counts = f"{audit.documents:>9} {check.true:>7} {check.false:>6}  {check.share:.4f}"
            yield f"{audit.generator:<20} {check.name:<46} {check.kind:<7} {counts}"
            yield from (f"    {example[:200]}" for example in check.examples)
        yield from (f"{audit.generator:<20} note: {note}" for note in audit.notes)


def audit_parser(description: str | None, *, documents: str, samples: str = "") -> argparse.ArgumentParser:
    """Return the parser that all audits share: `--documents`, `--seed`, and `--samples` if that has a help text."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=500, help=documents)
    parser.add_argument("--seed", type=int, default=1)
    if samples:
        parser.add_argument("--samples", type=int, default=0, help=samples)
    return parser


def print_audits(audits: Iterable[Audit]) -> None:
    """Print the table and, as the last line, the totals as JSON."""
    audits = list(audits)
    print("\n".join(table(audits)))
    print(json.dumps(totals(audits)))


def totals(audits: Iterable[Audit]) -> dict[str, float | int | None]:
    """Return the figures of the last line: shares over all checks of a kind, distinct trees, and documents.

    `distinct_exercise_trees` is the share of exercises whose syntax tree occurs in none before them; a share is None where
    nothing was checked.
    """
    audits = list(audits)
    facts, answers = ([audit.counts(kind) for audit in audits] for kind in ("fact", "answer"))
    trees = [tree for audit in audits for tree in audit.trees]
    return {
        "facts_true": _share(facts),
        "answers_right": _share(answers),
        "distinct_exercise_trees": round(len(set(trees)) / len(trees), 4) if trees else None,
        "documents": sum(audit.documents for audit in audits),
    }


def _share(counts: Iterable[tuple[int, int]]) -> float | None:
    true, made = (sum(part) for part in zip(*counts, strict=True)) if counts else (0, 0)
    return round(true / made, 4) if made else None
