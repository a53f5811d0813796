"""A random forest over TF-IDF and SVD: grown, measured on held-out labels, written and read without pickle."""

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

# The one type that skops asks about: a tree's node indices are not checked when it is used. The file is the step's own.
_TRUSTED = ["sklearn.tree._tree.Tree"]


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
class Classifier:
    """Says how likely a text is good."""

    pipeline: Any
    characters: int

    @classmethod
    def load(cls, file: Path) -> Self:
        """Reads what `learn` wrote; it holds no code, only arrays and known types."""
        import skops.io  # type: ignore[import-untyped]

        card = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
        return cls(skops.io.load(file, trusted=_TRUSTED), card["shape"]["characters"])

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """The share of trees' leaves that call each text good, from 0 to 1."""
        import numpy as np

        if not texts:
            return np.zeros(0)
        found: NDArray[np.float64] = self.pipeline.predict_proba([text[: self.characters] for text in texts])[:, 1]
        return found


def _pipeline(shape: Shape, texts: Sequence[str], seed: int, jobs: int) -> Any:
    from sklearn.decomposition import TruncatedSVD  # type: ignore[import-untyped]
    from sklearn.ensemble import RandomForestClassifier  # type: ignore[import-untyped]
    from sklearn.feature_extraction.text import TfidfVectorizer  # type: ignore[import-untyped]
    from sklearn.pipeline import make_pipeline  # type: ignore[import-untyped]

    counted = {"token_pattern": r"\w+|[^\w\s]"} if shape.features == "words" else {"analyzer": "char", "ngram_range": (1, 3)}
    counts = TfidfVectorizer(max_features=shape.terms, sublinear_tf=True, **counted)
    terms = len(counts.fit(texts).vocabulary_)
    return make_pipeline(
        counts,
        TruncatedSVD(max(1, min(shape.components, terms - 1)), random_state=seed),
        RandomForestClassifier(
            shape.trees, min_samples_leaf=shape.min_leaf, class_weight="balanced", random_state=seed, n_jobs=jobs
        ),
    )


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
    import skops.io

    seed %= 2**32
    texts = [text[: shape.characters] for text in texts]
    file.parent.mkdir(parents=True, exist_ok=True)
    figures = _measure(texts, good, shape, held_out, keep_share, seed, jobs, file.parent)
    card = {"shape": asdict(shape), "seed": seed, "labels": len(texts), "good": int(good.sum()), **figures}
    file.with_suffix(".json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    pipeline = _pipeline(shape, texts, seed, jobs).fit(texts, good)
    pipeline[-1].set_params(n_jobs=1)  # parts are judged in processes of their own
    whole = file.with_suffix(".part")
    skops.io.dump(pipeline, whole)
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
    scores = _pipeline(shape, seen, seed, jobs).fit(seen, seen_good).predict_proba(unseen)[:, 1]
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
