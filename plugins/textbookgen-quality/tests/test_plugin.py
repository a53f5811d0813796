"""The plugin passes the checks for plugins."""

from __future__ import annotations

from textbookgen.testing import check_plugin


def test_the_plugin_passes_the_checks() -> None:
    check_plugin("quality")
