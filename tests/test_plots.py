"""Charts are self-contained SVG, and drawing one leaves imports as they were."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from pathlib import Path

from textbookgen.api.plots import chart, write_chart


def test_a_chart_is_written_as_self_contained_svg(tmp_path: Path) -> None:
    figure = chart("XY", x_title="tokens", y_title="loss", height=200)
    figure.add("small", [(0, 3.0), (10, 2.0)])
    write_chart(figure, tmp_path / "plots" / "loss.svg")
    svg = (tmp_path / "plots" / "loss.svg").read_text(encoding="utf-8")
    assert svg.startswith("<svg")
    assert "small" in svg
    assert 'viewBox="0 0 800 200"' in svg
    assert "src=" not in svg
    assert "href=" not in svg
    assert [file.name for file in (tmp_path / "plots").iterdir()] == ["loss.svg"]


def test_equal_charts_are_equal_files(tmp_path: Path) -> None:
    for folder in ("first", "second"):
        figure = chart("XY")
        figure.add("small", [(0, 3.0), (10, 2.0)])
        write_chart(figure, tmp_path / folder / "loss.svg")
    assert (tmp_path / "first" / "loss.svg").read_bytes() == (tmp_path / "second" / "loss.svg").read_bytes()


def test_a_chart_does_not_depend_on_the_day(tmp_path: Path) -> None:
    figure = chart("Line")
    figure.add("small", [1, 2])
    write_chart(figure, tmp_path / "loss.svg")
    svg = (tmp_path / "loss.svg").read_text(encoding="utf-8")
    assert str(date.today().year) not in svg.replace("2012-", "")
    assert "Generated" not in svg


DRAW = """
import sys, warnings
class Finder:
    def find_spec(self, name, path=None, target=None):
        return None
mine = Finder()
sys.meta_path.append(mine)
before = list(sys.meta_path)
from textbookgen.api.plots import chart
chart("Line").add("a", [1, 2]).render()
assert all(finder in sys.meta_path for finder in before)
assert any(type(finder).__module__ == "pygal" for finder in sys.meta_path)
try:
    import no_such_module
except ModuleNotFoundError:
    pass
warnings.warn("others are still errors", ImportWarning)
"""


def test_drawing_removes_no_import_hook_and_causes_no_warnings() -> None:
    """Hooks of others stay in place, a failing import raises no warning of pygal's hook, and other warnings are not hidden."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", DRAW], capture_output=True, text=True, check=False)
    assert done.stderr.strip().splitlines()[-1] == "ImportWarning: others are still errors"
