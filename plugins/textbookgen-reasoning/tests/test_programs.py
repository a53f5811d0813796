"""Programs: Python itself agrees with what they come to, and texts read back."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from textbookgen_reasoning.programs import Assignment, Programs, needed, read, run, written


def table(**options: object) -> pl.DataFrame:
    source = Programs(**{"count": 300, **options})
    assert list(source.check()) == []
    return pl.concat(source.read())


def test_python_agrees():
    for row in table(signs=("+", "-", "*")).iter_rows(named=True):
        program, _, question = row["reasoning.prompt"].rpartition("# ")
        names: dict[str, int] = {}
        exec(program, {}, names)
        (variable,) = row["reasoning.variables"]
        assert question == f"{variable} = "
        assert row["reasoning.answer"] == f"{names[variable]}\n"
        assert row["text"] == row["reasoning.prompt"] + row["reasoning.answer"]
        assert run(read(program)) == names
        assert all(abs(value) <= 99 for value in names.values())
        assert len(names) <= 4
        assert program.count("\n") == 8


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_a_c_compiler_agrees(tmp_path: Path):
    rows = table(language="c", count=20, signs=("+", "-", "*"))
    checks = []
    for row in rows.iter_rows(named=True):
        program, _, question = row["reasoning.prompt"].rpartition("// ")
        checks.append(f"{{ {program} if (!({question}{row['reasoning.answer'].strip()})) return 1; }}")
    (tmp_path / "all.c").write_text("int main(void) {\n" + "\n".join(checks) + "\nreturn 0; }\n", encoding="utf-8")
    subprocess.run(["cc", "-w", str(tmp_path / "all.c"), "-o", str(tmp_path / "all")], check=True)
    assert subprocess.run([str(tmp_path / "all")], check=False).returncode == 0


@pytest.mark.parametrize("language", ["python", "c"])
def test_texts_read_back(language: str):
    for row in table(language=language, count=100).iter_rows(named=True):
        text = row["reasoning.prompt"].rpartition("#" if language == "python" else "//")[0]
        assert written(read(text), language) == text


def test_the_cell_counts_what_the_answer_hangs_on():
    program = read("a = 1\nb = 2\na = a + b\nc = 5\nb = 7")
    assert [str(each) for each in needed(program, "a")] == ["a = a + b", "b = 2", "a = 1"]
    assert [str(each) for each in needed(program, "b")] == ["b = 7"]
    cells = Counter(table(count=2_000)["reasoning.cell"])
    assert {f"{n:02d} statements" for n in range(1, 6)} <= set(cells)
    assert max(cells) <= "08 statements"


@pytest.mark.parametrize("text", ["a", "a = b +", "ab = 1", "a = 1 / 2", "print(a)"])
def test_other_texts_are_refused(text: str):
    with pytest.raises(ValueError, match="no statement"):
        read(text)


def test_variables_must_hold_something():
    with pytest.raises(ValueError, match="before it holds"):
        run([Assignment("a", "b")])


def test_seeds_counts_and_options():
    rows = table()
    assert rows["id"].n_unique() == 300
    assert rows[:50].equals(table(count=50))
    assert not set(rows["text"]) & set(table(seed=1)["text"])
    assert not table(signs=())["text"].str.contains(r"[-+*] ").any()
    assert len(list(Programs(count=1, constant=200).check())) == 1
