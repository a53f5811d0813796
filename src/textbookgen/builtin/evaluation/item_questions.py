"""How an item of a benchmark is asked: as a text to be continued, or as a message to a chat model."""

from __future__ import annotations

from textbookgen.api.benchmark import BenchmarkItem
from textbookgen.api.message import Message
from textbookgen.builtin.evaluation.answering import Question


def ask_item(item: BenchmarkItem) -> Question:
    """Return the question of an item.

    A chat gets the solved examples in the same message if there are any, as lm-evaluation-harness puts them; otherwise what
    the item asks of a chat, a function to be completed in a code block, or the bare prompt.
    """
    text = item.prefix + item.prompt
    if item.question and (item.tests or not item.prefix):
        message = item.question
    elif item.tests:
        message = ask_code(item.prompt)
    else:
        message = text
    return Question(text, (Message("user", message),))


def ask_code(prompt: str) -> str:
    """Return the message that asks a chat model to complete a program."""
    return (
        "Complete this Python code. Reply with the complete function, with all imports that it needs, in one code block, "
        f"without tests and examples of its use.\n\n```python\n{prompt.rstrip()}\n```"
    )
