"""Benchmarks are read as they were published, and every published solution passes its tests."""

import gzip
import json
import os
import warnings
from pathlib import Path

import polars as pl
import pytest

from textbookgen.api.benchmark import BenchmarkItem
from textbookgen.api.errors import RunError
from textbookgen.builtin.benchmarks import open_benchmark


def run(item: BenchmarkItem, solution: str | None = None) -> None:
    """Run an item's own solution, which needs no sandbox."""
    with warnings.catch_warnings(action="ignore"):
        code = compile(f"{item.prompt}{item.solution if solution is None else solution}\n{item.tests}", item.id, "exec")
    exec(code, {"__name__": item.id})


def published(file: str) -> Path:
    """A file of test sets in the folder TEXTBOOKGEN_TEST_DATA, or beside the checkout."""
    default = Path(__file__).parents[2] / "shared" / "data"
    path = Path(os.environ.get("TEXTBOOKGEN_TEST_DATA", default)) / file
    if not path.is_file():
        pytest.skip(f"{file} is missing")
    return path


def test_humaneval_solutions_pass():
    benchmark = open_benchmark(f"humaneval@{published('HumanEval.jsonl.gz')}")
    items = list(benchmark.items())
    assert (benchmark.name, len(items), items[0].id, items[0].entry_point) == (
        "humaneval",
        164,
        "HumanEval/0",
        "has_close_elements",
    )
    for item in items[:40]:
        run(item)
    with pytest.raises(AssertionError):
        run(items[0], "    return None\n")


def test_mbpp_solutions_pass():
    items = list(open_benchmark(f"mbpp@{published('mbpp.jsonl.gz')}").items())
    assert [item.id for item in items] == [f"MBPP/{n}" for n in range(11, 511)]
    assert items[0].entry_point == "remove_Occ"
    assert 'assert remove_Occ("hello","l") == "heo"' in items[0].prompt
    for item in items[:60]:
        run(item)
    assert all(item.entry_point and "\r" not in item.prompt + item.solution + item.tests for item in items)


def test_gsm8k_answers_are_numbers():
    items = list(open_benchmark(f"gsm8k@{published('gsm8k_test.jsonl.gz')}").items())
    assert (len(items), items[0].solution, items[0].tests) == (1319, "18", "")
    assert items[0].prompt.startswith("Question: Janet")
    assert all(float(item.solution) == float(item.solution) for item in items)


@pytest.mark.network
@pytest.mark.parametrize(("name", "count"), [("humaneval", 164), ("mbpp", 500), ("gsm8k", 1319)])
def test_public_addresses(name, count):
    assert len(list(open_benchmark(name).items())) == count


def test_the_example_items_pass_and_can_fail():
    benchmark = open_benchmark("example-three")
    items = list(benchmark.items())
    assert [item.entry_point for item in items] == ["double", "is_even", "last_word"]
    for item in items:
        run(item)
        with pytest.raises(AssertionError):
            run(item, "    return 0\n")


MBPP_ROW = {
    "task_id": 12,
    "code": "import re\r\ndef helper(x):\r\n    return x\r\ndef shout(x):\r\n    return helper(x).upper()",
    "test_list": ["assert set(shout('a')) == {'A'}"],
}


def test_mbpp_reads_the_sanitized_set_and_escapes_quotes_in_docstrings(tmp_path):
    task = 'Make """it""" loud, with a \\d.'
    rows = [
        {**MBPP_ROW, "text": task, "test_setup_code": "loud = True"},
        {**MBPP_ROW, "task_id": 600, "text": "of the training split", "test_setup_code": ""},
    ]
    (tmp_path / "full.jsonl").write_text("\n".join(map(json.dumps, rows)))
    [item] = open_benchmark(f"mbpp@{tmp_path / 'full.jsonl'}").items()
    run(item)
    assert eval(item.prompt).strip().splitlines() == [task, MBPP_ROW["test_list"][0]]
    assert (item.entry_point, item.tests.splitlines()[0]) == ("shout", "loud = True")
    (tmp_path / "sanitized.jsonl").write_text(json.dumps({**MBPP_ROW, "prompt": "Loud.", "test_imports": ["import math"]}))
    [item] = open_benchmark(f"mbpp@{tmp_path / 'sanitized.jsonl'}").items()
    run(item)
    assert item.tests.startswith("import math\n")


def test_a_table_can_be_a_benchmark(tmp_path):
    rows = pl.DataFrame(
        {"q": ["1+1=", "2+2="], "a": [2, 4], "key": ["x", "y"], "asserts": [["assert True"], ["assert 1", "assert 2"]]}
    )
    rows.write_parquet(tmp_path / "sums.parquet")
    benchmark = open_benchmark(f"file@{tmp_path / 'sums.parquet'}?prompt=q&solution=a&id=key&stop=%0A&stop=.")
    assert (benchmark.name, benchmark.stop) == ("sums.parquet", ("\n", "."))
    assert list(benchmark.items()) == [BenchmarkItem("x", "1+1=", "2"), BenchmarkItem("y", "2+2=", "4")]
    tested = list(open_benchmark(f"file@{tmp_path / 'sums.parquet'}?prompt=q&solution=a&tests=asserts").items())
    assert tested[1] == BenchmarkItem("1", "2+2=", "4", "assert 1\nassert 2")
    with gzip.open(tmp_path / "plain.jsonl.gz", "wt") as file:
        file.write('{"prompt": "a", "solution": "b"}\n')
    assert list(open_benchmark(f"file@{tmp_path / 'plain.jsonl.gz'}").items()) == [BenchmarkItem("0", "a", "b")]


def test_opening_reads_nothing_and_reading_reports_problems(tmp_path):
    with pytest.raises(RunError, match=r"nowhere\.jsonl") as caught:
        open_benchmark("humaneval@nowhere.jsonl")
    assert "humaneval@PATH" in caught.value.hint
    with pytest.raises(RunError, match="there is no file"):
        open_benchmark("file@nowhere.jsonl?prompt=q")
    (tmp_path / "other.jsonl").write_text('{"question": "a"}\n')
    with pytest.raises(RunError, match="which `gsm8k` requires") as caught:
        list(open_benchmark(f"gsm8k@{tmp_path / 'other.jsonl'}").items())
    assert caught.value.hint == "it has question"
    with pytest.raises(RunError, match="promt"):
        open_benchmark("file@x.parquet?promt=q")
    assert open_benchmark("triviaqa") is None
    assert open_benchmark("file") is None
    assert open_benchmark("humaneval").address.startswith("hf://datasets/openai/")
