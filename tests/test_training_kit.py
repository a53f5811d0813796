"""What trainers share: jobs, metrics, processes and exit codes, evaluation results, shards, and models in another process."""

from __future__ import annotations

import json
import math
import os
import signal
import struct
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest

from textbookgen.api.cards import CausalLMCard, SplitCounts, TokenizerCard, TokenShardManifest
from textbookgen.api.errors import TrainerError
from textbookgen.api.model import Score, TokenModel
from textbookgen.api.stage import Job
from textbookgen.training.evaluation import HeldOut
from textbookgen.training.job import JobFile, JobInput, ParentCheckpoint, TrainingJob, check_weights, job_lock
from textbookgen.training.metrics import MetricsWriter, RunClock, gpu_peak_flops, peak_memory_mib
from textbookgen.training.model_client import ModelClient
from textbookgen.training.options import TrainOptions
from textbookgen.training.process import EXIT_STOPPED, run_job
from textbookgen.training.reference_cache import ReferenceCache
from textbookgen.training.sampling import choose_tokens, score_targets
from textbookgen.training.shards import PackedShards, TokenFile, check_same_sequence_length, check_same_tokenizer


class Learn(TrainOptions):
    """Learns."""

    name = "learn"
    steps: int = 1

    def command(self, job: Job) -> list[str]:
        return []


def job_file(folder: Path, **changes: Any) -> Path:
    job = {
        "use": "mine/learn",
        "options": {"steps": 3},
        "inputs": {"shards": [{"label": name, "artifact": "Shards", "path": f"/{name}"} for name in ("b", "a")]},
        "seed": 7,
        "folder": str(folder),
    }
    (folder / "job.json").write_text(json.dumps(job | changes))
    return folder / "job.json"


def card(**changes: Any) -> CausalLMCard:
    return CausalLMCard(**{"format": "mine", "tokenizer": TokenizerCard(name="bytes", digest="b"), "eod": 256, **changes})


# -- jobs


def test_a_job_is_read_with_its_options_validated(tmp_path):
    job = JobFile.read(job_file(tmp_path))
    assert (job.seed, job.folder) == (7, tmp_path)
    assert job.inputs == {"shards": (JobInput("b", Path("/b")), JobInput("a", Path("/a")))}
    assert (job.first("shards"), job.first("checkpoint")) == (JobInput("b", Path("/b")), None)
    assert job.parse_options({"mine/learn": Learn}).steps == 3
    with pytest.raises(TrainerError, match="invalid options for mine/learn"):
        JobFile.read(job_file(tmp_path, options={"stepz": 3})).parse_options({"mine/learn": Learn})
    with pytest.raises(TrainerError, match="no stage 'yours/learn'") as error:
        JobFile.read(job_file(tmp_path, use="yours/learn")).parse_options({"mine/learn": Learn})
    assert error.value.hint == "available: mine/learn"


@pytest.mark.parametrize("content", [None, "{", "[]", '{"use": "mine/learn"}', '{"inputs": []}'])
def test_an_unreadable_job_file_is_reported(tmp_path, content):
    if content is not None:
        (tmp_path / "job.json").write_text(content)
    with pytest.raises(TrainerError, match="job file cannot be read") as error:
        JobFile.read(tmp_path / "job.json")
    assert error.value.place == str(tmp_path / "job.json")


def test_a_parent_has_a_supported_format_and_the_tokenizer_of_the_shards(tmp_path):
    source = JobInput("base", tmp_path)
    with pytest.raises(TrainerError, match=r"no checkpoint\.json"):
        ParentCheckpoint.read(source, CausalLMCard, ("mine",), "mine only")
    card().write(tmp_path)
    parent = ParentCheckpoint.read(source, CausalLMCard, ("mine",), "mine only")
    parent.check_tokenizer(TokenizerCard(name="bytes", digest="b"))
    with pytest.raises(TrainerError, match="tokenizer mismatch: checkpoint 'base' uses bytes, the shards use words"):
        parent.check_tokenizer(TokenizerCard(name="words", digest="w"))
    with pytest.raises(TrainerError, match="unsupported format 'mine'") as error:
        ParentCheckpoint.read(source, CausalLMCard, ("yours",), "yours only")
    assert error.value.hint == "yours only"


