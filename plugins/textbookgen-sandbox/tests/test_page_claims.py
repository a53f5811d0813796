"""What pages say about output, as current language models write it: claims that hold, claims that do not, and remarks."""

from __future__ import annotations

import polars as pl
import pytest
from textbookgen_sandbox.pool import Pool
from textbookgen_sandbox.stages.doctest import Doctest


def verdict(text: str) -> dict[str, object]:
    judged = Doctest(workers=1).decide(pl.DataFrame({"id": ["a"], "text": [text]}))
    return judged.row(0, named=True)


def python(code: str, below: str = "") -> str:
    return f"# A lesson\n\nSome words first.\n\n```python\n{code.strip(chr(10))}\n```\n{below}\n"


def fence(output: str, language: str = "") -> str:
    return f"```{language}\n{output}\n```\n"


GREET = 'def greet(name):\n    print(f"Hello, {name}!")\n\n'
DOUBLE = 'def double(x):\n    """Return twice the number.\n\n    >>> double(2)\n    4\n    """\n    return 2 * x\n'
LOOP = "for i in range(3):\n    print(i)\n"

RIGHT = {
    # behind the print
    "comment": python("print(1 + 1)  # 2"),
    "arrow": python("print(1 + 1)  # -> 2"),
    "double arrow": python("print(1 + 1)  # => 2"),
    "unicode arrow": python("print(1 + 1)  # → 2"),
    "prints": python("print(1 + 1)  # prints 2"),
    "this prints": python("print(1 + 1)  # This prints 2"),
    "will print": python("print(1 + 1)  # This will print 2"),
    "Output:": python("print(1 + 1)  # Output: 2"),
    "Prints:": python("print([1, 2])  # Prints: [1, 2]"),
    "should be": python("print(1 + 1)  # should be 2"),
    "quoted": python("print('a' + 'b')  # 'ab'"),
    "quoted with double quotes": python("print('a' + 'b')  # Output: \"ab\""),
    "backticks": python("print('a')  # prints `a`"),
    "aside in parentheses": python("print(7 // 2)  # 3 (rounded down)"),
    "aside after a dash": python("print(7 // 2)  # 3 — not 3.5"),
    "aside after a comma": python("print(7 // 2)  # 3, since // rounds down"),
    "because": python("print(3 in [1, 2])  # False because 3 is missing"),
    "equation": python("print(2 ** 3)  # 8 = 2 * 2 * 2"),
    "approximate": python("print(10 / 3)  # approximately 3.33"),
    "tilde": python("print(2 ** 0.5)  # ~1.41"),
    "ellipsis": python("print(10 / 3)  # 3.3333..."),
    "range with an ellipsis": python("print(list(range(10)))  # [0, 1, 2, ..., 9]"),
    "loop with commas": python("for i in range(3):\n    print(i)  # 0, 1, 2"),
    "loop with and": python("for i in range(3):\n    print(i)  # prints 0, 1 and 2"),
    "loop with then": python("for i in range(3):\n    print(i)  # 0, then 1, then 2"),
    "loop on separate lines": python("for i in range(3):\n    print(i)  # 0 1 2 (on separate lines)"),
    "in a function called twice": python("def show(x):\n    print(x)  # 1\n\nshow(1)\nshow(2)"),
    "call that prints": python(GREET + 'greet("Ann")  # Hello, Ann!'),
    "set in another order": python("print({3, 1, 2})  # {1, 2, 3}"),
    "object address": python("class A: pass\nprint(A())  # <__main__.A object at 0x7f3b2c1d0a90>"),
    "announced error": python("print(1 / 0)  # ZeroDivisionError"),
    "announced error with words": python("int('x')  # raises ValueError: invalid literal\nprint(1)  # 1"),
    "error announced above": python("# This raises a KeyError:\n{}['a']\nprint(2)  # 2"),
    "error caught": python("try:\n    int('x')\nexcept ValueError as error:\n    print('bad')  # bad"),
    # on the lines below
    "line below": python("print(1 + 1)\n# 2"),
    "line below with lead-in": python("print(1 + 1)\n# Output: 2"),
    "lines below": python("print('a')\nprint('b')\n# Output:\n# a\n# b"),
    "each line below its print": python("print('a')\n# a\nprint('b')\n# b"),
    "loop, lines below": python(LOOP + "# 0\n# 1\n# 2"),
    "loop, one line below": python(LOOP + "# 0 1 2"),
    "loop, heading after a blank line": python(LOOP + "\n# Output:\n# 0\n# 1\n# 2"),
    "inside the loop": python("for i in range(3):\n    print(i)\n    # 0\n    # 1\n    # 2"),
    "below with an explanation": python("print(7 % 3)\n# 1\n# because 7 = 2 * 3 + 1"),
    "expected output": python("print(sum([1, 2, 3]))\n# Expected output: 6"),
    "output that begins like a lead-in": python("print('result a')\nprint('result b')\n# result a\n# result b"),
    "arrow below": python("print('x' * 3)\n# -> xxx"),
    "table with aligned columns": python(
        "for n in (1, 10):\n    print(f'{n:>4}{n * n:>6}')\n# Output:\n#    1     1\n#   10   100"
    ),
    # after the fence
    "output heading and fence": python("print(1 + 1)", "\nOutput:\n\n" + fence("2")),
    "bold heading and text fence": python("print('a')\nprint('b')", "\n**Output:**\n\n" + fence("a\nb", "text")),
    "text fence at once": python("print(1 + 1)", "\n" + fence("2", "text")),
    "sentence and fence": python("print(1 + 1)", "\nRunning this code prints:\n\n" + fence("2", "text")),
    "console with command": python("print(1 + 1)", "\n" + fence("$ python sum.py\n2", "console")),
    "output of the last of two snippets": python("x = 2\nprint(x)") + python("print(x + 1)", "\nOutput:\n" + fence("3")),
    "output line": python("print(2 * 3)", "\n**Output:** `6`"),
    "output sentence": python("print(2 * 3)", "\nThis prints `6`, the product of both."),
    "traceback shown": python(
        "[][0]", "\nThis fails:\n" + fence("Traceback (most recent call last):\n  ...\nIndexError: list index out of range")
    ),
    "fence in a list": "1. Try this:\n\n    ```python\n    print(1 + 1)  # 2\n    ```\n\n2. Done.\n",
    # sessions and docstrings
    "session": python(">>> 1 + 1\n2\n>>> print('a')\na"),
    "session under definitions": python("def f(x):\n    return x + 1\n\n>>> f(1)\n2"),
    "pycon": "```pycon\n>>> x = 3\n>>> x\n3\n```\n",
    "session with an error": python(">>> int('x')\nTraceback (most recent call last):\n  ...\nValueError: invalid literal"),
    "docstring": python(DOUBLE + "\nprint(double(3))  # 6"),
    "docstring only": python(DOUBLE),
    "docstring of a method": python(
        'class Stack:\n    """A stack.\n\n    >>> s = Stack()\n    >>> s.push(1)\n    >>> s.items\n    [1]\n    """\n'
        "    def __init__(self):\n        self.items = []\n    def push(self, x):\n        self.items.append(x)\n"
    ),
    "docstring about an object not made": python(
        'class Stack:\n    def push(self, x):\n        """Push.\n\n        >>> stack.push(1)\n        """\n        self.x = x\n'
    ),
    "docstring with a later helper": python('def f(x):\n    """F.\n\n    >>> f(1)\n    2\n    """\n    return g(x)\n')
    + python("def g(x):\n    return x + 1\n"),
    "session inside a docstring's snippet with a call": python(DOUBLE + "\nresult = double(4)\nprint(result)\n# 8"),
    # values that are not printed
    "value": python("len('cat')  # 3"),
    "value below": python("sorted([2, 1])\n# [1, 2]"),
    "assigned": python("x = 5\nx += 1  # x is now 6"),
    "assigned with arrow": python("n = len('abc')  # -> 3"),
}

