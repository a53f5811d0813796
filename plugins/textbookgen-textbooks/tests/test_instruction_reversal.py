"""Instruction reversal: a chat is kept if its request reproduces the code."""

from __future__ import annotations

import polars as pl
import pytest
from textbookgen_textbooks.code_fidelity import same_operations, tree_similarity
from textbookgen_textbooks.instruction_reversal import InstructionReversal

from textbookgen.api.artifacts import Chats
from textbookgen.api.errors import UnusableReply

CODE = 'def mean(values):\n    """The mean."""\n    total = sum(values)\n    return total / len(values)\n'
SAME = "def mean(numbers):\n    s = sum(numbers)  # add\n    return s / len(numbers)\n"
OTHER = "def mean(values):\n    if not values:\n        return 0\n    return max(values)\n"


def page(text: str = "Snow is cold.", **columns: object) -> dict:
    return {"document": {"id": "d", "text": text, "kind": "page", **columns}}


def fits(rows: list[dict], output: type) -> pl.DataFrame:
    """Rows as the engine frames them."""
    return pl.DataFrame(rows, schema_overrides=output.schema(), infer_schema_length=None).select(*output.content)


def regenerates(*written: str):
    def answer(task: str, draw: dict, sample: int | None = None) -> str:
        if task == "instruction-reversal":
            return "Please give me the mean."
        assert task == "regenerate-code"
        assert draw == {"request": "Please give me the mean."}
        return f"```python\n{written[sample or 0]}```"

    return answer


def test_a_request_that_reproduces_the_code_is_kept_with_the_original(runner):
    stage = InstructionReversal(teacher="author", inputs="code", min_fidelity=1.0)
    (row,) = runner.run(stage, page(CODE, **{"textbooks.tests": "assert mean([1]) == 1\n"}), regenerates(SAME))
    assert [turn["content"] for turn in row["messages"]] == ["Please give me the mean.", f"```python\n{CODE}```"]
    assert row["textbooks.fidelity"] == 1.0
    assert row["textbooks.regenerated"] == SAME
    assert row["textbooks.tests"] == "assert mean([1]) == 1\n"
    assert CODE not in runner.teacher.requests[1][1]
    assert fits([row], Chats).height == 1


def test_the_closest_of_several_samples_counts(runner):
    stage = InstructionReversal(teacher="author", inputs="code", samples=3)
    (row,) = runner.run(stage, page(CODE), regenerates(OTHER, SAME, "no code at all"))
    assert row["textbooks.regenerated"] == SAME


@pytest.mark.parametrize(
    ("written", "reason"),
    [(OTHER, "does other operations"), ("this is no code", "no code was written"), ("", "no code was written")],
)
def test_other_requests_are_rejected(runner, written: str, reason: str):
    with pytest.raises(UnusableReply, match=reason):
        runner.run(InstructionReversal(teacher="author", inputs="code"), page(CODE), regenerates(written))


def test_other_documents_cause_no_requests(runner):
    with pytest.raises(UnusableReply, match="not Python"):
        runner.run(InstructionReversal(teacher="author", inputs="code"), page("Hello there, friend."), regenerates(SAME))
    assert runner.teacher.requests == []


def test_tree_similarity_measures_closeness():
    assert tree_similarity(CODE, SAME) == 1.0
    assert tree_similarity("x = 1\n", "y = 1\n") == 1.0
    assert tree_similarity("x = 1\n", "x = '1'\n") < 1.0
    assert 0 < tree_similarity(CODE, OTHER) < 0.8
    assert tree_similarity(CODE, OTHER) == tree_similarity(OTHER, CODE)
    assert tree_similarity(CODE, "no python at all") == 0.0


#: What wrong regenerations look like: one operation, constant or argument is another.
WRONG = [
    ("def f(xs):\n    return max(xs)\n", "def f(xs):\n    return min(xs)\n"),
    ("def f(x):\n    return x + 5\n", "def f(x):\n    return x + 700\n"),
    ("def f(t):\n    return t.replace('a', 'b')\n", "def f(t):\n    return t.count('q', 'z')\n"),
    ("def f(t):\n    return t.replace('a', 'b')\n", "def f(t):\n    return t.replace('b', 'a')\n"),
    ("def f(a, b):\n    return a - b\n", "def f(a, b):\n    return b - a\n"),
    ("def f(xs):\n    return sorted(xs)\n", "def f(xs):\n    return sorted(xs, reverse=True)\n"),
    ("def f(xs):\n    y = sorted(xs)\n    return y[0]\n", "def f(xs):\n    y = sorted(xs)\n    return xs[0]\n"),
    ("def f(x):\n    return x > 0\n", "def f(x):\n    return x >= 0\n"),
    ("def f(x):\n    return x\n", "def g(x):\n    return x\n"),
]
#: Right ones: names of variables and parameters, annotations, docstrings and named intermediate values differ.
RIGHT = [
    (
        "def f(xs):\n    y = sorted(xs)\n    return y[0]\n",
        "def f(v: list[int]) -> int:\n    'It.'\n    z = sorted(v)\n    return z[0]\n",
    ),
    (
        "def f(xs):\n    xs = [n // 2 for n in xs]\n    return min(xs)\n",
        "def f(v):\n    w = [k // 2 for k in v]\n    return min(w)\n",
    ),
    ("def f(xs):\n    return min([n // 2 for n in xs])\n", "def f(v):\n    w = [k // 2 for k in v]\n    return min(w)\n"),
    ("def f(a, b):\n    a = a * b\n    return a + 1\n", "def f(x, y):\n    z = x * y\n    return z + 1\n"),
    (
        "def _h(x):\n    return -x\n\n\ndef f(x):\n    return _h(x)\n",
        "def _g(x):\n    return -x\n\n\ndef f(x):\n    return _g(x)\n",
    ),
]


