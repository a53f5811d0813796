"""Where a document comes from and where it goes: reads a run's folders back to the prompt and forward to the verdicts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from textbookgen.api.artifacts import Part
from textbookgen.api.errors import WorkspaceError
from textbookgen.storage.ledger import Entry, Ledger
from textbookgen.storage.workspace import DATA, FAILURES, VERDICTS, Workspace

_SHOWN = 160  # characters of a text in a list of examples


class Lineage:
    """The documents of one run, the latest unless another is named.

    Raises:
        WorkspaceError: there is no such run.
    """

    def __init__(self, workspace: Workspace, run: str = "") -> None:
        self.workspace = workspace
        self.run = workspace.run(run)
        self.steps: list[dict[str, Any]] = self.run.plan()["steps"]

    # -- what flows out of a stage

    def parts(self, label: str) -> list[Part]:
        """The parts that flow out of a stage.

        Raises:
            WorkspaceError: the run has no such stage, or nothing flows out of it yet.
        """
        step = self._step(label)
        folder = self.workspace.step(step["address"])
        data, verdicts = folder.parts(DATA), folder.parts(VERDICTS)
        if not data and verdicts:
            inflow = [part for source in step["inputs"]["from"] for part in self.parts(source)]
            return [Part(part.data, file) for part, file in zip(inflow, verdicts, strict=False)]
        if not data:
            raise WorkspaceError(
                f"'{label}' has no documents in this run",
                place=str(folder.folder),
                hint="corpora are what sources, generators and judges give",
            )
        return [Part(file, folder.part(VERDICTS, number) if verdicts else None) for number, file in enumerate(data)]

    def first(self, label: str, rows: int) -> list[dict[str, Any]]:
        """The first documents that flow out of a stage."""
        result: list[dict[str, Any]] = []
        for part in self.parts(label):
            result += part.read().head(rows - len(result)).to_dicts()
            if len(result) >= rows:
                break
        return result

    def counted(self, label: str) -> pl.DataFrame:
        """Documents, bytes and words that flow out of a stage, by kind."""
        text = pl.col("text") if self.parts(label) and "text" in self.parts(label)[0].scan().collect_schema() else pl.lit("")
        rows = pl.concat([part.scan().select("kind", text.alias("text")) for part in self.parts(label)])
        words = pl.col("text").str.count_matches(r"\S+")
        counts = rows.group_by("kind").agg(
            documents=pl.len(), bytes=pl.col("text").str.len_bytes().sum(), words=words.sum(), words_each=words.median()
        )
        return counts.sort("kind").collect()

    # -- what a stage dropped

    def verdicts(self, label: str) -> dict[str, int]:
        """How many documents a stage judged, by reason; those it kept by an empty one."""
        files = self.workspace.step(self._step(label)["address"]).parts(VERDICTS)
        if not files:
            return {}
        reason = pl.when("keep").then(pl.lit("")).otherwise(pl.col("reason").fill_null("no reason given"))
        verdicts = pl.concat([pl.scan_parquet(file) for file in files], how="diagonal_relaxed")
        return dict(verdicts.select(reason=reason).group_by("reason").len().collect().iter_rows())

    def dropped(self, label: str, examples: int) -> Iterator[dict[str, Any]]:
        """Each reason of a stage's verdicts, or of its failures, with its count and some documents."""
        folder = self.workspace.step(self._step(label)["address"])
        files = folder.parts(VERDICTS)
        if files:
            verdicts = (
                pl.concat([pl.scan_parquet(file) for file in files], how="diagonal_relaxed").filter(~pl.col("keep")).collect()
            )
            yield from self._reasons(verdicts.with_columns(pl.col("reason").fill_null("no reason given")), examples)
        failures = folder.parts(FAILURES)
        if failures:
            yield from self._reasons(pl.concat([pl.read_parquet(file) for file in failures]), examples)

    def _reasons(self, rows: pl.DataFrame, examples: int) -> Iterator[dict[str, Any]]:
        for reason, count in rows.group_by("reason").len().sort(["len", "reason"], descending=[True, False]).iter_rows():
            some = rows.filter(pl.col("reason") == reason).head(examples).to_dicts()
            shown = [
                {"id": row["id"] or f"n = {row.get('n')}", "detail": row.get("detail") or "", "text": self._text(row["id"])}
                for row in some
            ]
            yield {"reason": reason, "documents": count, "examples": shown}

    def _text(self, document: str | None) -> str:
        result = document and self._row(document)
        if not result:
            return ""
        row = result[1]
        text = row["text"] if "text" in row else json.dumps(row.get("messages") or row.get("prompt"), default=str)
        return " ".join(text.split())[:_SHOWN]

    # -- one document's story

    def story(self, document: str) -> dict[str, Any]:
        """All that is known of a document: its step and stage, its request and reply, its parents, and every verdict on it.

        Raises:
            WorkspaceError: no step of the run holds it.
        """
        result = self._row(document)
        if result is None:
            raise WorkspaceError(
                f"no document of run {self.run.name} has the id {document}", hint="`textbookgen corpus head LABEL` shows ids"
            )
        step, row = result
        entry = self._entry(row["reply"])
        parents = [{"id": parent, "text": self._text(parent)} for parent in row["parents"] or []]
        return {
            "id": document,
            "document": row,
            "step": {key: step[key] for key in ("label", "use", "release", "address", "options")},
            "recipe": {"run": self.run.name, "file": str(self.run.folder / "recipe.toml")},
            "asked": None if entry is None else _asked(step, entry),
            "parents": parents,
            "verdicts": list(self._verdicts(document)),
            "packed": [item["label"] for item in self.steps if "Shards" in item["output"] and self._flows_into(document, item)],
        }

    def _row(self, document: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
        for step in self.steps:
            for file in self.workspace.step(step["address"]).parts(DATA):
                rows = pl.scan_parquet(file).filter(pl.col("id") == document).collect()
                if len(rows):
                    return step, rows.to_dicts()[0]
        return None

    def _entry(self, key: str | None) -> Entry | None:
        if key is None or not self.workspace.ledger.exists():
            return None
        ledger = Ledger(self.workspace.ledger)
        try:
            return ledger.entry(key)
        finally:
            ledger.close()

    def _verdicts(self, document: str) -> Iterator[dict[str, Any]]:
        """The verdicts on a document, in the order of the stages."""
        for step in self.steps:
            for file in self.workspace.step(step["address"]).parts(VERDICTS):
                for verdict in pl.scan_parquet(file).filter(pl.col("id") == document).collect().to_dicts():
                    yield {"label": step["label"], "use": step["use"], **verdict}

    def _flows_into(self, document: str, step: Mapping[str, Any]) -> bool:
        """Whether the document is among what flows into this step."""
        for source in step["inputs"].get("from", ()):
            for part in self.parts(source):
                if len(part.scan().filter(pl.col("id") == document).select("id").collect()):
                    return True
        return False

    def _step(self, label: str) -> dict[str, Any]:
        for step in self.steps:
            if Path(label).name in (step["label"], step["address"]):
                return step
        labels = ", ".join(step["label"] for step in self.steps)
        raise WorkspaceError(f"run {self.run.name} has no stage '{label}'", hint=f"there are {labels}")

    # -- for people

    def printed(self, row: Mapping[str, Any]) -> str:
        """A document as people read it: its id, the prompt it answers if it was asked for, and its text."""
        entry = self._entry(row["reply"])
        lines = [f"── {row['id']}  {row['kind']}  {row['draw'] or ''}"]
        if entry is not None:
            lines += [f"{message.role}: {message.content}" for message in entry.request.messages] + ["─" * 8]
        return "\n".join([*lines, _body(row), ""])

    def told(self, story: Mapping[str, Any]) -> str:
        """A document's story as people read it, from the recipe down to the shards."""
        return "\n".join(_told(story))


def _body(row: Mapping[str, Any]) -> str:
    """A document's text, a conversation turn by turn, or a prompt with the reply that was chosen and the other."""
    if "text" in row:
        return str(row["text"])
    if "messages" in row:
        return _turns(row["messages"])
    return "\n".join([_turns(row["prompt"]), *(f"{name}:\n{_turns(row[name])}" for name in ("chosen", "rejected"))])


def _turns(messages: Iterable[Mapping[str, str]]) -> str:
    return "\n".join(f"{item['role']}: {item['content']}" for item in messages)


def _asked(step: Mapping[str, Any], entry: Entry) -> dict[str, Any]:
    """The prompt, the draw, the teacher and what it answered."""
    return {
        "teacher": step["teacher"],
        "messages": [{"role": message.role, "content": message.content} for message in entry.request.messages],
        "task": entry.request.task,
        "draw": {key: value for key, value in entry.request.draw.items() if key != "document"},
        "prompt": _templates(step["options"]),
        "reply": entry.reply.text,
        "tokens": entry.reply.tokens_in + entry.reply.tokens_out,
        "cost_usd": entry.reply.cost_usd,
    }


def _templates(options: Mapping[str, Any]) -> str:
    """The name of the template that was filled in; of a stage with several, all of them, for none is noted with the reply."""
    names = sorted({str(value) for value in options.values() if isinstance(value, str) and value.endswith(".j2")})
    return names[0] if len(names) == 1 else f"one of {', '.join(names)}"


def _told(story: Mapping[str, Any]) -> Iterator[str]:
    step, asked = story["step"], story["asked"]
    yield f"document {story['id']}"
    yield f"  recipe   {story['recipe']['file']}"
    yield f"  stage    {step['label']}, {step['use']} ({step['release']})"
    if asked:
        teacher = asked["teacher"]
        kind = ", a program and not a language model" if teacher["stand_in"] else ""
        yield f"  teacher  {teacher['label']}, {teacher['use']}{kind}"
        yield f"  draw     {json.dumps(asked['draw'], ensure_ascii=False)}"
        yield f"  prompt   {asked['prompt']}"
        for message in asked["messages"]:
            yield _indented(f"{message['role']}: {message['content']}")
        yield f"  reply    {asked['tokens']:,} tokens, ${asked['cost_usd']:.6f}"
        yield _indented(asked["reply"])
    else:
        yield "  read     from " + str(story["document"].get("source.path") or "outside")
    for parent in story["parents"]:
        yield f"  parent   {parent['id']}: {parent['text']}"
    for verdict in story["verdicts"]:
        outcome = "kept" if verdict["keep"] else f"dropped: {verdict['reason']}"
        score = f", score {verdict['score']:.3f}" if verdict.get("score") is not None else ""
        detail = f" ({verdict['detail']})" if verdict.get("detail") else ""
        yield f"  verdict  {verdict['label']}, {verdict['use']}: {outcome}{score}{detail}"
    for label in story["packed"]:
        yield f"  packed   {label}"


def _indented(text: str) -> str:
    return "\n".join(f"    | {line}" for line in text.splitlines())
