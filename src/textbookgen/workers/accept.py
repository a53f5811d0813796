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

from textbookgen.sampler import Ground, Tally, Target
from textbookgen.stage import Generator, Judge
from textbookgen.workers.bench import Bench
from textbookgen.workers.parts import aligned
from textbookgen.workspace import DATA, VERDICTS

#: Why a document that pleased does not count.
ENOUGH = "enough were accepted"
_ALIKE = "begins like enough others"
_COVERED = "its combination is there, and others are not"


class Acceptance:
    """Decides which documents of a part count, and remembers those of all parts before it.

    `accepted` is how many count so far; `tally` is what samplers see of them.
    """

    def __init__(self, bench: Bench, stage: Generator) -> None:
        self.bench, self.stage = bench, stage
        self.sampler = bench.step.sampler.options if bench.step.sampler else None
        self.target = stage.target or Target()
        self.accepted = 0
        self.tally = Tally(ground=self._ground(), words=self.target.words)

    def _ground(self) -> Ground | None:
        return self.sampler.ground() if self.sampler is not None and self.looks else None

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
        return any(type(bound.options).recall is not Judge.recall for bound in self.bench.step.accept)

    # -- a part that was written

    def verdicts(self, rows: pl.DataFrame) -> pl.DataFrame:
        """What each judge says in turn, of what those before it kept; the target goes first, for it costs nothing."""
        verdicts = rows.select(
            "id", keep=pl.lit(True), reason=pl.lit(None, dtype=pl.String), detail=pl.lit(None, dtype=pl.String)
        )
        verdicts, left = self._without(verdicts, rows, self._refused(rows, certain=True))
        for judge in self._judges:
            told = aligned(judge.judge(left), left, judge.name).filter(~pl.col("keep"))
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
        found: list[dict[str, Any]] = []
        if self.stage.target is not None or not certain:
            room = _Room(self.tally, self.target, self.stage.count or 0, self.accepted)
            for key, draw, text in self._facts(rows):
                reason, detail = room.refuses(draw, text) if self.looks else (ENOUGH if room.full else "", "")
                if reason:
                    found.append({"id": key, "keep": False, "reason": reason, "detail": detail or None})
                elif not certain:
                    room.take(draw, text)
        return pl.DataFrame(found, schema={"id": pl.String, "keep": pl.Boolean, "reason": pl.String, "detail": pl.String})

    def _facts(self, rows: pl.DataFrame) -> Iterator[tuple[str, dict[str, Any], str]]:
        draws = [json.loads(draw or "{}") for draw in rows["draw"]] if self.looks else [{}] * len(rows)
        return zip(rows["id"].to_list(), draws, _said(rows) if self.looks else [""] * len(rows), strict=True)

    @cached_property
    def _judges(self) -> list[Judge]:
        judges = [bound.options.model_copy() for bound in self.bench.step.accept]
        self.bench.folder.own.mkdir(parents=True, exist_ok=True)
        for judge in judges:
            judge.prepare(self.bench.given)
        return judges

    # -- a part that is on disk

    def count(self, part: int) -> None:
        """Counts what a part on disk holds, for the rate, for the target, and for samplers and judges that look."""
        rows = pl.read_parquet(self.bench.folder.part(DATA, part))
        kept = rows
        if self.decides:
            verdicts = pl.read_parquet(self.bench.folder.part(VERDICTS, part)).filter("keep")
            kept = rows.join(verdicts.select("id"), on="id", how="semi", maintain_order="left")
        self.accepted += len(kept)
        for judge in self._judges:
            judge.recall(kept)
        if self.looks:
            counted = set(kept["id"])
            for key, draw, text in self._facts(rows):
                if key in counted:
                    self.tally.add(draw, text)
                else:
                    self.tally.refuse(draw)

    # -- when all is done

    def notes(self) -> Iterator[str]:
        """Whether the target was reached."""
        if self.stage.target is None or not self.tally.documents:
            return
        reached, said = [], []
        if self.target.openings is not None:
            opening, most = min(self.tally.openings.items(), key=lambda each: (-each[1], each[0]))
            reached.append(most <= self.target.most_alike(self.tally.documents))
            share = f"{most / self.tally.documents:.2%} begin '{opening}'"
            said.append(f"{share}, the commonest opening ({self.target.openings:.2%} allowed)")
        if self.target.coverage is not None and self.tally.ground is not None:
            covered = len(self.tally.cells) / self.tally.ground.cells
            reached.append(covered >= self.target.coverage)
            said.append(f"{covered:.2%} of {self.tally.ground.cells:,} combinations ({self.target.coverage:.2%} wanted)")
        if said:
            yield f"target {'reached' if all(reached) else 'NOT reached'}: {'; '.join(said)}"


class _Room:
    """What may still count of a part: how many documents, with which openings, and in which cells."""

    def __init__(self, tally: Tally, target: Target, count: int, accepted: int) -> None:
        self.tally, self.left, self.most = tally, count - accepted, target.most_alike(count)
        self.limits_openings = target.openings is not None
        self.openings: dict[str, int] = {}
        self.cells: set[tuple[str, ...]] = set()
        self.wanted = 0
        if target.coverage is not None and tally.ground is not None:
            self.wanted = math.ceil(target.coverage * tally.ground.cells - 1e-9) - len(tally.cells)

    @property
    def full(self) -> bool:
        return self.left <= 0

    def refuses(self, draw: dict[str, Any], text: str) -> tuple[str, str]:
        """The reason and its detail; empty if the document may count."""
        if self.full:
            return ENOUGH, ""
        opening = self.tally.opening(text) if self.limits_openings else ""
        if self.limits_openings and self.tally.openings[opening] + self.openings.get(opening, 0) >= self.most:
            return _ALIKE, opening
        if self.wanted >= self.left and not self._new(draw):
            return _COVERED, ""
        return "", ""

    def take(self, draw: dict[str, Any], text: str) -> None:
        """Counts a document in."""
        self.left -= 1
        if self.limits_openings:
            opening = self.tally.opening(text)
            self.openings[opening] = self.openings.get(opening, 0) + 1
        if self.tally.ground is not None and self._new(draw):
            self.wanted -= 1
            self.cells.add(self.tally.ground.cell(draw))

    def _new(self, draw: dict[str, Any]) -> bool:
        ground = self.tally.ground
        if ground is None:
            return False
        cell = ground.cell(draw)
        return cell not in self.tally.cells and cell not in self.cells


def _said(rows: pl.DataFrame) -> Sequence[str]:
    """What a reader sees first: the text, the last message of a conversation, or of the reply that was chosen."""
    if "text" in rows.columns:
        return rows["text"].fill_null("").to_list()
    column = "messages" if "messages" in rows.columns else "chosen"
    return rows[column].list.last().struct.field("content").fill_null("").to_list()