REMARKS = {
    "adds one": python("x = 1\nprint(x + 1)  # this adds one"),
    "show the total": python("total = 6\nprint('Total:', total)  # show the total"),
    "prints the total of 3 numbers": python("print(sum([1, 2, 3]))  # prints the total of 3 numbers"),
    "prints each item": python("for x in 'ab':\n    print(x)  # prints each letter in turn"),
    "name": python("total = 6\nprint(total)  # total"),
    "debug": python("print('here')  # debug"),
    "for example": python("import random\nprint(random.random())  # e.g. 0.374540"),
    "varies": python("print(hash('a') % 7)  # 3 (your result may vary)"),
    "next step": python("x = 2\nprint(x)\n# Now add one to x\nx += 1\nprint(x)  # 3"),
    "numbered step": python("print('a')\n# Step 2: print b\nprint('b')"),
    "commented-out code": python("print('a')\n# print('b')\n# x = 3"),
    "why": python("print(2 ** 10)  # powers of two matter in computing"),
    "note below": python("print([1, 2][-1])\n# A negative index counts from the end."),
    "todo": python("print('a')  # TODO: handle the empty case"),
    "before": python("# print the first item\nprint([7, 8][0])  # 7"),
    "constant": python("size = 10  # 3 would also do\nprint(size)  # 10"),
    "changed in place": python("xs = [3, 1]\nxs.sort()  # [1, 3]\nprint(xs)  # [1, 3]"),
    "never called": python("def f():\n    print(1)  # 2"),
    "another run": python("print(1 + 1)", "\nIf you change 1 to 2, the output is:\n\n" + fence("4", "text")),
    "diagram": python("print('ready')", "\nThe tree looks like this:\n\n" + fence("  5\n / \\\n3   8", "text")),
    "answer to a question": python(
        "print(1 + 1)  # 2", "\n**Question.** What does `print(3)` print?\n\n**Answer.** It prints `3`."
    ),
    "conditional error": python("int('3')  # ValueError if it is no number"),
    "argument": python("def f(n):\n    return n * 2\nprint(f(3))  # n = 3"),
    "section": python("# 1\nprint('a')  # a"),
}

