"""Pages as language models write them: prompt, reader and `sandbox/doctest` together."""

from __future__ import annotations

from random import Random

import polars as pl
import pytest
from textbookgen_textbooks.page import Page
from textbookgen_textbooks.page_topics import PageTopics

from textbookgen.api.errors import PluginError, UnusableReply
from textbookgen.api.sampler import AcceptedStats
from textbookgen.api.teacher import Reply

doctest_filter = pytest.importorskip("textbookgen_sandbox.stages.doctest")

TIDY = """# Counting with a loop

A `for` loop repeats lines, so it is the natural tool for counting how often something happens.

```python
count = 0
for letter in "banana":
    if letter == "a":
        count += 1
print(count)  # 3
```

The loop body runs six times. A loop over an empty text never runs:

```python
count = 0
for letter in "":
    count += 1
print(count)  # 0
int("x")  # ValueError: this is no number
```

**Question.** What is printed for `"panama"`? **Solution.** `3`, since it has three letters a.
"""

CHATTY = """Sure! Here's a self-contained section on counting with a for loop:

---

```markdown
## Counting with a `for` Loop 🎉

Imagine counting your **high scores** — a loop does this for you! The count satisfies \\( c = \\sum_i [x_i = a] \\).

### Example 1

```python
count = 0
for letter in "banana":
    if letter == "a":
        count += 1
print("Count:", count)
```

**Output:**

```
Count: 3
```

### Example 2: nothing to count

```python
for letter in "":
    print(letter)
print("done counting")
# Output: done counting
```
```

Let me know if you'd like more examples!"""

TERSE = """Counting with a for loop
========================

Counting in a loop starts at zero.

```py
def count_letter(text, letter):
    \"\"\"Count a letter.

    >>> count_letter("banana", "a")
    3
    \"\"\"
    count = 0
    for c in text:  # visit each letter
        if c == letter:
            count += 1  # one more
    return count

print(count_letter("banana", "n"))
# 2
print(count_letter("", "a"))  # -> 0
```

In the interpreter:

```pycon
>>> count_letter("aaa", "a")
3
```
"""

#: Each style with one false claim about its output.
FALSE = {
    "tidy": (TIDY, "print(count)  # 3", "print(count)  # 4"),
    "chatty: fence": (CHATTY, "Count: 3", "Count: 2"),
    "chatty: comment below": (CHATTY, "# Output: done counting", "# Output: done"),
    "terse: line below": (TERSE, "# 2", "# 3"),
    "terse: docstring": (TERSE, '    3\n    "', '    2\n    "'),
    "terse: session": (TERSE, '"a")\n3', '"a")\n4'),
}


def written(runner, reply: str, draw: dict) -> list[dict]:
    """The rows of the stage for a reply; the prompt is rendered as in a run."""
    return runner.run(Page(teacher="author", count=1), draw, lambda task, variables: reply)


def judged(rows: list[dict]) -> dict:
    try:
        frame = pl.DataFrame({"id": ["a"], "text": [rows[0]["text"]]})
        return doctest_filter.Doctest(workers=1).decide(frame).row(0, named=True)
    except PluginError as error:
        pytest.skip(error.problem)


DRAW = {**PageTopics().draw(0, Random(0), AcceptedStats()), "topic": "counting with a for loop"}


@pytest.mark.parametrize("reply", [TIDY, CHATTY, TERSE], ids=["tidy", "chatty", "terse"])
def test_true_pages_pass_and_are_free_of_chatter(runner, reply: str):
    rows = written(runner, reply, DRAW)
    assert judged(rows)["keep"], judged(rows)
    assert judged(rows)["score"] == 1.0
    assert rows[0]["textbooks.shown"] == '{"topic": "counting with a for loop"}'
    assert not rows[0]["text"].startswith(("Sure", "```")) and "Let me know" not in rows[0]["text"]
    prompt = runner.teacher.requests[0].prompt
    assert all(str(DRAW[name]) in prompt for name in ("topic", "audience", "skill", "style")) and ">>>" in prompt


@pytest.mark.parametrize("name", FALSE)
def test_one_false_claim_drops_the_page(runner, name: str):
    reply, true, false = FALSE[name]
    assert reply.count(true) == 1
    row = judged(written(runner, reply.replace(true, false), DRAW))
    assert (row["keep"], row["reason"]) == (False, "unexpected output"), row


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        ("I'm sorry, but I can't write that page.", "the teacher declined"),
        (Reply(TIDY[:300], finish="length"), "the reply was truncated"),
        ("# Counting\n\nUse a loop.", "the page has no code"),
        ("# Counting\n\n```python\nfor for\n```\n", "no snippet of the page parses"),
        ("", "the reply is empty"),
    ],
)
def test_other_replies_are_refused_with_a_reason(runner, reply: str | Reply, problem: str):
    with pytest.raises(UnusableReply) as caught:
        written(runner, reply, DRAW)
    assert caught.value.problem == problem


def test_a_page_about_something_else_does_not_show_its_topic(runner):
    rows = written(runner, TIDY, {**DRAW, "topic": "binary search trees", "required_terms": ["zip", "loop"]})
    assert rows[0]["textbooks.shown"] == '{"topic": null, "required_terms": ["loop"]}'
    comprehension = TIDY.replace("for letter in", "while").replace("count += 1", "pass")
    rows = written(runner, comprehension.replace('while "":', 'while "" :'), {**DRAW, "topic": "list comprehensions"})
    assert '"topic": null' in rows[0]["textbooks.shown"]
