"""Programs: Python and C compute the same values, and texts can be parsed back."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from textbookgen_reasoning.programs import Programs
from textbookgen_reasoning.straight_line import Assignment, dependencies, execute, format_program, parse_program


def table(**options: object) -> pl.DataFrame:
    source = Programs(**{"count": 300, **options})
    assert list(source.check()) == []
    return pl.concat(source.read())


def test_python_computes_the_same_values():
    for row in table(operators=("+", "-", "*")).iter_rows(named=True):
        program, _, question = row["reasoning.prompt"].rpartition("# ")
        names: dict[str, int] = {}
        exec(program, {}, names)
        (variable,) = row["reasoning.variables"]
        assert question == f"{variable} = "
        assert row["reasoning.answer"] == f"{names[variable]}\n"
        assert row["text"] == row["reasoning.prompt"] + row["reasoning.answer"]
        assert execute(parse_program(program)) == names
        assert all(abs(value) <= 99 for value in names.values())
        assert len(names) <= 4
        assert program.count("\n") == 8


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_compiled_c_computes_the_same_values(tmp_path: Path):
    rows = table(language="c", count=20, operators=("+", "-", "*"))
    checks = []
    for row in rows.iter_rows(named=True):
        program, _, question = row["reasoning.prompt"].rpartition("// ")
        checks.append(f"{{ {program} if (!({question}{row['reasoning.answer'].strip()})) return 1; }}")
    (tmp_path / "all.c").write_text("int main(void) {\n" + "\n".join(checks) + "\nreturn 0; }\n", encoding="utf-8")
    subprocess.run(["cc", "-w", str(tmp_path / "all.c"), "-o", str(tmp_path / "all")], check=True)
    assert subprocess.run([str(tmp_path / "all")], check=False).returncode == 0


@pytest.mark.parametrize("language", ["python", "c"])
def test_parsing_inverts_formatting(language: str):
    for row in table(language=language, count=100).iter_rows(named=True):
        text = row["reasoning.prompt"].rpartition("#" if language == "python" else "//")[0]
        assert format_program(parse_program(text), language) == text


def test_the_cell_counts_the_dependencies():
    program = parse_program("a = 1\nb = 2\na = a + b\nc = 5\nb = 7")
    assert [str(each) for each in dependencies(program, "a")] == ["a = a + b", "b = 2", "a = 1"]
    assert [str(each) for each in dependencies(program, "b")] == ["b = 7"]
    cells = Counter(table(count=2_000)["reasoning.cell"])
    assert {f"{n:02d} statements" for n in range(1, 6)} <= set(cells)
    assert max(cells) <= "08 statements"


@pytest.mark.parametrize("text", ["a", "a = b +", "ab = 1", "a = 1 / 2", "print(a)"])
def test_other_texts_are_rejected(text: str):
    with pytest.raises(ValueError, match="invalid statement"):
        parse_program(text)


def test_unassigned_variables_are_rejected():
    with pytest.raises(ValueError, match="before it is assigned"):
        execute([Assignment("a", "b")])


def test_seed_count_and_operators():
    rows = table()
    assert rows["id"].n_unique() == 300
    assert rows[:50].equals(table(count=50))
    assert not set(rows["text"]) & set(table(seed=1)["text"])
    assert not table(operators=())["text"].str.contains(r"[-+*] ").any()
    assert len(list(Programs(count=1, max_constant=200).check())) == 1
