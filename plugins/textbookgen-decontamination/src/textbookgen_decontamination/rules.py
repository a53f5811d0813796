"""Rules that decide whether a document is contaminated, each as its source defines it."""

from __future__ import annotations

import difflib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import polars as pl

from textbookgen_decontamination.ngrams import NgramHit, NgramIndex, Problem, distinct_ngrams, words_of

#: Words from which a prompt or solution is also searched for by itself: the smallest n of GPT-3's appendix C.
MIN_PART_WORDS = 8


@dataclass(frozen=True)
class Finding:
    """What a rule reports of one document.

    Attributes:
        row: the document.
        reason: the rule and the benchmark, short and countable.
        score: the rule's measure of overlap.
        detail: the item and the evidence.
        item: benchmark and item.
        contaminated: whether to drop the document; if not, the finding is only reported.
    """

    row: int
    reason: str
    score: float
    detail: str
    item: str
    contaminated: bool = True


class Rule(Protocol):
    """Finds benchmark items in documents."""

    def find(self, texts: pl.Series) -> Iterator[Finding]:
        """Yield at most one finding per document."""
        ...


def _by_row(hits: Iterable[NgramHit]) -> dict[int, list[NgramHit]]:
    rows: dict[int, list[NgramHit]] = defaultdict(list)
    for hit in hits:
        rows[hit.row].append(hit)
    return rows


def _evidence(hits: Sequence[NgramHit]) -> dict[int, str]:
    """Return the items of some hits, each with the first words shared with it."""
    return {item: hit.words for hit in reversed(hits) for item in hit.items}


def _best(scores: dict[int, float]) -> int:
    """Return the item with the highest score; of equal ones the first."""
    return min(scores, key=lambda item: (-scores[item], item))


def _index_problems(problems: Sequence[Problem], size: int, allowed: Sequence[str], accents: bool = True) -> NgramIndex:
    """Index the n-grams of each item as a whole, and of its prompt and solution if they are long enough."""
    index = NgramIndex(accents)
    for at, problem in enumerate(problems):
        index.add(at, problem.text, size)
        for part in (problem.prompt, problem.solution):
            if len(words_of(part)) >= MIN_PART_WORDS:
                index.add(at, part, size)
    for text in allowed:
        index.remove(text, size)
    return index


@dataclass(frozen=True)
class NgramRule:
    """Any shared n-gram: Brown et al. 2020 (GPT-3), appendix C; Gunasekar et al. 2023 (phi-1), section 5.1, n = 13."""

    problems: Sequence[Problem]
    size: int = 13
    allowed: Sequence[str] = ()

    @cached_property
    def _index(self) -> NgramIndex:
        return _index_problems(self.problems, self.size, self.allowed)

    def find(self, texts: pl.Series) -> Iterator[Finding]:
        """Yield the first shared n-gram of each document, with their number as score."""
        for row, hits in _by_row(self._index.search(texts)).items():
            first = max(hits, key=lambda hit: hit.size)  # an item of fewer than n words is weaker evidence
            problem = self.problems[first.items[0]]
            what = f"{self.size}-gram" if first.size == self.size else "short text"
            detail = f"{problem.id}: {first.words}"
            yield Finding(row, f"{what} of {problem.benchmark}", float(len(hits)), detail, problem.label)


@dataclass(frozen=True)
class HybridRule:
    """phi-4's algorithm (Abdin et al. 2024, appendix B): any 13-gram, or a large share of the 7-grams of either side.

    The report gives no thresholds; these are ours. A share between the two is reported, and the document kept.
    """

    problems: Sequence[Problem]
    info_ratio: float = 0.1
    ratio: float = 0.5
    allowed: Sequence[str] = ()

    @cached_property
    def _long(self) -> NgramRule:
        return NgramRule(self.problems, 13, self.allowed)

    @cached_property
    def _short(self) -> NgramIndex:
        index = NgramIndex()
        for at, problem in enumerate(self.problems):
            index.add(at, problem.text, 7)
        for text in self.allowed:
            index.remove(text, 7)
        return index

    @cached_property
    def _counts(self) -> list[int]:
        """The number of distinct 7-grams of each item."""
        return [len(distinct_ngrams(problem.text, 7)) for problem in self.problems]

    def find(self, texts: pl.Series) -> Iterator[Finding]:
        """Yield a shared 13-gram; for documents without one, the item with the largest share of 7-grams."""
        long = {finding.row: finding for finding in self._long.find(texts)}
        yield from long.values()
        for row, hits in _by_row(self._short.search(texts)).items():
            if row not in long and (finding := self._share(row, hits, texts[row])):
                yield finding

    def _share(self, row: int, hits: list[NgramHit], text: str) -> Finding | None:
        shared = Counter(item for items in {hit.words: hit.items for hit in hits}.values() for item in items)
        count = len(distinct_ngrams(text, 7))
        ratios = {item: number / max(1, min(count, self._counts[item])) for item, number in shared.items()}
        best = _best(ratios)
        if ratios[best] <= self.info_ratio:
            return None
        problem, words = self.problems[best], next(hit.words for hit in hits if best in hit.items)
        detail = f"{problem.id}: {shared[best]} 7-grams, ratio {ratios[best]:.3f}: {words}"
        contaminated = ratios[best] >= self.ratio
        return Finding(row, f"7-grams of {problem.benchmark}", ratios[best], detail, problem.label, contaminated)


