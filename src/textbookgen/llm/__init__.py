"""Asking many things at once: ledger, purse, gate, retries; each reply is paid for once."""

from textbookgen.llm.budget import Budget
from textbookgen.llm.client import Answer, Client, TeacherSession, Usage, max_input_tokens
from textbookgen.llm.concurrency import bounded_map
from textbookgen.llm.rate_limit import RateLimiter

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
