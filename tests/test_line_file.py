"""Lines of a file by number."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textbookgen.api.line_file import LineFile

LINES = st.lists(st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"])))


@given(lines=LINES)
def test_lines_are_read_as_they_were_written(lines: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    file = LineFile.write(tmp_path_factory.mktemp("lines") / "a.txt", lines)
    assert [file[number] for number in reversed(range(len(file)))] == lines[::-1]


def test_a_file_that_exists_is_not_written_again(tmp_path: Path) -> None:
    LineFile.write(tmp_path / "a.txt", ["one", "two"])
    again = LineFile.write(tmp_path / "a.txt", iter(()))
    assert (len(again), again[1]) == (2, "two")


def test_a_file_that_could_not_be_finished_is_absent(tmp_path: Path) -> None:
    def fails() -> object:
        yield "one"
        raise ValueError

    with pytest.raises(ValueError):
        LineFile.write(tmp_path / "a.txt", fails())  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
