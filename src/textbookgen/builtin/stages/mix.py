"""The stage `mix`: several sources as one stream, in shares of tokens, in phases, with repetition where a share requires it."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Annotated, Any, ClassVar

import polars as pl
from pydantic import Field, PrivateAttr, model_validator

from textbookgen.api.annotations import Input
from textbookgen.api.artifacts import Part, Table, TrainedTokenizer, origin_id
from textbookgen.api.errors import Diagnostic, RunError
from textbookgen.api.hashing import document_id, stable_hash
from textbookgen.api.rows import text_of
from textbookgen.api.stage import Estimate, StageInputs, Transform
from textbookgen.api.tokenizer import Tokenizer
from textbookgen.builtin.stages.mixture import (
    Phase,
    Portion,
    describe,
    make_portions,
    max_tokens_without_repetition,
    normalize,
    overall_shares,
    repetition_warnings,
)

BYTES_PER_TOKEN = 4.0  # of English and code, for common vocabularies
_DISK_BYTES_PER_BYTE = 0.45  # of compressed parquet
_ALL_PHASES = 0


class Mix(Transform):
    """Mixes its inputs in shares of tokens, so that any stretch of the output has the mixture.

    A source with fewer tokens than its share is repeated, in another order each time. A repeated document gets a new id
    and the original as its parent; `mix.of` is the id of the original, so that either all copies are held out or none. Of
    an incomplete epoch, documents are sampled evenly. `mix.source`, `mix.epoch` and `mix.phase` state where a row comes
    from. `export` with `shuffle = false` keeps the order. A packer or trainer that shuffles keeps the shares but not the
    phases: to keep these, mix each phase in a separate stage with `phase`.
    """

    name: ClassVar[str] = "mix"

    weights: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict, description="weight of each stage of `from`, such as { web = 0.6, textbooks = 0.4 }"
    )
    phases: tuple[Phase, ...] = Field(
        (), description="instead of `weights`: one table of `share` (of all tokens) and `weights` per phase, in order"
    )
    phase: int = Field(_ALL_PHASES, ge=0, description="output only the documents of this phase, from 1; 0 outputs all phases")
    tokens: int | None = Field(
        None, gt=0, description="total number of tokens; unless given, as many as there are without repetition"
    )
    tokenizer: Annotated[str | None, Input(TrainedTokenizer, or_name=True)] = Field(
        None, description="tokenizer that counts the tokens: a stage above or a name; unless given, four bytes per token"
    )
    max_epochs: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict,
        description="epochs of a stage that cause no warning, such as { web = 6 }; otherwise 4, or 16 for synthetic text",
    )
    seed: int = Field(0, description="another seed gives another order and other samples")
    _portions: list[Portion] = PrivateAttr(default_factory=list)
    _synthetic: list[str] = PrivateAttr(default_factory=list)

    @model_validator(mode="after")
    def _has_weights_or_phases(self) -> Mix:
        if bool(self.weights) == bool(self.phases):
            raise ValueError("set either `weights` or `phases`")
        if self.phase > len(self.phases):
            raise ValueError(f"`phase` is {self.phase}, but there are {len(self.phases)} phases")
        for phase in self._all_phases:
            normalize(phase.weights)
        return self

    @property
    def _all_phases(self) -> tuple[Phase, ...]:
        return self.phases or (Phase(share=1, weights=self.weights),)

    def check(self) -> Iterable[Diagnostic]:
        """Report weights of stages that are not inputs, and inputs without a weight."""
        option, weights = ("phases", overall_shares(self.phases)) if self.phases else ("weights", self.weights)
        for label in weights:
            if label not in self.inputs:
                yield Diagnostic(option, f"'{label}' is not an input", f"`from` names {', '.join(self.inputs)}")
        for label in self.inputs:
            if label not in weights:
                yield Diagnostic(option, f"'{label}' has no weight", "add a weight, or remove it from `from`")

    @classmethod
    def limited(cls, options: dict[str, Any], limit: int) -> dict[str, Any]:
        """Drop `tokens`, so that a few documents are not repeated a million times."""
        return {key: value for key, value in options.items() if key != "tokens"}

    # -- estimates

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """Estimate the mixture, if the tokens of every source are known."""
        portions = self._estimated_portions(inputs)
        if not portions:
            return Estimate(tokens=self.tokens)
        documents = [inputs[f"from.{portion.source}"].documents for portion in portions]
        known = [count * portion.epochs for count, portion in zip(documents, portions, strict=True) if count is not None]
        share = self._output_share()
        tokens = sum(portion.tokens for portion in portions)
        return Estimate(
            documents=share * sum(known) if len(known) == len(portions) else None,
            tokens=share * tokens,
            disk_bytes=share * tokens * BYTES_PER_TOKEN * _DISK_BYTES_PER_BYTE,
        )

    def warnings(self, inputs: Mapping[str, Estimate]) -> Iterable[str]:
        """Warn about sources that would be repeated too often."""
        synthetic = [name.removeprefix("from.") for name, estimate in inputs.items() if estimate.synthetic]
        return repetition_warnings(self._estimated_portions(inputs), synthetic, self.max_epochs)

    def _estimated_portions(self, inputs: Mapping[str, Estimate]) -> list[Portion]:
        unique = {label: inputs.get(f"from.{label}", Estimate()).tokens or 0.0 for label in self.inputs}
        return self._make_portions(unique) if all(unique.values()) else []

    def _make_portions(self, unique: Mapping[str, float]) -> list[Portion]:
        weights = overall_shares(self._all_phases)
        return make_portions(weights, unique, self.tokens or max_tokens_without_repetition(weights, unique))

    def _output_share(self) -> float:
        """The share of the whole mixture that is output."""
        lengths = [phase.share for phase in self._all_phases]
        return 1.0 if self.phase == _ALL_PHASES else lengths[self.phase - 1] / sum(lengths)

    # -- the stream

    def stream(self, inputs: StageInputs) -> Iterator[pl.DataFrame]:
        """Yield the mixed documents, in order.

        Raises:
            RunError: a source has no tokens.
        """
        tokenizer = inputs.tokenizer("tokenizer", self.tokenizer) if self.tokenizer is not None else None
        tables = inputs.by_label("from", Table)
        sources = {label: _count_tokens(table, tokenizer, f"{self.seed}/{label}") for label, table in tables.items()}
        for label, source in sources.items():
            if not source.total:
                raise RunError(f"'{label}' has no tokens to mix", place="from")
        self._portions = self._make_portions({label: source.total for label, source in sources.items()})
        self._synthetic = [label for label, source in sources.items() if source.synthetic > source.total / 2]
        total = sum(portion.tokens for portion in self._portions)
        streams = []
        for portion in self._portions:
            positions = _Positions(self._all_phases, portion.source, total)
            streams.append(_with_positions(sources[portion.source], portion, positions, f"{self.seed}"))
        for frame in _merge(streams):
            rows = frame if self.phase == _ALL_PHASES else frame.filter(pl.col("mix.phase") == self.phase)
            if len(rows):
                yield rows.drop("_position", "_order")

    def notes(self) -> Iterable[str]:
        """Report the mixture, and warnings."""
        if self._portions:
            yield describe(self._portions)
            for warning in repetition_warnings(self._portions, self._synthetic, self.max_epochs):
                yield f"WARNING: {warning}"


@dataclass
class _Source:
    """A table and the tokens of its documents, by part and in the order of the rows; 12 bytes per document.

    Attributes:
        parts: the parts of the table.
        key: what the order and the samples of the source are derived from.
        tokens: the tokens of each document.
        hashes: the hash of each document (UInt64), by which an incomplete epoch samples.
        total: the tokens of all documents.
        synthetic: the tokens of documents that a teacher wrote.
    """

    parts: tuple[Part, ...]
    key: str
    tokens: list[array[int]] = field(default_factory=list)
    hashes: list[pl.Series] = field(default_factory=list)
    total: int = 0
    synthetic: int = 0

    def add_part(self, rows: pl.DataFrame, counts: Sequence[int]) -> None:
        """Add the tokens of the documents of the next part."""
        self.tokens.append(array("I", counts))
        hashes = [stable_hash(f"{self.key}/part/{document}") for document in rows["id"]]
        self.hashes.append(pl.Series("hash", hashes, dtype=pl.UInt64))
        self.total += sum(counts)
        self.synthetic += sum(count for count, reply in zip(counts, rows["reply"], strict=True) if reply is not None)

    def hash_limit(self, tokens: float) -> int:
        """Return the hash up to which documents have this many tokens together."""
        hashes = pl.concat(self.hashes)
        order = hashes.arg_sort()
        counts = pl.concat([pl.Series(list(part), dtype=pl.Int64) for part in self.tokens])
        below = int((counts.gather(order).cum_sum() < tokens).sum())
        return int(hashes.gather(order)[min(below, len(order) - 1)])


def _count_tokens(table: Table, tokenizer: Tokenizer | None, key: str) -> _Source:
    source = _Source(table.parts, key)
    for frame in table.frames():
        texts = text_of(frame)
        if tokenizer is None:
            counts = [max(1, round(size / BYTES_PER_TOKEN)) for size in texts.str.len_bytes()]
        else:
            counts = [len(ids) + 1 for ids in tokenizer.encode_batch(texts.to_list())]  # and the end of the document
        source.add_part(frame, counts)
    return source


@dataclass
class _Positions:
    """The positions of a source's tokens in the whole mixture, from 0 to 1: even within each phase.

    Attributes:
        phases: the phases.
        source: the label of the source.
        total: the tokens of the whole mixture.
        starts: the position where each phase starts, and the end of the last one.
        ends: the tokens of the source in all phases up to each one.
    """

    phases: tuple[Phase, ...]
    source: str
    total: float

    def __post_init__(self) -> None:
        lengths = normalize({str(index): phase.share for index, phase in enumerate(self.phases)})
        self.starts = [0.0, *accumulate(lengths.values())]
        tokens = [
            lengths[str(index)] * normalize(phase.weights).get(self.source, 0.0) * self.total
            for index, phase in enumerate(self.phases)
        ]
        self.ends = list(accumulate(tokens))

    def locate(self, tokens: int) -> tuple[float, int]:
        """Return the position and the phase (from 1) of the document that comes after this many tokens of the source."""
        low = 0.0
        for index, high in enumerate(self.ends):
            if tokens < high:
                start, end = self.starts[index], self.starts[index + 1]
                return start + (tokens - low) / (high - low) * (end - start), index + 1
            low = high
        last = max((index for index, high in enumerate(self.ends) if high > (self.ends[index - 1] if index else 0)), default=0)
        return self.starts[last + 1], last + 1


def _with_positions(source: _Source, portion: Portion, positions: _Positions, key: str) -> Iterator[pl.DataFrame]:
    """Yield a source's documents, epoch after epoch, each with its position in the mixture."""
    complete, remaining = divmod(portion.tokens, source.total)
    limits: list[int | None] = [None] * int(complete) + ([source.hash_limit(remaining)] if remaining >= 1 else [])
    tokens = 0  # of the documents so far
    for epoch, limit in enumerate(limits):
        order = sorted(range(len(source.parts)), key=lambda part: stable_hash(f"{source.key}/{epoch}/{part}"))
        for part in order:
            frame = _epoch_rows(source, part, epoch, limit, key)
            if frame.is_empty():
                continue
            before = [tokens + count for count in accumulate(frame["_tokens"][:-1], initial=0)]
            tokens += int(frame["_tokens"].sum())
            located = [positions.locate(count) for count in before]
            yield frame.drop("_tokens").with_columns(
                pl.lit(portion.source).alias("mix.source"),
                pl.lit(epoch + 1, dtype=pl.Int64).alias("mix.epoch"),
                pl.Series("mix.phase", [phase for _, phase in located], dtype=pl.Int64),
                pl.Series("_position", [position for position, _ in located], dtype=pl.Float64),
            )


