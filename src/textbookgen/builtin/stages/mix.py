"""`mix`: several sources as one stream, in shares of tokens, in phases if wanted, repeated where a share needs it."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Annotated, Any, ClassVar

import polars as pl
from pydantic import Field, PrivateAttr, model_validator

from textbookgen.api.annotations import Input
from textbookgen.api.artifacts import Part, Table, TrainedTokenizer
from textbookgen.api.errors import Diagnostic, RunError
from textbookgen.api.hashing import document_id
from textbookgen.api.stage import Estimate, StageInputs, Transform
from textbookgen.api.tokenizer import Tokenizer
from textbookgen.builtin.stages.mixture import (
    Phase,
    Portion,
    cautions,
    described,
    most_without_repeating,
    overall,
    portions,
    shares,
)
from textbookgen.builtin.stages.sample import stable_hash

BYTES_A_TOKEN = 4.0  # of English and code, for common vocabularies
_ALL_PHASES = 0


class Mix(Transform):
    """Mixes what flows in, each stage in its share of the tokens, so that any stretch of the stream holds the mixture.

    A source with fewer tokens than its share is gone through again, documents in another order; a repeated document has
    an id of its own and the first one (`mix.of`) as its parent; what holds documents out holds all copies out. Of an epoch
    that is not gone through whole, documents are drawn evenly. `mix.source`, `mix.epoch` and `mix.phase` say where each comes
    from. The order is kept by `export` with
    `shuffle = false`; a packer or trainer that shuffles keeps the shares, and not the phases: for those, mix each phase in a
    stage of its own with `phase`.
    """

    name: ClassVar[str] = "mix"

    weights: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict, description="each stage of `from` and its weight, such as { web = 0.6, textbooks = 0.4 }"
    )
    phases: tuple[Phase, ...] = Field(
        (), description="instead of `weights`: tables of `share` (of all tokens) and `weights`, one a phase, in order"
    )
    phase: int = Field(_ALL_PHASES, ge=0, description="give the documents of this phase alone (1 is the first); 0 gives all")
    tokens: int | None = Field(
        None, gt=0, description="tokens in all; as many as there are without repeating anything unless given"
    )
    tokenizer: Annotated[str | None, Input(TrainedTokenizer, or_name=True)] = Field(
        None, description="what tokens are counted by: a stage above or a name; four bytes are a token unless given"
    )
    harmless: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict,
        description="stages that may be repeated otherwise than 4 times (16 times what a teacher wrote) without a warning",
    )
    seed: int = Field(0, description="another seed orders and draws otherwise")
    _mixed: list[Portion] = PrivateAttr(default_factory=list)
    _written: list[str] = PrivateAttr(default_factory=list)

    @model_validator(mode="after")
    def _one_or_other(self) -> Mix:
        if bool(self.weights) == bool(self.phases):
            raise ValueError("say either `weights` or `phases`")
        if self.phase > len(self.phases):
            raise ValueError(f"there are {len(self.phases)} phases, and `phase` is {self.phase}")
        for each in self._phases:
            shares(each.weights)
        return self

    @property
    def _phases(self) -> tuple[Phase, ...]:
        return self.phases or (Phase(share=1, weights=self.weights),)

    def check(self) -> Iterable[Diagnostic]:
        """Complains of weights for what does not flow in, and of what has none."""
        option, named = ("phases", overall(self.phases)) if self.phases else ("weights", self.weights)
        for label in named:
            if label not in self.inputs:
                yield Diagnostic(option, f"'{label}' does not flow in", f"`from` names {', '.join(self.inputs)}")
        for label in self.inputs:
            if label not in named:
                yield Diagnostic(option, f"'{label}' flows in and has no weight", "give it one, or take it out of `from`")

    @classmethod
    def limited(cls, options: dict[str, Any], limit: int) -> dict[str, Any]:
        """As many tokens as there are: a handful of documents is not repeated a million times."""
        return {key: value for key, value in options.items() if key != "tokens"}

    # -- beforehand

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """What there is of the mixture, if the tokens of every source are known."""
        mixed = self._estimated(inputs)
        if not mixed:
            return Estimate(tokens=self.tokens)
        documents = [inputs[f"from.{each.source}"].documents for each in mixed]
        known = [count * each.epochs for count, each in zip(documents, mixed, strict=True) if count is not None]
        part = self._part()
        tokens = sum(each.tokens for each in mixed)
        return Estimate(
            documents=part * sum(known) if len(known) == len(mixed) else None,
            tokens=part * tokens,
            disk_bytes=part * tokens * BYTES_A_TOKEN * 0.45,
        )

    def warnings(self, inputs: Mapping[str, Estimate]) -> Iterable[str]:
        """Says which sources would be repeated too often."""
        written = [name.removeprefix("from.") for name, volume in inputs.items() if volume.synthetic]
        return cautions(self._estimated(inputs), written, self.harmless)

    def _estimated(self, inputs: Mapping[str, Estimate]) -> list[Portion]:
        unique = {label: inputs.get(f"from.{label}", Estimate()).tokens or 0.0 for label in self.inputs}
        return self._portions(unique) if all(unique.values()) else []

    def _portions(self, unique: Mapping[str, float]) -> list[Portion]:
        weights = overall(self._phases)
        return portions(weights, unique, self.tokens or most_without_repeating(weights, unique))

    def _part(self) -> float:
        """The share of the whole stream that is given."""
        lengths = [each.share for each in self._phases]
        return 1.0 if self.phase == _ALL_PHASES else lengths[self.phase - 1] / sum(lengths)

    # -- the stream

    def stream(self, inputs: StageInputs) -> Iterator[pl.DataFrame]:
        """The mixed documents, in order."""
        tokenizer = inputs.tokenizer("tokenizer", self.tokenizer) if self.tokenizer is not None else None
        tables = {label: flow for label, flow in inputs.by_label("from").items() if isinstance(flow, Table)}
        sources = {label: _measured(table, tokenizer, f"{self.seed}/{label}") for label, table in tables.items()}
        for label, source in sources.items():
            if not source.total:
                raise RunError(f"'{label}' has no tokens to mix", place="from")
        self._mixed = self._portions({label: source.total for label, source in sources.items()})
        self._written = [label for label, source in sources.items() if source.written > source.total / 2]
        places = {
            each.source: _Places(self._phases, each.source, sum(one.tokens for one in self._mixed)) for each in self._mixed
        }
        streams = [_placed(sources[each.source], each, places[each.source], f"{self.seed}") for each in self._mixed]
        for frame in _merged(streams):
            wanted = frame if self.phase == _ALL_PHASES else frame.filter(pl.col("mix.phase") == self.phase)
            if len(wanted):
                yield wanted.drop("_place", "_order")

    def notes(self) -> Iterable[str]:
        """The mixture as it came out, and warnings."""
        if self._mixed:
            yield described(self._mixed)
            for warnings in cautions(self._mixed, self._written, self.harmless):
                yield f"WARNING: {warnings}"


@dataclass
class _Source:
    """A table whose documents' tokens are counted: by part, in the order of the rows; 12 bytes a document."""

    parts: tuple[Part, ...]
    salt: str
    tokens: list[array[int]] = field(default_factory=list)
    hashes: list[pl.Series] = field(default_factory=list)
    total: int = 0
    written: int = 0  # tokens of documents that a teacher wrote

    def limit(self, wanted: float) -> int:
        """The hash up to which documents have so many tokens between them."""
        hashes = pl.concat(self.hashes)
        order = hashes.arg_sort()
        tokens = pl.concat([pl.Series(list(each), dtype=pl.Int64) for each in self.tokens])
        enough = int((tokens.gather(order).cum_sum() < wanted).sum())
        return int(hashes.gather(order)[min(enough, len(order) - 1)])

    def drawn(self, ids: Iterable[str]) -> pl.Series:
        """The hashes by which documents of a part of an epoch are drawn."""
        return pl.Series("hash", [stable_hash(f"{self.salt}/part/{key}") for key in ids], dtype=pl.UInt64)