@pytest.mark.parametrize(("code", "written"), WRONG)
def test_code_with_another_operation_is_dropped(runner, code: str, written: str):
    assert not same_operations(code, written)
    with pytest.raises(UnusableReply, match="other operations"):
        runner.run(InstructionReversal(teacher="author", inputs="code"), page(code), regenerates(written))


@pytest.mark.parametrize(("code", "written"), RIGHT)
def test_code_with_other_local_names_is_kept(runner, code: str, written: str):
    (row,) = runner.run(InstructionReversal(teacher="author", inputs="code"), page(code), regenerates(written))
    assert row["textbooks.fidelity"] == 1.0


#: A function with its asserts; code that is right in another way, and code with one wrong operation.
RUNS = [
    ("def f(xs):\n    return max(xs)\n", "assert f([1, 3]) == 3\n", "def f(v):\n    return sorted(v)[-1]\n", True),
    ("def f(xs):\n    return max(xs)\n", "assert f([1, 3]) == 3\n", "def f(v):\n    return min(v)\n", False),
    ("def f(x):\n    return x + 5\n", "assert f(1) == 6\n", "def f(n):\n    return 5 + n\n", True),
    ("def f(x):\n    return x + 5\n", "assert f(1) == 6\n", "def f(n):\n    return n + 700\n", False),
    ("def f(t):\n    return t.replace('a', 'b')\n", "assert f('aa') == 'bb'\n", "def f(t):\n    return t.count('q')\n", False),
    ("def f(x):\n    return -x\n", "assert f(1) == -1\n", "def negate(x):\n    return -x\n", False),
]


@pytest.mark.parametrize(("code", "tests", "written", "is_right"), RUNS)
@pytest.mark.parametrize("reply", ["```python\n{}```", "Sure! Here is the code:\n\n```py\n{}```\nIt is short.", "{}"])
def test_the_regenerated_code_is_run_with_the_tests(runner, code: str, tests: str, written: str, is_right: bool, reply: str):
    stages = pytest.importorskip("textbookgen_sandbox.stages.tests_pass")
    filters = ({"use": "sandbox/tests-pass", "text": "textbooks.regenerated", "isolate_tests": False},)
    stage = InstructionReversal(teacher="author", inputs="code", accept=filters)
    answers = {"instruction-reversal": "Please write it.", "regenerate-code": reply.format(written)}
    rows = runner.run(stage, page(code, **{"textbooks.tests": tests}), lambda task, draw, sample=0: answers[task])
    options = {name: value for name, value in filters[0].items() if name != "use"}
    passing = stages.PassingTests.model_validate({"from": "code", "workers": 1, **options})
    frame = pl.DataFrame([{"id": "d", **{name: row[name] for name in row if name != "messages"}} for row in rows])
    assert passing.decide(frame)["keep"].to_list() == [is_right]


def test_where_a_filter_runs_the_tests_they_decide(runner):
    """Code that does the same in another way passes on to the filter; without tests it must do the same operations."""
    filters = ({"use": "sandbox/tests-pass", "text": "textbooks.regenerated"},)
    stage = InstructionReversal(teacher="author", inputs="code", accept=filters)
    tested = page(CODE, **{"textbooks.tests": "assert mean([1]) == 1\n"})
    (row,) = runner.run(stage, tested, regenerates(OTHER))
    assert row["textbooks.regenerated"] == OTHER
    assert row["textbooks.tests"] == "assert mean([1]) == 1\n"
    with pytest.raises(UnusableReply, match="other operations"):
        runner.run(stage, page(CODE, **{"textbooks.tests": ""}), regenerates(OTHER))
    with pytest.raises(UnusableReply, match="other operations"):
        runner.run(InstructionReversal(teacher="author", inputs="code"), tested, regenerates(OTHER))


@pytest.mark.parametrize(
    "request_reply",
    [
        '"Please give me the mean."',
        "Here is the message:\n\nPlease give me the mean.",
        "**User message:** Please give me the mean.",
    ],
)
@pytest.mark.parametrize(
    "code_reply", [f"```python\n{SAME}```", f"Sure! Here is the code:\n\n```py\n{SAME}```\nIt adds.", SAME]
)
def test_replies_are_read_in_the_styles_of_real_models(runner, request_reply: str, code_reply: str):
    def answer(task: str, draw: dict, sample: int | None = None) -> str:
        return request_reply if task == "instruction-reversal" else code_reply

    (row,) = runner.run(InstructionReversal(teacher="author", inputs="code"), page(CODE), answer)
    assert row["messages"][0]["content"] == "Please give me the mean."
    assert row["textbooks.fidelity"] == 1.0
