"""The stage `megatron/pack`: documents as token files that Megatron-core reads, with a part held out."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import polars as pl
from pydantic import Field

from textbookgen.artifacts import Documents, Vocabulary, held_by
from textbookgen.errors import RunError
from textbookgen.marks import Labels, Pipe
from textbookgen.stage import Given, Pack, Volume
from textbookgen.tokenizer import Tokenizer
from textbookgen_megatron.shape import padded
from textbookgen_megatron.shards import FORMAT, SPLITS, Counts, Split

if TYPE_CHECKING:
    from collections.abc import Mapping

    from textbookgen_megatron.writing import ShardWriter

#: Documents encoded at once: enough for the tokenizer's threads, little enough to hold.
BATCH = 1_000


class MegatronPack(Pack):
    """Packs documents for Megatron-core: `.bin` and `.idx` of token ids, each document ended by the tokenizer's eod.

    Which documents are held out is decided by each id alone, so that adding documents moves none of the others; copies that
    `mix` made of a document share its fate.
    """

    name: ClassVar[str] = "pack"

    inputs: Annotated[Labels, Pipe(Documents)] = Field(alias="from", description="stages above whose documents are packed")
    tokenizer: Annotated[str, Pipe(Vocabulary, or_name=True)] = Field(
        description="a stage above that trained a tokenizer, or the name of one, such as `hf:tokenizer.json` or `bytes`"
    )
    sequence_length: int = Field(2048, gt=1, description="tokens in a training window (phi-1: 2048)")
    validation_share: float = Field(0.02, ge=0, lt=1, description="share of documents held out, to measure bits per byte on")
    seed: int = Field(0, description="another seed holds out other documents")
    prompt: str | None = Field(
        None,
        description="column with each text's beginning, such as `textbooks.prompt`; `megatron/sft` learns only what follows",
    )

    def pack(self, given: Given, out: Path) -> None:
        """Writes train and valid files, the tokenizer, and `manifest.json` last; files of a torn attempt are written over.

        Raises:
            RunError: there is nothing to train on, the `prompt` column is missing or is no prefix of a text, or the files
                could not be written.
        """
        from textbookgen_megatron.writing import ShardWriter

        tokenizer = given.tokenizer("tokenizer", self.tokenizer)
        out.mkdir(parents=True, exist_ok=True)
        (out / "manifest.json").unlink(missing_ok=True)
        tally = Tally()
        with ShardWriter(out, tokenizer.vocabulary, masked=self.prompt is not None) as writer:
            for batch in self._batches(given["from"]):
                self._write(batch, tokenizer, writer, tally)
        self._finish(tally, tokenizer, out)

    def foresee(self, flows: Mapping[str, Volume]) -> Volume | None:
        """As many documents and tokens as flow in; two bytes a token (four above 65,500 ids)."""
        docs = flows.get("from", Volume())
        tokens = None if docs.tokens is None else docs.tokens + (docs.documents or 0)
        return Volume(documents=docs.documents, tokens=tokens, disk_bytes=None if tokens is None else 2 * tokens)

    def _batches(self, documents: Documents) -> Iterator[pl.DataFrame]:
        """The documents, some hundreds at a time, with `id`, `text` and, where wanted, `prompt`."""
        found = self.prompt is None
        for part in documents.parts:
            rows = part.scan()
            columns = rows.collect_schema()
            known = self.prompt is not None and self.prompt in columns
            found = found or known
            prompt = pl.col(self.prompt) if known and self.prompt else pl.lit(None, pl.String)
            yield from rows.select("text", id=held_by(columns), prompt=prompt).collect().iter_slices(BATCH)
        if not found and documents.parts:
            raise RunError(
                f"no document has a column {self.prompt!r}", place="prompt", hint="name a column that the stage above writes"
            )

    def _write(self, batch: pl.DataFrame, tokenizer: Tokenizer, writer: ShardWriter, tally: Tally) -> None:
        texts = batch.filter(pl.col("text").str.len_bytes() > 0)
        tally.empty += batch.height - texts.height
        if not texts.height:
            return
        ids, texts_, prompts = texts["id"].to_list(), texts["text"].to_list(), texts["prompt"].to_list()
        for doc in _encoded(ids, texts_, prompts, tokenizer):
            split = self._split(doc.id)
            tally.add(split, doc)
            writer.add(split, doc.tokens, doc.learned_from)
        writer.flush()

    def _split(self, document: str) -> Split:
        digest = hashlib.blake2b(f"{self.seed}\x1f{document}".encode(), digest_size=8).digest()
        return "valid" if int.from_bytes(digest, "big") < self.validation_share * 2**64 else "train"

    def _finish(self, tally: Tally, tokenizer: Tokenizer, out: Path) -> None:
        if not tally.counts["train"].tokens:
            raise RunError(
                "there is no document to train on", place="from", hint="lower validation_share, or look where documents went"
            )
        if tokenizer.file is not None:
            shutil.copyfile(tokenizer.file, out / "tokenizer.json")
        card: dict[str, Any] = {
            "format": FORMAT,
            "tokenizer": {
                "name": tokenizer.name,
                "digest": tokenizer.digest,
                "file": "tokenizer.json" if tokenizer.file is not None else None,
            },
            "vocabulary": tokenizer.vocabulary,
            "padded_vocabulary": padded(tokenizer.vocabulary),
            "eod": tokenizer.eod,
            "dtype": "uint16" if tokenizer.vocabulary < 65_500 else "int32",
            "sequence_length": self.sequence_length,
            "loss_mask": self.prompt is not None,
            "validation_share": self.validation_share,
            "seed": self.seed,
            "empty": tally.empty,
            **{
                total: sum(getattr(tally.counts[split], total) for split in SPLITS)
                for total in ("documents", "tokens", "bytes")
            },
            **{split: asdict(tally.counts[split]) for split in SPLITS},
        }
        whole = out / "manifest.json.tmp"
        whole.write_text(json.dumps(card, indent=2), encoding="utf-8")
        whole.replace(out / "manifest.json")


@dataclass(frozen=True)
class Encoded:
    """A document as token ids, eod included; what comes before `learned_from` is not learned."""

    id: str
    tokens: list[int]
    learned_from: int
    bytes: int
    learned_bytes: int


@dataclass
class Tally:
    """How much was packed, and how many documents had no text."""

    counts: dict[Split, Counts] = field(default_factory=lambda: {split: Counts() for split in SPLITS})
    empty: int = 0

    def add(self, split: Split, doc: Encoded) -> None:
        """Counts one document."""
        had, length = self.counts[split], len(doc.tokens)
        self.counts[split] = replace(
            had,
            documents=had.documents + 1,
            tokens=had.tokens + length,
            bytes=had.bytes + doc.bytes,
            loss_tokens=had.loss_tokens + length - doc.learned_from,
            loss_bytes=had.loss_bytes + doc.learned_bytes,
        )


def _encoded(ids: list[str], texts: list[str], prompts: list[str | None], tokenizer: Tokenizer) -> Iterator[Encoded]:
    """Each document, encoded.

    A prompt and what follows it are encoded apart, as they are when a model is asked to continue the prompt.
    """
    heads = [prompt or "" for prompt in prompts]
    for document, text, head in zip(ids, texts, heads, strict=True):
        if not text.startswith(head):
            raise RunError(f"the text of document {document} does not begin with its prompt", place="prompt")
    encoded_heads = tokenizer.encode_batch(heads) if any(heads) else [[] for _ in heads]
    rests = [text[len(head) :] for text, head in zip(texts, heads, strict=True)]
    for document, text, rest, head_ids, rest_ids in zip(
        ids, texts, rests, encoded_heads, tokenizer.encode_batch(rests), strict=True
    ):
        tokens = [*head_ids, *rest_ids, tokenizer.eod]
        yield Encoded(document, tokens, len(head_ids), len(text.encode()), len(rest.encode()))
