"""Starts a training job on a cluster: writes its launch files, and submits the batch job on request.

`launch.sh` starts the processes of one machine with torchrun, under any scheduler; `launch.sbatch` makes Slurm start it on each
machine. Both are written to the step folder, which all machines must see under the same path.
"""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from textbookgen import Checkpoint, TextbookgenError, TrainerError

#: Seconds before the time limit of a batch job at which Slurm asks the processes to save and exit.
NOTICE_SECONDS = 180


def main(method: str, path: Path) -> int:
    """Submit a job, or write its launch files and stop.

    Args:
        method: The option `launch` of the stage: `slurm` or `script`.
        path: Path of job.json.

    Returns:
        The exit code; 0 if the checkpoint was completed in the meantime, by any process.

    Raises:
        TrainerError: With `script`, always, since the user has to start the job; with `slurm`, if it cannot be submitted.
    """
    job = json.loads(path.read_text(encoding="utf-8"))
    if (Path(job["folder"]) / Checkpoint.card_name).is_file():
        return 0
    script, batch = write_launch_files(path, job["options"])
    if method == "script":
        raise TrainerError(
            'the job was not started, because of launch = "script"; start it yourself. On each machine: '
            f"bash {shlex.quote(str(script))}\n  or once, with Slurm: sbatch {shlex.quote(str(batch))}",
            place=str(path.parent),
            hint="run the recipe again when the job has ended: it finds the checkpoint and continues",
        )
    return submit(batch)


def write_launch_files(path: Path, options: dict[str, Any]) -> tuple[Path, Path]:
    """Write `launch.sh` and `launch.sbatch` next to a job.json, and return their paths.

    Args:
        path: Path of job.json.
        options: Options of the stage.
    """
    processes = options["gpus"] or options["tensor_parallel"] * options["pipeline_parallel"]
    variables = {
        "job": path,
        "folder": path.parent,
        "python": sys.executable,
        "nodes": options["nodes"],
        "processes_per_node": processes // options["nodes"],
        "threads": options["threads"],
        "name": path.parent.name,
        "notice_seconds": NOTICE_SECONDS,
        "slurm_options": options["slurm"],
    }
    script, batch = path.parent / "launch.sh", path.parent / "launch.sbatch"
    for file in (script, batch):
        file.write_text(_render(f"{file.name}.j2", variables), encoding="utf-8")
        file.chmod(0o755)
    return script, batch


def _render(name: str, variables: dict[str, Any]) -> str:
    """Render a template of this package; `| quote` quotes a value for the shell."""
    templates = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    templates.filters["quote"] = lambda value: shlex.quote(str(value))
    source = resources.files("textbookgen_megatron.launching").joinpath(name).read_text(encoding="utf-8")
    return templates.from_string(source).render(variables)


def submit(batch: Path) -> int:
    """Submit a batch job and wait until it ends; on SIGTERM or SIGINT, ask its processes to save and exit.

    Returns:
        The exit code of the batch job.

    Raises:
        TrainerError: There is no `sbatch` on this machine, or it rejected the job.
    """
    try:
        process = subprocess.Popen(["sbatch", "--parsable", "--wait", str(batch)], stdout=subprocess.PIPE, text=True)
    except FileNotFoundError:
        raise TrainerError(
            "there is no sbatch on this machine",
            place="launch",
            hint='run the recipe on a machine with Slurm, or use launch = "script"',
        ) from None
    with process:
        job_id = process.stdout.readline().strip().split(";")[0] if process.stdout else ""
        if not job_id:
            raise TrainerError(
                f"sbatch rejected the job with exit code {process.wait()}",
                place=str(batch),
                hint="see the message of sbatch above, and correct the option `slurm`",
            )
        print(f"submitted batch job {job_id}", file=sys.stderr, flush=True)

        def stop(signal_number: int, frame: object) -> None:
            subprocess.run(["scancel", "--signal=TERM", job_id], check=False)

        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, stop)
        if code := process.wait():
            print(f"batch job {job_id} ended with exit code {code}; see {batch.parent}/slurm-{job_id}.log", file=sys.stderr)
        return code


if __name__ == "__main__":
    try:
        code = main(sys.argv[1], Path(sys.argv[2]))
    except TextbookgenError as error:
        print(error, file=sys.stderr)
        code = 1
    sys.exit(code)
