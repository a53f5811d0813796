"""textbookgen: small language models trained on data better than the web."""

from textbookgen.api.hookspecs import hookimpl

__all__ = ["hookimpl"]
__version__ = "0.1.0"
