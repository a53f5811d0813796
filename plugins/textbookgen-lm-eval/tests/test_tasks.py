"""The stage `lm-eval/tasks` against the harness's own model of transformers, on an exported checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import textbookgen_lm_eval.tasks as module
from lm_eval.models.huggingface import HFLM
from textbookgen_lm_eval.tasks import Tasks
from textbookgen_transformers.served_model import TransformersModel

from textbookgen.api.artifacts import Checkpoint
from textbookgen.api.errors import RunError
from textbookgen.api.rows import REPORT_SCHEMA
from textbookgen.api.stage import StageInputs

from .harness import Harness

GENERATED = {
    "output_type": "generate_until",
    "test_split": "test",
    "doc_to_text": "Question: {{question}}\nAnswer:",
    "doc_to_target": "{{answerKey}}",
    "generation_kwargs": {"until": ["\n", " the"], "max_gen_toks": 12, "do_sample": False},
    "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
}
ROLLING = {
    "output_type": "loglikelihood_rolling",
    "test_split": "test",
    "doc_to_text": "",
    "doc_to_target": "{{text}}",
    "metric_list": [{"metric": metric} for metric in ("word_perplexity", "byte_perplexity", "bits_per_byte")],
}


class Resolver:
    def __init__(self, model: TransformersModel) -> None:
        self._model = model

    def model(self, checkpoint: Path) -> Any:
        return _Open(self._model)


class _Open:
    """The model, which stays open."""

    def __init__(self, model: TransformersModel) -> None:
        self.complete, self.score, self.encode, self.decode = model.complete, model.score, model.encode, model.decode
        self.extend, self.logprobs = model.extend, model.logprobs

    def close(self) -> None: ...


@pytest.fixture(scope="module")
def tasks(files, tmp_path_factory) -> Harness:
    """Task files for every type of request; some texts are longer than the context."""
    folder = tmp_path_factory.mktemp("tasks")
    harness = Harness(None, folder)
    passages = folder / "passages.jsonl"
    texts = [json.loads(line)["text"] for line in Path(files["lambada"]["test"]).read_text(encoding="utf-8").splitlines()]
    rows = [*texts, " ".join(texts[:8]), " ".join(texts)]
    passages.write_text("".join(json.dumps({"text": text}) + "\n" for text in rows), encoding="utf-8")
    harness.write("arc_easy", files["arc_easy"])
    harness.write("lambada_openai", files["lambada"])
    harness.write("piqa", {"validation": str(folder / "nowhere.jsonl")}, name="lost")
    for name, changes, data in (
        ("written", GENERATED, files["arc_easy"]["test"]),
        ("passages", ROLLING, str(passages)),
    ):
        config = {
            "task": name, "dataset_path": "json", "dataset_kwargs": {"data_files": {"test": data}}, **changes,
        }  # fmt: skip
        (folder / f"{name}.yaml").write_text(json.dumps(config), encoding="utf-8")  # YAML contains JSON
    return harness


def run(tasks: Harness, model: TransformersModel, checkpoint: Path, out: Path, *names: str, **options: Any) -> pl.DataFrame:
    stage = Tasks.model_validate({"from": "m", "tasks": names, "include_path": str(tasks.folder), "batch": 8, **options})
    assert list(stage.check()) == []
    inputs = StageInputs({"from": {"m": Checkpoint(checkpoint)}}, out, Resolver(model))  # type: ignore[arg-type]
    return stage.evaluate(inputs, out)


def test_figures_equal_those_of_the_harness_with_transformers(tasks, model, checkpoint, tmp_path):
    names = ("local_arc_easy", "local_lambada_openai", "written", "passages")
    report = run(tasks, model, checkpoint, tmp_path, *names)
    hf = HFLM(pretrained=str(checkpoint), device="cpu", dtype="float32", softmax_dtype="float64", batch_size=4)
    tasks.model = hf
    theirs = tasks.run(*names)
    assert report.schema == pl.Schema(REPORT_SCHEMA)
    assert set(report["metric"]) >= {"acc", "acc_norm", "perplexity", "exact_match", "word_perplexity", "bits_per_byte"}
    for row in report.iter_rows(named=True):
        expected = theirs["results"][row["benchmark"]][f"{row['metric']},none"]
        exact = row["metric"] in ("acc", "acc_norm", "exact_match")
        assert row["value"] == expected if exact else row["value"] == pytest.approx(expected, rel=1e-4)
        assert row["n"] == theirs["n-samples"][row["benchmark"]]["effective"]
    samples = pl.read_parquet(tmp_path / "samples.parquet")
    written = samples.filter(benchmark="written").sort(pl.col("item").cast(pl.Int64))
    ours = [json.loads(text)[0][0] for text in written["responses"]]
    assert ours == [sample["resps"][0][0] for sample in sorted(theirs["samples"]["written"], key=lambda each: each["doc_id"])]
    assert any(ours) and all("\n" not in text and " the" not in text for text in ours)
    assert json.loads(samples.filter(benchmark="local_arc_easy")["document"][0])["question"]
    assert json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["m"]["n-shot"]["written"] == 0


def test_items_are_kept_with_their_scores(tasks, model, checkpoint, tmp_path):
    report = run(tasks, model, checkpoint, tmp_path, "local_arc_easy", shots=2, limit=5)
    scores = pl.read_parquet(tmp_path / "item_scores.parquet").filter(metric="acc")
    assert report["benchmark"].unique().to_list() == ["local_arc_easy (2-shot)"]
    assert (len(scores), scores["value"].mean()) == (5, report.filter(metric="acc")["value"][0])
    assert set(scores["value"]) <= {0.0, 1.0}


def test_unknown_tasks_and_folders_are_reported_before_a_run(tasks):
    stage = Tasks.model_validate({"from": "m", "tasks": ["arc_easy", "ark_easy"], "include_path": str(tasks.folder)})
    [problem] = stage.check()
    assert "has no task 'ark_easy'" in problem.problem
    [problem] = Tasks.model_validate({"from": "m", "tasks": ["x"], "include_path": str(tasks.folder / "absent")}).check()
    assert "absent" in problem.problem


def test_a_missing_library_is_reported(monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    [missing] = Tasks.model_validate({"from": "m", "tasks": ["arc_easy"]}).check()
    assert "lm_eval" in missing.problem and "textbookgen-lm-eval[harness]" in missing.hint


def test_data_that_cannot_be_read_is_an_error_with_the_task(tasks, model, checkpoint, tmp_path):
    with pytest.raises(RunError, match="lm-evaluation-harness failed") as caught:
        run(tasks, model, checkpoint, tmp_path, "lost")
    assert "include_path" in str(caught.value.hint)


def test_another_release_of_the_harness_or_another_task_file_is_another_step(tmp_path, monkeypatch):
    stage = Tasks(inputs="model", tasks=("mine",), include_path=str(tmp_path))
    (tmp_path / "mine.yaml").write_text("task: mine\n", encoding="utf-8")
    before = stage.digest()
    assert stage.digest() == before and before.startswith(f"lm-eval {module._release()}\n")
    (tmp_path / "mine.yaml").write_text("task: mine\nnum_fewshot: 1\n", encoding="utf-8")
    changed = stage.digest()
    assert changed != before
    monkeypatch.setattr(module, "version", lambda name: "99.0")
    assert stage.digest() != changed