def test_a_training_job_is_loaded_with_everything_it_names(tmp_path):
    shards, base = packed(tmp_path / "s", [[1, 2, 3]]), tmp_path / "base"
    base.mkdir()
    card(tokenizer=TokenizerCard(name="d", digest="d")).write(base)
    inputs = {
        "shards": [{"label": "s", "path": str(shards)}],
        "checkpoint": [{"label": "base", "path": str(base)}],
    }
    path = job_file(tmp_path, inputs=inputs, options={"seed": 2, "validate_every": 5})
    job = TrainingJob.load(path, {"mine/learn": Learn}, CausalLMCard, ("mine",), "mine only")
    assert (job.seed, job.use, job.train_tokens, list(job.blend)) == (9, "mine/learn", 3, ["s"])
    assert job.required_parent.label == "base"
    job.check_no_pairs()
    with pytest.raises(TrainerError, match="no held-out data"):
        job.check_held_out()
    alone = job_file(tmp_path, inputs={"shards": inputs["shards"]})
    with pytest.raises(TrainerError, match="needs a checkpoint"):
        _ = TrainingJob.load(alone, {"mine/learn": Learn}, CausalLMCard, ("mine",), "").required_parent


def test_weights_are_compared_with_the_digest_in_the_card(tmp_path):
    with pytest.raises(TrainerError, match="names no file"):
        check_weights(tmp_path, card())
    with pytest.raises(TrainerError, match=r"there is no w\.bin"):
        check_weights(tmp_path, card(weights="w.bin"))
    (tmp_path / "w.bin").write_bytes(b"weights")
    assert check_weights(tmp_path, card(weights="w.bin")) == tmp_path / "w.bin"
    with pytest.raises(TrainerError, match="do not match the digest"):
        check_weights(tmp_path, card(weights="w.bin", weights_digest="0" * 64))


def test_two_processes_cannot_train_in_one_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("textbookgen.training.job._LOCK_TIMEOUT", 0.2)
    code = f"from filelock import FileLock; import time; lock = FileLock({str(tmp_path / 'lock')!r}); lock.acquire(); print(1, flush=True); time.sleep(60)"
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        assert other.stdout is not None and other.stdout.readline()
        with pytest.raises(TrainerError, match="another process"), job_lock(tmp_path):
            pass
    finally:
        other.kill()
        other.communicate()
    with job_lock(tmp_path):
        pass


# -- metrics


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_resumed_run_continues_metrics_after_its_checkpoint(tmp_path):
    with closing(MetricsWriter(tmp_path, 0)) as metrics:
        for step in range(1, 6):
            metrics.add({"step": step, "loss": 1.0, "first": True, "validation_loss": None})
            assert lines(tmp_path)[-1] == {"step": step, "loss": 1.0, "first": True}  # flushed
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 6, "lo')  # killed while writing
    with closing(MetricsWriter(tmp_path, 3)) as metrics:
        metrics.add({"step": 4, "loss": 2.0})
    steps = [(line["step"], line.get("first", False)) for line in lines(tmp_path)]
    assert steps == [(1, True), (2, True), (3, True), (4, False)]


def test_a_clock_counts_the_seconds_of_earlier_attempts():
    clock = RunClock(100.0)
    assert 100 <= clock.seconds < 101
    assert clock.rate(1000) > 1000


def test_peaks_of_gpus_are_known_by_name():
    assert gpu_peak_flops("NVIDIA H100 PCIe") == 756e12
    assert gpu_peak_flops("NVIDIA H100 80GB HBM3") == 989e12
    assert gpu_peak_flops("NVIDIA A100-SXM4-80GB") == 312e12
    assert gpu_peak_flops("Some other") is None
    assert 10 < peak_memory_mib() < 100_000


# -- processes


def test_the_exit_code_says_how_a_run_ended(tmp_path, capsys, monkeypatch):
    def stopped(job: Path, stop: Event) -> bool:
        os.kill(os.getpid(), signal.SIGTERM)
        return not stop.wait(10)

    def fails(job: Path, stop: Event) -> bool:
        raise TrainerError("the loss is nan", hint="lower it")

    def crashes(job: Path, stop: Event) -> bool:
        raise ZeroDivisionError

    handlers = {name: signal.getsignal(name) for name in (signal.SIGTERM, signal.SIGINT)}
    try:
        assert [run_job(train, tmp_path) for train in (lambda job, stop: True, stopped)] == [0, EXIT_STOPPED]
        assert run_job(fails, tmp_path) == 1
        printed = capsys.readouterr().err
        assert "the loss is nan" in printed and "lower it" in printed and "Traceback" not in printed
        assert run_job(crashes, tmp_path) == 1
        assert "Traceback" in capsys.readouterr().err
        monkeypatch.setenv("RANK", "1")
        assert run_job(fails, tmp_path) == 1
        assert capsys.readouterr().err == ""
    finally:
        for name, handler in handlers.items():
            signal.signal(name, handler)


def test_a_process_ends_when_its_standard_input_closes():
    code = "import time; from textbookgen.training.process import exit_when_stdin_closes as tie; tie(); print(1, flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    assert process.stdout.readline() and process.poll() is None
    process.stdin.close()
    assert process.wait(20) == 1
    process.stdout.close()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs prctl")
