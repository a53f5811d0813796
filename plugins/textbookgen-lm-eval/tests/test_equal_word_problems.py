"""GSM8K of `evaluate` against lm-evaluation-harness: prompts, stop texts and both of its exact matches, item by item."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest
import yaml
from lm_eval.api.model import LM

from textbookgen.api.artifacts import Checkpoint
from textbookgen.api.stage import StageInputs
from textbookgen.builtin.benchmarks import open_benchmark
from textbookgen.builtin.benchmarks.gsm8k_examples import EXAMPLES
from textbookgen.builtin.stages.evaluate import BenchmarkEval

from .harness import Harness, published

PIECES = ("18", "#### ", "$", "1,018", ".", "\n", " ", "The answer is ", "-", "9*2=18", ",,", "18.00", "eggs", "-7 ", "#### 18")
TASKS = {"gsm8k": ("gsm8k", "solution"), "gsm8k_cot": ("gsm8k-cot", "cot")}


def reply(prompt: str) -> str:
    """An answer that depends on the question only: a few pieces that answers are made of."""
    rng = Random(prompt)
    return "".join(rng.choices(PIECES, k=rng.randint(0, 6)))


class Scripted(LM):
    """Answers the harness."""

    def __init__(self) -> None:
        super().__init__()
        self.until: list[list[str]] = []

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        self.until += [request.args[1]["until"] for request in requests]
        return [reply(request.args[0]) for request in requests]

    def loglikelihood(self, requests: Any, **_: Any) -> Any:
        raise NotImplementedError

    def loglikelihood_rolling(self, requests: Any, **_: Any) -> Any:
        raise NotImplementedError


class Resolver:
    """Answers `evaluate` in the same way."""

    def __init__(self) -> None:
        self.stop: tuple[str, ...] = ()

    def model(self, checkpoint: Path) -> Any:
        return self

    def complete(self, prompts: Sequence[str], **options: Any) -> list[list[str]]:
        self.stop = options["stop"]
        return [[reply(prompt)] for prompt in prompts]

    def close(self) -> None: ...

    def benchmark(self, name: str) -> Any:
        return open_benchmark(name)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Test and training problems; their answers are among those that are given by chance."""
    paths = {}
    for split, count in (("test", 60), ("train", 9)):
        rows = [
            {"question": f"{split} {n}: How many?", "answer": f"Half is <<18/2=9>>9.\n#### {(18, '1,018', -7)[n % 3]}"}
            for n in range(count)
        ]
        file = tmp_path / f"{split}.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        paths[split] = str(file)
    return paths


@pytest.mark.parametrize(("task", "shots"), [("gsm8k", 0), ("gsm8k", 5), ("gsm8k_cot", 8), ("gsm8k_cot", 3)])
def test_prompts_and_exact_matches_equal_those_of_the_harness(task, shots, files, tmp_path):
    source, form = TASKS[task]
    lm = Scripted()
    harness = Harness(lm, tmp_path)
    changes = {"include": str(published("gsm8k").with_name(f"{source}.yaml"))}
    name = harness.write("gsm8k", files, changes, name=f"local_{task}")
    samples = sorted(harness.run(name, shots=shots)["samples"][name], key=lambda sample: (sample["filter"], sample["doc_id"]))

    query = f"form={form}&shots={shots}" + (f"&examples={files['train']}" if form == "solution" and shots else "")
    resolver = Resolver()
    stage = BenchmarkEval.model_validate({"from": "m", "benchmarks": [f"gsm8k@{files['test']}?{query}"], "batch": 7})
    stage.evaluate(StageInputs({"from": {"m": Checkpoint(tmp_path)}}, tmp_path, resolver), tmp_path)  # type: ignore[arg-type]
    ours = pl.read_parquet(tmp_path / "completions.parquet")

    assert set(resolver.stop) == set(lm.until[0])
    for metric, filter_ in (("strict_match", "strict-match"), ("flexible_extract", "flexible-extract")):
        theirs = [sample for sample in samples if sample["filter"] == filter_]
        assert [sample["arguments"][0][0] for sample in theirs] == ours["asked"].to_list()
        assert [bool(sample["exact_match"]) for sample in theirs] == ours[metric].to_list()
        assert 0 < ours[metric].sum() < len(ours) or metric == "strict_match"


def test_the_eight_examples_are_the_published_ones():
    file = published("gsm8k").parent / "gsm8k-cot.yaml"
    samples = yaml.safe_load(file.read_text(encoding="utf-8"))["fewshot_config"]["samples"]
    assert [(sample["question"], sample["target"]) for sample in samples] == [
        (example.question, example.solution) for example in EXAMPLES
    ]