@dataclass(frozen=True)
class CosmopediaRule:
    """Cosmopedia's rule (Ben Allal et al. 2024): a shared 10-gram confirmed by `difflib`.

    The score is the share of the item's characters in matching blocks of more than five.
    """

    problems: Sequence[Problem]
    size: int = 10
    ratio: float = 0.5
    allowed: Sequence[str] = ()

    @cached_property
    def _index(self) -> NgramIndex:
        return _index_problems(self.problems, self.size, self.allowed, accents=False)

    def find(self, texts: pl.Series) -> Iterator[Finding]:
        """Yield the item with the largest matching share, if that is above `ratio`."""
        for row, hits in _by_row(self._index.search(texts)).items():
            text, items = _plain_words(texts[row]), _evidence(hits)
            ratios = {item: _matching_ratio(text, _plain_words(self.problems[item].text)) for item in items}
            best = _best(ratios)
            if ratios[best] > self.ratio:
                problem = self.problems[best]
                detail = f"{problem.id}: {ratios[best]:.2f} of its characters, from: {items[best]}"
                yield Finding(row, f"most of an item of {problem.benchmark}", ratios[best], detail, problem.label)


@dataclass(frozen=True)
class FuzzyRule:
    """A shared n-gram confirmed by rapidfuzz: the best match of the item with a stretch of the document of its length.

    The score is rapidfuzz's `partial_ratio` over the characters of words, which tolerates small edits anywhere.
    """

    problems: Sequence[Problem]
    size: int = 8
    min_ratio: float = 0.8
    allowed: Sequence[str] = ()

    @cached_property
    def _index(self) -> NgramIndex:
        return _index_problems(self.problems, self.size, self.allowed)

    @cached_property
    def _parts(self) -> list[list[str]]:
        """For each item the whole, its prompt and its solution, as far as they are long enough."""
        return [
            [part for part in map(_plain_words, (item.text, item.prompt, item.solution)) if len(part.split()) >= MIN_PART_WORDS]
            or [_plain_words(item.text)]
            for item in self.problems
        ]

    def find(self, texts: pl.Series) -> Iterator[Finding]:
        """Yield the best matching item, if its ratio reaches `min_ratio`."""
        for row, hits in _by_row(self._index.search(texts)).items():
            text, items = _plain_words(texts[row]), _evidence(hits)
            ratios = {item: self._ratio(item, text) for item in items}
            best = _best(ratios)
            if ratios[best] >= self.min_ratio:
                problem = self.problems[best]
                detail = f"{problem.id}: ratio {ratios[best]:.2f}, from: {items[best]}"
                yield Finding(row, f"nearly an item of {problem.benchmark}", ratios[best], detail, problem.label)

    def _ratio(self, item: int, text: str) -> float:
        """Return the best ratio of an item's parts, without parts longer than the text, of which a piece would match."""
        from rapidfuzz.fuzz import partial_ratio

        parts = (part for part in self._parts[item] if len(part) <= 1.25 * len(text))
        return max((partial_ratio(part, text, score_cutoff=100 * self.min_ratio) / 100 for part in parts), default=0.0)


def _plain_words(text: str) -> str:
    """Return the words of a text without accents, separated by spaces."""
    return b" ".join(words_of(text, accents=False)).decode(errors="replace")


def _matching_ratio(text: str, item: str) -> float:
    """Return the share of the item's characters that occur in the text, in order and in blocks of more than five."""
    blocks = difflib.SequenceMatcher(None, text, item, autojunk=False).get_matching_blocks()
    matches = "".join(text[block.a : block.a + block.size] for block in blocks if block.size > 5)
    return len(" ".join(matches.split())) / len(item) if item else 0.0
