"""The ledger: every reply ever paid for, found by what was asked."""

from textbookgen.storage.ledger.keys import canonical, identity, key_of, request_key
from textbookgen.storage.ledger.store import Entry, Ledger, Spending

__all__ = [
    "Entry",
    "Ledger",
    "Spending",
    "canonical",
    "identity",
    "key_of",
    "request_key",
]
