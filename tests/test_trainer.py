"""What the core has for trainers: job.json, metrics, cards, exit codes, and a model in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import struct
import sys
from contextlib import closing
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from textbookgen.api.errors import TrainerError
from textbookgen.api.model import Score, TokenModel
from textbookgen.api.stage import Job, Trainer
from textbookgen.training.job import STOPPED, Clock, Flow, JobFile, Metrics, Parent, peak_of, work, write_card
from textbookgen.training.model_client import ServedModel
from textbookgen.training.shards import PackedShards, TokenFile, check_one_vocabulary


class Learn(Trainer):
    """Learns."""

    name = "learn"
    steps: int

    def command(self, job: Job) -> list[str]:
        return []


def job_file(folder: Path, **told: Any) -> Path:
    whole = {
        "use": "mine/learn",
        "options": {"steps": 3},
        "inputs": {"shards": [{"label": name, "artifact": "Shards", "path": f"/{name}"} for name in ("b", "a")]},
        "seed": 7,
        "folder": str(folder),
    }
    (folder / "job.json").write_text(json.dumps(whole | told))
    return folder / "job.json"


def test_a_job_is_read_with_its_options_checked(tmp_path):
    told = JobFile.read(job_file(tmp_path))
    assert (told.seed, told.folder) == (7, tmp_path)
    assert told.inputs == {"shards": (Flow("b", Path("/b")), Flow("a", Path("/a")))}
    assert told.options({"mine/learn": Learn}).steps == 3
    with pytest.raises(TrainerError, match="are not those of mine/learn"):
        JobFile.read(job_file(tmp_path, options={"stepz": 3})).options({"mine/learn": Learn})
    with pytest.raises(TrainerError, match="does not do 'yours/learn'"):
        JobFile.read(job_file(tmp_path, use="yours/learn")).options({"mine/learn": Learn})


def test_a_parent_is_of_a_known_format_and_speaks_the_vocabulary(tmp_path):
    flow = Flow("base", tmp_path)
    with pytest.raises(TrainerError, match=r"no checkpoint\.json"):
        Parent.read(flow, ("mine",), "mine only")
    write_card(tmp_path, {"format": "mine", "tokenizer": {"name": "bytes", "digest": "b"}})
    assert [each.name for each in tmp_path.iterdir()] == ["checkpoint.json"]
    parent = Parent.read(flow, ("mine",), "mine only")
    parent.check_vocabulary({"name": "bytes", "digest": "b"})
    with pytest.raises(TrainerError, match="'base' speaks the vocabulary bytes, the shards words"):
        parent.check_vocabulary({"name": "words", "digest": "w"})
    with pytest.raises(TrainerError, match="of format 'mine'") as error:
        Parent.read(flow, ("yours",), "yours only")
    assert error.value.hint == "yours only"


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_resumed_run_writes_on_from_where_it_was_saved(tmp_path):
    with closing(Metrics(tmp_path, 0)) as metrics:
        for step in range(1, 6):
            metrics.add({"step": step, "loss": 1.0, "first": True, "validation_loss": None})
            assert lines(tmp_path)[-1] == {"step": step, "loss": 1.0, "first": True}  # at once
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 6, "lo')  # a kill
    with closing(Metrics(tmp_path, 3)) as metrics:
        metrics.add({"step": 4, "loss": 2.0})
    assert [(line["step"], line.get("first", False)) for line in lines(tmp_path)] == [
        (1, True),
        (2, True),
        (3, True),
        (4, False),
    ]


def test_a_clock_counts_on():
    clock = Clock(100.0)
    assert 100 <= clock.seconds < 101
    assert clock.rate(1000) > 1000


def test_how_a_run_ends_is_its_exit_code(tmp_path, capsys, monkeypatch):
    def stopped(job: Path, stop: Event) -> bool:
        os.kill(os.getpid(), signal.SIGTERM)
        return not stop.wait(10)

    def wrong(job: Path, stop: Event) -> bool:
        raise TrainerError("the loss is nan", hint="lower it")

    def broken(job: Path, stop: Event) -> bool:
        raise ZeroDivisionError

    kept = {name: signal.getsignal(name) for name in (signal.SIGTERM, signal.SIGINT)}
    try:
        assert [work(run, tmp_path) for run in (lambda job, stop: True, stopped)] == [0, STOPPED]
        assert work(wrong, tmp_path) == 1
        said = capsys.readouterr().err
        assert "the loss is nan" in said and "lower it" in said and "Traceback" not in said
        assert work(broken, tmp_path) == 1
        assert "Traceback" in capsys.readouterr().err
        monkeypatch.setenv("RANK", "1")
        assert work(wrong, tmp_path) == 1
        assert capsys.readouterr().err == ""
    finally:
        for name, had in kept.items():
            signal.signal(name, had)


SERVER = """
import functools, sys
from textbookgen.training.model_server import answer_texts, serve

