"""The stage `megatron/pivotal-tokens`: preference pairs of single tokens, by pivotal token search."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import polars as pl
from pydantic import Field, PrivateAttr

from textbookgen import (
    Artifact,
    Checkpoint,
    Diagnostic,
    Documents,
    Filters,
    Input,
    Labels,
    Pairs,
    RunError,
    Runtime,
    StageInputs,
    Table,
    Transform,
    document_id,
)
from textbookgen.api.model import TokenModel
from textbookgen.training import sampled_ids as sampled
from textbookgen_megatron.pivotal.oracles import AnswerOracle, FilterOracle, Oracle
from textbookgen_megatron.pivotal.search import SearchResult, SearchSettings, TokenPair, Tokens
from textbookgen_megatron.pivotal.session import Journal, RolloutSettings, SearchSession

#: Columns of the pairs beyond those of all pairs; `pack` uses the token ids as they are.
COLUMNS: dict[str, pl.DataType] = {
    **sampled.COLUMNS,
    "megatron.p_before": pl.Float64(),
    "megatron.p_chosen": pl.Float64(),
    "megatron.p_rejected": pl.Float64(),
}


@dataclass
class _Totals:
    """Counts over all questions."""

    questions: int = 0
    eligible: int = 0
    searched: int = 0
    pivots: int = 0
    pairs: int = 0
    exhausted: int = 0
    rollouts: int = 0

    def add(self, result: SearchResult) -> None:
        self.questions += 1
        self.eligible += result.searched > 0
        self.searched += result.searched
        self.pivots += result.pivots
        self.pairs += len(result.pairs)
        self.exhausted += result.exhausted
        self.rollouts += result.rollouts

    def note(self, min_rate: float, max_rate: float) -> str:
        exhausted = f"; {self.exhausted:,} questions reached max_rollouts" if self.exhausted else ""
        return (
            f"{self.eligible:,} of {self.questions:,} questions have a success rate of {min_rate:.0%} to {max_rate:.0%}; "
            f"{self.pivots:,} pivotal tokens in {self.searched:,} completions gave {self.pairs:,} pairs, from "
            f"{self.rollouts:,} rollouts{exhausted}"
        )


class PivotalTokens(Transform):
    """Finds the tokens of a model's completions that decide whether they will be correct, and makes preference pairs of them
    (pivotal token search, phi-4, arXiv 2412.08905).

    The success rate of a prefix is the share of `samples` rollouts from it that the oracle accepts. A completion is bisected by
    log probability while the success rates at both ends of a span differ by `min_gap`; the spans that remain are single tokens.
    The other token of a pair is one that was sampled in the same place. Only questions with a medium success rate are searched.
    Rows have token ids (`megatron.prompt_ids`, `.chosen_ids`, `.rejected_ids`), which `pack` uses as they are, and
    `megatron.p_before`, `.p_chosen`, `.p_rejected`. A run that was killed resumes with the questions that were not finished.
    """

    name: ClassVar[str] = "pivotal-tokens"
    version: ClassVar[int] = 2
    output: ClassVar[type[Artifact] | None] = Pairs

    inputs: Annotated[Labels, Input(Documents)] = Field(alias="from", description="stages above with the questions")
    checkpoint: Annotated[str, Input(Checkpoint)] = Field(description="stage above that trained the model to search")
    prompt: str = Field("text", description="column with the question, such as `reasoning.prompt`")
    answer: str | None = Field(
        None,
        description="column with the reference answer, such as `reasoning.answer`; a completion is correct if it equals the "
        "answer, ignoring white space",
    )
    answer_pattern: str | None = Field(
        None,
        description="with `answer`: regular expression; its last match (or group) in completion and answer is compared instead",
    )
    oracle: Annotated[str | dict[str, Any] | None, Filters] = Field(
        None, description="instead of `answer`: a filter that keeps correct completions, such as `sandbox/tests-pass`"
    )
    oracle_input: Literal["both", "completion"] = Field(
        "both", description="what the filter sees: the question followed by the completion (`both`), or the `completion` alone"
    )
    samples: int = Field(
        64, gt=1, description="rollouts per prefix to estimate its success rate; with few, chance looks like pivotal tokens"
    )
    min_gap: float = Field(0.2, gt=0, le=1, description="minimum change of the success rate by a pivotal token (phi-4: 0.2)")
    min_rate: float = Field(0.2, ge=0, le=1, description="skip questions with a lower success rate (phi-4: 0.2)")
    max_rate: float = Field(0.8, ge=0, le=1, description="skip questions with a higher success rate (phi-4: 0.8)")
    completions: int = Field(2, gt=0, description="completions to search per question, correct and incorrect ones in turn")
    alternatives: int = Field(3, gt=0, description="tokens to try in place of a pivotal token, most frequent first")
    confirm: bool = Field(
        True,
        description="re-estimate both tokens of a pair from new rollouts, and keep it only if they still differ by `min_gap`",
    )
    max_rollouts: int = Field(20_000, gt=0, description="maximum number of rollouts per question")
    temperature: float = Field(1.0, gt=0, description="sampling temperature")
    max_tokens: int = Field(256, gt=0, description="maximum tokens of a completion; a longer one is graded as cut off")
    stop: tuple[str, ...] = Field((), description="stop texts, which end a completion and are not part of it")
    seed: int = Field(0, description="seed of the rollouts")
    concurrency: Annotated[int, Runtime] = Field(16, gt=0, description="questions to search side by side")

    _totals: _Totals = PrivateAttr(default_factory=_Totals)

    def check(self) -> Iterable[Diagnostic]:
        """Report options that exclude or contradict one another."""
        if (self.answer is None) == (self.oracle is None):
            yield Diagnostic("answer", "exactly one of `answer` and `oracle` is required", "set one of them")
        if self.min_rate > self.max_rate:
            yield Diagnostic("min_rate", f"is greater than `max_rate`, {self.max_rate}")
        if self.max_rollouts < self.samples:
            yield Diagnostic("max_rollouts", f"is less than the first {self.samples} samples of a question", "raise it")
        try:
            re.compile(self.answer_pattern or "")
        except re.error as error:
            yield Diagnostic("answer_pattern", f"is not a valid regular expression: {error}")

    def stream(self, inputs: StageInputs) -> Iterator[pl.DataFrame]:
        """Yield the pairs, in the order of the questions.

        Raises:
            RunError: A column is missing, or the model does not support token ids.
        """
        (checkpoint,) = inputs.by_label("checkpoint", Checkpoint).values()
        table: Table = inputs["from"]
        self._check_columns(table)
        self._totals = _Totals()
        digest = checkpoint.card().get("tokenizer", {}).get("digest")
        with (
            closing(inputs.resolver.model(checkpoint.path)) as model,
            closing(Journal(inputs.folder / "searched.jsonl")) as journal,
        ):
            if not isinstance(model, TokenModel):
                raise RunError(
                    "the model of this checkpoint does not support prompts of token ids",
                    place="checkpoint",
                    hint="use a checkpoint that the plugin `megatron` or `transformers` serves",
                )
            settings = SearchSettings(**{name: getattr(self, name) for name in SearchSettings.__dataclass_fields__})
            session = SearchSession(
                model, self._make_oracle(inputs, table), settings, self._rollout_settings(inputs.seed), journal
            )
            rows = (row for frame in table.frames() for row in frame.iter_rows(named=True))
            for row, question, result in session.run(rows, self.concurrency):
                self._totals.add(result)
                if result.pairs:
                    yield self._frame(row, question, result.pairs, model, digest)

    def notes(self) -> Iterable[str]:
        """Return the totals of the search."""
        yield self._totals.note(self.min_rate, self.max_rate)

    def _rollout_settings(self, seed: int) -> RolloutSettings:
        return RolloutSettings(self.prompt, self.temperature, self.max_tokens, self.stop, f"{seed}/{self.seed}")

    def _check_columns(self, table: Table) -> None:
        columns = table.scan().collect_schema()
        for option, column in (("prompt", self.prompt), ("answer", self.answer)):
            if column is not None and column not in columns:
                raise RunError(
                    f"the documents have no column {column!r}", place=option, hint=f"available: {', '.join(columns)}"
                )

    def _make_oracle(self, inputs: StageInputs, table: Table) -> Oracle:
        if self.oracle is None:
            return AnswerOracle(self.answer or "", self.answer_pattern)
        filter_ = inputs.resolver.filter(self.oracle)
        filter_.prepare(inputs)
        return FilterOracle(filter_, self.prompt, self.oracle_input == "completion", dict(table.scan().collect_schema()))

    def _frame(
        self, row: Mapping[str, Any], question: Tokens, pairs: Sequence[TokenPair], model: TokenModel, digest: str | None
    ) -> pl.DataFrame:
        """Return the pairs of one question as rows; the texts are for readers, the token ids are what is trained on."""
        texts = model.decode([ids for pair in pairs for ids in _sequences(pair)])
        rows = []
        for number, pair in enumerate(pairs):
            prefix, chosen, rejected = texts[3 * number : 3 * number + 3]
            rows.append(
                {
                    "id": document_id(row["id"], "pivotal", pair.prefix, pair.chosen, pair.rejected),
                    "kind": "preference",
                    "parents": [row["id"]],
                    "prompt": [_message("user", row[self.prompt]), _message("assistant", prefix)],
                    "chosen": [_message("assistant", chosen.removeprefix(prefix))],
                    "rejected": [_message("assistant", rejected.removeprefix(prefix))],
                    sampled.PROMPT: [*question, *pair.prefix],
                    sampled.CHOSEN: [pair.chosen],
                    sampled.REJECTED: [pair.rejected],
                    sampled.TOKENIZER: digest,
                    "megatron.p_before": pair.p_before,
                    "megatron.p_chosen": pair.p_chosen,
                    "megatron.p_rejected": pair.p_rejected,
                }
            )
        return pl.DataFrame(rows, schema_overrides={**Pairs.schema(), **COLUMNS})


def _message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def _sequences(pair: TokenPair) -> tuple[Tokens, Tokens, Tokens]:
    """Return the prefix alone, with the chosen token, and with the rejected token."""
    return pair.prefix, (*pair.prefix, pair.chosen), (*pair.prefix, pair.rejected)
