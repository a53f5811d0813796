"""Asking many things at once: ledger, purse, gate, retries; each reply is paid for once."""

from textbookgen.asking.asking import Answer, Asking, Desk, Usage, most_tokens_in
from textbookgen.asking.crowd import work_many
from textbookgen.asking.gate import Gate
from textbookgen.asking.purse import Purse

__all__ = ["Answer", "Asking", "Desk", "Gate", "Purse", "Usage", "most_tokens_in", "work_many"]
