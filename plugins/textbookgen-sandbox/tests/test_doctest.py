"""Verdicts of the filter `doctest`: right and wrong pages, pages that raise, and remarks."""

from __future__ import annotations

import polars as pl
import pytest
from textbookgen_sandbox.pool import Pool
from textbookgen_sandbox.stages.doctest import Doctest


def page(*snippets: str) -> str:
    return "# A page\n\n" + "\n\nSome words.\n\n".join(f"```python\n{snippet}\n```" for snippet in snippets) + "\n\nThe end.\n"


def verdict(text: str) -> dict[str, object]:
    judged = Doctest(workers=1).decide(pl.DataFrame({"id": ["a"], "text": [text]}))
    return judged.row(0, named=True)


EXAMPLE = 'def double(x):\n    """Double a number.\n\n    >>> double(2)\n    4\n    """\n    return 2 * x\n\n'
RIGHT = {
    "function with an example in its docstring": page(EXAMPLE + "print(double(3))  # 6"),
    "one": page("print(2 + 3)  # 5"),
    "later snippets know earlier ones": page("def f(x):\n    return 2 * x", "print(f(4))  # 8"),
    "arrow": page("print('a')  # -> a"),
    "lead-in": page("print('a', 1)  # prints a 1"),
    "output:": page("print([1, 2])  # Output: [1, 2]"),
    "quotes": page("print('Hello')  # 'Hello'"),
    "loop": page("for i in range(3):\n    print(i)  # 0 1 2"),
    "loop with commas": page("for i in range(3):\n    print(i)  # 0, 1, 2"),
    "same each time": page("for i in range(3):\n    print('x')  # x"),
    "set in any order": page("print({'b', 'a', 'c'})  # {'a', 'b', 'c'}"),
    "cut short": page("print(10 / 3)  # 3.3333..."),
    "aside": page("print(7)  # 7 (the sum)"),
    "remark": page("print(3)  # show the total to the reader"),
    "never run": page("def f():\n    print(1)  # 2"),
    "over several lines": page("print(\n    1,\n    2,\n)  # 1 2"),
    "announced error": page("1 / 0  # ZeroDivisionError: division by zero", "print(1)  # 1"),
    "session": page(
        ">>> x = 2\n>>> x + 1\n3\n>>> print('a')\na\n"
        ">>> 1 / 0\nTraceback (most recent call last):\n  ...\nZeroDivisionError: division by zero"
    ),
    "other languages": "```sh\nrm -rf /\n```\n" + page("print(1)  # 1"),
}
WRONG = {
    "function with an example in its docstring": page(EXAMPLE + "print(double(3))  # 7"),
    "number": page("print(2 + 2)  # 5"),
    "words": page("print('Hello, Ann!')  # Hello, Bob!"),
    "one word": page("print('Ann')  # Bob"),
    "loop": page("for i in range(3):\n    print(i)  # 1 2 3"),
    "second snippet": page("x = 1", "x += 1\nprint(x)  # 1"),
    "more than said": page("print('1 2')  # 1"),
    "session": page(">>> 1 + 1\n3"),
    "session without an answer": page(">>> print('a')"),
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_pages_are_kept(name: str, pool: Pool):
    row = verdict(RIGHT[name])
    assert row["keep"], row
    assert row["score"] == 1.0


@pytest.mark.parametrize("name", WRONG)
def test_wrong_pages_are_dropped_with_the_evidence(name: str, pool: Pool):
    row = verdict(WRONG[name])
    assert (row["keep"], row["reason"]) == (False, "unexpected output")
    assert "expected" in str(row["detail"])


def test_a_page_that_raises_is_dropped_with_the_line(pool: Pool):
    row = verdict(page("x = 1", "print(y)  # 1"))
    assert (row["keep"], row["reason"], row["score"]) == (False, "NameError", 0.0)
    assert "line 10" in str(row["detail"])  # of the page, not of the snippet


def test_the_score_is_the_share_that_is_right(pool: Pool):
    assert verdict(page("print(1)  # 1\nprint(2)  # 2\nprint(3)  # 3\nprint(4)  # 5"))["score"] == 0.75


def test_a_page_without_snippets_is_kept_without_a_score(pool: Pool):
    assert verdict("Only words.") == {
        "id": "a", "keep": True, "reason": None, "score": None, "detail": None,
    }  # fmt: skip


def test_a_page_is_isolated(pool: Pool):
    assert verdict(page("print(open('/etc/passwd').read())"))["reason"] in ("FileNotFoundError", "PermissionError")
    assert verdict(page("import os\nos._exit(0)"))["reason"] == "exited early"
