"""Plots for reports: pygal charts as SVG, in one style."""

from __future__ import annotations

import re
import sys
import warnings
from pathlib import Path
from typing import Any

from textbookgen.api.files import write_text
from textbookgen.api.hashing import document_id

_GENERATED = re.compile(r"<!--Generated with pygal.*?-->")  # it has the date


def chart(kind: str, **options: Any) -> Any:
    """Return an empty pygal chart that loads no external scripts; call its method `add` for each series.

    Args:
        kind: the name of pygal's class, such as `XY`, `Line` or `HorizontalBar`.
        options: pygal's options, such as `title`, `x_title` and `y_title`.
    """
    import pygal
    from pygal.style import CleanStyle

    if sys.version_info < (3, 12):
        # pygal installs an import hook of the old protocol, so that every import that fails issues this warning
        warnings.filterwarnings("ignore", r"PluginImportFixer\.find_spec\(\) not found", ImportWarning)
    defaults = {"js": [], "style": CleanStyle, "height": 360, "legend_at_bottom": True}
    return getattr(pygal, kind)(**(defaults | options))


def write_chart(figure: Any, file: Path) -> None:
    """Write a chart as an SVG file, atomically; equal charts give equal bytes.

    Args:
        figure: what `chart` returned.
        file: the file to create or replace.
    """
    figure.uuid = document_id(file.name)  # pygal's is random
    svg = figure.render(is_unicode=True, disable_xml_declaration=True)
    write_text(file, _GENERATED.sub("", svg, count=1))
