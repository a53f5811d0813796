"""`quality/secrets`: documents with keys and tokens in them do not flow on."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, ClassVar

import polars as pl
from pydantic import Field

from textbookgen import Diagnostic, Filter

# Those of detect-secrets' detectors that know a token by its form. The rest go by entropy or by words before a value,
# which in source code is right too seldom.
_DETECTORS = (
    "AWSKeyDetector", "AzureStorageKeyDetector", "BasicAuthDetector", "DiscordBotTokenDetector", "GitHubTokenDetector",
    "GitLabTokenDetector", "JwtTokenDetector", "MailchimpDetector", "NpmDetector", "OpenAIDetector", "PrivateKeyDetector",
    "PypiTokenDetector", "SendGridDetector", "SlackDetector", "SquareOAuthDetector", "StripeDetector",
    "TelegramBotTokenDetector", "TwilioKeyDetector",
)  # fmt: skip


@cache
def _known() -> dict[str, Any]:
    """detect-secrets' detectors that work by regular expressions, by class name."""
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
    from detect_secrets.plugins.base import RegexBasedDetector

    kinds: Iterable[type[Any]] = get_mapping_from_secret_type_to_class().values()
    return {kind.__name__: kind() for kind in kinds if issubclass(kind, RegexBasedDetector)}


class Secrets(Filter):
    """Drops documents in which detect-secrets finds a key, a token or a password in an address.

    The verdict tells the kind of secret and the line, never the secret.
    """

    name: ClassVar[str] = "secrets"

    detectors: tuple[str, ...] = Field(_DETECTORS, description="detectors of detect-secrets, by class name")
    text: str = Field("text", description="the column that is judged")

    def check(self) -> Iterable[Diagnostic]:
        """Complains about detectors that there are not."""
        if unknown := [name for name in self.detectors if name not in _known()]:
            yield Diagnostic("detectors", f"not known: {', '.join(unknown)}", f"there are {', '.join(sorted(_known()))}")

    def decide(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Verdicts, with the kind of the first secret found and its line."""
        result = [self._found(text or "") for text in docs[self.text]]
        return docs.select("id").with_columns(
            keep=pl.Series([item is None for item in result], dtype=pl.Boolean),
            reason=pl.Series([None if item is None else "secret" for item in result], dtype=pl.String),
            detail=pl.Series(result, dtype=pl.String),
        )

    def _found(self, text: str) -> str | None:
        for name in self.detectors:
            detector = _known()[name]
            for secret in detector.analyze_string(text):
                line = text[: max(0, text.find(secret))].count("\n") + 1
                return f"{detector.secret_type}, line {line}"
        return None
