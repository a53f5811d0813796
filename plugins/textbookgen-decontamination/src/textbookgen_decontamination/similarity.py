"""How near each item of a benchmark is to the nearest training document, by syntax trees and by word n-grams."""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import polars as pl
from textbookgen_dedup.text.python_code import parse_document

from textbookgen_decontamination.ngrams import NgramIndex, Problem, distinct_ngrams, words_of
from textbookgen_decontamination.rules import MIN_PART_WORDS
from textbookgen_decontamination.syntax_trees import SyntaxTreeRule, exact_words, functions_of, linearize_body

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MAX_EXCERPT = 2_000  # characters of a training document that are kept as evidence


@dataclass(frozen=True)
class Match:
    """A training document that resembles an item.

    Attributes:
        item: position of the item in the list of problems.
        similarity: from 0 to 1.
        row: the document, as its row in the part.
        measure: `syntax tree` or `n-grams`.
        text: the matching function, or the beginning of the document.
    """

    item: int
    similarity: float
    row: int
    measure: str
    text: str


class Measure(Protocol):
    """Compares documents with items."""

    def matches(self, texts: Sequence[str]) -> Iterator[Match]:
        """Yield at least the best match of every item that one of the documents resembles."""
        ...


@dataclass(frozen=True)
class TreeSimilarity:
    """phi-1's match rate of syntax trees (Gunasekar et al. 2023, section 5.2), between functions of items and of documents.

    Functions of fewer than `min_nodes` nodes are all alike; they match, at 1, only functions that do the same with the same
    constants, whatever their names. An item of several functions counts by the best.
    """

    problems: Sequence[Problem]
    min_rate: float
    min_nodes: int = 8

    @cached_property
    def _rule(self) -> SyntaxTreeRule:
        return SyntaxTreeRule(self.problems, self.min_rate, self.min_nodes)

    @cached_property
    def _short(self) -> dict[str, list[int]]:
        """The items whose functions are all short, by the exact words of each function."""
        items: dict[str, list[int]] = defaultdict(list)
        for at, problem in enumerate(self.problems):
            if at not in self._rule.trees[1]:
                functions = [node for tree in problem.trees() for node in functions_of(tree)]
                for words in {exact_words(node) for node in functions if not isinstance(node, ast.Module)}:
                    items[words].append(at)
        return items

    def matches(self, texts: Sequence[str]) -> Iterator[Match]:
        """Yield the best match of each item in these documents."""
        functions = [
            (row, node, linearize_body(node))
            for row, text in enumerate(texts)
            for tree in parse_document(text)
            for node in functions_of(tree)
        ]
        for row, node, body in functions:
            if len(body) < self.min_nodes and self._short and not isinstance(node, ast.Module):
                for item in self._short.get(exact_words(node), ()):
                    yield Match(item, 1.0, row, "syntax tree", ast.unparse(node))
        long = [function for function in functions if len(function[2]) >= self.min_nodes]
        bodies = list(dict.fromkeys(body for _, _, body in long))
        rates = self._rule.rates_of(bodies)
        first = {body: (row, node) for row, node, body in reversed(long)}
        for item, column in zip(self._rule.trees[1], rates.T, strict=True):
            if best := _argmax(column):
                row, node = first[bodies[best[0]]]
                yield Match(item, best[1], row, "syntax tree", ast.unparse(node))


def _argmax(rates: NDArray[np.float64]) -> tuple[int, float] | None:
    """Return the place and the value of the largest rate; None if all are 0."""
    if not len(rates):
        return None
    place = int(rates.argmax())
    return (place, float(rates[place])) if rates[place] > 0 else None


@dataclass(frozen=True)
class NgramSimilarity:
    """The share of an item's distinct word n-grams that one document contains.

    PaLM (Chowdhery et al. 2022, section 8) counts an item as contaminated if 70% of the 8-grams of its question, prompt or
    target occur in the training data; here, in one document of it. Prompt and solution also count separately if they have eight
    words or more. A text of fewer than `size` words is one n-gram.
    """

    problems: Sequence[Problem]
    size: int = 8

    @cached_property
    def _parts(self) -> list[tuple[int, int]]:
        """The item of each part, and its number of distinct n-grams."""
        return [(at, len(distinct_ngrams(text, self.size))) for at, text in self._texts]

    @cached_property
    def _texts(self) -> list[tuple[int, str]]:
        return [
            (at, text)
            for at, problem in enumerate(self.problems)
            for text in (problem.text, problem.prompt, problem.solution)
            if words_of(text) and (text == problem.text or len(words_of(text)) >= MIN_PART_WORDS)
        ]

    @cached_property
    def _index(self) -> NgramIndex:
        index = NgramIndex()
        for part, (_, text) in enumerate(self._texts):
            index.add(part, text, self.size)
        return index

    def matches(self, texts: Sequence[str]) -> Iterator[Match]:
        """Yield every item and document that share an n-gram."""
        shared: dict[int, dict[str, tuple[int, ...]]] = defaultdict(dict)
        for hit in self._index.search(pl.Series(texts, dtype=pl.String)):
            shared[hit.row][hit.words] = hit.items
        for row, ngrams in shared.items():
            for part, count in Counter(part for parts in ngrams.values() for part in parts).items():
                item, total = self._parts[part]
                yield Match(item, count / total, row, "n-grams", texts[row][:_MAX_EXCERPT])


_NO_MATCH = Match(-1, 0.0, -1, "", "")

#: Columns of `find_nearest`.
SIMILARITY_SCHEMA = {
    "benchmark": pl.String,
    "item": pl.String,
    "item_text": pl.String,
    "similarity": pl.Float64,
    "measure": pl.String,
    "document": pl.String,
    "text": pl.String,
}


def find_nearest(
    problems: Sequence[Problem], measures: Sequence[Measure], training: Iterable[tuple[Sequence[str], Sequence[str]]]
) -> pl.DataFrame:
    """Return the nearest training document of each item.

    Args:
        problems: the items.
        measures: how documents are compared; an item's similarity is the largest of all.
        training: ids and texts of the training documents, part by part.

    Returns:
        One row per item in their order: `benchmark`, `item`, `item_text`, `similarity` (0 if no document resembles it), and
        `measure`, `document` and `text` of the nearest document, or null.
    """
    best: dict[int, tuple[Match, str]] = {}
    for ids, texts in training:
        for measure in measures:
            for match in measure.matches(texts):
                if match.item not in best or match.similarity > best[match.item][0].similarity:
                    best[match.item] = match, ids[match.row]
    rows = []
    for at, problem in enumerate(problems):
        match, document = best.get(at, (_NO_MATCH, None))
        item = (problem.benchmark, problem.id, problem.text)
        rows.append((*item, match.similarity, match.measure or None, document, match.text or None))
    return pl.DataFrame(rows, schema=SIMILARITY_SCHEMA, orient="row")
