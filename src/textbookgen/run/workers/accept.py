"""What of a generator's writing counts: the judges of `accept`, the stage's target, and no more than were asked for.

All of it follows from the parts on disk, told in order; so a run that was killed decides as it would have.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import polars as pl

from textbookgen.api.sampler import AcceptedStats, Grid, Target
from textbookgen.api.stage import Filter, Generator
from textbookgen.run.workers.context import StepContext
from textbookgen.run.workers.parts import aligned
from textbookgen.storage.workspace import DATA, VERDICTS

#: Why a document that pleased does not count.
ENOUGH = "enough were accepted"
_ALIKE = "begins like enough others"
_COVERED = "its combination is there, and others are not"


class Acceptance:
    """Decides which documents of a part count, and remembers those of all parts before it.

    `accepted` is how many count so far; `tally` is what samplers see of them.
    """

    def __init__(self, context: StepContext, stage: Generator) -> None:
        self.context, self.stage = context, stage
        self.sampler = context.step.sampler.options if context.step.sampler else None
        self.target = stage.target or Target()
        self.accepted = 0
        self.stats = AcceptedStats(grid=self._grid(), words=self.target.words)

    def _grid(self) -> Grid | None:
        return self.sampler.grid() if self.sampler is not None and self.looks else None

    @property
    def decides(self) -> bool:
        """Whether there is anything to please: if not, all that is written counts."""
        return bool(self.stage.accept) or self.stage.target is not None

    @property
    def looks(self) -> bool:
        """Whether what was accepted is looked at, by the sampler or for the target."""
        return self.stage.target is not None or (self.sampler is not None and self.sampler.adapts)

    @property
    def remembers(self) -> bool:
        """Whether a judge compares with what was accepted before."""
        return any(type(bound.options).add_accepted is not Filter.add_accepted for bound in self.context.step.accept)

    # -- a part that was written

    def verdicts(self, rows: pl.DataFrame) -> pl.DataFrame:
        """What each judge says in turn, of what those before it kept; the target goes first, for it costs nothing."""
        verdicts = rows.select(
            "id", keep=pl.lit(True), reason=pl.lit(None, dtype=pl.String), detail=pl.lit(None, dtype=pl.String)
        )
        verdicts, left = self._without(verdicts, rows, self._refused(rows, certain=True))
        for judge in self._judges:
            told = aligned(judge.decide(left), left, judge.name).filter(~pl.col("keep"))
            if "detail" not in told.columns:
                told = told.with_columns(detail=pl.lit(None, dtype=pl.String))
            told = told.select("id", "keep", "reason", pl.col("detail").cast(pl.String))
            verdicts, left = self._without(verdicts, left, told)
        if not self.stage.inputs:
            verdicts, _ = self._without(verdicts, left, self._refused(left, certain=False))
        return verdicts

    @staticmethod
    def _without(verdicts: pl.DataFrame, left: pl.DataFrame, told: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        return verdicts.update(told, on="id"), left.filter(~pl.col("id").is_in(told["id"].implode()))

    def _refused(self, rows: pl.DataFrame, certain: bool) -> pl.DataFrame:
        """What cannot count: for `certain` whatever the judges say, otherwise because of those before it in the part."""
        result: list[dict[str, Any]] = []
        if self.stage.target is not None or not certain:
            room = _Remaining(self.stats, self.target, self.stage.count or 0, self.accepted)
            for key, draw, text in self._facts(rows):
                reason, detail = room.refuses(draw, text) if self.looks else (ENOUGH if room.full else "", "")
                if reason:
                    result.append({"id": key, "keep": False, "reason": reason, "detail": detail or None})
                elif not certain:
                    room.take(draw, text)
        return pl.DataFrame(result, schema={"id": pl.String, "keep": pl.Boolean, "reason": pl.String, "detail": pl.String})

    def _facts(self, rows: pl.DataFrame) -> Iterator[tuple[str, dict[str, Any], str]]:
        draws = [json.loads(draw or "{}") for draw in rows["draw"]] if self.looks else [{}] * len(rows)
        return zip(rows["id"].to_list(), draws, _said(rows) if self.looks else [""] * len(rows), strict=True)

    @cached_property
    def _judges(self) -> list[Filter]:
        judges = [bound.options.model_copy() for bound in self.context.step.accept]
        self.context.folder.own.mkdir(parents=True, exist_ok=True)
        for judge in judges:
            judge.prepare(self.context.inputs)
        return judges

    # -- a part that is on disk

    def count(self, part: int) -> None:
        """Counts what a part on disk holds, for the rate, for the target, and for samplers and judges that look."""
        rows = pl.read_parquet(self.context.folder.part(DATA, part))
        kept = rows
        if self.decides:
            verdicts = pl.read_parquet(self.context.folder.part(VERDICTS, part)).filter("keep")
            kept = rows.join(verdicts.select("id"), on="id", how="semi", maintain_order="left")
        self.accepted += len(kept)
        for judge in self._judges:
            judge.add_accepted(kept)
        if self.looks:
            counted = set(kept["id"])
            for key, draw, text in self._facts(rows):
                if key in counted:
                    self.stats.add(draw, text)
                else:
                    self.stats.add_rejected(draw)

    # -- when all is done

    def notes(self) -> Iterator[str]:
        """Whether the target was reached."""
        if self.stage.target is None or not self.stats.documents:
            return
        reached, said = [], []
        if self.target.openings is not None:
            opening, most = min(self.stats.openings.items(), key=lambda item: (-item[1], item[0]))
            reached.append(most <= self.target.max_same_opening(self.stats.documents))
            share = f"{most / self.stats.documents:.2%} begin '{opening}'"
            said.append(f"{share}, the commonest opening ({self.target.openings:.2%} allowed)")
        if self.target.coverage is not None and self.stats.grid is not None:
            covered = len(self.stats.cells) / self.stats.grid.cells
            reached.append(covered >= self.target.coverage)
            said.append(f"{covered:.2%} of {self.stats.grid.cells:,} combinations ({self.target.coverage:.2%} wanted)")
        if said:
            yield f"target {'reached' if all(reached) else 'NOT reached'}: {'; '.join(said)}"


class _Remaining:
    """What may still count of a part: how many documents, with which openings, and in which cells."""

    def __init__(self, stats: AcceptedStats, target: Target, count: int, accepted: int) -> None:
        self.stats, self.left, self.most = stats, count - accepted, target.max_same_opening(count)
        self.limits_openings = target.openings is not None
        self.openings: dict[str, int] = {}
        self.cells: set[tuple[str, ...]] = set()
        self.wanted = 0
        if target.coverage is not None and stats.grid is not None:
            self.wanted = math.ceil(target.coverage * stats.grid.cells - 1e-9) - len(stats.cells)

    @property
    def full(self) -> bool:
        return self.left <= 0

    def refuses(self, draw: dict[str, Any], text: str) -> tuple[str, str]:
        """The reason and its detail; empty if the document may count."""
        if self.full:
            return ENOUGH, ""
        opening = self.stats.opening(text) if self.limits_openings else ""
        if self.limits_openings and self.stats.openings[opening] + self.openings.get(opening, 0) >= self.most:
            return _ALIKE, opening
        if self.wanted >= self.left and not self._new(draw):
            return _COVERED, ""
        return "", ""

    def take(self, draw: dict[str, Any], text: str) -> None:
        """Counts a document in."""
        self.left -= 1
        if self.limits_openings:
            opening = self.stats.opening(text)
            self.openings[opening] = self.openings.get(opening, 0) + 1
        if self.stats.grid is not None and self._new(draw):
            self.wanted -= 1
            self.cells.add(self.stats.grid.cell(draw))

    def _new(self, draw: dict[str, Any]) -> bool:
        grid = self.stats.grid
        if grid is None:
            return False
        cell = grid.cell(draw)
        return cell not in self.stats.cells and cell not in self.cells


def _said(rows: pl.DataFrame) -> Sequence[str]:
    """What a reader sees first: the text, the last message of a conversation, or of the reply that was chosen."""
    if "text" in rows.columns:
        return rows["text"].fill_null("").to_list()
    column = "messages" if "messages" in rows.columns else "chosen"
    return rows[column].list.last().struct.field("content").fill_null("").to_list()
