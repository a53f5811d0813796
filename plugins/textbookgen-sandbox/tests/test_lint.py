"""Verdicts of the filter `lint`."""

from __future__ import annotations

import polars as pl
import pytest
from textbookgen_sandbox.stages.lint import Lint

if list(Lint().check()):
    pytest.skip("ruff is not installed", allow_module_level=True)

CODE = {
    None: "def f(x):\n    return x + 1\n",
    "F821": "def f(x):\n    return y + 1\n",
    "F401": "import os\nprint(1)\n",
    "F841": "def f():\n    x = 1\n    return 2\n",
    "invalid-syntax": "def f(:\n    pass\n",
    "F632": "x = 1\nprint(x is 'a')  # noqa\n",  # a document cannot disable rules
}


def decide(texts: list[str], **options: object) -> pl.DataFrame:
    return Lint(**options).decide(pl.DataFrame({"id": [str(n) for n in range(len(texts))], "text": texts}))


def test_violations_are_reported_with_their_line():
    verdicts = decide(list(CODE.values()))
    assert verdicts["reason"].to_list() == list(CODE)
    assert verdicts["keep"].to_list() == [True] + [False] * 5
    assert verdicts["detail"][1] == "line 2: F821 Undefined name `y`"
    assert verdicts["score"].to_list()[:3] == [1.0, 0.5, 0.5]


def test_some_violations_can_be_allowed():
    texts = ["import os\n" + "x = 1\n" * 99, "import os\nimport re\n" + "x = 1\n" * 98]
    assert decide(texts, max_violations=1.0)["keep"].to_list() == [True, False]
    assert decide(texts, ignore=["F401"])["keep"].to_list() == [True, True]


def test_verdicts_keep_the_order_of_many_documents():
    texts = [f"print(x{n})\n" if n % 3 else "print(1)\n" for n in range(600)]
    verdicts = decide(texts)
    assert verdicts["keep"].to_list() == [n % 3 == 0 for n in range(600)]
    assert verdicts["detail"][599] == "line 1: F821 Undefined name `x599`"


def test_no_documents_and_an_empty_one():
    assert decide([]).height == 0
    assert decide([""])["keep"].to_list() == [True]
