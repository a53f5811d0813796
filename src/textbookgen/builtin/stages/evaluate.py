"""The stage `evaluate`: scores of models on benchmarks, by the answers they write or the likelihood of given ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, ClassVar

import polars as pl
from pydantic import Field, ValidationInfo, field_validator

from textbookgen.api.annotations import Filters, Input, Label, Labels, Opens, Runtime
from textbookgen.api.artifacts import Checkpoint
from textbookgen.api.benchmark import Benchmark, BenchmarkItem, ChoiceItem
from textbookgen.api.errors import Diagnostic, RunError
from textbookgen.api.files import write_frame, write_text
from textbookgen.api.rows import ITEM_SCORES, report_table
from textbookgen.api.stage import Estimate, Filter, Resolver, StageInputs
from textbookgen.api.teacher_evaluator import TeacherEvaluator
from textbookgen.builtin.evaluation.answering import Answerer, ChatMode, Generation, each_answerer
from textbookgen.builtin.evaluation.asked_choices import ask_choices, asked_scores
from textbookgen.builtin.evaluation.figures import figures
from textbookgen.builtin.evaluation.generated import answer_items, judge, pass_rates, render_completions
from textbookgen.builtin.evaluation.groups import group_figures
from textbookgen.builtin.evaluation.likelihood import choice_scores, further_figures, score_choices
from textbookgen.builtin.evaluation.published import published_models, published_rows, render_published
from textbookgen.builtin.evaluation.request_estimates import estimate_questions, total


class BenchmarkEval(TeacherEvaluator):
    """Scores each checkpoint, and each teacher, on each benchmark.

    Answers that a model writes: pass@k is the unbiased estimator of Chen et al. 2021 (arXiv 2107.03374),
    1 - C(n - c, k) / C(n, k), averaged over the items, with the standard error of that mean. Items with tests pass if prompt,
    completion and tests run without an error; word problems if the answer gives the right number, however it is written; others
    if the completion equals the solution, apart from white space.

    Choices among given answers: `acc` chooses the likeliest answer, `acc_norm` that with the highest log probability per
    character; `bits_per_byte` is that of the right answer. Prompts, few-shot examples and figures are those of
    lm-evaluation-harness. Benchmarks that the report on phi-2 groups also get the mean of their group, if all were scored.
    Likelihoods of teachers are not known: they are asked for the letter (`acc_asked`).
    """

    name: ClassVar[str] = "evaluate"
    version: ClassVar[int] = 3

    inputs: Annotated[Labels, Input(Checkpoint)] = Field(
        (), alias="from", description="stages above whose checkpoints are scored"
    )
    teachers: Annotated[Labels, Label("teacher")] = Field(
        (), description="labels of teachers that are scored as checkpoints are"
    )
    published: tuple[str, ...] = Field(
        (), description="models whose published figures are columns beside the measured ones, such as phi-1 or phi-1.5"
    )
    benchmarks: Annotated[tuple[str, ...], Opens("benchmark")] = Field(
        min_length=1, description="names of benchmarks, such as exercises-heldout, humaneval@FILE or arc_easy@FILE?shots=5"
    )
    chat: ChatMode = Field(
        "auto", description="ask checkpoints as chats, in their chat template; `auto`: those that have one. Teachers always are"
    )
    runner: Annotated[str | dict[str, object], Filters] = Field(
        "sandbox/tests-pass", description="filter that runs programs and keeps those that pass"
    )
    samples: int = Field(1, gt=0, description="completions per item")
    temperature: float | None = Field(
        None, ge=0, description="sampling temperature, 0 for greedy; unless given, 0 for one sample and 0.2 for several"
    )
    max_tokens: int = Field(256, gt=0, description="maximum length of a completion in tokens; a teacher has its own")
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

    @classmethod
    def limited(cls, options: dict[str, Any], limit: int) -> dict[str, Any]:
        """Limit `max_items` where teachers are asked, who may charge for it."""
        return options if not options.get("teachers") else options | {"max_items": min(options.get("max_items", limit), limit)}

    def check(self) -> Iterable[Diagnostic]:
        """Report that there is nothing to score, and unknown models in `published`."""
        if not self.inputs and not self.teachers:
            yield Diagnostic("from", "there is nothing to score", "name stages with checkpoints in `from`, or `teachers`")
        for name in self.published:
            if name not in published_models():
                yield Diagnostic("published", f"no figures of '{name}' are shipped", f"known: {', '.join(published_models())}")

    def estimate_requests(self, inputs: Mapping[str, Estimate], resolver: Resolver) -> Mapping[str, Estimate]:
        """Return one request per item and sample for each teacher."""
        if not self.teachers:
            return {}
        parts = [
            estimate_questions(resolver.benchmark(name), self.max_items, self.samples, self.reply_tokens)
            for name in self.benchmarks
        ]
        return dict.fromkeys(self.teachers, total(parts))

    def evaluate(self, inputs: StageInputs, out: Path) -> pl.DataFrame:
        """Return the scores.

        `completions.parquet` has every completion with its verdict, `choices.parquet` the log probabilities of every choice,
        `asked_choices.parquet` the letters that teachers chose, `item_scores.parquet` the scores of every item.
        """
        tables: dict[str, list[pl.DataFrame]] = {"completions": [], "choices": [], "asked_choices": []}
        scores, rows = [], []
        benchmarks = list(self._benchmarks(inputs))
        runner: Filter | None = None
        with closing(each_answerer(inputs, self.teachers, self.chat, inputs.by_label("from", Checkpoint))) as answerers:
            for answerer, benchmark, items in ((model, *pair) for model in answerers for pair in benchmarks):
                for kind, table in self._answers(answerer, benchmark, items, inputs):
                    if kind == "completions":
                        written = [item for item in items if isinstance(item, BenchmarkItem)]
                        if runner is None and any(item.tests for item in written):
                            runner = self._open_runner(inputs)
                        table = judge(table, written, runner)
                        scores.append(pass_rates(table, self.k))
                    else:
                        scores.append(choice_scores(table) if kind == "choices" else asked_scores(table))
                    tables[kind].append(table)
                    rows += [*figures(scores[-1]), *(further_figures(table) if kind == "choices" else ())]
        rows += group_figures(rows)
        self._write(out, tables, scores)
        if self.published:
            write_text(out / "published.md", render_published(self.published, rows))
        return report_table([*rows, *published_rows(self.published, rows)])

    def _write(self, out: Path, tables: Mapping[str, list[pl.DataFrame]], scores: list[pl.DataFrame]) -> None:
        for name, parts in tables.items():
            if parts:
                write_frame(out / f"{name}.parquet", pl.concat(parts))
        if tables["completions"]:
            write_text(out / "examples.md", "\n".join(render_completions(pl.concat(tables["completions"]), self.examples)))
        write_frame(out / ITEM_SCORES, pl.concat(scores))

    def _open_runner(self, inputs: StageInputs) -> Filter:
        runner = inputs.resolver.filter(self.runner)
        runner.prepare(inputs)
        return runner

    def _benchmarks(self, inputs: StageInputs) -> Iterator[tuple[Benchmark, list[BenchmarkItem | ChoiceItem]]]:
        """Yield the benchmarks with the items that are used."""
        names: set[str] = set()
        for name in self.benchmarks:
            benchmark = inputs.resolver.benchmark(name)
            if benchmark.name in names:
                hint = "score the second one in another stage `evaluate`"
                raise RunError(f"two benchmarks are named '{benchmark.name}' in reports", place="benchmarks", hint=hint)
            names.add(benchmark.name)
            items = list(islice(benchmark.items(), self.max_items))
            if not items:
                raise RunError(f"benchmark `{name}` has no items", place="benchmarks")
            yield benchmark, items

    def _answers(
        self, answerer: Answerer, benchmark: Benchmark, items: list[BenchmarkItem | ChoiceItem], inputs: StageInputs
    ) -> Iterator[tuple[str, pl.DataFrame]]:
        """Yield what one model wrote or chose, with the name of the file that it belongs to."""
        temperature = self.temperature if self.temperature is not None else 0.0 if self.samples == 1 else 0.2
        generation = Generation(self.samples, temperature, self.max_tokens, inputs.seed, self.batch)
        written = [item for item in items if isinstance(item, BenchmarkItem)]
        chosen = [item for item in items if isinstance(item, ChoiceItem)]
        if written:
            yield "completions", answer_items(answerer, benchmark.name, written, benchmark.stop, generation)
        if not chosen:
            return
        if (model := answerer.scoring_model) is not None:
            table = score_choices(answerer.subject, model, benchmark.name, chosen, self.batch, self.document_start)
            yield "choices", table
        elif any(len(item.choices) > 1 for item in chosen):
            one = Generation(1, 0.0, self.max_tokens, inputs.seed, self.batch)
            yield "asked_choices", ask_choices(answerer, benchmark.name, chosen, one)
