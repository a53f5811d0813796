"""The ledger: every reply ever paid for, found by what was asked."""

from textbookgen.ledger.exchange import export_parquet, import_parquet
from textbookgen.ledger.keys import canonical, identity, key_of, request_key
from textbookgen.ledger.store import Entry, Ledger, Spending

__all__ = [
    "Entry",
    "Ledger",
    "Spending",
    "canonical",
    "export_parquet",
    "identity",
    "import_parquet",
    "key_of",
    "request_key",
]
