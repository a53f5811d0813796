"""`quality/redact`: addresses of people and machines are made unreadable."""

from __future__ import annotations

from typing import Any, ClassVar

import polars as pl
from pydantic import Field

from textbookgen import Transform, document_id

_EMAIL = r"\b[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]*[A-Za-z0-9]@(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z]{2,}\b"
# Public addresses only: private, loopback and documentation ranges name nobody, and most "1.2.3.4" are versions.
_BYTE = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_ADDRESS = rf"\b{_BYTE}(?:\.{_BYTE}){{3}}\b"


class Redact(Transform):
    """Puts a stand-in for e-mail addresses and public IP addresses, as FineWeb does (Penedo et al. 2024, section 3.7).

    A document in which something was replaced is a new one, whose parent is the old.
    """

    name: ClassVar[str] = "redact"

    email: str = Field("someone@example.com", description='stand-in for e-mail addresses; "" leaves them')
    address: str = Field("192.0.2.1", description='stand-in for public IPv4 addresses; "" leaves them')
    text: str = Field("text", description="the column that is changed")

    def transform(self, docs: pl.DataFrame) -> pl.DataFrame:
        """The documents with stand-ins; `quality.redacted` has how many were put in."""
        import re

        texts, counts = [], []
        for text in docs[self.text].fill_null(""):
            many = 0
            if self.email and "@" in text:
                text, many = re.subn(_EMAIL, self.email, text)
            if self.address:
                public = {item for item in re.findall(_ADDRESS, text) if _is_public(item)} - {self.address}
                for item in sorted(public):
                    text, more = re.subn(rf"(?<![\d.]){re.escape(item)}(?![\d]|\.\d)", self.address, text)
                    many += more
            texts.append(text)
            counts.append(many)
        return _changed(docs, self.text, texts, counts)


def _is_public(address: str) -> bool:
    import ipaddress

    return ipaddress.ip_address(address).is_global


def _changed(docs: pl.DataFrame, column: str, texts: list[str], counts: list[int]) -> pl.DataFrame:
    """The documents with new texts; those in which something was replaced have an id of their own."""
    news = zip(docs["id"], texts, counts, strict=True)
    ids = [document_id("quality/redact", old, text) if many else old for old, text, many in news]
    changed = pl.Series(counts, dtype=pl.Int64)
    columns: dict[str, Any] = {
        "id": pl.Series(ids, dtype=pl.String),
        column: pl.Series(texts, dtype=pl.String),
        "quality.redacted": changed,
    }
    if "parents" in docs.columns:
        columns["parents"] = pl.when(changed > 0).then(pl.concat_list(docs["id"])).otherwise(docs["parents"])
    return docs.with_columns(**columns)
