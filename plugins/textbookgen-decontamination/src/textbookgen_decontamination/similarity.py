"""How near each item of a benchmark is to the nearest training document, by syntax trees and by word n-grams."""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import polars as pl
from textbookgen_dedup.text.python_code import parse_document

from textbookgen_decontamination.ngrams import NgramIndex, Problem, distinct_ngrams, words_of
from textbookgen_decontamination.rules import MIN_PART_WORDS
from textbookgen_decontamination.syntax_trees import Body, SyntaxTreeRule, exact_words, functions_of, linearize_body

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
class _Function:
    """A function of a document, or a module without functions: its row, its tree, and its linearized body."""

    row: int
    node: Body
    body: str


@dataclass(frozen=True)
class TreeSimilarity:
    """phi-1's match rate of syntax trees (Gunasekar et al. 2023, section 5.2), between functions of items and of documents.

    Functions of fewer than `min_nodes` nodes are all alike; they match, at 1, only functions that do the same with the same
    constants, whatever their names. The rate of an item of several functions is the mean of its functions' best rates in one
    document, weighted by their nodes: a common helper does not make an item similar.
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
            _Function(row, node, linearize_body(node))
            for row, text in enumerate(texts)
            for tree in parse_document(text)
            for node in functions_of(tree)
        ]
        for function in functions:
            node = function.node
            if len(function.body) < self.min_nodes and self._short and not isinstance(node, ast.Module):
                for item in self._short.get(exact_words(node), ()):
                    yield Match(item, 1.0, function.row, "syntax tree", ast.unparse(node))
        yield from self._long_matches([function for function in functions if len(function.body) >= self.min_nodes])

    def _long_matches(self, functions: Sequence[_Function]) -> Iterator[Match]:
        """Yield the best match of each item among functions that are long enough, which are in the order of documents."""
        import numpy as np

        trees, items = self._rule.trees
        if not functions or not items:
            return
        bodies = {body: place for place, body in enumerate(dict.fromkeys(function.body for function in functions))}
        rates = self._rule.rates_of(list(bodies))[[bodies[function.body] for function in functions]]
        rows = np.array([function.row for function in functions])
        row_starts = np.flatnonzero(np.diff(rows, prepend=-1))
        item_starts = np.flatnonzero(np.diff(items, prepend=-1))
        nodes = np.array([len(tree) for tree in trees], np.float64)
        of_rows = np.maximum.reduceat(rates, row_starts, axis=0) * nodes
        of_items = np.add.reduceat(of_rows, item_starts, axis=1) / np.add.reduceat(nodes, item_starts)
        of_items = of_items.round(12)  # 0.8 stays 0.8 after the multiplication and division
        for column, start in enumerate(item_starts):
            at = int(of_items[:, column].argmax())
            if of_items[at, column] > 0:
                stop = item_starts[column + 1] if column + 1 < len(item_starts) else len(items)
                first = int(row_starts[at])
                last = int(row_starts[at + 1]) if at + 1 < len(row_starts) else len(functions)
                nearest = first + int((rates[first:last, start:stop] * nodes[start:stop]).max(axis=1).argmax())
                similarity = min(1.0, float(of_items[at, column]))
                yield Match(
                    items[start], similarity, functions[nearest].row, "syntax tree", ast.unparse(functions[nearest].node)
                )


@dataclass(frozen=True)
class NgramSimilarity:
    """The share of an item's distinct word n-grams that one document contains.

    PaLM (Chowdhery et al. 2022, section 8) counts an item as contaminated if 70% of the 8-grams of its question, prompt or
    target occur in the training data; here, in one document of it. Prompt and solution also count separately if they have eight
    words or more, except for a solution of code, whose words without its symbols are those of many programs. A text of fewer
    than `size` words is one n-gram.
    """

    problems: Sequence[Problem]
    size: int = 8

    @cached_property
    def _parts(self) -> list[tuple[int, int]]:
        """The item of each part, and its number of distinct n-grams."""
        return [(at, len(distinct_ngrams(text, self.size))) for at, text in self._texts]

    @cached_property
    def _texts(self) -> list[tuple[int, str]]:
        texts = []
        for at, problem in enumerate(self.problems):
            parts = [problem.prompt] if problem.has_functions() else [problem.prompt, problem.solution]
            texts += [(at, part) for part in parts if len(words_of(part)) >= MIN_PART_WORDS]
            texts += [(at, problem.text)] if words_of(problem.text) else []
        return texts

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
