"""`quality/secrets`: drop documents that contain keys and tokens."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, ClassVar

import polars as pl
from pydantic import Field

from textbookgen import Diagnostic, Filter
from textbookgen.api.rows import text_of

# Detectors of detect-secrets that recognize a token by its format. The others go by entropy or by the words before a value,
# and are too often wrong on source code.
_DETECTORS = (
    "AWSKeyDetector", "AzureStorageKeyDetector", "BasicAuthDetector", "DiscordBotTokenDetector", "GitHubTokenDetector",
    "GitLabTokenDetector", "JwtTokenDetector", "MailchimpDetector", "NpmDetector", "OpenAIDetector", "PrivateKeyDetector",
    "PypiTokenDetector", "SendGridDetector", "SlackDetector", "SquareOAuthDetector", "StripeDetector",
    "TelegramBotTokenDetector", "TwilioKeyDetector",
)  # fmt: skip


@cache
def _known_detectors() -> dict[str, Any]:
    """Return detect-secrets' detectors that use regular expressions, by class name."""
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
    from detect_secrets.plugins.base import RegexBasedDetector

    kinds: Iterable[type[Any]] = get_mapping_from_secret_type_to_class().values()
    return {kind.__name__: kind() for kind in kinds if issubclass(kind, RegexBasedDetector)}


class SecretsFilter(Filter):
    """Drops documents in which detect-secrets finds a key, a token or a password in a URL.

    The verdict names the kind of secret and the line, never the secret.
    """

    name: ClassVar[str] = "secrets"

    detectors: tuple[str, ...] = Field(_DETECTORS, description="detectors of detect-secrets, by class name")
    text: str = Field("text", description="the column to check")

    def check(self) -> Iterable[Diagnostic]:
        """Report unknown detectors."""
        if unknown := [name for name in self.detectors if name not in _known_detectors()]:
            known = ", ".join(sorted(_known_detectors()))
            yield Diagnostic("detectors", f"unknown: {', '.join(unknown)}", f"the detectors are {known}")

    def decide(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Return verdicts; `detail` has the kind and line of the first secret."""
        details = [self._first_secret(text) for text in text_of(docs, self.text)]
        return docs.select("id").with_columns(
            keep=pl.Series([detail is None for detail in details], dtype=pl.Boolean),
            reason=pl.Series([None if detail is None else "secret" for detail in details], dtype=pl.String),
            detail=pl.Series(details, dtype=pl.String),
        )

    def _first_secret(self, text: str) -> str | None:
        for name in self.detectors:
            detector = _known_detectors()[name]
            for secret in detector.analyze_string(text):
                line = text[: max(0, text.find(secret))].count("\n") + 1
                return f"{detector.secret_type}, line {line}"
        return None
