"""A random forest over TF-IDF and SVD: grown, measured on held-out labels, written and read without pickle.

What is written is what the forest was grown from: terms and their weights, the projection, and the projected labels.
Growing it again takes a second and gives the same forest, while its trees, written out, would be tens of thousands of
arrays.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import polars as pl

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Shape:
    """What the classifier is made of; the options of `quality/forest` by the same names."""

    features: str
    terms: int
    components: int
    trees: int
    min_leaf: int
    characters: int


@dataclass(frozen=True)
class Features:
    """Turns texts into a few numbers: TF-IDF of words or characters, projected on the directions of largest spread."""

    vectorizer: Any
    projection: NDArray[np.float64]  # components x terms
    characters: int

    @classmethod
    def fit(cls, shape: Shape, texts: Sequence[str], seed: int) -> Self:
        """Learns terms, weights and projection from these texts."""
        from sklearn.decomposition import TruncatedSVD  # type: ignore[import-untyped]

        vectorizer = _vectorizer(shape)
        counts = vectorizer.fit_transform([text[: shape.characters] for text in texts])
        components = max(1, min(shape.components, counts.shape[1] - 1))
        projection = TruncatedSVD(components, random_state=seed).fit(counts).components_
        return cls(vectorizer, projection, shape.characters)

    def of(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """A row a text."""
        counts = self.vectorizer.transform([text[: self.characters] for text in texts])
        projected: NDArray[np.float64] = counts @ self.projection.T
        return projected


@dataclass(frozen=True)
class Classifier:
    """Says how likely a text is good."""

    features: Features
    forest: Any

    @classmethod
    def load(cls, file: Path) -> Self:
        """Reads what `learn` wrote, arrays and JSON, and grows the same forest again."""
        import numpy as np

        card = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
        shape = Shape(**card["shape"])
        with np.load(file, allow_pickle=False) as arrays:
            vectorizer = _vectorizer(shape, json.loads(file.with_suffix(".terms.json").read_text(encoding="utf-8")))
            vectorizer.idf_ = arrays["idf"]
            features = Features(vectorizer, arrays["projection"], shape.characters)
            return cls(features, _grown(shape, arrays["rows"], arrays["good"], card["seed"], jobs=1))

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """The share of trees' leaves that call each text good, from 0 to 1."""
        import numpy as np

        if not texts:
            return np.zeros(0)
        result: NDArray[np.float64] = self.forest.predict_proba(self.features.of(texts))[:, 1]
        return result


def _vectorizer(shape: Shape, terms: Sequence[str] | None = None) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer  # type: ignore[import-untyped]

    counted = {"token_pattern": r"\w+|[^\w\s]"} if shape.features == "words" else {"analyzer": "char", "ngram_range": (1, 3)}
    return TfidfVectorizer(max_features=shape.terms, sublinear_tf=True, vocabulary=terms, **counted)


def _grown(shape: Shape, rows: NDArray[np.float64], good: NDArray[np.bool_], seed: int, jobs: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier  # type: ignore[import-untyped]

    options = {"min_samples_leaf": shape.min_leaf, "class_weight": "balanced", "random_state": seed, "n_jobs": jobs}
    return RandomForestClassifier(shape.trees, **options).fit(rows, good)


def learn(
    texts: Sequence[str],
    good: NDArray[np.bool_],
    shape: Shape,
    held_out: float,
    keep_share: float,
    seed: int,
    jobs: int,
    file: Path,
) -> None:
    """Measures a forest that has not seen the held-out labels, then grows one from all and writes it to `file`.

    Beside it go `forest.json` (the figures), `roc.parquet` and `calibration.parquet`; the model comes last, so that it
    is there only if all is.
    """
    import numpy as np

    seed %= 2**32
    file.parent.mkdir(parents=True, exist_ok=True)
    figures = _measure(texts, good, shape, held_out, keep_share, seed, jobs, file.parent)
    card = {"shape": asdict(shape), "seed": seed, "labels": len(texts), "good": int(good.sum()), **figures}
    file.with_suffix(".json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    features = Features.fit(shape, texts, seed)
    terms = features.vectorizer.get_feature_names_out().tolist()
    file.with_suffix(".terms.json").write_text(json.dumps(terms), encoding="utf-8")
    arrays = {"idf": features.vectorizer.idf_, "projection": features.projection, "rows": features.of(texts), "good": good}
    whole = file.with_suffix(".part.npz")
    np.savez(whole, **arrays)
    whole.replace(file)


def _measure(
    texts: Sequence[str],
    good: NDArray[np.bool_],
    shape: Shape,
    held_out: float,
    keep_share: float,
    seed: int,
    jobs: int,
    folder: Path,
) -> dict[str, float | int | None]:
    """Figures on held-out labels; all are null where one class is too small to be split."""
    import numpy as np
    from sklearn.calibration import calibration_curve  # type: ignore[import-untyped]
    from sklearn.metrics import (  # type: ignore[import-untyped]
        average_precision_score,
        brier_score_loss,
        roc_auc_score,
        roc_curve,
    )
    from sklearn.model_selection import train_test_split  # type: ignore[import-untyped]

    names = ("held_out", "base_rate", "roc_auc", "average_precision", "brier", "precision_at_share")
    if min(good.sum(), (~good).sum()) * min(held_out, 1 - held_out) < 1:
        return dict.fromkeys(names)
    seen, unseen, seen_good, truth = train_test_split(texts, good, test_size=held_out, stratify=good, random_state=seed)
    features = Features.fit(shape, seen, seed)
    forest = _grown(shape, features.of(seen), seen_good, seed, jobs)
    scores = forest.predict_proba(features.of(unseen))[:, 1]
    false, true, thresholds = roc_curve(truth, scores)
    finite = np.isfinite(thresholds)
    pl.DataFrame({"threshold": thresholds, "false_positive": false, "true_positive": true}).filter(finite).write_parquet(
        folder / "roc.parquet"
    )
    observed, said = calibration_curve(truth, scores, n_bins=10, strategy="quantile")
    pl.DataFrame({"said": said, "observed": observed}).write_parquet(folder / "calibration.parquet")
    best = np.argsort(-scores, kind="stable")[: max(1, round(keep_share * len(scores)))]
    figures = (
        truth.mean(),
        roc_auc_score(truth, scores),
        average_precision_score(truth, scores),
        brier_score_loss(truth, scores),
        truth[best].mean(),
    )
    return {"held_out": len(unseen), **{name: float(value) for name, value in zip(names[1:], figures, strict=True)}}
