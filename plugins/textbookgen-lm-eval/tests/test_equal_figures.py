"""The built-in benchmarks of `evaluate` against lm-evaluation-harness: prompts, log probabilities and figures are equal."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from lm_eval.models.huggingface import HFLM
from textbookgen_transformers.served_model import TransformersModel

from textbookgen.api.artifacts import Checkpoint
from textbookgen.api.stage import StageInputs
from textbookgen.builtin.benchmarks import open_benchmark
from textbookgen.builtin.benchmarks.choices import FORMATS
from textbookgen.builtin.stages.evaluate import BenchmarkEval

from .harness import Harness, by_subject


@pytest.fixture(scope="module")
def harness(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Harness:
    model = HFLM(pretrained=str(checkpoint), device="cpu", dtype="float32", softmax_dtype="float64", batch_size=8)
    return Harness(model, tmp_path_factory.mktemp("tasks"))


class Resolver:
    """Opens the model, which stays open, and built-in benchmarks."""

    def __init__(self, model: TransformersModel) -> None:
        self._model = model

    def model(self, checkpoint: Path) -> Any:
        return self

    def score(self, pairs: Any, **options: Any) -> Any:
        return self._model.score(pairs, **options)

    def close(self) -> None: ...

    def benchmark(self, name: str) -> Any:
        return open_benchmark(name)


def evaluate(model: TransformersModel, folder: Path, name: str, **options: Any) -> tuple[dict[str, Any], pl.DataFrame]:
    """Return the figures of a benchmark by name and metric, and its scored choices."""
    stage = BenchmarkEval.model_validate({"from": "m", "benchmarks": [name], "batch": 4, **options})
    inputs = StageInputs({"from": {"m": Checkpoint(folder)}}, folder, Resolver(model))  # type: ignore[arg-type]
    report = stage.evaluate(inputs, folder)
    figures: dict[str, Any] = {}
    for row in report.iter_rows(named=True):
        figures.setdefault(row["benchmark"], {})[row["metric"]] = row
    return figures, pl.read_parquet(folder / "choices.parquet")


def assert_equal_samples(choices: pl.DataFrame, samples: list[dict[str, Any]]) -> None:
    """Compare prompts and log probabilities, item by item."""
    samples = sorted(samples, key=lambda sample: sample["doc_id"])
    assert len(choices) == len(samples)
    for row, sample in zip(choices.iter_rows(named=True), samples, strict=True):
        assert all(str(values[0]).startswith(row["prefix"]) for values in _arguments(sample))
        if (prompt := row["prefix"] + row["prompt"]) != str(_arguments(sample)[0][0]):
            assert "_" in prompt, "only in WinoGrande the prompt is not what the model reads"
        theirs = [float(response[0][0]) for response in sample["resps"]]
        assert row["logprobs"] == pytest.approx(theirs, rel=2e-6)


def _arguments(sample: dict[str, Any]) -> list[Any]:
    arguments = sample["arguments"]
    return list(arguments.values()) if isinstance(arguments, dict) else list(arguments)


def assert_equal_figures(figures: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Compare figures by metric with the results of a task or group, standard errors included."""
    metrics = [metric for metric in ("acc", "acc_norm") if f"{metric},none" in theirs and metric in figures]
    assert metrics
    for metric in metrics:
        assert figures[metric]["value"] == pytest.approx(theirs[f"{metric},none"], rel=1e-15)
        assert figures[metric]["stderr"] == pytest.approx(theirs[f"{metric}_stderr,none"], rel=1e-12)


SCORED_BY_TEST = ("arc_easy", "arc_challenge", "openbookqa", "lambada")
TASKS = {kind: kind for kind in FORMATS if kind not in ("mmlu", "squad", "lambada")} | {"lambada": "lambada_openai"}


# no examples for LAMBADA: the harness puts two spaces before the word of an example, and may show the item itself
CASES = [(kind, shots) for kind in TASKS for shots in (0, 2) if (kind, shots) != ("lambada", 2)]


@pytest.mark.parametrize(("kind", "shots"), CASES)
def test_figures_equal_those_of_the_harness(kind, shots, harness, model, files, tmp_path):
    paths = files[kind]
    name = harness.write(TASKS[kind], paths)
    theirs = harness.run(name, shots=shots)
    query = f"?shots={shots}&examples={paths['train']}" if shots else ""
    figures, choices = evaluate(model, tmp_path, f"{kind}@{paths['test' if kind in SCORED_BY_TEST else 'validation']}{query}")
    assert_equal_samples(choices, theirs["samples"][name])
    assert_equal_figures(figures[f"{kind} ({shots}-shot)" if shots else kind], theirs["results"][name])
    if kind == "lambada":
        assert figures[kind]["perplexity"]["value"] == pytest.approx(theirs["results"][name]["perplexity,none"], rel=1e-5)


LETTERS = "Question: {{question}}\n{% for t in choices.text %}{{'ABCD'[loop.index0]}}. {{t}}\n{% endfor %}Answer:"
OTHER_FORMS = {
    "arc_easy": ("choice", {"doc_to_text": LETTERS, "doc_to_choice": "{{['A', 'B', 'C', 'D'][:choices.text|length]}}"}),
    "commonsense_qa": (
        "cloze",
        {
            "doc_to_text": "Question: {{question.strip()}}\nAnswer:",
            "doc_to_choice": "{{choices.text}}",
            "doc_to_target": "{{choices.label.index(answerKey)}}",
        },
    ),
}