def _measured(table: Table, tokenizer: Tokenizer | None, salt: str) -> _Source:
    source = _Source(table.parts, salt)
    for frame in table.frames():
        texts = _texts(frame)
        if tokenizer is None:
            counts = [max(1, round(size / BYTES_A_TOKEN)) for size in texts.str.len_bytes()]
        else:
            counts = [len(ids) + 1 for ids in tokenizer.encode_batch(texts.to_list())]
        source.tokens.append(array("I", counts))
        source.hashes.append(source.drawn(frame["id"]))
        source.total += sum(counts)
        source.written += sum(count for count, reply in zip(counts, frame["reply"], strict=True) if reply is not None)
    return source


def _texts(frame: pl.DataFrame) -> pl.Series:
    """All that is said in each row."""
    if "text" in frame.columns:
        return frame["text"].fill_null("")
    said = [name for name in ("messages", "prompt", "chosen", "rejected") if name in frame.columns]
    contents = [pl.col(name).list.eval(pl.element().struct.field("content")).list.join("\n") for name in said]
    return frame.select(pl.concat_str(contents, separator="\n", ignore_nulls=True)).to_series()


@dataclass
class _Places:
    """Where in the whole stream, from 0 to 1, a source's tokens go: evenly over each phase, as the phase has of it."""

    phases: tuple[Phase, ...]
    source: str
    total: float

    def __post_init__(self) -> None:
        lengths = shares({str(at): phase.share for at, phase in enumerate(self.phases)})
        self.starts = [0.0, *accumulate(lengths.values())]
        held = [
            lengths[str(at)] * shares(phase.weights).get(self.source, 0.0) * self.total for at, phase in enumerate(self.phases)
        ]
        self.ends = list(accumulate(held))

    def of(self, tokens: int) -> tuple[float, int]:
        """The place of the document before which the source gave so many tokens, and its phase, from 1."""
        low = 0.0
        for at, high in enumerate(self.ends):
            if tokens < high:
                return self.starts[at] + (tokens - low) / (high - low) * (self.starts[at + 1] - self.starts[at]), at + 1
            low = high
        last = max((at for at, high in enumerate(self.ends) if high > (self.ends[at - 1] if at else 0)), default=0)
        return self.starts[last + 1], last + 1


