"""`quality/forest`: a forest learns a teacher's scores from a sample, and the best of the corpus by it flow on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import polars as pl
from pydantic import Field, PrivateAttr

from textbookgen import CorpusFilter, Diagnostic, Documents, Estimate, Input, Labels, RunError, Runtime, StageInputs

if TYPE_CHECKING:
    from textbookgen_quality.classifier import Classifier


class Forest(CorpusFilter):
    """Keeps what a random forest takes for good, having learnt from scored documents what good is.

    phi-1's filter (Gunasekar et al. 2023, section 2.1), with TF-IDF of words or characters, reduced by SVD, in the place
    of a code model's embedding. How well it does on held-out labels is written beside the model: `forest.json`,
    `roc.parquet` and `calibration.parquet`.
    """

    name: ClassVar[str] = "forest"

    labels: Annotated[Labels, Input(Documents)] = Field(description="stages above whose documents carry scores to learn from")
    score: str = Field("quality.score", description="the labels' column with the score")
    good_score: float = Field(3.0, description="score from which a labelled document is good")
    keep_share: float = Field(
        0.17, gt=0, le=1, description="share of the corpus that flows on, the best of it (phi-1: about 0.17)"
    )
    threshold: float | None = Field(None, ge=0, le=1, description="keep by this probability of being good instead of a share")
    features: Literal["words", "characters"] = Field(
        "words", description="what is counted in a text: words, or runs of one to three characters"
    )
    terms: int = Field(20_000, ge=1, description="how many terms are counted at most, the commonest")
    components: int = Field(64, ge=2, description="dimensions that the counts are reduced to")
    trees: int = Field(200, ge=1, description="trees in the forest")
    min_leaf: int = Field(2, ge=1, description="labelled documents in a leaf, at least")
    characters: int = Field(8_000, ge=1, description="how much of a document is looked at, from its beginning")
    held_out: float = Field(
        0.2, gt=0, lt=1, description="share of the labels held out to measure with; the forest that judges learns from all"
    )
    seed: int = Field(0, description="another seed grows another forest")
    n_jobs: Annotated[int, Runtime] = Field(1, description="threads that grow the forest; -1 for one a core")
    text: str = Field("text", description="the column that is judged")

    _classifier: Classifier | None = PrivateAttr(None)

    def check(self) -> Iterable[Diagnostic]:
        """Complains about a share that a threshold makes meaningless."""
        if self.threshold is not None and "keep_share" in self.model_fields_set:
            yield Diagnostic("keep_share", "`threshold` and `keep_share` both say what is kept", "leave one of them out")

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """The share that is kept, as far as it is known."""
        flow = inputs["from"]
        if flow.documents is None or self.threshold is not None:
            return None
        tokens = None if flow.tokens is None else flow.tokens * self.keep_share
        return Estimate(flow.documents * self.keep_share, tokens, disk_bytes=40 * flow.documents)

    def prepare(self, inputs: StageInputs) -> None:
        """Grows the forest the first time, and reads it from the step's folder afterwards."""
        from textbookgen_quality.classifier import Classifier

        file = inputs.folder / "forest.npz"
        if not file.exists():
            self._learn(inputs, file)
        self._classifier = Classifier.load(file)

    def _learn(self, inputs: StageInputs, file: Path) -> None:
        from textbookgen_quality.classifier import Shape, learn

        labels = pl.concat([frame.select(self.text, self.score) for frame in inputs["labels"].frames()]).drop_nulls()
        good = (labels[self.score] >= self.good_score).to_numpy()
        if len(labels) < 10 or good.all() or not good.any():
            raise RunError(
                f"{len(labels)} labels, {int(good.sum())} of them good, are not enough to tell good from bad",
                place="labels",
                hint="label more documents, or move `good_score`",
            )
        shape = Shape(self.features, self.terms, self.components, self.trees, self.min_leaf, self.characters)
        learn(
            labels[self.text].to_list(), good, shape, self.held_out, self.keep_share, inputs.seed + self.seed, self.n_jobs, file
        )

    def sketch(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Of each document `id` and `score`, the probability that it is good."""
        if self._classifier is None:
            raise RunError("`quality/forest` judges only after `prepare` has grown its forest")
        scores = self._classifier.probabilities(docs[self.text].fill_null("").to_list())
        return pl.DataFrame({"id": docs["id"], "score": pl.Series(scores, dtype=pl.Float64)})

    def decide(self, sketches: pl.LazyFrame, corpus: pl.LazyFrame) -> pl.DataFrame:
        """Verdicts with the probability as `score`; of equal ones the earlier document is kept."""
        scores = sketches.select("id", "score").collect()
        if self.threshold is not None:
            keep, reason = pl.col("score") >= self.threshold, "below the threshold"
        else:
            many = max(1, round(self.keep_share * len(scores)))
            keep, reason = pl.col("score").rank("ordinal", descending=True) <= many, "below the kept share"
        verdicts = scores.with_columns(keep=keep)
        return verdicts.select("id", "keep", reason=pl.when(~pl.col("keep")).then(pl.lit(reason)), score="score")
