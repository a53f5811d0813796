"""Starts the processes of a training job with `accelerate launch`, and returns their exit code without its traceback."""

# accelerate carries no types
# mypy: disable-error-code="import-untyped"

from __future__ import annotations

import sys


def launch(processes: int, job: str) -> int:
    """Run a job in several processes on this machine.

    All settings are passed explicitly, so that none is taken from the configuration that `accelerate config` wrote.

    Args:
        processes: number of processes.
        job: path of job.json.

    Returns:
        The exit code of the first process that failed, 128 plus the number of the signal that ended this one, or 0.
    """
    from accelerate.commands.launch import launch_command, launch_command_parser
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    layout = ["--multi_gpu", "--num_processes", str(processes), "--num_machines", "1", "--main_process_port", "0"]
    precision = ["--mixed_precision", "no", "--dynamo_backend", "no"]
    module = ["--module", "textbookgen_transformers.train", job]
    try:
        launch_command(launch_command_parser().parse_args([*layout, *precision, *module]))
    except SignalException as stopped:
        return 128 + int(stopped.sigval)
    except ChildFailedError as failed:
        return abs(failed.get_first_failure()[1].exitcode) or 1
    return 0


if __name__ == "__main__":
    sys.exit(launch(int(sys.argv[1]), sys.argv[2]))
