"""The stage `evaluate`: scores of checkpoints on benchmarks, by the answers they write or the likelihood of given ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Annotated, ClassVar

import polars as pl
from pydantic import Field, ValidationInfo, field_validator

from textbookgen.api.annotations import Filters, Input, Labels, Opens, Runtime
from textbookgen.api.artifacts import Checkpoint
from textbookgen.api.benchmark import BenchmarkItem, ChoiceItem
from textbookgen.api.errors import RunError
from textbookgen.api.files import write_frame, write_text
from textbookgen.api.model import Model
from textbookgen.api.rows import ITEM_SCORES, report_table
from textbookgen.api.stage import Evaluator, Filter, StageInputs
from textbookgen.builtin.evaluation.figures import figures
from textbookgen.builtin.evaluation.generated import Generation, complete_items, judge, pass_rates, render_completions
from textbookgen.builtin.evaluation.groups import group_figures
from textbookgen.builtin.evaluation.likelihood import choice_scores, further_figures, score_choices


class BenchmarkEval(Evaluator):
    """Scores each checkpoint on each benchmark.

    Answers that a model writes: pass@k is the unbiased estimator of Chen et al. 2021 (arXiv 2107.03374),
    1 - C(n - c, k) / C(n, k), averaged over the items, with the standard error of that mean. Items with tests pass if prompt,
    completion and tests run without an error; others if the completion equals the solution, apart from white space.

    Choices among given answers: `acc` chooses the likeliest answer, `acc_norm` that with the highest log probability per
    character; `bits_per_byte` is that of the right answer. Prompts, few-shot examples and figures are those of
    lm-evaluation-harness. Benchmarks that the report on phi-2 groups also get the mean of their group, if all were scored.
    """

    name: ClassVar[str] = "evaluate"
    version: ClassVar[int] = 2

    inputs: Annotated[Labels, Input(Checkpoint)] = Field(alias="from", description="stages above whose checkpoints are scored")
    benchmarks: Annotated[tuple[str, ...], Opens("benchmark")] = Field(
        min_length=1, description="names of benchmarks, such as exercises-heldout, humaneval@FILE or arc_easy@FILE?shots=5"
    )
    runner: Annotated[str | dict[str, object], Filters] = Field(
        "sandbox/tests-pass", description="filter that runs programs and keeps those that pass"
    )
    samples: int = Field(1, gt=0, description="completions per item")
    temperature: float | None = Field(
        None, ge=0, description="sampling temperature, 0 for greedy; unless given, 0 for one sample and 0.2 for several"
    )
    max_tokens: int = Field(256, gt=0, description="maximum length of a completion in tokens")
    k: tuple[int, ...] = Field((1,), min_length=1, description="values of k for pass@k, none larger than `samples`")
    max_items: int | None = Field(None, gt=0, description="use only the first N items of each benchmark")
    examples: int = Field(3, ge=0, description="completions of the last model to show in the report, passed and failed each")
    document_start: bool = Field(
        False,
        description="score choices after the end-of-document token, as in training; lm-evaluation-harness does not, unless the "
        "tokenizer itself puts a token before each text",
    )
    batch: Annotated[int, Runtime] = Field(64, gt=0, description="items per batch")

    @field_validator("k")
    @classmethod
    def _has_enough_samples(cls, k: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        samples = info.data.get("samples", 1)
        if not all(0 < value <= samples for value in k):
            raise ValueError(f"pass@{max(k)} requires k from 1 to `samples`, which is {samples}")
        return k

    def evaluate(self, inputs: StageInputs, out: Path) -> pl.DataFrame:
        """Return the scores.

        `completions.parquet` has every completion with its verdict, `choices.parquet` the log probabilities of every choice,
        `item_scores.parquet` the scores of every item.
        """
        completions, choices, scores, rows = [], [], [], []
        runner: Filter | None = None
        for label, checkpoint in inputs.by_label("from", Checkpoint).items():
            with closing(inputs.resolver.model(checkpoint.path)) as model:
                for table in self._answers(label, model, inputs):
                    if "choices" in table.columns:
                        choices.append(table)
                        scores.append(choice_scores(table))
                        rows += [*figures(scores[-1]), *further_figures(table)]
                    else:
                        completions.append(judge(table, runner := runner or self._open_runner(inputs)))
                        scores.append(pass_rates(completions[-1], self.k))
                        rows += figures(scores[-1])
        if completions:
            write_frame(out / "completions.parquet", pl.concat(completions))
            write_text(out / "examples.md", "\n".join(render_completions(pl.concat(completions), self.examples)))
        if choices:
            write_frame(out / "choices.parquet", pl.concat(choices))
        write_frame(out / ITEM_SCORES, pl.concat(scores))
        return report_table([*rows, *group_figures(rows)])

    def _open_runner(self, inputs: StageInputs) -> Filter:
        runner = inputs.resolver.filter(self.runner)
        runner.prepare(inputs)
        return runner

    def _answers(self, label: str, model: Model, inputs: StageInputs) -> Iterator[pl.DataFrame]:
        """Yield the completions or the scored choices of one model for each benchmark."""
        temperature = self.temperature if self.temperature is not None else 0.0 if self.samples == 1 else 0.2
        generation = Generation(self.samples, temperature, self.max_tokens, inputs.seed, self.batch)
        names: set[str] = set()
        for name in self.benchmarks:
            benchmark = inputs.resolver.benchmark(name)
            if benchmark.name in names:
                hint = "score the second one in another stage `evaluate`"
                raise RunError(f"two benchmarks are named '{benchmark.name}' in reports", place="benchmarks", hint=hint)
            names.add(benchmark.name)
            items = list(islice(benchmark.items(), self.max_items))
            written = [item for item in items if isinstance(item, BenchmarkItem)]
            chosen = [item for item in items if isinstance(item, ChoiceItem)]
            if not items:
                raise RunError(f"benchmark `{name}` has no items", place="benchmarks")
            if written:
                yield complete_items(label, model, benchmark.name, written, benchmark.stop, generation)
            if chosen:
                yield score_choices(label, model, benchmark.name, chosen, self.batch, self.document_start)
