"""The stage `megatron/pivotal-tokens`: preferences between single tokens, found by trying how completions go on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

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
from textbookgen_megatron.pivotal.oracles import AnswerOracle, JudgeOracle, Oracle
from textbookgen_megatron.pivotal.search import Found, Pair, Rules, Tokens
from textbookgen_megatron.pivotal.session import Journal, Sampling, Searching

#: The columns of what is found, those that `pack` reads first.
OWN: dict[str, pl.DataType] = {
    **sampled.COLUMNS,
    "megatron.p_before": pl.Float64(),
    "megatron.p_chosen": pl.Float64(),
    "megatron.p_rejected": pl.Float64(),
}


@dataclass
class _Total:
    """What came of all questions together."""

    questions: int = 0
    within: int = 0
    searched: int = 0
    pivots: int = 0
    pairs: int = 0
    spent: int = 0
    rollouts: int = 0

    def add(self, result: Found) -> None:
        self.questions += 1
        self.within += result.searched > 0
        self.searched += result.searched
        self.pivots += result.pivots
        self.pairs += len(result.pairs)
        self.spent += result.spent
        self.rollouts += result.rollouts

    def told(self, lowest: float, highest: float) -> str:
        spent = f"; {self.spent} questions used up their rollouts" if self.spent else ""
        return (
            f"{self.within:,} of {self.questions:,} questions succeed in {lowest:.0%} to {highest:.0%} of "
            f"samples; in {self.searched:,} completions of theirs {self.pivots:,} tokens are pivotal, and {self.pairs:,} "
            f"pairs came of them, by {self.rollouts:,} rollouts{spent}"
        )


class PivotalTokens(Transform):
    """Finds the tokens of a model's completions that decide whether they will be right, and makes preferences of them
    (pivotal token search, phi-4, arXiv 2412.08905).

    The rate of success after a beginning is the share of `samples` ways on from there that the oracle calls right. A
    completion is halved at the middle of its log probability, and again, while the rate at both ends of a half differs by
    `least_gap`; what is left are single tokens. The other token of a pair is one that samples went on with at that place.
    Only questions of middling rate are searched. Rows keep token ids (`megatron.prompt_ids`, `.chosen_ids`,
    `.rejected_ids`), which `pack` takes as they are, and `megatron.p_before`, `.p_chosen`, `.p_rejected`. A run that
    was killed goes on with the questions that were not done.
    """

    name: ClassVar[str] = "pivotal-tokens"
    output: ClassVar[type[Artifact] | None] = Pairs

    inputs: Annotated[Labels, Input(Documents)] = Field(alias="from", description="stages above whose questions are asked")
    checkpoint: Annotated[str, Input(Checkpoint)] = Field(description="stage above that trained the model that is searched")
    prompt: str = Field("text", description="column with the question, such as `reasoning.prompt`")
    answer: str | None = Field(
        None, description="column with the right answer, such as `reasoning.answer`; a completion is right if it is the same"
    )
    answer_pattern: str | None = Field(
        None, description="regular expression (its group, if it has one): only its last match is compared, on both sides"
    )
    oracle: Annotated[str | dict[str, Any] | None, Filters] = Field(
        None, description="instead of `answer`: a judge that keeps what is right, such as `sandbox/tests-pass`"
    )
    oracle_reads: str = Field(
        "both", pattern="both|completion", description="the judge reads `both`, question and completion, or the `completion`"
    )
    samples: int = Field(64, gt=1, description="completions that a rate is measured by; fewer find what is not there")
    least_gap: float = Field(0.2, gt=0, le=1, description="how far a token must move the rate of success (phi-4's figure: 0.2)")
    lowest_rate: float = Field(0.2, ge=0, le=1, description="questions that succeed less often are not searched (phi-4: 0.2)")
    highest_rate: float = Field(0.8, ge=0, le=1, description="questions that succeed more often are not searched (phi-4: 0.8)")
    completions: int = Field(2, gt=0, description="completions searched of each question, right and wrong ones in turn")
    alternatives: int = Field(3, gt=0, description="tokens tried in the place of a pivotal one, the likeliest first")
    confirm: bool = Field(
        True, description="sample after both tokens of a pair once more, and keep it only if they still differ by `least_gap`"
    )
    max_rollouts: int = Field(20_000, gt=0, description="completions sampled for one question at most")
    temperature: float = Field(1.0, gt=0, description="how freely completions are drawn")
    max_tokens: int = Field(256, gt=0, description="tokens of a completion at most; a longer one is judged as it stands")
    stop: tuple[str, ...] = Field((), description="texts that end a completion; they are left out of what the oracle reads")
    seed: int = Field(0, description="another seed draws other completions")
    at_once: Annotated[int, Runtime] = Field(16, gt=0, description="questions that are searched side by side")

    _total: _Total = PrivateAttr(default_factory=_Total)

    def check(self) -> Iterable[Diagnostic]:
        """Options that do not go together."""
        if (self.answer is None) == (self.oracle is None):
            yield Diagnostic("answer", "either `answer` or `oracle` must be given", "who says that a completion is right?")
        if self.lowest_rate > self.highest_rate:
            yield Diagnostic("lowest_rate", f"is more than `highest_rate`, {self.highest_rate}")
        if self.max_rollouts < self.samples:
            yield Diagnostic("max_rollouts", f"is not enough for the first {self.samples} samples")
        try:
            re.compile(self.answer_pattern or "")
        except re.error as error:
            yield Diagnostic("answer_pattern", f"is no regular expression: {error}")

    def stream(self, inputs: StageInputs) -> Iterator[pl.DataFrame]:
        """The pairs, question by question in their order.

        Raises:
            RunError: a column is missing, or the model cannot be asked by token ids.
        """
        (checkpoint,) = inputs.by_label("checkpoint").values()
        table = inputs["from"]
        assert isinstance(checkpoint, Checkpoint) and isinstance(table, Table)
        self._look(table)
        self._total = _Total()
        digest = checkpoint.card().get("tokenizer", {}).get("digest")
        with (
            closing(inputs.resolver.model(checkpoint.path)) as model,
            closing(Journal(inputs.folder / "searched.jsonl")) as done,
        ):
            if not isinstance(model, TokenModel):
                problem = "the model of this checkpoint can be asked by texts alone, not by token ids"
                raise RunError(problem, place="checkpoint", hint="search in one that `megatron` or `transformers` serves")
            searching = Searching(model, self._oracle(inputs, table), self._rules(), self._sampling(inputs.seed), done)
            rows = (row for frame in table.frames() for row in frame.iter_rows(named=True))
            for row, question, result in searching.all(rows, self.at_once):
                self._total.add(result)
                if result.pairs:
                    yield self._frame(row, question, result.pairs, model, digest)

    def notes(self) -> Iterable[str]:
        """What was searched and what it took."""
        yield self._total.told(self.lowest_rate, self.highest_rate)

    def _rules(self) -> Rules:
        return Rules(**{name: getattr(self, name) for name in Rules.__dataclass_fields__})

    def _sampling(self, seed: int) -> Sampling:
        return Sampling(self.prompt, self.temperature, self.max_tokens, self.stop, f"{seed}/{self.seed}")

    def _look(self, table: Table) -> None:
        known = table.scan().collect_schema()
        for option, column in (("prompt", self.prompt), ("answer", self.answer)):
            if column is not None and column not in known:
                raise RunError(f"no document has a column {column!r}", place=option, hint=f"there are {', '.join(known)}")

    def _oracle(self, inputs: StageInputs, table: Table) -> Oracle:
        if self.oracle is None:
            return AnswerOracle(self.answer or "", self.answer_pattern)
        judge = inputs.resolver.filter(self.oracle)
        judge.prepare(inputs)
        return JudgeOracle(judge, self.prompt, self.oracle_reads == "completion", dict(table.scan().collect_schema()))

    def _frame(
        self, row: Mapping[str, Any], question: Tokens, pairs: Sequence[Pair], model: TokenModel, digest: str | None
    ) -> pl.DataFrame:
        """The pairs of one question as rows; texts are for readers, the ids say what is meant."""
        texts = model.decode([ids for pair in pairs for ids in _three(pair)])
        rows = []
        for number, pair in enumerate(pairs):
            begun, chosen, rejected = texts[3 * number : 3 * number + 3]
            rows.append(
                {
                    "id": document_id(row["id"], "pivotal", pair.prefix, pair.chosen, pair.rejected),
                    "kind": "preference",
                    "parents": [row["id"]],
                    "prompt": [_turn("user", row[self.prompt]), _turn("assistant", begun)],
                    "chosen": [_turn("assistant", chosen.removeprefix(begun))],
                    "rejected": [_turn("assistant", rejected.removeprefix(begun))],
                    sampled.PROMPT: [*question, *pair.prefix],
                    sampled.CHOSEN: [pair.chosen],
                    sampled.REJECTED: [pair.rejected],
                    sampled.TOKENIZER: digest,
                    "megatron.p_before": pair.p_before,
                    "megatron.p_chosen": pair.p_chosen,
                    "megatron.p_rejected": pair.p_rejected,
                }
            )
        return pl.DataFrame(rows, schema_overrides={**Pairs.schema(), **OWN})


def _turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def _three(pair: Pair) -> tuple[Tokens, Tokens, Tokens]:
    return pair.prefix, (*pair.prefix, pair.chosen), (*pair.prefix, pair.rejected)
