"""A random forest over TF-IDF and SVD: trained, evaluated on held-out labels, saved and loaded without pickle.

Saved are the inputs of the forest: terms and their weights, the projection, and the projected labels. Training again takes a
second and gives the same forest, while its trees would be tens of thousands of arrays.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import polars as pl

from textbookgen.api.files import atomic_path, write_frame, write_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class ClassifierConfig:
    """The parameters of a classifier, as the options of `quality/forest` with the same names."""

    features: str
    max_terms: int
    components: int
    trees: int
    min_leaf: int
    max_characters: int
    seed: int


@dataclass(frozen=True)
class LabeledTexts:
    """Texts, and whether each is good: (n,) bool."""

    texts: Sequence[str]
    good: NDArray[np.bool_]


@dataclass(frozen=True)
class TextFeatures:
    """TF-IDF of words or characters, projected by a truncated singular value decomposition.

    Attributes:
        vectorizer: scikit-learn's `TfidfVectorizer`.
        projection: (components, terms).
        max_characters: characters to examine.
    """

    vectorizer: Any
    projection: NDArray[np.float64]
    max_characters: int

    @classmethod
    def fit(cls, config: ClassifierConfig, texts: Sequence[str]) -> Self:
        """Learn terms, weights and projection from texts."""
        from sklearn.decomposition import TruncatedSVD  # type: ignore[import-untyped]

        vectorizer = _make_vectorizer(config)
        counts = vectorizer.fit_transform([text[: config.max_characters] for text in texts])
        components = max(1, min(config.components, counts.shape[1] - 1))
        projection = TruncatedSVD(components, random_state=config.seed).fit(counts).components_
        return cls(vectorizer, projection, config.max_characters)

    def transform(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the features of texts, (texts, components)."""
        counts = self.vectorizer.transform([text[: self.max_characters] for text in texts])
        projected: NDArray[np.float64] = counts @ self.projection.T
        return projected


@dataclass(frozen=True)
class Classifier:
    """Predicts whether a text is good."""

    features: TextFeatures
    forest: Any

    @classmethod
    def load(cls, file: Path) -> Self:
        """Read what `train_classifier` wrote, and train the same forest again."""
        import numpy as np

        config = ClassifierConfig(**json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))["config"])
        with np.load(file, allow_pickle=False) as arrays:
            vectorizer = _make_vectorizer(config, json.loads(file.with_suffix(".terms.json").read_text(encoding="utf-8")))
            vectorizer.idf_ = arrays["idf"]
            features = TextFeatures(vectorizer, arrays["projection"], config.max_characters)
            return cls(features, _train_forest(config, arrays["features"], arrays["good"], jobs=1))

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the forest's probability that each text is good, (texts,)."""
        import numpy as np

        if not texts:
            return np.zeros(0)
        probabilities: NDArray[np.float64] = self.forest.predict_proba(self.features.transform(texts))[:, 1]
        return probabilities


def _make_vectorizer(config: ClassifierConfig, terms: Sequence[str] | None = None) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer  # type: ignore[import-untyped]

    words, characters = {"token_pattern": r"\w+|[^\w\s]"}, {"analyzer": "char", "ngram_range": (1, 3)}
    options: dict[str, Any] = {**(words if config.features == "words" else characters)}
    return TfidfVectorizer(max_features=config.max_terms, sublinear_tf=True, vocabulary=terms, **options)


def _train_forest(config: ClassifierConfig, features: NDArray[np.float64], good: NDArray[np.bool_], jobs: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier  # type: ignore[import-untyped]

    options = {"min_samples_leaf": config.min_leaf, "class_weight": "balanced", "random_state": config.seed, "n_jobs": jobs}
    return RandomForestClassifier(config.trees, **options).fit(features, good)


def train_classifier(
    labels: LabeledTexts, config: ClassifierConfig, file: Path, held_out_share: float, keep_share: float, jobs: int
) -> None:
    """Train a classifier on all labels, and evaluate one that was trained without the held-out share.

    The metrics go to `forest.json`, `roc.parquet` and `calibration.parquet` beside `file`, which is written last.

    Args:
        labels: texts and their classes.
        config: the parameters.
        file: the model, an `.npz` file.
        held_out_share: share of the labels to evaluate on.
        keep_share: share of the documents for which to report precision.
        jobs: threads.
    """
    import numpy as np

    file.parent.mkdir(parents=True, exist_ok=True)
    metrics = _evaluate(labels, config, held_out_share, keep_share, jobs, file.parent)
    card = {"config": asdict(config), "labels": len(labels.texts), "good": int(labels.good.sum()), **metrics}
    write_json(file.with_suffix(".json"), card)
    features = TextFeatures.fit(config, labels.texts)
    write_json(file.with_suffix(".terms.json"), features.vectorizer.get_feature_names_out().tolist())
    arrays = {
        "idf": features.vectorizer.idf_,
        "projection": features.projection,
        "features": features.transform(labels.texts),
        "good": labels.good,
    }
    with atomic_path(file) as temporary, temporary.open("wb") as opened:
        np.savez(opened, **arrays)


def _evaluate(
    labels: LabeledTexts, config: ClassifierConfig, held_out_share: float, keep_share: float, jobs: int, folder: Path
) -> dict[str, float | int | None]:
    """Return metrics on held-out labels, all null if one class is too small to be split."""
    import numpy as np
    from sklearn.metrics import (  # type: ignore[import-untyped]
        average_precision_score,
        brier_score_loss,
        roc_auc_score,
    )
    from sklearn.model_selection import train_test_split  # type: ignore[import-untyped]

    names = ("held_out", "base_rate", "roc_auc", "average_precision", "brier", "precision_at_share")
    smaller_class = min(labels.good.sum(), (~labels.good).sum())
    if smaller_class * min(held_out_share, 1 - held_out_share) < 1:
        return dict.fromkeys(names)
    train_texts, test_texts, train_good, test_good = train_test_split(
        labels.texts, labels.good, test_size=held_out_share, stratify=labels.good, random_state=config.seed
    )
    features = TextFeatures.fit(config, train_texts)
    forest = _train_forest(config, features.transform(train_texts), train_good, jobs)
    scores = forest.predict_proba(features.transform(test_texts))[:, 1]
    _write_curves(test_good, scores, folder)
    best = np.argsort(-scores, kind="stable")[: max(1, round(keep_share * len(scores)))]
    values = (
        test_good.mean(),
        roc_auc_score(test_good, scores),
        average_precision_score(test_good, scores),
        brier_score_loss(test_good, scores),
        test_good[best].mean(),
    )
    return {"held_out": len(test_texts), **{name: float(value) for name, value in zip(names[1:], values, strict=True)}}


def _write_curves(good: NDArray[np.bool_], scores: NDArray[np.float64], folder: Path) -> None:
    """Write the ROC curve and the calibration curve."""
    import numpy as np
    from sklearn.calibration import calibration_curve  # type: ignore[import-untyped]
    from sklearn.metrics import roc_curve

    false, true, thresholds = roc_curve(good, scores)
    roc = pl.DataFrame({"threshold": thresholds, "false_positive_rate": false, "true_positive_rate": true})
    write_frame(folder / "roc.parquet", roc.filter(np.isfinite(thresholds)))
    observed, predicted = calibration_curve(good, scores, n_bins=10, strategy="quantile")
    write_frame(folder / "calibration.parquet", pl.DataFrame({"predicted": predicted, "observed": observed}))
