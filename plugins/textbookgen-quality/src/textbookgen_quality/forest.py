"""`quality/forest`: a random forest learns a teacher's scores from a sample and keeps the best share of the corpus."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import polars as pl
from pydantic import Field, PrivateAttr

from textbookgen import CorpusFilter, Diagnostic, Documents, Estimate, Input, Labels, RunError, Runtime, StageInputs
from textbookgen.api.rows import text_of

if TYPE_CHECKING:
    from textbookgen_quality.classifier import Classifier

_MIN_LABELS = 10


class ForestFilter(CorpusFilter):
    """Keeps the documents that a random forest, trained on scored documents, rates as good.

    phi-1's filter (Gunasekar et al. 2023, section 2.1), with TF-IDF of words or characters, reduced by SVD, in place of a
    code model's embedding. Metrics on held-out labels are written beside the model: `forest.json`, `roc.parquet` and
    `calibration.parquet`.
    """

    name: ClassVar[str] = "forest"

    labels: Annotated[Labels, Input(Documents)] = Field(description="stages whose documents have scores to learn from")
    score: str = Field("quality.score", description="the column of the labels with the score")
    good_score: float = Field(3.0, description="score from which a labeled document is good")
    keep_share: float = Field(0.17, gt=0, le=1, description="share of the corpus to keep, the best (phi-1: about 0.17)")
    threshold: float | None = Field(
        None, ge=0, le=1, description="keep documents by this probability of being good, instead of a share"
    )
    features: Literal["words", "characters"] = Field(
        "words", description="what to count in a text: words, or runs of one to three characters"
    )
    max_terms: int = Field(20_000, ge=1, description="vocabulary size: the most frequent terms are counted")
    components: int = Field(64, ge=2, description="dimensions after the singular value decomposition")
    trees: int = Field(200, ge=1, description="trees in the forest")
    min_leaf: int = Field(2, ge=1, description="minimum number of labeled documents in a leaf")
    max_characters: int = Field(8_000, ge=1, description="characters to examine, from the beginning of a document")
    held_out_share: float = Field(
        0.2, gt=0, lt=1, description="share of the labels held out for the metrics; the final forest learns from all"
    )
    seed: int = Field(0, description="seed of the forest")
    n_jobs: Annotated[int, Runtime] = Field(1, description="threads that grow the forest; -1 for one per core")
    text: str = Field("text", description="the column to rate")

    _classifier: Classifier | None = PrivateAttr(None)

    def check(self) -> Iterable[Diagnostic]:
        """Report a share together with a threshold."""
        if self.threshold is not None and "keep_share" in self.model_fields_set:
            yield Diagnostic("keep_share", "`threshold` and `keep_share` exclude each other", "remove one of them")

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """Return the share that is kept, if it is known."""
        corpus = inputs["from"]
        if corpus.documents is None or self.threshold is not None:
            return None
        tokens = None if corpus.tokens is None else corpus.tokens * self.keep_share
        return Estimate(corpus.documents * self.keep_share, tokens, disk_bytes=40 * corpus.documents)

    def prepare(self, inputs: StageInputs) -> None:
        """Train the forest the first time, and load it from the step's folder afterwards."""
        from textbookgen_quality.classifier import Classifier

        file = inputs.folder / "forest.npz"
        if not file.exists():
            self._train(inputs, file)
        self._classifier = Classifier.load(file)

    def _train(self, inputs: StageInputs, file: Path) -> None:
        from textbookgen_quality.classifier import ClassifierConfig, LabeledTexts, train_classifier

        labels = pl.concat([frame.select(self.text, self.score) for frame in inputs["labels"].frames()]).drop_nulls()
        good = (labels[self.score] >= self.good_score).to_numpy()
        if len(labels) < _MIN_LABELS or good.all() or not good.any():
            raise RunError(
                f"{len(labels)} labels, {int(good.sum())} good: training needs at least {_MIN_LABELS} labels and both classes",
                place="labels",
                hint="label more documents, or change `good_score`",
            )
        config = ClassifierConfig(
            features=self.features,
            max_terms=self.max_terms,
            components=self.components,
            trees=self.trees,
            min_leaf=self.min_leaf,
            max_characters=self.max_characters,
            seed=(inputs.seed + self.seed) % 2**32,
        )
        texts = LabeledTexts(labels[self.text].to_list(), good)
        train_classifier(texts, config, file, self.held_out_share, self.keep_share, self.n_jobs)

    def sketch(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Return `id` and `score` of each document, the probability that it is good."""
        if self._classifier is None:
            raise RunError("`quality/forest` was called before `prepare`")
        scores = self._classifier.probabilities(text_of(docs, self.text).to_list())
        return pl.DataFrame({"id": docs["id"], "score": pl.Series(scores, dtype=pl.Float64)})

    def decide(self, sketches: pl.LazyFrame, corpus: pl.LazyFrame) -> pl.DataFrame:
        """Return verdicts with the probability as `score`; of equal ones, the earlier document is kept."""
        scores = sketches.select("id", "score").collect()
        if self.threshold is not None:
            keep, reason = pl.col("score") >= self.threshold, "below the threshold"
        else:
            count = max(1, round(self.keep_share * len(scores)))
            keep, reason = pl.col("score").rank("ordinal", descending=True) <= count, "below the kept share"
        verdicts = scores.with_columns(keep=keep)
        return verdicts.select("id", "keep", reason=pl.when(~pl.col("keep")).then(pl.lit(reason)), score="score")
