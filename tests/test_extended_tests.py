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


CLOSE = {  # HumanEval/0, with the columns and values of the released file
    "task_id": "HumanEval/0",
    "prompt": "from typing import List\n\n\ndef has_close_elements(numbers: List[float], threshold: float) -> bool:\n"
    '    """ Check if in given list of numbers, are any two numbers closer to each other than\n    given threshold.\n'
    "    >>> has_close_elements([1.0, 2.0, 3.0], 0.5)\n    False\n    >>> has_close_elements([1.0, 2.8, 3.0, 4.0, 5.0, 2.0], 0.3)\n"
    '    True\n    """\n',
    "entry_point": "has_close_elements",
    "canonical_solution": "\n    sorted_numbers = sorted(numbers)\n    for i in range(len(sorted_numbers) - 1):\n"
    "        if sorted_numbers[i + 1] - sorted_numbers[i] < threshold:\n            return True\n    return False\n\n",
    "base_input": [[[1.0, 2.0, 3.9, 4.0, 5.0, 2.2], 0.3], [[1.0, 2.0, 3.9, 4.0, 5.0, 2.2], 0.05]],
    "atol": 0,
    "plus_input": [[[1.0, 5.0, 1.1], 0.5], [[], 0.1], [[1.0, 1.0], 0.0]],
    "contract": '\n    assert isinstance(threshold, float) and threshold >= 0, "invalid inputs" # $_CONTRACT_$\n',
}
CLOSE_BODIES = {
    CLOSE["canonical_solution"]: True,
    "    return any(abs(a - b) < threshold for i, a in enumerate(numbers) for b in numbers[:i])\n": True,
    "    return any(abs(a - b) < threshold for a, b in zip(numbers, numbers[1:]))\n": False,
    "    return False\n": False,
}
IS_FLOATS = (
    "def is_floats(x) -> bool:\n    # check if it is float; List[float]; Tuple[float]\n    if isinstance(x, float):\n        return True\n"
    "    if isinstance(x, (list, tuple)):\n        return all(isinstance(i, float) for i in x)\n"
    "    if isinstance(x, np.ndarray):\n        return x.dtype == np.float64 or x.dtype == np.float32\n    return False\n\n\n"
)
ASSERTION = (
    "def assertion(out, exp, atol):\n    exact_match = out == exp\n\n    if atol == 0 and is_floats(exp):\n        atol = 1e-6\n"
    "    if not exact_match and atol != 0:\n        assert np.allclose(out, exp, rtol=1e-07, atol=atol)\n"
    '    else:\n        assert exact_match, f"out: {out}, exp: {exp}"\n\n\n'
)
LOOP = "for i, (inp, exp) in enumerate(zip(inputs, results)):\n"


def hub_rows() -> dict[str, dict[str, Any]]:
    """A row of `evalplus/humanevalplus` and one of `evalplus/mbppplus`, whose programs use numpy."""
    inputs = [*CLOSE["base_input"], *CLOSE["plus_input"]]
    check = (
        f"\n\nimport numpy as np\n\n{IS_FLOATS}{ASSERTION}def check(candidate):\n    inputs = {inputs}\n"
        f"    results = [True, False, True, False, False]\n    {LOOP}        assertion(candidate(*inp), exp, 0)\n"
    )
    human = {name: CLOSE[name] for name in ("task_id", "prompt", "canonical_solution", "entry_point")} | {"test": check}
    mbpp = {
        "task_id": 623,
        "code": "\ndef halves(xs):\n    return [x / 2 for x in xs]\n",
        "prompt": "Write a function to halve each number.",
        "source_file": "Benchmark Questions Verification V2.ipynb",
        "test_imports": ["import math"],
        "test_list": ["assert halves([2, 4])==[1.0, 2.0]", "assert math.isclose(halves([1])[0], 0.5)"],
        "test": f"import numpy as np\nfrom math import inf\n\n{IS_FLOATS}{ASSERTION}inputs = [[[2, 4]], [[1, 3, inf]], [[]]]\n"
        f"results = [[1.0, 2.0], [0.5, 1.5, inf], []]\n{LOOP}    assertion(halves(*inp), exp, 0)\n",
    }
    return {"humaneval-plus": human, "mbpp-plus": mbpp}


def verdicts(items: list[BenchmarkItem], body: str, runner: Any) -> tuple[bool, bool | None]:
    (result,) = passed(Author({items[0].entry_point: body}, items), items, runner).iter_rows(named=True)
    return result["passed"], result.get("base_passed")


def test_the_released_files_and_those_of_the_hub_give_the_same_verdicts(tmp_path: Path, runner: Any) -> None:
    pl.DataFrame([hub_rows()["humaneval-plus"]]).write_parquet(tmp_path / "test.parquet")
    released = list(items_of("humaneval-plus", [CLOSE], tmp_path))
    hub = list(open_benchmark(f"humaneval-plus@{tmp_path / 'test.parquet'}").items())
    assert (hub[0].id, hub[0].prompt, hub[0].entry_point) == (released[0].id, released[0].prompt, released[0].entry_point)
    for body, right in CLOSE_BODIES.items():
        assert verdicts(released, body, runner)[0] is verdicts(hub, body, runner)[0] is right, body


def test_mbpp_plus_of_the_hub(tmp_path: Path, runner: Any) -> None:
    """Tasks outside of MBPP's test split count, results are close where they are floats, base tests are reported apart."""
    pl.DataFrame([hub_rows()["mbpp-plus"]]).write_parquet(tmp_path / "test.parquet")
    items = list(open_benchmark(f"mbpp-plus@{tmp_path / 'test.parquet'}").items())
    assert items[0].id == "Mbpp/623" and items[0].prompt.startswith(
        '"""\nWrite a function to halve each number.\nassert halves'
    )
    assert verdicts(items, items[0].solution, runner) == (True, True)
    assert verdicts(items, "def halves(xs):\n    return [x * 0.5 + 1e-8 for x in xs]\n", runner)[0]
    assert verdicts(items, "def halves(xs):\n    return [x / 2 for x in xs[:2]]\n", runner) == (False, True)


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