WRONG = {
    "comment": python("print(1 + 1)  # 3"),
    "arrow": python("print(1 + 1)  # -> 3"),
    "prints": python("print(1 + 1)  # prints 3"),
    "Output:": python("print(1 + 1)  # Output: 3"),
    "should be": python("print(1 + 1)  # should be 3"),
    "quoted": python("print('a' + 'b')  # 'ba'"),
    "words": python("print('Hello, Ann!')  # Hello, Bob!"),
    "one word": python("print('Ann')  # Bob"),
    "no number of Python": python("print(98)  # 08"),
    "number in words": python("print('12 apples')  # 13 apples"),
    "label": python("print('Total:', 12)  # Total: 15"),
    "output that begins like a lead-in": python("print('Returns the first text of all')  # Returns the last text of all"),
    "aside": python("print(7 // 2)  # 4 (rounded up)"),
    "aside after a comma": python("print(7 // 2)  # 3.5, since 7 is odd"),
    "result is": python("print(2 + 2)  # the result is 5"),
    "boolean": python("print(3 > 2)  # False"),
    "list": python("print(sorted([2, 1]))  # [2, 1]"),
    "rounded without saying so": python("print(10 / 3)  # 3.33"),
    "approximate": python("print(10 / 3)  # approximately 3.43"),
    "loop": python("for i in range(3):\n    print(i)  # 1, 2, 3"),
    "loop too long": python("for i in range(3):\n    print(i)  # 0 1 2 3"),
    "call that prints": python(GREET + 'greet("Ann")  # Hello, Bob!'),
    "line below": python("print(1 + 1)\n# 3"),
    "line below with lead-in": python("print(1 + 1)\n# Output: 3"),
    "line below, words": python("print('Hello, Ann!')\n# Hello, Bob!"),
    "lines below": python("print('a')\nprint('b')\n# Output:\n# a\n# c"),
    "lines below, one missing": python(LOOP + "# Output:\n# 0\n# 1"),
    "loop, lines below": python(LOOP + "# 1\n# 2\n# 3"),
    "second of two": python("print(4)\n# 4\nprint(5)\n# 6"),
    "inside the loop": python("for i in range(3):\n    print(i)\n    # 1\n    # 2\n    # 3"),
    "output fence": python("print(1 + 1)", "\nOutput:\n\n" + fence("3")),
    "text fence at once": python("print(1 + 1)", "\n" + fence("3", "text")),
    "text fence, words": python("print('a b')\nprint('c d')", "\n**Output:**\n" + fence("a b\nd c", "text")),
    "console": python("print(1 + 1)", "\n" + fence("$ python sum.py\n3", "console")),
    "output line": python("print(2 * 3)", "\n**Output:** `7`"),
    "output sentence": python("print(2 * 3)", "\nThis prints `7`, the product of both."),
    "session": python(">>> 1 + 1\n3"),
    "session without an answer": python(">>> print('a')"),
    "session under definitions": python("def f(x):\n    return x + 1\n\n>>> f(1)\n3"),
    "session without its error": python(">>> int('3')\nTraceback (most recent call last):\n  ...\nValueError: invalid"),
    "docstring": python(DOUBLE.replace("    4\n", "    5\n")),
    "docstring with another name": python(DOUBLE.replace(">>> double", ">>> duoble")),
    "docstring that raises": python('def f(x):\n    """F.\n\n    >>> f(0)\n    1\n    """\n    return 1 / x\n'),
    "value": python("len('cat')  # 4"),
    "value below": python("sorted([2, 1])\n# [2, 1]"),
    "assigned": python("x = 5\nx += 1  # x is now 7"),
    "error that is not raised": python("int('3')  # raises ValueError"),
}