@pytest.mark.parametrize("kind", OTHER_FORMS)
def test_other_forms_equal_tasks_with_such_prompts(kind, harness, model, files, tmp_path):
    form, changes = OTHER_FORMS[kind]
    name = harness.write(kind, files[kind], changes, name=f"{kind}_{form}")
    theirs = harness.run(name, shots=3)
    scored = files[kind]["test" if kind in SCORED_BY_TEST else "validation"]
    figures, choices = evaluate(model, tmp_path, f"{kind}@{scored}?form={form}&shots=3&examples={files[kind]['train']}")
    assert_equal_samples(choices, theirs["samples"][name])
    assert_equal_figures(figures[f"{kind} ({form}, 3-shot)"], theirs["results"][name])


def test_examples_from_the_scored_file_leave_out_the_item(harness, model, files, tmp_path):
    validation = {"validation": files["hellaswag"]["validation"]}
    name = harness.write("hellaswag", validation, {"training_split": None}, name="hellaswag_own")
    theirs = harness.run(name, shots=3)
    figures, choices = evaluate(model, tmp_path, f"hellaswag@{validation['validation']}?shots=3")
    assert_equal_samples(choices, theirs["samples"][name])
    assert_equal_figures(figures["hellaswag (3-shot)"], theirs["results"][name])
    assert not any(row["prompt"] in row["prefix"] for row in choices.iter_rows(named=True))


@pytest.mark.parametrize(("form", "shots"), [("choice", 0), ("choice", 5), ("cloze", 2)])
def test_mmlu_is_weighted_by_size_and_takes_the_first_examples_of_each_subject(form, shots, harness, model, files, tmp_path):
    splits = {split: by_subject(path, tmp_path) for split, path in files["mmlu"].items()}
    ending = "_continuation" if form == "cloze" else ""
    names = [
        harness.write(f"mmlu_{subject}{ending}", {split: paths[subject] for split, paths in splits.items()})
        for subject in splits["test"]
    ]
    theirs = harness.run(*names, shots=shots)
    query = f"?form={form}&shots={shots}&examples={files['mmlu']['dev']}"
    figures, choices = evaluate(model, tmp_path, f"mmlu@{files['mmlu']['test']}{query}")
    samples = [sample for name in names for sample in sorted(theirs["samples"][name], key=lambda each: each["doc_id"])]
    assert_equal_samples(choices, [{**sample, "doc_id": number} for number, sample in enumerate(samples)])
    details = ", ".join(["cloze"] * (form == "cloze") + [f"{shots}-shot"] * (shots > 0))
    mmlu = f"mmlu ({details})" if details else "mmlu"
    assert figures[mmlu]["acc"]["value"] == pytest.approx(sum(sample["acc"] for sample in samples) / len(samples))
    by_area = {area: len(rows) for (area,), rows in choices.group_by("category")}
    assert by_area == {"stem": 10, "humanities": 5}
    history = theirs["results"]["local_mmlu_high_school_us_history" + ending]
    assert_equal_figures(figures[f"{mmlu}/humanities"], history)


def test_squad_equals_a_task_with_the_prompt_of_squadv2(harness, model, files, tmp_path):
    changes = {
        "doc_to_text": "Title: {{title}}\n\nBackground: {{context}}\n\nQuestion: {{question}}\n\nAnswer:",
        "doc_to_target": "{{' ' + (answers.text[0] if answers.text else 'unanswerable')}}",
        "test_split": "validation",
    }
    name = harness.write("lambada_openai", files["squad"], changes, name="squad_first_answer")
    theirs = harness.run(name, shots=0)
    figures, choices = evaluate(model, tmp_path, f"squad@{files['squad']['validation']}")
    assert_equal_samples(choices, theirs["samples"][name])
    assert_equal_figures(figures["squad"], theirs["results"][name])
    assert figures["squad"]["perplexity"]["value"] == pytest.approx(theirs["results"][name]["perplexity,none"], rel=1e-5)


def test_bits_per_byte_are_those_of_the_right_answer(model, files, tmp_path):
    figures, choices = evaluate(model, tmp_path, f"arc_easy@{files['arc_easy']['test']}")
    row = choices.row(0, named=True)
    text = row["choices"][row["answer"]]
    [score] = model.score([(row["prompt"], " " + text)], document_start=False)
    assert row["bits_per_byte"] == pytest.approx(-score.logprob / math.log(2) / len(text.encode()))
    assert figures["arc_easy"]["bits_per_byte"]["value"] == pytest.approx(choices["bits_per_byte"].mean())


def test_a_model_can_read_items_as_documents(model, files, tmp_path):
    stage = {"document_start": True}
    name = f"piqa@{files['piqa']['validation']}"
    _, plain = evaluate(model, tmp_path, name)
    _, started = evaluate(model, tmp_path, name, **stage)
    row = started.row(0, named=True)
    ids, more = model.encode([row["prompt"], row["prompt"] + " " + row["choices"][0]])
    assert row["logprobs"][0] == pytest.approx(sum(model.logprobs([(ids, more[len(ids) :])])[0]))
    assert plain["logprobs"].to_list() != started["logprobs"].to_list()
