"""The rules by which a document counts as contaminated, each as its source states it."""

from __future__ import annotations

import difflib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import polars as pl
from textbookgen_dedup.text.words import plain

from textbookgen_decontamination.ngrams import Grams, Hit, Problem, words_in

PART_WORDS = 8  # a prompt or solution of fewer words than n is looked for alone from here on: the least n of GPT-3's appendix C


@dataclass(frozen=True)
class Finding:
    """What a rule has to say of one document; one that is not `contaminated` is only worth telling."""

    row: int
    reason: str
    score: float
    detail: str
    item: str
    contaminated: bool = True


class Rule(Protocol):
    """Finds what documents have of benchmarks."""

    def find(self, texts: pl.Series) -> Iterator[Finding]:
        """At most one finding for each document."""
        ...


def _by_row(hits: Iterator[Hit]) -> dict[int, list[Hit]]:
    rows: dict[int, list[Hit]] = defaultdict(list)
    for hit in hits:
        rows[hit.row].append(hit)
    return rows


def _gather(problems: Sequence[Problem], size: int, allowed: Sequence[str], accents: bool = True) -> Grams:
    """The n-grams of each item whole, and of its prompt and solution alone where they are long enough to tell."""
    grams = Grams(accents)
    for at, problem in enumerate(problems):
        grams.add(at, problem.text, size)
        for part in (problem.prompt, problem.solution):
            if len(words_in(part.encode())) >= PART_WORDS:
                grams.add(at, part, size)
    for text in allowed:
        grams.allow(text, size)
    return grams


@dataclass(frozen=True)
class AnyGram:
    """Any n-gram in common: Brown et al. 2020 (GPT-3), appendix C; Gunasekar et al. 2023 (phi-1), section 5.1, n = 13."""

    problems: Sequence[Problem]
    size: int = 13
    allowed: Sequence[str] = ()

    @cached_property
    def _grams(self) -> Grams:
        return _gather(self.problems, self.size, self.allowed)

    def find(self, texts: pl.Series) -> Iterator[Finding]:
        """The first n-gram in common, and how many there are."""
        for row, hits in _by_row(self._grams.hits(texts)).items():
            first = max(hits, key=lambda hit: hit.size)  # whole short items are weaker evidence than n words
            problem = self.problems[first.items[0]]
            what = f"{self.size}-gram" if first.size == self.size else "short text"
            yield Finding(
                row, f"{what} of {problem.benchmark}", float(len(hits)), f"{problem.id}: {first.words}", problem.place
            )


@dataclass(frozen=True)
class Hybrid:
    """phi-4's algorithm (Abdin et al. 2024, appendix B): any 13-gram, or a large share of the 7-grams of either side.

    The report gives no thresholds; those of the options are ours. A share between the two is told but not dropped.
    """

    problems: Sequence[Problem]
    info: float = 0.1
    contaminated: float = 0.5
    allowed: Sequence[str] = ()

    @cached_property
    def _long(self) -> AnyGram:
        return AnyGram(self.problems, 13, self.allowed)

    @cached_property
    def _short(self) -> Grams:
        grams = Grams()
        for at, problem in enumerate(self.problems):
            grams.add(at, problem.text, 7)
        return grams

    @cached_property
    def _sizes(self) -> list[int]:
        return [len(_distinct(problem.text, 7)) for problem in self.problems]

    def find(self, texts: pl.Series) -> Iterator[Finding]:
        """13-grams first; else the item with the largest share of 7-grams."""
        told = {finding.row: finding for finding in self._long.find(texts)}
        yield from told.values()
        for row, hits in _by_row(self._short.hits(texts)).items():
            if row not in told and (finding := self._share(row, hits, texts[row])):
                yield finding

    def _share(self, row: int, hits: list[Hit], text: str) -> Finding | None:
        shared = Counter(item for words, items in {hit.words: hit.items for hit in hits}.items() for item in items)
        mine = len(_distinct(text, 7))
        ratios = {item: many / max(1, min(mine, self._sizes[item])) for item, many in shared.items()}
        best = min(ratios, key=lambda item: (-ratios[item], item))
        if ratios[best] <= self.info:
            return None
        problem, words = self.problems[best], next(hit.words for hit in hits if best in hit.items)
        detail = f"{problem.id}: {shared[best]} 7-grams, ratio {ratios[best]:.3f}: {words}"
        contaminated = ratios[best] >= self.contaminated
        return Finding(row, f"7-grams of {problem.benchmark}", ratios[best], detail, problem.place, contaminated)


