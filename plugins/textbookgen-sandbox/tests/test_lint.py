"""What the judge `lint` finds, and lets be."""

from __future__ import annotations

import polars as pl
import pytest
from textbookgen_sandbox.lint import Lint

if list(Lint().check()):
    pytest.skip("ruff is not installed", allow_module_level=True)

CODE = {
    None: "def f(x):\n    return x + 1\n",
    "F821": "def f(x):\n    return y + 1\n",
    "F401": "import os\nprint(1)\n",
    "F841": "def f():\n    x = 1\n    return 2\n",
    "invalid-syntax": "def f(:\n    pass\n",
    "F632": "x = 1\nprint(x is 'a')  # noqa\n",  # a document does not say what is looked for
}


def judge(texts: list[str], **options: object) -> pl.DataFrame:
    return Lint(**options).decide(pl.DataFrame({"id": [str(n) for n in range(len(texts))], "text": texts}))


def test_findings_are_named_with_their_place():
    verdicts = judge(list(CODE.values()))
    assert verdicts["reason"].to_list() == list(CODE)
    assert verdicts["keep"].to_list() == [True] + [False] * 5
    assert verdicts["detail"][1] == "line 2: F821 Undefined name `y`"
    assert verdicts["score"].to_list()[:3] == [1.0, 0.5, 0.5]


def test_some_findings_may_be_let_pass():
    texts = ["import os\n" + "x = 1\n" * 99, "import os\nimport re\n" + "x = 1\n" * 98]
    assert judge(texts, most=1.0)["keep"].to_list() == [True, False]
    assert judge(texts, ignore=["F401"])["keep"].to_list() == [True, True]


def test_order_holds_over_many_documents():
    texts = [f"print(x{n})\n" if n % 3 else "print(1)\n" for n in range(600)]
    verdicts = judge(texts)
    assert verdicts["keep"].to_list() == [n % 3 == 0 for n in range(600)]
    assert verdicts["detail"][599] == "line 1: F821 Undefined name `x599`"


def test_no_documents_and_empty_ones():
    assert judge([]).height == 0
    assert judge([""])["keep"].to_list() == [True]
