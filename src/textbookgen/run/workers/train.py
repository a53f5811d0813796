"""Run a Trainer: start its process, report its progress, and check its checkpoint."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from textbookgen.api.artifacts import Folder
from textbookgen.api.cards import CheckpointCard
from textbookgen.api.errors import TrainerError
from textbookgen.api.events import StepRecord
from textbookgen.api.files import write_json
from textbookgen.api.full_disks import disk_full_in, writing
from textbookgen.api.stage import Job, Trainer
from textbookgen.run.workers.context import StepContext
from textbookgen.training.metrics import parse_metrics

_POLL_INTERVAL = 0.3  # seconds between two looks at metrics.jsonl
_LAST_LINE_BYTES = 1 << 14  # enough bytes at the end of metrics.jsonl to contain its last line
_STOP_TIMEOUT = 20.0  # seconds that a trainer has to save a checkpoint after SIGTERM
_LOG_LINES = 15  # last lines of the log that an error quotes
_PR_SET_PDEATHSIG = 1  # see prctl(2)


def run_step(context: StepContext, stage: Trainer) -> StepRecord:
    """Start the trainer, report each step that it logs, and read the checkpoint's card.

    An interrupted job resumes: it is started with the same folder, where the trainer finds its last checkpoint.

    Raises:
        TrainerError: the trainer failed, or wrote no checkpoint.
    """
    out = context.folder.out
    out.mkdir(parents=True, exist_ok=True)
    job = Job(context.folder.folder / "job.json", out)
    write_json(job.path, _job(context, stage))
    log = context.folder.folder / "train.log"
    _run(_command(stage, job, context.step.use), {**os.environ, **stage.environment()}, log, lambda: _report_progress(context))
    if not (out / CheckpointCard.file_name).exists():
        problem = f"the trainer of '{context.step.use}' exited without an error but wrote no {CheckpointCard.file_name}"
        raise TrainerError(problem, place=str(out))
    card = CheckpointCard.read(out)
    return StepRecord(tokens=card.tokens, peak_mib=card.peak_mib)


def _command(stage: Trainer, job: Job, use: str) -> list[str]:
    command = stage.command(job)
    if isinstance(command, str) or not all(isinstance(word, str) for word in command):
        problem = f"`command` of '{use}' must return a list of strings, but returned {command!r:.120}"
        raise TrainerError(problem, hint="return the program and each of its arguments as items of a list")
    return list(command)


def _job(context: StepContext, stage: Trainer) -> dict[str, Any]:
    """Return the content of job.json (see `textbookgen.Job`)."""
    inputs = {
        option: [
            {"label": label, "artifact": artifact.name, "path": str(artifact.path)}
            for label, artifact in artifacts.items()
            if isinstance(artifact, Folder)
        ]
        for option, artifacts in context.inputs.inputs.items()
    }
    return {
        "use": context.step.use,
        "options": stage.model_dump(mode="json"),
        "inputs": inputs,
        "seed": context.step.seed,
        "folder": str(context.folder.out),
    }


def _run(command: list[str], environment: Mapping[str, str], log: Path, poll: Callable[[], None]) -> None:
    """Run the command until it exits, polling meanwhile; the process never outlives this one."""
    with writing(log), log.open("ab") as output:
        process = subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            preexec_fn=_terminate_with_parent(),
        )
    try:
        while process.poll() is None:
            poll()
            time.sleep(_POLL_INTERVAL)
        poll()
    except BaseException:
        _stop(process)
        raise
    if process.returncode:
        full = disk_full_in(_last_lines(log), log.parent)
        if full is not None:
            raise full
        raise TrainerError(f"the trainer failed with exit code {process.returncode}\n{_last_lines(log)}", place=str(log))


def _terminate_with_parent() -> Callable[[], None] | None:
    """Return a function that makes the kernel send SIGTERM to the trainer when this process dies for any reason (Linux)."""
    if not sys.platform.startswith("linux"):
        return None
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def request_signal() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # this process died before the call
            os._exit(1)

    return request_signal


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()


def _last_lines(log: Path) -> str:
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return "\n".join(lines[-_LOG_LINES:])


def _report_progress(context: StepContext) -> None:
    metrics = _last_metrics(context.folder.out / "metrics.jsonl")
    if metrics is None:
        context.progress(0, None, "steps", "starting")
        return
    rate = f", {metrics['tokens_per_second']:,.0f} tokens/s" if "tokens_per_second" in metrics else ""
    note = f"loss {metrics['loss']:.3f}{rate}" if "loss" in metrics else ""
    context.progress(metrics["step"], metrics.get("steps"), "steps", note)


def _last_metrics(file: Path) -> dict[str, Any] | None:
    """Return the last complete line of metrics.jsonl; None if there is none yet. Only the end of the file is read."""
    if not file.exists():
        return None
    with file.open("rb") as lines:
        lines.seek(max(0, file.stat().st_size - _LAST_LINE_BYTES))
        for line in reversed(lines.read().splitlines()):
            metrics = parse_metrics(line)
            if metrics is not None:
                return metrics
    return None
