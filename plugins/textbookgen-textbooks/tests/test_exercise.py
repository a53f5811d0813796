"""Exercises: how replies are split into text, prompt and tests, and which are rejected."""

from __future__ import annotations

import pytest
from textbookgen_textbooks.exercise import Exercise, read_exercise

from textbookgen.api.errors import UnusableReply
from textbookgen.api.teacher import Reply

GENERATOR = Exercise(teacher="author", count=1)
DRAW = {"function_name": "count_even", "concept": "remainders", "difficulty": 1, "argument_types": ["list[int]"]}

SOLUTION = '''def count_even(numbers: list[int]) -> int:
    """Count the even numbers.

    >>> count_even([1, 2])
    1
    """
    return sum(n % 2 == 0 for n in numbers)
'''
ASSERTS = "assert count_even([]) == 0\nassert count_even([2, 4]) == 2\n"


def rows(text: str, **reply: object) -> list[dict[str, object]]:
    return list(GENERATOR.parse(DRAW, Reply(text, **reply)))


def test_fence_with_asserts_inside():
    (row,) = rows(f"Here it is:\n```python\n{SOLUTION}\n{ASSERTS}```\nEnjoy.")
    assert row["text"] == SOLUTION
    assert row["textbooks.tests"] == ASSERTS
    assert row["textbooks.entry_point"] == "count_even"
    assert row["textbooks.concept"] == "remainders"
    assert row["textbooks.argument_types"] == "list[int]"
    assert row["textbooks.prompt"] == SOLUTION[: SOLUTION.index("    return")]


def test_text_and_tests_run_and_tests_can_fail():
    (row,) = rows(f"```python\n{SOLUTION}\n{ASSERTS}```")
    exec(str(row["text"]) + str(row["textbooks.tests"]), {})
    broken = str(row["textbooks.prompt"]) + "    return 1\n" + str(row["textbooks.tests"])
    with pytest.raises(AssertionError):
        exec(broken, {})


@pytest.mark.parametrize(
    "reply",
    [
        SOLUTION + ASSERTS,
        f"```\n{SOLUTION}{ASSERTS}```",
        f"```python\n{SOLUTION}```\n\nTests:\n\n```py\n{ASSERTS}```",
        f"```python\n{SOLUTION}```\n{ASSERTS}",
        f"Sure! Here is the exercise:\n\n{SOLUTION}\n{ASSERTS}",
        f"**Solution**\n```python\n{SOLUTION}```\n**Tests**\n```python\n{ASSERTS}```\nEach assert checks one case.",
        f"```python\r\n{SOLUTION}{ASSERTS}```".replace("\r\n", "\n").replace("\n", "\r\n"),
    ],
    ids=["bare", "no language", "two fences", "asserts after", "preamble without code fence", "bold headings", "windows lines"],
)
def test_exercises_are_read_in_the_styles_of_real_models(reply: str):
    (row,) = rows(reply)
    assert (row["text"], row["textbooks.tests"]) == (SOLUTION, ASSERTS)


def test_imports_helpers_and_decorators_are_kept_and_prints_removed():
    solved = read_exercise(
        '"""An exercise."""\nimport math; from functools import cache\n\ndef _double(n: int) -> int:\n    return 2 * n\n'
        '@cache\ndef area(n: int) -> int:\n    """Area."""\n    # plain\n    return math.floor(_double(n))\n'
        'print(area(2))\nif __name__ == "__main__":\n    print(area(3))\nassert area(2) == 4; assert area(1) == 2\n'
    )
    assert solved.text == (
        "import math\nfrom functools import cache\n\n\ndef _double(n: int) -> int:\n    return 2 * n\n\n\n"
        '@cache\ndef area(n: int) -> int:\n    """Area."""\n    # plain\n    return math.floor(_double(n))\n'
    )
    assert solved.prompt.endswith('    """Area."""\n')
    assert solved.text.startswith(solved.prompt)
    assert solved.tests == "assert area(2) == 4\nassert area(1) == 2\n"
    exec(solved.text + solved.tests, {})


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("def f(:", "the code does not parse"),
        ("I cannot do that.", "the code does not parse"),
        ("import math\n", "there is no public function"),
        ('def _f():\n    """D."""\n    return 1\n', "there is no public function"),
        (
            'def f():\n    """D."""\n    return 1\ndef g():\n    """D."""\n    return 1\n',
            "there is more than one public function",
        ),
        ('class A:\n    pass\ndef f():\n    """D."""\n    return 1\n', "there is other code besides the function"),
        ("def f():\n    return 1\n", "the function has no docstring"),
        ('def f():\n    """D."""\n', "the function has no body"),
        ('def f():\n    """D."""\n    ...\n', "the function has no body"),
        ('def f():\n    """D."""; return 1\n', "the docstring and the body share a line"),
    ],
)
def test_other_replies_are_rejected_with_a_reason(source: str, reason: str):
    with pytest.raises(UnusableReply) as caught:
        read_exercise(source)
    assert caught.value.problem == reason


