"""Files of EvalPlus: inputs in JSON become arguments of their types, and results are compared with those of the solution."""

from __future__ import annotations

import gzip
import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from test_builtin_evaluate import RunsPython

from textbookgen.api.benchmark import BenchmarkItem
from textbookgen.api.errors import RunError
from textbookgen.builtin.benchmarks import open_benchmark
from textbookgen.builtin.benchmarks.gsm8k_examples import EXAMPLES
from textbookgen.builtin.evaluation.answering import Answer, Generation, Question
from textbookgen.builtin.evaluation.generated import answer_items, judge, pass_rates
from textbookgen.recipe.plugin_manager import Plugins


def row(name: str, prompt: str, solution: str, base: list[Any], plus: list[Any], **more: Any) -> dict[str, Any]:
    columns = {"task_id": f"X/{name}", "prompt": prompt, "entry_point": name, "canonical_solution": solution}
    return {**columns, "base_input": base, "plus_input": plus, "contract": "", "atol": 0, **more}


HUMANEVAL = [
    row("add", 'def add(a, b):\n    """Add."""\n', "    return a + b\n", [[1, 2]], [[0, 0], [-1, 5]]),
    row("mean", 'def mean(xs):\n    """Mean."""\n', "    return sum(xs) / len(xs)\n", [[[1.0, 2.0]]], [[[0.1, 0.2, 0.3]]]),
    row("flip", 'def flip(xs):\n    """Reverse."""\n', "    return xs[::-1]\n", [[[1, 2]]], [[[[1], [2, 3]]], [[]]]),
    row(
        "find_zero",
        'import math\n\ndef find_zero(xs):\n    """A zero."""\n',
        "    return -xs[0] / xs[1]\n",
        [[[1, 2]]],
        [[[3, -2]]],
        atol=1e-4,
    ),
]
RIGHT = {
    "add": "    return b + a\n",
    "mean": "    return sum(x / len(xs) for x in xs)\n",  # differs by rounding
    "flip": "    xs.reverse()\n    return xs\n",  # changes its argument
    "find_zero": "    return -xs[0] / xs[1] + 1e-6\n",
}
WRONG = {
    "add": "    return a + b if a > 0 else 0\n",  # right for the base tests only
    "mean": "    return xs[0] * 1.5\n",
    "flip": "    return tuple(xs[::-1])\n",  # another type
    "find_zero": "    return 0\n",
}

MBPP = [
    row(
        "similar_elements",
        '"""\nShared elements.\n"""\n',
        "def similar_elements(a, b):\n    return tuple(set(a) & set(b))\n",
        [[[3, 4, 5], [5, 4]]],
        [[[], []], [[1, 2], [2, 1]]],
        assertion="assert set(similar_elements((3, 4, 5),(5, 4))) == set((4, 5))",
    ),
    row(
        "kinds",
        '"""\nNames of types.\n"""\n',
        "def kinds(pairs, word, flags):\n    return [type(pairs).__name__, [type(p).__name__ for p in pairs], type(word).__name__, type(flags).__name__]\n",
        [[[[1, "a"], [2, "b"]], "5", [1]]],
        [[[[3, "4"]], "6", []]],
        assertion="assert kinds([(1, 'a'), (2, 'b')], '5', {1}) == 0",
    ),
    row(
        "angle_complex",
        '"""\nType of the sum.\n"""\n',
        "def angle_complex(a, b):\n    return abs(a + b)\n",
        [["0", "1j"]],
        [["3", "(0+4j)"]],
        assertion="assert angle_complex(0,1j)==1.0",
    ),
]


class Author:
    """Answers with given texts; a chat if `fence` is set."""

    subject = "author"
    scoring_model = None

    def __init__(self, solutions: Mapping[str, str], items: Sequence[BenchmarkItem], fence: bool = False) -> None:
        self.texts = [solutions[item.entry_point] for item in items]
        self.is_chat = fence

    def answer(self, questions: Sequence[Question], generation: Generation, stop: Sequence[str] = ()) -> list[list[Answer]]:
        return [[Answer(text)] for text in self.texts]


@pytest.fixture(params=["in this process", "in the sandbox"])
def runner(request: pytest.FixtureRequest) -> Any:
    if request.param == "in this process":
        return RunsPython()
    plugins = Plugins()
    if "sandbox/tests-pass" not in plugins.stages:
        pytest.skip("the sandbox is not installed")
    return plugins.filter("sandbox/tests-pass")


