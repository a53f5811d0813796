"""Random and damaged inputs are read, or refused with an error for users: a few examples of each target of benchmarks/fuzz.py."""

from __future__ import annotations

import json
import struct
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from textbookgen.api.errors import TextbookgenError, TrainerError, WorkspaceError
from textbookgen.storage.ledger import Ledger
from textbookgen.storage.ledger.parquet import import_parquet
from textbookgen.training.shards import PackedShards, TokenFile

FOLDER = Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(FOLDER))
FUZZ: Any = import_module("fuzz_targets")
sys.path.remove(str(FOLDER))
#: Examples by target: as many as fit into a second.
EXAMPLES = {"recipe": 60, "set": 60, "response": 100, "usage": 100, "reply": 100, "shards": 20, "index": 60}


@pytest.mark.parametrize("name", FUZZ.TARGETS)
def test_no_input_ends_in_another_error_than_one_for_users(name: str) -> None:
    target = FUZZ.TARGETS[name]

    @settings(max_examples=EXAMPLES.get(name, 10), deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def read(data: st.DataObject) -> None:
        try:
            target.read(data.draw(target.inputs))
        except TextbookgenError as error:
            assert str(error)

    read()


def test_the_inputs_of_the_targets_are_valid_before_they_are_changed() -> None:
    FUZZ.read_recipe_text(FUZZ.RECIPE.encode())
    FUZZ.read_shards(("report.txt", [], None))
    FUZZ.read_response(FUZZ.COMPLETION)
    FUZZ.import_ledger(([], {}))
    FUZZ.show_documents(["a text"])
    FUZZ.show_damaged_run(("run.json", []))


# -- what the campaign found


@pytest.mark.parametrize("documents", [2**31, 2**62, 2**63, 2**64 - 1])
def test_an_index_that_claims_more_documents_than_it_holds_is_refused(tmp_path: Path, documents: int) -> None:
    header = struct.pack("<9sQBQQ", b"MMIDIDX\x00\x00", 1, 8, documents, documents)
    (tmp_path / "train.idx").write_bytes(header + bytes(24))
    (tmp_path / "train.bin").write_bytes(bytes(40))
    with pytest.raises(TrainerError, match="too short for"):
        TokenFile(tmp_path / "train")


@pytest.mark.parametrize("place", ["length", "start"])
def test_an_index_whose_documents_overlap_is_refused(tmp_path: Path, place: str) -> None:
    for file, content in FUZZ._shards().items():
        (tmp_path / file).write_bytes(content)
    index = bytearray((tmp_path / "train.idx").read_bytes())
    shards = PackedShards.read(tmp_path)
    shards.check_files()
    header, documents = struct.calcsize("<9sQBQQ"), len(shards.file("train"))
    index[header if place == "length" else header + 4 * documents] ^= 2
    (tmp_path / "train.idx").write_bytes(index)
    with pytest.raises(TrainerError, match="incomplete or corrupt"):
        shards.check_files()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("text", None),
        ("tokens_in", -1),
        ("tokens_out", 2**62),
        ("cost_usd", float("nan")),
        ("cost_usd", -1.0),
        ("cost_usd", None),
        ("finish", "x"),
        ("at", 596528405),
        ("teacher", "{}"),
        ("teacher", "[]"),
        ("request", "null"),
    ],
)
def test_impossible_values_of_an_export_are_not_imported(tmp_path: Path, column: str, value: Any) -> None:
    _, frame, _ = FUZZ._export()
    kind = None if column == "at" else frame.schema[column]
    file = tmp_path / "changed.parquet"
    frame.with_columns(pl.lit(value, dtype=kind).alias(column)).write_parquet(file)
    ledger = Ledger(tmp_path / "ledger.sqlite")
    with pytest.raises(WorkspaceError, match=r"impossible figures|key mismatch|of another type"):
        import_parquet(ledger, file)
    assert ledger.totals() == []
    ledger.close()


def test_a_teacher_without_a_name_is_not_imported_although_the_key_is_right(tmp_path: Path) -> None:
    from textbookgen.storage.ledger.keys import ledger_key
    from textbookgen.storage.ledger.records import request_from_dict

    _, frame, _ = FUZZ._export()
    row = frame.row(0, named=True)
    row["teacher"] = json.dumps({"use": 3, "options": []})
    row["key"] = ledger_key(row["teacher"], request_from_dict(json.loads(row["request"])), reads_draw=False)
    file = tmp_path / "changed.parquet"
    pl.DataFrame([row], schema=frame.schema).write_parquet(file)
    ledger = Ledger(tmp_path / "ledger.sqlite")
    with pytest.raises(WorkspaceError, match="impossible figures"):
        import_parquet(ledger, file)
    ledger.close()


def test_a_panic_of_polars_over_a_damaged_export_is_an_error_for_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def panic(*_: object, **__: object) -> None:
        raise pl.exceptions.PanicException("called `Option::unwrap()` on a `None` value")

    ledger = Ledger(tmp_path / "ledger.sqlite")
    file, _, _ = FUZZ._export()
    monkeypatch.setattr(pl, "scan_parquet", panic)
    with pytest.raises(WorkspaceError, match="cannot read the file"):
        import_parquet(ledger, file)
    ledger.close()
