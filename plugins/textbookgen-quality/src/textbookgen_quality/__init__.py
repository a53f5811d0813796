"""Quality: scores by a teacher for a sample, a forest that learns them, heuristics with published thresholds, and redaction."""

from __future__ import annotations

from textbookgen import Stage, hookimpl
from textbookgen_quality.annotate import QualityAnnotator
from textbookgen_quality.compression import CompressionFilter
from textbookgen_quality.forest import ForestFilter
from textbookgen_quality.heuristics import HeuristicFilter
from textbookgen_quality.language import LanguageFilter
from textbookgen_quality.python_syntax import PythonSyntaxFilter
from textbookgen_quality.redact import AddressRedaction
from textbookgen_quality.secrets import SecretsFilter


@hookimpl
def stages() -> list[type[Stage]]:
    """Return the annotator, the filters, and the redaction of personal data."""
    return [
        QualityAnnotator,
        ForestFilter,
        HeuristicFilter,
        CompressionFilter,
        LanguageFilter,
        PythonSyntaxFilter,
        SecretsFilter,
        AddressRedaction,
    ]
