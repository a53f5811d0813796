"""Starts a training job on machines other than this one: writes its launch files, and sends the batch job if asked to.

`launch.sh` starts the processes of one machine with torchrun, whichever cluster brought it there; `launch.sbatch` has Slurm
start one on each. Both lie in the step's folder, which all machines must see under the same path.
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

#: Seconds before a batch job's time limit at which Slurm asks the processes to save and end.
NOTICE = 180


def main(how: str, path: Path) -> int:
    """Sends the job, or shows how; a job that was meanwhile done elsewhere is done."""
    job = json.loads(path.read_text(encoding="utf-8"))
    if (Path(job["folder"]) / Checkpoint.card_name).is_file():
        return 0
    script, batch = write(path, job)
    if how == "print":
        raise TrainerError(
            f'nothing was started, as `launch = "print"` asks. On each machine: bash {shlex.quote(str(script))}\n'
            f"  or once: sbatch {shlex.quote(str(batch))}",
            place=str(path.parent),
            hint="run the recipe again when that is done; it finds the checkpoint and goes on",
        )
    return send(batch)


def write(path: Path, job: dict[str, Any]) -> tuple[Path, Path]:
    """`launch.sh` and `launch.sbatch` of a job, beside its job.json."""
    options = job["options"]
    processes = options["gpus"] or options["tensor_parallel"] * options["pipeline_parallel"]
    told = {
        "job": path,
        "folder": path.parent,
        "python": sys.executable,
        "nodes": options["nodes"],
        "each": processes // options["nodes"],
        "threads": options["threads"],
        "name": path.parent.name,
        "notice": NOTICE,
        "lines": options["slurm"],
    }
    script, batch = path.parent / "launch.sh", path.parent / "launch.sbatch"
    for file in (script, batch):
        file.write_text(_filled(f"{file.name}.j2", told), encoding="utf-8")
        file.chmod(0o755)
    return script, batch


def _filled(name: str, told: dict[str, Any]) -> str:
    """A launch file; what is put in is quoted for the shell where the template says `| quote`."""
    templates = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    templates.filters["quote"] = lambda value: shlex.quote(str(value))
    source = resources.files("textbookgen_megatron").joinpath("launching", name).read_text(encoding="utf-8")
    return templates.from_string(source).render(told)


def send(batch: Path) -> int:
    """Sends a batch job and waits for its end; if asked to stop, asks the job's processes to save and end.

    Raises:
        TrainerError: Slurm is not here.
    """
    try:
        waiting = subprocess.Popen(["sbatch", "--parsable", "--wait", str(batch)], stdout=subprocess.PIPE, text=True)
    except FileNotFoundError:
        raise TrainerError(
            "there is no sbatch on this machine", place="launch", hint='run the recipe where Slurm is, or say launch = "print"'
        ) from None
    assert waiting.stdout is not None
    number = waiting.stdout.readline().strip().split(";")[0]
    print(f"batch job {number}", file=sys.stderr, flush=True)

    def stop(signal_number: int, frame: object) -> None:
        subprocess.run(["scancel", "--signal=TERM", number], check=False)

    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, stop)
    if code := waiting.wait():
        print(f"batch job {number} ended with exit code {code}; see {batch.parent}/slurm-{number}.log", file=sys.stderr)
    return code


if __name__ == "__main__":
    try:
        code = main(sys.argv[1], Path(sys.argv[2]))
    except TextbookgenError as error:
        print(error, file=sys.stderr)
        code = 1
    sys.exit(code)