class Echo:
    def complete(self, prompts, wish):
        print("a library's chatter")
        if wish.seed == 13:
            raise RuntimeError("unlucky")
        if wish.seed == 14:
            sys.exit("out of memory")
        return [[f"{prompt} {n} {'|'.join(wish.stop)}" for n in range(wish.samples)] for prompt in prompts]

    def score(self, pairs):
        return [(-float(len(after)), len(after), not before) for before, after in pairs]

def load():
    print("loading")
    return functools.partial(answer_texts, Echo())

serve(load)
"""


def test_a_served_model_answers_and_says_why_it_cannot(tmp_path):
    with closing(ServedModel([sys.executable, "-c", SERVER], tmp_path)) as model:
        assert model.complete(["a", "b"], max_tokens=1, samples=2) == [["a 0 "] * 2, ["b 0 "] * 2]
        assert model.complete(["a"], max_tokens=1, samples=2, temperature=1.0, stop=["x", "y"]) == [["a 0 x|y", "a 1 x|y"]]
        assert model.score([("", "abc"), ("x", "")]) == [Score(-3.0, 3, True), Score(0.0, 0, False)]
        with pytest.raises(TrainerError, match="could not answer: RuntimeError: unlucky"):
            model.complete(["a"], max_tokens=1, seed=13)
        assert not isinstance(model, TokenModel)
        with pytest.raises(TrainerError, match="nobody knows how to 'encode'"):
            model.ask({"ask": "encode", "prompts": ["a"]})
        with pytest.raises(TrainerError, match="out of memory") as error:
            model.complete(["a"], max_tokens=1, seed=14)
        assert error.value.place == str(tmp_path)
        process = model._process
    assert process.returncode is not None


def test_a_serving_process_ends_with_its_asker(tmp_path):
    model = ServedModel([sys.executable, "-c", SERVER], tmp_path)
    model.score([])
    assert model._process.stdin is not None
    model._process.stdin.close()
    assert model._process.wait(20) == 0
    model.close()


def packed(folder: Path, documents: list[list[int]], digest: str = "d") -> Path:
    """Shards as docs/records.md tells of them, with 16-bit ids and nothing held out."""
    folder.mkdir()
    ids, size = [each for document in documents for each in document], len(documents)
    (folder / "train.bin").write_bytes(struct.pack(f"<{len(ids)}H", *ids))
    starts = [2 * sum(map(len, documents[:number])) for number in range(size)]
    (folder / "train.idx").write_bytes(
        struct.pack("<9sQBQQ", b"MMIDIDX\x00\x00", 1, 8, size, size + 1)
        + struct.pack(f"<{size}i{size}q{size + 1}q", *map(len, documents), *starts, *range(size + 1))
    )
    counts = dict.fromkeys(("documents", "tokens", "bytes", "loss_tokens", "loss_bytes"), 0)
    card = {"format": "megatron", "loss_mask": False, "tokenizer": {"name": digest, "digest": digest}, "valid": counts}
    train = counts | {"documents": size, "tokens": len(ids), "loss_tokens": len(ids), "loss_bytes": 2 * len(ids)}
    (folder / "manifest.json").write_text(json.dumps(card | {"train": train}))
    return folder


def test_shards_are_read_by_document(tmp_path):
    shards = PackedShards.read(packed(tmp_path / "s", [[1, 2, 3], [], [65535, 0]]))
    shards.check_files()
    file = shards.file("train")
    assert [file.read(document).tolist() for document in range(len(file))] == [[1, 2, 3], [], [65535, 0]]
    assert file.read(0, 1, 2).tolist() == [2]
    assert (shards.mask("train"), shards.counts("train").bytes_per_token, shards.counts("valid").bytes_per_token) == (
        None,
        2,
        0,
    )
    (shards.folder / "train.bin").write_bytes(b"\x01\x00")
    with pytest.raises(TrainerError, match="are torn"):
        shards.check_files()
    (shards.folder / "train.idx").write_bytes(b"MMIDIDX")
    with pytest.raises(TrainerError, match="cannot be read"):
        TokenFile(shards.folder / "train")


def test_blended_shards_speak_one_vocabulary(tmp_path):
    shards = {name: PackedShards.read(packed(tmp_path / name, [[1]], digest)) for name, digest in (("a", "x"), ("b", "y"))}
    check_one_vocabulary({"a": shards["a"]})
    with pytest.raises(TrainerError, match="the shards 'b' speak the vocabulary y, 'a' x"):
        check_one_vocabulary(shards)


def test_peaks_of_gpus_are_known_by_name():
    assert peak_of("NVIDIA H100 PCIe") == 756e12
    assert peak_of("NVIDIA H100 80GB HBM3") == 989e12
    assert peak_of("NVIDIA A100-SXM4-80GB") == 312e12
    assert peak_of("Some other") is None
