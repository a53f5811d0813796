"""How a Train is worked: a process of the trainer's own is started, watched, and its checkpoint checked."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from textbookgen.api.artifacts import Checkpoint, Folder
from textbookgen.api.errors import RunError, TrainerError
from textbookgen.api.events import StepRecord
from textbookgen.api.files import write_text
from textbookgen.api.stage import Job, Trainer
from textbookgen.run.workers.context import StepContext

_LOOK_EVERY = 0.3  # seconds between looks at metrics.jsonl
_TAIL = 1 << 14  # bytes of metrics.jsonl that hold its last line for certain
_PATIENCE = 20.0  # seconds a trainer has to save a checkpoint after it was asked to stop


def work(context: StepContext) -> StepRecord:
    """Hands the job over, tells of each step the trainer writes, and reads the checkpoint's card.

    A job that was begun goes on in its folder: the trainer finds its own last checkpoint there.

    Raises:
        TrainerError: it stopped, or left no checkpoint.
    """
    stage, out = context.step.stage, context.folder.out
    if not isinstance(stage, Trainer):
        raise RunError(f"'{context.step.use}' trains nothing")
    out.mkdir(parents=True, exist_ok=True)
    job = Job(context.folder.folder / "job.json", out)
    write_text(job.path, json.dumps(_job(context, stage), indent=1) + "\n")
    log = context.folder.folder / "train.log"
    _run(stage.command(job), {**os.environ, **stage.environment()}, log, lambda: _tell(context))
    if not (out / Checkpoint.card_name).exists():
        raise TrainerError(f"'{context.step.use}' ended well but wrote no {Checkpoint.card_name}", place=str(out))
    card = Checkpoint(out).card()
    return StepRecord(tokens=int(card.get("tokens", 0)), peak_mib=float(card.get("peak_mib", 0)))


def _job(context: StepContext, stage: Trainer) -> dict[str, Any]:
    """What goes over the fence."""
    inputs = {
        option: [
            {"label": label, "artifact": flow.name, "path": str(flow.path)}
            for label, flow in inputs.items()
            if isinstance(flow, Folder)
        ]
        for option, inputs in context.inputs.inputs.items()
    }
    options = stage.model_dump(mode="json")
    return {
        "use": context.step.use,
        "options": options,
        "inputs": inputs,
        "seed": context.step.seed,
        "folder": str(context.folder.out),
    }


def _run(command: list[str], environment: Mapping[str, str], log: Path, look: Callable[[], None]) -> None:
    """Runs the command until it ends, looking again and again; it never outlives this process."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, env=dict(environment), stdin=subprocess.DEVNULL, stdout=output, stderr=output, preexec_fn=_tied()
        )
    try:
        while process.poll() is None:
            look()
            time.sleep(_LOOK_EVERY)
        look()
    except BaseException:
        _stop(process)
        raise
    if process.returncode:
        raise TrainerError(f"the trainer ended with exit code {process.returncode}\n{_end(log)}", place=str(log))


def _tied() -> Callable[[], None] | None:
    """Makes the kernel end the trainer (with SIGTERM) when this process dies, however it dies; Linux only."""
    if not sys.platform.startswith("linux"):
        return None
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def tie() -> None:
        prctl(1, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return tie


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()


def _end(log: Path) -> str:
    """The last lines of the log, where the reason stands."""
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return "\n".join(lines[-15:])


def _tell(context: StepContext) -> None:
    last = _last_metrics(context.folder.out / "metrics.jsonl")
    if last is None:
        context.progress(0, None, "steps", "starting")
        return
    rate = f", {last['tokens_per_second']:,.0f} tokens/s" if "tokens_per_second" in last else ""
    note = f"loss {last['loss']:.3f}{rate}" if "loss" in last else ""
    context.progress(last["step"], last.get("steps"), "steps", note)


def _last_metrics(file: Path) -> dict[str, Any] | None:
    """The last whole line of metrics.jsonl; None if there is none yet. Only the file's end is read."""
    if not file.exists():
        return None
    with file.open("rb") as lines:
        lines.seek(max(0, file.stat().st_size - _TAIL))
        for line in reversed(lines.read().splitlines()):
            try:
                result = json.loads(line)
            except ValueError:
                continue
            if isinstance(result, dict):
                return result
    return None
