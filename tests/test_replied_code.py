"""Programs taken out of the replies of chat models."""

from __future__ import annotations

from typing import Any

import pytest
from test_builtin_benchmarks import published, run

from textbookgen.builtin.benchmarks import open_benchmark
from textbookgen.builtin.evaluation.replied_code import replied_program

PROMPT = (
    'import math\n\ndef double(x):\n    """Twice x."""\n    return 2 * x\n\n\ndef root(x):\n    """The root of twice x."""\n'
)
BODY = "return math.sqrt(double(x))"
FUNCTION = f"def root(x):\n    {BODY}\n"
USES = "\nprint(root(2))\nassert root(2) == 7\nn = int(input())\nif __name__ == '__main__':\n    root(input())\n"

REPLIES = {
    "only code": f"```python\n{FUNCTION}```",
    "preamble, example in a second block": f"Sure! Here it is:\n\n```python\n{FUNCTION}```\n\nFor example:\n\n```python\nroot(None)\n```\n",
    "uses below": f"```python\n{FUNCTION}{USES}```\nI hope this helps!",
    "whole prompt again": f"```python\n{PROMPT}    {BODY}\n```",
    "another helper first": f"```python\nfrom math import sqrt\n\ndef helper(x):\n    return x\n\n{FUNCTION}```",
    "a bare fence, indented": f"1. First:\n   ```\n   {FUNCTION.replace(chr(10), chr(10) + '   ').rstrip()}\n   ```",
    "unclosed fence": f"```python\n{FUNCTION}",
    "no fence": f"The function is this.\n\n{FUNCTION}\nIt doubles first.",
    "only the body": f"Add this line:\n\n```python\n{BODY}\n```",
    "the indented body": f"```python\n    {BODY}\n```",
    "a completion": f"    {BODY}\n",
    "lambda": "```python\nroot = lambda x: math.sqrt(double(x))\n```",
}


@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES.keys())
def test_the_function_runs_with_what_the_prompt_defines(reply: str) -> None:
    names: dict[str, Any] = {}
    exec(replied_program(reply, PROMPT, "root"), names)
    assert names["root"](8) == 4


def test_a_wrong_function_stays_wrong() -> None:
    names: dict[str, Any] = {}
    exec(replied_program("```python\ndef root(x):\n    return 0\n```", PROMPT, "root"), names)
    assert names["root"](8) == 0


def test_solutions_of_humaneval_pass_as_chat_replies() -> None:
    items = list(open_benchmark(f"humaneval@{published('HumanEval.jsonl.gz')}").items())[20:50]
    for item in items:
        start = item.prompt.index(f"def {item.entry_point}")  # without the helpers and imports before it
        reply = f"Certainly!\n\n```python\n{item.prompt[start:]}{item.solution}\nprint({item.entry_point})\n```\nIt works."
        program = replied_program(reply, item.prompt, item.entry_point)
        assert "print(" + item.entry_point not in program
        run(type(item)(item.id, "", program, item.tests))
