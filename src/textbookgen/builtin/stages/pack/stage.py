"""The stage `pack`: documents, chats or pairs as token files for trainers, with a held-out split."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, cast

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
from textbookgen.api.cards import ChatTemplateCard, TokenizerCard, TokenShardManifest
from textbookgen.api.errors import Diagnostic, RunError
from textbookgen.api.stage import Estimate, Packer, StageInputs
from textbookgen.api.tokenizer import Tokenizer
from textbookgen.api.validation_split import is_held_out
from textbookgen.builtin.stages.pack.encoding import ConversationEncoder, PackingCounts, encode_texts
from textbookgen.training import sampled_ids
from textbookgen.training.architectures import padded_vocabulary
from textbookgen.training.chat_template import ChatTemplate
from textbookgen.training.sampled_ids import EncodedDocument
from textbookgen.training.shards import FORMAT, SPLITS, Split
from textbookgen.training.tokenizer_files import write_tokenizer_files

if TYPE_CHECKING:
    from collections.abc import Mapping

    from textbookgen.builtin.stages.pack.indexed_writer import ShardWriter

#: Documents encoded at once: enough to keep the tokenizer's threads busy, few enough to hold in memory.
BATCH = 1_000


class Pack(Packer):
    """Packs documents, chats or pairs into token files in Megatron's indexed format, with an eod after each document.

    The loss covers all of a document, or what follows its `prompt`; the assistant's messages of a chat and what ends them; the
    two replies of a pair. Control tokens of the chat template are single ids where the tokenizer has them, and no message can
    spell them. A pair is written chosen first, by the token ids it was sampled with where these were kept. The id of a document
    alone decides whether it is held out, so adding documents moves none of the others; copies made by `mix` go with the
    original.
    """

    name: ClassVar[str] = "pack"
    version: ClassVar[int] = 2
    output: ClassVar[type[Artifact] | None] = TokenShards

    inputs: Annotated[Labels, Input(Documents, Chats, Pairs)] = Field(
        alias="from", description="earlier stages whose documents, chats or pairs are packed"
    )
    tokenizer: Annotated[str, Input(TrainedTokenizer, or_name=True)] = Field(
        description="an earlier stage that trained a tokenizer, or the name of one, such as `hf:tokenizer.json` or `bytes`"
    )
    sequence_length: int = Field(2048, gt=1, description="tokens in a training window (phi-1: 2048)")
    validation_share: float = Field(0.02, ge=0, lt=1, description="share of documents held out to measure bits per byte")
    seed: int = Field(0, description="seed of the choice of held-out documents")
    prompt: str | None = Field(
        None,
        description="column with the beginning of each text, such as `textbooks.prompt`, excluded from the loss in finetuning",
    )
    chat_template: str = Field(
        "plain", description="template of chats and pairs: plain, phi-3, phi-4, chatml, or a Jinja template written out"
    )

    def check(self) -> Iterable[Diagnostic]:
        """Report an unknown or invalid chat template."""
        try:
            ChatTemplate.resolve(self.chat_template)
        except RunError as error:
            yield Diagnostic("chat_template", error.problem, error.hint)

    def output_type(self, inputs: Sequence[type[Artifact]]) -> type[Artifact]:
        """Return PairShards for pairs, which only preference training takes."""
        return PairShards if any(issubclass(artifact, Pairs) for artifact in inputs) else TokenShards

    def pack(self, inputs: StageInputs, out: Path) -> None:
        """Write token files, the tokenizer, and `manifest.json` last; files of an interrupted attempt are overwritten.

        Raises:
            RunError: there is no training data, or the `prompt` column is missing or does not match the texts.
        """
        from textbookgen.builtin.stages.pack.indexed_writer import ShardWriter

        tokenizer = inputs.tokenizer("tokenizer", self.tokenizer)
        table: Table = inputs["from"]
        if self.prompt is not None and not isinstance(table, Documents):
            hint = "remove the option: the loss covers the assistant's messages only"
            raise RunError(f"{table.name} have no prompt column", place="prompt", hint=hint)
        out.mkdir(parents=True, exist_ok=True)
        (out / TokenShards.card_name).unlink(missing_ok=True)
        counts = PackingCounts()
        masked = self.prompt is not None or not isinstance(table, Documents)
        with ShardWriter(out, dtype_of(tokenizer.vocabulary), masked=masked) as writer:
            if isinstance(table, Documents) and not masked:
                for texts in self._texts(table, counts):
                    self._write_stream(texts, tokenizer, writer, counts)
            else:
                for documents in self._encode(table, tokenizer, counts):
                    self._write(documents, writer, counts)
        if not counts.splits["train"].tokens:
            raise RunError(
                f"there is no training data{counts.describe_left_out()}",
                place="from",
                hint="lower validation_share, or see with `corpus why` where documents were dropped",
            )
        if tokenizer.file is not None:
            template = ChatTemplate.resolve(self.chat_template).template if counts.templated else None
            write_tokenizer_files(out, tokenizer.file, tokenizer.eod, chat_template=template)
        self._manifest(counts, tokenizer, table, masked=masked).write(out)

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """Estimate the tokens, with an eod per document, at two bytes each (four from 65,500 ids on)."""
        source = inputs.get("from", Estimate())
        tokens = None if source.tokens is None else source.tokens + (source.documents or 0)
        return Estimate(documents=source.documents, tokens=tokens, disk_bytes=None if tokens is None else 2 * tokens)

    def _encode(self, table: Table, tokenizer: Tokenizer, counts: PackingCounts) -> Iterator[list[EncodedDocument]]:
        """Yield encoded documents with loss masks, a batch at a time."""
        if isinstance(table, Documents):
            for texts in self._texts(table, counts):
                yield list(encode_texts(texts, tokenizer))
            return
        template = ChatTemplate.resolve(self.chat_template)
        encoder = ConversationEncoder(template, tokenizer, self.sequence_length, counts)
        encode = encoder.chats if isinstance(table, Chats) else encoder.pairs
        for part in table.parts:
            rows = part.scan()
            columns = rows.collect_schema()
            wanted = [*table.content, *(name for name in sampled_ids.COLUMNS if name in columns)]
            for batch in rows.select(*wanted, id=origin_id(columns)).collect().iter_slices(BATCH):
                yield list(encode(batch))

    def _texts(self, documents: Documents, counts: PackingCounts) -> Iterator[pl.DataFrame]:
        """Yield the documents that have text, a batch at a time, with `id`, `text` and `prompt` (null unless asked for)."""
        has_prompts = self.prompt is None
        for part in documents.parts:
            rows = part.scan()
            columns = rows.collect_schema()
            prompt = pl.col(self.prompt) if self.prompt is not None and self.prompt in columns else pl.lit(None, pl.String)
            has_prompts = has_prompts or self.prompt in columns
            for batch in rows.select("text", id=origin_id(columns), prompt=prompt).collect().iter_slices(BATCH):
                texts = batch.filter(pl.col("text").str.len_bytes() > 0)
                counts.leave_out("without text", batch.height - texts.height)
                if texts.height:
                    yield texts
        if not has_prompts and documents.parts:
            hint = "name a column that the stage above writes"
            raise RunError(f"no document has a column {self.prompt!r}", place="prompt", hint=hint)

    def _write(self, documents: list[EncodedDocument], writer: ShardWriter, counts: PackingCounts) -> None:
        """Write documents with loss masks."""
        for split in SPLITS:
            chosen = [document for document in documents if self._split(document.id) == split]
            for document in chosen:
                counts.add(split, document)
            writer.add(split, [document.tokens for document in chosen], [document.loss_mask for document in chosen])

    def _write_stream(self, texts: pl.DataFrame, tokenizer: Tokenizer, writer: ShardWriter, counts: PackingCounts) -> None:
        """Write documents without loss masks."""
        from textbookgen.builtin.stages.pack.token_stream import encode_stream

        splits = pl.Series([self._split(document) for document in texts["id"]], dtype=pl.String)
        for split in SPLITS:
            chosen = texts["text"].filter(splits == split)
            if len(chosen):
                stream = encode_stream(chosen, tokenizer)
                counts.add_stream(split, stream)
                writer.add_arrays(split, stream.tokens, stream.lengths)

    def _split(self, document: str) -> Split:
        return "valid" if is_held_out(document, self.validation_share, self.seed) else "train"

    def _manifest(self, counts: PackingCounts, tokenizer: Tokenizer, table: Table, *, masked: bool) -> TokenShardManifest:
        template = ChatTemplate.resolve(self.chat_template)
        train, valid = counts.splits["train"], counts.splits["valid"]
        return TokenShardManifest(
            format=FORMAT,
            content=cast('Literal["Documents", "Chats", "Pairs"]', table.name),
            chat=ChatTemplateCard(name=template.name, template=template.template) if counts.templated else None,
            tokenizer=TokenizerCard(
                name=tokenizer.name,
                digest=tokenizer.digest,
                file="tokenizer.json" if tokenizer.file is not None else None,
            ),
            vocabulary=tokenizer.vocabulary,
            padded_vocabulary=padded_vocabulary(tokenizer.vocabulary),
            eod=tokenizer.eod,
            dtype=dtype_of(tokenizer.vocabulary),
            sequence_length=self.sequence_length,
            loss_mask=masked,
            validation_share=self.validation_share,
            seed=self.seed,
            rows=(train.documents + valid.documents) // (2 if isinstance(table, Pairs) else 1),
            left_out=counts.left_out,
            documents=train.documents + valid.documents,
            tokens=train.tokens + valid.tokens,
            bytes=train.bytes + valid.bytes,
            train=train,
            valid=valid,
        )


def dtype_of(vocabulary: int) -> Literal["uint16", "int32"]:
    """Return the dtype of token files: uint16 below 65,500 ids, as Megatron-core chooses."""
    return "uint16" if vocabulary < 65_500 else "int32"
