"""The stage `pack`: documents, chats or pairs as token files that Megatron-core reads, with a part held out."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import polars as pl
from pydantic import Field

from textbookgen.api.annotations import Input, Labels
from textbookgen.api.artifacts import (
    Artifact,
    Chats,
    Documents,
    Pairs,
    PairShards,
    Table,
    TokenShards,
    TrainedTokenizer,
    origin_id,
)
from textbookgen.api.errors import Diagnostic, RunError
from textbookgen.api.stage import Estimate, Packer, StageInputs
from textbookgen.api.tokenizer import Tokenizer
from textbookgen.builtin.stages.pack.encoding import Conversations, PackingCounts, encoded_texts
from textbookgen.builtin.stages.pack.token_stream import encoded_stream
from textbookgen.training import sampled_ids as sampled
from textbookgen.training.architectures import padded
from textbookgen.training.chat_template import ChatTemplate
from textbookgen.training.sampled_ids import Encoded
from textbookgen.training.shards import FORMAT, SPLITS, Split

if TYPE_CHECKING:
    from collections.abc import Mapping

    from textbookgen.builtin.stages.pack.indexed_writer import ShardWriter

#: Documents encoded at once: enough for the tokenizer's threads, little enough to hold.
BATCH = 1_000


class Pack(Packer):
    """Packs documents, chats or pairs for Megatron-core: `.bin` and `.idx` of token ids, each ended by the tokenizer's eod.

    Of chats only what the assistant says is learned, of pairs only the two replies; control tokens of the chat template are
    single ids where the tokenizer has them, and no message can spell them. Pairs are packed chosen first, by the token ids
    they were sampled with where `megatron/pivotal-tokens` kept them. Which documents
    are held out is decided by each id alone, so that adding documents moves none of the others; copies that `mix` made of a
    document share its fate.
    """

    name: ClassVar[str] = "pack"
    output: ClassVar[type[Artifact] | None] = TokenShards

    inputs: Annotated[Labels, Input(Documents, Chats, Pairs)] = Field(
        alias="from", description="stages above whose documents, chats or pairs are packed"
    )
    tokenizer: Annotated[str, Input(TrainedTokenizer, or_name=True)] = Field(
        description="a stage above that trained a tokenizer, or the name of one, such as `hf:tokenizer.json` or `bytes`"
    )
    sequence_length: int = Field(2048, gt=1, description="tokens in a training window (phi-1: 2048)")
    validation_share: float = Field(0.02, ge=0, lt=1, description="share of documents held out, to measure bits per byte on")
    seed: int = Field(0, description="another seed holds out other documents")
    prompt: str | None = Field(
        None,
        description="column with each text's beginning, such as `textbooks.prompt`; `megatron/sft` learns only what follows",
    )
    chat_template: str = Field(
        "plain", description="how chats and pairs are written: plain, phi-3, phi-4, chatml, or a Jinja template written out"
    )

    def check(self) -> Iterable[Diagnostic]:
        """Chat templates that are none."""
        try:
            ChatTemplate.of(self.chat_template)
        except RunError as error:
            yield Diagnostic("chat_template", error.problem, error.hint)

    def output_type(self, inputs: Sequence[type[Artifact]]) -> type[Artifact]:
        """Pairs are for preference training alone."""
        return PairShards if any(issubclass(item, Pairs) for item in inputs) else TokenShards

    def pack(self, inputs: StageInputs, out: Path) -> None:
        """Writes train and valid files, the tokenizer, and `manifest.json` last; files of a torn attempt are written over.

        Raises:
            RunError: there is nothing to train on, the `prompt` column is missing or is no prefix of a text, or the files
                could not be written.
        """
        from textbookgen.builtin.stages.pack.indexed_writer import ShardWriter

        tokenizer = inputs.tokenizer("tokenizer", self.tokenizer)
        table: Table = inputs["from"]
        if self.prompt is not None and not isinstance(table, Documents):
            raise RunError(f"{table.name} have no prompt column", place="prompt", hint="take it away: only answers are learned")
        out.mkdir(parents=True, exist_ok=True)
        (out / "manifest.json").unlink(missing_ok=True)
        counts = PackingCounts()
        masked = self.prompt is not None or not isinstance(table, Documents)
        with ShardWriter(out, dtype_of(tokenizer.vocabulary), masked=masked) as writer:
            if isinstance(table, Documents) and not masked:
                for texts in self._texts(table, counts):
                    self._stream(texts, tokenizer, writer, counts)
            else:
                for docs in self._encoded(table, tokenizer, counts):
                    self._write(docs, writer, counts)
        self._finish(counts, tokenizer, table, out)

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """As many documents and tokens as flow in; two bytes a token (four above 65,500 ids)."""
        docs = inputs.get("from", Estimate())
        tokens = None if docs.tokens is None else docs.tokens + (docs.documents or 0)
        return Estimate(documents=docs.documents, tokens=tokens, disk_bytes=None if tokens is None else 2 * tokens)

    def _encoded(self, table: Table, tokenizer: Tokenizer, counts: PackingCounts) -> Iterator[list[Encoded]]:
        """What is packed, some hundreds at a time."""
        if isinstance(table, Documents):
            for texts in self._texts(table, counts):
                yield list(encoded_texts(texts, tokenizer))
            return
        conversations = Conversations(ChatTemplate.of(self.chat_template), tokenizer, self.sequence_length, counts)
        encode = conversations.chats if isinstance(table, Chats) else conversations.pairs
        for part in table.parts:
            result = part.scan()
            columns = result.collect_schema()
            kept = [*table.content, *(name for name in sampled.COLUMNS if name in columns)]
            for rows in result.select(*kept, id=origin_id(columns)).collect().iter_slices(BATCH):
                yield list(encode(rows))

    def _texts(self, documents: Documents, counts: PackingCounts) -> Iterator[pl.DataFrame]:
        """Documents with text, some hundreds at a time, with `id`, `text` and, where wanted, `prompt`."""
        result = self.prompt is None
        for part in documents.parts:
            rows = part.scan()
            columns = rows.collect_schema()
            known = self.prompt is not None and self.prompt in columns
            result = result or known
            prompt = pl.col(self.prompt) if known and self.prompt else pl.lit(None, pl.String)
            for batch in rows.select("text", id=origin_id(columns), prompt=prompt).collect().iter_slices(BATCH):
                texts = batch.filter(pl.col("text").str.len_bytes() > 0)
                counts.empty += batch.height - texts.height
                if texts.height:
                    yield texts
        if not result and documents.parts:
            raise RunError(
                f"no document has a column {self.prompt!r}", place="prompt", hint="name a column that the stage above writes"
            )

    def _write(self, docs: list[Encoded], writer: ShardWriter, counts: PackingCounts) -> None:
        """Packs documents of which only a part is learned."""
        for split in SPLITS:
            mine = [doc for doc in docs if self._split(doc.id) == split]
            for doc in mine:
                counts.add(split, doc)
            writer.add(split, [doc.tokens for doc in mine], [doc.learned for doc in mine])

    def _stream(self, texts: pl.DataFrame, tokenizer: Tokenizer, writer: ShardWriter, counts: PackingCounts) -> None:
        """Packs whole texts, of which all is learned."""
        splits = pl.Series([self._split(document) for document in texts["id"]], dtype=pl.String)
        for split in SPLITS:
            mine = texts["text"].filter(splits == split)
            if len(mine):
                stream = encoded_stream(mine, tokenizer)
                counts.add_stream(split, stream)
                writer.stream(split, stream.tokens, stream.lengths)

    def _split(self, document: str) -> Split:
        digest = hashlib.blake2b(f"{self.seed}\x1f{document}".encode(), digest_size=8).digest()
        return "valid" if int.from_bytes(digest, "big") < self.validation_share * 2**64 else "train"

    def _finish(self, counts: PackingCounts, tokenizer: Tokenizer, table: Table, out: Path) -> None:
        if not counts.counts["train"].tokens:
            raise RunError(
                f"there is nothing to train on{counts.why()}",
                place="from",
                hint="lower validation_share, or look where documents went",
            )
        if tokenizer.file is not None:
            shutil.copyfile(tokenizer.file, out / "tokenizer.json")
        chats = not isinstance(table, Documents)
        card: dict[str, Any] = {
            "format": FORMAT,
            "content": table.name,
            "chat": asdict(ChatTemplate.of(self.chat_template)) if counts.written else None,
            "tokenizer": {
                "name": tokenizer.name,
                "digest": tokenizer.digest,
                "file": "tokenizer.json" if tokenizer.file is not None else None,
            },
            "vocabulary": tokenizer.vocabulary,
            "padded_vocabulary": padded(tokenizer.vocabulary),
            "eod": tokenizer.eod,
            "dtype": dtype_of(tokenizer.vocabulary),
            "sequence_length": self.sequence_length,
            "loss_mask": self.prompt is not None or chats,
            "validation_share": self.validation_share,
            "seed": self.seed,
            "empty": counts.empty,
            "unanswered": counts.unanswered,
            "too_long": counts.too_long,
            **{
                total: sum(getattr(counts.counts[split], total) for split in SPLITS)
                for total in ("documents", "tokens", "bytes")
            },
            **{split: asdict(counts.counts[split]) for split in SPLITS},
        }
        whole = out / "manifest.json.tmp"
        whole.write_text(json.dumps(card, indent=2), encoding="utf-8")
        whole.replace(out / "manifest.json")


def dtype_of(vocabulary: int) -> str:
    """The type of ids in token files: the smaller one below 65,500 ids, as Megatron-core chooses."""
    return "uint16" if vocabulary < 65_500 else "int32"
