"""Decontamination by distance: documents whose embedding is near that of a benchmark's item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

import polars as pl

from textbookgen_decontamination.ngrams import Problem
from textbookgen_decontamination.rules import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

#: The embedder that needs no weights.
TFIDF = "tfidf"
_TERMS = 1 << 18


class Embedder(Protocol):
    """Turns texts into rows of length one."""

    def encode(self, texts: Sequence[str]) -> Any:
        """A row a text: an array, or a sparse matrix."""
        ...


class Characters:
    """Runs of three to five characters, hashed and weighted by how few items have them: no weights, no download."""

    def __init__(self, texts: Sequence[str]) -> None:
        from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer  # type: ignore[import-untyped]

        self._counts = HashingVectorizer(
            analyzer="char_wb", ngram_range=(3, 5), n_features=_TERMS, norm=None, alternate_sign=False
        )
        self._weights = TfidfTransformer(sublinear_tf=True).fit(self._counts.transform(texts))

    def encode(self, texts: Sequence[str]) -> Any:
        """A sparse row a text."""
        return self._weights.transform(self._counts.transform(texts))


class Sentences:
    """A model of the library sentence-transformers, by name or folder."""

    def __init__(self, name: str) -> None:
        from sentence_transformers import SentenceTransformer  # type: ignore[import-not-found]

        self._model = SentenceTransformer(name)

    def encode(self, texts: Sequence[str]) -> Any:
        """A row a text."""
        return self._model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)


def missing(embedder: str) -> str | None:
    """The package that has to be installed for an embedder and is not."""
    module, package = ("sklearn", "scikit-learn") if embedder == TFIDF else ("sentence_transformers", "sentence-transformers")
    return None if find_spec(module) else package


@dataclass(frozen=True)
class Distance:
    """phi-1's second look (Gunasekar et al. 2023, section 5.2): the distance of embeddings. Ours is the cosine.

    The paper embeds code by CodeGen-Mono; here any model of sentence-transformers can, or counts of characters.
    """

    problems: Sequence[Problem]
    embedder: str = TFIDF
    least: float = 0.8

    @cached_property
    def _items(self) -> tuple[Embedder, Any, list[int]]:
        """The embedder, the rows of items and of their solutions alone, and the item of each."""
        said = [
            (text, at)
            for at, item in enumerate(self.problems)
            for text in (item.text, item.prompt, item.solution)
            if text.strip()
        ]
        texts = [text for text, _ in said]
        embedder: Embedder = Characters(texts) if self.embedder == TFIDF else Sentences(self.embedder)
        return embedder, embedder.encode(texts), [at for _, at in said]

    def cosines(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """A row a text, a column for each text of an item."""
        import numpy as np

        embedder, items, _ = self._items
        result = embedder.encode(texts) @ items.T
        return np.asarray(result.todense() if hasattr(result, "todense") else result, dtype=np.float64)

    def find(self, texts: pl.Series) -> Iterator[Finding]:
        """The nearest item, where it is near enough."""
        owners = self._items[2]
        for row, line in enumerate(self.cosines(texts.to_list())):
            at = int(line.argmax())
            if line[at] >= self.least:
                problem = self.problems[owners[at]]
                detail = f"{problem.id}: cosine {line[at]:.3f} by {self.embedder}"
                yield Finding(row, f"near an item of {problem.benchmark}", float(line[at]), detail, problem.place)