def test_a_process_is_asked_to_stop_when_its_parent_dies(tmp_path):
    child = (
        "import pathlib, time; from textbookgen.training.process import run_job, stop_when_parent_dies as tie\n"
        f"here = pathlib.Path({str(tmp_path)!r})\n"
        "def train(job, stop):\n"
        "    tie(); (here / 'ready').touch(); (here / ('stopped' if stop.wait(60) else 'never')).touch(); return False\n"
        "run_job(train, here)"
    )
    parent = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", parent])
    wait_for(tmp_path / "ready")
    process.kill()
    process.wait()
    wait_for(tmp_path / "stopped")


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.02)


# -- evaluation


def test_bits_per_byte_of_several_shards_are_weighted_by_their_bytes(tmp_path):
    blend = {
        "a": PackedShards.read(packed(tmp_path / "a", [[1]], valid=SplitCounts(1, 10, 20, 10, 20))),
        "b": PackedShards.read(packed(tmp_path / "b", [[1]], valid=SplitCounts(1, 10, 40, 10, 40))),
    }
    result = HeldOut.from_sums({"a": (20 * math.log(2), 10), "b": (40 * math.log(2), 5)}, blend)
    assert result.metrics == pytest.approx({"a": 1.0, "b": 2.0})
    assert result.bits_per_byte == pytest.approx(60 / 40)
    assert result.loss == pytest.approx(4 * math.log(2))
    assert result.metrics_line()["validation_a"] == pytest.approx(1.0)
    assert HeldOut.from_sums({"a": (20 * math.log(2), 10)}, blend).metrics == {}
    assert HeldOut.from_sums({}, {}) == HeldOut.from_sums({"a": (0.0, 0.0)}, blend) == HeldOut()
    assert HeldOut().is_finite and not HeldOut(math.nan).is_finite and not HeldOut(1.0, None, {"x": math.inf}).is_finite


