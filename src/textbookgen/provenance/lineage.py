"""Lineage: the documents of a run, back to their prompts and forward to the verdicts on them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from textbookgen.api.artifacts import Part, Shards
from textbookgen.api.errors import WorkspaceError
from textbookgen.provenance.history import DocumentHistory, ParentDocument, RequestHistory, request_history
from textbookgen.storage.ledger import Ledger, LedgerEntry
from textbookgen.storage.records import StepEntry, TableEntry
from textbookgen.storage.workspace import DATA, FAILURES, VERDICTS, Workspace, part_number

_EXCERPT = 160  # characters of a text in a list
_NO_REASON = "no reason given"
_FILE = "textbookgen.file"  # the column with the file that a verdict was read from


class Lineage:
    """The documents of one run: the latest, unless another is named.

    Raises:
        WorkspaceError: there is no such run.
    """

    def __init__(self, workspace: Workspace, run: str = "") -> None:
        self.workspace = workspace
        self.run = workspace.run(run)
        self.steps = self.run.plan().steps

    # -- the output of a stage

    def parts(self, label: str) -> list[Part]:
        """Return the existing parts of a stage's output.

        Raises:
            WorkspaceError: the run has no such stage, or the stage has no documents (yet).
        """
        step = self._step(label)
        folder = self.workspace.step(step.address)
        data, verdicts = folder.parts(DATA), {part_number(file): file for file in folder.parts(VERDICTS)}
        if data:
            return [Part(file, verdicts.get(part_number(file))) for file in data]
        if verdicts:  # a filter: its verdicts are numbered as the parts of its inputs are
            inputs = [part for source in step.inputs["from"] for part in self.parts(source)]
            return [Part(part.data, verdicts[number]) for number, part in enumerate(inputs) if number in verdicts]
        raise WorkspaceError(
            f"'{label}' has no documents in this run",
            place=str(folder.folder),
            hint="sources, generators, transforms and filters have documents once they have run",
        )

    def first_documents(self, label: str, rows: int) -> list[dict[str, Any]]:
        """Return the first rows of a stage's output."""
        documents: list[dict[str, Any]] = []
        for part in self.parts(label):
            documents += part.read().head(rows - len(documents)).to_dicts()
            if len(documents) >= rows:
                break
        return documents

    def count_by_kind(self, label: str) -> pl.DataFrame:
        """Return `documents`, `bytes`, `words` and `words_each` (the median) of a stage's output, one row per `kind`."""
        parts = self.parts(label)
        text = pl.col("text") if "text" in parts[0].scan().collect_schema() else pl.lit("")
        rows = pl.concat([part.scan().select("kind", text.alias("text")) for part in parts])
        words = pl.col("text").str.count_matches(r"\S+")
        counts = rows.group_by("kind").agg(
            documents=pl.len(), bytes=pl.col("text").str.len_bytes().sum(), words=words.sum(), words_each=words.median()
        )
        return counts.sort("kind").collect()

    # -- what a stage dropped

    def count_verdicts(self, label: str) -> dict[str, int]:
        """Return how many documents a stage dropped for each reason; those it kept are counted under an empty reason."""
        files = self.workspace.step(self._step(label).address).parts(VERDICTS)
        if not files:
            return {}
        reason = pl.when("keep").then(pl.lit("")).otherwise(pl.col("reason").fill_null(_NO_REASON))
        return dict(_scan(files).select(reason=reason).group_by("reason").len().collect().iter_rows())

    def dropped(self, label: str, examples: int) -> Iterator[dict[str, Any]]:
        """Yield each reason for which a stage dropped documents, or failed to write them, most frequent first.

        Yields:
            `reason`, `documents` (their number), and `examples`: `id`, `detail` and `text` of the first ones.
        """
        step = self._step(label)
        folder = self.workspace.step(step.address)
        if files := folder.parts(VERDICTS):
            data = {part.verdicts: part.data for part in self.parts(label)}
            rows = _scan(files, with_file=True).filter(~pl.col("keep"))
            yield from self._reasons(rows, examples, {str(verdicts): file for verdicts, file in data.items()})
        if files := folder.parts(FAILURES):
            yield from self._reasons(_scan(files, with_file=True), examples, {})

    def _reasons(self, rows: pl.LazyFrame, examples: int, data: Mapping[str, Path]) -> Iterator[dict[str, Any]]:
        """Yield the reasons of these rows; `data` has the file of the documents for each file of rows, where it is known."""
        rows = rows.with_columns(pl.col("reason").fill_null(_NO_REASON))
        counts = rows.group_by("reason").len().sort(["len", "reason"], descending=[True, False]).collect()
        first = rows.group_by("reason", maintain_order=True).head(examples).collect()
        texts = self._excerpts(first, data)
        for reason, count in counts.iter_rows():
            shown = [
                {"id": row["id"] or f"n = {row.get('n')}", "detail": row.get("detail") or "", "text": texts.get(row["id"], "")}
                for row in first.filter(pl.col("reason") == reason).iter_rows(named=True)
            ]
            yield {"reason": reason, "documents": count, "examples": shown}

    def _excerpts(self, rows: pl.DataFrame, data: Mapping[str, Path]) -> dict[str, str]:
        """Return the beginning of the text of each of these documents, by id; each file of documents is read once."""
        texts: dict[str, str] = {}
        for (file,), group in rows.group_by(_FILE):
            ids = group["id"].drop_nulls().to_list()
            if (documents := data.get(str(file))) is not None:
                matches = pl.scan_parquet(documents).filter(pl.col("id").is_in(ids)).collect()
                texts |= {row["id"]: _excerpt(row) for row in matches.iter_rows(named=True)}
            else:
                texts |= {document: self._excerpt(document) for document in ids}
        return texts

    def _excerpt(self, document: str | None) -> str:
        match = self._row(document) if document else None
        return "" if match is None else _excerpt(match[1])

    # -- the history of a document

    def history(self, document: str) -> DocumentHistory:
        """Return everything that the run knows of a document.

        Raises:
            WorkspaceError: no step of the run has a document of this id.
        """
        match = self._row(document)
        if match is None:
            hint = "`textbookgen corpus head STAGE` prints ids"
            raise WorkspaceError(f"run {self.run.name} has no document with the id {document}", hint=hint)
        step, row = match
        entry = self._ledger_entry(row["reply"])
        return DocumentHistory(
            id=document,
            document=row,
            run=self.run.name,
            recipe=str(self.run.folder / "recipe.toml"),
            step=step,
            request=None if entry is None else request_history(entry, step.teacher, step.options),
            parents=tuple(ParentDocument(parent, self._excerpt(parent)) for parent in row["parents"] or []),
            verdicts=tuple(self._verdicts(document)),
            packed=tuple(item.label for item in self.steps if Shards.name in item.output and self._is_input_of(document, item)),
        )

    def _row(self, document: str) -> tuple[StepEntry, dict[str, Any]] | None:
        """Return the step that has the document, and its row."""
        for step in self.steps:
            for file in self.workspace.step(step.address).parts(DATA):
                ids = pl.read_parquet(file, columns=["id"])["id"]  # a small column, where a row may be large
                if (at := ids.index_of(document)) is not None:
                    return step, pl.scan_parquet(file).slice(at, 1).collect().to_dicts()[0]
        return None

    def _ledger_entry(self, key: str | None) -> LedgerEntry | None:
        if key is None or not self.workspace.ledger.exists():
            return None
        ledger = Ledger(self.workspace.ledger)
        try:
            return ledger.entry(key)
        finally:
            ledger.close()

    def _verdicts(self, document: str) -> Iterator[dict[str, Any]]:
        """Yield the verdicts on a document, in the order of the stages."""
        for step in self.steps:
            for file in self.workspace.step(step.address).parts(VERDICTS):
                for verdict in pl.scan_parquet(file).filter(pl.col("id") == document).collect().to_dicts():
                    yield {"label": step.label, "use": step.use, **verdict, "requests": self._grading(step, verdict)}

    def _grading(self, step: StepEntry, verdict: Mapping[str, Any]) -> list[RequestHistory]:
        """Return what teachers were asked for a verdict: that of a grader, or of the graders in `accept`."""
        asked: list[tuple[str | None, TableEntry | None, Mapping[str, Any]]] = [
            (verdict.get("reply"), step.teacher, step.options)
        ]
        graders = {item.filter: item for item in step.graders}
        for grade in verdict.get("grades") or ():
            grader = graders[grade["filter"]]
            asked.append((grade["reply"], grader.teacher, grader.options))
        entries = [(self._ledger_entry(key), teacher, options) for key, teacher, options in asked]
        return [request_history(entry, teacher, options) for entry, teacher, options in entries if entry is not None]

    def _is_input_of(self, document: str, step: StepEntry) -> bool:
        for source in step.inputs.get("from", ()):
            for part in self.parts(source):
                if len(part.scan().filter(pl.col("id") == document).select("id").collect()):
                    return True
        return False

    def _step(self, label: str) -> StepEntry:
        for step in self.steps:
            if Path(label).name in (step.label, step.address):
                return step
        hint = f"its stages are {', '.join(step.label for step in self.steps)}"
        raise WorkspaceError(f"run {self.run.name} has no stage '{label}'", hint=hint)

    # -- for people

    def format_document(self, row: Mapping[str, Any]) -> str:
        """Return a document as text: its id, the prompt if a teacher wrote it, and its content."""
        entry = self._ledger_entry(row["reply"])
        lines = [f"── {row['id']}  {row['kind']}  {row['draw'] or ''}"]
        if entry is not None:
            lines += [f"{message.role}: {message.content}" for message in entry.request.messages] + ["─" * 8]
        return "\n".join([*lines, _content(row), ""])


def _scan(files: Sequence[Path], *, with_file: bool = False) -> pl.LazyFrame:
    scans = [pl.scan_parquet(file) for file in files]
    if with_file:
        scans = [scan.with_columns(pl.lit(str(file)).alias(_FILE)) for scan, file in zip(scans, files, strict=True)]
    return pl.concat(scans, how="diagonal_relaxed")


def _excerpt(row: Mapping[str, Any]) -> str:
    return " ".join(_content(row)[: 20 * _EXCERPT].split())[:_EXCERPT]


def _content(row: Mapping[str, Any]) -> str:
    """Return the text of a document, the turns of a conversation, or a prompt with both replies of a pair."""
    if "text" in row:
        return str(row["text"])
    if "messages" in row:
        return _turns(row["messages"])
    return "\n".join([_turns(row["prompt"]), *(f"{name}:\n{_turns(row[name])}" for name in ("chosen", "rejected"))])


def _turns(messages: Iterable[Mapping[str, str]]) -> str:
    return "\n".join(f"{message['role']}: {message['content']}" for message in messages)