def _distinct(text: str, size: int) -> set[tuple[bytes, ...]]:
    """The distinct n-grams of a text."""
    words = words_in(plain(pl.Series([text]))[0].encode())
    return {tuple(words[i : i + size]) for i in range(max(1, len(words) - size + 1))} if words else set()


@dataclass(frozen=True)
class Diff:
    """Cosmopedia's rule (Ben Allal et al. 2024): a 10-gram in common, then the share of the item's characters that `difflib`
    matches in blocks longer than five."""

    problems: Sequence[Problem]
    size: int = 10
    share: float = 0.5

    @cached_property
    def _grams(self) -> Grams:
        return _gather(self.problems, self.size, (), accents=False)

    def find(self, texts: pl.Series) -> Iterator[Finding]:
        """The item of which the largest part is found again, where that is more than `share`."""
        for row, hits in _by_row(self._grams.hits(texts)).items():
            text = _joined(texts[row])
            items = {item: hit.words for hit in reversed(hits) for item in hit.items}
            shares = {item: _matched(text, _joined(self.problems[item].text)) for item in items}
            best = min(shares, key=lambda item: (-shares[item], item))
            if shares[best] > self.share:
                problem = self.problems[best]
                detail = f"{problem.id}: {shares[best]:.2f} of its characters, from: {items[best]}"
                yield Finding(row, f"most of an item of {problem.benchmark}", shares[best], detail, problem.place)


@dataclass(frozen=True)
class Fuzzy:
    """An n-gram in common, confirmed by rapidfuzz: the best match of the item with any stretch of the document as long as it.

    The match is of edit distance over characters of words (`partial_ratio`), so that it stands small edits anywhere.
    """

    problems: Sequence[Problem]
    size: int = 8
    share: float = 0.8
    allowed: Sequence[str] = ()

    @cached_property
    def _grams(self) -> Grams:
        return _gather(self.problems, self.size, self.allowed)

    @cached_property
    def _parts(self) -> list[list[str]]:
        """Of each item the whole, and the parts that are long enough to tell."""
        return [
            [part for part in map(_joined, (item.text, item.prompt, item.solution)) if len(part.split()) >= PART_WORDS]
            or [_joined(item.text)]
            for item in self.problems
        ]

    def find(self, texts: pl.Series) -> Iterator[Finding]:
        """The item that fits best, where it fits by more than `share`."""
        from rapidfuzz.fuzz import partial_ratio

        for row, hits in _by_row(self._grams.hits(texts)).items():
            text = _joined(texts[row])
            items = {item: hit.words for hit in reversed(hits) for item in hit.items}
            rates = {  # a part longer than the document would fit by a piece of it alone
                item: max(
                    (
                        partial_ratio(part, text, score_cutoff=100 * self.share) / 100
                        for part in self._parts[item]
                        if len(part) <= 1.25 * len(text)
                    ),
                    default=0.0,
                )
                for item in items
            }
            best = min(rates, key=lambda item: (-rates[item], item))
            if rates[best] >= self.share:
                problem = self.problems[best]
                detail = f"{problem.id}: {rates[best]:.2f} alike, from: {items[best]}"
                yield Finding(row, f"nearly an item of {problem.benchmark}", rates[best], detail, problem.place)


def _joined(text: str) -> str:
    """The words of a text without marks on letters, a space between them."""
    return b" ".join(words_in(plain(pl.Series([text]), accents=False)[0].encode())).decode(errors="replace")


def _matched(text: str, item: str) -> float:
    """The share of the item's characters that are found in the text, in order and in blocks longer than five."""
    blocks = difflib.SequenceMatcher(None, text, item, autojunk=False).get_matching_blocks()
    result = "".join(text[block.a : block.a + block.size] for block in blocks if block.size > 5)
    return len(" ".join(result.split())) / len(item) if item else 0.0
