"""Plots for reports: pygal's charts as SVG, in one style."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from textbookgen.api.files import write_text


def chart(kind: str, **options: Any) -> Any:
    """A chart of pygal's class of this name, such as `XY` or `HorizontalBar`, without scripts."""
    import pygal
    from pygal.style import CleanStyle

    # pygal leaves an import hook whose form makes later imports warn
    sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__module__.partition(".")[0] != "pygal"]
    given = {"js": [], "style": CleanStyle, "height": 360, "legend_at_bottom": True, **options}
    return getattr(pygal, kind)(**given)


def write_chart(drawn: Any, file: Path) -> None:
    """Writes a chart whole, or not at all."""
    write_text(file, drawn.render(is_unicode=True, disable_xml_declaration=True))
