"""`sample`: some of the documents, the same ones on every run."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from typing import ClassVar

import polars as pl
from pydantic import Field, PrivateAttr

from textbookgen.api.errors import Diagnostic, RunError
from textbookgen.api.stage import Estimate, Filter, StageInputs


class Sample(Filter):
    """Keeps a share of the documents, or so many of them, drawn by a hash of their ids: the same ones on every run.

    A sample of fewer is part of a sample of more, and a document's fate does not hang on the others' order.
    """

    name: ClassVar[str] = "sample"

    share: float | None = Field(None, gt=0, le=1, description="keep about this share of the documents")
    count: int | None = Field(None, gt=0, description="keep so many documents, or all if there are fewer")
    seed: int = Field(0, description="another seed draws another sample")
    _limit: int | None = PrivateAttr(None)

    def check(self) -> Iterable[Diagnostic]:
        """Neither or both of share and count, or a count of documents that do not flow by."""
        if (self.share is None) == (self.count is None):
            yield Diagnostic(
                "share", "say either `share` or `count`", "share = 0.1 keeps a tenth, count = 1000 keeps a thousand documents"
            )
        if self.count is not None and not self.inputs:
            yield Diagnostic("count", "needs a `from` to count", "use `share` where documents are judged one by one")

    def prepare(self, inputs: StageInputs) -> None:
        """Finds the hash below which so many documents lie, reading ids alone, and keeps it beside the step."""
        if self.share is not None:
            self._limit = int(self.share * 2**64)
            return
        kept = inputs.folder / f"limit-{self.count}-{self.seed}"
        if not kept.exists():
            limit = self._find_limit(inputs)
            inputs.folder.mkdir(parents=True, exist_ok=True)
            beside = kept.with_suffix(f".{os.getpid()}")
            beside.write_text(str(limit), encoding="utf-8")
            beside.replace(kept)
        self._limit = int(kept.read_text(encoding="utf-8"))

    def decide(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Keeps what lies below the limit."""
        if self._limit is None:
            raise RunError("was asked to judge before it was prepared")
        keep = pl.Series("keep", [stable_hash(f"{self.seed}/{key}") < self._limit for key in docs["id"]], dtype=pl.Boolean)
        reason = pl.when("keep").then(None).otherwise(pl.lit("not sampled")).alias("reason")
        return docs.select("id").with_columns(keep).with_columns(reason)

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """A share of what flows in."""
        flow = inputs.get("from")
        if flow is None or flow.documents is None:
            return Estimate(documents=self.count)
        share = self.share if self.share is not None else min(1.0, (self.count or 0) / max(flow.documents, 1))
        return Estimate(documents=flow.documents * share, tokens=None if flow.tokens is None else flow.tokens * share)

    def _find_limit(self, inputs: StageInputs) -> int:
        count = self.count or 0
        lowest = pl.Series("hash", [], dtype=pl.UInt64)
        for docs in inputs["from"].frames(["id"]):
            hashes = pl.Series("hash", [stable_hash(f"{self.seed}/{key}") for key in docs["id"]], dtype=pl.UInt64)
            lowest = pl.concat([lowest, hashes]).bottom_k(count)
        return 2**64 if len(lowest) < count else int(lowest.max()) + 1  # type: ignore[arg-type]


def stable_hash(text: str) -> int:
    """A number below 2**64, the same on every machine."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
