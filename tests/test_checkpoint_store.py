"""Which checkpoints an interrupted run resumes from, and that removing them never leaves one that looks complete."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from textbookgen.training.checkpoint_store import MARKER, CheckpointStore


def save(store: CheckpointStore, step: int, *, complete: bool = True) -> Path:
    folder = store.path(step)
    (folder / "shards").mkdir(parents=True)
    (folder / "model.bin").write_bytes(b"0123456789")
    (folder / "shards" / "0.bin").write_bytes(b"0")
    if complete:
        store.mark_complete(step, {"step": step, "loss": 0.5})
    return folder


@pytest.fixture(params=[("step-", 9), ("checkpoint-", 0)], ids=["padded", "plain"])
def store(request, tmp_path) -> CheckpointStore:
    return CheckpointStore(tmp_path / "saves", *request.param)


def test_the_newest_complete_checkpoint_is_found_with_its_progress(store):
    assert store.newest() is None
    for step in (9, 10, 100):
        save(store, step)
    save(store, 200, complete=False)
    saved = store.newest()
    assert saved is not None
    assert (saved.step, saved.folder, saved.progress) == (100, store.path(100), {"step": 100, "loss": 0.5})


@pytest.mark.parametrize("damage", ["changed", "truncated", "missing", "added", "nested"])
def test_a_checkpoint_whose_files_changed_is_skipped_and_reported(store, damage, capsys):
    save(store, 1)
    folder = save(store, 2)
    content = (folder / "model.bin").read_bytes()
    match damage:
        case "changed":
            (folder / "model.bin").write_bytes(content[:-1] + b"x")  # same size
        case "truncated":
            (folder / "model.bin").write_bytes(content[:-1])
        case "missing":
            (folder / "model.bin").unlink()
        case "added":
            (folder / "more.bin").write_bytes(b"")
        case "nested":
            (folder / "shards" / "0.bin").write_bytes(b"1")
    saved = store.newest()
    assert saved is not None and saved.step == 1
    assert f"skipping checkpoint {folder}: " in (said := capsys.readouterr().err) and "changed since" in said


@pytest.mark.parametrize("marker", ["{", "[]", "{}", '{"files": {}}'])
def test_an_unreadable_marker_is_reported(store, marker, capsys):
    (save(store, 1) / MARKER).write_text(marker)
    assert store.newest() is None
    assert "its marker cannot be read" in capsys.readouterr().err


def test_pruning_keeps_the_newest_and_removes_incomplete_ones(store):
    for step in (1, 2, 3, 11):
        save(store, step)
    save(store, 12, complete=False)
    (store.folder / "other").mkdir()
    store.prune(keep=2)
    assert {path.name for path in store.folder.iterdir()} == {store.path(3).name, store.path(11).name, "other"}


def test_newer_checkpoints_and_single_ones_are_removed(store):
    for step in (1, 2, 10):
        save(store, step)
    store.remove_newer_than(2)
    assert not store.path(10).exists() and store.path(2).exists()
    store.drop(2)
    store.drop(7)  # there is none
    assert [path.name for path in store.folder.iterdir()] == [store.path(1).name]
    store.remove_all()
    assert not store.folder.exists()


def test_the_marker_goes_first_when_a_removal_is_interrupted(store, monkeypatch):
    folder = save(store, 1)

    def interrupted(path: Path, ignore_errors: bool = False) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.drop(1)
    assert (folder / "model.bin").exists() and store.newest() is None


def test_the_marker_comes_last_when_a_save_is_interrupted(store, monkeypatch):
    folder = save(store, 1, complete=False)

    def interrupted(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.mark_complete(1, {})
    monkeypatch.undo()
    assert not (folder / MARKER).exists() and store.newest() is None
    store.mark_complete(1, {"again": True})
    assert json.loads((folder / MARKER).read_text())["progress"] == {"again": True}