def _placed(source: _Source, portion: Portion, places: _Places, salt: str) -> Iterator[pl.DataFrame]:
    """A source's documents, epoch after epoch, each with its place in the whole stream."""
    whole, rest = divmod(portion.tokens, source.total)
    limits: list[int | None] = [None] * int(whole) + ([source.limit(rest)] if rest >= 1 else [])
    given = 0
    for epoch, limit in enumerate(limits):
        order = sorted(range(len(source.parts)), key=lambda part: stable_hash(f"{source.salt}/{epoch}/{part}"))
        for part in order:
            frame = _epoch(source, part, epoch, limit, salt)
            if frame.is_empty():
                continue
            before = [given + done for done in accumulate(frame["_tokens"][:-1], initial=0)]
            given += int(frame["_tokens"].sum())
            result = [places.of(each) for each in before]
            yield frame.drop("_tokens").with_columns(
                pl.lit(portion.source).alias("mix.source"),
                pl.lit(epoch + 1, dtype=pl.Int64).alias("mix.epoch"),
                pl.Series("mix.phase", [phase for _, phase in result], dtype=pl.Int64),
                pl.Series("_place", [place for place, _ in result], dtype=pl.Float64),
            )


def _epoch(source: _Source, part: int, epoch: int, limit: int | None, salt: str) -> pl.DataFrame:
    """A part's documents in the order of an epoch; those of later epochs with ids of their own."""
    frame = source.parts[part].read().with_columns(pl.Series("_tokens", list(source.tokens[part]), dtype=pl.Int64))
    if limit is not None:
        frame = frame.filter(source.hashes[part] <= limit)
    shuffled = pl.Series("_shuffled", [stable_hash(f"{source.salt}/{epoch}/{key}") for key in frame["id"]], dtype=pl.UInt64)
    frame = frame.with_columns(shuffled).sort("_shuffled", "id").drop("_shuffled")
    frame = frame.with_columns(pl.col("id").alias("mix.of"))
    if epoch:
        frame = frame.with_columns(
            pl.Series("id", [document_id("mix", salt, key, epoch) for key in frame["id"]], dtype=pl.String),
            pl.concat_list("id").alias("parents"),
        )
    return frame


def _merged(streams: Sequence[Iterator[pl.DataFrame]]) -> Iterator[pl.DataFrame]:
    """Streams of rows in order of their places as one; in memory is one frame of each."""
    heads: dict[int, pl.DataFrame] = {}
    waiting = dict(enumerate(streams))
    while True:
        for number in [number for number in waiting if number not in heads]:
            frame = next(waiting[number], None)
            if frame is None:
                del waiting[number]
            else:
                heads[number] = frame.with_columns(pl.lit(number).alias("_order"))
        if not heads:
            return
        cut = min(float(frame["_place"][-1]) for frame in heads.values())
        ready = [frame.filter(pl.col("_place") <= cut) for frame in heads.values()]
        heads = {number: rest for number, frame in heads.items() if len(rest := frame.filter(pl.col("_place") > cut))}
        yield pl.concat(ready, how="diagonal_relaxed").sort("_place", "_order", maintain_order=True)
