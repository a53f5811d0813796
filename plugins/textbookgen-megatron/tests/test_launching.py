"""Launching: processes on one machine, and the launch files of a cluster."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest
from textbookgen_megatron.launching import local
from textbookgen_megatron.launching.cluster import main, submit, write_launch_files
from textbookgen_megatron.stages.pretrain import Pretrain

from textbookgen.api.errors import TrainerError

from .conftest import card

OPTIONS = {
    "shards": "s",
    "layers": 2,
    "hidden": 32,
    "heads": 4,
    "batch_size": 8,
    "tokens": 10 * 8 * 64,
    "dropout": 0.0,
    "threads": 1,
}


def slurm_is_available():
    if shutil.which("sinfo") is None:
        return False
    return subprocess.run(["sinfo"], capture_output=True, timeout=20).returncode == 0


@pytest.fixture(scope="module")
def alone(context, shards):
    return context.run("alone", Pretrain(**OPTIONS), shards=shards)


def free_port():
    with socket.socket() as server:
        server.bind(("localhost", 0))
        return server.getsockname()[1]


def launch_options(**options):
    return Pretrain(**{**OPTIONS, **options}).model_dump(mode="json")


# -- local


@pytest.fixture
def start_ranks(monkeypatch):
    """Replace the training process of each rank by a script, which sees RANK and WORLD_SIZE."""

    def replace(script):
        start = subprocess.Popen

        def popen(command, **options):
            assert command[1:4] == ["-m", "textbookgen_megatron.train", "--exit-with-parent"]
            return start([sys.executable, "-c", script, command[-1]], **options)

        monkeypatch.setattr(local.subprocess, "Popen", popen)

    handlers = {name: signal.getsignal(name) for name in (signal.SIGTERM, signal.SIGINT)}
    yield replace
    for name, handler in handlers.items():
        signal.signal(name, handler)


def test_every_rank_gets_its_environment(start_ranks, tmp_path):
    names = "RANK LOCAL_RANK WORLD_SIZE TEXTBOOKGEN_RENDEZVOUS_FILE"
    start_ranks(
        "import os, sys, pathlib\n"
        f"values = [os.environ[name] for name in {names.split()!r}]\n"
        "pathlib.Path(sys.argv[1], values[0]).write_text(' '.join(values))"
    )
    assert local.launch(3, str(tmp_path)) == 0
    values = [(tmp_path / str(rank)).read_text().split() for rank in range(3)]
    assert [row[:3] for row in values] == [[str(rank), str(rank), "3"] for rank in range(3)]
    assert len({row[3] for row in values}) == 1


@pytest.mark.parametrize(("ending", "code"), [("sys.exit(3)", 3), ("os.kill(os.getpid(), 9)", 128 + 9)])
def test_the_first_failure_ends_all_processes(start_ranks, tmp_path, monkeypatch, ending, code):
    monkeypatch.setattr(local, "FAILURE_TIMEOUT", 0.2)
    start_ranks(f"import os, sys, time\nif os.environ['RANK'] == '1':\n    {ending}\ntime.sleep(60)")
    started = time.monotonic()
    assert local.launch(3, str(tmp_path)) == code
    assert time.monotonic() - started < 10


def test_a_stopped_rank_gives_the_others_time_to_save(start_ranks, tmp_path, monkeypatch):
    monkeypatch.setattr(local, "FAILURE_TIMEOUT", 0.0)
    start_ranks(
        "import os, sys, time, pathlib\n"
        f"if os.environ['RANK'] == '0':\n    sys.exit({local.EXIT_STOPPED})\n"
        "time.sleep(0.5)\n"
        "pathlib.Path(sys.argv[1], 'saved').touch()\n"
        f"sys.exit({local.EXIT_STOPPED})"
    )
    assert local.launch(2, str(tmp_path)) == local.EXIT_STOPPED
    assert (tmp_path / "saved").exists()


# -- cluster


def test_the_launch_script_trains_on_two_machines_like_one_process(alone, context, shards):
    """Two machines are two calls of launch.sh here, which meet as they would over a network."""
    stage = Pretrain(**OPTIONS, gpus=2, nodes=2, launch="script")
    job = context.job("script", stage, shards=shards)
    stopped = subprocess.run(stage.command(job), capture_output=True, text=True)
    assert stopped.returncode == 1
    assert f"bash {job.path.parent}/launch.sh" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    environment = {**os.environ, "MASTER_ADDR": "localhost", "MASTER_PORT": str(free_port()), "GLOO_SOCKET_IFNAME": "lo"}
    script = job.path.parent / "launch.sh"
    machines = [subprocess.Popen(["bash", str(script)], env=environment, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for process in machines:
        _, stderr = process.communicate(timeout=120)
        assert process.returncode == 0, stderr
    assert card(job.folder)["loss"] == pytest.approx(alone["loss"], rel=1e-5)
    assert main("script", job.path) == 0  # running the same recipe again finds the checkpoint


def test_the_batch_file_has_the_requested_options(tmp_path):
    options = launch_options(gpus=4, nodes=2, launch="slurm", slurm=("--partition=gpu", "--gpus-per-node=2"))
    script, batch = write_launch_files(tmp_path / "job.json", options)
    lines = batch.read_text().splitlines()
    assert {"#SBATCH --nodes=2", "#SBATCH --partition=gpu", "#SBATCH --gpus-per-node=2"} <= set(lines)
    first_command = next(number for number, line in enumerate(lines) if line and not line.startswith("#"))
    assert all(not line.startswith("#SBATCH") for line in lines[first_command:])
    assert "--nnodes 2 --nproc-per-node 2" in script.read_text()
    for file in (script, batch):
        subprocess.run(["bash", "-n", str(file)], check=True)
        assert os.access(file, os.X_OK)


@pytest.mark.parametrize(
    ("options", "per_node"),
    [({}, 1), ({"tensor_parallel": 2, "pipeline_parallel": 2}, 4), ({"gpus": 8, "nodes": 4}, 2), ({"gpus": 8}, 8)],
)
def test_processes_are_divided_among_the_machines(tmp_path, options, per_node):
    script, _ = write_launch_files(tmp_path / "job.json", launch_options(**options))
    assert f"--nproc-per-node {per_node} " in script.read_text()


def test_the_script_starts_the_job_of_a_folder_with_special_characters(tmp_path):
    """A stand-in for Python prints the command and the number of threads that the script would start it with."""
    folder = tmp_path / "it's $HOME; a folder"
    folder.mkdir()
    for threads, cores, expected in ((3, 16, "3"), (None, 16, "8"), (None, 1, "1")):
        script, _ = write_launch_files(folder / "job.json", launch_options(gpus=2, threads=threads))
        quoted = shlex.quote(sys.executable)
        assert quoted in script.read_text()
        script.write_text(script.read_text().replace(f"exec {quoted}", "exec printf '%s\\n' \"$OMP_NUM_THREADS\""))
        shown = subprocess.run(
            ["bash", str(script)],
            env={**os.environ, "SLURM_CPUS_ON_NODE": str(cores)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        assert shown[0] == expected
        assert shown[-1] == str(folder / "job.json")
        assert "localhost:29500" in shown


def test_a_missing_sbatch_is_reported_with_a_hint(context, shards, monkeypatch):
    monkeypatch.setenv("PATH", "")
    job = context.job("nowhere", Pretrain(**OPTIONS, launch="slurm"), shards=shards)
    with pytest.raises(TrainerError, match=r"no sbatch(.|\n)*script"):
        main("slurm", job.path)


def fake_sbatch(folder, script):
    """A program `sbatch` that runs a shell script, first on the path."""
    (folder / "sbatch").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "sbatch").chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


@pytest.fixture
def keep_signals():
    handlers = {name: signal.getsignal(name) for name in (signal.SIGTERM, signal.SIGINT)}
    yield
    for name, handler in handlers.items():
        signal.signal(name, handler)


def test_submitting_waits_for_the_batch_job_and_returns_its_exit_code(tmp_path, monkeypatch, capsys, keep_signals):
    monkeypatch.setenv("PATH", fake_sbatch(tmp_path, 'echo "4711;cluster"; echo "$@" > "$(dirname "$0")/arguments"; exit 7'))
    assert submit(tmp_path / "launch.sbatch") == 7
    assert (tmp_path / "arguments").read_text().split() == ["--parsable", "--wait", str(tmp_path / "launch.sbatch")]
    assert f"batch job 4711 ended with exit code 7; see {tmp_path}/slurm-4711.log" in capsys.readouterr().err


def test_a_rejected_batch_job_is_reported(tmp_path, monkeypatch, keep_signals):
    monkeypatch.setenv("PATH", fake_sbatch(tmp_path, 'echo "sbatch: error: invalid partition" >&2; exit 1'))
    with pytest.raises(TrainerError, match="rejected the job with exit code 1"):
        submit(tmp_path / "launch.sbatch")


@pytest.mark.skipif(not slurm_is_available(), reason="there is no Slurm cluster here")
def test_slurm_trains_like_one_process(alone, context, shards, monkeypatch):
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    stage = Pretrain(**OPTIONS, gpus=2, nodes=2, launch="slurm", slurm=("--time=5",))
    trained = context.run("batch", stage, shards=shards)
    assert trained["loss"] == pytest.approx(alone["loss"], rel=1e-5)
