"""Decide which documents of a generator count: its filters, its target, and no more than `count`.

All decisions follow from the parts on disk in their order, so a resumed run decides as an uninterrupted one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import polars as pl

from textbookgen.api.grader import Grader
from textbookgen.api.rows import opening_text, shown_values
from textbookgen.api.sampler import AcceptedStats, Grid, Target
from textbookgen.api.stage import Filter
from textbookgen.recipe.plan import GeneratorStep
from textbookgen.run.workers.context import StepContext
from textbookgen.run.workers.grade import Grading
from textbookgen.run.workers.parts import align_verdicts
from textbookgen.storage.ledger import Ledger
from textbookgen.storage.workspace import DATA, VERDICTS

#: Reasons of documents that pass all filters and do not count nevertheless.
COUNT_REACHED = "count reached"
OPENING_LIMIT = "opening too frequent"
CELL_COVERED = "combination already covered"

#: What graders said of a document, in their order; `reply` is the ledger key of the reply.
_GRADES = pl.List(
    pl.Struct({"filter": pl.Int64(), "use": pl.String(), "score": pl.Float64(), "detail": pl.String(), "reply": pl.String()})
)
_VERDICT_SCHEMA = {"id": pl.String(), "keep": pl.Boolean(), "reason": pl.String(), "detail": pl.String()}


class Acceptance:
    """Decides which documents of a part count.

    `accepted` is the number of documents that count in all parts so far, and `stats` is what samplers see of them.
    `gradings` asks the teachers of the graders among the filters, by the number of the filter; see `open_graders`.
    """

    def __init__(self, context: StepContext, step: GeneratorStep) -> None:
        self.context, self.step, self.stage = context, step, step.stage
        self.sampler = step.sampler.options if step.sampler else None
        self.target = self.stage.target or Target()
        self.accepted = 0
        self.stats = AcceptedStats(grid=self._grid(), opening_words=self.target.opening_words)
        self.gradings: dict[int, Grading] = {}

    def open_graders(self, ledger: Ledger, documents: int) -> None:
        """Prepare to ask the teachers of graders.

        Args:
            ledger: where replies are looked up and stored.
            documents: how many documents the step is asked for.
        """
        for number, session in self.context.filter_sessions.items():
            component, grader = self.step.filters[number], self._filters[number]
            if isinstance(grader, Grader) and component.teacher is not None:
                self.gradings[number] = Grading(
                    grader,
                    component.teacher.use,
                    session,
                    self.context.prompts,
                    ledger,
                    offline=self.context.offline,
                    total=documents,
                )

    def _grid(self) -> Grid | None:
        return self.sampler.grid() if self.sampler is not None and self.needs_stats else None

    @property
    def rejects(self) -> bool:
        """Whether a document can be rejected: if not, every one counts and there are no verdicts."""
        return self.step.rejects

    @property
    def needs_stats(self) -> bool:
        """Whether the sampler or the target depends on what was accepted before."""
        return self.stage.target is not None or (self.sampler is not None and self.sampler.adapts)

    @property
    def compares(self) -> bool:
        """Whether a filter compares documents with those accepted before."""
        return any(type(component.options).add_accepted is not Filter.add_accepted for component in self.step.filters)

    # -- the verdicts of a new part

    async def verdicts(self, rows: pl.DataFrame) -> tuple[pl.DataFrame, list[dict[str, Any]]]:
        """Return the verdicts on the rows of a part, and the failures of graders.

        The target goes first, since it costs nothing; each filter sees what those before it kept.

        Args:
            rows: documents with `id`, `draw` and content.

        Returns:
            Rows with `id`, `keep`, `reason` and `detail`, in the order of the documents, and with graders also `grades`:
            what each of them said. The failures are rows of the failures file.
        """
        null = pl.lit(None, dtype=pl.String)
        verdicts = rows.select("id", keep=pl.lit(True), reason=null, detail=null)
        verdicts, left = _reject(verdicts, rows, self._surplus(rows, certain=True))
        grades: dict[str, list[dict[str, Any]]] = {}
        failures: list[dict[str, Any]] = []
        for number, filter_ in enumerate(self._filters):
            if (grading := self.gradings.get(number)) is not None:
                decisions, ungraded = await grading.verdicts(left)
                failures += ungraded
                for verdict in decisions.iter_rows(named=True):
                    said = {name: verdict[name] for name in ("score", "detail", "reply")}
                    grade = {"filter": number, "use": self.step.filters[number].use, **said}
                    grades.setdefault(verdict["id"], []).append(grade)
            else:
                decisions = align_verdicts(filter_.decide(left), left, filter_.name)
            if "detail" not in decisions.columns:
                decisions = decisions.with_columns(detail=null)
            decisions = decisions.select("id", "keep", "reason", pl.col("detail").cast(pl.String))
            verdicts, left = _reject(verdicts, left, decisions.filter(~pl.col("keep")))
        if not self.stage.inputs:
            verdicts, _ = _reject(verdicts, left, self._surplus(left, certain=False))
        if self.gradings:
            column = pl.Series("grades", [grades.get(key, []) for key in verdicts["id"]], dtype=_GRADES)
            verdicts = verdicts.with_columns(column)
        return verdicts, failures

    def _surplus(self, rows: pl.DataFrame, certain: bool) -> pl.DataFrame:
        """Return the verdicts on rows that exceed `count` or break the target.

        Args:
            rows: documents.
            certain: only those that cannot count whatever the filters decide; otherwise, given that all other rows count,
                also those that exceed what is left after the rows before them.
        """
        rejected: list[dict[str, Any]] = []
        if self.stage.target is not None or not certain:
            remaining = _Remaining(self.stats, self.target, self.stage.count or 0, self.accepted)
            for key, draw, shown, text in self._draws_and_texts(rows):
                if self.needs_stats:
                    reason, detail = remaining.rejection(draw, shown, text)
                else:
                    reason, detail = (COUNT_REACHED if remaining.full else ""), ""
                if reason:
                    rejected.append({"id": key, "keep": False, "reason": reason, "detail": detail or None})
                elif not certain:
                    remaining.take(draw, shown, text)
        return pl.DataFrame(rejected, schema=_VERDICT_SCHEMA)

    def _draws_and_texts(self, rows: pl.DataFrame) -> Iterator[tuple[str, dict[str, Any], dict[str, Any], str]]:
        """Yield id, draw, shown values and opening text of each row; the latter three are empty unless they are needed."""
        if not self.needs_stats:
            return iter([(key, {}, {}, "") for key in rows["id"]])
        draws = [json.loads(draw or "{}") for draw in rows["draw"]]
        return zip(rows["id"].to_list(), draws, shown_values(rows), opening_text(rows), strict=True)

    @cached_property
    def _filters(self) -> list[Filter]:
        filters = [component.options.model_copy() for component in self.step.filters]
        self.context.folder.own.mkdir(parents=True, exist_ok=True)
        for filter_ in filters:
            filter_.prepare(self.context.inputs)
        return filters

    # -- a part on disk

    def count(self, part: int) -> None:
        """Count the documents of a part on disk: for the acceptance rate, the target, and samplers and filters that adapt."""
        rows = pl.read_parquet(self.context.folder.part(DATA, part))
        kept = rows
        if self.rejects:
            verdicts = pl.read_parquet(self.context.folder.part(VERDICTS, part)).filter("keep")
            kept = rows.join(verdicts.select("id"), on="id", how="semi", maintain_order="left")
        self.accepted += len(kept)
        for filter_ in self._filters:
            filter_.add_accepted(kept)
        if self.needs_stats:
            accepted_ids = set(kept["id"])
            for key, draw, shown, text in self._draws_and_texts(rows):
                if key in accepted_ids:
                    self.stats.add(draw, text, shown)
                else:
                    self.stats.add_rejected(draw)

    # -- the end of the step

    def notes(self) -> Iterator[str]:
        """Yield whether the target was reached, with the shares."""
        if self.stage.target is None or not self.stats.documents:
            return
        reached, figures = [], []
        if self.target.openings is not None:
            opening, count = min(self.stats.openings.items(), key=lambda item: (-item[1], item[0]))
            reached.append(count <= self.target.max_same_opening(self.stats.documents))
            share = f"{count / self.stats.documents:.2%} of the documents begin with '{opening}'"
            figures.append(f"{share}, the most frequent opening (limit {self.target.openings:.2%})")
        if self.target.coverage is not None and self.stats.grid is not None:
            covered = len(self.stats.cells) / self.stats.grid.cells
            reached.append(covered >= self.target.coverage)
            figures.append(
                f"{covered:.2%} of {self.stats.grid.cells:,} combinations covered (target {self.target.coverage:.2%})"
            )
        if figures:
            yield f"target {'reached' if all(reached) else 'NOT reached'}: {'; '.join(figures)}"


class _Remaining:
    """What may still be accepted in a part: how many documents, with which openings, and how many in new cells."""

    def __init__(self, stats: AcceptedStats, target: Target, count: int, accepted: int) -> None:
        self.stats, self.documents, self.max_same_opening = stats, count - accepted, target.max_same_opening(count)
        self.limits_openings = target.openings is not None
        self.openings: dict[str, int] = {}
        self.cells: set[tuple[str, ...]] = set()
        self.cells_to_cover = 0
        if target.coverage is not None and stats.grid is not None:
            self.cells_to_cover = math.ceil(target.coverage * stats.grid.cells - 1e-9) - len(stats.cells)

    @property
    def full(self) -> bool:
        return self.documents <= 0

    def rejection(self, draw: dict[str, Any], shown: dict[str, Any], text: str) -> tuple[str, str]:
        """Return reason and detail of a rejection; both are empty if the document may count."""
        if self.full:
            return COUNT_REACHED, ""
        opening = self.stats.opening(text) if self.limits_openings else ""
        if self.limits_openings and self.stats.openings[opening] + self.openings.get(opening, 0) >= self.max_same_opening:
            return OPENING_LIMIT, opening
        if self.cells_to_cover >= self.documents and self._new_cell(draw, shown) is None:
            return CELL_COVERED, ""
        return "", ""

    def take(self, draw: dict[str, Any], shown: dict[str, Any], text: str) -> None:
        """Count a document as accepted."""
        self.documents -= 1
        if self.limits_openings:
            opening = self.stats.opening(text)
            self.openings[opening] = self.openings.get(opening, 0) + 1
        cell = self._new_cell(draw, shown)
        if cell is not None:
            self.cells_to_cover -= 1
            self.cells.add(cell)

    def _new_cell(self, draw: dict[str, Any], shown: dict[str, Any]) -> tuple[str, ...] | None:
        """Return the cell of a document if no document before it is in it."""
        cell = self.stats.grid.shown_cell(draw, shown) if self.stats.grid is not None else None
        return None if cell in self.stats.cells or cell in self.cells else cell


def _reject(verdicts: pl.DataFrame, left: pl.DataFrame, rejected: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the verdicts with these rejections, and the rows that are left."""
    return verdicts.update(rejected, on="id"), left.filter(~pl.col("id").is_in(rejected["id"].implode()))