def _epoch_rows(source: _Source, part: int, epoch: int, limit: int | None, key: str) -> pl.DataFrame:
    """Return a part's documents in the order of an epoch, up to a hash limit; from the second epoch on with new ids."""
    frame = source.parts[part].read().with_columns(pl.Series("_tokens", list(source.tokens[part]), dtype=pl.Int64))
    if limit is not None:
        frame = frame.filter(source.hashes[part] <= limit)
    order = [stable_hash(f"{source.key}/{epoch}/{document}") for document in frame["id"]]
    frame = frame.with_columns(pl.Series("_shuffled", order, dtype=pl.UInt64)).sort("_shuffled", "id").drop("_shuffled")
    frame = frame.with_columns(origin_id(frame.columns).alias("mix.of"))
    if epoch:
        frame = frame.with_columns(
            pl.Series("id", [document_id("mix", key, document, epoch) for document in frame["id"]], dtype=pl.String),
            pl.concat_list("id").alias("parents"),
        )
    return frame


def _merge(streams: Sequence[Iterator[pl.DataFrame]]) -> Iterator[pl.DataFrame]:
    """Merge streams that are sorted by position, holding one frame of each in memory."""
    heads: dict[int, pl.DataFrame] = {}
    active = dict(enumerate(streams))
    while True:
        for number in [number for number in active if number not in heads]:
            frame = next(active[number], None)
            if frame is None:
                del active[number]
            else:
                heads[number] = frame.with_columns(pl.lit(number).alias("_order"))
        if not heads:
            return
        cut = min(float(frame["_position"][-1]) for frame in heads.values())
        ready = [frame.filter(pl.col("_position") <= cut) for frame in heads.values()]
        heads = {number: rest for number, frame in heads.items() if len(rest := frame.filter(pl.col("_position") > cut))}
        yield pl.concat(ready, how="diagonal_relaxed").sort("_position", "_order", maintain_order=True)