@pytest.mark.parametrize("name", RIGHT)
def test_true_claims_are_checked_and_kept(name: str, pool: Pool):
    row = verdict(RIGHT[name])
    assert (row["keep"], row["score"]) == (True, 1.0), row


@pytest.mark.parametrize("name", REMARKS)
def test_remarks_are_no_claims(name: str, pool: Pool):
    row = verdict(REMARKS[name])
    assert row["keep"], row


@pytest.mark.parametrize("name", WRONG)
def test_false_claims_are_dropped_with_a_reason_and_the_evidence(name: str, pool: Pool):
    row = verdict(WRONG[name])
    assert (row["keep"], row["reason"]) == (False, "unexpected output"), row
    assert "expected" in str(row["detail"])


CHANGES = {
    "loop, lines below": ("# 2", "# 5"),
    "loop, heading after a blank line": ("# 1", "# 4"),
    "output heading and fence": ("```\n2", "```\n5"),
    "docstring": ("    4", "    5"),
    "value": ("3", "5"),
    "call that prints": ("# Hello, Ann", "# Hello, Abe"),
    "announced error with words": ("'x')", "'7')"),
    "assigned with arrow": ("3", "4"),
    "table with aligned columns": ("100\n", "101\n"),
    "traceback shown": ("IndexError", "KeyError"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_claim_that_is_kept_was_checked(name: str, pool: Pool):
    """A score of 1 could also mean that nothing was checked: with another claim the same page must be dropped."""
    changed = RIGHT[name].replace(*CHANGES[name])
    assert changed != RIGHT[name]
    assert not verdict(changed)["keep"]


def test_errors_that_no_text_announces_drop_the_page(pool: Pool):
    for code, reason in (("print(y)", "NameError"), ("# handle errors\n[][1]", "IndexError"), ("x = (", "SyntaxError")):
        assert verdict(python(code))["reason"] == reason
    assert verdict(python("from __future__ import annotations\ndef f(x: Later) -> int:\n    return 1\nprint(f(0))  # 1"))[
        "keep"
    ]
