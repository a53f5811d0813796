"""Checks of what a teacher returned, before anything is counted or stored: a paid reply is kept whatever its usage says."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import get_args

from textbookgen.api.errors import TeacherError
from textbookgen.api.teacher import Finish, Price, Reply, Request
from textbookgen.storage.ledger import canonical_json

#: More tokens than any model reads or writes in one request. A larger count is an error of the server.
MAX_TOKENS = 10_000_000
#: Upper bounds of the tokens that a chat format adds: for each message, and for the conversation.
_TOKENS_PER_MESSAGE, _TOKENS_PER_CONVERSATION = 16, 64


def max_input_tokens(request: Request) -> int:
    """Return an upper bound of a prompt's tokens: one for each byte, since no vocabulary in use has shorter tokens."""
    messages = sum(len(item.content.encode("utf-8", "replace")) + _TOKENS_PER_MESSAGE for item in request.messages)
    return messages + _TOKENS_PER_CONVERSATION + (2 * len(canonical_json(request.schema)) if request.schema else 0)


def checked_reply(reply: object, request: Request, price: Price | None, use: str) -> tuple[Reply, str]:
    """Return a reply whose counts are possible.

    Counts that are not whole numbers from 0 to MAX_TOKENS are replaced by an upper bound, one token for each byte, and the
    cost by what that costs, so that they can corrupt neither a budget nor the ledger.

    Args:
        reply: what the teacher returned.
        request: the request that it answers.
        price: the teacher's price, if known.
        use: the name by which recipes select the teacher, for messages.

    Returns:
        The reply, and what was wrong with its counts; empty if nothing was.

    Raises:
        TeacherError: the teacher returned something else than a Reply with a text.
    """
    if not isinstance(reply, Reply) or not isinstance(reply.text, str):
        got = f"a Reply whose text is {type(reply.text).__name__}" if isinstance(reply, Reply) else type(reply).__name__
        hint = "`complete` of a teacher must return `textbookgen.Reply(text)`"
        raise TeacherError(f"the teacher `{use}` returned {got} instead of a Reply with a text", hint=hint)
    problems = [
        f"{name} is {value!r}"
        for name, value in (("tokens_in", reply.tokens_in), ("tokens_out", reply.tokens_out))
        if not _is_count(value, MAX_TOKENS)
    ]
    if problems:
        tokens_in = reply.tokens_in if _is_count(reply.tokens_in, MAX_TOKENS) else max_input_tokens(request)
        tokens_out = reply.tokens_out if _is_count(reply.tokens_out, MAX_TOKENS) else len(reply.text.encode("utf-8", "replace"))
        cost = price.cost(tokens_in, tokens_out) if price else 0.0
        reply = replace(reply, tokens_in=tokens_in, tokens_out=tokens_out, cost_usd=cost, tokens_cached=0, tokens_reasoning=0)
    if not _is_count(reply.tokens_cached, reply.tokens_in):
        problems.append(f"tokens_cached is {reply.tokens_cached!r}")
        reply = replace(reply, tokens_cached=0, cost_usd=price.cost(reply.tokens_in, reply.tokens_out) if price else 0.0)
    if not _is_count(reply.tokens_reasoning, reply.tokens_out):
        problems.append(f"tokens_reasoning is {reply.tokens_reasoning!r}")
        reply = replace(reply, tokens_reasoning=0)
    if not _is_amount(reply.cost_usd):
        problems.append(f"cost_usd is {reply.cost_usd!r}")
        reply = replace(reply, cost_usd=price.cost(reply.tokens_in, reply.tokens_out) if price else 0.0)
    if reply.finish not in get_args(Finish):
        problems.append(f"finish is {reply.finish!r}")
        reply = replace(reply, finish="stop")
    return reply, "; ".join(problems)


def _is_count(value: object, maximum: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= maximum


def _is_amount(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
