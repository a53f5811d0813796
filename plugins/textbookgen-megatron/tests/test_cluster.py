"""Launch files: what torchrun and Slurm make of them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess

import pytest
from textbookgen_megatron.launching.cluster import main
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


def slurm_answers():
    if shutil.which("sinfo") is None:
        return False
    return subprocess.run(["sinfo"], capture_output=True, timeout=20).returncode == 0


@pytest.fixture(scope="module")
def alone(context, shards):
    return context.work("alone", Pretrain(**OPTIONS), shards=shards)


def free_port():
    with socket.socket() as door:
        door.bind(("localhost", 0))
        return door.getsockname()[1]


def test_the_launch_script_trains_on_two_machines_like_one_process(alone, context, shards):
    """Two machines are two calls of launch.sh here, which meet as they would over a network."""
    stage = Pretrain(**OPTIONS, gpus=2, nodes=2, launch="script")
    job = context.job("printed", stage, shards=shards)
    shown = subprocess.run(stage.command(job), capture_output=True, text=True)
    assert shown.returncode == 1
    assert f"bash {job.path.parent}/launch.sh" in shown.stderr
    assert "Traceback" not in shown.stderr
    environment = {**os.environ, "MASTER_ADDR": "localhost", "MASTER_PORT": str(free_port()), "GLOO_SOCKET_IFNAME": "lo"}
    script = job.path.parent / "launch.sh"
    both = [subprocess.Popen(["bash", str(script)], env=environment, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said
    assert card(job.folder)["loss"] == pytest.approx(alone["loss"], rel=1e-5)
    assert main("script", job.path) == 0  # the same recipe again finds it done


def test_the_batch_file_has_the_requested_options(context, shards):
    stage = Pretrain(**OPTIONS, gpus=4, nodes=2, launch="slurm", slurm=("--partition=gpu", "--gpus-per-node=2"))
    job = context.job("batch", stage, shards=shards)
    with pytest.raises(TrainerError):
        main("script", job.path)
    lines = (job.path.parent / "launch.sbatch").read_text().splitlines()
    assert {"#SBATCH --nodes=2", "#SBATCH --partition=gpu", "#SBATCH --gpus-per-node=2"} <= set(lines)
    first_command = next(number for number, line in enumerate(lines) if line and not line.startswith("#"))
    assert all(not line.startswith("#SBATCH") for line in lines[first_command:])
    assert "--nnodes 2 --nproc-per-node 2" in (job.path.parent / "launch.sh").read_text()
    for file in ("launch.sh", "launch.sbatch"):
        subprocess.run(["bash", "-n", str(job.path.parent / file)], check=True)


def test_a_missing_sbatch_is_reported_with_a_hint(context, shards, monkeypatch):
    monkeypatch.setenv("PATH", "")
    job = context.job("nowhere", Pretrain(**OPTIONS, launch="slurm"), shards=shards)
    with pytest.raises(TrainerError, match=r"no sbatch(.|\n)*print"):
        main("slurm", job.path)


@pytest.mark.skipif(not slurm_answers(), reason="there is no Slurm cluster here")
def test_slurm_trains_like_one_process(alone, context, shards, monkeypatch):
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    stage = Pretrain(**OPTIONS, gpus=2, nodes=2, launch="slurm", slurm=("--time=5",))
    trained = context.work("sent", stage, shards=shards)
    assert trained["loss"] == pytest.approx(alone["loss"], rel=1e-5)
