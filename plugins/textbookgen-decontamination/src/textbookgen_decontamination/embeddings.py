"""Decontamination by embeddings: documents near a benchmark item by cosine similarity."""

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
_FEATURES = 1 << 18


class Embedder(Protocol):
    """Turns texts into vectors of length one."""

    def encode(self, texts: Sequence[str]) -> Any:
        """Return one row per text, as an array or a sparse matrix."""
        ...


class CharacterEmbedder:
    """Hashed runs of three to five characters, weighted by inverse document frequency over the items; needs no download."""

    def __init__(self, texts: Sequence[str]) -> None:
        from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer  # type: ignore[import-untyped]

        self._counts = HashingVectorizer(
            analyzer="char_wb", ngram_range=(3, 5), n_features=_FEATURES, norm=None, alternate_sign=False
        )
        self._weights = TfidfTransformer(sublinear_tf=True).fit(self._counts.transform(texts))

    def encode(self, texts: Sequence[str]) -> Any:
        """Return a sparse row per text."""
        return self._weights.transform(self._counts.transform(texts))


class SentenceEmbedder:
    """A sentence-transformers model, by name or folder."""

    def __init__(self, name: str) -> None:
        from sentence_transformers import SentenceTransformer  # type: ignore[import-not-found]

        self._model = SentenceTransformer(name)

    def encode(self, texts: Sequence[str]) -> Any:
        """Return a dense row per text."""
        return self._model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)


def missing_package(embedder: str) -> str | None:
    """Return the package that an embedder needs and that is not installed."""
    module, package = ("sklearn", "scikit-learn") if embedder == TFIDF else ("sentence_transformers", "sentence-transformers")
    return None if find_spec(module) else package


@dataclass(frozen=True)
class EmbeddingRule:
    """phi-1's comparison of embeddings (Gunasekar et al. 2023, section 5.2), by cosine similarity.

    The paper embeds code with CodeGen-Mono; here it is a sentence-transformers model, or counts of character n-grams.
    """

    problems: Sequence[Problem]
    embedder: str = TFIDF
    min_cosine: float = 0.8

    @cached_property
    def _items(self) -> tuple[Embedder, Any, list[int]]:
        """The embedder, a row for each item, prompt and solution, and the item of each row."""
        parts = [
            (text, at)
            for at, item in enumerate(self.problems)
            for text in (item.text, item.prompt, item.solution)
            if text.strip()
        ]
        texts = [text for text, _ in parts]
        embedder: Embedder = CharacterEmbedder(texts) if self.embedder == TFIDF else SentenceEmbedder(self.embedder)
        return embedder, embedder.encode(texts), [at for _, at in parts]

    def _cosines(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the cosine similarities, (texts, parts of items)."""
        import numpy as np

        embedder, items, _ = self._items
        product = embedder.encode(texts) @ items.T
        return np.asarray(product.todense() if hasattr(product, "todense") else product, dtype=np.float64)

    def find(self, texts: pl.Series) -> Iterator[Finding]:
        """Yield the nearest item of each document, if its cosine similarity reaches `min_cosine`."""
        if texts.is_empty():
            return
        items = self._items[2]
        for row, cosines in enumerate(self._cosines(texts.to_list())):
            at = int(cosines.argmax())
            if cosines[at] >= self.min_cosine:
                problem = self.problems[items[at]]
                detail = f"{problem.id}: cosine {cosines[at]:.3f} by {self.embedder}"
                yield Finding(row, f"near an item of {problem.benchmark}", float(cosines[at]), detail, problem.label)
