"""Benchmarks of given answers: published formats of files, forms, few-shot examples, and the figures of `evaluate`."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from textbookgen.api.artifacts import Checkpoint
from textbookgen.api.benchmark import ChoiceItem
from textbookgen.api.errors import RunError
from textbookgen.api.model import Score
from textbookgen.api.stage import StageInputs
from textbookgen.builtin.benchmarks import open_benchmark
from textbookgen.builtin.benchmarks.choices import FORMATS
from textbookgen.builtin.benchmarks.few_shot import ExampleSampler
from textbookgen.builtin.evaluation.groups import GROUPS
from textbookgen.builtin.stages.evaluate import BenchmarkEval

ARC_ROW = {
    "id": "Mercury_1",
    "question": "What melts ice?",
    "choices": {"text": ["heat", "cold", "dark"], "label": ["1", "2", "3"]},
    "answerKey": "1",
}


def lines(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def items(name: str) -> list[ChoiceItem]:
    return list(open_benchmark(name).items())


def test_a_question_is_asked_with_answers_after_it_or_as_letters(tmp_path):
    file = lines(tmp_path / "arc.jsonl", ARC_ROW)
    assert items(f"arc_easy@{file}") == [
        ChoiceItem("arc_easy/Mercury_1", "Question: What melts ice?\nAnswer:", ("heat", "cold", "dark"), 0)
    ]
    [lettered] = items(f"arc_easy@{file}?form=choice")
    assert lettered.prompt == "Question: What melts ice?\nA. heat\nB. cold\nC. dark\nAnswer:"
    assert (lettered.choices, lettered.solution) == (("A", "B", "C"), "A")


NESTED = {
    "id": "7",
    "question": {"stem": "Where is a cat?", "choices": [{"label": "A", "text": "mat"}, {"label": "B", "text": "moon"}]},
    "answerKey": "B",
}


@pytest.mark.parametrize(
    ("kind", "prompt"),
    [
        ("arc_challenge", "Question: Where is a cat?\nAnswer:"),
        ("openbookqa", "Where is a cat?"),
        ("commonsense_qa", "Question: Where is a cat?\nA. mat\nB. moon\nAnswer:"),
    ],
)
def test_files_as_the_allen_institute_publishes_them(kind, prompt, tmp_path):
    [item] = items(f"{kind}@{lines(tmp_path / 'nested.jsonl', NESTED)}")
    assert (item.prompt, item.answer, item.id) == (prompt, 1, f"{kind}/7")


def test_labels_in_a_file_of_their_own(tmp_path):
    rows = [{"goal": "Dry a cup.", "sol1": "Use a towel.", "sol2": "Use soup."}] * 2
    file, labels = lines(tmp_path / "piqa.jsonl", *rows), tmp_path / "labels.lst"
    labels.write_text("0\n1\n")
    assert [item.answer for item in items(f"piqa@{file}?labels={labels}")] == [0, 1]
    labels.write_text("0\n")
    with pytest.raises(RunError, match=r"1 labels, but .* 2 rows"):
        items(f"piqa@{file}?labels={labels}")
    row = {"context": "Ann fell.", "question": "How does she feel?", "answerA": "hurt", "answerB": "tall", "answerC": "new"}
    labels.write_text("3\n")
    [item] = items(f"social_iqa@{lines(tmp_path / 'siqa.jsonl', row)}?labels={labels}")
    assert (item.prompt, item.solution) == ("Q: Ann fell. How does she feel?\nA:", "new")


def test_mmlu_from_its_folders_of_csv(tmp_path):
    for split, rows in {"test": ["How many?,1,2,3,4,C"], "dev": ['"First, which?",a,b,c,d,B', "Then?,e,f,g,h,D"]}.items():
        (tmp_path / split).mkdir()
        for subject in ("anatomy", "world_religions"):
            (tmp_path / split / f"{subject}_{split}.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    asked = items(f"mmlu@{tmp_path / 'test'}?shots=2&examples={tmp_path / 'dev'}")
    assert [item.category for item in asked] == ["stem", "humanities"]
    assert asked[1].prefix + asked[1].prompt + asked[1].separator + asked[1].solution == (
        "The following are multiple choice questions (with answers) about world religions.\n\n"
        "First, which?\nA. a\nB. b\nC. c\nD. d\nAnswer: B\n\n"
        "Then?\nA. e\nB. f\nC. g\nD. h\nAnswer: D\n\n"
        "How many?\nA. 1\nB. 2\nC. 3\nD. 4\nAnswer: C"
    )
    [single] = items(f"mmlu@{tmp_path / 'test' / 'anatomy_test.csv'}?form=cloze")
    assert single.prefix == "The following are questions (with answers) about anatomy.\n\n"


def test_squad_from_its_json_and_lambada_from_plain_text(tmp_path):
    questions = [
        {
            "id": "q1",
            "question": "Who?",
            "answers": [{"text": "Ada", "answer_start": 0}, {"text": "Ada L.", "answer_start": 0}],
        },
        {"id": "q2", "question": "When?", "answers": [], "is_impossible": True},
    ]
    data = {"data": [{"title": "Ada", "paragraphs": [{"context": "Ada wrote.", "qas": questions}]}]}
    (tmp_path / "dev.json").write_text(json.dumps(data), encoding="utf-8")
    first, second = items(f"squad@{tmp_path / 'dev.json'}")
    assert first.prompt == "Title: Ada\n\nBackground: Ada wrote.\n\nQuestion: Who?\n\nAnswer:"
    assert (first.solution, second.solution) == ("Ada", "unanswerable")
    (tmp_path / "lambada.txt").write_text("she looked at the sea\n\nhe sat\n", encoding="utf-8")
    assert [(item.prompt, item.solution) for item in items(f"lambada@{tmp_path / 'lambada.txt'}")] == [
        ("she looked at the", "sea"),
        ("he", "sat"),
    ]


def test_winogrande_compares_the_same_words_after_either_option(tmp_path):
    row = {"qID": "x", "sentence": "Tom thanked Max because _ helped.", "option1": "Tom", "option2": "Max", "answer": "2"}
    file = lines(tmp_path / "winogrande.jsonl", row, {**row, "answer": ""})
    [item] = items(f"winogrande@{file}")
    assert item.prompts == ("Tom thanked Max because Tom", "Tom thanked Max because Max")
    assert (item.choices, item.answer) == (("helped.", "helped."), 1)
    [lettered] = items(f"winogrande@{file}?form=choice")
    assert lettered.prompt == "Tom thanked Max because _ helped.\nA. Tom\nB. Max\nAnswer:"


def test_boolq_as_published_and_as_in_superglue(tmp_path):
    row = {"question": "is ice cold", "passage": "Ice is cold.", "title": "Ice", "answer": True}
    [own] = items(f"boolq@{lines(tmp_path / 'boolq.jsonl', row)}")
    [other] = items(f"boolq@{lines(tmp_path / 'glue.jsonl', {**row, 'label': 1})}")
    assert own == other
    assert (own.prompt, own.solution) == ("Ice is cold.\nQuestion: is ice cold?\nAnswer:", "yes")


def test_hellaswag_loses_the_marks_of_wikihow(tmp_path):
    row = {
        "ind": 4, "activity_label": "Cook", "ctx_a": "[header] Boil water.", "ctx_b": "then add", "ctx": "",
        "endings": [" salt. [title] Stir.", "[step] Sing.", "Run.", "Eat."], "label": 0,
    }  # fmt: skip
    [item] = items(f"hellaswag@{lines(tmp_path / 'h.jsonl', row, {**row, 'label': ''})}")
    assert item.prompt == "Cook:  Boil water. Then add".replace("  ", " ")
    assert item.choices == ("salt.. Stir.", " Sing.", "Run.", "Eat.")


def test_names_say_how_a_benchmark_is_asked(tmp_path):
    file = lines(tmp_path / "arc.jsonl", *[{**ARC_ROW, "id": str(n)} for n in range(4)])
    names = {"": "arc_easy", "?form=cloze": "arc_easy", "?shots=2": "arc_easy (2-shot)"}
    names["?form=choice&shots=1"] = "arc_easy (choice, 1-shot)"
    assert {query: open_benchmark(f"arc_easy@{file}{query}").name for query in names} == names
    assert open_benchmark("mmlu?shots=5").name == "mmlu (5-shot)"
    assert open_benchmark("mmlu?shots=5").examples == "hf://datasets/cais/mmlu@~parquet/all/dev/*.parquet"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("arc_easy@FILE?shot=2", "unknown parameter 'shot'"),
        ("arc_easy@FILE?form=essay", "no form 'essay'"),
        ("lambada@FILE?form=choice", "no form 'choice'"),
        ("arc_easy@FILE?shots=two", "`shots` of `arc_easy` is 'two'"),
        ("arc_easy@FILE?shots=1&examples=nowhere.jsonl", "no file 'nowhere.jsonl'"),
        ("piqa@nowhere.jsonl", "no file 'nowhere.jsonl'"),
    ],
)
def test_wrong_names_are_refused_when_they_are_opened(name, problem, tmp_path):
    file = lines(tmp_path / "arc.jsonl", ARC_ROW)
    with pytest.raises(RunError, match=problem):
        open_benchmark(name.replace("FILE", str(file)))


def test_problems_of_a_file_are_reported_when_it_is_read(tmp_path):
    file = lines(tmp_path / "arc.jsonl", ARC_ROW)
    with pytest.raises(RunError, match="1 rows to draw 1 examples"):
        items(f"arc_easy@{file}?shots=1")
    with pytest.raises(RunError, match=r"no column '(goal|label)'"):
        items(f"piqa@{file}")
    hidden = lines(tmp_path / "hidden.jsonl", {**ARC_ROW, "answerKey": ""})
    with pytest.raises(RunError, match="has an answer") as caught:
        items(f"arc_easy@{hidden}")
    assert "validation" in caught.value.hint
    (tmp_path / "broken.json").write_text("{", encoding="utf-8")
    with pytest.raises(RunError, match="cannot read the benchmark `squad`"):
        items(f"squad@{tmp_path / 'broken.json'}")


def test_examples_never_contain_the_item_itself():
    rows = [{"n": n} for n in range(6)]
    sampler = ExampleSampler(rows, 5, first=False, without_own=True, name="x")
    for row in rows:
        drawn = sampler.draw(row)
        assert len(drawn) == 5 and row not in drawn
    repeated = ExampleSampler([{"n": 0}] * 3 + rows[1:], 4, first=False, without_own=True, name="x")
    assert all({"n": 0} not in repeated.draw({"n": 0}) for _ in range(20))
    assert ExampleSampler(rows, 2, first=True, without_own=True, name="x").draw({"n": 0}) == [{"n": 1}, {"n": 2}]


class Given:
    """A benchmark of two categories, or of single answers."""

    stop = ()

    def __init__(self, name: str, single: bool = False) -> None:
        self.name, self._single = name, single

    def items(self) -> Iterator[ChoiceItem]:
        if self._single:
            yield ChoiceItem("1", "the", ("cat",), 0)
            yield ChoiceItem("2", "a", ("doggy",), 0)
        else:
            yield ChoiceItem("1", "p", ("no", "yes indeed"), 1, category="first")
            yield ChoiceItem("2", "p", ("yes", "no"), 0, prefix="shots ", category="second")


class PerCharacter:
    """A model to which each character has a probability of a half, and for which only `cat` is greedy."""

    def __init__(self) -> None:
        self.starts: list[bool] = []

    def score(self, pairs: Sequence[tuple[str, str]], *, document_start: bool) -> list[Score]:
        self.starts.append(document_start)
        assert all(after.startswith(" ") for _, after in pairs)
        return [Score(-len(after) * math.log(2), 1, after == " cat") for _, after in pairs]

    def close(self) -> None: ...


class Resolver:
    def __init__(self, model: PerCharacter) -> None:
        self._model = model

    def model(self, checkpoint: Path) -> PerCharacter:
        return self._model

    def benchmark(self, name: str) -> Given:
        return Given(name, single=name == "single")


def evaluate(folder: Path, *benchmarks: str, **options: Any) -> tuple[dict[tuple[str, str], dict[str, Any]], PerCharacter]:
    stage = BenchmarkEval.model_validate({"from": "m", "benchmarks": benchmarks, **options})
    model = PerCharacter()
    inputs = StageInputs({"from": {"m": Checkpoint(folder)}}, folder, Resolver(model))  # type: ignore[arg-type]
    report = stage.evaluate(inputs, folder)
    assert set(report["subset"]) == {"all"}
    return {(row["benchmark"], row["metric"]): row for row in report.iter_rows(named=True)}, model


def test_figures_of_choices(tmp_path):
    figures, model = evaluate(tmp_path, "given", "single", batch=1)
    values = {key: row["value"] for key, row in figures.items()}
    assert values[("given", "acc")] == 0.0, "the shorter answers are likelier"
    assert values[("given", "acc_norm")] == 1.0, "per character the longer ones are, since all have one separator"
    assert values[("given", "bits_per_byte")] == pytest.approx((11 / 10 + 4 / 3) / 2)
    assert values[("given/second", "bits_per_byte")] == pytest.approx(4 / 3)
    assert values[("single", "acc")] == 0.5 and ("single", "acc_norm") not in values
    assert values[("single", "perplexity")] == pytest.approx(2**5)
    assert model.starts == [False] * 4
    choices = pl.read_parquet(tmp_path / "choices.parquet")
    row = choices.filter(benchmark="given", item="1").row(0, named=True)
    assert (row["chosen"], row["chosen_norm"], row["answer"], row["choices"]) == (0, 1, 1, ["no", "yes indeed"])
    scores = pl.read_parquet(tmp_path / "item_scores.parquet")
    assert scores.group_by("benchmark", "metric").len()["len"].to_list() == [2] * 5
    assert evaluate(tmp_path, "given", document_start=True)[1].starts == [True]


def test_two_benchmarks_of_one_name_are_refused(tmp_path):
    with pytest.raises(RunError, match="two benchmarks are named 'given'"):
        evaluate(tmp_path, "given", "given")


def test_a_group_has_a_mean_only_if_all_its_benchmarks_were_scored(tmp_path):
    names = GROUPS["language understanding"]
    assert set(names) | set(GROUPS["commonsense reasoning"]) <= FORMATS.keys()
    figures, _ = evaluate(tmp_path, *names)
    assert figures[("language understanding", "acc")]["n"] == 2 * len(names)
    assert figures[("language understanding", "bits_per_byte")]["value"] == pytest.approx((11 / 10 + 4 / 3) / 2)
    one = figures[(names[0], "bits_per_byte")]["stderr"]
    assert figures[("language understanding", "bits_per_byte")]["stderr"] == pytest.approx(one / math.sqrt(len(names)))
    assert not any(benchmark in GROUPS for benchmark, _ in evaluate(tmp_path, *names[1:])[0])


@pytest.mark.network
@pytest.mark.parametrize("kind", FORMATS)
def test_public_addresses(kind):
    assert next(iter(open_benchmark(kind).items())).solution
