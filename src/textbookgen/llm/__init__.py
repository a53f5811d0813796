"""Requests to teachers, many at once: stored replies, budgets, rate limits, retries and JSON validation."""

from textbookgen.llm.budget import Budget
from textbookgen.llm.client import Answer, Client, TeacherSession
from textbookgen.llm.concurrency import bounded_map
from textbookgen.llm.rate_limit import RateLimiter
from textbookgen.llm.reply_checks import max_input_tokens
from textbookgen.llm.usage import Usage

__all__ = [
    "Answer",
    "Budget",
    "Client",
    "RateLimiter",
    "TeacherSession",
    "Usage",
    "bounded_map",
    "max_input_tokens",
]