def test_empty_and_cut_off_replies_are_rejected():
    with pytest.raises(UnusableReply, match="empty"):
        rows("  \n")
    with pytest.raises(UnusableReply, match="truncated"):
        rows(SOLUTION, finish="length")


def test_invalid_escapes_cause_no_warning():
    reply = 'def count_even(s: list[int]) -> int:\n    """Match \\d."""\n    return len(s) % 2\n\nassert count_even([]) == 0\n'
    (row,) = rows(reply)
    assert row["textbooks.entry_point"] == "count_even"


def test_a_function_with_another_name_is_rejected():
    other = (SOLUTION + ASSERTS).replace("count_even", "count_odd")
    with pytest.raises(UnusableReply) as caught:
        rows(other)
    assert caught.value.problem == "the function does not have the requested name"
    assert next(iter(GENERATOR.parse({}, Reply(other))))["textbooks.entry_point"] == "count_odd"


STYLES = {
    "fence": "```python\n{}\n```",
    "preamble": "Sure! Here is the exercise you asked for:\n\n```python\n{}\n```\n\nEach assert covers one case. Let me know if ...",
    "headings": "**Exercise**\n\n```python\n{}\n```\n\n### Explanation\n\n- It runs in $O(n)$ time.\n",
}
FAULTS = {
    "the function does not have the requested name": (SOLUTION + ASSERTS).replace("count_even", "count_evens"),
    "there is no assert": SOLUTION,
    "an assert does not call the function": SOLUTION + "assert sum([1, 2]) == 3\n" + ASSERTS,
    "an assert compares the function with itself": SOLUTION + "assert count_even([1]) == count_even([1])\n",
    "the function has no docstring": "def count_even(numbers: list[int]) -> int:\n    return len(numbers) % 2\n\n" + ASSERTS,
    "the code does not parse": SOLUTION + "assert count_even([1, 2) == 1\n",
    "the arguments do not have the requested types": (SOLUTION + ASSERTS).replace("list[int]", "list[str]"),
    "the function does not have the requested number of arguments": (SOLUTION + ASSERTS).replace(
        "numbers: list[int]", "numbers: list[int], start: int = 0"
    ),
    "the solution does not practise the concept": (SOLUTION + ASSERTS).replace("n % 2 == 0", "n & 1 == 0"),
}


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("reason", FAULTS)
def test_what_cannot_be_used_is_refused_with_its_reason_in_every_style(style: str, reason: str):
    with pytest.raises(UnusableReply) as caught:
        rows(STYLES[style].replace("{}", FAULTS[reason]))
    assert caught.value.problem == reason
    (row,) = rows(STYLES[style].replace("{}", SOLUTION + "\n\n" + ASSERTS))
    assert (row["text"], row["textbooks.tests"]) == (SOLUTION, ASSERTS)


def test_checks_can_be_relaxed():
    plain = Exercise(teacher="author", count=1, require_concept=False, min_tests=0)
    draw = DRAW | {"concept": "recursion"}
    assert next(iter(plain.parse(draw, Reply(SOLUTION))))["textbooks.tests"] == ""
    with pytest.raises(UnusableReply, match="too few"):
        list(Exercise(teacher="author", count=1, min_tests=3).parse(DRAW, Reply(SOLUTION + ASSERTS)))


def test_older_spellings_of_types_are_the_same_types():
    reply = "from typing import List\n\n" + (SOLUTION + ASSERTS).replace("list[int]", "List[int]")
    assert rows(reply)[0]["textbooks.argument_types"] == "List[int]"


def test_the_return_type_of_a_step_chain_is_checked():
    draw = {"function_name": "count_even", "argument_types": ["list[int]"], "return_type": "list[int]"}
    with pytest.raises(UnusableReply) as caught:
        list(GENERATOR.parse(draw, Reply(SOLUTION + ASSERTS)))
    assert caught.value.problem == "the function does not have the requested return type"
    assert list(GENERATOR.parse(draw | {"return_type": "int"}, Reply(SOLUTION + ASSERTS)))
