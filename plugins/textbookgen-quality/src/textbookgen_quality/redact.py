"""`quality/redact`: replace e-mail addresses and public IP addresses."""

from __future__ import annotations

import ipaddress
import re
from typing import Any, ClassVar

import polars as pl
from pydantic import Field

from textbookgen import Transform, document_id

_EMAIL = re.compile(
    r"\b[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]*[A-Za-z0-9]@(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z]{2,}\b"
)
_BYTE = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IP_ADDRESS = re.compile(rf"\b{_BYTE}(?:\.{_BYTE}){{3}}\b")


class AddressRedaction(Transform):
    """Replaces e-mail addresses and public IPv4 addresses, as FineWeb does (Penedo et al. 2024, section 3.7).

    A document that changed is a new one, with the original as parent.
    """

    name: ClassVar[str] = "redact"

    email: str = Field("someone@example.com", description='replacement for e-mail addresses; "" keeps them')
    address: str = Field("192.0.2.1", description='replacement for public IPv4 addresses; "" keeps them')
    text: str = Field("text", description="the column to change")

    def transform(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Return the redacted documents; `quality.redacted` is the number of replacements."""
        texts, counts = [], []
        for text in docs[self.text].fill_null(""):
            redacted, count = self._redact(text)
            texts.append(redacted)
            counts.append(count)
        return _with_texts(docs, self.text, texts, counts)

    def _redact(self, text: str) -> tuple[str, int]:
        count = 0
        if self.email and "@" in text:
            text, count = _EMAIL.subn(lambda _: self.email, text)
        if self.address:
            addresses = {item for item in _IP_ADDRESS.findall(text) if _is_public(item)} - {self.address}
            for item in sorted(addresses):
                text, replaced = re.subn(rf"(?<![\d.]){re.escape(item)}(?![\d]|\.\d)", lambda _: self.address, text)
                count += replaced
        return text, count


def _is_public(address: str) -> bool:
    """Whether an address can identify someone: private, loopback and documentation ranges, and most version numbers, cannot."""
    return ipaddress.ip_address(address).is_global


def _with_texts(docs: pl.DataFrame, column: str, texts: list[str], counts: list[int]) -> pl.DataFrame:
    """Return the documents with new texts; those with replacements get new ids, with the old ones as parents."""
    rows = zip(docs["id"], texts, counts, strict=True)
    ids = [document_id("quality/redact", old, text) if count else old for old, text, count in rows]
    redacted = pl.Series(counts, dtype=pl.Int64)
    columns: dict[str, Any] = {
        "id": pl.Series(ids, dtype=pl.String),
        column: pl.Series(texts, dtype=pl.String),
        "quality.redacted": redacted,
    }
    if "parents" in docs.columns:
        columns["parents"] = pl.when(redacted > 0).then(pl.concat_list(docs["id"])).otherwise(docs["parents"])
    return docs.with_columns(**columns)