def test_reference_log_probabilities_are_reused_for_the_same_model_and_pairs_only(tmp_path):
    manifest = tmp_path / "manifest.json"
    manifest.write_text("{}")
    cache = ReferenceCache(tmp_path, "digest", manifest)
    assert cache.read() is None
    cache.write({"train": np.ones((3, 2), np.float32)})
    found = ReferenceCache(tmp_path, "digest", manifest).read()
    assert found is not None and list(found) == ["train"] and found["train"].tolist() == [[1, 1]] * 3
    assert ReferenceCache(tmp_path, "other", manifest).read() is None
    content = (tmp_path / "reference.npz").read_bytes()
    for size in (0, 3, len(content) // 2):
        (tmp_path / "reference.npz").write_bytes(content[:size])
        assert cache.read() is None
    (tmp_path / "reference.npz").write_bytes(content)
    manifest.write_text('{"other": "pairs"}')
    assert ReferenceCache(tmp_path, "digest", manifest).read() is None


# -- sampling


def test_tokens_are_chosen_by_inverse_transform_sampling():
    torch = pytest.importorskip("torch")
    logits = torch.tensor([[0.1, 0.2, 0.7]] * 5, dtype=torch.float64).log()
    assert choose_tokens(logits, [0.0, 0.09, 0.11, 0.31, 0.999999], 1.0) == [0, 0, 1, 2, 2]
    assert choose_tokens(logits[:2], [], 0.0) == [2, 2]
    sharp = (logits[:1] / 0.5).softmax(-1)[0]
    assert choose_tokens(logits[:2], [float(sharp[0]) - 1e-9, float(sharp[0]) + 1e-9], 0.5) == [0, 1]
    assert choose_tokens(torch.tensor([[-math.inf, 0.0]]), [0.0], 1.0) == [1]  # never a token of probability 0
    assert choose_tokens(torch.full((1, 4), -1e30).scatter(1, torch.tensor([[1]]), 0.0), [0.9999999999999999], 1.0) == [1]


def test_targets_are_scored_in_natural_logarithms():
    torch = pytest.importorskip("torch")
    logits = torch.tensor([[0.1, 0.9], [0.8, 0.2]]).log()
    logprobs, greedy = score_targets(logits, torch.tensor([1, 0]))
    assert logprobs == pytest.approx([math.log(0.9), math.log(0.8)], rel=1e-6) and greedy
    assert not score_targets(logits, torch.tensor([1, 1]))[1]


# -- models in another process

SERVER = """
import functools, sys
from textbookgen.training.model_server import handle_text_request, serve

class Echo:
    def complete(self, prompts, params):
        print("output of a library")
        if params.seed == 13:
            raise RuntimeError("unlucky")
        if params.seed == 14:
            sys.exit("out of memory")
        return [[f"{prompt} {n} {'|'.join(params.stop)}" for n in range(params.samples)] for prompt in prompts]

    def score(self, pairs, document_start):
        assert document_start is True
        return [(-float(len(after)), len(after), not before) for before, after in pairs]

def load():
    print("loading")
    return functools.partial(handle_text_request, Echo())

serve(load)
"""


def test_a_served_model_answers_or_says_why_it_failed(tmp_path):
    with closing(ModelClient([sys.executable, "-c", SERVER], tmp_path)) as model:
        assert model.complete(["a", "b"], max_tokens=1, samples=2) == [["a 0 "] * 2, ["b 0 "] * 2]
        assert model.complete(["a"], max_tokens=1, samples=2, temperature=1.0, stop=["x", "y"]) == [["a 0 x|y", "a 1 x|y"]]
        assert model.score([("", "abc"), ("x", "")]) == [Score(-3.0, 3, True), Score(0.0, 0, False)]
        with pytest.raises(TrainerError, match="the model server failed: RuntimeError: unlucky"):
            model.complete(["a"], max_tokens=1, seed=13)
        assert not isinstance(model, TokenModel)
        with pytest.raises(TrainerError, match="unknown request type 'encode'"):
            model.request("encode", prompts=["a"])
        with pytest.raises(TrainerError, match="out of memory") as error:
            model.complete(["a"], max_tokens=1, seed=14)
        assert error.value.place == str(tmp_path)


def test_a_serving_process_ends_with_its_client(tmp_path):
    client = (
        "import sys, time; from pathlib import Path; from textbookgen.training.model_client import ModelClient\n"
        f"model = ModelClient([sys.executable, '-c', {SERVER!r}], Path('.'))\n"
        "model.score([]); print(model.pid, flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", client], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    server = int(process.stdout.readline())
    os.kill(server, 0)
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 20
    while _runs(server):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _runs(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


# -- shards


def packed(folder: Path, documents: list[list[int]], digest: str = "d", **changes: Any) -> Path:
    """Shards as docs/data-format.md describes them, with 16-bit ids and nothing held out."""
    folder.mkdir()
    ids, size = [token for document in documents for token in document], len(documents)
    (folder / "train.bin").write_bytes(struct.pack(f"<{len(ids)}H", *ids))
    starts = [2 * sum(map(len, documents[:number])) for number in range(size)]
    (folder / "train.idx").write_bytes(
        struct.pack("<9sQBQQ", b"MMIDIDX\x00\x00", 1, 8, size, size + 1)
        + struct.pack(f"<{size}i{size}q{size + 1}q", *map(len, documents), *starts, *range(size + 1))
    )
    values = {
        "format": "megatron", "tokenizer": TokenizerCard(name=digest, digest=digest), "vocabulary": 257, "eod": 256,
        "padded_vocabulary": 384, "dtype": "uint16", "sequence_length": 8, "loss_mask": False,
        "train": SplitCounts(size, len(ids), 2 * len(ids), len(ids), 2 * len(ids)), "valid": SplitCounts(),
    }  # fmt: skip
    TokenShardManifest(**values | changes).write(folder)
    return folder


def test_shards_are_read_by_document(tmp_path):
    shards = PackedShards.read(packed(tmp_path / "s", [[1, 2, 3], [], [65535, 0]]))
    shards.check_files()
    file = shards.file("train")
    assert [file.read(document).tolist() for document in range(len(file))] == [[1, 2, 3], [], [65535, 0]]
    assert [file.read(0, 1, 2).tolist(), file.read(0, 1).tolist()] == [[2], [2, 3]]
    assert [file.read(0, 2, 9).tolist(), file.read(1, 0, 4).tolist(), file.read(0, 5).tolist()] == [[3], [], []]
    assert shards.mask("train") is None
    assert (shards.counts("train").bytes_per_token, shards.counts("valid").bytes_per_token) == (2, 0)
    (shards.folder / "train.idx").write_bytes(b"MMIDIDX")
    with pytest.raises(TrainerError, match="cannot be read"):
        TokenFile(shards.folder / "train")


def test_shards_without_training_data_are_rejected(tmp_path):
    with pytest.raises(TrainerError, match="no training data"):
        PackedShards.read(packed(tmp_path / "s", [[1]], train=SplitCounts()))


def test_blended_shards_share_tokenizer_and_sequence_length(tmp_path):
    shards = {name: PackedShards.read(packed(tmp_path / name, [[1]], digest)) for name, digest in (("a", "x"), ("b", "y"))}
    check_same_tokenizer({"a": shards["a"]})
    with pytest.raises(TrainerError, match="tokenizer mismatch: shards 'b' use y, 'a' use x"):
        check_same_tokenizer(shards)
    check_same_sequence_length(shards)
    shards["c"] = PackedShards.read(packed(tmp_path / "c", [[1]], sequence_length=16))
    with pytest.raises(TrainerError, match="shards 'c' have windows of 16 tokens, 'a' of 8"):
        check_same_sequence_length(shards)
