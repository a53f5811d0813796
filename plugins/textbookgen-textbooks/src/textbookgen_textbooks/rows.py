"""Rows that several generators read and write: questions, chats and preference pairs."""

from __future__ import annotations

import re
from typing import Any

from textbookgen import Draw, UnusableReply

Messages = list[dict[str, str]]

#: A calculation with its result, such as `12 + 30 = 42`: every reply could copy the answer.
_SOLVED_EQUATION = re.compile(r"[-+*/\u00d7\u2212().,\d\s]*\d[-+*/\u00d7\u2212().,\d\s]*=\s*[-\u2212]?\d[\d\s.,]*")
_SHOWN_CALL = re.compile(r"^\s*>>> (.+?)\s*$", re.MULTILINE)
_CODE_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def question_of(draw: Draw) -> str:
    """Return the question of the draw's document: its column `textbooks.question`, or else its text."""
    document = draw["document"]
    return str(document.get("textbooks.question") or document["text"]).strip()


def states_answer(question: str) -> bool:
    """Return whether a question states its answer, so that a reply could copy it.

    It is a calculation with its result (`12 + 30 = 42`), or its code shows the result of the call that it asks about.
    """
    asked = _CODE_FENCE.sub("", question)
    return _SOLVED_EQUATION.fullmatch(question.strip()) is not None or any(
        call in asked for call in _SHOWN_CALL.findall(question)
    )


def question_row(question: str, solution: str) -> dict[str, Any]:
    """Return a question with its solution as a document."""
    return {
        "text": f"Question: {question}\n\nAnswer: {solution}\n",
        "textbooks.question": question,
        "textbooks.solution": solution,
    }


def prompt_messages(draw: Draw) -> Messages:
    """Return what the draw's document asks, as messages: a chat up to its last user message, or the question of a document.

    Raises:
        UnusableReply: the chat has no user message.
    """
    messages = draw["document"].get("messages")
    if messages is None:
        return [{"role": "user", "content": question_of(draw)}]
    last = max((place for place, message in enumerate(messages) if message["role"] == "user"), default=None)
    if last is None:
        raise UnusableReply("the chat has no user message")
    return [{"role": message["role"], "content": message["content"]} for message in messages[: last + 1]]


def chat_row(prompt: Messages, answer: str) -> dict[str, Any]:
    """Return a row of Chats: the prompt and the assistant's answer to it."""
    return {"messages": [*prompt, {"role": "assistant", "content": answer}]}


def pair_row(prompt: Messages, chosen: str, rejected: str) -> dict[str, Any]:
    """Return a row of Pairs: a prompt with a preferred and a rejected answer."""
    return {
        "prompt": prompt,
        "chosen": [{"role": "assistant", "content": chosen}],
        "rejected": [{"role": "assistant", "content": rejected}],
    }
