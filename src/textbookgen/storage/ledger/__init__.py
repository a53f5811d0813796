"""The reply ledger: every reply a teacher was paid for, stored under a hash of the request."""

from textbookgen.storage.ledger.keys import canonical_json, ledger_key, request_key, teacher_identity
from textbookgen.storage.ledger.records import LedgerEntry, TeacherTotals
from textbookgen.storage.ledger.store import Ledger

__all__ = [
    "Ledger",
    "LedgerEntry",
    "TeacherTotals",
    "canonical_json",
    "ledger_key",
    "request_key",
    "teacher_identity",
]