def items_of(kind: str, rows: list[dict[str, Any]], folder: Path) -> Iterator[BenchmarkItem]:
    file = folder / "plus.jsonl.gz"
    with gzip.open(file, "wt", encoding="utf-8") as lines:
        lines.write("\n".join(map(json.dumps, rows)))
    return open_benchmark(f"{kind}@{file}").items()


def passed(author: Author, items: list[BenchmarkItem], runner: Any) -> pl.DataFrame:
    return judge(answer_items(author, "plus", items, (), Generation(1, 0.0, 9, 0, 9)), items, runner)


def test_right_solutions_pass_and_wrong_ones_fail_on_the_further_tests(tmp_path: Path, runner: Any) -> None:
    items = list(items_of("humaneval-plus", HUMANEVAL, tmp_path))
    own = passed(Author({item.entry_point: item.solution for item in items}, items), items, runner)
    assert own["passed"].all() and own["base_passed"].all()
    right = passed(Author(RIGHT, items), items, runner)
    assert right["passed"].all(), right.filter(~pl.col("passed"))["item"].to_list()
    wrong = passed(Author(WRONG, items), items, runner)
    assert not wrong["passed"].any()
    assert wrong["base_passed"].to_list() == [True, True, False, False]
    scores = {(metric, item): value for _, _, item, metric, value in pass_rates(wrong, (1,)).iter_rows()}
    assert (scores["pass@1", "X/add"], scores["base_pass@1", "X/add"]) == (0.0, 1.0)


def test_arguments_have_the_types_that_json_lost(tmp_path: Path, runner: Any) -> None:
    items = list(items_of("mbpp-plus", MBPP, tmp_path))
    others = {
        "similar_elements": "def similar_elements(a, b):\n    assert type(a) is tuple\n    return [x for x in a if x in b]\n",
        "kinds": "def kinds(pairs, word, flags):\n    return ['list', ['tuple'] * len(pairs), 'str', 'set']\n",
        "angle_complex": "def angle_complex(a, b):\n    return abs(complex(a) + b)\n",
    }
    result = passed(Author(others, items), items, runner)
    assert result["passed"].all(), result.select("item", "reason").rows()
    assert not passed(Author(dict.fromkeys(others, "pass"), items), items, runner)["passed"].any()


def test_a_file_that_is_not_json_lines_is_refused(tmp_path: Path) -> None:
    (tmp_path / "plus.jsonl").write_text("no json\n", encoding="utf-8")
    with pytest.raises(RunError, match="cannot read the benchmark `mbpp-plus`"):
        list(open_benchmark(f"mbpp-plus@{tmp_path / 'plus.jsonl'}").items())
    (tmp_path / "plus.jsonl").write_text('{"task_id": "Mbpp/1", "entry_point": "f", "prompt": ""}\n', encoding="utf-8")
    with pytest.raises(RunError, match="has no column 'canonical_solution'"):
        list(open_benchmark(f"mbpp-plus@{tmp_path / 'plus.jsonl'}").items())


PROGRAMS = {
    "right": ("    return 9 * 2\n", True),
    "a float": ("    return 36 / 2\n", True),
    "wrong": ("    return 17\n", False),
    "no result": ("    total = 18\n", False),
    "prints": ("    print(18)\n", False),
    "in a chat": (
        "Sure!\n```python\ndef solution():\n    eggs = 9\n    return eggs * 2\n\nprint(solution())\n```\nShe makes $18.",
        True,
    ),
    "a chat that is wrong": ("```python\ndef solution():\n    return 19\n```\nThe answer is 18.", False),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_word_problems_as_programs(name: str, tmp_path: Path, runner: Any) -> None:
    file = tmp_path / "gsm8k.jsonl"
    file.write_text(json.dumps({"question": 'She said "nine"', "answer": "9 * 2\n#### 18"}) + "\n", encoding="utf-8")
    items = list(open_benchmark(f"gsm8k@{file}?form=program").items())
    assert items[0].prefix.count("def solution():") == 8 and items[0].prompt.endswith('She said "nine" """\n')
    reply, right = PROGRAMS[name]
    result = passed(Author({"solution": reply}, items, fence="```" in reply), items, runner)
    assert result["passed"].to_list() == [right]


def test_the_examples_of_programs_give_the_published_answers(tmp_path: Path) -> None:
    for example in EXAMPLES:
        names: dict[str, Any] = {}
        exec("def solution():\n" + textwrap.indent(textwrap.dedent(example.program), "    "), names)
        assert example.solution.endswith(f"The answer is {names['solution']()}.")
